/*
 * document.c - makes run.json and writes it.
 */
#include "bench/document.h"

#include <errno.h>
#include <math.h>

#include "bench/node.h"
#include "bench/wire.h"

json_t *fm_pair_environment(const struct fm_pair *pair)
{
	return json_pack("{s:s, s:O?, s:O?, s:o, s:o}", "fabmark", FM_VERSION, "node_a", pair->nodes.facts_a, "node_b",
			 pair->nodes.facts_b, "place_a", fm_place_to_json(&pair->run.place_a), "place_b",
			 fm_place_to_json(&pair->run.place_b));
}

static json_t *real_or_null(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

/* What --transport came to; a word for several is kept. */
static const char *document_transport(const struct fm_run *run)
{
	const char *asked = run->config->what.transport;

	return strcmp(asked, "auto") == 0 ? run->plan.points[0].transport : asked;
}

/* What is known before the first point. A new reference, or NULL. */
static json_t *document_plan(const struct fm_pair *pair)
{
	const struct fm_run *run = &pair->run;
	char now[40];
	json_t *document;

	fm_time_utc(now, sizeof(now));
	document = json_pack("{s:i, s:s, s:b, s:s, s:O?, s:O?, s:s?, s:o, s:s}", "schema", FM_SCHEMA, "run_id",
			     run->run_id, "finished", 0, "tool_version", FM_VERSION, "arguments", pair->arguments,
			     "options", pair->options, "host", pair->host, "environment", fm_pair_environment(pair),
			     "environment_id", run->environment_id);
	if (!document)
		return NULL;
	if (pair->compare)
		json_object_set_new(document, "again", json_string(pair->compare->run_id));
	if (run->plan.count)
		json_object_set_new(document, "transport", json_string(document_transport(run)));
	json_object_set_new(document, "written_utc", json_string(now));
	json_object_set_new(document, "rails", fm_rails_to_json(run->plan.rails, run->plan.rail_count));
	json_object_set_new(document, "rails_in_turn", json_boolean(run->plan.in_turn));
	json_object_set_new(
		document, "rails_left",
		json_pack("{s:i, s:s}", "count", (int)pair->rails_left.count, "which", pair->rails_left.text));
	if (run->plan.options)
		json_object_set(document, "transport_options", run->plan.options);
	return document;
}

/* What the run found. */
static void document_finish(const struct fm_pair *pair, json_t *noise_after_b, const struct fm_error *cause,
			    json_t *document)
{
	const struct fm_run *run = &pair->run;
	struct fm_floor floor;

	fm_floor_measure(&run->clock, &floor);
	json_object_set_new(document, "finished", json_true());
	json_object_set_new(document, "clock",
			    json_pack("{s:s, s:o, s:f, s:f}", "source", run->clock.source, "ns_per_tick",
				      json_real(run->clock.ns_per_tick), "cost_ns", run->clock.cost_ns,
				      "disagreement_ppm", run->clock.disagreement_ppm));
	json_object_set_new(
		document, "harness_floor",
		json_pack("{s:s, s:o, s:o}", "method",
			  "the measuring loop over a transport that does nothing, least of five: a turn with its "
			  "clock reading, and an operation of 128 that are done at each poll",
			  "latency_turn_ns", real_or_null(floor.latency_ns), "rate_operation_ns",
			  real_or_null(floor.rate_ns)));
	json_object_set_new(document, "noise",
			    json_pack("{s:{s:O?, s:o}, s:{s:O?, s:o?}}", "a", "before", pair->nodes.noise_before_a,
				      "after", fm_node_noise(&pair->run.place_a), "b", "before",
				      pair->nodes.noise_before_b, "after",
				      noise_after_b ? json_incref(noise_after_b) : NULL));
	json_object_set(document, "points", pair->points);
	json_object_set_new(document, "rows",
			    json_pack("{s:i, s:i, s:i, s:i}", "inconclusive", (int)pair->rows_inconclusive, "ok",
				      (int)pair->rows_ok, "failed", (int)pair->rows_failed, "skipped",
				      (int)pair->rows_skipped));
	json_object_set_new(
		document, "error",
		cause->code ? json_pack("{s:s, s:s}", "reason", fm_reason_name(cause->reason), "text", cause->text)
			    : json_null());
}

static int document_write(struct fm_pair *pair, json_t *document, struct fm_error *error)
{
	int code = 0;

	if (!document)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for run.json");
	if (pair->output.stream)
		fm_stream_put("document", document);
	else
		code = fm_folder_write(&pair->output.folder, "run.json", document, error);
	json_decref(document);
	return code;
}

static bool document_wanted(const struct fm_pair *pair)
{
	return pair->output.folder.path[0] || pair->output.stream;
}

int fm_pair_document_begin(struct fm_pair *pair, struct fm_error *error)
{
	return document_wanted(pair) ? document_write(pair, document_plan(pair), error) : 0;
}

int fm_pair_document_end(struct fm_pair *pair, json_t *noise_after_b, const struct fm_error *cause,
			 struct fm_error *error)
{
	json_t *document;

	if (!document_wanted(pair))
		return 0;
	document = document_plan(pair);
	if (document)
		document_finish(pair, noise_after_b, cause, document);
	return document_write(pair, document, error);
}
