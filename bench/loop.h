/*
 * loop.h - the measuring loops: four small ones, by role, blind to what is under a lane.
 *
 * Inside nothing allocates, locks, prints or branches on backend, memory or output; the traces are allocated before.
 * Clock readings are stored raw; results/samples.h turns them into nanoseconds.
 */
#ifndef FM_LOOP_H
#define FM_LOOP_H

#include <stdatomic.h>

#include "common/clock.h"
#include "transports/transport.h"

/* Raised by the control thread, read by the loops when a poll finds nothing and at each stamp. */
enum fm_stop {
	FM_RUN,
	FM_FINISH, /* the drive is through: echo, sink and target end; a drive runs on */
	FM_ABORT   /* everybody ends */
};

/*
 * Stamps of one lane over one repetition: at tick ticks[i], done[i] operations were done; ticks[0] is the start. A sink
 * starts before its drive does and, where messages are lost, ends between two stamps: its rate is the one from ticks[1]
 * to the last stamp, over the difference of done, and never fm_loop.done over the whole.
 */
struct fm_trace {
	uint64_t *ticks, *done;
	uint32_t capacity; /* at least 2; a full trace keeps its last entry current */
	uint32_t count;
};

/* One lane's repetition. The caller fills the first group; the loop the second. */
struct fm_loop {
	const struct fm_lane *lane;
	uint64_t operations; /* armed */
	uint64_t batch;	     /* operations between stamps, >= 1; 1 for latency */
	uint32_t depth;
	struct fm_trace trace;

	uint64_t posted, done; /* done: echo, sink: arrivals */
	uint64_t mark;	       /* the next stamp is due when done reaches it */
	int failed;	       /* 0, or the lane's -errno */
	_Atomic uint64_t beat; /* a drive: done so far, for the control thread: does anything move? */
};

/* What the loops of one thread share. */
struct fm_loop_context {
	const struct fm_clock *clock;
	const atomic_int *stop; /* enum fm_stop */
	bool yield;		/* give the CPU away when a poll finds nothing: another measuring thread shares it */
	bool bidirectional;	/* a drive that is through is polled on while others drive: its peer sends */
};

/*
 * Run count loops of one role in this thread, in turn, until all are through. 0; -ECANCELED when FM_ABORT was raised;
 * else the errno of the first lane that failed, whose loop has it in failed. A sink that FM_FINISH ends with fewer
 * arrivals than operations gives 0: whether that is a loss or a failure is the caller's to say. Bidirectional: both
 * ends run FM_DRIVE, and then fm_loop_linger.
 */
int fm_loop_run(enum fm_role role, struct fm_loop *loops, uint32_t count, const struct fm_loop_context *context);

/*
 * Polls lanes whose drives are through until FM_FINISH, for the peer's may not be. Leaves counts and stamps alone. As
 * fm_loop_run returns.
 */
int fm_loop_linger(struct fm_loop *loops, uint32_t count, const struct fm_loop_context *context);

#endif
