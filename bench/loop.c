/*
 * loop.c - drive, echo, sink and target.
 */
#include "bench/loop.h"

#include <errno.h>
#include <sched.h>

static inline void loop_stamp(struct fm_loop *loop, uint64_t done, const struct fm_loop_context *context)
{
	struct fm_trace *trace = &loop->trace;
	uint32_t at = trace->count;

	/* A full trace overwrites its last entry, so that the end is always there. */
	if (__builtin_expect(at < trace->capacity, 1))
		trace->count = at + 1;
	else
		at = trace->capacity - 1;
	trace->ticks[at] = fm_clock_ticks(context->clock);
	trace->done[at] = done;
	loop->mark = done + loop->batch;
}

static inline bool loop_stopped(const struct fm_loop_context *context, enum fm_stop level)
{
	return __builtin_expect(atomic_load_explicit(context->stop, memory_order_relaxed) >= (int)level, 0);
}

/* Nothing came: the one place where time is to spare. */
static inline bool loop_idle(const struct fm_loop_context *context, enum fm_stop level)
{
	if (context->yield)
		sched_yield();
	return loop_stopped(context, level);
}

static int loop_fail(struct fm_loop *loop, int code)
{
	loop->failed = code;
	return code;
}

/*
 * Turns of one drive: one, or all of them where the thread has no other lane. Counts and the lane's functions are kept
 * in locals: in memory the compiler would have to read them again after each call. 0, or why the thread ends.
 */
static inline __attribute__((always_inline)) int drive_turns(struct fm_loop *loop,
							     const struct fm_loop_context *context, bool alone)
{
	const struct fm_lane lane = *loop->lane;
	const uint64_t operations = loop->operations;
	const uint64_t depth = loop->depth;
	uint64_t posted = loop->posted, done = loop->done, limit;
	int n;

	do {
		limit = done + depth < operations ? done + depth : operations;
		if (posted < limit) {
			n = lane.post(lane.self, (uint32_t)(limit - posted));
			if (__builtin_expect(n < 0, 0))
				goto failed;
			posted += (uint32_t)n;
		}
		n = lane.poll(lane.self);
		if (__builtin_expect(n < 0, 0))
			goto failed;
		done += (uint32_t)n;
		atomic_store_explicit(&loop->beat, done, memory_order_relaxed);
		if (done >= loop->mark) {
			loop_stamp(loop, done, context);
			if (loop_stopped(context, FM_ABORT))
				goto cancelled;
		} else if (n == 0 && loop_idle(context, FM_ABORT)) {
			goto cancelled;
		}
	} while (alone && done < operations);
	/* What filled no batch. */
	if (done >= operations && loop->mark != done + loop->batch)
		loop_stamp(loop, done, context);
	n = 0;
	goto out;
cancelled:
	n = -ECANCELED;
	goto out;
failed:
	loop->failed = n;
out:
	loop->posted = posted;
	loop->done = done;
	return n;
}

static int loop_drive(struct fm_loop *loops, uint32_t count, const struct fm_loop_context *context)
{
	bool running = true;

	for (uint32_t i = 0; i < count; i++)
		loop_stamp(&loops[i], 0, context);
	if (count == 1)
		return loops->operations ? drive_turns(loops, context, true) : 0;
	while (running) {
		running = false;
		for (uint32_t i = 0; i < count; i++) {
			int code;

			if (loops[i].done >= loops[i].operations) {
				if (!context->bidirectional)
					continue;
				code = loops[i].lane->poll(loops[i].lane->self);
				if (__builtin_expect(code < 0, 0))
					return loop_fail(&loops[i], code);
				continue;
			}
			running = true;
			code = drive_turns(&loops[i], context, false);
			if (__builtin_expect(code, 0))
				return code;
		}
	}
	return 0;
}

/*
 * A turn of a passive loop: 1: nothing came and the stop flag is up; 0: go on; else why the thread ends. The flag is
 * also read while there is work, since a peer that does not stop must not keep this end from stopping.
 */
static inline int echo_turn(struct fm_loop *loop, const struct fm_loop_context *context)
{
	const struct fm_lane *lane = loop->lane;
	int n = lane->poll(lane->self);

	if (__builtin_expect(n < 0, 0))
		return loop_fail(loop, n);
	loop->done += (uint32_t)n;
	if (loop->done == loop->posted)
		return loop_idle(context, FM_FINISH);
	n = lane->post(lane->self, (uint32_t)(loop->done - loop->posted));
	if (__builtin_expect(n < 0, 0))
		return loop_fail(loop, n);
	loop->posted += (uint32_t)n;
	/* A reply that cannot be sent because the peer is gone must not hide the flag either. */
	if (n == 0)
		return loop_idle(context, FM_FINISH);
	return loop_stopped(context, FM_ABORT) ? -ECANCELED : 0;
}

static inline int sink_turn(struct fm_loop *loop, const struct fm_loop_context *context)
{
	int n = loop->lane->poll(loop->lane->self);

	if (__builtin_expect(n < 0, 0))
		return loop_fail(loop, n);
	if (n == 0)
		return loop_idle(context, FM_FINISH);
	loop->done += (uint32_t)n;
	if (loop->done < loop->mark && loop->done != loop->operations)
		return 0;
	loop_stamp(loop, loop->done, context);
	return loop_stopped(context, FM_ABORT) ? -ECANCELED : 0;
}

static inline int target_turn(struct fm_loop *loop, const struct fm_loop_context *context)
{
	int n = loop->lane->poll(loop->lane->self);

	return __builtin_expect(n < 0, 0) ? loop_fail(loop, n) : loop_idle(context, FM_FINISH);
}

/* Turns until all lanes are idle and told to end. Unrolled per role by the compiler: turn is a constant at each call.
 */
static inline __attribute__((always_inline)) int loop_turns(struct fm_loop *loops, uint32_t count,
							    const struct fm_loop_context *context,
							    int (*turn)(struct fm_loop *,
									const struct fm_loop_context *))
{
	/* A thread may lose its CPU between a poll and the look at the flag: what came then is found by one poll more.
	 */
	bool stopped = false;

	for (;;) {
		bool idle = true;

		for (uint32_t i = 0; i < count; i++) {
			int code = turn(&loops[i], context);

			if (__builtin_expect(code < 0, 0))
				return code;
			idle = idle && code;
		}
		if (idle && stopped)
			return loop_stopped(context, FM_ABORT) ? -ECANCELED : 0;
		stopped = idle;
	}
}

static inline __attribute__((always_inline)) int loop_serve(struct fm_loop *loops, uint32_t count,
							    const struct fm_loop_context *context,
							    int (*turn)(struct fm_loop *,
									const struct fm_loop_context *))
{
	for (uint32_t i = 0; i < count; i++)
		loop_stamp(&loops[i], 0, context);
	return loop_turns(loops, count, context, turn);
}

int fm_loop_linger(struct fm_loop *loops, uint32_t count, const struct fm_loop_context *context)
{
	return loop_turns(loops, count, context, target_turn);
}

int fm_loop_run(enum fm_role role, struct fm_loop *loops, uint32_t count, const struct fm_loop_context *context)
{
	for (uint32_t i = 0; i < count; i++) {
		loops[i].posted = loops[i].done = loops[i].mark = 0;
		loops[i].failed = 0;
		loops[i].trace.count = 0;
	}
	switch (role) {
	case FM_DRIVE:
		return loop_drive(loops, count, context);
	case FM_ECHO:
		return loop_serve(loops, count, context, echo_turn);
	case FM_SINK:
		return loop_serve(loops, count, context, sink_turn);
	case FM_TARGET:
		return loop_serve(loops, count, context, target_turn);
	}
	return -EINVAL;
}
