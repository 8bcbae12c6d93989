/*
 * config.c - parsers of the lists that options take.
 */
#include "bench/config.h"

#include <errno.h>

#define SIZE_LIMIT (1ull << 40)

/* Calls each with every comma-separated piece; stops at the first failure. */
static int list_each(const char *text, int (*each)(const char *piece, void *field, struct fm_error *error), void *field,
		     struct fm_error *error)
{
	char piece[FM_TEXT_MAX];

	for (;;) {
		size_t length = strcspn(text, ",");
		int code;

		if (length == 0)
			return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "an empty place in the list; write A,B,C");
		if (length >= sizeof(piece))
			return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "an entry is longer than %zu characters",
					    sizeof(piece) - 1);
		memcpy(piece, text, length);
		piece[length] = '\0';
		code = each(piece, field, error);
		if (code)
			return code;
		if (!text[length])
			return 0;
		text += length + 1;
	}
}

static int sizes_add(struct fm_size_list *list, uint64_t bytes, struct fm_error *error)
{
	if (bytes < 1 || bytes > SIZE_LIMIT)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "a message has 1 byte to 1024G");
	for (uint32_t i = 0; i < list->count; i++)
		if (list->bytes[i] == bytes)
			return 0;
	if (list->count == FM_SIZES_MAX)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "more than %d sizes", FM_SIZES_MAX);
	list->bytes[list->count++] = bytes;
	return 0;
}

/* BEGIN:END, BEGIN:END:xFACTOR or BEGIN:END:+STEP; the end is always among them. */
static int sizes_range(struct fm_size_list *list, char *text, struct fm_error *error)
{
	char *end_text = strchr(text, ':'), *step_text;
	uint64_t begin, end, step = 2, size;
	bool add = false;
	int code;

	*end_text++ = '\0';
	step_text = strchr(end_text, ':');
	if (step_text) {
		*step_text++ = '\0';
		if (*step_text != 'x' && *step_text != '+')
			return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
					    "a range is BEGIN:END, BEGIN:END:x2 or BEGIN:END:+64K");
		add = *step_text == '+';
		code = fm_parse_count(step_text + 1, &step, error);
		if (code)
			return code;
	}
	code = fm_parse_count(text, &begin, error);
	if (code == 0)
		code = fm_parse_count(end_text, &end, error);
	if (code)
		return code;
	if (begin < 1 || begin > end || end > SIZE_LIMIT || (add ? step < 1 : step < 2) || step > SIZE_LIMIT)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "a range goes up from at least 1, by a factor of 2 or more or a step of 1 or more");
	for (size = begin; size < end; size = add ? size + step : size * step) {
		code = sizes_add(list, size, error);
		if (code)
			return code;
	}
	return sizes_add(list, end, error);
}

static int sizes_piece(const char *piece, void *field, struct fm_error *error)
{
	char text[FM_TEXT_MAX];
	uint64_t bytes;
	int code;

	snprintf(text, sizeof(text), "%s", piece);
	if (strchr(text, ':'))
		return sizes_range(field, text, error);
	code = fm_parse_count(text, &bytes, error);
	return code ? code : sizes_add(field, bytes, error);
}

static int sizes_parse(const struct fm_option *row, const char *text, void *field, struct fm_error *error)
{
	struct fm_size_list list = {0};
	int code = list_each(text, sizes_piece, &list, error);

	(void)row;
	if (code == 0)
		*(struct fm_size_list *)field = list;
	return code;
}

/* A test's name, its operation, lat, bw, or all. */
static int tests_piece(const char *piece, void *field, struct fm_error *error)
{
	struct fm_test_list *list = field;
	bool found = false;

	for (int i = 0; i < FM_TEST_COUNT; i++) {
		const struct fm_test *test = &fm_tests[i];
		bool named = strcmp(piece, test->name) == 0;

		if (!named && strcmp(piece, test->operation) != 0 && strcmp(piece, "all") != 0 &&
		    strcmp(piece, test->metric == FM_LATENCY ? "lat" : "bw") != 0)
			continue;
		found = true;
		list->count += !list->chosen[i];
		list->chosen[i] = true;
		list->named[i] |= named;
	}
	if (!found)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "no test '%s': write names such as send_lat,write_bw, families (send, write, read, "
				    "tag, ...; lat, bw) or all",
				    piece);
	return 0;
}

static int tests_parse(const struct fm_option *row, const char *text, void *field, struct fm_error *error)
{
	struct fm_test_list list = {0};
	int code = list_each(text, tests_piece, &list, error);

	(void)row;
	if (code == 0)
		*(struct fm_test_list *)field = list;
	return code;
}

/* Without '=' both ends get the same text. */
static int ends_parse(const struct fm_option *row, const char *text, void *field, struct fm_error *error)
{
	struct fm_ends ends = {"", ""};
	size_t length = strcspn(text, "=");

	(void)row;
	if (length >= sizeof(ends.local) || strlen(text) >= sizeof(ends.remote))
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "longer than %d characters", FM_TEXT_MAX - 1);
	memcpy(ends.local, text, length);
	snprintf(ends.remote, sizeof(ends.remote), "%s", text[length] ? text + length + 1 : ends.local);
	*(struct fm_ends *)field = ends;
	return 0;
}

/* Repeated, it adds to the list, unlike other options. */
static int settings_parse(const struct fm_option *row, const char *text, void *field, struct fm_error *error)
{
	struct fm_settings *settings = field;
	size_t name = strcspn(text, ".="), key = text[name] == '.' ? strcspn(text + name + 1, "=") : 0;

	(void)row;
	if (!name || !key || text[name + 1 + key] != '=')
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "write TRANSPORT.OPTION=VALUE, as in tcp.mss=1400");
	if (strlen(text) >= sizeof(settings->text[0]))
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "longer than %d characters", FM_TEXT_MAX - 1);
	if (settings->count == FM_SETTINGS_MAX)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "more than %d of them", FM_SETTINGS_MAX);
	snprintf(settings->text[settings->count++], sizeof(settings->text[0]), "%s", text);
	return 0;
}

const struct fm_option_type fm_option_sizes = {"sizes", true, sizeof(struct fm_size_list), sizes_parse};
const struct fm_option_type fm_option_tests = {"tests", true, sizeof(struct fm_test_list), tests_parse};
const struct fm_option_type fm_option_ends = {"ends", true, sizeof(struct fm_ends), ends_parse};
const struct fm_option_type fm_option_settings = {"settings", true, sizeof(struct fm_settings), settings_parse};
