/*
 * rows.c - from a measurement to its rows.
 */
#include <math.h>
#include <stdlib.h>

#include "bench/node.h"
#include "bench/rails.h"
#include "bench/run.h"
#include "results/stats.h"

#define CONFIDENT 0.01

static const char *const direction_names[FM_DIRECTIONS] = {"a_to_b", "b_to_a", "both"};

/* Our row of a rail, or of all rails together. */
struct row_source {
	const struct fm_run *run;
	struct fm_measurement *measurement;
	enum fm_direction direction;
	uint32_t tally; /* the rail, or FM_TOTAL */
};

static struct fm_tally *tally_of(const struct row_source *source)
{
	return &source->measurement->tallies[source->direction][source->tally];
}

static double median_of(const double *values, uint32_t count, struct fm_interval *interval)
{
	double *sorted = malloc((count ? count : 1) * sizeof(*sorted));
	double median;
	size_t kept = 0;

	if (interval)
		*interval = (struct fm_interval){NAN, NAN};
	if (!sorted)
		return NAN;
	for (uint32_t i = 0; i < count; i++)
		if (isfinite(values[i]))
			sorted[kept++] = values[i];
	fm_stats_sort(sorted, kept);
	median = fm_stats_median(sorted, kept);
	if (interval)
		*interval = fm_stats_median_interval(sorted, kept);
	free(sorted);
	return median;
}

/* NaN where one is missing: the least of some is not the least of all. */
static double least_of(const double *values, uint32_t count)
{
	double least = count ? INFINITY : NAN;

	for (uint32_t i = 0; i < count && !isnan(least); i++)
		least = isnan(values[i]) ? NAN : fmin(least, values[i]);
	return least;
}

static void row_latency(const struct row_source *source, struct fm_record_latency *latency)
{
	struct fm_tally *tally = tally_of(source);
	struct fm_samples *samples = &tally->samples;
	const double us = 1e3 * fm_tests[source->measurement->point->test].latency_divisor;
	const struct {
		double q, *field;
	} quantiles[] = {{0.9, &latency->p90_us},
			 {0.99, &latency->p99_us},
			 {0.999, &latency->p999_us},
			 {0.9999, &latency->p9999_us}};
	struct fm_interval interval;
	double value;

	latency->definition = us > 1e3 ? "half_rtt" : "full_rtt";
	latency->samples = samples->count;
	if (!samples->count)
		return;
	latency->p50_us = median_of(tally->value, tally->count, &interval);
	latency->p50_low_us = interval.low;
	latency->p50_high_us = interval.high;
	latency->min_us = (double)samples->minimum_ns / us;
	latency->max_us = (double)samples->maximum_ns / us;
	latency->mean_us = samples->mean_ns / us;
	if (fm_samples_stdev(samples, &value))
		latency->stdev_us = value / us;
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++)
		if (fm_samples_quantile(samples, quantiles[i].q, &value))
			*quantiles[i].field = value / us;
}

static void row_rate(const struct row_source *source, struct fm_record_rate *rate)
{
	const struct fm_tally *tally = tally_of(source);
	struct fm_interval interval;

	rate->bw_gbps = median_of(tally->value, tally->count, &interval);
	rate->low_gbps = interval.low;
	rate->high_gbps = interval.high;
	rate->worst_gbps = least_of(tally->worst, tally->count);
	rate->stream_min_gbps = median_of(tally->stream_min, tally->count, NULL);
	rate->stream_max_gbps = median_of(tally->stream_max, tally->count, NULL);
	rate->msg_rate_per_s = rate->bw_gbps * 1e9 / 8 / (double)source->measurement->point->size_bytes;
}

/*
 * A column of this end (gid_index_a) or, from the initiator, of the row (mtu); else a pair of the column effective,
 * which says what the other end has as well only once.
 */
static void row_value(struct fm_record *record, const char *key, const char *value, bool side_b, const char *other)
{
	char name[64];

	snprintf(name, sizeof(name), "%s_b", key);
	if ((!side_b || fm_field_find(name)) && fm_record_set_end(record, side_b ? 'b' : 'a', key, value) == 0)
		return;
	if (side_b && other && strcmp(other, value) == 0)
		return;
	snprintf(name, sizeof(name), "%s%s", side_b ? "peer_" : "", key);
	fm_record_append(record->effective, sizeof(record->effective), name, value);
}

static const char *effective_find(const struct fm_effective *effective, const char *key)
{
	for (uint32_t i = 0; i < effective->count; i++)
		if (strcmp(effective->items[i].key, key) == 0)
			return effective->items[i].value;
	return NULL;
}

static void row_effective(const struct row_source *source, uint32_t rail, struct fm_record *record)
{
	const struct fm_effective *a = &source->measurement->effective_a[rail];
	const struct fm_effective *b = &source->measurement->effective_b[rail];
	char text[32];

	for (uint32_t i = 0; i < a->count; i++)
		row_value(record, a->items[i].key, a->items[i].value, false, NULL);
	for (uint32_t i = 0; i < b->count; i++)
		row_value(record, b->items[i].key, b->items[i].value, true, effective_find(a, b->items[i].key));
	if (strcmp(source->run->version_b, FM_VERSION) != 0)
		fm_record_append(record->effective, sizeof(record->effective), "peer_version", source->run->version_b);
	if (!tally_of(source)->count)
		return;
	if (source->measurement->point->bidirectional) {
		snprintf(text, sizeof(text), "%.1f", source->measurement->offset_error_s * 1e6);
		fm_record_append(record->effective, sizeof(record->effective), "clock_error_us", text);
		snprintf(text, sizeof(text), "%.2f", source->measurement->window_share);
		fm_record_append(record->effective, sizeof(record->effective), "window_share", text);
	}
	snprintf(text, sizeof(text), "%.3f", source->measurement->warmup_s);
	fm_record_append(record->effective, sizeof(record->effective), "warmup_s", text);
	fm_record_append(record->effective, sizeof(record->effective), "steady",
			 source->measurement->steady ? "yes" : "no");
}

static void row_counters(const struct fm_counters *counters, struct fm_record *record)
{
	const struct {
		const char *key;
		uint64_t *field;
	} columns[] = {{"retransmit_count", &record->counters.retransmit},
		       {"rnr_count", &record->counters.rnr},
		       {"out_of_sequence_count", &record->counters.out_of_sequence},
		       {"cnp_count", &record->counters.cnp},
		       {"pause_count", &record->counters.pause},
		       {"port_error_count", &record->counters.port_error}};

	for (uint32_t i = 0; i < counters->count; i++) {
		uint64_t *field = NULL, value = counters->items[i].value;
		char text[32];

		for (size_t j = 0; j < sizeof(columns) / sizeof(columns[0]); j++)
			if (strcmp(counters->items[i].key, columns[j].key) == 0)
				field = columns[j].field;
		snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
		if (field)
			*field = *field == FM_EMPTY ? value : *field + value;
		else if (value)
			fm_record_append(record->counters.raw, sizeof(record->counters.raw), counters->items[i].key,
					 text);
	}
}

static void row_end(const struct fm_place_rail *rail, const char *node, const char *memory, struct fm_record_end *end)
{
	snprintf(end->node, sizeof(end->node), "%s", node);
	snprintf(end->memory, sizeof(end->memory), "%s", memory);
	snprintf(end->device, sizeof(end->device), "%s", rail->device[0] ? rail->device : rail->address);
	snprintf(end->link_layer, sizeof(end->link_layer), "%s", rail->link_layer);
	end->link_gbps = rail->link_gbps;
	if (rail->gpu >= 0)
		snprintf(end->gpu, sizeof(end->gpu), "%d", rail->gpu);
	if (rail->numa_node >= 0)
		snprintf(end->numa, sizeof(end->numa), "%d", rail->numa_node);
	fm_cpus_format(rail->cpus, rail->cpu_count, end->cpu, sizeof(end->cpu));
}

static void row_work(const struct fm_point *point, const struct fm_capability *capability, struct fm_record_work *work)
{
	snprintf(work->transport, sizeof(work->transport), "%s", point->transport);
	snprintf(work->test, sizeof(work->test), "%s", fm_tests[point->test].name);
	if (capability && capability->supported) {
		snprintf(work->variant, sizeof(work->variant), "%s", capability->variant ? capability->variant : "");
		work->completion = fm_completion_name(capability->completion);
	}
	work->size_bytes = point->size_bytes;
	work->threads = point->threads;
	work->streams = point->streams;
	work->depth = point->depth;
}

static void row_placement(const struct fm_run *run, uint32_t rail, struct fm_record_work *work)
{
	const char *a = run->place_a.rails[rail].reason, *b = run->place_b.rails[rail].reason;

	if (strcmp(a, b) == 0)
		snprintf(work->placement, sizeof(work->placement), "%s", a);
	else
		snprintf(work->placement, sizeof(work->placement), "a: %s; b: %s", a, b);
}

/* What is known before anything was measured: the row of a point that was refused, too. */
static void row_begin(const struct fm_run *run, const struct fm_point *point, uint32_t rail, struct fm_record *record)
{
	fm_record_init(record);
	snprintf(record->key.run_id, sizeof(record->key.run_id), "%s", run->run_id);
	record->key.point_id = point->id;
	record->key.row_kind = rail == FM_TOTAL ? "total" : "flow";
	if (rail != FM_TOTAL)
		rail += fm_point_rail(point);
	record->key.rail = rail == FM_TOTAL ? FM_EMPTY : rail;
	record->key.direction = point->bidirectional ? "both" : "a_to_b";
	record->key.initiator = "a";
	record->key.load = point->bidirectional ? "bidirectional" : "one_way";
	snprintf(record->key.labels, sizeof(record->key.labels), "%s", run->config->output.labels);
	fm_node_job_id(record->key.job_id, sizeof(record->key.job_id));
	snprintf(record->environment_id, sizeof(record->environment_id), "%s", run->environment_id);
	if (rail == FM_TOTAL) {
		snprintf(record->a.node, sizeof(record->a.node), "%s", run->node_a);
		snprintf(record->b.node, sizeof(record->b.node), "%s", run->node_b);
		snprintf(record->a.memory, sizeof(record->a.memory), "%s", point->memory_a);
		snprintf(record->b.memory, sizeof(record->b.memory), "%s", point->memory_b);
	} else {
		row_end(&run->place_a.rails[rail], run->node_a, point->memory_a, &record->a);
		row_end(&run->place_b.rails[rail], run->node_b, point->memory_b, &record->b);
		row_placement(run, rail, &record->work);
	}
	record->verdict.verified = "no";
	record->verdict.stop_reason = "";
}

static bool place_shares_cpus(const struct fm_point *point, const struct fm_place *whole)
{
	struct fm_place place;

	fm_point_place(point, whole, &place);
	for (uint32_t i = 0; i < place.count; i++)
		if (place.rails[i].shared_cpus)
			return true;
	return false;
}

/* What happened to the rail of a row, or first to any of its rails; NULL: nothing. */
static const struct fm_disturbance *row_disturbance(const struct row_source *source, bool changed)
{
	const struct fm_measurement *measurement = source->measurement;
	bool total = source->tally == FM_TOTAL;

	for (uint32_t i = total ? 0 : source->tally; i < (total ? measurement->rails : source->tally + 1); i++) {
		const struct fm_disturbance *found = &measurement->disturbance[i];

		if ((changed ? found->changed : found->shared)[0])
			return found;
	}
	return NULL;
}

static void row_verdict(const struct row_source *source, struct fm_record_verdict *verdict)
{
	const struct fm_measurement *measurement = source->measurement;
	const struct fm_run *run = source->run;
	const struct fm_error *error = &measurement->error;
	const struct fm_disturbance *shared = row_disturbance(source, false);

	verdict->stop_reason = measurement->stop_reason;
	verdict->verified = measurement->verified;
	verdict->status = error->code ? "failed" : "ok";
	verdict->reason_code = fm_reason_name(error->code ? error->reason : FM_REASON_NONE);
	if (error->code)
		snprintf(verdict->reason, sizeof(verdict->reason), "%s", error->text);
	else if (place_shares_cpus(measurement->point, &run->place_a) ||
		 place_shares_cpus(measurement->point, &run->place_b))
		snprintf(verdict->reason, sizeof(verdict->reason),
			 "measuring threads share CPUs, so the figures include the scheduler");
	else if (measurement->left_behind)
		snprintf(verdict->reason, sizeof(verdict->reason),
			 "closing hung in the driver, and its thread was left behind");
	else if (measurement->offset_error_s > CONFIDENT * measurement->window_s)
		snprintf(verdict->reason, sizeof(verdict->reason),
			 "the clocks of both ends are compared to +-%.3g ms only, in a common window of %.3g ms: give "
			 "it "
			 "a longer --duration",
			 measurement->offset_error_s * 1e3, measurement->window_s * 1e3);
	else if (measurement->point->bidirectional && measurement->window_share < 0.5)
		snprintf(verdict->reason, sizeof(verdict->reason),
			 "all directions moved at once in %.0f%% of a repetition only: their speeds differ or vary, or "
			 "it is "
			 "too short",
			 measurement->window_share * 100);
	else if (shared)
		snprintf(verdict->reason, sizeof(verdict->reason), "%s", shared->shared);
	else if (!measurement->steady)
		snprintf(verdict->reason, sizeof(verdict->reason),
			 "not steady when the warm-up ended: something disturbs this path or these CPUs");
}

/* --require-confidence: the stop rule's bound, asked of the interval that is reported. */
static void row_confidence(const struct fm_run *run, struct fm_record *record)
{
	const bool fixed = run->config->what.repetitions > 0;
	const struct fm_record_latency *latency = &record->latency;
	const struct fm_record_rate *rate = &record->rate;
	bool is_rate = isfinite(rate->bw_gbps);
	double low = is_rate ? rate->low_gbps : latency->p50_low_us;
	double high = is_rate ? rate->high_gbps : latency->p50_high_us;
	double half = (high - low) / 2 / (is_rate ? rate->bw_gbps : latency->p50_us);

	if (half <= CONFIDENT)
		return;
	record->verdict.status = "inconclusive";
	record->verdict.reason_code = fm_reason_name(FM_REASON_UNSURE);
	if (isnan(half))
		snprintf(record->verdict.reason, sizeof(record->verdict.reason),
			 "too few repetitions for an interval; give it %s",
			 fixed ? "--repetitions 6 or more" : "a longer --duration");
	else
		snprintf(record->verdict.reason, sizeof(record->verdict.reason),
			 "the 95%% interval is +-%.1f%% wide, more than 1%%; give it %s or a quieter machine",
			 half * 100, fixed ? "more --repetitions" : "a longer --duration");
}

/* A figure of a path that was two paths, or of one that came and went, is none of either. */
static void row_disturbed(const struct row_source *source, struct fm_record *record)
{
	const struct fm_disturbance *found = row_disturbance(source, true);

	if (!found)
		return;
	record->verdict.status = "inconclusive";
	record->verdict.reason_code = fm_reason_name(FM_REASON_DISTURBED);
	snprintf(record->verdict.reason, sizeof(record->verdict.reason), "%s", found->changed);
}

static void row_fill(const struct row_source *source, struct fm_record *record)
{
	const struct fm_measurement *measurement = source->measurement;
	const struct fm_tally *tally = tally_of(source);
	uint32_t rails = source->tally == FM_TOTAL ? measurement->rails : 1;

	row_begin(source->run, measurement->point, source->tally, record);
	record->key.direction = direction_names[source->direction];
	snprintf(record->key.time_utc, sizeof(record->key.time_utc), "%s", measurement->time_utc);
	row_work(measurement->point, &measurement->capability, &record->work);
	record->work.streams *= rails;
	record->work.threads *= rails;
	record->work.repetitions = tally->count;
	if (tally->count) {
		record->work.operations = tally->operations;
		record->work.duration_s = measurement->duration_s;
	}
	if (fm_tests[measurement->point->test].metric == FM_LATENCY)
		row_latency(source, &record->latency);
	else if (tally->count)
		row_rate(source, &record->rate);
	if (measurement->capability.may_lose && tally->count)
		record->counters.lost_operations = tally->lost;
	for (uint32_t i = 0; i < rails; i++)
		row_counters(&measurement->counters[source->tally == FM_TOTAL ? i : source->tally], record);
	if (measurement->point->events)
		fm_record_append(record->effective, sizeof(record->effective), "events", "yes");
	row_verdict(source, &record->verdict);
	if (source->run->config->what.require_confidence && !measurement->error.code)
		row_confidence(source->run, record);
	if (!measurement->error.code)
		row_disturbed(source, record);
	row_effective(source, source->tally == FM_TOTAL ? 0 : source->tally, record);
}

int fm_measurement_rows(struct fm_run *run, struct fm_measurement *measurement,
			int (*row)(void *context, const struct fm_record *record), void *context)
{
	uint32_t rows = measurement->rails > 1 ? measurement->rails + 1 : 1;
	int directions = measurement->point->bidirectional ? FM_DIRECTIONS : 1, code = 0;

	for (uint32_t i = 0; i < rows; i++)
		for (int direction = 0; direction < directions && code == 0; direction++) {
			row_fill(&(struct row_source){run, measurement, (enum fm_direction)direction,
						      i < measurement->rails ? i : FM_TOTAL},
				 &run->record);
			code = row(context, &run->record);
		}
	return code;
}

int fm_refused_row(struct fm_run *run, const struct fm_point *point, const char *status, const struct fm_error *why,
		   int (*row)(void *context, const struct fm_record *record), void *context)
{
	struct fm_record *record = &run->record;
	int code = 0;

	for (int way = 0; way < (point->bidirectional ? FM_DIRECTIONS : 1) && code == 0; way++) {
		row_begin(run, point, 0, record);
		record->key.direction = direction_names[way];
		row_work(point, NULL, &record->work);
		record->verdict.status = status;
		record->verdict.reason_code = fm_reason_name(why->reason);
		snprintf(record->verdict.reason, sizeof(record->verdict.reason), "%s", why->text);
		code = row(context, record);
	}
	return code;
}
