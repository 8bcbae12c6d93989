/*
 * pace.c - from what the last repetition took to the length of the next.
 */
#include "bench/pace.h"

#include <math.h>

#include "results/stats.h"

#define LATENCY_OPS_MAX 1000000.0 /* a calibrated repetition, all streams: 16 MB of stamps */
#define SLICE_S		0.05	  /* of the warm-up, between two looks at whether it is steady */

/* Operations a second: the median of the slices, for one of them may have met a stall; of the last where none counts.
 */
static double speed(const struct fm_point_run *p, const struct fm_pace *pace)
{
	double sorted[FM_SLICES_MAX];

	if (!p->slices)
		return (double)pace->operations / fmax(pace->elapsed_s, 1e-9);
	memcpy(sorted, pace->rates, p->slices * sizeof(sorted[0]));
	fm_stats_sort(sorted, p->slices);
	return fm_stats_median(sorted, p->slices);
}

/* How many operations take `seconds`. */
static uint64_t operations_for(const struct fm_point_run *p, const struct fm_pace *pace, double seconds)
{
	double most = p->test->metric == FM_LATENCY ? LATENCY_OPS_MAX : 1e12;
	double operations = fmin(speed(p, pace) * seconds, most);

	return operations > p->point->streams ? (uint64_t)operations : p->point->streams;
}

/* Calls with every drive's pace, argument handed through. */
static void each_pace(struct fm_point_run *p,
		      void (*call)(struct fm_point_run *p, struct fm_pace *pace, void *argument), void *argument)
{
	for (uint32_t way = 0; way < fm_ways(p); way++)
		for (uint32_t i = 0; i < p->flows->count; i++)
			call(p, &p->paces[way][i], argument);
}

static void pace_slowest(struct fm_point_run *p, struct fm_pace *pace, void *slowest_s)
{
	double *slowest = slowest_s;

	(void)p;
	*slowest = fmax(*slowest, pace->elapsed_s);
}

static void pace_set(struct fm_point_run *p, struct fm_pace *pace, void *operations)
{
	(void)p;
	pace->operations = *(const uint64_t *)operations;
}

static void pace_rate(struct fm_point_run *p, struct fm_pace *pace, void *none)
{
	(void)none;
	pace->rates[p->slices] = (double)pace->operations / fmax(pace->elapsed_s, 1e-9);
}

static void pace_slice(struct fm_point_run *p, struct fm_pace *pace, void *calibrated)
{
	uint64_t wanted = operations_for(p, pace, SLICE_S);

	/* Growing by leaps: a first operation can be a thousand times slower than the rest. */
	if (!*(const bool *)calibrated && wanted > 16 * pace->operations)
		wanted = 16 * pace->operations;
	pace->operations = wanted;
}

static void read_elapsed(struct fm_point_run *p)
{
	for (uint32_t i = 0; i < p->flows->count; i++) {
		struct fm_repetition repetition;

		fm_flow_repetition(p->flows->list[i], &repetition);
		p->paces[FM_A_TO_B][i].elapsed_s = repetition.end_ns > repetition.start_ns
							   ? (double)(repetition.end_ns - repetition.start_ns) / 1e9
							   : 0;
		p->paces[FM_B_TO_A][i].elapsed_s = p->both.elapsed_b_s[i];
	}
}

void fm_pace_set(struct fm_point_run *p, uint64_t operations)
{
	each_pace(p, pace_set, &operations);
}

double fm_pace_read(struct fm_point_run *p)
{
	double slowest_s = 0;

	read_elapsed(p);
	each_pace(p, pace_slowest, &slowest_s);
	return slowest_s;
}

void fm_pace_slice(struct fm_point_run *p)
{
	if (p->slices == FM_SLICES_MAX)
		return;
	each_pace(p, pace_rate, NULL);
	p->slices++;
}

void fm_pace_grow(struct fm_point_run *p, bool calibrated)
{
	each_pace(p, pace_slice, &calibrated);
}

bool fm_pace_resize(struct fm_point_run *p, double target_s)
{
	bool fits = true;

	read_elapsed(p);
	p->slices = 0;
	for (uint32_t way = 0; way < fm_ways(p); way++)
		for (uint32_t i = 0; i < p->flows->count; i++) {
			struct fm_pace *pace = &p->paces[way][i];
			uint64_t meant = operations_for(p, pace, target_s);

			if (meant <= 2 * pace->operations && meant >= pace->operations / 2)
				continue;
			fits = false;
			pace->operations = meant;
		}
	return fits;
}

static void pace_repetition(struct fm_point_run *p, struct fm_pace *pace, void *target_s)
{
	const struct fm_pair_what *what = &p->run->config->what;

	pace->operations = what->iterations ? what->iterations : operations_for(p, pace, *(const double *)target_s);
	if (pace->operations < p->point->streams)
		pace->operations = p->point->streams;
}

void fm_pace_repetition(struct fm_point_run *p, double seconds)
{
	each_pace(p, pace_repetition, &seconds);
}
