/*
 * flow.c - a flow: set up and torn down, its steps started and awaited.
 */
#include "bench/flow_steps.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "common/memory/memory.h"

#define SETUP_NS	1000000000u
#define RATE_STAMPS	1000  /* of a stream in a repetition of a bandwidth test, at most, */
#define RATE_STAMPS_MIN 40    /* at least, */
#define FLOW_STAMPS	64000 /* and of all streams unless they are very many */

/* ---- starting and awaiting steps, in the control thread ---- */

static void start_first(struct fm_flow *flow, void (*job)(void *))
{
	fm_worker_submit(flow->threads[0].worker, job, &flow->threads[0]);
}

/*
 * All threads begin together, and the first one's idle progress stays away until all have ended: no endpoint function
 * may be called while a lane's are.
 */
static void job_together(void *argument)
{
	struct fm_flow_thread *thread = argument;
	struct fm_flow *flow = thread->flow;
	bool stopped = false;

	atomic_fetch_add(&flow->gathered, 1);
	while (atomic_load(&flow->gathered) < flow->work.threads && !stopped) {
		stopped = atomic_load(flow->stop) == FM_ABORT;
		sched_yield();
	}
	thread->code = -ECANCELED;
	if (!stopped)
		flow->job(thread);
	atomic_fetch_sub(&flow->running, 1);
}

static void start_all(struct fm_flow *flow, void (*job)(struct fm_flow_thread *thread))
{
	flow->job = job;
	atomic_store(&flow->gathered, 0);
	atomic_store(&flow->running, flow->work.threads);
	for (uint32_t i = 0; i < flow->work.threads; i++)
		fm_worker_submit(flow->threads[i].worker, job_together, &flow->threads[i]);
}

void fm_flow_prepare(struct fm_flow *flow)
{
	start_first(flow, fm_step_prepare);
}

void fm_flow_connect(struct fm_flow *flow)
{
	fm_worker_idle(flow->threads[0].worker, fm_step_progress, &flow->threads[0]);
	start_first(flow, fm_step_connect);
}

/* Latency: a stamp for each operation. Many streams share what can be reckoned with between two repetitions. */
static void set_repetition(struct fm_flow *flow, uint64_t operations, uint64_t incoming)
{
	uint64_t share = operations / flow->work.streams;
	uint64_t stamps = FLOW_STAMPS / flow->work.streams;
	bool each = fm_tests[flow->work.test].metric == FM_LATENCY;

	/* Both ends count the repetitions of an endpoint alike. */
	if (flow->seed)
		flow->seed = fm_pattern_word(flow->seed, 0) | 1;
	flow->operations = operations;
	flow->incoming = incoming;
	if (stamps > RATE_STAMPS)
		stamps = RATE_STAMPS;
	else if (stamps < RATE_STAMPS_MIN)
		stamps = RATE_STAMPS_MIN;
	flow->batch = !each && share > stamps ? share / stamps : 1;
	atomic_store(&flow->armed, 0);
	atomic_store(&flow->through, 0);
}

void fm_flow_arm(struct fm_flow *flow, uint64_t operations, uint64_t incoming)
{
	set_repetition(flow, operations, incoming);
	start_all(flow, fm_step_arm);
}

void fm_flow_run(struct fm_flow *flow)
{
	start_all(flow, fm_step_run);
}

void fm_flow_serve(struct fm_flow *flow, uint64_t operations)
{
	set_repetition(flow, operations, 0);
	start_all(flow, fm_step_serve);
}

void fm_flow_settle(struct fm_flow *flow)
{
	start_all(flow, fm_step_settle);
}

void fm_flow_disconnect(struct fm_flow *flow)
{
	start_first(flow, fm_step_disconnect);
}

void fm_flow_count(struct fm_flow *flow, bool after)
{
	start_first(flow, after ? fm_step_after : fm_step_before);
}

bool fm_flow_busy(const struct fm_flow *flow)
{
	for (uint32_t i = 0; i < flow->work.threads; i++)
		if (fm_worker_busy(flow->threads[i].worker))
			return true;
	return false;
}

bool fm_flow_armed(const struct fm_flow *flow)
{
	return atomic_load(&flow->armed) == flow->work.threads || !fm_flow_busy(flow);
}

bool fm_flow_through(const struct fm_flow *flow)
{
	return atomic_load(&flow->through) == flow->work.threads || !fm_flow_busy(flow);
}

int fm_flow_result(struct fm_flow *flow)
{
	int canceled = 0;

	for (uint32_t i = 0; i < flow->work.threads; i++) {
		struct fm_flow_thread *thread = &flow->threads[i];

		if (thread->code && thread->code != -ECANCELED) {
			flow->error = thread->error;
			return thread->code;
		}
		canceled |= thread->code;
	}
	if (canceled)
		fm_error_set(&flow->error, -ECANCELED, FM_REASON_INTERRUPTED, "stopped before it was through");
	return canceled;
}

uint64_t fm_flow_cpu_ns(const struct fm_flow *flow)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < flow->work.threads; i++)
		sum += fm_worker_cpu_ns(flow->threads[i].worker);
	return sum;
}

uint64_t fm_flow_progress(const struct fm_flow *flow)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < flow->work.streams; i++)
		sum += atomic_load_explicit(&flow->loops[i].beat, memory_order_relaxed);
	return sum;
}

/* A sink starts before its drive and may end between two stamps: its rate lies between the second and the last. */
static double trace_seen_per_s(const struct fm_flow *flow, const struct fm_trace *trace)
{
	uint64_t ticks, done;

	if (trace->count < 3)
		return 0;
	ticks = trace->ticks[trace->count - 1] - trace->ticks[1];
	done = trace->done[trace->count - 1] - trace->done[1];
	return ticks ? (double)done * 1e9 / ((double)ticks * flow->clock->ns_per_tick) : 0;
}

void fm_flow_repetition(const struct fm_flow *flow, struct fm_repetition *repetition)
{
	*repetition = (struct fm_repetition){0, UINT64_MAX, 0, NAN, NAN, NAN, 0};
	for (uint32_t i = 0; i < flow->work.streams; i++) {
		const struct fm_loop *loop = &flow->loops[i];
		const struct fm_trace *trace = &loop->trace;
		uint64_t start, end;
		double rate;

		repetition->operations += loop->done;
		if (trace->count < 2)
			continue;
		start = fm_clock_ns(flow->clock, trace->ticks[0]);
		end = fm_clock_ns(flow->clock, trace->ticks[trace->count - 1]);
		if (start < repetition->start_ns)
			repetition->start_ns = start;
		if (end > repetition->end_ns)
			repetition->end_ns = end;
		rate = end > start ? (double)trace->done[trace->count - 1] * 1e9 / (double)(end - start) : NAN;
		repetition->seen_per_s += trace_seen_per_s(flow, trace);
		repetition->stream_min_per_s = fmin(repetition->stream_min_per_s, rate);
		repetition->stream_max_per_s = fmax(repetition->stream_max_per_s, rate);
	}
}

/* ---- set-up and tear-down ---- */

void *fm_transport_values(const struct fm_transport *transport, const json_t *options, struct fm_error *error)
{
	const struct fm_option_set *set = transport->options;
	void *values = calloc(1, set && set->bytes ? set->bytes : 1);
	const char *name;
	json_t *value;
	int code = 0;

	if (!values) {
		fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for the options of %s",
			     transport->name);
		return NULL;
	}
	if (set)
		code = fm_options_defaults(set, values, error);
	json_object_foreach(json_object_get(options, transport->name), name, value)
	{
		if (code == 0)
			code = set ? fm_options_set(set, values, name, json_string_value(value), error) : -ENOENT;
		if (code == -ENOENT)
			fm_error_set(error, code, FM_REASON_USAGE, "transport %s has no option '%.60s'",
				     transport->name, name);
	}
	if (code == 0)
		return values;
	free(values);
	return NULL;
}

static int flow_threads(struct fm_flow *flow, int wake_fd, struct fm_error *error)
{
	const struct fm_place_rail *rail = &flow->place->rails[flow->work.rail];
	uint32_t each = flow->work.streams / flow->work.threads;
	int code = 0;

	for (uint32_t i = 0; i < flow->work.threads && code == 0; i++) {
		struct fm_flow_thread *thread = &flow->threads[i];

		thread->flow = flow;
		thread->first = i * each;
		thread->count = each;
		code = fm_worker_start(rail->cpu_count ? rail->cpus[i % rail->cpu_count] : -1, wake_fd, &thread->worker,
				       error);
	}
	return code;
}

static int flow_fill(struct fm_flow *flow, const struct fm_flow_setup *setup, struct fm_error *error)
{
	const struct fm_point *point = setup->point;
	const char *memory = setup->passive ? point->memory_b : point->memory_a;
	const char *device = strchr(memory, ':');

	flow->transport = fm_transport_among(setup->registry->list, point->transport);
	flow->kind = fm_memory_find(memory);
	if (!flow->transport || !flow->kind)
		return fm_error_set(error, -ENOENT, FM_REASON_ABSENT, "no transport '%s' or no memory kind '%s' here",
				    point->transport, memory);
	flow->memory_device = device ? (int)strtol(device + 1, NULL, 10) : -1;
	flow->options = fm_transport_values(flow->transport, setup->options, error);
	if (!flow->options)
		return error->code;
	flow->work = (struct fm_work){
		.test = point->test,
		.role = setup->passive && !point->bidirectional ? fm_tests[point->test].peer : FM_DRIVE,
		.passive = setup->passive,
		.bidirectional = point->bidirectional,
		.size_bytes = point->size_bytes,
		.stride_bytes = point->stride_bytes,
		.slots = point->slots,
		.depth = point->depth,
		.rail = setup->rail,
		.streams = point->streams,
		.threads = point->threads,
		.events = point->events,
		.verify = setup->verify_seed != 0,
		.options = flow->options,
		.services = setup->services,
	};
	flow->seed = setup->verify_seed;
	flow->may_lose = setup->may_lose;
	if (flow->seed)
		flow->work.slots = fm_point_verify_slots(point);
	/* Each message keeps its slot until it has been looked at. */
	if (flow->seed && flow->work.depth > flow->work.slots)
		flow->work.depth = flow->work.slots;
	flow->buffers = calloc((size_t)2 * point->streams, sizeof(*flow->buffers));
	flow->lanes = calloc(point->streams, sizeof(*flow->lanes));
	flow->loops = calloc(point->streams, sizeof(*flow->loops));
	flow->threads = calloc(point->threads, sizeof(*flow->threads));
	if (!flow->buffers || !flow->lanes || !flow->loops || !flow->threads)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for %u streams",
				    point->streams);
	return flow_threads(flow, setup->wake_fd, error);
}

struct fm_flow *fm_flow_new(const struct fm_flow_setup *setup, struct fm_error *error)
{
	struct fm_flow *flow = calloc(1, sizeof(*flow));

	if (!flow) {
		fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for a flow");
		return NULL;
	}
	flow->place = setup->place;
	flow->clock = setup->clock;
	flow->stop = setup->stop;
	if (flow_fill(flow, setup, error)) {
		fm_flow_free(flow, fm_now_ns() + SETUP_NS, NULL, NULL);
		return NULL;
	}
	return flow;
}

/* True when no worker is busy any more. */
static bool flow_settle(struct fm_flow *flow, uint64_t deadline_ns, void (*meanwhile)(void *), void *argument)
{
	const struct timespec nap = {0, FM_NAP_NS};

	for (uint32_t i = 0; i < flow->work.threads; i++)
		while (flow->threads[i].worker && fm_worker_busy(flow->threads[i].worker)) {
			if (fm_now_ns() >= deadline_ns)
				return false;
			if (meanwhile)
				meanwhile(argument);
			nanosleep(&nap, NULL);
		}
	return true;
}

bool fm_flow_free(struct fm_flow *flow, uint64_t deadline_ns, void (*meanwhile)(void *), void *argument)
{
	bool gone;

	if (!flow)
		return true;
	gone = !flow->threads || flow_settle(flow, deadline_ns, meanwhile, argument);
	if (gone && flow->threads && flow->threads[0].worker) {
		start_first(flow, fm_step_close);
		gone = flow_settle(flow, deadline_ns, meanwhile, argument);
	}
	for (uint32_t i = 0; flow->threads && i < flow->work.threads; i++)
		gone = fm_worker_stop(flow->threads[i].worker, gone ? deadline_ns + 100000000u : 0) && gone;
	if (!gone)
		return false;
	for (uint32_t i = 0; flow->loops && i < flow->work.streams; i++) {
		free(flow->loops[i].trace.ticks);
		free(flow->loops[i].trace.done);
	}
	free(flow->buffers);
	free(flow->lanes);
	free(flow->loops);
	free(flow->threads);
	free(flow->options);
	free(flow);
	return true;
}
