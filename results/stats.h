/*
 * stats.h - the statistics of a point: functions on arrays of finite doubles, without state.
 *
 * The unit is the repetition (Hoefler & Belli, SC'15, doi 10.1145/2807591.2807644): medians over repetitions with
 * nonparametric 95% intervals. Quantiles are nearest-rank on the sorted sample. A figure that the sample cannot support
 * is not given.
 */
#ifndef FM_STATS_H
#define FM_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fm_interval {
	double low, high; /* NaN where the sample supports none */
};

/* Sorts ascending, in place. */
void fm_stats_sort(double *values, size_t n);

/* Median of a sorted sample: the middle value, or the mean of the two; NaN for n = 0. */
double fm_stats_median(const double *sorted, size_t n);

/*
 * 95% interval of the median of a sorted sample, from order statistics: it assumes independent values, and nothing of
 * their distribution. n <= 5: none, because even minimum and maximum of five hold the median with 93.75% only.
 */
struct fm_interval fm_stats_median_interval(const double *sorted, size_t n);

/*
 * 1-based ranks of that interval; false, ranks untouched, for n <= 5. Up to n = 1000 the exact binomial: the largest
 * low with sum_{i=low}^{n-low} C(n,i) / 2^n >= 0.95. Beyond, the normal approximation low = floor((n - 1.96 sqrt n) /
 * 2) (Le Boudec, Performance Evaluation of Computer and Communication Systems, 2.2), which is the exact rank or one
 * wider. high = n + 1 - low.
 */
bool fm_stats_median_ranks(size_t n, size_t *low, size_t *high);

/*
 * Rank (1-based) of quantile q, 0 <= q <= 1, in a sample of n by nearest rank: the smallest rank that has at least a
 * share q of the sample at or below it, ceil(q n), at least 1. q stands for its decimal: 0.07 of 100 is rank 7, though
 * the product in binary is a little more than 7. n = 0: 0.
 */
uint64_t fm_stats_rank(double q, uint64_t n);

/*
 * True where n samples give quantile q a finite two-sided 95% bound: p90 36, p99 368, p99.9 3,688, p99.99 36,887,
 * p99.999 368,887. The number of samples below the quantile is binomial (n, q), so all n are with probability q^n, and
 * then no order statistic bounds the quantile from above. That side may fail in 2.5% of the cases: q^n <= 0.025, thus
 * n >= ln 0.025 / ln q. For q < 0.5 the lower side decides in the same way.
 */
bool fm_stats_quantile_supported(double q, uint64_t n);

/*
 * MSER-5 (White 1997, Simulation 69(6)): the number of leading values to throw away so that the rest is steady. On the
 * k means of batches of 5 it minimises sum_{i>d} (x_i - mean_d)^2 / (k - d)^2; values past the last whole batch are
 * left out. -1 where more than half of the batches would go: no steady state. The last 5 batches are never judged
 * alone, since a few that lie close by chance would win (Hoad, Robinson & Davies 2010, JORS 61(9)); so it takes 11
 * batches before "more than half" can be told from "at most half", and with fewer than 55 values the answer is -1.
 *
 * It looks at means, so one value in hundreds that is many times the rest outweighs any warm-up, and the tail after the
 * last such value wins. Feed it rates or medians over slices of time, not the latencies of single operations.
 */
long fm_stats_warmup(const double *values, size_t n);

/*
 * The stop rule, asked after each repetition with all values so far (any order): true when n is 8, 16, 32, 64, ... and
 * (high - low) / 2 <= epsilon * median, where low and high are the ends of the 99% interval. Asked at other n it says
 * no: asking each time would ruin the coverage.
 *
 * A rule that stops when an interval is narrow picks out the intervals that are narrow by accident, and those miss more
 * often than their 95% promise. The worst are values in two narrow modes further apart than epsilon: a sample that
 * falls into one mode alone looks perfectly quiet. Hence the stricter question, and hence 8: the first n at which a 99%
 * interval exists. Coverage of the reported interval, which is the 95% one, at the worst of six scales:
 *
 *                                            normal  skewed  two modes, 60:40  two modes, 50:50
 *   95% interval asked at 6, 12, ... 96       94.7    94.1         93.4              86.9
 *   99% interval asked at 8, 16, ... 128      95.4    95.4         94.8              93.4
 *
 * (60,000 trials, cap at the last n; tests/unit/coverage.c has the shapes.) Values in even modes with nothing between
 * them hardly have a median; there 93.4% is what remains.
 *
 * False, too, when the copy to sort cannot be allocated: going on is the safe answer.
 */
bool fm_stats_confident(const double *values, size_t n, double epsilon);

#endif
