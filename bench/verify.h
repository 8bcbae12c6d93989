/*
 * verify.h - one untimed repetition in which every message is another one and is looked at where it arrives.
 *
 * The payload of a message is the pattern (common/buffer.h) of a seed that both ends share, made of the side that sends
 * it, its stream and its sequence number. So a byte that changed shows, and also a message that is late, lost, doubled,
 * out of order or left over from another run. Where nobody hears of arrivals (one-sided writes, and traffic in both
 * directions) memory is compared when the repetition is over, and none is longer than there are slots.
 */
#ifndef FM_VERIFY_H
#define FM_VERIFY_H

#include "bench/loop.h"

/* The lanes of one thread, from the stream of the first. */
struct fm_verify {
	const struct fm_work *work;	 /* with verify: depth <= slots */
	const struct fm_buffer *buffers; /* of the endpoint: two a stream */
	uint64_t seed;			 /* another one in each repetition, the same on both ends */
	uint32_t first, count;		 /* streams of this thread */
	bool may_lose;			 /* a message may stay away; what comes is compared all the same */
};

/* Whether a lane hears of every arrival: else a repetition must be no longer than the slots hold. */
bool fm_verify_seen(enum fm_test_id test, bool bidirectional);

/*
 * Operations of each stream, of all repetitions together: more than the slots hold, so that each is used again; bounded
 * by the bytes they move.
 */
uint64_t fm_verify_operations(uint64_t size_bytes, uint32_t slots);

/* Before the lanes are armed: what the peer will read. */
int fm_verify_begin(const struct fm_verify *verify, struct fm_error *error);

/*
 * In place of fm_loop_run: the same roles over the same loops, their counts as there and no stamps. -EBADMSG (reason
 * verify) with the message that differs; -ECANCELED; or a lane's failure, then in its loop.
 */
int fm_verify_run(const struct fm_verify *verify, struct fm_loop *loops, const struct fm_loop_context *context,
		  struct fm_error *error);

/* After the lanes have settled: what was written behind this end's back. */
int fm_verify_end(const struct fm_verify *verify, const struct fm_loop *loops, struct fm_error *error);

#endif
