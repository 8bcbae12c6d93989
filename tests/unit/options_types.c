/*
 * options_types.c - counts and times as they are typed: what is read, and which sentence refuses the rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "common/options.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void counts_are_read(void **state)
{
	static const struct {
		const char *text;
		uint64_t count;
	} good[] = {
		{"0", 0},
		{"8", 8},
		{"007", 7},
		{"1000", 1000},
		{"64K", 65536},
		{"64k", 65536},
		{"8M", 8u << 20},
		{"1g", 1u << 30},
		{"18446744073709551615", UINT64_MAX},
		{"17179869183G", UINT64_MAX - (1u << 30) + 1},
	};
	struct fm_error error;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		uint64_t count = 99;

		assert_int_equal(fm_parse_count(good[i].text, &count, &error), 0);
		assert_true(count == good[i].count);
	}
}

static void odd_counts_are_refused(void **state)
{
	static const struct {
		const char *text, *sentence;
	} bad[] = {
		{"", "not a count: empty; give one such as 8 or 64K"},
		{"1E", "not a count: 'E' is no suffix; use K, M or G (1,024-based), as in 64K"},
		{"64KiB", "not a count: 'KiB' is no suffix; use K, M or G (1,024-based), as in 64K"},
		{"0x10", "not a count: 'x10' is no suffix; use K, M or G (1,024-based), as in 64K"},
		{"1e3", "not a count: 'e3' is no suffix; use K, M or G (1,024-based), as in 64K"},
		{"3 ", "not a count: ' ' is no suffix; use K, M or G (1,024-based), as in 64K"},
		{"1,024", "not a count: ',024' is no suffix; use K, M or G (1,024-based), as in 64K"},
		{" 3", "not a count: must start with a digit, as in 8 or 64K"},
		{"-1", "not a count: must start with a digit, as in 8 or 64K"},
		{"+1", "not a count: must start with a digit, as in 8 or 64K"},
		{"K", "not a count: must start with a digit, as in 8 or 64K"},
		{"1.5", "not a count: must be whole, as in 1536 or 64K"},
		{"99999999999999999999", "too large: does not fit 64 bits; give a smaller count"},
		{"18446744073709551616", "too large: does not fit 64 bits; give a smaller count"},
		{"17179869184G", "too large with its suffix: does not fit 64 bits; give a smaller count"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct fm_error error = {0};
		uint64_t count = 99;

		assert_int_equal(fm_parse_count(bad[i].text, &count, &error), -EINVAL);
		assert_string_equal(error.text, bad[i].sentence);
		assert_int_equal(error.reason, FM_REASON_USAGE);
		assert_int_equal(count, 99);
	}
}

static void seconds_are_read(void **state)
{
	static const struct {
		const char *text;
		double seconds;
	} good[] = {{"3", 3}, {"0.5", 0.5}, {"500ms", 0.5}, {"2m", 120}, {"1.5h", 5400}, {"0", 0}, {"10s", 10}};
	static const char *const bad[] = {"",	 "nan", "inf",	 "-1",	 " 3",	"3 ", ".5",  "5.",
					  "1e3", "0x1", "1.2.3", "3sec", "1 s", "ms", "3MS", "infinity"};
	struct fm_error error;
	double seconds = 99;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(fm_parse_seconds(bad[i], &seconds, &error), -EINVAL);
		assert_true(strncmp(error.text, "not a time: ", 12) == 0);
		assert_true(seconds == 99);
	}
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(fm_parse_seconds(good[i].text, &seconds, &error), 0);
		assert_true(seconds == good[i].seconds);
	}
	assert_int_equal(fm_parse_seconds("3 weeks", &seconds, &error), -EINVAL);
	assert_string_equal(error.text, "not a time: ' weeks' is no unit; use ms, s, m or h, as in 500ms or 2m");
}

static void endless_time_is_refused(void **state)
{
	char text[400];
	struct fm_error error;
	double seconds = 99;

	(void)state;
	memset(text, '9', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	assert_int_equal(fm_parse_seconds(text, &seconds, &error), -EINVAL);
	assert_string_equal(error.text, "too long: give a shorter time");
}

static void formatted_counts_read_back(void **state)
{
	static const struct {
		uint64_t count;
		const char *text;
	} pairs[] = {{0, "0"},
		     {8, "8"},
		     {1000, "1000"},
		     {1024, "1K"},
		     {65536, "64K"},
		     {1536, "1536"},
		     {1u << 20, "1M"},
		     {3u << 29, "1536M"},
		     {1ull << 40, "1024G"},
		     {UINT64_MAX, "18446744073709551615"}};

	(void)state;
	for (size_t i = 0; i < COUNT(pairs); i++) {
		char text[32];
		struct fm_error error;
		uint64_t count = 99;

		fm_format_count(pairs[i].count, text, sizeof(text));
		assert_string_equal(text, pairs[i].text);
		assert_int_equal(fm_parse_count(text, &count, &error), 0);
		assert_true(count == pairs[i].count);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_are_read),
		cmocka_unit_test(odd_counts_are_refused),
		cmocka_unit_test(seconds_are_read),
		cmocka_unit_test(endless_time_is_refused),
		cmocka_unit_test(formatted_counts_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
