/*
 * pace.h - how many operations each drive of a point does in the next repetition.
 *
 * Every drive, of each rail and of both ends where both drive, is sized by its own speed, so that all end together.
 */
#ifndef FM_PACE_H
#define FM_PACE_H

#include "bench/tally.h"

/* Directions that are driven: the first index of p->paces. */
static inline uint32_t fm_ways(const struct fm_point_run *p)
{
	return p->point->bidirectional ? 2 : 1;
}

/* The same number for each drive. */
void fm_pace_set(struct fm_point_run *p, uint64_t operations);
/* Takes in how long each drive took in the last repetition; returns the longest, in seconds. */
double fm_pace_read(struct fm_point_run *p);
/* Counts the last repetition as a slice of the warm-up: a drive's speed is the median of its slices. */
void fm_pace_slice(struct fm_point_run *p);
/* The next slice; calibrated: some slice was long enough to tell the speed. */
void fm_pace_grow(struct fm_point_run *p, bool calibrated);
/* Repetitions of so many seconds, or of --iterations. */
void fm_pace_repetition(struct fm_point_run *p, double seconds);
/* Sizes every drive anew by the last repetition alone; false where one was far from the time that is meant. */
bool fm_pace_resize(struct fm_point_run *p, double target_s);

#endif
