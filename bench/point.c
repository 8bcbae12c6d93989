/*
 * point.c - the initiator measures one point: connect, warm up and calibrate, repeat until sure or out of time.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "bench/node.h"
#include "bench/run.h"
#include "bench/wire.h"
#include "results/stats.h"

#define REPETITION_S	 0.3
#define WARMUP_S	 0.3  /* most that a warm-up takes, calibration included */
#define SLICE_S		 0.05 /* of the warm-up, between two looks at whether it is steady */
#define SLICES_MAX	 16
#define RESIZES_MAX	 3	   /* first repetitions, until one takes the time that was meant */
#define CALIBRATED_S	 0.005	   /* a slice that took so long tells the speed */
#define EPSILON		 0.01	   /* of the stop rule */
#define BLOCKS		 30	   /* a warm-up slice, for the steady-state test */
#define LATENCY_OPS_MAX	 1000000.0 /* a calibrated repetition, all streams: 16 MB of stamps */
#define SAMPLES_BOUND	 4000000u  /* kept in full, all repetitions of a row */
#define SLOWEST_LINK_BPS 1e8	   /* a first message may take as long as this rate needs, and is no stall */

struct point_run {
	struct fm_run *run;
	const struct fm_point *point;
	const struct fm_test *test;
	struct fm_flows *flows;
	struct fm_measurement *out;
	uint64_t operations[FM_RAILS_MAX];	/* of the next repetition */
	double elapsed_s[FM_RAILS_MAX];		/* of the last */
	double rates[FM_RAILS_MAX][SLICES_MAX]; /* operations a second, of the warm-up's slices */
	uint32_t slices;
	json_t *peer;	/* the peer's "done" of the last */
	double *blocks; /* mean seconds an operation, of warm-up blocks */
	size_t block_count;
};

static int tally_reserve(struct fm_tally *tally, struct fm_error *error)
{
	uint32_t capacity = tally->capacity ? 2 * tally->capacity : 16;
	double **columns[] = {&tally->value, &tally->worst, &tally->stream_min, &tally->stream_max};

	if (tally->count < tally->capacity)
		return 0;
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
		double *grown = realloc(*columns[i], capacity * sizeof(*grown));

		if (!grown)
			return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for %u repetitions",
					    capacity);
		*columns[i] = grown;
	}
	tally->capacity = capacity;
	return 0;
}

void fm_measurement_free(struct fm_measurement *measurement)
{
	for (uint32_t i = 0; i <= FM_TOTAL; i++) {
		struct fm_tally *tally = &measurement->tallies[i];

		free(tally->value);
		free(tally->worst);
		free(tally->stream_min);
		free(tally->stream_max);
		fm_samples_free(&tally->samples);
	}
}

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

static int point_send(struct point_run *p, json_t *message, struct fm_error *error)
{
	int code = fm_session_send(p->flows->session, message, error);

	if (code)
		p->flows->session_lost = true;
	return code;
}

static int point_connect(struct point_run *p, struct fm_error *error)
{
	struct fm_wait wait = {.idle = true, .deadline_ns = fm_now_ns() + FM_PHASE_NS, .what = "opening the device"};
	json_t *message = NULL;
	int code;

	fm_flows_each(p->flows, fm_flow_prepare);
	code = fm_flows_wait(p->flows, &wait, NULL, error);
	if (code == 0)
		code = point_send(p,
				  json_pack("{s:s, s:I, s:o}", "type", "point", "id", (json_int_t)p->point->id, "blobs",
					    blobs_to_json(p->flows)),
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
	wait = (struct fm_wait){"connected", true, false, fm_now_ns() + FM_PHASE_NS, 0, "connecting the data path"};
	code = fm_flows_wait(p->flows, &wait, &message, error);
	json_decref(message);
	return code;
}

static json_t *arm_message(const struct point_run *p, bool first)
{
	json_t *operations = json_array();

	for (uint32_t i = 0; i < p->flows->count; i++)
		json_array_append_new(operations, json_integer((json_int_t)p->operations[i]));
	return json_pack("{s:s, s:o, s:b}", "type", "arm", "operations", operations, "first", first);
}

/*
 * One repetition of p->operations on each rail: both ends arm, the peer is polling before we start, and it stops when
 * it hears that we are through. first: the first that counts, so the peer reads its counters before.
 */
static int point_repeat(struct point_run *p, bool first, struct fm_error *error)
{
	const double message_s = (double)p->point->size_bytes * p->point->streams * 8 / SLOWEST_LINK_BPS;
	struct fm_wait wait = {"armed", true, false, fm_now_ns() + FM_PHASE_NS, 0, "arming"};
	json_t *message = NULL;
	int code;

	for (uint32_t i = 0; i < p->flows->count; i++)
		fm_flow_arm(p->flows->list[i], p->operations[i]);
	code = point_send(p, arm_message(p, first), error);
	if (code == 0)
		code = fm_flows_wait(p->flows, &wait, &message, error);
	json_decref(message);
	if (code)
		return code;
	fm_flows_each(p->flows, fm_flow_run);
	wait = (struct fm_wait){.idle = true,
				.deadline_ns = UINT64_MAX,
				/* Later than the heartbeat's verdict: a dead peer is not called a slow path. */
				.stall_ns = p->run->session.peer_timeout_ns + (uint64_t)((1 + message_s) * 1e9),
				.what = "measuring"};
	code = fm_flows_wait(p->flows, &wait, NULL, error);
	if (code == 0)
		code = point_send(p, json_pack("{s:s}", "type", "done"), error);
	wait = (struct fm_wait){"done", false, false, fm_now_ns() + FM_PHASE_NS, 0, "waiting for the peer's count"};
	json_decref(p->peer);
	p->peer = NULL;
	if (code == 0)
		code = fm_flows_wait(p->flows, &wait, &p->peer, error);
	if (code)
		return code;
	fm_flows_each(p->flows, fm_flow_settle);
	wait = (struct fm_wait){
		.idle = true, .deadline_ns = fm_now_ns() + FM_PHASE_NS, .what = "settling a repetition"};
	return fm_flows_wait(p->flows, &wait, NULL, error);
}

static const json_t *peer_flow(const struct point_run *p, uint32_t i)
{
	return json_array_get(json_object_get(p->peer, "flows"), i);
}

static double json_real_or_nan(const json_t *value)
{
	return json_is_number(value) ? json_number_value(value) : NAN;
}

/* ---- warm-up ---- */

/* Mean time of an operation in each of BLOCKS parts of the last slice, of rail 0's first stream. */
static void warmup_blocks(struct point_run *p)
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

/* Operations a second: the median of the slices, for one of them may have met a stall; of the last where none counts.
 */
static double speed(const struct point_run *p, uint32_t rail)
{
	double sorted[SLICES_MAX];

	if (!p->slices)
		return (double)p->operations[rail] / fmax(p->elapsed_s[rail], 1e-9);
	memcpy(sorted, p->rates[rail], p->slices * sizeof(sorted[0]));
	fm_stats_sort(sorted, p->slices);
	return fm_stats_median(sorted, p->slices);
}

/* How many operations take `seconds`. */
static uint64_t operations_for(const struct point_run *p, uint32_t rail, double seconds)
{
	double most = p->test->metric == FM_LATENCY ? LATENCY_OPS_MAX : 1e12;
	double operations = fmin(speed(p, rail) * seconds, most);

	return operations > p->point->streams ? (uint64_t)operations : p->point->streams;
}

static double slowest_s(const struct point_run *p)
{
	double slowest = 0;

	for (uint32_t i = 0; i < p->flows->count; i++)
		slowest = fmax(slowest, p->elapsed_s[i]);
	return slowest;
}

static void read_elapsed(struct point_run *p)
{
	for (uint32_t i = 0; i < p->flows->count; i++) {
		struct fm_repetition repetition;

		fm_flow_repetition(p->flows->list[i], &repetition);
		p->elapsed_s[i] = repetition.end_ns > repetition.start_ns
					  ? (double)(repetition.end_ns - repetition.start_ns) / 1e9
					  : 0;
	}
}

/*
 * Slices that grow until one tells the speed, then slices of SLICE_S until the series is steady (MSER-5) or WARMUP_S is
 * over. All of it is thrown away.
 */
static int point_warm_up(struct point_run *p, struct fm_error *error)
{
	uint64_t start = fm_now_ns();
	bool calibrated = false;

	for (uint32_t i = 0; i < p->flows->count; i++)
		p->operations[i] = p->point->streams;
	for (;;) {
		double slice_s, used_s;
		int code = point_repeat(p, false, error);

		if (code)
			return code;
		read_elapsed(p);
		slice_s = slowest_s(p);
		used_s = (double)(fm_now_ns() - start) / 1e9;
		p->out->warmup_s = used_s;
		fm_progress_show(&p->run->progress, "%s %s, warming up", p->point->transport, p->test->name);
		if (calibrated) {
			for (uint32_t i = 0; i < p->flows->count && p->slices < SLICES_MAX; i++)
				p->rates[i][p->slices] = (double)p->operations[i] / fmax(p->elapsed_s[i], 1e-9);
			p->slices += p->slices < SLICES_MAX;
			warmup_blocks(p);
			p->out->steady = fm_stats_warmup(p->blocks, p->block_count) >= 0;
		}
		calibrated = calibrated || slice_s >= CALIBRATED_S;
		if (used_s >= WARMUP_S || (p->out->steady && used_s >= WARMUP_S / 2))
			return 0;
		for (uint32_t i = 0; i < p->flows->count; i++) {
			uint64_t wanted = operations_for(p, i, SLICE_S);

			/* Growing by leaps: a first operation can be a thousand times slower than the rest. */
			if (!calibrated && wanted > 16 * p->operations[i])
				wanted = 16 * p->operations[i];
			p->operations[i] = wanted;
		}
	}
}

/* ---- repetitions ---- */

static int tally_latency(struct point_run *p, uint32_t rail, struct fm_tally *tally, struct fm_samples *once,
			 struct fm_error *error)
{
	const struct fm_flow *flow = p->flows->list[rail];
	uint64_t block[1024];
	int code = 0;

	for (uint32_t stream = 0; stream < flow->work.streams; stream++) {
		const struct fm_trace *trace = &flow->loops[stream].trace;
		uint32_t filled = 0;

		for (uint32_t i = 1; i < trace->count && code == 0; i++) {
			block[filled++] = fm_clock_ns(&p->run->clock, trace->ticks[i] - trace->ticks[i - 1]);
			if (filled < 1024 && i + 1 < trace->count)
				continue;
			fm_session_beat(&p->run->session);
			code = fm_samples_add(&tally->samples, block, filled, error);
			if (code == 0 && once)
				code = fm_samples_add(once, block, filled, error);
			filled = 0;
		}
	}
	return code;
}

static double gbps(const struct point_run *p, double operations_per_s)
{
	return operations_per_s * (double)p->point->size_bytes * 8 / 1e9;
}

/* The slowest 100 ms, where arrivals are seen: at the sink, else here. */
static double worst_per_s(const struct point_run *p, uint32_t first, uint32_t count, const char *key,
			  const json_t *seen)
{
	if (p->test->metric == FM_LATENCY)
		return NAN;
	if (p->test->peer == FM_SINK)
		return json_real_or_nan(json_object_get(seen, key));
	return fm_flows_worst(p->flows, first, count);
}

static int tally_add(struct point_run *p, struct fm_tally *tally, const struct fm_repetition *repetition,
		     double median_ns, double worst, struct fm_error *error)
{
	double elapsed_s = (double)(repetition->end_ns - repetition->start_ns) / 1e9;
	int code = tally_reserve(tally, error);
	uint32_t i = tally->count;

	if (code)
		return code;
	if (p->test->metric == FM_LATENCY)
		tally->value[i] = median_ns / 1e3 / p->test->latency_divisor;
	else
		tally->value[i] = gbps(p, p->out->capability.may_lose ? repetition->seen_per_s
								      : (double)repetition->operations / elapsed_s);
	tally->worst[i] = gbps(p, worst);
	tally->stream_min[i] = gbps(p, repetition->stream_min_per_s);
	tally->stream_max[i] = gbps(p, repetition->stream_max_per_s);
	tally->operations = repetition->operations;
	tally->count++;
	return 0;
}

/* A rail's part of the last repetition; widens total to the common window. */
static int tally_rail(struct point_run *p, uint32_t rail, struct fm_repetition *total, struct fm_samples *total_once,
		      struct fm_error *error)
{
	struct fm_tally *tally = &p->out->tallies[rail];
	struct fm_repetition repetition;
	struct fm_samples once;
	double median_ns = NAN;
	int code = 0;

	fm_flow_repetition(p->flows->list[rail], &repetition);
	/* Where messages may be lost, only the sink knows the rate. */
	repetition.seen_per_s = json_real_or_nan(json_object_get(peer_flow(p, rail), "seen_per_s"));
	fm_samples_init(&once, SAMPLES_BOUND);
	if (p->test->metric == FM_LATENCY) {
		code = tally_latency(p, rail, tally, &once, error);
		if (code == 0 && total_once)
			code = tally_latency(p, rail, &p->out->tallies[FM_TOTAL], total_once, error);
		fm_samples_quantile(&once, 0.5, &median_ns);
	}
	fm_samples_free(&once);
	if (code == 0)
		code = tally_add(p, tally, &repetition, median_ns,
				 worst_per_s(p, rail, 1, "worst_per_s", peer_flow(p, rail)), error);
	total->operations += repetition.operations;
	total->seen_per_s += repetition.seen_per_s;
	total->start_ns = repetition.start_ns < total->start_ns ? repetition.start_ns : total->start_ns;
	total->end_ns = repetition.end_ns > total->end_ns ? repetition.end_ns : total->end_ns;
	total->stream_min_per_s = fmin(total->stream_min_per_s, repetition.stream_min_per_s);
	total->stream_max_per_s = fmax(total->stream_max_per_s, repetition.stream_max_per_s);
	return code;
}

/* What did not arrive: a loss where the path may lose, else an error. */
static int point_account(struct point_run *p, struct fm_error *error)
{
	for (uint32_t i = 0; i < p->flows->count; i++) {
		uint64_t arrived = (uint64_t)json_integer_value(json_object_get(peer_flow(p, i), "operations"));
		uint64_t sent = p->operations[i];

		if (p->test->peer == FM_TARGET || arrived >= sent)
			continue;
		if (!p->out->capability.may_lose)
			return fm_error_set(error, -EIO, FM_REASON_LOST,
					    "%llu of %llu operations did not arrive on a path that must not lose any",
					    (unsigned long long)(sent - arrived), (unsigned long long)sent);
		p->out->tallies[i].lost += sent - arrived;
		p->out->tallies[FM_TOTAL].lost += sent - arrived;
	}
	return 0;
}

static int point_tally(struct point_run *p, struct fm_error *error)
{
	struct fm_repetition total = {0, UINT64_MAX, 0, NAN, NAN, NAN, 0};
	bool several = p->flows->count > 1;
	struct fm_samples once;
	double median_ns = NAN;
	int code = point_account(p, error);

	fm_samples_init(&once, SAMPLES_BOUND);
	for (uint32_t i = 0; i < p->flows->count && code == 0; i++)
		code = tally_rail(p, i, &total, several ? &once : NULL, error);
	if (several && code == 0) {
		fm_samples_quantile(&once, 0.5, &median_ns);
		code = tally_add(p, &p->out->tallies[FM_TOTAL], &total, median_ns,
				 worst_per_s(p, 0, p->flows->count, "worst_per_s", p->peer), error);
	}
	fm_samples_free(&once);
	if (code == 0)
		p->out->duration_s += (double)(total.end_ns - total.start_ns) / 1e9;
	return code;
}

/* --raw: every stamp of a stream, in ns since the repetition's first. A failure is fm_outputs_close's to tell. */
static void raw_stream(const struct point_run *p, uint32_t rail, uint32_t stream, uint32_t repetition)
{
	const struct fm_trace *trace = &p->flows->list[rail]->loops[stream].trace;
	const struct fm_clock *clock = &p->run->clock;

	for (uint32_t i = 1; i < trace->count && !ferror(p->run->raw); i++) {
		if (i % 1024 == 0)
			fm_session_beat(&p->run->session);
		fprintf(p->run->raw, "%llu,%s,%s,%llu,%u,%u,%u,%llu,%llu\n", (unsigned long long)p->point->id,
			p->point->transport, p->test->name, (unsigned long long)p->point->size_bytes, rail, stream,
			repetition, (unsigned long long)trace->done[i],
			(unsigned long long)fm_clock_ns(clock, trace->ticks[i] - trace->ticks[0]));
	}
}

static void point_raw(const struct point_run *p, uint32_t repetition)
{
	if (!p->run->raw)
		return;
	for (uint32_t rail = 0; rail < p->flows->count; rail++)
		for (uint32_t stream = 0; stream < p->point->streams; stream++)
			raw_stream(p, rail, stream, repetition);
	fflush(p->run->raw);
}

static const struct fm_tally *deciding(const struct fm_measurement *out)
{
	return &out->tallies[out->rails > 1 ? FM_TOTAL : 0];
}

static void point_progress(const struct point_run *p)
{
	const struct fm_tally *tally = deciding(p->out);

	fm_progress_show(&p->run->progress, "%s %s, %llu bytes: repetition %u, %.4g %s", p->point->transport,
			 p->test->name, (unsigned long long)p->point->size_bytes, tally->count,
			 tally->value[tally->count - 1], p->test->metric == FM_LATENCY ? "us" : "Gb/s");
}

/* Why measuring ends here; NULL: another repetition. */
static const char *point_stop(const struct point_run *p, double repetition_s)
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

static int read_counters(struct point_run *p, bool after, struct fm_error *error)
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
static int point_first(struct point_run *p, double target_s, struct fm_error *error)
{
	for (int attempt = 1;; attempt++) {
		uint64_t meant[FM_RAILS_MAX];
		bool fits = true;
		int code = read_counters(p, false, error);

		fm_time_utc(p->out->time_utc, sizeof(p->out->time_utc));
		if (code == 0)
			code = point_repeat(p, true, error);
		if (code || p->run->config->what.iterations || attempt == RESIZES_MAX)
			return code;
		read_elapsed(p);
		p->slices = 0;
		for (uint32_t i = 0; i < p->flows->count; i++) {
			meant[i] = operations_for(p, i, target_s);
			fits = fits && meant[i] <= 2 * p->operations[i] && meant[i] >= p->operations[i] / 2;
		}
		if (fits)
			return 0;
		memcpy(p->operations, meant, p->flows->count * sizeof(meant[0]));
	}
}

static int point_measure(struct point_run *p, struct fm_error *error)
{
	const struct fm_pair_what *what = &p->run->config->what;
	double repetition_s = fmin(REPETITION_S, p->run->duration_s / 12);
	const char *stop = NULL;
	int code = 0;

	for (uint32_t i = 0; i < p->flows->count; i++) {
		p->operations[i] = what->iterations ? what->iterations : operations_for(p, i, repetition_s);
		if (p->operations[i] < p->point->streams)
			p->operations[i] = p->point->streams;
	}
	for (uint32_t repetition = 0; code == 0 && !stop; repetition++) {
		code = repetition ? point_repeat(p, false, error) : point_first(p, repetition_s, error);
		if (code == 0)
			code = point_tally(p, error);
		if (code)
			return code;
		point_raw(p, repetition);
		point_progress(p);
		stop = point_stop(p, p->out->duration_s / p->out->tallies[0].count);
	}
	p->out->stop_reason = stop ? stop : "";
	return code;
}

/* ---- the end ---- */

/* The peer's counters and effective values: flows[i] = {effective: {...}, counters: {...}}. */
static void point_peer_values(struct point_run *p, const json_t *closed)
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
	}
}

static int point_finish(struct point_run *p, struct fm_error *error)
{
	struct fm_wait wait = {
		.idle = true, .deadline_ns = fm_now_ns() + FM_PHASE_NS, .what = "taking leave of the peer"};
	json_t *closed = NULL;
	int code = read_counters(p, true, error);

	for (uint32_t i = 0; i < p->flows->count && code == 0; i++) {
		fm_counters_delta(&p->flows->list[i]->before, &p->flows->list[i]->after, &p->out->counters[i]);
		p->out->effective_a[i] = p->flows->list[i]->effective;
	}
	if (code == 0)
		code = point_send(p, json_pack("{s:s}", "type", "close"), error);
	if (code)
		return code;
	fm_flows_each(p->flows, fm_flow_disconnect);
	wait.message = "closed";
	code = fm_flows_wait(p->flows, &wait, &closed, error);
	if (code == 0)
		point_peer_values(p, closed);
	if (code == 0)
		code = point_send(p, json_pack("{s:s}", "type", "quiet"), error);
	json_decref(closed);
	return code;
}

/* Gives the point up on both ends, so that the next can start. The first cause stays, unless it was the peer's death.
 */
static void point_abort(struct point_run *p, struct fm_error *error)
{
	struct fm_session *session = &p->run->session;
	json_t *message = fm_message_failed(error), *closed = NULL;
	struct fm_error lost = {0};
	uint64_t deadline_ns = within_s((double)FM_TEARDOWN_NS / 1e9);

	atomic_store(&p->flows->stop, FM_ABORT);
	if (message)
		json_object_set_new(message, "type", json_string("abort"));
	if (p->flows->session_lost || session->signal) {
		json_decref(message);
		return;
	}
	if (fm_session_send(session, message, &lost) == 0) {
		/* What the peer still sent before it heard of it is read over. */
		while (!closed) {
			json_t *got = NULL;
			int event = fm_session_wait(session, deadline_ns, &got, &lost);

			if (event == FM_EVENT_MESSAGE && fm_message_is(got, "closed"))
				closed = got;
			else if (event == FM_EVENT_MESSAGE)
				json_decref(got);
			else if (event < 0 || event == FM_EVENT_DEADLINE)
				break;
		}
	}
	if (closed) {
		json_decref(closed);
		return;
	}
	p->flows->session_lost = true;
	if (lost.code == -EINTR)
		return;
	*error = lost;
	if (!lost.code)
		fm_error_set(error, -ETIMEDOUT, FM_REASON_PEER_LOST, "lost %s: it did not end the point in time",
			     session->peer);
}

int fm_point_measure(struct fm_run *run, const struct fm_point *point, struct fm_measurement *measurement)
{
	const struct fm_flows_setup setup = {&run->session,	point, &run->place_a, &run->clock,
					     run->plan.options, false};
	struct point_run p = {.run = run, .point = point, .test = &fm_tests[point->test], .out = measurement};
	struct fm_error *error = &measurement->error;
	int code;

	*measurement = (struct fm_measurement){.point = point, .rails = run->place_a.count, .stop_reason = ""};
	for (uint32_t i = 0; i <= FM_TOTAL; i++)
		fm_samples_init(&measurement->tallies[i].samples, SAMPLES_BOUND);
	fm_time_utc(measurement->time_utc, sizeof(measurement->time_utc));
	if (fm_point_query(point, &run->plan, &run->place_a, &measurement->capability, error))
		return error->code;
	p.flows = fm_flows_new(&setup, error);
	if (!p.flows)
		return error->code;
	code = point_connect(&p, error);
	if (code == 0)
		code = point_warm_up(&p, error);
	if (code == 0)
		code = point_measure(&p, error);
	if (code == 0)
		code = point_finish(&p, error);
	if (code) {
		measurement->stop_reason = run->session.signal ? "interrupted" : "failed";
		point_abort(&p, error);
	}
	measurement->session_lost = p.flows->session_lost;
	measurement->left_behind = !fm_flows_free(p.flows);
	json_decref(p.peer);
	free(p.blocks);
	return error->code;
}
