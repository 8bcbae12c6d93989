/*
 * stats.c - ranks, quantiles, warm-up and stop rule against figures that are computed here in another way.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "results/stats.h"
#include "tests/unit/random.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Whole numbers of 640 bits: the binomial in exact arithmetic, without the doubles of the code under test. */
struct big {
	uint32_t limb[20];
};

static void big_add(struct big *sum, const struct big *other)
{
	uint64_t carry = 0;

	for (size_t i = 0; i < LENGTH(sum->limb); i++) {
		carry += (uint64_t)sum->limb[i] + other->limb[i];
		sum->limb[i] = (uint32_t)carry;
		carry >>= 32;
	}
	assert_int_equal(carry, 0);
}

static struct big big_times(const struct big *number, uint32_t factor)
{
	struct big product;
	uint64_t carry = 0;

	for (size_t i = 0; i < LENGTH(number->limb); i++) {
		carry += (uint64_t)number->limb[i] * factor;
		product.limb[i] = (uint32_t)carry;
		carry >>= 32;
	}
	assert_int_equal(carry, 0);
	return product;
}

static int big_compare(const struct big *a, const struct big *b)
{
	for (size_t i = LENGTH(a->limb); i-- > 0;)
		if (a->limb[i] != b->limb[i])
			return a->limb[i] > b->limb[i] ? 1 : -1;
	return 0;
}

/* C(n, 0..n), row by row of Pascal's triangle. */
static void binomial_row(struct big *row, size_t n)
{
	memset(row, 0, (n + 1) * sizeof(*row));
	row[0].limb[0] = 1;
	for (size_t i = 1; i <= n; i++)
		for (size_t k = i; k > 0; k--)
			big_add(&row[k], &row[k - 1]);
}

/* The largest low with sum_{i=low}^{n-low} C(n,i) / 2^n >= 95 / 100; 0 where there is none. */
static size_t exact_low(size_t n)
{
	static struct big row[600];
	struct big whole = {{0}};
	size_t best = 0;

	assert_true(n < LENGTH(row));
	binomial_row(row, n);
	for (size_t i = 0; i <= n; i++)
		big_add(&whole, &row[i]);
	whole = big_times(&whole, 95);
	for (size_t low = 1; 2 * low <= n; low++) {
		struct big inside = {{0}};

		for (size_t i = low; i <= n - low; i++)
			big_add(&inside, &row[i]);
		inside = big_times(&inside, 100);
		if (big_compare(&inside, &whole) >= 0)
			best = low;
	}
	return best;
}

static void test_ranks_known(void **state)
{
	/* Le Boudec, table A.1, and the figures of docs/method.md. */
	static const struct {
		size_t n, low, high;
	} known[] = {{6, 1, 6}, {8, 1, 8}, {10, 2, 9}, {15, 4, 12}, {20, 6, 15}, {30, 10, 21}};
	size_t low = 77, high = 77;

	(void)state;
	for (size_t n = 0; n <= 5; n++)
		assert_false(fm_stats_median_ranks(n, &low, &high));
	assert_int_equal(low, 77);
	assert_int_equal(high, 77);
	for (size_t i = 0; i < LENGTH(known); i++) {
		assert_true(fm_stats_median_ranks(known[i].n, &low, &high));
		assert_int_equal(low, known[i].low);
		assert_int_equal(high, known[i].high);
	}
}

static void test_ranks_exact(void **state)
{
	(void)state;
	for (size_t n = 6; n <= 600; n += n < 130 ? 1 : 47) {
		size_t low, high;

		if (n >= 600)
			break;
		assert_true(fm_stats_median_ranks(n, &low, &high));
		assert_int_equal(low, exact_low(n));
		assert_int_equal(high, n + 1 - low);
	}
}

/* No jump where the approximation takes over (1000), nor where tables usually do (70): never back, never by two. */
static void test_ranks_continuous(void **state)
{
	size_t before_low = 1, before_high = 6;

	(void)state;
	for (size_t n = 7; n <= 3000; n++) {
		double half = 1.96 * sqrt((double)n) / 2;
		size_t low, high;

		assert_true(fm_stats_median_ranks(n, &low, &high));
		assert_true(low == before_low || low == before_low + 1);
		assert_true(high == before_high || high == before_high + 1);
		if (n >= 70) {
			assert_true(fabs((double)low - ((double)n / 2 - half)) <= 1);
			assert_true(fabs((double)high - ((double)n / 2 + 1 + half)) <= 1);
		}
		if (n > 1000) {
			assert_int_equal(low, (size_t)floor((double)n / 2 - half));
			assert_int_equal(high, (size_t)ceil(1 + (double)n / 2 + half));
		}
		before_low = low;
		before_high = high;
	}
}

static void test_median(void **state)
{
	double values[] = {5, 1, 4, 2, 3, 6}, large[] = {1e308, 1.2e308};
	struct fm_interval interval;

	(void)state;
	fm_stats_sort(values, 0);
	fm_stats_sort(values, 6);
	for (int i = 0; i < 6; i++)
		assert_true(values[i] == i + 1);
	assert_true(isnan(fm_stats_median(values, 0)));
	assert_true(fm_stats_median(values, 1) == 1);
	assert_true(fm_stats_median(values, 5) == 3);
	assert_true(fm_stats_median(values, 6) == 3.5);
	assert_true(fabs(fm_stats_median(large, 2) / 1.1e308 - 1) < 1e-15);

	interval = fm_stats_median_interval(values, 6);
	assert_true(interval.low == 1 && interval.high == 6);
	interval = fm_stats_median_interval(values, 5);
	assert_true(isnan(interval.low) && isnan(interval.high));
}

/* Nearest rank by its definition in whole numbers: the smallest rank with rank / n >= share / parts. */
static void test_rank(void **state)
{
	static const struct {
		uint64_t share, parts;
	} quantiles[] = {{0, 1},    {1, 100},  {7, 100},    {25, 100},	   {1, 3},    {50, 100},       {55, 100},
			 {90, 100}, {99, 100}, {999, 1000}, {9999, 10000}, {29, 100}, {99999, 100000}, {1, 1}};

	(void)state;
	assert_int_equal(fm_stats_rank(0.5, 0), 0);
	for (size_t i = 0; i < LENGTH(quantiles); i++) {
		double q = (double)quantiles[i].share / (double)quantiles[i].parts;

		for (uint64_t n = 1; n <= 200000; n += n < 3000 ? 1 : 1000) {
			uint64_t rank = (quantiles[i].share * n + quantiles[i].parts - 1) / quantiles[i].parts;

			assert_int_equal(fm_stats_rank(q, n), rank ? rank : 1);
		}
	}
	assert_int_equal(fm_stats_rank(0.999, 1000000000000), 999000000000);
	assert_int_equal(fm_stats_rank(0.9999, 10000000), 9999000);
}

static void test_supported(void **state)
{
	static const struct {
		double q;
		uint64_t needed;
	} known[] = {{0.5, 6}, {0.9, 36}, {0.99, 368}, {0.999, 3688}, {0.9999, 36887}, {0.99999, 368887}, {0.01, 368}};

	(void)state;
	for (size_t i = 0; i < LENGTH(known); i++) {
		long double all = 1, side = known[i].q < 0.5 ? 1 - (long double)known[i].q : (long double)known[i].q;
		uint64_t n = 0;

		/* By multiplication: the first n at which all samples on one side are no more likely than 2.5%. */
		while (all > 0.025L) {
			all *= side;
			n++;
		}
		assert_int_equal(n, known[i].needed);
		assert_false(fm_stats_quantile_supported(known[i].q, n - 1));
		assert_true(fm_stats_quantile_supported(known[i].q, n));
		assert_true(fm_stats_quantile_supported(known[i].q, 100 * n));
	}
	assert_false(fm_stats_quantile_supported(0.99, 0));
	assert_false(fm_stats_quantile_supported(1, UINT64_MAX));
	assert_false(fm_stats_quantile_supported(0, UINT64_MAX));
}

/* The criterion as the formula has it: two passes for each d. */
static long warmup_slow(const double *values, size_t n)
{
	size_t batches = n / 5, best = 0;
	long double least = INFINITY;

	for (size_t d = 0; d + 5 <= batches; d++) {
		long double mean = 0, squares = 0, left = (long double)(batches - d);

		for (size_t i = 5 * d; i < 5 * batches; i++)
			mean += values[i] / (5 * left);
		for (size_t i = d; i < batches; i++) {
			long double batch = 0;

			for (size_t j = 0; j < 5; j++)
				batch += values[5 * i + j] / 5.0L;
			squares += (batch - mean) * (batch - mean);
		}
		if (squares / (left * left) < least) {
			least = squares / (left * left);
			best = d;
		}
	}
	return 2 * best > batches ? -1 : 5 * (long)best;
}

#define SERIES 1000

/* Level 100 with noise of 1, and what is added: a transient that decays with 1/rate, a slope, a step at a place. */
static void series_make(double *values, uint64_t seed, double transient, double rate, double slope, size_t step_at)
{
	struct random_source source = {seed};

	for (size_t i = 0; i < SERIES; i++)
		values[i] = 100 + random_normal(&source) + transient * exp(-rate * (double)i) + slope * (double)i +
			    (i >= step_at ? 20 : 0);
}

static void test_warmup_shapes(void **state)
{
	double values[SERIES];

	(void)state;
	for (size_t i = 0; i < SERIES; i++)
		values[i] = 0.1;
	for (size_t n = 0; n < 55; n++)
		assert_int_equal(fm_stats_warmup(values, n), -1);
	for (size_t n = 55; n <= SERIES; n++)
		assert_int_equal(fm_stats_warmup(values, n), 0);

	for (uint64_t seed = 1; seed <= 20; seed++) {
		long cut;

		/* 50 exp(-i/40) falls below the noise of a batch, 0.45, at i = 188. */
		series_make(values, seed, 50, 1.0 / 40, 0, SERIES);
		cut = fm_stats_warmup(values, SERIES);
		assert_in_range(cut, 120, 260);

		series_make(values, seed, 0, 0, 0.1, SERIES);
		assert_int_equal(fm_stats_warmup(values, SERIES), -1);
		series_make(values, seed, 0, 0, -0.1, SERIES);
		assert_int_equal(fm_stats_warmup(values, SERIES), -1);

		series_make(values, seed, 0, 0, 0, 800);
		assert_int_equal(fm_stats_warmup(values, SERIES), -1);
		/* An early step is a warm-up. None of it may be left; a few batches more than that may go with it. */
		series_make(values, seed, 0, 0, 0, 200);
		for (size_t i = 0; i < 200; i++)
			values[i] += 40;
		assert_in_range(fm_stats_warmup(values, SERIES), 200, 300);
	}
}

/* Of series that are steady from the start, how many are called so; and the known weakness that stats.h tells of. */
static void test_warmup_steady(void **state)
{
	enum { RUNS = 400 };
	double values[SERIES];
	int unsteady = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= RUNS; seed++) {
		series_make(values, seed, 0, 0, 0, SERIES);
		unsteady += fm_stats_warmup(values, SERIES) < 0;
	}
	print_message("steady noise of 200 batches called unsteady: %d of %d\n", unsteady, RUNS);
	assert_true(unsteady <= RUNS / 50);

	series_make(values, 1, 0, 0, 0, SERIES);
	for (size_t i = 7; i < SERIES - 100; i += 100)
		values[i] += 10000;
	assert_int_equal(fm_stats_warmup(values, SERIES), -1);
}

/* One pass from the end equals two passes per d, on a large offset too. */
static void test_warmup_formula(void **state)
{
	double values[SERIES];

	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct random_source source = {seed};
		size_t n = 55 + random_u64(&source) % 200;

		series_make(values, seed, seed % 3 ? 5 : 0, 1.0 / 20, seed % 5 ? 0 : 0.05, SERIES);
		assert_int_equal(fm_stats_warmup(values, n), warmup_slow(values, n));
		for (size_t i = 0; i < n; i++)
			values[i] += 1e9;
		assert_int_equal(fm_stats_warmup(values, n), warmup_slow(values, n));
	}
}

static void test_confident(void **state)
{
	double values[200], kept[200];

	(void)state;
	for (size_t i = 0; i < LENGTH(values); i++)
		values[i] = 100;
	for (size_t n = 0; n < LENGTH(values); n++)
		assert_int_equal(fm_stats_confident(values, n, 0.01),
				 n == 8 || n == 16 || n == 32 || n == 64 || n == 128);

	/* Two on each side stand apart: outside of ranks 3 and 14, the 99% interval of sixteen, they decide nothing. */
	values[3] = values[4] = 50;
	values[9] = values[10] = 150;
	memcpy(kept, values, sizeof(kept));
	assert_true(fm_stats_confident(values, 16, 0.01));
	assert_false(fm_stats_confident(values, 8, 0.01));
	/* One more does, though ranks 4 and 13, the 95% interval, would not show it. */
	values[5] = 150;
	assert_false(fm_stats_confident(values, 16, 0.01));
	values[5] = 101.5;
	assert_true(fm_stats_confident(values, 16, 0.01));
	assert_false(fm_stats_confident(values, 16, 0.007));
	values[5] = kept[5];
	assert_memory_equal(values, kept, sizeof(kept));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranks_known),
		cmocka_unit_test(test_ranks_exact),
		cmocka_unit_test(test_ranks_continuous),
		cmocka_unit_test(test_median),
		cmocka_unit_test(test_rank),
		cmocka_unit_test(test_supported),
		cmocka_unit_test(test_warmup_shapes),
		cmocka_unit_test(test_warmup_steady),
		cmocka_unit_test(test_warmup_formula),
		cmocka_unit_test(test_confident),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
