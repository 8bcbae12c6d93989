/*
 * random.h - the tests' own random numbers: the same on every machine, from a seed that is written in the test.
 */
#ifndef FM_TESTS_RANDOM_H
#define FM_TESTS_RANDOM_H

#include <math.h>
#include <stdint.h>

#define FM_TWO_PI 6.283185307179586476925

struct random_source {
	uint64_t state;
};

/* SplitMix64 (Steele, Lea & Flood, OOPSLA 2014). */
static inline uint64_t random_u64(struct random_source *source)
{
	uint64_t z = source->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* Uniform in (0, 1), the ends excluded. */
static inline double random_uniform(struct random_source *source)
{
	return ((double)(random_u64(source) >> 11) + 0.5) / 9007199254740992.0;
}

/* Standard normal (Box & Muller 1958). */
static inline double random_normal(struct random_source *source)
{
	double radius = sqrt(-2 * log(random_uniform(source)));

	return radius * cos(FM_TWO_PI * random_uniform(source));
}

#endif
