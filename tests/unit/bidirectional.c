/*
 * bidirectional.c - two clocks that differ, read over a slow connection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bench/bidirectional.h"

#define SECOND 1000000000ll

static void the_fastest_turn_counts(void **state)
{
	static const struct {
		uint64_t there_ns, back_ns; /* how long each way took */
	} turns[] = {{900, 100}, {40, 60}, {5000, 10}, {50, 50}, {10, 90}};
	const int64_t offsets[] = {0, 5 * SECOND, -3 * SECOND, 123456789};

	(void)state;
	for (size_t o = 0; o < sizeof(offsets) / sizeof(offsets[0]); o++) {
		struct fm_both both = {.offset_error_ns = UINT64_MAX};
		uint64_t now_ns = 10 * SECOND;

		for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {
			uint64_t arrives_ns = now_ns + turns[i].there_ns;

			fm_both_turn(&both, now_ns, (int64_t)arrives_ns + offsets[o], arrives_ns + turns[i].back_ns);
			/* The bound is true after each turn, however lopsided it was. */
			assert_true(llabs(both.offset_ns - offsets[o]) <= (int64_t)both.offset_error_ns);
			now_ns += 10000;
		}
		assert_int_equal(both.offset_error_ns, 50);
	}
}

static void times_go_there_and_back(void **state)
{
	const struct fm_both both = {.offset_ns = -7 * SECOND};

	(void)state;
	assert_int_equal(fm_both_theirs(&both, 10 * SECOND), 3 * SECOND);
	assert_int_equal(fm_both_ours(&both, 3 * SECOND), 10 * SECOND);
	/* A peer whose clock is nonsense cannot make a time before all time. */
	assert_int_equal(fm_both_ours(&(struct fm_both){.offset_ns = 5}, 2), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_fastest_turn_counts),
		cmocka_unit_test(times_go_there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
