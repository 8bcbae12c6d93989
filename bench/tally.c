/*
 * tally.c - from the stamps of a repetition to the figures of a row.
 */
#include "bench/tally.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

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
	for (int direction = 0; direction < FM_DIRECTIONS; direction++)
		for (uint32_t i = 0; i <= FM_TOTAL; i++) {
			struct fm_tally *tally = &measurement->tallies[direction][i];

			free(tally->value);
			free(tally->worst);
			free(tally->stream_min);
			free(tally->stream_max);
			fm_samples_free(&tally->samples);
		}
}

static const json_t *peer_flow(const struct fm_point_run *p, uint32_t i)
{
	return json_array_get(json_object_get(p->peer, "flows"), i);
}

static double json_real_or_nan(const json_t *value)
{
	return json_is_number(value) ? json_number_value(value) : NAN;
}

static int tally_latency(struct fm_point_run *p, uint32_t rail, struct fm_tally *tally, struct fm_samples *once,
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

static double gbps(const struct fm_point_run *p, double operations_per_s)
{
	return operations_per_s * (double)p->point->size_bytes * 8 / 1e9;
}

/* The slowest 100 ms, where arrivals are seen: at the sink, else here. */
static double worst_per_s(const struct fm_point_run *p, uint32_t first, uint32_t count, const char *key,
			  const json_t *seen)
{
	if (p->test->metric == FM_LATENCY)
		return NAN;
	if (p->test->peer == FM_SINK)
		return json_real_or_nan(json_object_get(seen, key));
	return fm_flows_worst(p->flows, first, count);
}

static int tally_add(struct fm_point_run *p, struct fm_tally *tally, const struct fm_repetition *repetition,
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
static int tally_rail(struct fm_point_run *p, uint32_t rail, struct fm_repetition *total, struct fm_samples *total_once,
		      struct fm_error *error)
{
	struct fm_tally *tally = &p->out->tallies[FM_A_TO_B][rail];
	struct fm_repetition repetition;
	struct fm_samples once;
	double median_ns = NAN;
	int code = 0;

	fm_flow_repetition(p->flows->list[rail], &repetition);
	/* Where messages may be lost, only the sink knows the rate. */
	repetition.seen_per_s = json_real_or_nan(json_object_get(peer_flow(p, rail), "seen_per_s"));
	fm_samples_init(&once, FM_SAMPLES_BOUND);
	if (p->test->metric == FM_LATENCY) {
		code = tally_latency(p, rail, tally, &once, error);
		if (code == 0 && total_once)
			code = tally_latency(p, rail, &p->out->tallies[FM_A_TO_B][FM_TOTAL], total_once, error);
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

int fm_tally_arrived(struct fm_point_run *p, struct fm_error *error)
{
	for (uint32_t i = 0; i < p->flows->count; i++) {
		uint64_t arrived = (uint64_t)json_integer_value(json_object_get(peer_flow(p, i), "operations"));
		uint64_t sent = p->paces[FM_A_TO_B][i].operations;

		if (p->test->peer == FM_TARGET || p->point->bidirectional || arrived >= sent)
			continue;
		if (!p->out->capability.may_lose)
			return fm_error_set(error, -EIO, FM_REASON_LOST,
					    "%llu of %llu operations did not arrive on a path that must not lose any",
					    (unsigned long long)(sent - arrived), (unsigned long long)sent);
		if (p->verify_seed)
			continue;
		p->out->tallies[FM_A_TO_B][i].lost += sent - arrived;
		p->out->tallies[FM_A_TO_B][FM_TOTAL].lost += sent - arrived;
	}
	return 0;
}

static int tally_one_way(struct fm_point_run *p, struct fm_error *error)
{
	struct fm_repetition total = {0, UINT64_MAX, 0, NAN, NAN, NAN, 0};
	bool several = p->flows->count > 1;
	struct fm_samples once;
	double median_ns = NAN;
	int code = fm_tally_arrived(p, error);

	fm_samples_init(&once, FM_SAMPLES_BOUND);
	for (uint32_t i = 0; i < p->flows->count && code == 0; i++)
		code = tally_rail(p, i, &total, several ? &once : NULL, error);
	if (several && code == 0) {
		fm_samples_quantile(&once, 0.5, &median_ns);
		code = tally_add(p, &p->out->tallies[FM_A_TO_B][FM_TOTAL], &total, median_ns,
				 worst_per_s(p, 0, p->flows->count, "worst_per_s", p->peer), error);
	}
	fm_samples_free(&once);
	if (code == 0)
		p->out->duration_s += (double)(total.end_ns - total.start_ns) / 1e9;
	return code;
}

/* ---- both directions ---- */

/* What one direction did in one window. */
struct moved {
	double operations, worst_per_s, stream_min_per_s, stream_max_per_s;
	uint64_t whole; /* operations of the repetition, in the window or not */
};

static int tally_moved(struct fm_point_run *p, struct fm_tally *tally, const struct moved *moved,
		       const struct fm_window *window, struct fm_error *error)
{
	double window_s = (double)(window->to_ns - window->from_ns) / 1e9;
	uint32_t i = tally->count;
	int code = tally_reserve(tally, error);

	if (code)
		return code;
	tally->value[i] = gbps(p, moved->operations / window_s);
	tally->worst[i] = gbps(p, moved->worst_per_s);
	tally->stream_min[i] = gbps(p, moved->stream_min_per_s);
	tally->stream_max[i] = gbps(p, moved->stream_max_per_s);
	tally->operations = moved->whole;
	tally->count++;
	return 0;
}

/* Of several streams: of one that is unknown the least and the most are unknown. */
static void spread(struct moved *moved, double min_per_s, double max_per_s, bool first)
{
	if (first || isnan(min_per_s) || min_per_s < moved->stream_min_per_s)
		moved->stream_min_per_s = min_per_s;
	if (first || isnan(max_per_s) || max_per_s > moved->stream_max_per_s)
		moved->stream_max_per_s = max_per_s;
}

/* Rails [first, first + count) in their common window, for row `tally`. False where they have none. */
static bool window_moved(struct fm_point_run *p, uint32_t first, uint32_t count, uint32_t tally,
			 struct moved moved[FM_DIRECTIONS])
{
	const struct fm_window *window = &p->both.windows[tally];
	const char *key = tally == FM_TOTAL ? "moved_total" : "moved";
	const json_t *seen = tally == FM_TOTAL ? p->peer : peer_flow(p, first);
	struct moved *a = &moved[FM_A_TO_B], *b = &moved[FM_B_TO_A], *both = &moved[FM_BOTH];

	if (window->from_ns >= window->to_ns)
		return false;
	*a = (struct moved){.operations = fm_flows_done(p->flows, first, count, window->from_ns, window->to_ns),
			    .worst_per_s = fm_flows_worst(p->flows, first, count)};
	*b = (struct moved){.worst_per_s = json_real_or_nan(json_object_get(seen, "worst_per_s"))};
	for (uint32_t i = first; i < first + count; i++) {
		const json_t *theirs = peer_flow(p, i);
		struct fm_repetition ours;

		fm_flow_repetition(p->flows->list[i], &ours);
		a->whole += ours.operations;
		spread(a, ours.stream_min_per_s, ours.stream_max_per_s, i == first);
		b->operations += json_real_or_nan(json_object_get(theirs, key));
		b->whole += (uint64_t)json_integer_value(json_object_get(theirs, "operations"));
		spread(b, json_real_or_nan(json_object_get(theirs, "stream_min_per_s")),
		       json_real_or_nan(json_object_get(theirs, "stream_max_per_s")), i == first);
	}
	/* The windows of 100 ms of two clocks are not laid over each other. */
	*both = (struct moved){.operations = a->operations + b->operations,
			       .worst_per_s = NAN,
			       .whole = a->whole + b->whole,
			       .stream_min_per_s = a->stream_min_per_s,
			       .stream_max_per_s = a->stream_max_per_s};
	spread(both, b->stream_min_per_s, b->stream_max_per_s, false);
	fm_session_beat(&p->run->session);
	return a->operations > 0 && b->operations > 0;
}

/* What the rows show of how the repetition went. */
static void tally_window(struct fm_point_run *p)
{
	const struct fm_window *window = &p->both.windows[p->flows->count > 1 ? FM_TOTAL : 0];
	double window_s = (double)(window->to_ns - window->from_ns) / 1e9, elapsed_s = 0, share;

	for (uint32_t i = 0; i < p->flows->count; i++) {
		struct fm_repetition repetition;

		fm_flow_repetition(p->flows->list[i], &repetition);
		elapsed_s = fmax(elapsed_s, (double)(repetition.end_ns - repetition.start_ns) / 1e9);
		elapsed_s = fmax(elapsed_s, p->both.elapsed_b_s[i]);
	}
	share = window_s / elapsed_s;
	p->out->duration_s += elapsed_s;
	p->out->offset_error_s = fmax(p->out->offset_error_s, (double)p->both.offset_error_ns / 1e9);
	p->out->window_s = p->out->window_s > 0 ? fmin(p->out->window_s, window_s) : window_s;
	p->out->window_share = p->out->window_share > 0 ? fmin(p->out->window_share, share) : share;
}

/* All windows are looked at before anything is counted: a repetition counts in all rows or in none. */
static int tally_both(struct fm_point_run *p, struct fm_error *error)
{
	const uint32_t count = p->flows->count, rows = count > 1 ? count + 1 : 1;
	struct moved(*moved)[FM_DIRECTIONS] = calloc(rows, sizeof(*moved));
	bool met = moved != NULL;
	int code = 0;

	for (uint32_t i = 0; i < rows && met; i++)
		met = i < count ? window_moved(p, i, 1, i, moved[i]) : window_moved(p, 0, count, FM_TOTAL, moved[i]);
	if (!moved)
		code = fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for %u rails", count);
	else if (!met)
		code = fm_error_set(error, -EAGAIN, FM_REASON_UNSURE,
				    "there was no time in which all directions and rails moved: one was through before "
				    "another began; give it more --iterations or a longer --duration");
	for (uint32_t i = 0; i < rows && code == 0; i++)
		for (int way = 0; way < FM_DIRECTIONS && code == 0; way++) {
			uint32_t row = i < count ? i : FM_TOTAL;

			code = tally_moved(p, &p->out->tallies[way][row], &moved[i][way], &p->both.windows[row], error);
		}
	free(moved);
	if (code == 0)
		tally_window(p);
	return code;
}

int fm_tally_repetition(struct fm_point_run *p, struct fm_error *error)
{
	return p->point->bidirectional ? tally_both(p, error) : tally_one_way(p, error);
}

/* --raw: every stamp of a stream, in ns since the repetition's first. A failure is fm_outputs_close's to tell. */
static void raw_stream(const struct fm_point_run *p, uint32_t rail, uint32_t stream, uint32_t repetition)
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

void fm_tally_raw(const struct fm_point_run *p, uint32_t repetition)
{
	if (!p->run->raw)
		return;
	for (uint32_t rail = 0; rail < p->flows->count; rail++)
		for (uint32_t stream = 0; stream < p->point->streams; stream++)
			raw_stream(p, rail, stream, repetition);
	fflush(p->run->raw);
}
