/*
 * pair.c - the initiator's run.
 */
#include "bench/pair.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/document.h"
#include "bench/far_end.h"
#include "bench/leash.h"
#include "bench/node.h"
#include "bench/rails.h"
#include "bench/wire.h"

#define OVERHEAD_S  0.5 /* of a point: connecting, a warm-up's last slice, closing */
#define WIDTH	    100 /* of what stands on stdout, as the table has it */
#define WARMUP_S    0.3
#define SHARE_MIN_S 0.2

/* A line on stderr for people; none with --quiet. */
__attribute__((format(printf, 2, 3))) static void say(struct fm_pair *pair, const char *format, ...)
{
	va_list arguments;

	if (pair->run.config->output.quiet)
		return;
	fm_progress_clear(&pair->run.progress);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

/* ---- agreeing with the other node ---- */

/* The same protocol is a must; another version of the program that speaks it is said, here and in each row. */
static int pair_versions(struct fm_pair *pair, const json_t *hello, struct fm_error *error)
{
	const char *version = json_string_value(json_object_get(hello, "version"));
	json_int_t protocol = json_integer_value(json_object_get(hello, "protocol"));
	char *theirs = pair->run.version_b;

	fm_text_take(theirs, sizeof(pair->run.version_b), version && *version ? version : "unknown");
	if (protocol != FM_PROTOCOL)
		return fm_error_set(error, -EPROTONOSUPPORT, FM_REASON_VERSION,
				    "%s runs fabmark %s with protocol %lld, this node %s with protocol %d; install the "
				    "same version on both",
				    pair->run.node_b, theirs, (long long)protocol, FM_VERSION, FM_PROTOCOL);
	if (strcmp(theirs, FM_VERSION) != 0)
		say(pair, "warning: %s runs fabmark %s, this node %s", pair->run.node_b, theirs, FM_VERSION);
	return 0;
}

static int pair_hello(struct fm_pair *pair, struct fm_error *error)
{
	struct fm_session *session = &pair->run.session;
	json_t *hello = NULL;
	const char *node, *boot_id;
	char own_boot_id[64];
	int code;

	code = fm_session_send(session,
			       json_pack("{s:s, s:i, s:s, s:s, s:f}", "type", "hello", "protocol", FM_PROTOCOL,
					 "version", FM_VERSION, "node", pair->run.node_a, "peer_timeout_s",
					 (double)session->peer_timeout_ns / 1e9),
			       error);
	if (code == 0)
		code = fm_session_expect(session, "hello", fm_now_ns() + FM_PHASE_NS, &hello, error);
	if (code)
		return code;
	node = json_string_value(json_object_get(hello, "node"));
	fm_text_take(pair->run.node_b, sizeof(pair->run.node_b), node && *node ? node : "unnamed");
	snprintf(session->peer, sizeof(session->peer), "%s", pair->run.node_b);
	code = pair_versions(pair, hello, error);
	/* Two containers of one machine are told apart from two nodes by the kernel that runs them. */
	boot_id = json_string_value(json_object_get(hello, "boot_id"));
	fm_node_boot_id(own_boot_id, sizeof(own_boot_id));
	pair->run.plan.shares = boot_id && own_boot_id[0] && strcmp(boot_id, own_boot_id) == 0 ? 2 : 1;
	pair->nodes.facts_b = json_incref(json_object_get(hello, "facts"));
	json_decref(hello);
	return code;
}

static int place_here(struct fm_pair *pair, const struct fm_nics *nics, struct fm_error *error)
{
	const struct fm_pair_config *config = pair->run.config;
	const struct fm_place_request request = {.rails = pair->run.plan.rails,
						 .rail_count = pair->run.plan.rail_count,
						 .cpus = config->where.cpu.local,
						 .threads = (uint32_t)config->what.threads,
						 .shares = pair->run.plan.shares,
						 .other_cpus =
							 pair->run.plan.shares == 2 ? config->where.cpu.remote : ""};
	struct fm_cpus *cpus = calloc(1, sizeof(*cpus));
	int code;

	if (!cpus)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for the list of CPUs");
	code = fm_cpus_read("/sys", cpus, error);
	if (code == 0)
		code = fm_plan_place(&pair->run.plan, nics, cpus, &request, &pair->run.place_a, error);
	free(cpus);
	return code;
}

/* Rails of both ends, then this end's place. */
static int pair_place(struct fm_pair *pair, const struct fm_nics *nics_a, const json_t *offer, struct fm_error *error)
{
	const struct fm_pair_where *where = &pair->run.config->where;
	struct fm_plan *plan = &pair->run.plan;
	const struct fm_rail_request request = {
		.rails = where->rails,
		.device = where->device,
		.data_address = where->data_address,
		.control_a = fm_control_local(pair->run.session.control),
		.control_b = fm_control_peer(pair->run.session.control),
		.rdma = fm_plan_over_rdma(plan, pair->run.config->what.transport, offer)};
	struct fm_nics *nics_b = calloc(1, sizeof(*nics_b));
	int code;

	if (!nics_b)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for the list of devices");
	code = fm_nics_from_json(json_object_get(offer, "nics"), nics_b, error);
	if (code == 0)
		code = fm_plan_rails(plan, nics_a, nics_b, &request, where->local, &pair->rails_left, error);
	free(nics_b);
	return code ? code : place_here(pair, nics_a, error);
}

static int pair_send_plan(struct fm_pair *pair, struct fm_error *error)
{
	struct fm_plan *plan = &pair->run.plan;
	struct fm_session *session = &pair->run.session;
	json_t *answer = NULL;
	int code = 0;

	for (uint32_t first = 0; first == 0 || (first < plan->count && code == 0); first += FM_POINTS_PER_MESSAGE)
		code = fm_session_send(session, fm_plan_message(plan, first), error);
	if (code == 0)
		code = fm_session_expect(session, "planned", fm_now_ns() + FM_PHASE_NS, &answer, error);
	if (code)
		return code;
	code = fm_plan_apply_answer(plan, answer, session->peer, error);
	if (code == 0 && (fm_place_from_json(json_object_get(answer, "place"), &pair->run.place_b) ||
			  pair->run.place_b.count != pair->run.place_a.count))
		code = fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "%s told no place for its end", session->peer);
	json_decref(answer);
	return code;
}

static int pair_agree(struct fm_pair *pair, struct fm_error *error)
{
	const struct fm_pair_config *config = pair->run.config;
	struct fm_session *session = &pair->run.session;
	struct fm_nics *nics = calloc(1, sizeof(*nics));
	json_t *offer = NULL;
	int code;

	if (!nics)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for the list of devices");
	snprintf(pair->run.plan.cpus_a, sizeof(pair->run.plan.cpus_a), "%s", config->where.cpu.local);
	snprintf(pair->run.plan.cpus_b, sizeof(pair->run.plan.cpus_b), "%s", config->where.cpu.remote);
	code = pair_hello(pair, error);
	if (code == 0)
		code = fm_nics_read("/sys", nics, error);
	if (code == 0)
		code = fm_session_send(session, fm_offer_make(pair->run.node_a, nics, pair->run.plan.registry), error);
	if (code == 0)
		code = fm_session_expect(session, "offer", fm_now_ns() + FM_PHASE_NS, &offer, error);
	if (code == 0)
		code = pair_place(pair, nics, offer, error);
	if (code == 0)
		code = fm_plan_points(&pair->run.plan, &config->what, offer, &pair->run.place_a, error);
	if (code == 0)
		code = pair_send_plan(pair, error);
	json_decref(offer);
	free(nics);
	return code;
}

static json_t *pair_peer_noise(struct fm_pair *pair)
{
	struct fm_error ignored;
	json_t *message = NULL, *noise;

	if (fm_session_send(&pair->run.session, json_pack("{s:s}", "type", "noise"), &ignored) ||
	    fm_session_expect(&pair->run.session, "noise", fm_now_ns() + FM_PHASE_NS, &message, &ignored))
		return NULL;
	noise = json_incref(json_object_get(message, "noise"));
	json_decref(message);
	return noise;
}

/* ---- measuring ---- */

struct row_context {
	struct fm_pair *pair;
	struct fm_error *error;
};

static int pair_row(void *context, const struct fm_record *record)
{
	struct row_context *row = context;
	struct fm_pair *pair = row->pair;
	int code;

	if (strcmp(record->verdict.status, "ok") == 0)
		pair->rows_ok++;
	else if (strcmp(record->verdict.status, "failed") == 0)
		pair->rows_failed++;
	else if (strcmp(record->verdict.status, "inconclusive") == 0)
		pair->rows_inconclusive++;
	else
		pair->rows_skipped++;
	fm_progress_clear(&pair->run.progress);
	fm_pair_note(pair, record);
	if (pair->compare)
		fm_compare_row(pair->compare, record);
	fm_session_beat(&pair->run.session);
	code = fm_outputs_row(&pair->output, record, row->error);
	fm_session_beat(&pair->run.session);
	/* Written all the same: a defect in a row is no reason to lose it. */
	return code ? code : fm_record_check(record, row->error);
}

/* Keeps the first cause; later ones stand in their rows. */
static void keep_first(struct fm_error *first, const struct fm_error *error)
{
	if (!first->code && error->code)
		*first = *error;
}

/* For run.json: what was in force on each end of each rail of a point. */
static void pair_keep_point(struct fm_pair *pair, const struct fm_measurement *measurement)
{
	for (uint32_t i = 0; i < measurement->rails; i++)
		json_array_append_new(pair->points,
				      json_pack("{s:I, s:i, s:o, s:o, s:o, s:f, s:b}", "point_id",
						(json_int_t)measurement->point->id, "rail",
						(int)(fm_point_rail(measurement->point) + i), "effective_a",
						fm_effective_to_json(&measurement->effective_a[i]), "effective_b",
						fm_effective_to_json(&measurement->effective_b[i]), "counters",
						fm_counters_to_json(&measurement->counters[i]), "warmup_s",
						measurement->warmup_s, "steady", measurement->steady));
}

/* lost: what ended the session, once something has; the points after it are skipped. */
static int pair_point(struct fm_pair *pair, const struct fm_point *point, struct fm_error *cause, struct fm_error *lost,
		      struct fm_error *error)
{
	struct row_context context = {pair, error};
	struct fm_measurement *measurement;
	int code;

	if (point->refused != FM_REASON_NONE) {
		struct fm_error refusal;

		fm_error_set(&refusal, -EOPNOTSUPP, point->refused, "%s", point->why);
		code = fm_refused_row(&pair->run, point, point->named ? "failed" : "skipped", &refusal, pair_row,
				      &context);
		fm_error_prefix(&refusal, "%s %s: ", point->transport, fm_tests[point->test].name);
		if (point->named)
			keep_first(cause, &refusal);
		return code;
	}
	if (lost->code)
		return fm_refused_row(&pair->run, point, "skipped", lost, pair_row, &context);
	measurement = calloc(1, sizeof(*measurement));
	if (!measurement)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for a measurement");
	fm_point_measure(&pair->run, point, measurement);
	keep_first(cause, &measurement->error);
	pair_keep_point(pair, measurement);
	if (measurement->session_lost)
		*lost = measurement->error;
	code = fm_measurement_rows(&pair->run, measurement, pair_row, &context);
	fm_measurement_free(measurement);
	free(measurement);
	return code;
}

/* Seconds that the points take at most. */
static double pair_estimate(const struct fm_run *run, uint32_t *points)
{
	const struct fm_pair_what *what = &run->config->what;
	double measured_s = run->duration_s, sum_s = 0;

	if (what->repetitions)
		measured_s = (double)what->repetitions * fmin(0.3, run->duration_s / 12);
	*points = 0;
	for (uint32_t i = 0; i < run->plan.count; i++)
		if (run->plan.points[i].refused == FM_REASON_NONE) {
			sum_s += measured_s + WARMUP_S + OVERHEAD_S;
			(*points)++;
		}
	return sum_s;
}

/* How long each point is measured: --duration, or its share of --time-budget where that is less. */
static int pair_budget(struct fm_run *run, struct fm_error *error)
{
	const struct fm_pair_what *what = &run->config->what;
	uint32_t points;
	double share_s;

	run->duration_s = what->duration_s;
	pair_estimate(run, &points);
	if (what->time_budget_s <= 0 || !points)
		return 0;
	share_s = what->time_budget_s / points - WARMUP_S - OVERHEAD_S;
	/* Seconds are typed in tenths, which binary fractions miss by a little. */
	if (share_s < SHARE_MIN_S - 1e-6)
		return fm_error_set(
			error, -EINVAL, FM_REASON_USAGE,
			"--time-budget: %u points take at least %.0f s; give more, or ask for fewer tests or sizes",
			points, ceil(points * (SHARE_MIN_S + WARMUP_S + OVERHEAD_S) - 1e-6));
	run->duration_s = fmin(run->duration_s, share_s);
	return 0;
}

/* Does any of them, or would it if it could be measured? */
static bool any_bidirectional(const struct fm_plan *plan)
{
	for (uint32_t i = 0; i < plan->count; i++)
		if (plan->points[i].bidirectional)
			return true;
	return false;
}

static void pair_announce(struct fm_pair *pair)
{
	const struct fm_run *run = &pair->run;
	uint32_t points;
	double estimate_s = pair_estimate(run, &points);

	fm_progress_begin(&pair->run.progress, run->config->output.quiet, run->plan.count);
	if (points)
		say(pair, "measuring %u point%s between %s and %s%s, at most %.0f s", points, points == 1 ? "" : "s",
		    run->node_a, run->node_b,
		    run->config->what.iterations ? " with a fixed number of iterations; without it" : "", estimate_s);
	for (uint32_t i = 0; i < run->plan.rail_count; i++)
		say(pair, "rail %u: %s %s on CPU %d -> %s %s on CPU %d (%s)", i, run->place_a.rails[i].device,
		    run->place_a.rails[i].address, run->place_a.rails[i].cpus[0], run->place_b.rails[i].device,
		    run->place_b.rails[i].address, run->place_b.rails[i].cpus[0], run->plan.rails[i].reason);
	if (run->config->what.bidirectional && !any_bidirectional(&run->plan))
		say(pair, "note: --bidirectional: a latency test goes both ways by itself; measured one way");
	if (pair->rails_left.count)
		say(pair, "left out of the rails: %s%s", pair->rails_left.text,
		    pair->rails_left.shown < pair->rails_left.count ? "; and more" : "");
	if (pair->output.warning[0])
		say(pair, "warning: %s", pair->output.warning);
}

static int put_due(void *context, const struct fm_record *record)
{
	(void)context;
	fm_stream_put_due(record);
	return 0;
}

/* The end that started us has a row for each point even where we die. */
static int pair_tell_due(struct fm_pair *pair)
{
	const struct fm_error why = {.code = -ECONNRESET, .reason = FM_REASON_PEER_LOST};
	int code = 0;

	for (uint32_t i = 0; i < pair->run.plan.count && code == 0; i++) {
		code = fm_refused_row(&pair->run, &pair->run.plan.points[i], "skipped", &why, put_due, NULL);
		fm_session_beat(&pair->run.session);
	}
	return code;
}

/* Every point; *cause: the first thing that went wrong with a point. Negative: rows can't be written. */
static int pair_measure(struct fm_pair *pair, struct fm_error *cause, struct fm_error *error)
{
	json_t *environment = fm_pair_environment(pair);
	struct fm_error lost = {0};
	int code = 0;

	fm_environment_id(environment, pair->run.environment_id, sizeof(pair->run.environment_id));
	json_decref(environment);
	pair_announce(pair);
	code = fm_pair_document_begin(pair, error);
	if (code == 0 && pair->output.stream)
		code = pair_tell_due(pair);
	for (uint32_t i = 0; i < pair->run.plan.count && code == 0; i++) {
		pair->run.progress.point = i + 1;
		code = pair_point(pair, &pair->run.plan.points[i], cause, &lost, error);
		/* What was asked for and not begun is a row, too. */
		if (pair->run.session.signal && !lost.code)
			lost = *cause;
	}
	fm_progress_clear(&pair->run.progress);
	pair->lost = lost.code != 0 && !pair->run.session.signal;
	if (!pair->lost && code == 0 && !pair->run.session.signal) {
		struct fm_error ignored;
		json_t *noise = pair_peer_noise(pair);

		code = fm_pair_document_end(pair, noise, cause, error);
		json_decref(noise);
		fm_session_send(&pair->run.session, json_pack("{s:s}", "type", "bye"), &ignored);
	} else if (code == 0) {
		code = fm_pair_document_end(pair, NULL, cause, error);
	}
	return code;
}

static void pair_close_words(struct fm_pair *pair)
{
	const struct fm_outputs *output = &pair->output;
	char compared[FM_COMPARE_BYTES] = "";
	const char *const sentences[] = {pair->sentence,
					 pair->compare ? fm_compare_sentence(pair->compare, compared) : compared};

	if (output->stream)
		fm_stream_put_text("sentence", pair->sentence);
	for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]) && !output->stream; i++) {
		if (sentences[i][0] && output->table)
			fm_text_paragraph(stdout, sentences[i]);
		else if (sentences[i][0])
			say(pair, "%s", sentences[i]);
	}
	fflush(stdout);
	if (output->folder.path[0])
		say(pair, "results: %s/results.csv", output->folder.path);
}

/* ssh may know the node by an address that this one has no way to. */
static void pair_advise(struct fm_error *error, const char *advice, const char *host)
{
	size_t used = strlen(error->text);

	snprintf(error->text + used, sizeof(error->text) - used, "; if the node has other addresses, %s %.80s=ADDRESS",
		 advice, host);
}

static int pair_connect(struct fm_pair *pair, const struct fm_token *token, const struct fm_far_end *far, int signal_fd,
			struct fm_error *error)
{
	const struct fm_pair_where *where = &pair->run.config->where;
	struct fm_session *session = &pair->run.session;
	uint64_t deadline_ns = fm_now_ns() + (uint64_t)(where->connect_timeout_s * 1e9);
	int code;

	session->peer_timeout_ns = (uint64_t)(where->peer_timeout_s * 1e9);
	snprintf(session->peer, sizeof(session->peer), "%s", where->local ? "the far end" : far->address);
	code = fm_control_connect(far->address, far->port, token, deadline_ns, signal_fd, &session->control, error);
	/* Which signal it was decides the exit code. */
	if (code == -EINTR)
		fm_session_signal(session, error);
	else if (code && error->reason == FM_REASON_UNREACHABLE && where->ssh[0])
		pair_advise(error, "give the one that leads there as in --ssh", far->host.name);
	else if (code && error->reason == FM_REASON_UNREACHABLE && pair->run.config->output.stream)
		pair_advise(error, "give the one that leads there as in --ssh HOST", "HOST2");
	return code;
}

static int pair_session(struct fm_pair *pair, const struct fm_token *token, const struct fm_far_end *far, int signal_fd,
			struct fm_error *error)
{
	struct fm_error cause = {0}, ignored = {0};
	int code = pair_connect(pair, token, far, signal_fd, error), close_code;

	pair->met = code == 0;
	if (code == 0)
		code = fm_session_begin(&pair->run.session, error);
	if (code == 0) {
		fm_clock_calibrate(&pair->run.clock);
		code = pair_agree(pair, error);
	}
	if (code == 0)
		code = pair_budget(&pair->run, error);
	/* Not before: a node that cannot be reached leaves no empty folder behind. */
	if (code == 0)
		code = fm_outputs_open(&pair->output, &pair->run.config->output, pair->out_given, pair->run.run_id,
				       error);
	if (code == 0) {
		pair->run.raw = pair->output.raw;
		pair->nodes.facts_a = fm_node_facts();
		pair->nodes.noise_before_a = fm_node_noise(&pair->run.place_a);
		pair->nodes.noise_before_b = pair_peer_noise(pair);
		code = pair_measure(pair, &cause, error);
		if (code == 0)
			pair_close_words(pair);
	}
	/* The other end is told why: its operator reads its log. */
	if ((code || pair->run.session.signal) && pair->run.session.control && !pair->lost)
		fm_session_send(&pair->run.session, fm_message_failed(code ? error : &cause), &ignored);
	fm_session_end(&pair->run.session);
	close_code = fm_outputs_close(&pair->output, code ? &ignored : error);
	if (code == 0)
		code = close_code;
	if (code == 0 && cause.code) {
		*error = cause;
		code = cause.code;
	}
	return code;
}

int fm_pair_run(struct fm_pair *pair, const json_t *transport_options, int signal_fd, struct fm_error *error)
{
	struct fm_token token = {0};
	struct fm_far_end far = {.port = 0};
	int code;

	pair->run.session.wake_fd = -1;
	pair->run.session.signal_fd = signal_fd;
	if (pair->run.config->output.stream)
		pair->run.session.pulse = fm_stream_alive;
	pair->points = json_array();
	pair->run.plan.options = json_incref((json_t *)transport_options);
	fm_node_name(pair->run.node_a, sizeof(pair->run.node_a));
	fm_run_id(pair->run.run_id, sizeof(pair->run.run_id));
	code = fm_far_end_start(&pair->run.config->where, pair->host, signal_fd, &token, &far, error);
	if (code == -EINTR)
		fm_session_signal(&pair->run.session, error);
	if (code == 0 && pair->run.config->output.stream)
		code = fm_leash_start(error);
	if (code == 0)
		code = pair_session(pair, &token, &far, signal_fd, error);
	/* After a session it ends by itself; without one nobody would tell it, and one that was lost may be stuck. */
	fm_far_end_stop(&far, !pair->met || pair->lost || pair->run.session.signal);
	fm_token_wipe(&token);
	fm_plan_free(&pair->run.plan);
	json_decref(pair->points);
	json_decref(pair->nodes.facts_a);
	json_decref(pair->nodes.facts_b);
	json_decref(pair->nodes.noise_before_a);
	json_decref(pair->nodes.noise_before_b);
	return code;
}
