/*
 * clock.c - chooses and calibrates the measuring clock.
 */
#include "common/clock.h"

#include <math.h>
#include <stdlib.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define CALIBRATION_NS 100000000L
#define BRACKETS       64
#define COST_READS     1001
#define TOLERANCE_PPM  100.0

struct instant {
	uint64_t ticks, ns;
};

/* The pair whose two reads of the counter lie closest together: the one least disturbed by an interrupt. */
static struct instant instant_now(const struct fm_clock *clock)
{
	struct instant best = {0, 0};
	uint64_t narrowest = UINT64_MAX;

	for (int i = 0; i < BRACKETS; i++) {
		uint64_t before = fm_clock_ticks(clock);
		uint64_t ns = fm_clock_raw_ns();
		uint64_t after = fm_clock_ticks(clock);

		if (after - before < narrowest) {
			narrowest = after - before;
			best = (struct instant){before + (after - before) / 2, ns};
		}
	}
	return best;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static double cost_ns(const struct fm_clock *clock)
{
	uint64_t cost[COST_READS], median;
	uint64_t last = fm_clock_ticks(clock);

	for (int i = 0; i < COST_READS; i++) {
		uint64_t now = fm_clock_ticks(clock);

		cost[i] = now - last;
		last = now;
	}
	qsort(cost, COST_READS, sizeof(cost[0]), compare_u64);
	median = cost[COST_READS / 2];
	return (double)median * clock->ns_per_tick;
}

/* CPUID 0x80000007, EDX bit 8: the counter runs at one rate in every power state (Intel SDM 3B, 18.17.1; AMD APM 3). */
static bool counter_invariant(void)
{
#if defined(__x86_64__)
	unsigned a, b, c, d;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & 1u << 8);
#elif defined(__aarch64__)
	return true;
#else
	return false;
#endif
}

static double rate(struct instant from, struct instant to)
{
	return (double)(to.ns - from.ns) / (double)(to.ticks - from.ticks);
}

void fm_clock_calibrate(struct fm_clock *clock)
{
	const struct timespec pause = {0, CALIBRATION_NS};
	const struct fm_clock fallback = {false, "clock_monotonic_raw", 1.0, 0, 0};

	*clock = fallback;
	if (counter_invariant()) {
		struct instant at[3];

		clock->counter = true;
		for (int i = 0; i < 3; i++) {
			if (i > 0)
				nanosleep(&pause, NULL);
			at[i] = instant_now(clock);
		}
#if defined(__aarch64__)
		clock->source = "cntvct";
#else
		clock->source = "tsc";
#endif
		clock->ns_per_tick = rate(at[0], at[2]);
		clock->disagreement_ppm = fabs(rate(at[0], at[1]) / rate(at[1], at[2]) - 1) * 1e6;
		if (!(clock->disagreement_ppm <= TOLERANCE_PPM) || !isfinite(clock->ns_per_tick))
			*clock = fallback;
	}
	clock->cost_ns = cost_ns(clock);
}
