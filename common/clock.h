/*
 * clock.h - the measuring clock: raw ticks in the loop, nanoseconds everywhere else.
 *
 * The time-stamp counter is used where CPUID says that it is invariant and two calibrations against
 * CLOCK_MONOTONIC_RAW agree within 100 ppm; CLOCK_MONOTONIC_RAW otherwise. aarch64: the virtual counter, whose rate the
 * CPU tells. Neither jumps when somebody sets the date.
 */
#ifndef FM_CLOCK_H
#define FM_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct fm_clock {
	bool counter;	    /* ticks are the CPU's counter; else nanoseconds of CLOCK_MONOTONIC_RAW */
	const char *source; /* "tsc", "cntvct" or "clock_monotonic_raw" */
	double ns_per_tick;
	double cost_ns;		 /* median cost of one fm_clock_ticks() */
	double disagreement_ppm; /* of the two calibrations; 0 where none was needed */
};

/* Calibrates; takes 0.2 s where there is a counter to calibrate. Never fails: the fallback always works. */
void fm_clock_calibrate(struct fm_clock *clock);

/* Nanoseconds of CLOCK_MONOTONIC, for deadlines. */
static inline uint64_t fm_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t fm_clock_raw_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/*
 * Ticks now. Everything before the call is done before the counter is read and nothing after it has begun: one read
 * ends an operation and starts the next (rdtscp waits for earlier instructions, lfence holds back later ones: Intel SDM
 * volume 2B, RDTSCP).
 */
static inline uint64_t fm_clock_ticks(const struct fm_clock *clock)
{
#if defined(__x86_64__)
	if (__builtin_expect(clock->counter, 1)) {
		uint32_t low, high, cpu;

		__asm__ volatile("rdtscp\n\tlfence" : "=a"(low), "=d"(high), "=c"(cpu) : : "memory");
		return (uint64_t)high << 32 | low;
	}
#elif defined(__aarch64__)
	if (__builtin_expect(clock->counter, 1)) {
		uint64_t ticks;

		__asm__ volatile("isb\n\tmrs %0, cntvct_el0\n\tisb" : "=r"(ticks) : : "memory");
		return ticks;
	}
#endif
	return fm_clock_raw_ns();
}

static inline uint64_t fm_clock_ns(const struct fm_clock *clock, uint64_t ticks)
{
	return (uint64_t)((double)ticks * clock->ns_per_tick + 0.5);
}

#endif
