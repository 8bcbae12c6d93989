/*
 * flows.h - all rails of one point on one node, and waiting for them and the peer at once.
 */
#ifndef FM_FLOWS_H
#define FM_FLOWS_H

#include "bench/flow.h"
#include "bench/session.h"

/* Lives on the heap: a hung worker may look at it for ever. */
struct fm_flows {
	struct fm_session *session;
	struct fm_flow *list[FM_RAILS_MAX];
	uint32_t count;
	atomic_int stop; /* enum fm_stop */
	struct fm_services services;
	struct fm_place place; /* the flows' own copy */
	bool session_lost;     /* the failure was the conversation's: nothing more can be said to the peer */
};

struct fm_flows_setup {
	struct fm_session *session;
	const struct fm_point *point;
	const struct fm_place *place;
	const struct fm_clock *clock;
	const struct fm_plan *plan; /* that the point is of: its options and registry */
	bool passive;
	uint64_t verify_seed; /* not 0: messages are compared instead of timed */
	bool may_lose;	      /* what the test's capability says */
};

/* Makes the flows of every rail of the place. NULL on failure. */
struct fm_flows *fm_flows_new(const struct fm_flows_setup *setup, struct fm_error *error);

/* Stops what runs, closes and frees; false where a worker hangs for so long and all was left behind. Accepts NULL. */
bool fm_flows_free(struct fm_flows *flows, uint64_t teardown_ns);

/* The drives are through: whoever only polls ends, unless a failure has ended all already. And back, once all have. */
void fm_flows_finish(struct fm_flows *flows);
void fm_flows_resume(struct fm_flows *flows);

/* Calls a step on every flow. */
void fm_flows_each(struct fm_flows *flows, void (*step)(struct fm_flow *flow));
bool fm_flows_busy(const struct fm_flows *flows);
bool fm_flows_armed(const struct fm_flows *flows);
bool fm_flows_through(const struct fm_flows *flows);
/* 0, or the first failure, prefixed with its device where there are several rails. */
int fm_flows_result(struct fm_flows *flows, struct fm_error *error);

struct fm_wait {
	const char *message; /* type of the message that must come; NULL none */
	bool idle;	     /* all workers must be idle */
	bool armed;	     /* all threads must have armed their lanes */
	bool through;	     /* all drives must be through, though their lanes are polled on */
	uint64_t deadline_ns;
	uint64_t stall_ns; /* give up when no stamp was made for so long; 0 never */
	const char *what;  /* for the sentence when it does not come: "connecting" */
};

/*
 * Waits until all that is asked for has come; *message gets a new reference where a message was asked for. Negative:
 * a flow failed; the peer failed (-EREMOTEIO) or gave the point up (-ECONNABORTED); stalled or late (-ETIMEDOUT); the
 * session is lost or a signal came (then session_lost, or session->signal, is set).
 */
int fm_flows_wait(struct fm_flows *flows, const struct fm_wait *wait, json_t **message, struct fm_error *error);

/*
 * Operations that flows [first, first + count) did between two times on the measuring clock. NaN where the times make
 * no window or a lane did nothing.
 */
double fm_flows_done(const struct fm_flows *flows, uint32_t first, uint32_t count, uint64_t from_ns, uint64_t to_ns);

/* Slowest 100 ms of all flows together over the last repetition, operations a second; NaN where it was shorter. */
double fm_flows_worst(const struct fm_flows *flows, uint32_t first, uint32_t count);

#endif
