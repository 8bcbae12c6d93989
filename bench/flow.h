/*
 * flow.h - one rail of one point on one node: buffers, endpoint, lanes and the workers that run them.
 *
 * The steps are jobs for the workers; the control thread starts one, waits in fm_session_wait and asks fm_flow_busy. A
 * step that failed leaves its sentence in flow->error. Steps in order: prepare, connect, (arm, run, settle)*, count,
 * disconnect, free.
 */
#ifndef FM_FLOW_H
#define FM_FLOW_H

#include <stdatomic.h>

#include "bench/loop.h"
#include "bench/plan.h"
#include "bench/worker.h"

/* What this side's lanes saw in one repetition. */
struct fm_repetition {
	uint64_t operations;	   /* done, all lanes */
	uint64_t start_ns, end_ns; /* first and last stamp of all lanes, on the measuring clock */
	double worst_per_s;	   /* slowest 100 ms, operations a second; NaN: shorter than that */
	double stream_min_per_s, stream_max_per_s;
	double seen_per_s; /* a sink's: from each lane's second stamp to its last, added up */
};

struct fm_flow_thread {
	struct fm_flow *flow;
	struct fm_worker *worker;
	uint32_t first, count; /* its lanes */
	int code;	       /* of its last job */
	struct fm_error error;
};

struct fm_flow {
	const struct fm_transport *transport;
	const struct fm_place *place;
	const struct fm_clock *clock;
	struct fm_work work;
	uint64_t seed; /* with work.verify: of the messages, and changed for each repetition; else 0 */
	bool may_lose; /* with work.verify: messages may stay away */
	void *options; /* the transport's values; owned */
	const struct fm_memory_kind *kind;
	int memory_device;
	struct fm_buffer *buffers; /* two a stream */
	struct fm_endpoint *endpoint;
	struct fm_blob own, peer;
	struct fm_lane *lanes;
	struct fm_loop *loops;
	struct fm_flow_thread *threads;
	uint64_t operations, batch;		    /* of the repetition in hand, all lanes; per stamp */
	uint64_t incoming;			    /* bidirectional: of the peer's drives */
	uint64_t give_up_ns;			    /* when connect or disconnect has called again for long enough */
	atomic_int *stop;			    /* enum fm_stop, shared by the flows of a point */
	atomic_uint armed;			    /* threads whose lanes are armed in this repetition */
	atomic_uint through;			    /* bidirectional: threads whose drives are through */
	void (*job)(struct fm_flow_thread *thread); /* what all threads do now */
	atomic_uint gathered, running;		    /* threads that have begun it; that have not ended it */
	struct fm_counters before, after;
	struct fm_effective effective;
	struct fm_error error;
};

struct fm_flow_setup {
	const struct fm_point *point;
	const struct fm_place *place;
	uint32_t rail;
	bool passive; /* the server's side: B */
	const struct fm_clock *clock;
	const struct fm_services *services;
	const json_t *options; /* {transport: {option: text}} or NULL */
	uint64_t verify_seed;  /* not 0: messages are compared instead of timed */
	bool may_lose;	       /* what the test's capability says */
	const struct fm_registry *registry;
	atomic_int *stop;
	int wake_fd;
};

/*
 * The values of a transport's options: its defaults, and what the document {transport: {option: text}} says (NULL:
 * nothing). The caller frees; NULL on failure.
 */
void *fm_transport_values(const struct fm_transport *transport, const json_t *options, struct fm_error *error);

/* Allocates the flow and starts its workers. NULL on failure. */
struct fm_flow *fm_flow_new(const struct fm_flow_setup *setup, struct fm_error *error);

/* Each starts a step and returns at once. */
void fm_flow_prepare(struct fm_flow *flow); /* memory, open, address: then own is filled */
void fm_flow_connect(struct fm_flow *flow); /* with peer filled */
void fm_flow_arm(struct fm_flow *flow, uint64_t operations, uint64_t incoming);
void fm_flow_run(struct fm_flow *flow);			       /* the armed repetition; a drive */
void fm_flow_serve(struct fm_flow *flow, uint64_t operations); /* arm and run in one; passive roles */
void fm_flow_settle(struct fm_flow *flow);		       /* once both ends' loops have ended */
void fm_flow_count(struct fm_flow *flow, bool after);	       /* counters, and effective values after */
void fm_flow_disconnect(struct fm_flow *flow);		       /* takes leave of the peer, on both ends at once */

/* True while a step is under way. */
bool fm_flow_busy(const struct fm_flow *flow);
/* True once every thread of a serve step has armed its lanes (or failed). */
bool fm_flow_armed(const struct fm_flow *flow);
/* True once every thread's drives are through: of a bidirectional run, which then goes on until FM_FINISH, or failed.
 */
bool fm_flow_through(const struct fm_flow *flow);
/* Result of the last step: 0 or a negative errno with the sentence in flow->error. -ECANCELED: stopped by FM_ABORT. */
int fm_flow_result(struct fm_flow *flow);

/* Operations done so far in the repetition under way, as of the last stamps: whether anything moves at all. */
uint64_t fm_flow_progress(const struct fm_flow *flow);
/* CPU time that the measuring threads have had so far, in ns, all together. */
uint64_t fm_flow_cpu_ns(const struct fm_flow *flow);
/* What the lanes saw in the repetition that just ended; of a bidirectional one, once the drives are through. */
void fm_flow_repetition(const struct fm_flow *flow, struct fm_repetition *repetition);

/*
 * Closes and frees; what hangs is left behind by deadline_ns, and the return is false. meanwhile, unless NULL, is
 * called often while it waits: the peer must not think us dead. Accepts NULL.
 */
bool fm_flow_free(struct fm_flow *flow, uint64_t deadline_ns, void (*meanwhile)(void *), void *argument);

#endif
