/*
 * stats.c - medians, their intervals, quantile ranks, warm-up truncation and the stop rule.
 */
#include "results/stats.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EXACT_MAX	 1000 /* 2^-n is a normal double, and the sum takes microseconds */
#define FIRST_LOOK	 8    /* the smallest sample with a 99% interval of the median */
#define BATCH		 5
#define BATCHES_UNJUDGED 5
#define BATCHES_MIN	 (2 * BATCHES_UNJUDGED + 1)

/* How often an interval may miss, both sides together, and the normal quantile that goes with it. */
struct level {
	double miss, z;
};

static const struct level level_95 = {0.05, 1.96}, level_99 = {0.01, 2.576};

static int compare_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void fm_stats_sort(double *values, size_t n)
{
	if (n > 1)
		qsort(values, n, sizeof(*values), compare_double);
}

double fm_stats_median(const double *sorted, size_t n)
{
	if (n == 0)
		return NAN;
	/* Halves first: the sum of two large values could overflow. */
	return n % 2 ? sorted[n / 2] : sorted[n / 2 - 1] / 2 + sorted[n / 2] / 2;
}

/*
 * The lower rank; 0 where no rank will do. The values below the median are binomial (n, 1/2), so the interval of ranks
 * low and n + 1 - low misses it with probability 2 P(X < low).
 */
static size_t median_rank(size_t n, const struct level *level)
{
	double term = ldexp(1.0, -(int)(n <= EXACT_MAX ? n : 0)); /* P(X = 0) */
	double below = term;
	size_t low = 0;

	if (n > EXACT_MAX)
		return (size_t)(((double)n - level->z * sqrt((double)n)) / 2);
	while (2 * below <= level->miss) {
		low++;
		term *= (double)(n - low + 1) / (double)low;
		below += term;
	}
	return low;
}

bool fm_stats_median_ranks(size_t n, size_t *low, size_t *high)
{
	size_t rank = median_rank(n, &level_95);

	if (rank == 0)
		return false;
	*low = rank;
	*high = n + 1 - rank;
	return true;
}

struct fm_interval fm_stats_median_interval(const double *sorted, size_t n)
{
	size_t low, high;

	if (!fm_stats_median_ranks(n, &low, &high))
		return (struct fm_interval){NAN, NAN};
	return (struct fm_interval){sorted[low - 1], sorted[high - 1]};
}

uint64_t fm_stats_rank(double q, uint64_t n)
{
	double product = q * (double)n;
	uint64_t rank = (uint64_t)ceil(product - 2 * DBL_EPSILON * product);

	if (rank > n)
		return n;
	return rank == 0 && n > 0 ? 1 : rank;
}

bool fm_stats_quantile_supported(double q, uint64_t n)
{
	double side = q < 0.5 ? 1 - q : q;

	return (double)n * log(side) <= log(level_95.miss / 2);
}

static double batch_mean(const double *values)
{
	double sum = 0;

	for (int i = 0; i < BATCH; i++)
		sum += values[i];
	return sum / BATCH;
}

long fm_stats_warmup(const double *values, size_t n)
{
	size_t batches = n / BATCH, best = 0;
	double least = INFINITY, mean = 0, squares = 0;

	if (batches < BATCHES_MIN)
		return -1;
	/* From the end, so that Welford's update gives each suffix its sum of squares in one pass. */
	for (size_t d = batches; d-- > 0;) {
		double left = (double)(batches - d);
		double x = batch_mean(values + d * BATCH);
		double delta = x - mean;

		mean += delta / left;
		squares += delta * (x - mean);
		/* Of equal ones the earliest: a constant series has no warm-up. */
		if (batches - d >= BATCHES_UNJUDGED && squares / (left * left) <= least) {
			least = squares / (left * left);
			best = d;
		}
	}
	return best > batches / 2 ? -1 : (long)(best * BATCH);
}

/* Only at doublings: simulated, asking after each repetition lowers the coverage to 92-93%. */
static bool look_due(size_t n)
{
	size_t doublings = n / FIRST_LOOK;

	return n > 0 && n % FIRST_LOOK == 0 && (doublings & (doublings - 1)) == 0;
}

bool fm_stats_confident(const double *values, size_t n, double epsilon)
{
	size_t low = look_due(n) ? median_rank(n, &level_99) : 0;
	double *sorted;
	bool confident;

	if (low == 0)
		return false;
	sorted = malloc(n * sizeof(*sorted));
	if (!sorted)
		return false;
	memcpy(sorted, values, n * sizeof(*sorted));
	fm_stats_sort(sorted, n);
	confident = low > 0 && (sorted[n - low] - sorted[low - 1]) / 2 <= epsilon * fm_stats_median(sorted, n);
	free(sorted);
	return confident;
}
