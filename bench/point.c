/*
 * point.c - the initiator measures one point: connect, warm up and calibrate, repeat until sure or out of time.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/random.h>

#include "bench/bidirectional.h"
#include "bench/node.h"
#include "bench/pace.h"
#include "bench/rails.h"
#include "bench/verify.h"
#include "bench/wire.h"
#include "results/stats.h"

#define REPETITION_S	   0.3
#define WARMUP_S	   0.3 /* most that a warm-up takes, calibration included */
#define WARMUP_MAX_S	   1.2 /* the same where nothing has told the speed until then */
#define WINDOWS_MISSED_MAX 5
#define RESIZES_MAX	   3 /* first repetitions, until one takes the time that was meant */
#define VERIFY_ROUNDS	   8
#define CALIBRATED_S	   0.005 /* a slice that took so long tells the speed */
#define EPSILON		   0.01	 /* of the stop rule */
#define BLOCKS		   30	 /* a warm-up slice, for the steady-state test */

static uint64_t within_s(double seconds)
{
	return fm_now_ns() + (uint64_t)(seconds * 1e9);
}

/* ---- phases ---- */

static json_t *blobs_to_json(const struct fm_flows *flows)
{
	json_t *blobs = json_array();

	for (uint32_t i = 0; i < flows->count; i++)
		json_array_append_new(blobs, fm_blob_to_json(&flows->list[i]->own));
	return blobs;
}

static int blobs_from_json(struct fm_flows *flows, const json_t *message, struct fm_error *error)
{
	const json_t *blobs = json_object_get(message, "blobs");

	for (uint32_t i = 0; i < flows->count; i++)
		if (fm_blob_from_json(json_array_get(blobs, i), &flows->list[i]->peer))
			return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "%s sent a malformed address",
					    flows->session->peer);
	return 0;
}

static int point_send(struct fm_point_run *p, json_t *message, struct fm_error *error)
{
	int code = fm_session_send(p->flows->session, message, error);

	if (code)
		p->flows->session_lost = true;
	return code;
}

static int point_connect(struct fm_point_run *p, struct fm_error *error)
{
	struct fm_wait wait = {.idle = true, .deadline_ns = fm_now_ns() + FM_PHASE_NS, .what = "opening the device"};
	json_t *message = NULL;
	int code;

	fm_flows_each(p->flows, fm_flow_prepare);
	code = fm_flows_wait(p->flows, &wait, NULL, error);
	if (code == 0)
		code = point_send(p,
				  json_pack("{s:s, s:I, s:I, s:o}", "type", "point", "id", (json_int_t)p->point->id,
					    "verify", (json_int_t)p->verify_seed, "blobs", blobs_to_json(p->flows)),
				  error);
	wait.message = "addresses";
	wait.what = "waiting for the peer's addresses";
	if (code == 0)
		code = fm_flows_wait(p->flows, &wait, &message, error);
	if (code == 0)
		code = blobs_from_json(p->flows, message, error);
	json_decref(message);
	if (code)
		return code;
	fm_flows_each(p->flows, fm_flow_connect);
	wait = (struct fm_wait){.message = "connected",
				.idle = true,
				.deadline_ns = fm_now_ns() + FM_PHASE_NS,
				.what = "connecting the data path"};
	code = fm_flows_wait(p->flows, &wait, &message, error);
	json_decref(message);
	return code;
}

static json_t *arm_message(const struct fm_point_run *p, bool first)
{
	json_t *lists[] = {json_array(), json_array()};

	for (uint32_t i = 0; i < p->flows->count; i++)
		for (uint32_t way = 0; way < fm_ways(p); way++)
			json_array_append_new(lists[way], json_integer((json_int_t)p->paces[way][i].operations));
	return json_pack("{s:s, s:o, s:o, s:b, s:b}", "type", "arm", "operations", lists[FM_A_TO_B], "back",
			 lists[FM_B_TO_A], "first", first, "clock", p->counts);
}

/* Later than the heartbeat's verdict: a dead peer is not called a slow path. */
static uint64_t point_stall_ns(const struct fm_point_run *p)
{
	return p->run->session.peer_timeout_ns + fm_point_stall_ns(p->point);
}

static int point_arm(struct fm_point_run *p, bool first, struct fm_error *error)
{
	const struct fm_wait wait = {
		.message = "armed", .idle = true, .deadline_ns = fm_now_ns() + FM_PHASE_NS, .what = "arming"};
	json_t *message = NULL;
	int code;

	for (uint32_t i = 0; i < p->flows->count; i++)
		fm_flow_arm(p->flows->list[i], p->paces[FM_A_TO_B][i].operations, p->paces[FM_B_TO_A][i].operations);
	code = point_send(p, arm_message(p, first), error);
	if (code == 0)
		code = fm_flows_wait(p->flows, &wait, &message, error);
	json_decref(message);
	return code;
}

static int point_run(struct fm_point_run *p, json_t **done, struct fm_error *error)
{
	const struct fm_wait wait = {
		.idle = true, .deadline_ns = UINT64_MAX, .stall_ns = point_stall_ns(p), .what = "measuring"};
	int code;

	fm_flows_each(p->flows, fm_flow_run);
	code = fm_flows_wait(p->flows, &wait, NULL, error);
	if (code == 0)
		*done = json_pack("{s:s}", "type", "done");
	return code;
}

static int point_settle(struct fm_point_run *p, json_t *done, struct fm_error *error)
{
	struct fm_wait wait = {.message = "done",
			       .idle = true,
			       .deadline_ns = fm_now_ns() + FM_PHASE_NS,
			       .what = "waiting for the peer's count"};
	int code = point_send(p, done, error);

	json_decref(p->peer);
	p->peer = NULL;
	/* Lanes that carry both directions were polled on until here. */
	fm_flows_finish(p->flows);
	if (code == 0)
		code = fm_flows_wait(p->flows, &wait, &p->peer, error);
	if (code)
		return code;
	fm_flows_resume(p->flows);
	fm_flows_each(p->flows, fm_flow_settle);
	wait = (struct fm_wait){
		.idle = true, .deadline_ns = fm_now_ns() + FM_PHASE_NS, .what = "settling a repetition"};
	return fm_flows_wait(p->flows, &wait, NULL, error);
}

/*
 * One repetition of p->operations on each rail: both ends arm, the peer is polling before we start, and it stops when
 * it hears that we are through. first: the first that counts, so the peer reads its counters before.
 */
static int point_repeat(struct fm_point_run *p, bool first, struct fm_error *error)
{
	json_t *done = NULL;
	int code = point_arm(p, first, error);

	if (code)
		return code;
	code = p->point->bidirectional ? fm_bidirectional_run(p, point_stall_ns(p), &done, error)
				       : point_run(p, &done, error);
	return code ? code : point_settle(p, done, error);
}

/* ---- warm-up ---- */

/* Mean time of an operation in each of BLOCKS parts of the last slice, of rail 0's first stream. */
static void warmup_blocks(struct fm_point_run *p)
{
	const struct fm_trace *trace = &p->flows->list[0]->loops[0].trace;
	uint32_t stamps = trace->count - 1, each = stamps / BLOCKS ? stamps / BLOCKS : 1;
	double *grown = realloc(p->blocks, (p->block_count + BLOCKS + 1) * sizeof(*grown));

	if (!grown)
		return;
	p->blocks = grown;
	for (uint32_t from = 0, block = 0; from + each <= stamps && block < BLOCKS; from += each, block++) {
		uint64_t ticks = trace->ticks[from + each] - trace->ticks[from];
		uint64_t done = trace->done[from + each] - trace->done[from];

		if (done)
			p->blocks[p->block_count++] = (double)ticks / (double)done;
	}
}

/*
 * Slices that grow until one tells the speed, then slices of SLICE_S until the series is steady (MSER-5) or WARMUP_S is
 * over. All of it is thrown away.
 */
static int point_warm_up(struct fm_point_run *p, struct fm_error *error)
{
	uint64_t start = fm_now_ns(), first = p->point->streams;
	bool calibrated = false;

	fm_pace_set(p, first);
	for (;;) {
		double slice_s, used_s;
		int code = point_repeat(p, false, error);

		if (code)
			return code;
		slice_s = fm_pace_read(p);
		used_s = (double)(fm_now_ns() - start) / 1e9;
		p->out->warmup_s = used_s;
		fm_progress_show(&p->run->progress, "%s %s, warming up", p->point->transport, p->test->name);
		if (calibrated) {
			fm_pace_slice(p);
			warmup_blocks(p);
			p->out->steady = fm_stats_warmup(p->blocks, p->block_count) >= 0;
		}
		calibrated = calibrated || slice_s >= CALIBRATED_S;
		/* Where turns are long, slices take longer to tell anything. */
		if ((used_s >= WARMUP_S && (calibrated || used_s >= WARMUP_MAX_S)) ||
		    (p->out->steady && used_s >= WARMUP_S / 2))
			return 0;
		fm_pace_grow(p, calibrated);
	}
}

/* ---- repetitions ---- */

static const struct fm_tally *deciding(const struct fm_measurement *out)
{
	return &out->tallies[out->point->bidirectional ? FM_BOTH : FM_A_TO_B][out->rails > 1 ? FM_TOTAL : 0];
}

static void point_progress(const struct fm_point_run *p)
{
	const struct fm_tally *tally = deciding(p->out);

	fm_progress_show(&p->run->progress, "%s %s, %llu bytes: repetition %u, %.4g %s", p->point->transport,
			 p->test->name, (unsigned long long)p->point->size_bytes, tally->count,
			 tally->value[tally->count - 1], p->test->metric == FM_LATENCY ? "us" : "Gb/s");
}

/* Why measuring ends here; NULL: another repetition. */
static const char *point_stop(const struct fm_point_run *p, double repetition_s)
{
	const struct fm_pair_what *what = &p->run->config->what;
	const struct fm_tally *tally = deciding(p->out);

	if (what->repetitions)
		return tally->count >= what->repetitions ? "fixed" : NULL;
	if (fm_stats_confident(tally->value, tally->count, EPSILON))
		return "confidence";
	if (tally->count &&
	    (p->out->duration_s + repetition_s > p->run->duration_s || tally->count == FM_REPETITIONS_MAX))
		return "time";
	return NULL;
}

static int read_counters(struct fm_point_run *p, bool after, struct fm_error *error)
{
	const struct fm_wait wait = {
		.idle = true, .deadline_ns = fm_now_ns() + FM_PHASE_NS, .what = "reading counters"};

	for (uint32_t i = 0; i < p->flows->count; i++)
		fm_flow_count(p->flows->list[i], after);
	return fm_flows_wait(p->flows, &wait, NULL, error);
}

/*
 * The first repetition. While it takes less than half or more than twice the time that was meant, the warm-up had told
 * a wrong speed: then it counts as warm-up, too, and is sized anew.
 */
static int point_first(struct fm_point_run *p, double target_s, struct fm_error *error)
{
	for (int attempt = 1;; attempt++) {
		int code = read_counters(p, false, error);

		fm_time_utc(p->out->time_utc, sizeof(p->out->time_utc));
		if (code == 0)
			code = point_repeat(p, true, error);
		if (code || p->run->config->what.iterations || attempt == RESIZES_MAX || fm_pace_resize(p, target_s))
			return code;
	}
}

static int point_measure(struct fm_point_run *p, struct fm_error *error)
{
	double repetition_s = fmin(REPETITION_S, p->run->duration_s / 12);
	uint32_t repetition = 0, missed = 0;
	const char *stop = NULL;

	p->counts = true;
	fm_pace_repetition(p, repetition_s);
	while (!stop) {
		int code = repetition ? point_repeat(p, false, error) : point_first(p, repetition_s, error);

		if (code == 0)
			code = fm_tally_repetition(p, error);
		/* Without a time that all drives shared there is nothing to count: once more, at the speeds just seen.
		 */
		if (code == -EAGAIN && ++missed < WINDOWS_MISSED_MAX) {
			if (!p->run->config->what.iterations)
				fm_pace_resize(p, repetition_s);
			continue;
		}
		if (code)
			return code;
		fm_tally_raw(p, repetition++);
		point_progress(p);
		stop = point_stop(p, p->out->duration_s / deciding(p->out)->count);
	}
	p->out->stop_reason = stop;
	return 0;
}

/* ---- the end ---- */

/* The peer's counters and effective values: flows[i] = {effective: {...}, counters: {...}, changed, shared}. */
static void point_peer_values(struct fm_point_run *p, const json_t *closed)
{
	for (uint32_t i = 0; i < p->flows->count; i++) {
		json_t *flow = json_array_get(json_object_get(closed, "flows"), i), *value;
		const char *key;
		char text[96];

		json_object_foreach(json_object_get(flow, "counters"), key, value)
		{
			fm_counters_accumulate(&p->out->counters[i], key, (uint64_t)json_integer_value(value));
		}
		json_object_foreach(json_object_get(flow, "effective"), key, value)
		{
			fm_text_take(text, sizeof(text), json_string_value(value) ? json_string_value(value) : "");
			fm_effective_add(&p->out->effective_b[i], key, "%s", text);
		}
		fm_disturbance_from_json(flow, &p->out->disturbance[i]);
	}
}

static int point_finish(struct fm_point_run *p, struct fm_error *error)
{
	struct fm_wait wait = {
		.idle = true, .deadline_ns = fm_now_ns() + FM_PHASE_NS, .what = "taking leave of the peer"};
	json_t *closed = NULL;
	int code = read_counters(p, true, error);

	for (uint32_t i = 0; i < p->flows->count && code == 0 && !p->verify_seed; i++) {
		fm_counters_delta(&p->flows->list[i]->before, &p->flows->list[i]->after, &p->out->counters[i]);
		p->out->effective_a[i] = p->flows->list[i]->effective;
		fm_disturbance_find(p->run->node_a, &p->flows->list[i]->before, &p->flows->list[i]->after,
				    &p->out->disturbance[i]);
	}
	if (code == 0)
		code = point_send(p, json_pack("{s:s}", "type", "close"), error);
	if (code)
		return code;
	fm_flows_each(p->flows, fm_flow_disconnect);
	wait.message = "closed";
	code = fm_flows_wait(p->flows, &wait, &closed, error);
	if (code == 0 && !p->verify_seed)
		point_peer_values(p, closed);
	if (code == 0)
		code = point_send(p, json_pack("{s:s}", "type", "quiet"), error);
	json_decref(closed);
	return code;
}

/*
 * Reads over what the peer still sent before it heard of the end. Where the data path told only that the peer had gone,
 * its "failed" says why, and that becomes the cause. False: no "closed" came, and lost says why unless time was up.
 */
static bool point_await_closed(struct fm_session *session, uint64_t deadline_ns, struct fm_error *cause,
			       struct fm_error *lost)
{
	for (;;) {
		json_t *got = NULL;
		int event = fm_session_wait(session, deadline_ns, &got, lost);
		bool closed;

		if (event < 0 || event == FM_EVENT_DEADLINE)
			return false;
		if (event != FM_EVENT_MESSAGE)
			continue;
		closed = fm_message_is(got, "closed");
		if (fm_message_is(got, "failed") && cause->reason == FM_REASON_PEER_LOST)
			fm_message_explain(got, session->peer, cause);
		json_decref(got);
		if (closed)
			return true;
	}
}

/* Gives the point up on both ends, so that the next can start. The first cause stays, unless it was the peer's death.
 */
static void point_abort(struct fm_point_run *p, struct fm_error *error)
{
	struct fm_session *session = &p->run->session;
	json_t *message = fm_message_failed(error);
	struct fm_error lost = {0};
	uint64_t deadline_ns = within_s((double)FM_TEARDOWN_NS / 1e9);

	atomic_store(&p->flows->stop, FM_ABORT);
	if (message)
		json_object_set_new(message, "type", json_string("abort"));
	if (p->flows->session_lost || session->signal) {
		json_decref(message);
		return;
	}
	if (fm_session_send(session, message, &lost) == 0 && point_await_closed(session, deadline_ns, error, &lost))
		return;
	p->flows->session_lost = true;
	if (lost.code == -EINTR)
		return;
	*error = lost;
	if (!lost.code)
		fm_error_set(error, -ETIMEDOUT, FM_REASON_PEER_LOST, "lost %s: it did not end the point in time",
			     session->peer);
}

/* What a pass does once connected. */
/*
 * Repetitions until every slot was used more than once: one where arrivals are looked at as they come, else several
 * that are no longer than the slots.
 */
static int point_verify(struct fm_point_run *p, struct fm_error *error)
{
	const uint32_t slots = p->flows->list[0]->work.slots;
	const bool seen = fm_verify_seen(p->point->test, p->point->bidirectional);
	uint64_t operations = fm_verify_operations(p->point->size_bytes, slots);
	uint32_t rounds = 1;
	int code = 0;

	if (!seen && operations > slots) {
		rounds = operations / slots < VERIFY_ROUNDS ? (uint32_t)(operations / slots) : VERIFY_ROUNDS;
		operations = slots;
	}
	fm_progress_show(&p->run->progress, "%s %s, %llu bytes: verifying", p->point->transport, p->test->name,
			 (unsigned long long)p->point->size_bytes);
	operations *= p->point->streams;
	p->counts = false;
	fm_pace_set(p, operations);
	for (uint32_t round = 0; round < rounds && code == 0; round++) {
		code = point_repeat(p, round == 0, error);
		if (code == 0)
			code = fm_tally_arrived(p, error);
	}
	return code;
}

static int point_time(struct fm_point_run *p, struct fm_error *error)
{
	int code = point_warm_up(p, error);

	return code ? code : point_measure(p, error);
}

/* Endpoints of its own, from opening to leave. */
static int point_pass(struct fm_point_run *p, int (*work)(struct fm_point_run *p, struct fm_error *error),
		      struct fm_error *error)
{
	struct fm_run *run = p->run;
	const struct fm_flows_setup setup = {.session = &run->session,
					     .point = p->point,
					     .place = &p->place,
					     .clock = &run->clock,
					     .plan = &run->plan,
					     .verify_seed = p->verify_seed,
					     .may_lose = p->out->capability.may_lose};
	uint64_t teardown_ns = FM_TEARDOWN_NS;
	int code;

	p->flows = fm_flows_new(&setup, error);
	if (!p->flows)
		return error->code;
	code = point_connect(p, error);
	if (code == 0)
		code = work(p, error);
	if (code == 0)
		code = point_finish(p, error);
	if (code)
		point_abort(p, error);
	p->out->session_lost = p->flows->session_lost;
	if (code)
		teardown_ns = p->out->session_lost ? FM_LAST_NS : FM_GIVE_UP_NS;
	p->out->left_behind = !fm_flows_free(p->flows, teardown_ns) || p->out->left_behind;
	return error->code;
}

/* What the column verified says of a point whose figures stand. An error is one of the path, or of its payload. */
static const char *point_compare(struct fm_point_run *p, struct fm_error *error)
{
	struct fm_error cause;

	if (!p->out->capability.verify)
		return "unsupported";
	if (getrandom(&p->verify_seed, sizeof(p->verify_seed), 0) != sizeof(p->verify_seed))
		p->verify_seed = fm_now_ns();
	/* An integer that any reader of JSON takes, and never 0. */
	p->verify_seed = p->verify_seed >> 11 | 1;
	if (point_pass(p, point_verify, error) == 0)
		return "yes";
	if (error->reason == FM_REASON_UNSUPPORTED) {
		*error = (struct fm_error){0};
		return "unsupported";
	}
	if (error->reason == FM_REASON_VERIFY) {
		cause = *error;
		fm_error_set(error, cause.code, cause.reason,
			     "%s; do not trust this path: other devices (--rails) and another --memory tell which part "
			     "of it is at fault",
			     cause.text);
		return "failed";
	}
	fm_error_prefix(error, "while verifying: ");
	return "no";
}

int fm_point_measure(struct fm_run *run, const struct fm_point *point, struct fm_measurement *measurement)
{
	struct fm_point_run p = {.run = run, .point = point, .test = &fm_tests[point->test], .out = measurement};
	struct fm_error *error = &measurement->error;

	fm_point_place(point, &run->place_a, &p.place);
	*measurement =
		(struct fm_measurement){.point = point, .rails = p.place.count, .stop_reason = "", .verified = "no"};
	for (int direction = 0; direction < FM_DIRECTIONS; direction++)
		for (uint32_t i = 0; i <= FM_TOTAL; i++)
			fm_samples_init(&measurement->tallies[direction][i].samples, FM_SAMPLES_BOUND);
	fm_time_utc(measurement->time_utc, sizeof(measurement->time_utc));
	if (fm_point_query(point, &run->plan, &run->place_a, &measurement->capability, error))
		return error->code;
	if (point_pass(&p, point_time, error))
		measurement->stop_reason = run->session.signal ? "interrupted" : "failed";
	else if (run->config->what.verify)
		measurement->verified = point_compare(&p, error);
	json_decref(p.peer);
	free(p.blocks);
	return error->code;
}
