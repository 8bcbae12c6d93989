/*
 * bidirectional.h - a repetition in which both ends drive, and what moved while both did.
 *
 * Each end stamps its own drives; the rate of a direction is what it moved between the later start and the earlier end
 * of both, so that no figure profits from a time when the other direction was silent. The ends' clocks are compared
 * over the control connection before each repetition that counts: half of the fastest turn bounds the error.
 *
 * Conversation after "armed": where "arm" had clock, "clock" there and back FM_CLOCK_TURNS times; "go"; "through" from
 * the server with the starts and ends of its flows; "done" with the common windows in the server's time; "done" back
 * with what it moved in them.
 */
#ifndef FM_BIDIRECTIONAL_H
#define FM_BIDIRECTIONAL_H

#include "bench/tally.h"

enum { FM_CLOCK_TURNS = 8 };

/*
 * One turn of "clock", in ns: sent and back on our clock, there on the peer's in between. The fastest turn so far gives
 * both->offset_ns, which is right to offset_error_ns; that is UINT64_MAX before the first.
 */
void fm_both_turn(struct fm_both *both, uint64_t sent_ns, int64_t there_ns, uint64_t back_ns);
/* From the peer's clock to ours and back. */
uint64_t fm_both_ours(const struct fm_both *both, int64_t there_ns);
int64_t fm_both_theirs(const struct fm_both *both, uint64_t here_ns);

/* The initiator's, from "armed" until both ends' drives are through; *done is the message that ends it. */
int fm_bidirectional_run(struct fm_point_run *p, uint64_t stall_ns, json_t **done, struct fm_error *error);

/* The server's part of the same, until the initiator's "done" is here (a new reference). clock: NULL where none asks.
 */
int fm_bidirectional_serve(struct fm_flows *flows, const struct fm_clock *clock, uint64_t stall_ns, json_t **done,
			   struct fm_error *error);

/*
 * What a flow moved in its window and in that of all flows, by the "done" that asked: {moved, moved_total}; flow: its
 * rail. A new reference.
 */
json_t *fm_bidirectional_moved(const struct fm_flows *flows, uint32_t flow, const json_t *done);

#endif
