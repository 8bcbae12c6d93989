/*
 * coverage.c - how often the 95% interval of the median holds the true median, at fixed n and with the stop rule on.
 *
 *   unit_coverage [TRIALS]    fewer than 2,000 prove nothing
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "results/stats.h"
#include "tests/unit/random.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SLOW 1
#endif
#endif

#ifdef SLOW
#define TRIALS 4000
#else
#define TRIALS 10000
#endif

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define EPSILON	      0.01
#define N_MAX	      128

/*
 * What is drawn, at a scale s around a level of 1. NORMAL: 1 + s Z. SKEWED: 1 + s (exp(Z) - 1), a lognormal tail on a
 * floor, as latencies have it; its median is 1. MIXTURE: two modes 2 s apart, each with a deviation of 0.2 s.
 */
enum kind { NORMAL, SKEWED, MIXTURE };

struct shape {
	const char *name;
	enum kind kind;
	double weight;	/* of the lower mode */
	double promise; /* coverage that the stop rule must keep */
};

/* The last is the worst case of a stop rule and its stated limit: even modes with hardly a value near the median. */
static const struct shape shapes[] = {
	{"normal", NORMAL, 0, 0.94},
	{"skewed", SKEWED, 0, 0.94},
	{"two modes, 60:40", MIXTURE, 0.6, 0.94},
	{"two modes, 50:50", MIXTURE, 0.5, 0.92},
};

static double shape_draw(const struct shape *shape, double scale, struct random_source *source)
{
	switch (shape->kind) {
	case NORMAL:
		return 1 + scale * random_normal(source);
	case SKEWED:
		return 1 + scale * (exp(random_normal(source)) - 1);
	default:
		return 1 + scale * ((random_uniform(source) < shape->weight ? 0 : 2) + 0.2 * random_normal(source));
	}
}

static double normal_below(double z)
{
	return erfc(-z / sqrt(2)) / 2;
}

/* The mixture's median is where the two modes' distribution functions, weighted, add to one half: by bisection. */
static double shape_median(const struct shape *shape, double scale)
{
	double low = -2, high = 4;

	if (shape->kind != MIXTURE)
		return 1;
	for (int i = 0; i < 200; i++) {
		double middle = (low + high) / 2;
		double below = shape->weight * normal_below(middle / 0.2) +
			       (1 - shape->weight) * normal_below((middle - 2) / 0.2);

		if (below < 0.5)
			low = middle;
		else
			high = middle;
	}
	return 1 + scale * (low + high) / 2;
}

/* What the ranks promise: sum_{i=low}^{high-1} C(n,i) / 2^n. */
static double nominal(size_t n)
{
	long double sum = 0, whole = (long double)n;
	size_t low, high;

	assert_true(fm_stats_median_ranks(n, &low, &high));
	for (size_t i = low; i < high; i++) {
		long double k = (long double)i;

		sum += expl(lgammal(whole + 1) - lgammal(k + 1) - lgammal(whole - k + 1) - whole * logl(2));
	}
	return (double)sum;
}

static bool holds(double *values, size_t n, double median)
{
	struct fm_interval interval;

	fm_stats_sort(values, n);
	interval = fm_stats_median_interval(values, n);
	return interval.low <= median && median <= interval.high;
}

static int trials(void **state)
{
	return *(int *)*state;
}

static void test_fixed(void **state)
{
	static const size_t sizes[] = {6, 9, 20, 30, 100};
	double values[100];

	print_message("%-18s %5s %9s %9s\n", "fixed n", "n", "nominal", "coverage");
	for (size_t s = 0; s < LENGTH(shapes); s++) {
		for (size_t i = 0; i < LENGTH(sizes); i++) {
			struct random_source source = {100 * s + i};
			double median = shape_median(&shapes[s], 0.1), coverage;
			int held = 0;

			for (int t = 0; t < trials(state); t++) {
				for (size_t j = 0; j < sizes[i]; j++)
					values[j] = shape_draw(&shapes[s], 0.1, &source);
				held += holds(values, sizes[i], median);
			}
			coverage = (double)held / trials(state);
			print_message("%-18s %5zu %8.2f%% %8.2f%%\n", shapes[s].name, sizes[i], 100 * nominal(sizes[i]),
				      100 * coverage);
			assert_true(fabs(coverage - nominal(sizes[i])) <= 0.015);
		}
	}
}

/* One point: repetitions until the rule is content or n is N_MAX. Returns n. */
static size_t measure(double *values, const struct shape *shape, double scale, struct random_source *source)
{
	size_t n = 0;

	do
		values[n++] = shape_draw(shape, scale, source);
	while (n < N_MAX && !fm_stats_confident(values, n, EPSILON));
	return n;
}

/* From a scale at which nearly every point stops at the first look to one at which hardly any stops. */
static void test_stopped(void **state)
{
	static const double scales[] = {0.005, 0.009, 0.012, 0.016, 0.025, 0.04};
	static const size_t looks[] = {8, 16, 32, 64, N_MAX};
	double values[N_MAX];

	print_message("%-18s %6s %9s   stopped at 8, 16, 32, 64, or at the cap of %d\n", "with the stop rule", "scale",
		      "coverage", N_MAX);
	for (size_t s = 0; s < LENGTH(shapes); s++) {
		for (size_t i = 0; i < LENGTH(scales); i++) {
			struct random_source source = {1000 + 100 * s + i};
			double median = shape_median(&shapes[s], scales[i]), coverage;
			int held = 0, stopped[LENGTH(looks)] = {0};

			for (int t = 0; t < trials(state); t++) {
				size_t n = measure(values, &shapes[s], scales[i], &source);

				for (size_t look = 0; look < LENGTH(looks); look++)
					stopped[look] += n == looks[look];
				held += holds(values, n, median);
			}
			coverage = (double)held / trials(state);
			print_message("%-18s %6.3f %8.2f%%   %3.0f%% %3.0f%% %3.0f%% %3.0f%% %3.0f%%\n", shapes[s].name,
				      scales[i], 100 * coverage, 100.0 * stopped[0] / trials(state),
				      100.0 * stopped[1] / trials(state), 100.0 * stopped[2] / trials(state),
				      100.0 * stopped[3] / trials(state), 100.0 * stopped[4] / trials(state));
			assert_true(coverage >= shapes[s].promise);
		}
	}
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : TRIALS;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(test_fixed, &count),
		cmocka_unit_test_prestate(test_stopped, &count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
