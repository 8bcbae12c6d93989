/*
 * pair.h - two ends of a transport in one process, with a stand-in for the server's port: what tests and benches of
 * lanes run through bench/loop.c. Side 0 drives and connects; side 1 is passive and does what the test's peer does.
 */
#ifndef FM_TEST_PAIR_H
#define FM_TEST_PAIR_H

#include <pthread.h>

#include "bench/verify.h"

enum { PAIR_STREAMS_MAX = 16, PAIR_STAMPS_MAX = 1 << 16 };

struct pair_request {
	const struct fm_transport *transport;
	const char *address;		   /* of both ends */
	const struct fm_place_rail *rails; /* two, one a side; NULL: the address is all that is known */
	const struct fm_memory_kind *memory;
	const void *options;
	enum fm_test_id test;
	uint64_t size, stride; /* stride 0: size */
	uint32_t slots, depth, streams, threads;
	bool events, verify, bidirectional;
	uint64_t verify_seed; /* not 0: with verify, compare instead of timing */
	bool pinned;	      /* side 0 on CPU 0, side 1 on CPU 1 */
};

/* The door: data sockets, by cookie. */
struct pair_services {
	struct fm_services table;
	int listener;
	uint32_t expected, pending;
	uint8_t cookies[PAIR_STREAMS_MAX][16];
	int fds[PAIR_STREAMS_MAX];	/* of cookies: sorted, not claimed yet; else -1 */
	int unsorted[PAIR_STREAMS_MAX]; /* accepted, greeting not here yet: pending of them */
	atomic_bool stopped;
};

struct pair_thread {
	struct pair_side *side;
	pthread_t id;
	uint32_t first, count; /* of the side's loops */
	int code;
	struct fm_error error; /* of verifying */
};

struct pair_side {
	struct pair *pair;
	struct fm_work work;
	struct fm_place place;
	struct fm_buffer buffers[2 * PAIR_STREAMS_MAX];
	struct fm_endpoint *endpoint;
	struct fm_lane lanes[PAIR_STREAMS_MAX];
	struct fm_loop loops[PAIR_STREAMS_MAX];
	struct pair_thread threads[PAIR_STREAMS_MAX];
	atomic_int stop;
	int cpu; /* -1: anywhere */
};

struct pair {
	struct pair_request request;
	struct pair_services services;
	struct fm_clock clock;
	struct pair_side sides[2];
};

/* Opens and connects both ends by the deadline of 10 s. What failed is closed again. */
int pair_open(struct pair *pair, const struct pair_request *request, struct fm_error *error);
/* Arms both ends and runs one repetition to its end: 0, or the first code that is not. */
int pair_run(struct pair *pair, uint64_t operations, uint64_t batch);
/* The same in steps; stop is raised by the caller, join gives the side's first code. */
int pair_arm(struct pair *pair, uint64_t operations, uint64_t batch);
void pair_start(struct pair *pair, int side);
int pair_join(struct pair *pair, int side);
/* Accepts a pair that pair_open has failed on. */
void pair_close(struct pair *pair);

#endif
