/*
 * options_types.c - the parsers of single values: flags, counts, seconds, texts and choices.
 *
 * Strict on purpose: a number that could be read in two ways is refused, for a wrong size is measured and believed.
 */
#include "common/options.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#define DIGITS	 "0123456789"
#define SUFFIXES "KMG" /* each 1,024 times the one before */

static int usage(struct fm_error *error, const char *sentence)
{
	return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "%s", sentence);
}

/* The power of two that a suffix stands for, -1 where text is none. */
static int suffix_shift(const char *text)
{
	const char *at;

	if (!*text)
		return 0;
	at = strchr(SUFFIXES, toupper((unsigned char)*text));
	return at && !text[1] ? 10 * (int)(at - SUFFIXES + 1) : -1;
}

int fm_parse_count(const char *text, uint64_t *count, struct fm_error *error)
{
	const char *rest = text + strspn(text, DIGITS);
	int shift = suffix_shift(rest);
	uint64_t value = 0;

	if (rest == text)
		return usage(error, *text ? "not a count: must start with a digit, as in 8 or 64K"
					  : "not a count: empty; give one such as 8 or 64K");
	if (*rest == '.')
		return usage(error, "not a count: must be whole, as in 1536 or 64K");
	if (shift < 0)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "not a count: '%.32s' is no suffix; use K, M or G (1,024-based), as in 64K", rest);
	for (const char *digit = text; digit < rest; digit++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*digit - '0'), &value))
			return usage(error, "too large: does not fit 64 bits; give a smaller count");
	if (value > UINT64_MAX >> shift)
		return usage(error, "too large with its suffix: does not fit 64 bits; give a smaller count");
	*count = value << shift;
	return 0;
}

void fm_format_count(uint64_t count, char *text, size_t bytes)
{
	static const char *const suffixes[] = {"", "K", "M", "G"};
	size_t suffix = 0;

	while (suffix < strlen(SUFFIXES) && count > 0 && count % 1024 == 0) {
		count /= 1024;
		suffix++;
	}
	snprintf(text, bytes, "%" PRIu64 "%s", count, suffixes[suffix]);
}

static const struct {
	const char *name;
	double seconds;
} units[] = {
	{"", 1}, {"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600},
};

int fm_parse_seconds(const char *text, double *seconds, struct fm_error *error)
{
	size_t whole = strspn(text, DIGITS);
	size_t fraction = text[whole] == '.' ? strspn(text + whole + 1, DIGITS) : 0;
	const char *rest = text + whole + (fraction ? fraction + 1 : 0);
	double value;

	if (!whole)
		return usage(error, *text ? "not a time: must start with a digit, as in 3, 0.5, 500ms or 2m"
					  : "not a time: empty; give one such as 3, 0.5, 500ms or 2m");
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(rest, units[i].name) != 0)
			continue;
		/* Digits and a point are all that strtod can meet here: no "nan", no exponent, no hexadecimal. */
		value = strtod(text, NULL) * units[i].seconds;
		if (!isfinite(value))
			return usage(error, "too long: give a shorter time");
		*seconds = value;
		return 0;
	}
	return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
			    "not a time: '%.32s' is no unit; use ms, s, m or h, as in 500ms or 2m", rest);
}

/* "must be 1 to 65536", "must be at least 1": numbers in full, so that the limit can be typed back as it stands. */
static int check_range(const struct fm_option *row, double value, struct fm_error *error)
{
	bool bounded = row->maximum > 0;

	if (value >= row->minimum && (!bounded || value <= row->maximum))
		return 0;
	if (bounded)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "must be %.15g to %.15g", row->minimum,
				    row->maximum);
	return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "must be at least %.15g", row->minimum);
}

static int parse_flag(const struct fm_option *row, const char *text, void *field, struct fm_error *error)
{
	bool value = strcmp(text, "true") == 0;

	(void)row;
	if (!value && strcmp(text, "false") != 0)
		return usage(error, "must be true or false");
	*(bool *)field = value;
	return 0;
}

static int parse_count(const struct fm_option *row, const char *text, void *field, struct fm_error *error)
{
	uint64_t value = 0;
	int rc = fm_parse_count(text, &value, error);

	if (!rc)
		rc = check_range(row, (double)value, error);
	if (!rc)
		*(uint64_t *)field = value;
	return rc;
}

static int parse_seconds(const struct fm_option *row, const char *text, void *field, struct fm_error *error)
{
	double value = 0;
	int rc = fm_parse_seconds(text, &value, error);

	if (!rc)
		rc = check_range(row, value, error);
	if (!rc)
		*(double *)field = value;
	return rc;
}

static int parse_text(const struct fm_option *row, const char *text, void *field, struct fm_error *error)
{
	size_t length = strlen(text);

	(void)row;
	if (length >= FM_TEXT_MAX)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "too long: %zu characters; at most %d fit", length,
				    FM_TEXT_MAX - 1);
	memcpy(field, text, length + 1);
	return 0;
}

/* "a|b|c" as "a, b or c". */
static void spell_choices(const char *choices, char *text, size_t bytes)
{
	size_t used = 0;

	for (const char *at = choices; used < bytes;) {
		size_t length = strcspn(at, "|");
		const char *next = at[length] ? at + length + 1 : NULL;
		const char *glue = !next ? "" : strchr(next, '|') ? ", " : " or ";

		used += (size_t)snprintf(text + used, bytes - used, "%.*s%s", (int)length, at, glue);
		if (!next)
			return;
		at = next;
	}
}

static bool is_choice(const char *choices, const char *text)
{
	for (const char *at = choices;; at++) {
		size_t length = strcspn(at, "|");

		if (length && strlen(text) == length && strncmp(at, text, length) == 0)
			return true;
		at += length;
		if (!*at)
			return false;
	}
}

static int parse_choice(const struct fm_option *row, const char *text, void *field, struct fm_error *error)
{
	char spelled[384];

	if (is_choice(row->choices, text))
		return parse_text(row, text, field, error);
	spell_choices(row->choices, spelled, sizeof(spelled));
	return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "must be %s", spelled);
}

const struct fm_option_type fm_option_flag = {"flag", false, sizeof(bool), parse_flag};
const struct fm_option_type fm_option_count = {"count", true, sizeof(uint64_t), parse_count};
const struct fm_option_type fm_option_seconds = {"seconds", true, sizeof(double), parse_seconds};
const struct fm_option_type fm_option_text = {"text", true, FM_TEXT_MAX, parse_text};
const struct fm_option_type fm_option_choice = {"choice", true, FM_TEXT_MAX, parse_choice};

const struct fm_option_type *fm_option_type_of(const struct fm_option *row)
{
	static const struct fm_option_type *const kinds[FM_OPTION_KINDS] = {
		[FM_OPTION_FLAG] = &fm_option_flag,	  [FM_OPTION_COUNT] = &fm_option_count,
		[FM_OPTION_SECONDS] = &fm_option_seconds, [FM_OPTION_TEXT] = &fm_option_text,
		[FM_OPTION_CHOICE] = &fm_option_choice,
	};

	if (row->type)
		return row->type;
	return (unsigned)row->kind < FM_OPTION_KINDS ? kinds[row->kind] : NULL;
}
