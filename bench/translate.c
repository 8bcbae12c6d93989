/*
 * translate.c - reads another program's command line by its table and writes ours, checked against our option rows.
 */
#include "bench/translate.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "common/memory/memory.h"
#include "common/quote.h"
#include "transports/like.h"
#include "transports/registry.h"

enum { SHOWN_MAX = FM_TRANSLATE_SHOWN_MAX };

const struct fm_future_option fm_future_options[] = {
	{"queue-pairs", 'q', NULL},   {"connection", 'c', NULL},
	{"gid-index", 'x', NULL},     {"mtu", 'm', NULL},
	{"inline", 'I', NULL},	      {"post-list", 'l', NULL},
	{"cq-moderation", 'Q', NULL}, {"receive-depth", 'r', NULL},
	{"rdma-cm", 'R', NULL},	      {"service-level", 'S', NULL},
	{"traffic-class", 0, NULL},   {"relaxed-ordering", 0, NULL},
	{"memory-path", 0, NULL},     {NULL, 0, NULL},
};

/* Options of which our line names both ends: LOCAL=REMOTE. */
static const char *const both_ends[] = {"device", "memory", "cpu", "gid-index", "data-address"};

/* ---- reading their line ---- */

/* Where reading stands. */
struct scan {
	struct fm_translation *translation;
	char *const *argv;
	int argc, at;
	struct fm_error *error;
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_end(const struct fm_foreign_option *row)
{
	return !row->letter && !row->name;
}

/* The argument in the place of '%'. */
static void expand(const char *pattern, const char *argument, char *text, size_t bytes)
{
	int before = (int)strcspn(pattern, "%");

	if (pattern[before])
		snprintf(text, bytes, "%.*s%s%s", before, pattern, argument, pattern + before + 1);
	else
		snprintf(text, bytes, "%s", pattern);
}

static int take(const struct scan *scan, const struct fm_foreign_option *row, const char *shown, const char *argument)
{
	struct fm_translation *translation = scan->translation;
	char typed[FM_TEXT_MAX], value[FM_TEXT_MAX];
	bool valued = row->argument != FM_FOREIGN_FLAG && *argument;

	if (strlen(argument) >= FM_TEXT_MAX - SHOWN_MAX)
		return fm_error_set(scan->error, -EINVAL, FM_REASON_USAGE,
				    "the value of %s is longer than %d characters", shown, FM_TEXT_MAX - SHOWN_MAX - 1);
	snprintf(typed, sizeof(typed), "%s%s%s", shown,
		 !valued	   ? ""
		 : shown[1] == '-' ? "="
				   : " ",
		 valued ? argument : "");
	if (row->convert)
		return row->convert(translation, row, typed, argument, scan->error);
	if (row->note)
		fm_translation_note(translation, typed, "%s", row->note);
	if (row->target) {
		expand(row->value ? row->value : "%", argument, value, sizeof(value));
		fm_translation_want(translation, row->target, value, typed);
	}
	return 0;
}

static int unknown(const struct scan *scan, const char *shown, const char *nearest)
{
	const char *program = scan->translation->program->name;

	return fm_error_set(scan->error, -EINVAL, FM_REASON_USAGE, "%s has no option '%.*s' that is known here%s%s%s",
			    program, SHOWN_MAX, shown, nearest ? "; the nearest is --" : "", nearest ? nearest : "",
			    nearest ? "" : "; leave it out");
}

size_t fm_translation_reach(size_t length)
{
	/* A letter in four, but none of what is too short to be recognised. */
	return length < 3 ? 1 : length < 8 ? 2 : length / 4 + 1;
}

/* The option that was probably meant; NULL where none is near. */
static const char *nearest_option(const struct fm_foreign_option *rows, const char *name, size_t length)
{
	size_t least = fm_translation_reach(length);
	const char *best = NULL;

	for (; !is_end(rows); rows++) {
		size_t distance =
			rows->name ? fm_options_distance(name, length, rows->name, strlen(rows->name)) : least;

		if (distance < least) {
			best = rows->name;
			least = distance;
		}
	}
	return best;
}

/* By its whole name, else as getopt_long does by a beginning that only one has. */
static const struct fm_foreign_option *find_long(const struct fm_foreign_option *rows, const char *name, size_t length)
{
	const struct fm_foreign_option *begun = NULL;
	int count = 0;

	for (; !is_end(rows); rows++) {
		if (!rows->name || strncmp(rows->name, name, length) != 0)
			continue;
		if (!rows->name[length])
			return rows;
		begun = rows;
		count++;
	}
	return count == 1 ? begun : NULL;
}

/* The word behind an option as its argument. */
static int take_next(struct scan *scan, const struct fm_foreign_option *row, const char *shown)
{
	const char *next = scan->at + 1 < scan->argc ? scan->argv[scan->at + 1] : NULL;

	if (!next)
		return fm_error_set(scan->error, -EINVAL, FM_REASON_USAGE, "%s needs a value", shown);
	scan->at++;
	return take(scan, row, shown, next);
}

static int read_long(struct scan *scan)
{
	const char *word = scan->argv[scan->at], *equals = strchr(word, '=');
	size_t length = (equals ? (size_t)(equals - word) : strlen(word)) - 2;
	const struct fm_foreign_option *rows = scan->translation->program->tool->options, *row;
	char shown[SHOWN_MAX];

	row = length ? find_long(rows, word + 2, length) : NULL;
	if (!row)
		return unknown(scan, word, nearest_option(rows, word + 2, length));
	snprintf(shown, sizeof(shown), "--%s", row->name);
	if (equals && row->argument == FM_FOREIGN_FLAG)
		return fm_error_set(scan->error, -EINVAL, FM_REASON_USAGE, "%s takes no value; leave '%.*s' out", shown,
				    SHOWN_MAX, equals);
	if (equals || row->argument == FM_FOREIGN_FLAG || row->argument == FM_FOREIGN_ATTACHED)
		return take(scan, row, shown, equals ? equals + 1 : "");
	return take_next(scan, row, shown);
}

static int read_letters(struct scan *scan)
{
	for (const char *letter = scan->argv[scan->at] + 1; *letter; letter++) {
		const struct fm_foreign_option *row = scan->translation->program->tool->options;
		const char shown[] = {'-', *letter, 0};
		int code;

		while (!is_end(row) && row->letter != *letter)
			row++;
		if (is_end(row))
			return unknown(scan, shown, NULL);
		if (row->argument != FM_FOREIGN_FLAG && letter[1])
			return take(scan, row, shown, letter + 1);
		if (row->argument == FM_FOREIGN_VALUE)
			return take_next(scan, row, shown);
		code = take(scan, row, shown, "");
		if (code)
			return code;
	}
	return 0;
}

static int read_host(struct scan *scan)
{
	struct fm_translation *translation = scan->translation;
	const char *word = scan->argv[scan->at], *option = translation->program->tool->host_option;

	if (option)
		return fm_error_set(scan->error, -EINVAL, FM_REASON_USAGE,
				    "%s takes no bare word such as '%.*s'; its host follows %s",
				    translation->program->name, SHOWN_MAX, word, option);
	if (translation->host)
		return fm_error_set(scan->error, -EINVAL, FM_REASON_USAGE,
				    "'%.*s' is one word too many: %s takes one host", SHOWN_MAX, word,
				    translation->program->name);
	translation->host = word;
	return 0;
}

static int read_words(struct scan *scan)
{
	bool options = true;

	for (; scan->at < scan->argc; scan->at++) {
		const char *word = scan->argv[scan->at];
		int code = 0;

		if (!options || word[0] != '-' || !word[1])
			code = read_host(scan);
		else if (word[1] != '-')
			code = read_letters(scan);
		else if (word[2])
			code = read_long(scan);
		else
			options = false;
		if (code)
			return code;
	}
	return 0;
}

/* Environment settings in front of the program's name. UCX chooses its devices by them. */
static void read_setting(struct fm_translation *translation, const char *word)
{
	static const char devices[] = "UCX_NET_DEVICES=";

	if (strncmp(word, devices, sizeof(devices) - 1) == 0 && strcmp(word + sizeof(devices) - 1, "all") != 0)
		fm_translation_want(translation, "device", word + sizeof(devices) - 1, word);
	else
		fm_translation_note(translation, word,
				    "set it for the fabmark commands of both nodes too, where it is to hold");
}

static int find_program(const char *word, const struct fm_foreign_program **program, struct fm_error *error)
{
	const struct fm_foreign_program *nearest = NULL;
	size_t least;

	word = base_name(word);
	least = fm_translation_reach(strlen(word));
	for (const struct fm_foreign_program *at = fm_foreign_programs; at->name; at++) {
		size_t distance = fm_options_distance(word, strlen(word), at->name, strlen(at->name));

		if (distance == 0) {
			*program = at;
			return 0;
		}
		if (distance < least) {
			nearest = at;
			least = distance;
		}
	}
	return fm_error_set(
		error, -EINVAL, FM_REASON_USAGE,
		"cannot translate '%.*s'; %s%s%sknown are ib_{write,read,send,atomic}_{lat,bw}, ucx_perftest and "
		"iperf3, without a prefix such as taskset",
		SHOWN_MAX, word, nearest ? "the nearest is " : "", nearest ? nearest->name : "", nearest ? "; " : "");
}

static bool is_setting(const char *word)
{
	const char *equals = strchr(word, '=');

	return equals && equals > word && !isdigit((unsigned char)*word) &&
	       strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") ==
		       (size_t)(equals - word);
}

static int check_words(int argc, char *const *argv, struct fm_error *error)
{
	if (argc > FM_TRANSLATE_WORDS_MAX)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "more than %d words; a command line has fewer",
				    FM_TRANSLATE_WORDS_MAX);
	for (int i = 0; i < argc; i++)
		for (const char *at = argv[i]; *at; at++)
			if (iscntrl((unsigned char)*at))
				return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
						    "word %d has a control character (%d); take it out", i + 1, *at);
	return 0;
}

static int read_line(struct fm_translation *translation, int argc, char *const *argv, struct fm_error *error)
{
	struct scan scan = {translation, argv, argc, 0, error};
	const struct fm_foreign_program *program = NULL;
	int code = check_words(argc, argv, error);

	while (code == 0 && scan.at < argc && is_setting(argv[scan.at]))
		scan.at++;
	if (code)
		return code;
	if (scan.at == argc)
		return fm_error_set(
			error, -EINVAL, FM_REASON_USAGE,
			"no command to translate; give one, as in fabmark translate 'ib_write_bw -d mlx5_0 node7'");
	code = find_program(argv[scan.at], &program, error);
	if (code)
		return code;
	translation->program = program;
	fm_translation_want(translation, "transport", fm_transport_like(program->name), "");
	if (program->test)
		fm_translation_want(translation, "test", program->test, "");
	if (program->size)
		fm_translation_want(translation, "size", program->size, "");
	for (int i = 0; i < scan.at; i++)
		read_setting(translation, argv[i]);
	scan.at++;
	code = read_words(&scan);
	return code ? code : program->tool->end(translation, error);
}

/* ---- writing ours ---- */

static const struct fm_future_option *find_future(const char *name)
{
	for (const struct fm_future_option *at = fm_future_options; at->name; at++)
		if (strcmp(at->name, name) == 0)
			return at;
	return NULL;
}

/* What this row is asked for: by its name, or as the option of the contract whose letter it has. */
static struct fm_wanted *wanted_of(struct fm_translation *translation, const struct fm_option *row)
{
	struct fm_wanted *wanted = row->hidden ? NULL : fm_translation_wanted(translation, row->name);

	for (uint32_t i = 0; !wanted && row->letter && !row->hidden && i < translation->wanted_count; i++) {
		const struct fm_future_option *future = find_future(translation->wanted[i].name);

		if (future && future->letter == row->letter)
			wanted = &translation->wanted[i];
	}
	return wanted && !wanted->used ? wanted : NULL;
}

/* The name that a note gives a wanted option: as it was typed, else ours. */
static const char *source(const struct fm_wanted *wanted, char *text, size_t bytes)
{
	if (*wanted->typed)
		snprintf(text, bytes, "%s", wanted->typed);
	else
		snprintf(text, bytes, "--%s %.*s", wanted->name, SHOWN_MAX, wanted->value);
	return text;
}

/* Adds a word to the line, quoted where a shell would read it otherwise. */
static int add_word(struct fm_translation *translation, const char *word, struct fm_error *error)
{
	if (fm_quote_append(translation->line, sizeof(translation->line), word))
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "the command is too long");
	return 0;
}

/*
 * Without its transport the line would measure another one without a word, so it stays in and fails; the user hears it
 * first.
 */
static void tell_lacking_transport(struct fm_translation *translation, const char *name)
{
	if (strcmp(name, "auto") == 0 || strcmp(name, "all") == 0 || fm_transport_find(name) ||
	    translation->note_count == FM_TRANSLATE_NOTES_MAX)
		return;
	fm_translation_note(translation, translation->program->name,
			    "this build has no transport '%s', so the line fails; 'fabmark devices' lists those that "
			    "there are, and --transport auto takes one of them",
			    name);
	fm_translation_raise_note(translation);
}

/* Names that a parser takes and the program refuses later: a memory kind that this build lacks. */
static const char *absent(const struct fm_option *row, const char *value)
{
	char kind[FM_TEXT_MAX];

	snprintf(kind, sizeof(kind), "%s", value);
	kind[strcspn(kind, "=")] = '\0';
	if (strcmp(row->name, "memory") == 0 && !fm_memory_find(kind))
		return "this build has no such memory kind; 'fabmark devices' lists those that there are";
	return NULL;
}

/* Whether the row's own parser takes the value; the sentence says why not. */
static int check_value(const struct fm_option_set *set, const struct fm_option *row, const char *value,
		       struct fm_error *error)
{
	void *values = calloc(1, set->bytes + 1);
	int code;

	if (!values)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for options");
	code = fm_option_type_of(row)->parse(row, fm_option_type_of(row)->takes_value ? value : "true",
					     (char *)values + row->offset, error);
	free(values);
	return code;
}

static int add_option(struct fm_translation *translation, const struct fm_option_set *set, const struct fm_option *row,
		      struct fm_wanted *wanted, struct fm_error *error)
{
	const char *lack = absent(row, wanted->value);
	struct fm_error why = {0};
	char word[2 * FM_TEXT_MAX], from[FM_TEXT_MAX];
	int code;

	wanted->used = true;
	source(wanted, from, sizeof(from));
	if (lack || check_value(set, row, wanted->value, &why)) {
		fm_translation_drop_notes(translation, from);
		if (*wanted->typed)
			fm_translation_note(translation, from, "left out: --%s %.*s: %s", row->name, SHOWN_MAX,
					    wanted->value, lack ? lack : why.text);
		else
			fm_translation_note(translation, from, "left out: %s", lack ? lack : why.text);
		return 0;
	}
	if (strcmp(row->name, "transport") == 0)
		tell_lacking_transport(translation, wanted->value);
	if (fm_option_type_of(row)->takes_value && wanted->value[0] == '-' && wanted->value[1]) {
		snprintf(word, sizeof(word), "--%s=%s", row->name, wanted->value);
		return add_word(translation, word, error);
	}
	snprintf(word, sizeof(word), "--%s", row->name);
	code = add_word(translation, word, error);
	return code == 0 && fm_option_type_of(row)->takes_value ? add_word(translation, wanted->value, error) : code;
}

static int add_options(struct fm_translation *translation, const struct fm_option_set *set, struct fm_error *error)
{
	for (size_t i = 0; i < set->count; i++) {
		struct fm_wanted *wanted = wanted_of(translation, &set->rows[i]);
		int code = wanted ? add_option(translation, set, &set->rows[i], wanted, error) : 0;

		if (code)
			return code;
	}
	return 0;
}

/* What no row took: on the server's half it belongs to the other node's line. */
static void tell_leftovers(struct fm_translation *translation)
{
	for (uint32_t i = 0; i < translation->wanted_count; i++) {
		const struct fm_wanted *wanted = &translation->wanted[i];
		const struct fm_future_option *future = find_future(wanted->name);
		const char *ends = "";
		char from[FM_TEXT_MAX];

		/* The tool's end has read those with '@'; a default says nothing on the server's half. */
		if (wanted->used || wanted->name[0] == '@' || (!translation->host && !*wanted->typed))
			continue;
		source(wanted, from, sizeof(from));
		fm_translation_drop_notes(translation, from);
		for (size_t j = 0; j < sizeof(both_ends) / sizeof(both_ends[0]); j++)
			if (strcmp(both_ends[j], wanted->name) == 0)
				ends = " LOCAL=REMOTE, for both ends";
		if (!translation->host)
			fm_translation_note(translation, from, "the pair command on the other node says it: --%s%s",
					    wanted->name, ends);
		else
			fm_translation_note(translation, from, "left out: this build has no --%s%s%s", wanted->name,
					    future && future->meanwhile ? "; " : "",
					    future && future->meanwhile ? future->meanwhile : "");
	}
}

/* The finished line through the parser that will read it: rules across options. */
static int check_pair(const struct fm_translate_rows *rows, int argc, char **argv, struct fm_error *error)
{
	void **values = calloc(rows->pair_count, sizeof(*values));
	const struct fm_option_parser parser = {"fabmark pair", rows->pair,  values, rows->pair_count,
						NULL,		rows->rules, 1,	     NULL};
	const char *positional[1];
	uint32_t positionals;
	int code = values ? 0 : fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for options");

	for (size_t i = 0; code == 0 && i < rows->pair_count; i++) {
		values[i] = calloc(1, rows->pair[i]->bytes + 1);
		code = values[i] ? fm_options_defaults(rows->pair[i], values[i], error)
				 : fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for options");
	}
	if (code == 0)
		code = fm_options_parse(&parser, argc, argv, positional, &positionals, NULL, error);
	for (size_t i = 0; values && i < rows->pair_count; i++)
		free(values[i]);
	free(values);
	return code;
}

static int check_line(const struct fm_translation *translation, struct fm_error *error)
{
	char *bytes = malloc(sizeof(translation->line)), *argv[FM_TRANSLATE_WORDS_MAX + 1];
	int argc, code;

	if (!bytes)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for options");
	argc = fm_shell_split(translation->line, bytes, argv, FM_TRANSLATE_WORDS_MAX, error);
	code = argc < 0 ? argc : check_pair(translation->rows, argc - 1, argv + 1, error);
	free(bytes);
	return code ? fm_error_prefix(error, "its translation makes no sense: ") : 0;
}

static int write_line(struct fm_translation *translation, struct fm_error *error)
{
	const struct fm_translate_rows *rows = translation->rows;
	const char *host = translation->host;
	int code;

	if (host && !host[0])
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "the host is empty; give its name or address");
	if (host && host[0] == '-')
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "'%.*s' is no host, but looks like an option",
				    SHOWN_MAX, host);
	code = add_word(translation, "fabmark", error);
	if (code == 0)
		code = add_word(translation, host ? "pair" : "serve", error);
	if (code == 0 && host)
		code = add_word(translation, host, error);
	if (code == 0 && !host)
		code = add_options(translation, rows->serve, error);
	for (size_t i = 0; code == 0 && host && i < rows->pair_count; i++)
		code = add_options(translation, rows->pair[i], error);
	if (code)
		return code;
	tell_leftovers(translation);
	return host ? check_line(translation, error) : 0;
}

int fm_translate(const struct fm_translate_rows *rows, int argc, char *const *argv, struct fm_translation *translation,
		 struct fm_error *error)
{
	int code;

	memset(translation, 0, sizeof(*translation));
	translation->rows = rows;
	code = read_line(translation, argc, argv, error);
	if (code)
		return code;
	if (translation->host && translation->program->note)
		fm_translation_note(translation, translation->program->name, "%s", translation->program->note);
	translation->read_notes = translation->note_count;
	return write_line(translation, error);
}
