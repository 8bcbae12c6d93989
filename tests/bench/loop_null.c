/*
 * loop_null.c - turns of the drive loop over the null transport, for counting instructions: loop_null DEPTH OPERATIONS
 * BATCH [one]. "one": a lane that completes one operation at each poll, as a busy network does, instead of all.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/loop.h"
#include "transports/registry.h"

enum { STAMPS_MAX = 1 << 20 };

static int one_post(void *self, uint32_t count)
{
	*(uint64_t *)self += count;
	return (int)count;
}

static int one_poll(void *self)
{
	uint64_t *outstanding = self;
	int done = *outstanding > 0;

	*outstanding -= (uint64_t)done;
	return done;
}

static int one_arm(void *self, uint64_t operations, uint64_t incoming)
{
	(void)operations, (void)incoming;
	*(uint64_t *)self = 0;
	return 0;
}

static int run(const struct fm_lane *lane, uint32_t depth, uint64_t operations, uint64_t batch)
{
	struct fm_clock clock = {.counter = true, .source = "tsc", .ns_per_tick = 1};
	atomic_int stop = FM_RUN;
	struct fm_loop_context context = {.clock = &clock, .stop = &stop};
	struct fm_loop loop = {.lane = lane, .operations = operations, .batch = batch, .depth = depth};
	int code;

	/* The same for any number of operations, so that the difference of two runs is the loop's alone. */
	loop.trace.capacity = STAMPS_MAX;
	loop.trace.ticks = calloc(loop.trace.capacity, sizeof(uint64_t));
	loop.trace.done = calloc(loop.trace.capacity, sizeof(uint64_t));
	if (!loop.trace.ticks || !loop.trace.done)
		return -1;
	lane->arm(lane->self, operations, 0);
	code = fm_loop_run(FM_DRIVE, &loop, 1, &context);
	printf("%" PRIu64 " operations, %u stamps\n", loop.done, loop.trace.count);
	free(loop.trace.ticks);
	free(loop.trace.done);
	return code;
}

int main(int argc, char **argv)
{
	const struct fm_transport *null = fm_transport_find("null");
	const struct fm_place place = {.count = 1};
	struct fm_work work = {.test = FM_WRITE_BW, .role = FM_DRIVE, .streams = 1, .threads = 1};
	struct fm_endpoint *endpoint = NULL;
	struct fm_error error;
	uint64_t outstanding = 0;
	struct fm_lane lane = {&outstanding, one_arm, one_post, one_poll, fm_settle_none, NULL};
	uint32_t depth;
	int code;

	if (argc < 4) {
		fputs("usage: loop_null DEPTH OPERATIONS BATCH [one]\n", stderr);
		return 2;
	}
	depth = work.depth = (uint32_t)strtoul(argv[1], NULL, 10);
	if (argc == 4 && (null->open(&place, &work, NULL, 0, &endpoint, &error) ||
			  null->connect(endpoint, NULL, &lane, 1, &error))) {
		fprintf(stderr, "%s\n", error.text);
		return 1;
	}
	code = run(&lane, depth, strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
	null->close(endpoint);
	return code ? 1 : 0;
}
