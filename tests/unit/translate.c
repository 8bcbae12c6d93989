/*
 * translate.c - other programs' command lines: the tables lead to options that there are, and lines come out right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>

#include "bench/config.h"
#include "bench/translate.h"
#include "transports/like.h"
#include "transports/registry.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct fm_foreign_tool *const tools[] = {&fm_foreign_perftest, &fm_foreign_ucx, &fm_foreign_iperf3};

struct values {
	char text[FM_TEXT_MAX];
	bool flag;
};

#define TEXT(name_, letter_)                                                                                           \
	{                                                                                                              \
		.name = (name_), .letter = (letter_), .argument = "X", .value = "", .help = "a text",                  \
		.group = "later", .type = &fm_option_text, .offset = offsetof(struct values, text)                     \
	}
#define FLAG(name_, letter_)                                                                                           \
	{                                                                                                              \
		.name = (name_), .letter = (letter_), .value = "", .help = "a flag", .group = "later",                 \
		.type = &fm_option_flag, .offset = offsetof(struct values, flag)                                       \
	}

/* A build to come, with options of the contract, one of them under another name but with the contract's letter. */
static const struct fm_option later_rows[] = {
	TEXT("test", 0),	TEXT("size", 0),       FLAG("events", 0), TEXT("device", 0),
	TEXT("gid-index", 'x'), TEXT("qp-count", 'q'), TEXT("mtu", 'm'),  FLAG("bidirectional", 'b'),
	TEXT("memory-path", 0),
};
static const struct fm_option_set later = {"later", later_rows, COUNT(later_rows), sizeof(struct values)};

struct ours {
	const struct fm_option_set *sets[1 + FM_TRANSPORTS_MAX];
	struct fm_translate_rows rows;
	struct fm_translation translation;
	struct fm_error error;
	char bytes[1024];
};

/* The rows of this build, or those of the build to come. */
static struct ours *ours_of(bool to_come)
{
	struct ours *ours = calloc(1, sizeof(*ours));

	assert_non_null(ours);
	ours->sets[0] = &fm_pair_option_set;
	ours->rows = (struct fm_translate_rows){ours->sets, 1, &fm_serve_option_set, fm_pair_rules};
	ours->rows.pair_count += fm_backend_sets(ours->sets + 1);
	if (to_come) {
		ours->sets[0] = &later;
		ours->rows.pair_count = 1;
		ours->rows.rules = NULL;
	}
	return ours;
}

static int translate(struct ours *ours, const char *line)
{
	char *argv[FM_TRANSLATE_WORDS_MAX];
	int argc;

	assert_true(strlen(line) < sizeof(ours->bytes));
	argc = fm_shell_split(line, ours->bytes, argv, FM_TRANSLATE_WORDS_MAX, &ours->error);
	return argc < 0 ? argc : fm_translate(&ours->rows, argc, argv, &ours->translation, &ours->error);
}

static bool noted(const struct ours *ours, const char *begins)
{
	for (uint32_t i = 0; i < ours->translation.note_count; i++)
		if (strncmp(ours->translation.notes[i], begins, strlen(begins)) == 0)
			return true;
	return false;
}

static const struct fm_option *row_of(const struct fm_option_set *set, const char *name)
{
	for (size_t i = 0; i < set->count; i++)
		if (strcmp(set->rows[i].name, name) == 0)
			return &set->rows[i];
	return NULL;
}

static const struct fm_option *row_of_any(const struct ours *ours, const char *name)
{
	const struct fm_option *row = row_of(&fm_serve_option_set, name);

	for (size_t i = 0; i < ours->rows.pair_count && !row; i++)
		row = row_of(ours->sets[i], name);
	return row;
}

static bool is_future(const char *name)
{
	for (const struct fm_future_option *at = fm_future_options; at->name; at++)
		if (strcmp(at->name, name) == 0)
			return true;
	return false;
}

/* What is wrong with a row; NULL nothing. */
static const char *row_fault(const struct ours *ours, const struct fm_foreign_option *rows,
			     const struct fm_foreign_option *row)
{
	for (const struct fm_foreign_option *other = rows; other != row; other++)
		if ((row->letter && other->letter == row->letter) ||
		    (row->name && other->name && strcmp(other->name, row->name) == 0))
			return "twice";
	if (row->convert)
		return row->target ? "a target that nobody reads" : NULL;
	if (!row->target)
		return row->note ? NULL : "neither target nor note";
	if (row->target[0] == '@' || is_future(row->target))
		return NULL;
	if (!row_of_any(ours, row->target) || row_of_any(ours, row->target)->hidden)
		return "a target that is no option";
	if (row->argument == FM_FOREIGN_FLAG && !row->value &&
	    fm_option_type_of(row_of_any(ours, row->target))->takes_value)
		return "no value for the target";
	return NULL;
}

static void tables_lead_to_options(void **state)
{
	static const struct fm_foreign_option bad[] = {
		{'x', NULL, FM_FOREIGN_FLAG, "no-such-option", NULL, NULL, NULL},
		{'y', NULL, FM_FOREIGN_FLAG, NULL, NULL, NULL, NULL},
		{'x', NULL, FM_FOREIGN_FLAG, NULL, NULL, "a note", NULL},
		{'z', NULL, FM_FOREIGN_FLAG, "size", NULL, NULL, NULL},
	};
	struct ours *ours = ours_of(false);

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_non_null(row_fault(ours, bad, &bad[i]));
	for (size_t i = 0; i < COUNT(tools); i++) {
		const struct fm_foreign_option *rows = tools[i]->options, *row = rows;
		size_t targets = 0;

		for (; row->letter || row->name; row++) {
			const char *fault = row_fault(ours, rows, row);

			if (fault)
				fail_msg("-%c, --%s: %s", row->letter ? row->letter : ' ', row->name ? row->name : "",
					 fault);
			targets += row->target != NULL || row->convert != NULL;
		}
		/* Every row at once, with the program's defaults, must find room. */
		assert_true(targets + 4 <= FM_TRANSLATE_WANTED_MAX);
	}
	free(ours);
}

static void programs_measure_tests_that_there_are(void **state)
{
	(void)state;
	for (const struct fm_foreign_program *at = fm_foreign_programs; at->name; at++) {
		struct fm_error error;
		uint64_t bytes;

		assert_true(!at->test || fm_test_find(at->test) != FM_TEST_COUNT);
		assert_true(!at->size || fm_parse_count(at->size, &bytes, &error) == 0);
		assert_string_not_equal(fm_transport_like(at->name), "auto");
	}
	assert_string_equal(fm_transport_like("netperf"), "auto");
}

static void lines(void **state)
{
	static const struct {
		const char *theirs, *ours;
		bool later;
	} cases[] = {
		{"iperf3 -c b", "fabmark pair b --transport tcp --test stream_bw --size 128K", false},
		{"iperf3 -cb -P4 --time=5 -A 2,3",
		 "fabmark pair b --transport tcp --test stream_bw --size 128K --duration 5 --streams 4 --cpu 2=3",
		 false},
		{"iperf3 --par 2 -c b%eth1",
		 "fabmark pair b --transport tcp --test stream_bw --size 128K --streams 2 --device eth1", false},
		{"iperf3 -c fe80::1%eth0 -B fe80::2%eth0",
		 "fabmark pair fe80::1%eth0 --transport tcp --test stream_bw --size 128K --data-address "
		 "fe80::2%eth0",
		 false},
		{"iperf3 -c 2001:db8::1%eth0",
		 "fabmark pair 2001:db8::1 --transport tcp --test stream_bw --size 128K --device eth0", false},
		{"iperf3 -c b -l 4K # as ever\n# and ever", "fabmark pair b --transport tcp --test stream_bw --size 4K",
		 false},
		{"iperf3 -c b#1 -l '#' -l 4K", "fabmark pair 'b#1' --transport tcp --test stream_bw --size 4K", false},
		{"iperf3 -s -p 99 -1", "fabmark serve --port 99 --once", false},
		{"/usr/bin/iperf3 -c 'a b' -T \"it's\"",
		 "fabmark pair 'a b' --transport tcp --test stream_bw --size 128K --labels 'title=it'\\''s'", false},
		{"ib_write_lat -s 64 -s 8 b", "fabmark pair b --transport verbs --test write_lat --size 8", false},
		{"ib_write_lat -s 64 \\\n b", "fabmark pair b --transport verbs --test write_lat --size 64", false},
		{"ib_send_bw -a b", "fabmark pair b --transport verbs --test send_bw --all-sizes", false},
		{"ib_atomic_lat -A CMP_AND_SWAP b", "fabmark pair b --transport verbs --test atomic_cas_lat", false},
		{"ib_write_bw -d mlx5_1 -i 2 -x 3 -q 4 -b -m 4096 b",
		 "fabmark pair b --test write_bw --size 64K --device mlx5_1:2 --gid-index 3 --qp-count 4 --mtu 4096 "
		 "--bidirectional",
		 true},
		{"ib_read_lat -u 12 --retry_count 3 --pkey_index=1 --use_old_post_send -s 8 b",
		 "fabmark pair b --transport verbs --test read_lat --size 8 --pkey-index 1 --qp-timeout 12 "
		 "--retry-count "
		 "3 --post-api classic",
		 false},
		{"ib_send_bw -q 4 --use-srq b",
		 "fabmark pair b --transport verbs --test send_bw --size 64K --queue-pairs 4 --srq", false},
		{"ib_write_bw --ib-dev mlx5_0:1 -i 1 b", "fabmark pair b --test write_bw --size 64K --device mlx5_0:1",
		 true},
		{"ib_write_bw -ex3 b", "fabmark pair b --test write_bw --size 64K --events --gid-index 3", true},
		{"ib_write_bw --use_cuda_dmabuf b", "fabmark pair b --test write_bw --size 64K --memory-path dmabuf",
		 true},
		{"ib_write_bw --use_hugepages b",
		 "fabmark pair b --transport verbs --test write_bw --size 64K --memory hugepage", false},
		{"ib_write_bw", "fabmark serve --once", false},
		{"ucx_perftest b -t tag_lat -s 4,4", "fabmark pair b --transport ucx --test tag_lat --size 8", false},
		{"ucx_perftest -t ucp_get b -E sleep -T 2",
		 "fabmark pair b --transport ucx --test read_lat,read_bw --size 8 --streams 2 --threads 2 --events",
		 false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct ours *ours = ours_of(cases[i].later);
		if (translate(ours, cases[i].theirs))
			fail_msg("%s: %s", cases[i].theirs, ours->error.text);
		assert_string_equal(ours->translation.line, cases[i].ours);
		free(ours);
	}
}

static void notes_name_their_option(void **state)
{
	static const struct {
		const char *theirs, *note;
	} cases[] = {
		{"ib_write_bw b", "-s: ib_write_bw's default of 64K"},
		{"ib_write_bw b", "--report_gbits: without it"},
		{"ib_write_bw --report_gbits b", "--report_gbits: not needed"},
		{"ib_write_bw -F b", "-F: not needed"},
		{"ib_write_bw -d mlx5_0:1 -i 2 b", "-i 2: left out: -d mlx5_0:1 names another port"},
		{"ib_write_bw -i 2 b", "-i 2: left out: a port is named with its device"},
		{"ib_write_bw -t 99999999 b", "-t 99999999: left out: --depth 99999999: must be"},
		{"ib_read_lat b", "ib_read_lat: the latency is that of whole operations"},
		{"ib_write_bw -d mlx5_0", "-d mlx5_0: the pair command on the other node"},
		{"iperf3 -c b -R", "-R: type the line on the other node"},
		{"iperf3 -c b", "-t: iperf3's default"},
		{"UCX_TLS=rc ucx_perftest b -t tag_lat", "UCX_TLS=rc: set it"},
		{"ucx_perftest b -t tag_lat -s 4,4", "-s 4,4: the pieces of one message"},
		{"ucx_perftest b -t tag_bw -m rocm",
		 "-m rocm: left out: --memory rocm: this build has no such memory kind"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct ours *ours = ours_of(false);

		assert_int_equal(translate(ours, cases[i].theirs), 0);
		if (!noted(ours, cases[i].note))
			fail_msg("%s has no note that begins '%s'", cases[i].theirs, cases[i].note);
		free(ours);
	}
}

static int notes_of(const struct ours *ours, const char *begins)
{
	int count = 0;

	for (uint32_t i = 0; i < ours->translation.note_count; i++)
		count += strncmp(ours->translation.notes[i], begins, strlen(begins)) == 0;
	return count;
}

/* What is left out, or belongs to the other half, has no other note. */
static void an_option_has_one_note(void **state)
{
	static const struct {
		const char *theirs, *typed;
	} cases[] = {
		{"iperf3 -c b -t 0", "-t 0: left out"},
		{"iperf3 -c b -P 0", "-P 0: left out"},
		{"ib_write_bw -n 5 -D 7", "-n 5: the pair command"},
		{"ib_write_bw -n 5 -D 7", "-D 7: the pair command"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct ours *ours = ours_of(false);
		char option[16];

		snprintf(option, sizeof(option), "%.*s", (int)strcspn(cases[i].typed, ":") + 2, cases[i].typed);
		assert_int_equal(translate(ours, cases[i].theirs), 0);
		assert_int_equal(notes_of(ours, cases[i].typed), 1);
		assert_int_equal(notes_of(ours, option), 1);
		free(ours);
	}
}

/* The line keeps a transport that this build lacks, and the first note says so; of one that it has nothing is said. */
static void a_missing_transport_is_told_first(void **state)
{
	static const char *const theirs[] = {"ib_write_bw -d mlx5_0 -n 5 -F b", "UCX_TLS=rc ucx_perftest b -t tag_lat",
					     "iperf3 -c b -N"};

	(void)state;
	for (size_t i = 0; i < COUNT(theirs); i++) {
		struct ours *ours = ours_of(false);
		const char *transport;
		char text[64];

		assert_int_equal(translate(ours, theirs[i]), 0);
		transport = fm_transport_like(ours->translation.program->name);
		snprintf(text, sizeof(text), "fabmark pair b --transport %s ", transport);
		assert_int_equal(strncmp(ours->translation.line, text, strlen(text)), 0);
		snprintf(text, sizeof(text), "this build has no transport '%s'", transport);
		assert_true(!strstr(ours->translation.notes[0], text) == (fm_transport_find(transport) != NULL));
		for (uint32_t j = 1; j < ours->translation.note_count; j++)
			assert_null(strstr(ours->translation.notes[j], text));
		free(ours);
	}
}

static void what_is_not_understood_is_refused(void **state)
{
	static const struct {
		const char *theirs, *sentence;
	} cases[] = {
		{"", "no command to translate"},
		{"# iperf3 -c b", "no command to translate"},
		{"iperf3 -c ''", "the host is empty"},
		{"ib_write_bw ''", "the host is empty"},
		{"ib_write_bw --foo b", "ib_write_bw has no option '--foo' that is known here; leave it out"},
		{"qperf b", "cannot translate 'qperf'; known are"},
		{"A=b", "no command to translate"},
		{"iperf4 -c b", "cannot translate 'iperf4'; the nearest is iperf3"},
		{"ping b", "cannot translate 'ping'; known are"},
		{"ib_write_bw --siez 8 b",
		 "ib_write_bw has no option '--siez' that is known here; the nearest is --size"},
		{"ib_write_bw -Z b", "ib_write_bw has no option '-Z'"},
		{"ib_write_bw --re b", "ib_write_bw has no option '--re'"},
		{"ib_write_bw -s", "-s needs a value"},
		{"ib_write_bw -F=1 b", "ib_write_bw has no option '-='"},
		{"ib_write_bw --all=1 b", "--all takes no value; leave '=1' out"},
		{"ib_write_bw a b", "'b' is one word too many"},
		{"ib_write_bw -- -b", "'-b' is no host, but looks like an option"},
		{"ib_write_bw -A CMP_AND_SWAP b", "-A CMP_AND_SWAP belongs to ib_atomic_lat"},
		{"ib_atomic_bw -A SWAP b", "-A SWAP: no such atomic operation"},
		{"iperf3 b", "iperf3 takes no bare word such as 'b'; its host follows -c"},
		{"iperf3", "neither -s nor -c HOST"},
		{"iperf3 -s -c b", "-s and -c: a server or a client"},
		{"ucx_perftest b", "-t is missing"},
		{"ucx_perftest b -t tag_lt", "-t tag_lt: ucx_perftest has no such test; the nearest is tag_lat"},
		{"ucx_perftest b -t tag_lat -E nap", "-E nap: it is poll or sleep"},
		{"iperf3 -c $host", "it has a shell variable"},
		{"iperf3 -c \"$host\"", "it has a shell variable"},
		{"iperf3 -c 'b", "a quote (') is not closed"},
		{"iperf3 -c \"b", "a quote (\") is not closed"},
		{"iperf3 -c b\\", "it ends in a backslash"},
		{"iperf3 -c b > file", "it is more than one plain command"},
		{"iperf3 -c 'b\ab'", "word 3 has a control character"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct ours *ours = ours_of(false);

		assert_int_equal(translate(ours, cases[i].theirs), -EINVAL);
		assert_int_equal(ours->error.reason, FM_REASON_USAGE);
		if (strncmp(ours->error.text, cases[i].sentence, strlen(cases[i].sentence)) != 0)
			fail_msg("%s: '%s', not '%s'", cases[i].theirs, ours->error.text, cases[i].sentence);
		free(ours);
	}
}

static void every_test_of_ucx_perftest(void **state)
{
	static const char *const names[] = {
		"am_lat",      "put_lat",     "add_lat",    "get",	    "fadd",    "swap",	    "cswap",
		"am_bw",       "put_bw",      "add_mr",	    "tag_lat",	    "tag_bw",  "stream_bw", "stream_lat",
		"tag_sync_bw", "ucp_put_lat", "ucp_put_bw", "ucp_get",	    "ucp_add", "ucp_fadd",  "ucp_swap",
		"ucp_cswap",   "ucp_am_lat",  "ucp_am_bw",  "tag_sync_lat",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		struct ours *ours = ours_of(false);
		char line[128];

		snprintf(line, sizeof(line), "ucx_perftest -t %s node7", names[i]);
		assert_int_equal(translate(ours, line), 0);
		assert_non_null(strstr(ours->translation.line, " --test "));
		free(ours);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_lead_to_options),
		cmocka_unit_test(programs_measure_tests_that_there_are),
		cmocka_unit_test(lines),
		cmocka_unit_test(notes_name_their_option),
		cmocka_unit_test(an_option_has_one_note),
		cmocka_unit_test(a_missing_transport_is_told_first),
		cmocka_unit_test(what_is_not_understood_is_refused),
		cmocka_unit_test(every_test_of_ucx_perftest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
