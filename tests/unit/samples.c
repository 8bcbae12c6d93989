/*
 * samples.c - percentiles against counting, moments against two passes, the histogram against the full sample.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "results/samples.h"
#include "tests/unit/random.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* The linker sends the allocations of the code under test here (-Wl,--wrap), so that they fail on cue. */
void *__real_realloc(void *memory, size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);

static int allocations_fail;

void *__wrap_realloc(void *memory, size_t bytes)
{
	return allocations_fail ? NULL : __real_realloc(memory, bytes);
}

void *__wrap_calloc(size_t n, size_t bytes)
{
	return allocations_fail ? NULL : __real_calloc(n, bytes);
}

static const struct {
	double q;
	uint64_t share, parts, needed;
} quantiles[] = {
	{0.5, 1, 2, 1}, {0.9, 9, 10, 36}, {0.99, 99, 100, 368}, {0.999, 999, 1000, 3688}, {0.9999, 9999, 10000, 36887},
};

/*
 * Nearest rank by counting, without sorting: the least value that has at least share / parts of the sample at or below
 * it. Quadratic, so the tests that use it keep their samples small; counted over distinct values where they are few.
 */
static uint64_t quantile_counted(const uint64_t *values, size_t n, uint64_t share, uint64_t parts)
{
	uint64_t best = UINT64_MAX;

	for (size_t i = 0; i < n; i++) {
		uint64_t below = 0;

		if (values[i] >= best)
			continue;
		for (size_t j = 0; j < n; j++)
			below += values[j] <= values[i];
		if (below * parts >= share * n)
			best = values[i];
	}
	return best;
}

enum shape { CONSTANT, UNIFORM, NARROW, LOGNORMAL, BIMODAL, PARETO, SHAPES };

static uint64_t shape_draw(enum shape shape, struct random_source *source)
{
	switch (shape) {
	case CONSTANT:
		return 123457;
	case UNIFORM:
		return random_u64(source) % 5000000;
	case NARROW:
		return 1000 + random_u64(source) % 50;
	case LOGNORMAL:
		return (uint64_t)(20000 * exp(random_normal(source)));
	case BIMODAL:
		return (uint64_t)(random_uniform(source) < 0.97 ? 3000 + 100 * fabs(random_normal(source))
								: 9e6 + 1e6 * fabs(random_normal(source)));
	default:
		return (uint64_t)(1500 / random_uniform(source));
	}
}

static void add_all(struct fm_samples *samples, const uint64_t *values, size_t n, size_t chunk)
{
	struct fm_error error;

	for (size_t i = 0; i < n; i += chunk)
		assert_int_equal(fm_samples_add(samples, values + i, n - i < chunk ? n - i : chunk, &error), 0);
}

static void test_empty(void **state)
{
	struct fm_samples samples, zeroed = {0};
	struct fm_error error;
	double value = 77;

	(void)state;
	fm_samples_init(&samples, 100);
	assert_int_equal(fm_samples_add(&samples, NULL, 0, &error), 0);
	assert_int_equal(samples.count, 0);
	assert_false(fm_samples_quantile(&samples, 0.5, &value));
	assert_false(fm_samples_stdev(&samples, &value));
	assert_int_equal(fm_samples_add(&samples, (uint64_t[]){5}, 1, &error), 0);
	assert_false(fm_samples_stdev(&samples, &value));
	assert_true(value == 77);
	assert_true(fm_samples_quantile(&samples, 0.5, &value));
	assert_true(value == 5);
	fm_samples_free(&samples);
	fm_samples_free(&samples);
	fm_samples_free(&zeroed);
	fm_samples_free(NULL);
}

static void test_quantiles_counted(void **state)
{
	static const size_t sizes[] = {1, 2, 3, 35, 36, 367, 368, 999, 1000, 1001, 3687, 3688, 4000};
	uint64_t values[4000];

	(void)state;
	for (enum shape shape = 0; shape < SHAPES; shape++) {
		for (size_t s = 0; s < LENGTH(sizes); s++) {
			struct random_source source = {1000 * (uint64_t)shape + s};
			struct fm_samples samples;

			for (size_t i = 0; i < sizes[s]; i++)
				values[i] = shape_draw(shape, &source);
			fm_samples_init(&samples, 4000);
			add_all(&samples, values, sizes[s], 7);
			for (size_t q = 0; q < LENGTH(quantiles); q++) {
				double value = -1;
				bool given = fm_samples_quantile(&samples, quantiles[q].q, &value);

				assert_int_equal(given, sizes[s] >= quantiles[q].needed);
				if (given)
					assert_true(value == (double)quantile_counted(values, sizes[s],
										      quantiles[q].share,
										      quantiles[q].parts));
				else
					assert_true(value == -1);
			}
			fm_samples_free(&samples);
		}
	}
}

/* A permutation of 1..n has rank r at value r, so that the larger sizes need no counting. */
static void test_quantiles_large(void **state)
{
	enum { N = 40000 };
	uint64_t *values = malloc(N * sizeof(*values));
	struct random_source source = {9};
	struct fm_samples samples;
	double value = -1;

	(void)state;
	assert_non_null(values);
	for (size_t i = 0; i < N; i++)
		values[i] = i + 1;
	for (size_t i = N - 1; i > 0; i--) {
		size_t j = random_u64(&source) % (i + 1);
		uint64_t kept = values[i];

		values[i] = values[j];
		values[j] = kept;
	}
	fm_samples_init(&samples, N);
	add_all(&samples, values, 36886, 1000);
	assert_false(fm_samples_quantile(&samples, 0.9999, &value));
	assert_true(value == -1);
	add_all(&samples, values + 36886, 1, 1);
	assert_true(fm_samples_quantile(&samples, 0.9999, &value));
	add_all(&samples, values + 36887, N - 36887, 1000);
	assert_int_equal(samples.minimum_ns, 1);
	assert_int_equal(samples.maximum_ns, N);
	for (size_t q = 0; q < LENGTH(quantiles); q++) {
		assert_true(fm_samples_quantile(&samples, quantiles[q].q, &value));
		assert_true(value == (double)(N * quantiles[q].share / quantiles[q].parts));
	}
	fm_samples_free(&samples);
	free(values);
}

/* After the first quantile the others are free: a thousand cost less than ten sorts. */
static void test_quantiles_repeated(void **state)
{
	enum { N = 1000000 };
	uint64_t *values = malloc(N * sizeof(*values));
	struct random_source source = {10};
	struct fm_samples samples;
	clock_t first, rest;
	double value;

	(void)state;
	assert_non_null(values);
	for (size_t i = 0; i < N; i++)
		values[i] = shape_draw(LOGNORMAL, &source);
	fm_samples_init(&samples, N);
	add_all(&samples, values, N, N);
	first = clock();
	assert_true(fm_samples_quantile(&samples, 0.999, &value));
	first = clock() - first;
	rest = clock();
	for (int i = 1; i < 1000; i++)
		assert_true(fm_samples_quantile(&samples, i * 0.001, &value));
	rest = clock() - rest;
	assert_true(rest < 10 * first);
	fm_samples_free(&samples);
	free(values);
}

static void moments_check(const uint64_t *values, size_t n, size_t bound)
{
	long double mean = 0, squares = 0, stdev;
	struct fm_samples samples;
	double value;

	for (size_t i = 0; i < n; i++)
		mean += (long double)values[i] / (long double)n;
	for (size_t i = 0; i < n; i++)
		squares += ((long double)values[i] - mean) * ((long double)values[i] - mean);
	stdev = sqrtl(squares / (long double)(n - 1));

	fm_samples_init(&samples, bound);
	add_all(&samples, values, n, 501);
	assert_true(fabsl(samples.mean_ns - mean) <= 1e-12L * mean);
	assert_true(fm_samples_stdev(&samples, &value));
	/* The mean is a double: around an hour it is known to 0.5 ns, which shows where the spread is below 100 ns. */
	assert_true(fabsl(value - stdev) <= (mean < 1e12L ? 1e-9L : 1e-5L) * stdev);
	fm_samples_free(&samples);
}

static void test_moments(void **state)
{
	/* Below 1 us; around it; on an hour of offset, where a sum of squares would have no digits left. */
	static const uint64_t offsets[] = {0, 400, 1000, 1000000000, 3600000000000};
	uint64_t values[5000];

	(void)state;
	for (size_t o = 0; o < LENGTH(offsets); o++) {
		struct random_source source = {o};

		for (size_t i = 0; i < LENGTH(values); i++)
			values[i] = offsets[o] + random_u64(&source) % 300;
		moments_check(values, LENGTH(values), LENGTH(values));
		moments_check(values, LENGTH(values), 1777);
		moments_check(values, 2, 2);
	}
	for (size_t i = 0; i < LENGTH(values); i++)
		values[i] = 870 + i % 2;
	moments_check(values, LENGTH(values), LENGTH(values));
}

static void test_histogram(void **state)
{
	enum { N = 200000 };
	uint64_t *values = malloc(N * sizeof(*values));

	(void)state;
	assert_non_null(values);
	for (enum shape shape = 0; shape < SHAPES; shape++) {
		struct random_source source = {shape};
		struct fm_samples exact, coarse;
		double worst = 0, stdev[2];

		for (size_t i = 0; i < N; i++)
			values[i] = shape_draw(shape, &source);
		fm_samples_init(&exact, N);
		fm_samples_init(&coarse, 1000);
		add_all(&exact, values, N, N);
		/* The bound falls in the middle of a chunk. */
		add_all(&coarse, values, N, 300);
		assert_null(exact.buckets);
		assert_non_null(coarse.buckets);
		assert_null(coarse.values_ns);
		assert_int_equal(coarse.count, N);
		assert_int_equal(coarse.minimum_ns, exact.minimum_ns);
		assert_int_equal(coarse.maximum_ns, exact.maximum_ns);
		assert_true(coarse.mean_ns == exact.mean_ns);
		assert_true(fm_samples_stdev(&exact, &stdev[0]) && fm_samples_stdev(&coarse, &stdev[1]));
		assert_true(stdev[0] == stdev[1]);
		for (int i = 0; i <= 10000; i++) {
			double q = i / 10000.0, want = -1, have = -1;
			bool given = fm_samples_quantile(&exact, q, &want);

			assert_int_equal(fm_samples_quantile(&coarse, q, &have), given);
			assert_true(have >= (double)coarse.minimum_ns || !given);
			assert_true(have <= (double)coarse.maximum_ns || !given);
			if (given && want > 0)
				worst = fmax(worst, fabs(have / want - 1));
		}
		assert_true(worst <= FM_HISTOGRAM_ERROR);
		fm_samples_free(&exact);
		fm_samples_free(&coarse);
	}
	free(values);
}

/* One value at a time around every power of two: the bound holds in each octave, and below 2,048 ns nothing is lost. */
static void test_histogram_octaves(void **state)
{
	(void)state;
	for (int bit = 0; bit < 64; bit++) {
		for (int step = -2; step <= 2; step++) {
			uint64_t value = ((uint64_t)1 << bit) + (uint64_t)(int64_t)step;
			uint64_t around[3] = {0, value, UINT64_MAX};
			struct fm_samples samples;
			double middle;

			fm_samples_init(&samples, 0);
			add_all(&samples, around, 3, 3);
			assert_non_null(samples.buckets);
			assert_true(fm_samples_quantile(&samples, 0.5, &middle));
			if (value < 2048)
				assert_true(middle == (double)value);
			else
				assert_true(fabs(middle / (double)value - 1) <= FM_HISTOGRAM_ERROR);
			assert_int_equal(samples.minimum_ns, 0);
			assert_int_equal(samples.maximum_ns, UINT64_MAX);
			fm_samples_free(&samples);
		}
	}
}

static void test_extremes(void **state)
{
	static const uint64_t extremes[] = {0, 1, UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < LENGTH(extremes); i++) {
		for (size_t bound = 0; bound <= 100; bound += 50) {
			struct fm_samples samples;
			double value;

			fm_samples_init(&samples, bound);
			for (int j = 0; j < 60; j++)
				add_all(&samples, &extremes[i], 1, 1);
			assert_int_equal(samples.buckets != NULL, bound < 60);
			assert_int_equal(samples.minimum_ns, extremes[i]);
			assert_int_equal(samples.maximum_ns, extremes[i]);
			assert_true(fm_samples_quantile(&samples, 0.5, &value));
			assert_true(value == (double)extremes[i]);
			assert_true(fm_samples_quantile(&samples, 0.9, &value));
			assert_true(value == (double)extremes[i]);
			assert_true(fm_samples_stdev(&samples, &value));
			assert_true(value == 0);
			fm_samples_free(&samples);
		}
	}
}

/* Out of memory where the sample grows, and where it turns into a histogram: nothing changes, and it goes on after. */
static void test_out_of_memory(void **state)
{
	uint64_t values[3000];
	struct fm_samples samples, before;
	struct fm_error error = {0};
	double value;

	(void)state;
	for (size_t i = 0; i < LENGTH(values); i++)
		values[i] = i + 1;
	fm_samples_init(&samples, 2000);

	allocations_fail = 1;
	assert_int_equal(fm_samples_add(&samples, values, 5, &error), -ENOMEM);
	allocations_fail = 0;
	assert_int_equal(samples.count, 0);
	add_all(&samples, values, 1000, 1000);

	for (int round = 0; round < 2; round++) {
		size_t n = round ? 1500 : 1000;

		before = samples;
		memset(&error, 0, sizeof(error));
		allocations_fail = 1;
		assert_int_equal(fm_samples_add(&samples, values + 1000, n, &error), -ENOMEM);
		allocations_fail = 0;
		assert_memory_equal(&samples, &before, sizeof(samples));
		assert_memory_equal(samples.values_ns, values, 1000 * sizeof(values[0]));
		assert_int_equal(error.code, -ENOMEM);
		assert_int_equal(error.reason, FM_REASON_OUT_OF_MEMORY);
		assert_non_null(strstr(error.text, "could not be allocated"));
	}
	add_all(&samples, values + 1000, 2000, 2000);
	assert_int_equal(samples.count, 3000);
	assert_non_null(samples.buckets);
	assert_true(fm_samples_quantile(&samples, 0.5, &value));
	assert_true(value == 1500);
	fm_samples_free(&samples);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_quantiles_counted),
		cmocka_unit_test(test_quantiles_large),
		cmocka_unit_test(test_quantiles_repeated),
		cmocka_unit_test(test_moments),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_histogram_octaves),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
