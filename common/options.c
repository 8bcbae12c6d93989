/*
 * options.c - reads a command line over tables of option rows, and checks the tables themselves.
 *
 * It knows no option: a row says where its value goes, and the row's type how it is read.
 */
#include "common/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "common/utf8.h"

enum { SHOWN_MAX = 64, NAME_MAX_LENGTH = 40 };

/* A row together with the struct that it fills. */
struct target {
	const struct fm_option *row;
	void *values;
	bool *given; /* NULL where nobody asked */
};

/* Where parsing stands. */
struct scan {
	const struct fm_option_parser *parser;
	char *const *argv;
	int argc, at;
	bool *given;
	const struct fm_option_log *log; /* NULL: nobody wants to know */
	struct fm_error *error;
};

static const struct fm_option *row_named(const struct fm_option_set *set, const char *name, size_t length)
{
	for (size_t i = 0; i < set->count; i++)
		if (strlen(set->rows[i].name) == length && memcmp(set->rows[i].name, name, length) == 0)
			return &set->rows[i];
	return NULL;
}

static const struct fm_option *row_lettered(const struct fm_option_set *set, char letter)
{
	for (size_t i = 0; i < set->count; i++)
		if (set->rows[i].letter == letter)
			return &set->rows[i];
	return NULL;
}

/* By name where there is one, else by letter. */
static bool find(const struct scan *scan, const char *name, size_t length, char letter, struct target *target)
{
	for (size_t i = 0; i < scan->parser->count; i++) {
		const struct fm_option_set *set = scan->parser->sets[i];
		const struct fm_option *row = name ? row_named(set, name, length) : row_lettered(set, letter);

		if (!row)
			continue;
		target->row = row;
		target->values = scan->parser->values[i];
		target->given = i == 0 && scan->given ? &scan->given[row - set->rows] : NULL;
		return true;
	}
	return false;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t fm_options_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
	size_t cost[NAME_MAX_LENGTH + 1][NAME_MAX_LENGTH + 1];

	if (a_length > NAME_MAX_LENGTH || b_length > NAME_MAX_LENGTH)
		return SIZE_MAX;
	for (size_t i = 0; i <= a_length; i++)
		for (size_t j = 0; j <= b_length; j++) {
			if (i == 0 || j == 0) {
				cost[i][j] = i + j;
				continue;
			}
			cost[i][j] = least(least(cost[i - 1][j], cost[i][j - 1]) + 1,
					   cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				cost[i][j] = least(cost[i][j], cost[i - 2][j - 2] + 1);
		}
	return cost[a_length][b_length];
}

/* The visible row that was probably meant: a name that begins so, else one a few letters away; NULL where none is. */
static const char *nearest(const struct fm_option_set *const *sets, size_t count, const char *name, size_t length)
{
	const char *best = NULL;
	size_t least_distance = length / 3 + 2;

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < sets[i]->count; j++) {
			const struct fm_option *row = &sets[i]->rows[j];
			bool begun = length > 1 && strncmp(row->name, name, length) == 0;
			size_t distance = begun ? 1 : fm_options_distance(name, length, row->name, strlen(row->name));

			if (!row->hidden && distance < least_distance) {
				best = row->name;
				least_distance = distance;
			}
		}
	return best;
}

/* shown is the option as typed, dashes included. */
static int unknown(const struct scan *scan, const char *shown, int length)
{
	const struct fm_option_parser *parser = scan->parser;
	const char *instead = NULL, *foreign = NULL;

	for (const struct fm_option_alias *alias = parser->aliases; alias && alias->name; alias++)
		if (strncmp(alias->name, shown, (size_t)length) == 0 && !alias->name[length])
			return fm_error_set(scan->error, -EINVAL, FM_REASON_USAGE, "%s: %s", alias->name,
					    alias->instead);
	if (length > 2 && parser->foreign)
		foreign = parser->foreign(shown + 2, (size_t)length - 2);
	if (foreign)
		return fm_error_set(scan->error, -EINVAL, FM_REASON_USAGE, "unknown option '%.*s': %s", length, shown,
				    foreign);
	if (length > 2)
		instead = nearest(parser->sets, parser->count, shown + 2, (size_t)length - 2);
	if (instead)
		return fm_error_set(scan->error, -EINVAL, FM_REASON_USAGE,
				    "unknown option '%.*s'; the nearest is --%s ('%s --help' lists all)", length, shown,
				    instead, parser->command);
	return fm_error_set(scan->error, -EINVAL, FM_REASON_USAGE, "unknown option '%.*s'; '%s --help' lists all",
			    length, shown, parser->command);
}

static void *field(const struct fm_option *row, void *values)
{
	return (char *)values + row->offset;
}

/* Another name of the target, by which it was on this command line already. NULL where none was. */
static const struct fm_option *other_name(const struct scan *scan, const struct target *target)
{
	const struct fm_option_set *set = scan->parser->sets[0];

	for (size_t i = 0; scan->given && target->given && i < set->count; i++)
		if (scan->given[i] && &set->rows[i] != target->row && set->rows[i].offset == target->row->offset)
			return &set->rows[i];
	return NULL;
}

static int store(const struct scan *scan, const struct target *target, const char *shown, const char *text)
{
	const struct fm_option *row = target->row, *other = other_name(scan, target);
	const struct fm_option_type *type = fm_option_type_of(row);
	void *at = field(row, target->values);
	char before[FM_TEXT_MAX];
	size_t bytes = least(type->bytes, sizeof(before));
	int rc;

	memcpy(before, at, bytes);
	rc = type->parse(row, text, at, scan->error);
	if (rc)
		return fm_error_prefix(scan->error, "%.*s '%.*s': ", SHOWN_MAX, shown, SHOWN_MAX, text);
	if (other && memcmp(before, at, bytes) != 0)
		return fm_error_set(scan->error, -EINVAL, FM_REASON_USAGE,
				    "%.*s '%.*s' and --%s: two names of one option, and they say different things; "
				    "keep one",
				    SHOWN_MAX, shown, SHOWN_MAX, text, other->name);
	if (target->given)
		*target->given = true;
	if (scan->log)
		scan->log->saw(scan->log->context, row, text);
	return 0;
}

/* True for what can't be a forgotten value's successor: words, "-" for the standard streams, and numbers. */
static bool is_value(const char *text)
{
	return text[0] != '-' || !text[1] || isdigit((unsigned char)text[1]);
}

/* The next word as the value of an option that came without one. */
static int store_next(struct scan *scan, const struct target *target, const char *shown)
{
	const struct fm_option *row = target->row;
	const char *argument = row->argument ? row->argument : row->choices;

	if (scan->at + 1 >= scan->argc)
		return fm_error_set(scan->error, -EINVAL, FM_REASON_USAGE, "%s needs a value: %s %s", shown, shown,
				    argument);
	if (!is_value(scan->argv[scan->at + 1]))
		return fm_error_set(scan->error, -EINVAL, FM_REASON_USAGE,
				    "%s needs a value: %s %s (one that starts with '-' is given as --%s=%.*s)", shown,
				    shown, argument, row->name, SHOWN_MAX, scan->argv[scan->at + 1]);
	scan->at++;
	return store(scan, target, shown, scan->argv[scan->at]);
}

/* --name, --name=value, --name value */
static int read_long(struct scan *scan)
{
	const char *word = scan->argv[scan->at];
	const char *equals = strchr(word, '=');
	size_t length = equals ? (size_t)(equals - word) : strlen(word);
	struct target target;
	char shown[SHOWN_MAX];

	if (!find(scan, word + 2, length - 2, 0, &target))
		return unknown(scan, word, (int)least(length, SHOWN_MAX));
	snprintf(shown, sizeof(shown), "--%s", target.row->name);
	if (fm_option_type_of(target.row)->takes_value)
		return equals ? store(scan, &target, shown, equals + 1) : store_next(scan, &target, shown);
	if (equals)
		return fm_error_set(scan->error, -EINVAL, FM_REASON_USAGE, "%s takes no value; leave '%.*s' out", shown,
				    SHOWN_MAX, equals);
	return store(scan, &target, shown, "true");
}

/* -x, -xyz, -x value, -xvalue, -xyvalue */
static int read_letters(struct scan *scan)
{
	for (const char *letter = scan->argv[scan->at] + 1; *letter; letter++) {
		const char shown[] = {'-', *letter, 0};
		struct target target;
		int rc;

		if (!find(scan, NULL, 0, *letter, &target))
			return unknown(scan, shown, 2);
		if (fm_option_type_of(target.row)->takes_value)
			return letter[1] ? store(scan, &target, shown, letter + 1) : store_next(scan, &target, shown);
		rc = store(scan, &target, shown, "true");
		if (rc)
			return rc;
	}
	return 0;
}

static int read_positional(const struct scan *scan, const char **positional, uint32_t *count)
{
	const struct fm_option_parser *parser = scan->parser;
	const char *word = scan->argv[scan->at];

	if (*count < parser->positional_max) {
		positional[(*count)++] = word;
		return 0;
	}
	if (!parser->positional_max)
		return fm_error_set(scan->error, -EINVAL, FM_REASON_USAGE,
				    "'%.*s' is one word too many: %s takes options only ('%s --help' lists them)",
				    SHOWN_MAX, word, parser->command, parser->command);
	return fm_error_set(scan->error, -EINVAL, FM_REASON_USAGE,
			    "'%.*s' is one word too many: %s takes at most %u besides its options ('%s --help')",
			    SHOWN_MAX, word, parser->command, parser->positional_max, parser->command);
}

int fm_options_rules(const struct fm_option_parser *parser, struct fm_error *error)
{
	for (const struct fm_option_rule *rule = parser->rules; rule && rule->message; rule++)
		if (rule->broken(parser->values[0]))
			return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "%s", rule->message);
	return 0;
}

/* The command line becomes part of the results, which are UTF-8: other bytes could not be told as they were typed. */
static int check_word(const char *word, struct fm_error *error)
{
	char shown[SHOWN_MAX];
	size_t valid = 0, length;

	while (word[valid] && (length = fm_utf8_sequence(word + valid)) > 0)
		valid += length;
	if (!word[valid])
		return 0;
	snprintf(shown, sizeof(shown), "%.*s", (int)least(valid, SHOWN_MAX - 1), word);
	return fm_error_set(
		error, -EINVAL, FM_REASON_USAGE,
		"the argument that begins '%s' is not valid UTF-8: its byte %zu is 0x%02x; write it in UTF-8", shown,
		valid + 1, (unsigned char)word[valid]);
}

int fm_options_read(const struct fm_option_parser *parser, int argc, char *const *argv, const char **positional,
		    uint32_t *positional_count, const struct fm_option_log *log, bool *given, struct fm_error *error)
{
	struct scan scan = {parser, argv, argc, 1, given, log, error};
	bool options = true;
	uint32_t words = 0;

	if (given)
		memset(given, 0, parser->sets[0]->count * sizeof(*given));
	for (int i = 1; i < argc; i++) {
		int rc = check_word(argv[i], error);

		if (rc)
			return rc;
	}
	for (; scan.at < argc; scan.at++) {
		const char *word = argv[scan.at];
		int rc = 0;

		if (!options || word[0] != '-' || !word[1])
			rc = read_positional(&scan, positional, &words);
		else if (word[1] != '-')
			rc = read_letters(&scan);
		else if (word[2])
			rc = read_long(&scan);
		else
			options = false;
		if (rc)
			return rc;
	}
	*positional_count = words;
	return 0;
}

int fm_options_parse(const struct fm_option_parser *parser, int argc, char *const *argv, const char **positional,
		     uint32_t *positional_count, bool *given, struct fm_error *error)
{
	int code = fm_options_read(parser, argc, argv, positional, positional_count, NULL, given, error);

	return code ? code : fm_options_rules(parser, error);
}

int fm_options_set(const struct fm_option_set *set, void *values, const char *name, const char *text,
		   struct fm_error *error)
{
	const struct fm_option *row = row_named(set, name, strlen(name));
	const char *owner = set->name, *dot = *set->name ? "." : "", *instead;
	int rc;

	if (row) {
		rc = fm_option_type_of(row)->parse(row, text, field(row, values), error);
		return rc ? fm_error_prefix(error, "%s%s%s '%.*s': ", owner, dot, name, SHOWN_MAX, text) : 0;
	}
	instead = nearest(&set, 1, name, strlen(name));
	if (instead)
		return fm_error_set(error, -ENOENT, FM_REASON_USAGE, "unknown option '%s%s%.*s'; the nearest is %s%s%s",
				    owner, dot, SHOWN_MAX, name, owner, dot, instead);
	return fm_error_set(error, -ENOENT, FM_REASON_USAGE, "unknown option '%s%s%.*s'", owner, dot, SHOWN_MAX, name);
}

int fm_options_defaults(const struct fm_option_set *set, void *values, struct fm_error *error)
{
	memset(values, 0, set->bytes);
	for (size_t i = 0; i < set->count; i++) {
		const struct fm_option *row = &set->rows[i];
		int rc = 0;

		if (*row->value)
			rc = fm_option_type_of(row)->parse(row, row->value, field(row, values), error);

		if (rc) {
			error->reason = FM_REASON_INTERNAL;
			return fm_error_prefix(error, "default of --%s, '%s': ", row->name, row->value);
		}
	}
	return 0;
}

static bool is_name(const char *name)
{
	size_t length = name ? strlen(name) : 0;

	return length > 1 && length <= NAME_MAX_LENGTH && name[0] != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == length;
}

/* What is wrong with a row on its own; NULL where nothing is. */
static const char *row_fault(const struct fm_option_set *set, const struct fm_option *row)
{
	const struct fm_option_type *type = fm_option_type_of(row);

	if (!is_name(row->name))
		return "a name is 2 to 40 of a-z, 0-9, - and _";
	if (row->letter && !isalnum((unsigned char)row->letter))
		return "its letter is neither a letter nor a digit";
	if (!type || !type->parse || !row->value)
		return "type or default is NULL";
	if (!row->hidden && (!row->help || !*row->help || strchr(row->help, '\n') || !row->group || !*row->group))
		return "needs a group and one line of help";
	if (type == &fm_option_choice && (!row->choices || !*row->choices))
		return "a choice needs its choices";
	if (type->takes_value != (row->argument || row->choices))
		return "has an argument if and only if it takes a value";
	if (row->minimum < 0 || row->maximum < 0 || (row->maximum > 0 && row->maximum < row->minimum))
		return "its range is empty";
	if (row->offset > set->bytes || type->bytes > set->bytes - row->offset)
		return "its field lies outside the struct";
	return NULL;
}

/* True where an earlier row, in this set or one before, has the same name or letter. */
static bool is_taken(const struct fm_option_set *const *sets, size_t set, const struct fm_option *row)
{
	for (size_t i = 0; i <= set; i++)
		for (size_t j = 0; j < sets[i]->count; j++) {
			const struct fm_option *earlier = &sets[i]->rows[j];

			if (earlier == row)
				return false;
			if (strcmp(earlier->name, row->name) == 0 || (row->letter && earlier->letter == row->letter))
				return true;
		}
	return false;
}

static int check_set(const struct fm_option_set *const *sets, size_t index, struct fm_error *error)
{
	const struct fm_option_set *set = sets[index];
	void *values;
	int rc;

	for (size_t i = 0; i < set->count; i++) {
		const struct fm_option *row = &set->rows[i];
		const char *fault = row_fault(set, row);

		if (!fault && is_taken(sets, index, row))
			fault = "another row has its name or letter";
		if (fault)
			return fm_error_set(error, -EINVAL, FM_REASON_INTERNAL, "option row %zu (%s) of set '%s': %s",
					    i, row->name ? row->name : "NULL", set->name, fault);
	}
	values = malloc(set->bytes + 1);
	if (!values)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY,
				    "no memory to check %zu bytes of options; free some", set->bytes);
	rc = fm_options_defaults(set, values, error);
	free(values);
	return rc;
}

int fm_options_check(const struct fm_option_set *const *sets, size_t count, struct fm_error *error)
{
	for (size_t i = 0; i < count; i++) {
		int rc = check_set(sets, i, error);

		if (rc)
			return rc;
	}
	return 0;
}
