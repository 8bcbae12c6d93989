/*
 * flow_steps.c - what a flow's workers do, step by step.
 */
#include "bench/flow_steps.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "bench/verify.h"
#include "common/memory/memory.h"

#define CONNECT_NS 10000000000u /* wiring up UCX over soft RoCE takes seconds */
#define PASSIVE_NS 2000000000u
#define STAMPS_MAX (1u << 28)

/* Ends a job: one that failed stops the others of its point, which would wait for ever for what will not come. */
static void thread_done(struct fm_flow_thread *thread)
{
	if (thread->code && thread->code != -ECANCELED)
		atomic_store(thread->flow->stop, FM_ABORT);
}

static void step_allocate(struct fm_flow *flow, struct fm_error *error, int *code)
{
	size_t bytes = (size_t)flow->work.slots * flow->work.stride_bytes;

	for (uint32_t i = 0; i < 2 * flow->work.streams && *code == 0; i++)
		*code = flow->kind->allocate(flow->place->rails[flow->work.rail].numa_node, flow->memory_device, bytes,
					     &flow->buffers[i], error);
}

void fm_step_prepare(void *argument)
{
	struct fm_flow_thread *thread = argument;
	struct fm_flow *flow = thread->flow;

	thread->code = 0;
	step_allocate(flow, &thread->error, &thread->code);
	if (thread->code == 0)
		thread->code = flow->transport->open(flow->place, &flow->work, flow->buffers, 2 * flow->work.streams,
						     &flow->endpoint, &thread->error);
	if (thread->code == 0)
		thread->code = flow->transport->address(flow->endpoint, &flow->own, &thread->error);
	thread_done(thread);
}

/* After a call that said -EAGAIN: true to call again, after a nap; false when the point was given up. */
static bool again(struct fm_flow_thread *thread)
{
	const struct timespec nap = {0, FM_NAP_NS};

	if (thread->code != -EAGAIN)
		return false;
	if (atomic_load(thread->flow->stop) != FM_RUN) {
		thread->code = -ECANCELED;
		return false;
	}
	if (fm_now_ns() >= thread->flow->give_up_ns) {
		/* The transport has said what it waits for. */
		thread->code = thread->error.code = -ETIMEDOUT;
		if (!thread->error.text[0])
			fm_error_set(&thread->error, -ETIMEDOUT, FM_REASON_TIMEOUT,
				     "the data path could not be set up in time");
		return false;
	}
	nanosleep(&nap, NULL);
	return true;
}

void fm_step_connect(void *argument)
{
	struct fm_flow_thread *thread = argument;
	struct fm_flow *flow = thread->flow;

	thread->error.text[0] = '\0';
	/* The side that opens connections knows best why there is none: let it speak first. */
	flow->give_up_ns = fm_now_ns() + CONNECT_NS + (flow->work.passive ? PASSIVE_NS : 0);
	do {
		thread->code = flow->transport->connect(flow->endpoint, &flow->peer, flow->lanes, flow->work.streams,
							&thread->error);
	} while (again(thread));
	thread_done(thread);
}

void fm_step_disconnect(void *argument)
{
	struct fm_flow_thread *thread = argument;
	struct fm_flow *flow = thread->flow;

	thread->error.text[0] = '\0';
	flow->give_up_ns = fm_now_ns() + CONNECT_NS;
	do {
		thread->code = flow->transport->disconnect(flow->endpoint, &thread->error);
	} while (again(thread));
	thread_done(thread);
}

/* Between phases, and while the peer still connects: some stacks need both ends to turn the crank. */
void fm_step_progress(void *argument)
{
	struct fm_flow_thread *thread = argument;
	struct fm_flow *flow = thread->flow;
	struct fm_error ignored;

	/* A failure shows again, with its cause, in the next step that needs the path. */
	if (flow->endpoint && atomic_load(&flow->running) == 0)
		flow->transport->progress(flow->endpoint, &ignored);
}

static int trace_reserve(struct fm_trace *trace, uint64_t stamps, struct fm_error *error)
{
	uint64_t *ticks, *done;

	if (stamps <= trace->capacity)
		return 0;
	if (stamps > STAMPS_MAX)
		return fm_error_set(error, -E2BIG, FM_REASON_USAGE,
				    "%llu time stamps in one repetition are too many; ask for fewer with --iterations",
				    (unsigned long long)stamps);
	ticks = malloc(stamps * sizeof(*ticks));
	done = malloc(stamps * sizeof(*done));
	if (!ticks || !done) {
		free(ticks);
		free(done);
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY,
				    "no memory for %llu time stamps; ask for fewer with --iterations",
				    (unsigned long long)stamps);
	}
	/* Touched now, so that no page fault falls into a sample. */
	memset(ticks, 0, stamps * sizeof(*ticks));
	memset(done, 0, stamps * sizeof(*done));
	free(trace->ticks);
	free(trace->done);
	trace->ticks = ticks;
	trace->done = done;
	trace->capacity = (uint32_t)stamps;
	return 0;
}

/* The part of a flow's operations that lane `index` gets: as even as can be. */
static uint64_t lane_share(const struct fm_flow *flow, uint64_t operations, uint32_t index)
{
	return operations / flow->work.streams + (index < operations % flow->work.streams);
}

static int arm_lane(struct fm_flow *flow, uint32_t index, struct fm_error *error)
{
	struct fm_loop *loop = &flow->loops[index];
	uint64_t stamps;
	int code;

	loop->lane = &flow->lanes[index];
	loop->operations = lane_share(flow, flow->operations, index);
	loop->batch = flow->batch;
	loop->depth = flow->work.depth;
	/* One for the start, one for the rest that fills no batch; echo and target stamp their start alone. */
	stamps = flow->work.role == FM_ECHO || flow->work.role == FM_TARGET ? 2 : loop->operations / loop->batch + 2;
	code = trace_reserve(&loop->trace, stamps, error);
	if (code)
		return code;
	code = loop->lane->arm(loop->lane->self, loop->operations, lane_share(flow, flow->incoming, index));
	if (code)
		loop->lane->explain(loop->lane->self, error);
	return code;
}

static struct fm_verify verify_of(const struct fm_flow_thread *thread)
{
	const struct fm_flow *flow = thread->flow;

	return (struct fm_verify){&flow->work, flow->buffers, flow->seed, thread->first, thread->count, flow->may_lose};
}

void fm_step_arm(struct fm_flow_thread *thread)
{
	const struct fm_verify verify = verify_of(thread);

	thread->code = thread->flow->seed ? fm_verify_begin(&verify, &thread->error) : 0;
	for (uint32_t i = 0; i < thread->count && thread->code == 0; i++)
		thread->code = arm_lane(thread->flow, thread->first + i, &thread->error);
	thread_done(thread);
}

void fm_step_run(struct fm_flow_thread *thread)
{
	struct fm_flow *flow = thread->flow;
	struct fm_loop *loops = flow->loops + thread->first;
	const struct fm_verify verify = verify_of(thread);
	const struct fm_loop_context context = {
		.clock = flow->clock,
		.stop = flow->stop,
		.yield = flow->place->rails[flow->work.rail].shared_cpus,
		.bidirectional = flow->work.bidirectional,
	};

	if (flow->seed)
		thread->code = fm_verify_run(&verify, loops, &context, &thread->error);
	else
		thread->code = fm_loop_run(flow->work.role, loops, thread->count, &context);
	if (flow->work.bidirectional && thread->code == 0) {
		atomic_fetch_add(&flow->through, 1);
		fm_worker_wake(thread->worker);
		thread->code = fm_loop_linger(loops, thread->count, &context);
	}
	for (uint32_t i = 0; i < thread->count; i++)
		if (thread->code && loops[i].failed)
			loops[i].lane->explain(loops[i].lane->self, &thread->error);
	thread_done(thread);
}

void fm_step_serve(struct fm_flow_thread *thread)
{
	fm_step_arm(thread);
	if (thread->code)
		return;
	atomic_fetch_add(&thread->flow->armed, 1);
	fm_worker_wake(thread->worker);
	fm_step_run(thread);
}

void fm_step_settle(struct fm_flow_thread *thread)
{
	const struct fm_verify verify = verify_of(thread);

	thread->code = 0;
	for (uint32_t i = 0; i < thread->count && thread->code == 0; i++) {
		const struct fm_lane *lane = thread->flow->loops[thread->first + i].lane;

		thread->code = lane->settle(lane->self);
		if (thread->code)
			lane->explain(lane->self, &thread->error);
	}
	if (thread->flow->seed && thread->code == 0)
		thread->code = fm_verify_end(&verify, thread->flow->loops + thread->first, &thread->error);
	thread_done(thread);
}

void fm_step_before(void *argument)
{
	struct fm_flow_thread *thread = argument;
	struct fm_flow *flow = thread->flow;

	flow->before = (struct fm_counters){0};
	thread->code = flow->transport->counters(flow->endpoint, &flow->before, &thread->error);
}

void fm_step_after(void *argument)
{
	struct fm_flow_thread *thread = argument;
	struct fm_flow *flow = thread->flow;

	flow->after = (struct fm_counters){0};
	flow->effective.count = 0;
	thread->code = flow->transport->counters(flow->endpoint, &flow->after, &thread->error);
	if (thread->code == 0)
		thread->code = flow->transport->effective(flow->endpoint, &flow->effective, &thread->error);
}

void fm_step_close(void *argument)
{
	struct fm_flow_thread *thread = argument;
	struct fm_flow *flow = thread->flow;

	flow->transport->close(flow->endpoint);
	flow->endpoint = NULL;
	for (uint32_t i = 0; i < 2 * flow->work.streams; i++)
		if (flow->buffers[i].kind)
			flow->kind->free(&flow->buffers[i]);
	thread->code = 0;
}
