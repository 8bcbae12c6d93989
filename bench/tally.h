/*
 * tally.h - a point under measurement, and what its repetitions add up to.
 */
#ifndef FM_TALLY_H
#define FM_TALLY_H

#include "bench/run.h"

enum { FM_SLICES_MAX = 16, FM_SAMPLES_BOUND = 4000000 /* latencies kept in full, all repetitions of a row */ };

/* How fast the drives of one end and rail are. */
struct fm_pace {
	uint64_t operations;	     /* of the next repetition */
	double elapsed_s;	     /* of the last */
	double rates[FM_SLICES_MAX]; /* operations a second, of the warm-up's slices */
};

struct fm_window {
	uint64_t from_ns, to_ns; /* on our measuring clock */
};

/* The last repetition of a bidirectional point, as bidirectional.c leaves it. */
struct fm_both {
	int64_t offset_ns;	  /* the peer's measuring clock less ours */
	uint64_t offset_error_ns; /* at most */
	struct fm_window windows[FM_RAILS_MAX + 1];
	double elapsed_b_s[FM_RAILS_MAX]; /* from the first to the last stamp of the peer's drives */
};

/* What lives while the initiator measures one point. */
struct fm_point_run {
	struct fm_run *run;
	const struct fm_point *point;
	struct fm_place place; /* the rails of this point */
	const struct fm_test *test;
	struct fm_flows *flows;
	struct fm_measurement *out;
	uint64_t verify_seed;			     /* not 0: this pass compares messages and times none */
	struct fm_pace paces[FM_BOTH][FM_RAILS_MAX]; /* of A's drives; bidirectional: and B's */
	uint32_t slices;
	bool counts; /* the repetition in hand is no warm-up */
	struct fm_both both;
	json_t *peer;	/* the peer's "done" of the last */
	double *blocks; /* mean seconds an operation, of warm-up blocks */
	size_t block_count;
};

/*
 * Takes the last repetition into the point's measurement: medians and samples, rates, the slowest 100 ms, what was
 * lost. -EAGAIN: bidirectional drives had no time in common, and nothing was counted. -EIO (lost): operations did not
 * arrive on a path that must not lose any. -ENOMEM.
 */
int fm_tally_repetition(struct fm_point_run *p, struct fm_error *error);

/*
 * What did not arrive in the last repetition: counted as lost where the path may lose, -EIO (lost) where it must not. A
 * far end that hears of no arrivals has none to count.
 */
int fm_tally_arrived(struct fm_point_run *p, struct fm_error *error);

/* --raw: every stamp of the last repetition. A failure is fm_outputs_close's to tell. */
void fm_tally_raw(const struct fm_point_run *p, uint32_t repetition);

#endif
