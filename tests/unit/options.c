/*
 * options.c - the option tables: command lines, help, and the check of the tables themselves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "common/options.h"

struct settings {
	uint64_t size, streams;
	double duration;
	char device[FM_TEXT_MAX], transport[FM_TEXT_MAX], csv[FM_TEXT_MAX];
	bool bidirectional, force, verify;
};

struct backend {
	uint64_t backlog;
	bool nodelay;
};

#define FIELD(name) offsetof(struct settings, name)

static const struct fm_option rows[] = {
	{.name = "size",
	 .letter = 's',
	 .argument = "N",
	 .value = "64K",
	 .help = "bytes of a message",
	 .group = "What to measure",
	 .type = &fm_option_count,
	 .offset = FIELD(size),
	 .minimum = 1},
	{.name = "duration",
	 .letter = 'D',
	 .argument = "S",
	 .value = "3",
	 .help = "measured time of a point, split into repetitions; the warm-up is extra",
	 .group = "What to measure",
	 .type = &fm_option_seconds,
	 .offset = FIELD(duration),
	 .minimum = 0.01,
	 .maximum = 3600},
	{.name = "transport",
	 .value = "auto",
	 .help = "how the bytes travel",
	 .group = "What to measure",
	 .type = &fm_option_choice,
	 .offset = FIELD(transport),
	 .choices = "tcp|verbs|auto"},
	{.name = "streams",
	 .argument = "N",
	 .value = "1",
	 .help = "connections at once",
	 .group = "Load",
	 .type = &fm_option_count,
	 .offset = FIELD(streams),
	 .minimum = 1,
	 .maximum = 65536},
	{.name = "bidirectional",
	 .letter = 'b',
	 .value = "",
	 .help = "both directions at once",
	 .group = "Load",
	 .type = &fm_option_flag,
	 .offset = FIELD(bidirectional)},
	{.name = "device",
	 .letter = 'd',
	 .argument = "NAME",
	 .value = "",
	 .help = "the network device",
	 .group = "Place",
	 .type = &fm_option_text,
	 .offset = FIELD(device)},
	{.name = "verify",
	 .value = "",
	 .help = "check what arrives",
	 .group = "What to measure",
	 .type = &fm_option_flag,
	 .offset = FIELD(verify)},
	{.name = "csv",
	 .argument = "FILE|-",
	 .value = "",
	 .help = "write rows to FILE, or to standard output",
	 .group = "Output",
	 .type = &fm_option_text,
	 .offset = FIELD(csv)},
	{.name = "cpu_freq_force",
	 .letter = 'F',
	 .value = "",
	 .type = &fm_option_flag,
	 .offset = FIELD(force),
	 .hidden = true},
	{.name = "connections",
	 .argument = "N",
	 .value = "",
	 .type = &fm_option_count,
	 .offset = FIELD(streams),
	 .minimum = 1,
	 .maximum = 65536,
	 .hidden = true},
};

static const struct fm_option backend_rows[] = {
	{.name = "tcp-backlog",
	 .argument = "N",
	 .value = "8",
	 .help = "connections that may wait",
	 .group = "Transport tcp",
	 .type = &fm_option_count,
	 .offset = offsetof(struct backend, backlog),
	 .minimum = 1,
	 .maximum = 128},
	{.name = "tcp-nodelay",
	 .value = "",
	 .help = "send at once",
	 .group = "Transport tcp",
	 .type = &fm_option_flag,
	 .offset = offsetof(struct backend, nodelay)},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct fm_option_set command_set = {"", rows, COUNT(rows), sizeof(struct settings)};
static const struct fm_option_set backend_set = {"tcp", backend_rows, COUNT(backend_rows), sizeof(struct backend)};
static const struct fm_option_set *const sets[] = {&command_set, &backend_set};

static const struct fm_option_alias aliases[] = {
	{"--qp", "use --streams"},
	{"-q", "queue pairs are --streams"},
	{NULL, NULL},
};

static bool verify_with_bidirectional(const void *values)
{
	const struct settings *settings = values;

	return settings->verify && settings->bidirectional;
}

static const struct fm_option_rule rules[] = {
	{verify_with_bidirectional, "--verify needs one direction; leave --bidirectional out"},
	{NULL, NULL},
};

/* One command line, read from defaults. */
struct line {
	struct settings settings;
	struct backend backend;
	const char *positional[2];
	uint32_t words;
	bool given[COUNT(rows)];
	struct fm_error error;
	int rc;
};

#define READ(...) read_line((const char *[]){"fabmark", __VA_ARGS__, NULL})

static struct line read_line(const char *const *words)
{
	struct line line = {.words = 99};
	void *const values[] = {&line.settings, &line.backend};
	const struct fm_option_parser parser = {"fabmark pair", sets, values, 2, aliases, rules, 2, NULL};
	int argc = 0;

	while (words[argc])
		argc++;
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(fm_options_defaults(sets[i], values[i], &line.error), 0);
	line.rc = fm_options_parse(&parser, argc, (char *const *)words, line.positional, &line.words, line.given,
				   &line.error);
	return line;
}

#define ASSERT_REFUSED(sentence, ...)                                                                                  \
	do {                                                                                                           \
		struct line refused = READ(__VA_ARGS__);                                                               \
                                                                                                                       \
		assert_int_equal(refused.rc, -EINVAL);                                                                 \
		assert_int_equal(refused.error.code, -EINVAL);                                                         \
		assert_int_equal(refused.error.reason, FM_REASON_USAGE);                                               \
		assert_string_equal(refused.error.text, sentence);                                                     \
	} while (0)

static void defaults_fill_every_field(void **state)
{
	struct line line = read_line((const char *[]){"fabmark", NULL});

	(void)state;
	assert_int_equal(line.rc, 0);
	assert_int_equal(line.settings.size, 65536);
	assert_true(line.settings.duration == 3);
	assert_string_equal(line.settings.transport, "auto");
	assert_string_equal(line.settings.device, "");
	assert_false(line.settings.bidirectional);
	assert_int_equal(line.backend.backlog, 8);
	assert_int_equal(line.words, 0);
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_false(line.given[i]);
}

static void every_spelling_is_understood(void **state)
{
	struct line line = READ("nodeA", "--size", "8", "-bF", "-D0.5", "--device=mlx5_0=mlx5_1", "--tcp-backlog", "4",
				"--csv", "-");

	(void)state;
	assert_int_equal(line.rc, 0);
	assert_int_equal(line.settings.size, 8);
	assert_true(line.settings.bidirectional && line.settings.force && !line.settings.verify);
	assert_true(line.settings.duration == 0.5);
	assert_string_equal(line.settings.device, "mlx5_0=mlx5_1");
	assert_string_equal(line.settings.csv, "-");
	assert_int_equal(line.backend.backlog, 4);
	assert_int_equal(line.words, 1);
	assert_string_equal(line.positional[0], "nodeA");
	assert_true(line.given[0] && line.given[1] && !line.given[2] && !line.given[3] && line.given[4]);

	assert_int_equal(READ("-s8").settings.size, 8);
	assert_int_equal(READ("-s", "8").settings.size, 8);
	assert_int_equal(READ("-Fbs8").settings.size, 8);
	assert_int_equal(READ("-bs", "8").settings.size, 8);
	assert_int_equal(READ("-s8", "--size=16", "-s", "4K").settings.size, 4096);
	assert_string_equal(READ("--device=-odd").settings.device, "-odd");
	assert_string_equal(READ("-d", "x", "--device=").settings.device, "");
}

static void two_names_of_one_option_agree(void **state)
{
	(void)state;
	assert_int_equal(READ("--connections", "4").settings.streams, 4);
	assert_int_equal(READ("-b").settings.streams, 1);
	assert_int_equal(READ("--streams", "4", "--connections", "4").rc, 0);
	assert_int_equal(READ("--connections", "2", "--connections", "4").settings.streams, 4);
	ASSERT_REFUSED("--connections '4' and --streams: two names of one option, and they say different things; "
		       "keep one",
		       "--streams", "8", "--connections", "4");
	/* The default, once it was typed, is no less a wish. */
	ASSERT_REFUSED("--streams '1' and --connections: two names of one option, and they say different things; "
		       "keep one",
		       "--connections", "4", "--streams", "1");
}

static void two_dashes_end_the_options(void **state)
{
	struct line line = READ("-b", "--", "--size", "-");

	(void)state;
	assert_int_equal(line.rc, 0);
	assert_int_equal(line.words, 2);
	assert_string_equal(line.positional[0], "--size");
	assert_string_equal(line.positional[1], "-");
	assert_int_equal(line.settings.size, 65536);
}

static void values_are_refused_in_context(void **state)
{
	(void)state;
	ASSERT_REFUSED("--size '1E': not a count: 'E' is no suffix; use K, M or G (1,024-based), as in 64K", "--size",
		       "1E");
	ASSERT_REFUSED("--size '': not a count: empty; give one such as 8 or 64K", "--size=");
	ASSERT_REFUSED("-s '-1': not a count: must start with a digit, as in 8 or 64K", "-s", "-1");
	ASSERT_REFUSED("-s 'ize': not a count: must start with a digit, as in 8 or 64K", "-size");
	ASSERT_REFUSED("--size '0': must be at least 1", "--size", "0");
	ASSERT_REFUSED("--streams '0': must be 1 to 65536", "--streams", "0");
	ASSERT_REFUSED("--streams '64M': must be 1 to 65536", "--streams", "64M");
	ASSERT_REFUSED("-D '2h': must be 0.01 to 3600", "-D", "2h");
	ASSERT_REFUSED("--transport 'roce': must be tcp, verbs or auto", "--transport", "roce");
	ASSERT_REFUSED("--transport '': must be tcp, verbs or auto", "--transport=");
	ASSERT_REFUSED("--transport 'tc': must be tcp, verbs or auto", "--transport=tc");
	ASSERT_REFUSED("--transport 'tcp|verbs': must be tcp, verbs or auto", "--transport=tcp|verbs");
	ASSERT_REFUSED("--verify needs one direction; leave --bidirectional out", "--verify", "-b");
}

static void long_texts_are_refused(void **state)
{
	char text[2 * FM_TEXT_MAX];
	struct line line;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[FM_TEXT_MAX] = 0;
	line = READ("--device", text);
	assert_int_equal(line.rc, -EINVAL);
	assert_non_null(strstr(line.error.text, "': too long: 256 characters; at most 255 fit"));
	text[FM_TEXT_MAX - 1] = 0;
	assert_string_equal(READ("--device", text).settings.device, text);
}

static void missing_and_surplus_words_are_named(void **state)
{
	(void)state;
	ASSERT_REFUSED("--size needs a value: --size N", "--size");
	ASSERT_REFUSED("-d needs a value: -d NAME", "-bd");
	ASSERT_REFUSED("--transport needs a value: --transport tcp|verbs|auto", "--transport");
	ASSERT_REFUSED("--device needs a value: --device NAME (one that starts with '-' is given as --device=--verify)",
		       "--device", "--verify");
	ASSERT_REFUSED("--verify takes no value; leave '=yes' out", "--verify=yes");
	ASSERT_REFUSED(
		"'c' is one word too many: fabmark pair takes at most 2 besides its options ('fabmark pair --help')",
		"a", "b", "c", "d");
}

static void words_are_utf8(void **state)
{
	(void)state;
	assert_int_equal(READ("na\xc3\xafve", "--device", "\xf0\x9f\x98\x80").rc, 0);
	ASSERT_REFUSED("the argument that begins 'caf' is not valid UTF-8: its byte 4 is 0xe9; write it in UTF-8",
		       "caf\xe9");
	ASSERT_REFUSED("the argument that begins '--csv=' is not valid UTF-8: its byte 7 is 0xc3; write it in UTF-8",
		       "-b", "--csv=\xc3");
	/* Before a word ahead of it is found wrong. */
	ASSERT_REFUSED("the argument that begins '' is not valid UTF-8: its byte 1 is 0xc0; write it in UTF-8",
		       "--xyzzy", "\xc0\xaf");
}

static void unknown_options_name_the_nearest(void **state)
{
	(void)state;
	ASSERT_REFUSED("unknown option '--siez'; the nearest is --size ('fabmark pair --help' lists all)", "--siez",
		       "8");
	ASSERT_REFUSED("unknown option '--sizes'; the nearest is --size ('fabmark pair --help' lists all)",
		       "--sizes=8");
	ASSERT_REFUSED("unknown option '--bi'; the nearest is --bidirectional ('fabmark pair --help' lists all)",
		       "--bi");
	ASSERT_REFUSED("unknown option '--tcp_backlog'; the nearest is --tcp-backlog ('fabmark pair --help' lists all)",
		       "--tcp_backlog");
	ASSERT_REFUSED("unknown option '--cpu-freq-force'; 'fabmark pair --help' lists all", "--cpu-freq-force");
	ASSERT_REFUSED("unknown option '--xyzzy'; 'fabmark pair --help' lists all", "--xyzzy");
	ASSERT_REFUSED("unknown option '-Z'; 'fabmark pair --help' lists all", "-bZ");
	ASSERT_REFUSED("unknown option '-1'; 'fabmark pair --help' lists all", "-1");
	ASSERT_REFUSED("unknown option '--'; 'fabmark pair --help' lists all", "--=8");
	ASSERT_REFUSED("--qp: use --streams", "--qp=4");
	ASSERT_REFUSED("-q: queue pairs are --streams", "-bq", "4");
}

static void a_command_without_words_says_so(void **state)
{
	const char *const words[] = {"fabmark", "-b", "nodeA", NULL};
	struct settings settings = {0};
	struct fm_error error;
	void *const values[] = {&settings};
	const struct fm_option_parser parser = {"fabmark devices", sets, values, 1, NULL, NULL, 0, NULL};
	uint32_t count = 99;

	(void)state;
	assert_int_equal(fm_options_parse(&parser, 3, (char *const *)words, NULL, &count, NULL, &error), -EINVAL);
	assert_string_equal(error.text, "'nodeA' is one word too many: fabmark devices takes options only "
					"('fabmark devices --help' lists them)");
	assert_int_equal(fm_options_parse(&parser, 2, (char *const *)words, NULL, &count, NULL, &error), 0);
	assert_int_equal(count, 0);
	assert_true(settings.bidirectional);
}

static void values_are_set_by_name(void **state)
{
	struct backend backend = {.backlog = 8};
	struct settings settings = {0};
	struct fm_error error;

	(void)state;
	assert_int_equal(fm_options_set(&backend_set, &backend, "tcp-backlog", "4", &error), 0);
	assert_int_equal(fm_options_set(&backend_set, &backend, "tcp-nodelay", "true", &error), 0);
	assert_true(backend.backlog == 4 && backend.nodelay);
	assert_int_equal(fm_options_set(&backend_set, &backend, "tcp-nodelay", "false", &error), 0);
	assert_false(backend.nodelay);

	assert_int_equal(fm_options_set(&backend_set, &backend, "tcp-backlog", "x", &error), -EINVAL);
	assert_string_equal(error.text, "tcp.tcp-backlog 'x': not a count: must start with a digit, as in 8 or 64K");
	assert_int_equal(fm_options_set(&backend_set, &backend, "tcp-nodelay", "", &error), -EINVAL);
	assert_string_equal(error.text, "tcp.tcp-nodelay '': must be true or false");
	assert_true(backend.backlog == 4 && !backend.nodelay);

	assert_int_equal(fm_options_set(&backend_set, &backend, "tcp-backlogs", "4", &error), -ENOENT);
	assert_string_equal(error.text, "unknown option 'tcp.tcp-backlogs'; the nearest is tcp.tcp-backlog");
	assert_int_equal(fm_options_set(&command_set, &settings, "colour", "4", &error), -ENOENT);
	assert_string_equal(error.text, "unknown option 'colour'");
}

/* What one of the three listings writes; the caller frees it. */
static char *listed(void (*list)(const struct fm_option_set *const *, size_t, FILE *))
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);

	assert_non_null(out);
	list(sets, 2, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void help_is_grouped_and_aligned(void **state)
{
	char *text = listed(fm_options_help);

	(void)state;
	assert_string_equal(text, "What to measure:\n"
				  "  -s, --size N         bytes of a message (default 64K)\n"
				  "  -D, --duration S     measured time of a point, split into repetitions; the\n"
				  "                       warm-up is extra (default 3)\n"
				  "      --transport tcp|verbs|auto\n"
				  "                       how the bytes travel (default auto)\n"
				  "      --verify         check what arrives\n"
				  "\n"
				  "Load:\n"
				  "      --streams N      connections at once (default 1)\n"
				  "  -b, --bidirectional  both directions at once\n"
				  "\n"
				  "Place:\n"
				  "  -d, --device NAME    the network device\n"
				  "\n"
				  "Output:\n"
				  "      --csv FILE|-     write rows to FILE, or to standard output\n"
				  "\n"
				  "Transport tcp:\n"
				  "      --tcp-backlog N  connections that may wait (default 8)\n"
				  "      --tcp-nodelay    send at once\n");
	for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
		assert_true(strcspn(line, "\n") <= 80);
	free(text);
}

static void markdown_escapes_bars(void **state)
{
	char *text = listed(fm_options_markdown);

	(void)state;
	assert_true(strncmp(text,
			    "| option | default | meaning |\n| --- | --- | --- |\n| **What to measure** | | |\n"
			    "| `-s`, `--size N` | `64K` | bytes of a message |\n",
			    120) == 0);
	assert_non_null(strstr(text, "| `--transport tcp\\|verbs\\|auto` | `auto` | how the bytes travel |\n"));
	assert_non_null(strstr(text, "| `--csv FILE\\|-` | | write rows to FILE, or to standard output |\n"));
	assert_null(strstr(text, "cpu_freq_force"));
	free(text);
}

static void man_page_escapes_dashes(void **state)
{
	char *text = listed(fm_options_man);

	(void)state;
	assert_true(strncmp(text,
			    ".SS What to measure\n.TP\n\\fB\\-s\\fR, \\fB\\-\\-size\\fR \\fIN\\fR\n"
			    "\\&bytes of a message (default 64K)\n",
			    80) == 0);
	assert_non_null(strstr(text, "the warm\\-up is extra"));
	free(text);
}

static void choices_stand_beside_an_argument(void **state)
{
	const struct fm_option row = {.name = "mode",
				      .argument = "MODE",
				      .value = "a",
				      .help = "how",
				      .group = "Group",
				      .type = &fm_option_choice,
				      .offset = FIELD(transport),
				      .choices = "a|b"};
	const struct fm_option_set set = {"", &row, 1, sizeof(struct settings)};
	const struct fm_option_set *const one = &set;
	char text[200];
	FILE *out = fmemopen(text, sizeof(text), "w");

	(void)state;
	assert_non_null(out);
	fm_options_help(&one, 1, out);
	fclose(out);
	assert_string_equal(text, "Group:\n      --mode MODE  how (a|b; default a)\n");
	out = fmemopen(text, sizeof(text), "w");
	assert_non_null(out);
	fm_options_markdown(&one, 1, out);
	fclose(out);
	assert_non_null(strstr(text, "| `--mode MODE` | `a` | how (`a\\|b`) |\n"));
}

static void sound_tables_pass(void **state)
{
	struct fm_error error = {0};

	(void)state;
	assert_int_equal(fm_options_check(sets, 2, &error), 0);
	assert_int_equal(error.code, 0);
}

static void assert_fault(const struct fm_option *row, const char *part)
{
	const struct fm_option_set set = {"x", row, 1, sizeof(struct settings)};
	const struct fm_option_set *const both[] = {&command_set, &set};
	struct fm_error error = {0};

	assert_int_equal(fm_options_check(both, 2, &error), -EINVAL);
	assert_int_equal(error.reason, FM_REASON_INTERNAL);
	assert_non_null(strstr(error.text, part));
}

/* Each breaks one thing in a sound row. */
static void malformed_rows_are_caught(void **state)
{
	static const struct fm_option sound = {.name = "depth",
					       .letter = 't',
					       .argument = "N",
					       .value = "1",
					       .help = "operations",
					       .group = "Load",
					       .type = &fm_option_count,
					       .minimum = 1,
					       .maximum = 65536};
	struct fm_option row;

	(void)state;
#define FAULT(part, change)                                                                                            \
	do {                                                                                                           \
		row = sound;                                                                                           \
		change;                                                                                                \
		assert_fault(&row, part);                                                                              \
	} while (0)
	FAULT("another row has", row.name = "size");
	FAULT("another row has", row.letter = 's');
	FAULT("another row has", row.name = "cpu_freq_force");
	FAULT("a name is", row.name = NULL);
	FAULT("a name is", row.name = "Depth");
	FAULT("a name is", row.name = "--depth");
	FAULT("a name is", row.name = "d");
	FAULT("its letter", row.letter = '-');
	FAULT("type or default", row.type = NULL);
	FAULT("type or default", row.value = NULL);
	FAULT("group and one line", row.help = "");
	FAULT("group and one line", row.help = "two\nlines");
	FAULT("group and one line", row.group = NULL);
	FAULT("a choice needs", row.type = &fm_option_choice);
	FAULT("an argument if and only if", row.argument = NULL);
	FAULT("an argument if and only if", row.type = &fm_option_flag);
	FAULT("range is empty", row.maximum = 0.5);
	FAULT("outside the struct", row.offset = sizeof(struct settings) - 7);
	FAULT("outside the struct", row.offset = SIZE_MAX);
	FAULT("default of --depth, '0': must be 1 to 65536", row.value = "0");
	FAULT("default of --depth, 'x': not a count", row.value = "x");
#undef FAULT
}

/* Random words in random order: nothing is read or written outside, and every refusal has its sentence. */
static void garbage_is_refused_with_a_sentence(void **state)
{
	static const char *const words[] = {"-",
					    "--",
					    "--size",
					    "-s",
					    "-sb",
					    "-bs8",
					    "--size=",
					    "=",
					    "--=",
					    "---",
					    "8",
					    "-8",
					    "1e999",
					    "nan",
					    "--transport",
					    "auto",
					    "--bidi",
					    "-\xff",
					    "\xff",
					    "--\xff",
					    "",
					    "-D",
					    "99999999999999999999K",
					    "--device=---------------------------------------------------------------"};
	uint32_t random = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		const char *line_words[6] = {"fabmark"};
		struct line line;

		for (int i = 1; i < 5; i++) {
			random = random * 1664525u + 1013904223u;
			line_words[i] = words[(random >> 16) % COUNT(words)];
		}
		line = read_line(line_words);
		assert_true(line.rc == 0 || line.rc == -EINVAL);
		assert_true(line.rc == 0 || (line.error.reason == FM_REASON_USAGE && strlen(line.error.text) > 10));
		assert_true(line.rc != 0 || line.words <= 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_fill_every_field),
		cmocka_unit_test(every_spelling_is_understood),
		cmocka_unit_test(two_names_of_one_option_agree),
		cmocka_unit_test(two_dashes_end_the_options),
		cmocka_unit_test(values_are_refused_in_context),
		cmocka_unit_test(long_texts_are_refused),
		cmocka_unit_test(missing_and_surplus_words_are_named),
		cmocka_unit_test(words_are_utf8),
		cmocka_unit_test(unknown_options_name_the_nearest),
		cmocka_unit_test(a_command_without_words_says_so),
		cmocka_unit_test(values_are_set_by_name),
		cmocka_unit_test(help_is_grouped_and_aligned),
		cmocka_unit_test(markdown_escapes_bars),
		cmocka_unit_test(man_page_escapes_dashes),
		cmocka_unit_test(choices_stand_beside_an_argument),
		cmocka_unit_test(sound_tables_pass),
		cmocka_unit_test(malformed_rows_are_caught),
		cmocka_unit_test(garbage_is_refused_with_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
