/*
 * samples.h - the pooled latencies of a point: every sample up to a bound, a log-bucketed histogram past it.
 *
 * Minimum, maximum, mean and standard deviation stay exact on both sides of the bound. Past it a quantile is the middle
 * of its bucket, at most FM_HISTOGRAM_ERROR from the sample.
 */
#ifndef FM_SAMPLES_H
#define FM_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

/* Relative error bound of a quantile once the histogram is in use: half a sub-bucket of 2^-10. Below 2,048 ns: none. */
#define FM_HISTOGRAM_ERROR (1.0 / 2048)

struct fm_samples {
	uint64_t count;			 /* all that were added */
	uint64_t minimum_ns, maximum_ns; /* 0 while count is */
	double mean_ns, m2;		 /* Welford's; standard deviation is sqrt(m2 / (count - 1)) */
	uint64_t *values_ns;		 /* all samples; NULL once the histogram rules */
	bool sorted;			 /* values_ns ascend */
	size_t bound, capacity;
	uint64_t *buckets; /* NULL until the bound is passed */
};

/* bound: samples kept in full, 8 bytes each, allocated as they come; past it 440 KiB whatever comes. */
void fm_samples_init(struct fm_samples *samples, size_t bound);
/* Adds n samples in ns. -ENOMEM; what was there stays. */
int fm_samples_add(struct fm_samples *samples, const uint64_t *values_ns, size_t n, struct fm_error *error);
/*
 * Nearest-rank quantile in ns; false (value untouched) where the sample supports no such quantile (stats.h). The median
 * is given from one sample on; of an even number it is the lower of the middle two. The first call after an addition
 * sorts values_ns; those that follow cost nothing.
 */
bool fm_samples_quantile(struct fm_samples *samples, double q, double *value_ns);
/* Sample standard deviation (n - 1) in ns; false for fewer than two. */
bool fm_samples_stdev(const struct fm_samples *samples, double *value_ns);
/* Accepts NULL and a zeroed one. */
void fm_samples_free(struct fm_samples *samples);

#endif
