/*
 * samples.c - keeps latencies in full, or past a bound in buckets of 2^-10 of an octave.
 */
#include "results/samples.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "results/stats.h"

#define SUB_BITS     10
#define OCTAVES	     (64 - SUB_BITS)
#define BUCKETS	     ((size_t)(OCTAVES + 1) << SUB_BITS)
#define CAPACITY_MIN 1024
#define RADIX_BITS   11
#define RADIX	     ((size_t)1 << RADIX_BITS)

/*
 * Values below 2^(SUB_BITS + 1) have a bucket each. Above, an octave [2^e, 2^(e+1)) is cut into 2^SUB_BITS equal ones,
 * so that the value shifted to SUB_BITS + 1 bits counts on within the octave. The idea is HdrHistogram's (Tene), with
 * powers of two throughout.
 */
static size_t bucket_find(uint64_t value)
{
	unsigned shift = value >> (SUB_BITS + 1) ? 63 - SUB_BITS - (unsigned)__builtin_clzll(value) : 0;

	return ((size_t)shift << SUB_BITS) + (size_t)(value >> shift);
}

static double bucket_middle(size_t bucket)
{
	unsigned shift = bucket >> (SUB_BITS + 1) ? (unsigned)(bucket >> SUB_BITS) - 1 : 0;
	uint64_t low = (uint64_t)(bucket - ((size_t)shift << SUB_BITS)) << shift;

	return (double)low + (double)(((uint64_t)1 << shift) - 1) / 2;
}

static int add_failed(struct fm_error *error, const char *what, size_t bytes)
{
	return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY,
			    "cannot keep %s: %zu KiB could not be allocated; free memory or raise its limit", what,
			    bytes / 1024 + 1);
}

static int histogram_begin(struct fm_samples *samples, struct fm_error *error)
{
	uint64_t *buckets = calloc(BUCKETS, sizeof(*buckets));

	if (!buckets)
		return add_failed(error, "a latency histogram", BUCKETS * sizeof(*buckets));
	for (uint64_t i = 0; i < samples->count; i++)
		buckets[bucket_find(samples->values_ns[i])]++;
	free(samples->values_ns);
	samples->values_ns = NULL;
	samples->capacity = 0;
	samples->buckets = buckets;
	return 0;
}

/* Doubling keeps the copying linear in the number of samples. */
static int values_grow(struct fm_samples *samples, size_t needed, struct fm_error *error)
{
	size_t capacity = samples->capacity > samples->bound / 2 ? samples->bound : 2 * samples->capacity;
	uint64_t *values;

	if (needed <= samples->capacity)
		return 0;
	if (capacity < CAPACITY_MIN)
		capacity = CAPACITY_MIN;
	if (capacity < needed)
		capacity = needed;
	values = capacity > SIZE_MAX / sizeof(*values) ? NULL : realloc(samples->values_ns, capacity * sizeof(*values));
	if (!values)
		return add_failed(error, "latency samples", capacity * sizeof(*values));
	samples->values_ns = values;
	samples->capacity = capacity;
	return 0;
}

/* Welford (1962, Technometrics 4(3)): no difference of large sums, so that 1 ns around 1 s is still seen. */
static void moments_add(struct fm_samples *samples, uint64_t value_ns)
{
	double value = (double)value_ns;
	double delta = value - samples->mean_ns;

	if (samples->count == 0 || value_ns < samples->minimum_ns)
		samples->minimum_ns = value_ns;
	if (samples->count == 0 || value_ns > samples->maximum_ns)
		samples->maximum_ns = value_ns;
	samples->count++;
	samples->mean_ns += delta / (double)samples->count;
	samples->m2 += delta * (value - samples->mean_ns);
}

int fm_samples_add(struct fm_samples *samples, const uint64_t *values_ns, size_t n, struct fm_error *error)
{
	int code = 0;

	if (n == 0)
		return 0;
	/* All that can fail comes first. */
	if (!samples->buckets && n > samples->bound - samples->count)
		code = histogram_begin(samples, error);
	else if (!samples->buckets)
		code = values_grow(samples, samples->count + n, error);
	if (code)
		return code;

	if (samples->buckets)
		for (size_t i = 0; i < n; i++)
			samples->buckets[bucket_find(values_ns[i])]++;
	else
		memcpy(samples->values_ns + samples->count, values_ns, n * sizeof(*values_ns));
	samples->sorted = false;
	for (size_t i = 0; i < n; i++)
		moments_add(samples, values_ns[i]);
	return 0;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* One pass of a radix sort: from `from` to `to`, stable, by the digit at shift. */
static void sort_pass(const uint64_t *from, uint64_t *to, size_t n, unsigned shift)
{
	size_t starts[RADIX] = {0}, start = 0;

	for (size_t i = 0; i < n; i++)
		starts[from[i] >> shift & (RADIX - 1)]++;
	for (size_t digit = 0; digit < RADIX; digit++) {
		size_t count = starts[digit];

		starts[digit] = start;
		start += count;
	}
	for (size_t i = 0; i < n; i++)
		to[starts[from[i] >> shift & (RADIX - 1)]++] = from[i];
}

/* A million latencies are sorted after each repetition while the peer waits: by their few digits, not by comparing. */
static void samples_sort(struct fm_samples *samples)
{
	uint64_t *from = samples->values_ns, *other = malloc(samples->count * sizeof(*other)), *to = other;

	samples->sorted = true;
	if (!other) {
		qsort(from, samples->count, sizeof(*from), compare_u64);
		return;
	}
	for (unsigned shift = 0; shift < 64 && samples->maximum_ns >> shift; shift += RADIX_BITS) {
		uint64_t *sorted = to;

		sort_pass(from, to, samples->count, shift);
		to = from;
		from = sorted;
	}
	if (from == other)
		memcpy(samples->values_ns, other, samples->count * sizeof(*other));
	free(other);
}

static double values_at(struct fm_samples *samples, uint64_t rank)
{
	if (!samples->sorted)
		samples_sort(samples);
	return (double)samples->values_ns[rank - 1];
}

static double buckets_at(const struct fm_samples *samples, uint64_t rank)
{
	uint64_t passed = 0;
	size_t bucket = 0;

	while (bucket < BUCKETS - 1 && passed + samples->buckets[bucket] < rank)
		passed += samples->buckets[bucket++];
	/* The extremes are known exactly, and no quantile lies beyond them. */
	return fmin(fmax(bucket_middle(bucket), (double)samples->minimum_ns), (double)samples->maximum_ns);
}

bool fm_samples_quantile(struct fm_samples *samples, double q, double *value_ns)
{
	uint64_t rank = fm_stats_rank(q, samples->count);

	if (samples->count == 0 || (q != 0.5 && !fm_stats_quantile_supported(q, samples->count)))
		return false;
	*value_ns = samples->buckets ? buckets_at(samples, rank) : values_at(samples, rank);
	return true;
}

bool fm_samples_stdev(const struct fm_samples *samples, double *value_ns)
{
	if (samples->count < 2)
		return false;
	*value_ns = sqrt(samples->m2 / (double)(samples->count - 1));
	return true;
}

void fm_samples_init(struct fm_samples *samples, size_t bound)
{
	*samples = (struct fm_samples){.bound = bound};
}

void fm_samples_free(struct fm_samples *samples)
{
	if (!samples)
		return;
	free(samples->values_ns);
	free(samples->buckets);
	*samples = (struct fm_samples){0};
}
