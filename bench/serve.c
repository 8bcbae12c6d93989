/*
 * serve.c - answers hello, offer and plan, then does its part of each point.
 */
#include "bench/serve.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "bench/bidirectional.h"
#include "bench/disturbance.h"
#include "bench/node.h"
#include "bench/rails.h"
#include "bench/wire.h"

#define OPERATIONS_MAX (1ll << 50)
#define LOSSY_WAIT_NS  200000000 /* stragglers of a path that may lose, after the drive is through */

struct client {
	struct fm_server *server;
	struct fm_session *session;
	struct fm_plan plan;
	struct fm_place place;
};

/* ---- one point ---- */

struct served_point {
	struct client *client;
	const struct fm_point *point;
	struct fm_flows *flows;
	bool may_lose;
};

static int served_send(struct served_point *p, json_t *message, struct fm_error *error)
{
	int code = fm_session_send(p->client->session, message, error);

	if (code)
		p->flows->session_lost = true;
	return code;
}

static int served_connect(struct served_point *p, const json_t *message, struct fm_error *error)
{
	struct fm_wait wait = {.idle = true, .deadline_ns = fm_now_ns() + FM_PHASE_NS, .what = "opening the device"};
	const json_t *peer = json_object_get(message, "blobs");
	json_t *blobs = json_array();
	int code = 0;

	for (uint32_t i = 0; i < p->flows->count && code == 0; i++)
		if (fm_blob_from_json(json_array_get(peer, i), &p->flows->list[i]->peer))
			code = fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "a malformed address came");
	if (code == 0) {
		fm_flows_each(p->flows, fm_flow_prepare);
		code = fm_flows_wait(p->flows, &wait, NULL, error);
	}
	for (uint32_t i = 0; i < p->flows->count && code == 0; i++)
		json_array_append_new(blobs, fm_blob_to_json(&p->flows->list[i]->own));
	if (code == 0)
		code = served_send(p, json_pack("{s:s, s:O}", "type", "addresses", "blobs", blobs), error);
	json_decref(blobs);
	if (code)
		return code;
	fm_flows_each(p->flows, fm_flow_connect);
	wait.deadline_ns = fm_now_ns() + FM_PHASE_NS;
	wait.what = "connecting the data path";
	code = fm_flows_wait(p->flows, &wait, NULL, error);
	return code ? code : served_send(p, json_pack("{s:s}", "type", "connected"), error);
}

static json_t *real_or_null(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

/* done: the initiator's message. */
static json_t *served_flow(const struct served_point *p, uint32_t i, const json_t *done)
{
	struct fm_repetition repetition;
	json_t *flow;

	fm_flow_repetition(p->flows->list[i], &repetition);
	flow = json_pack("{s:I, s:o, s:o, s:o, s:o}", "operations", (json_int_t)repetition.operations, "seen_per_s",
			 real_or_null(repetition.seen_per_s), "stream_min_per_s",
			 real_or_null(repetition.stream_min_per_s), "stream_max_per_s",
			 real_or_null(repetition.stream_max_per_s), "worst_per_s",
			 real_or_null(fm_flows_worst(p->flows, i, 1)));
	if (flow && p->point->bidirectional)
		json_object_update_new(flow, fm_bidirectional_moved(p->flows, i, done));
	return flow;
}

static json_t *served_summary(const struct served_point *p, const json_t *done)
{
	json_t *flows = json_array();

	for (uint32_t i = 0; i < p->flows->count; i++) {
		json_array_append_new(flows, served_flow(p, i, done));
		fm_session_beat(p->client->session);
	}
	/* Of a single flow the initiator has it already. */
	return json_pack("{s:s, s:o, s:o}", "type", "done", "flows", flows, "worst_per_s",
			 real_or_null(p->flows->count > 1 ? fm_flows_worst(p->flows, 0, p->flows->count) : NAN));
}

static int served_counters(struct served_point *p, bool after, struct fm_error *error)
{
	for (uint32_t i = 0; i < p->flows->count; i++)
		fm_flow_count(p->flows->list[i], after);
	return fm_flows_wait(
		p->flows,
		&(struct fm_wait){.idle = true, .deadline_ns = fm_now_ns() + FM_PHASE_NS, .what = "reading counters"},
		NULL, error);
}

/* A passive role polls as soon as it is armed; a drive waits for its start. */
static int served_arm(struct served_point *p, const json_t *arm, struct fm_error *error)
{
	const json_t *operations = json_object_get(arm, "operations"), *back = json_object_get(arm, "back");
	bool both = p->point->bidirectional;
	const struct fm_wait wait = {
		.armed = !both, .idle = both, .deadline_ns = fm_now_ns() + FM_PHASE_NS, .what = "arming"};
	int code = 0;

	if (json_array_size(operations) != p->flows->count || (both && json_array_size(back) != p->flows->count))
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "a malformed 'arm' came");
	if (json_is_true(json_object_get(arm, "first")))
		code = served_counters(p, false, error);
	if (code)
		return code;
	for (uint32_t i = 0; i < p->flows->count; i++) {
		json_int_t count = json_integer_value(json_array_get(operations, i));

		json_int_t ours = both ? json_integer_value(json_array_get(back, i)) : count;

		if (count < 1 || count > OPERATIONS_MAX || ours < 1 || ours > OPERATIONS_MAX)
			return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL,
					    "'arm' came with %lld and %lld operations", (long long)count,
					    (long long)ours);
		if (both)
			fm_flow_arm(p->flows->list[i], (uint64_t)ours, (uint64_t)count);
		else
			fm_flow_serve(p->flows->list[i], (uint64_t)count);
	}
	code = fm_flows_wait(p->flows, &wait, NULL, error);
	return code ? code : served_send(p, json_pack("{s:s}", "type", "armed"), error);
}

/* Until the peer says that it is through; it then has to be told what arrived here. */
static int served_run(struct served_point *p, bool clock, json_t **done, struct fm_error *error)
{
	const struct timespec stragglers = {0, LOSSY_WAIT_NS};
	/* No deadline but the peer's life: how long a repetition takes is the initiator's to judge. */
	const struct fm_wait wait = {.message = "done", .deadline_ns = UINT64_MAX, .what = "measuring"};
	int code;

	if (p->point->bidirectional)
		return fm_bidirectional_serve(p->flows, clock ? &p->client->server->clock : NULL,
					      p->client->session->peer_timeout_ns + fm_point_stall_ns(p->point), done,
					      error);
	code = fm_flows_wait(p->flows, &wait, done, error);
	if (code == 0 && p->may_lose)
		nanosleep(&stragglers, NULL);
	return code;
}

/* One repetition: arm, run, settle, report. */
static int served_repeat(struct served_point *p, const json_t *arm, struct fm_error *error)
{
	struct fm_wait wait = {.idle = true};
	json_t *done = NULL;
	int code = served_arm(p, arm, error);

	if (code == 0)
		code = served_run(p, json_is_true(json_object_get(arm, "clock")), &done, error);
	if (code == 0) {
		fm_flows_finish(p->flows);
		wait.deadline_ns = fm_now_ns() + FM_PHASE_NS;
		wait.what = "ending a repetition";
		code = fm_flows_wait(p->flows, &wait, NULL, error);
	}
	if (code == 0) {
		fm_flows_resume(p->flows);
		fm_flows_each(p->flows, fm_flow_settle);
		wait.what = "settling a repetition";
		code = fm_flows_wait(p->flows, &wait, NULL, error);
	}
	if (code == 0)
		code = served_send(p, served_summary(p, done), error);
	json_decref(done);
	return code;
}

static int served_close(struct served_point *p, struct fm_error *error)
{
	struct fm_wait wait = {
		.idle = true, .deadline_ns = fm_now_ns() + FM_PHASE_NS, .what = "taking leave of the peer"};
	json_t *list = json_array(), *quiet = NULL;
	int code = served_counters(p, true, error);

	for (uint32_t i = 0; i < p->flows->count && code == 0; i++) {
		struct fm_flow *flow = p->flows->list[i];
		struct fm_counters deltas = {0};
		struct fm_disturbance found = {0};
		json_t *values;

		fm_counters_delta(&flow->before, &flow->after, &deltas);
		values = json_pack("{s:o, s:o}", "effective", fm_effective_to_json(&flow->effective), "counters",
				   fm_counters_to_json(&deltas));
		fm_disturbance_find(p->client->server->node, &flow->before, &flow->after, &found);
		fm_disturbance_to_json(&found, values);
		json_array_append_new(list, values);
	}
	if (code == 0) {
		fm_flows_each(p->flows, fm_flow_disconnect);
		code = fm_flows_wait(p->flows, &wait, NULL, error);
	}
	if (code == 0)
		code = served_send(p, json_pack("{s:s, s:O}", "type", "closed", "flows", list), error);
	json_decref(list);
	/* Until then its farewell may need our progress. */
	wait.idle = false;
	wait.message = "quiet";
	if (code == 0)
		code = fm_flows_wait(p->flows, &wait, &quiet, error);
	json_decref(quiet);
	return code;
}

static int served_measure(struct served_point *p, struct fm_error *error)
{
	for (;;) {
		/* Between repetitions the initiator reckons; it beats meanwhile, so there is no other deadline. */
		json_t *message = NULL;
		int event = fm_session_wait(p->client->session, UINT64_MAX, &message, error), code;
		bool close = false;

		if (event < 0) {
			p->flows->session_lost = event != -EINTR;
			return event;
		}
		if (event != FM_EVENT_MESSAGE)
			continue;
		close = fm_message_is(message, "close");
		if (close) {
			code = served_close(p, error);
		} else if (fm_message_is(message, "arm")) {
			code = served_repeat(p, message, error);
		} else if (fm_message_is(message, "abort")) {
			fm_message_explain(message, p->client->session->peer, error);
			error->code = code = -ECONNABORTED;
		} else {
			code = fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL,
					    "'%.40s' came where 'arm' or 'close' belongs",
					    json_string_value(json_object_get(message, "type")));
		}
		json_decref(message);
		if (code || close)
			return code;
	}
}

/* After a failure: say it unless the peer gave up first, wait for its "abort", and confirm. 0: ready for the next. */
static int served_give_up(struct client *client, const struct fm_error *cause, bool session_lost,
			  struct fm_error *error)
{
	struct fm_session *session = client->session;
	uint64_t deadline_ns = fm_now_ns() + FM_PHASE_NS;
	bool aborted = cause->code == -ECONNABORTED;

	if (session_lost || session->signal) {
		*error = *cause;
		return cause->code;
	}
	if (!aborted && fm_session_send(session, fm_message_failed(cause), error))
		return error->code;
	while (!aborted) {
		json_t *message = NULL;
		int event = fm_session_wait(session, deadline_ns, &message, error);

		if (event < 0)
			return event;
		if (event == FM_EVENT_DEADLINE)
			return fm_error_set(error, -ETIMEDOUT, FM_REASON_TIMEOUT, "%s did not give the failed point up",
					    session->peer);
		if (event == FM_EVENT_MESSAGE) {
			aborted = fm_message_is(message, "abort");
			json_decref(message);
		}
	}
	return fm_session_send(session, json_pack("{s:s, s:[]}", "type", "closed", "flows"), error);
}

static const struct fm_point *find_point(const struct fm_plan *plan, json_int_t id)
{
	for (uint32_t i = 0; i < plan->count; i++)
		if ((json_int_t)plan->points[i].id == id)
			return &plan->points[i];
	return NULL;
}

/* In the server's log, too: whoever looks there should not have to ask the client. */
static void say_failed(const struct client *client, const struct fm_point *point, const struct fm_error *cause)
{
	char line[sizeof(cause->text) + 128];

	snprintf(line, sizeof(line), "%s %s, %" PRIu64 " bytes, failed: %s", point->transport,
		 fm_tests[point->test].name, point->size_bytes, cause->text);
	client->server->say(client->server->context, line);
}

static int serve_point(struct client *client, const json_t *message, struct fm_error *error)
{
	const struct fm_point *point = find_point(&client->plan, json_integer_value(json_object_get(message, "id")));
	json_int_t seed = json_integer_value(json_object_get(message, "verify"));
	struct fm_place place;
	struct fm_flows_setup setup = {.session = client->session,
				       .point = point,
				       .place = &place,
				       .clock = &client->server->clock,
				       .plan = &client->plan,
				       .passive = true,
				       .verify_seed = (uint64_t)seed};
	struct served_point p = {.client = client, .point = point};
	struct fm_capability capability = {0};
	struct fm_error cause = {0};
	bool session_lost;
	int code;

	if (!point)
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "a point came that is not in the plan");
	if (point->refused != FM_REASON_NONE) {
		fm_error_set(&cause, -EOPNOTSUPP, point->refused, "%s", point->why);
		return served_give_up(client, &cause, false, error);
	}
	if (fm_point_query(point, &client->plan, &client->place, &capability, &cause) == 0)
		p.may_lose = setup.may_lose = capability.may_lose;
	fm_point_place(point, &client->place, &place);
	p.flows = fm_flows_new(&setup, &cause);
	if (!p.flows)
		return served_give_up(client, &cause, false, error);
	code = served_connect(&p, message, &cause);
	if (code == 0)
		code = served_measure(&p, &cause);
	session_lost = p.flows->session_lost;
	/* Closed before "closed" is said in a failure, so that the next point finds the device free. */
	if (!fm_flows_free(p.flows, code ? FM_GIVE_UP_NS : FM_TEARDOWN_NS))
		client->server->say(client->server->context,
				    "a measuring thread hangs in its driver and was left behind");
	if (code == 0)
		return 0;
	/* A lost session ends in words of its own. */
	if (!session_lost)
		say_failed(client, point, &cause);
	return served_give_up(client, &cause, session_lost, error);
}

/* ---- hello, offer, plan ---- */

static int serve_hello(struct client *client, struct fm_error *error)
{
	struct fm_session *session = client->session;
	json_t *hello = NULL;
	const char *node, *version;
	char boot_id[64];
	json_int_t protocol;
	double timeout_s;
	int code = fm_session_expect(session, "hello", fm_now_ns() + FM_PHASE_NS, &hello, error);

	if (code)
		return code;
	if (json_unpack(hello, "{s:I, s:s, s:s, s:F}", "protocol", &protocol, "version", &version, "node", &node,
			"peer_timeout_s", &timeout_s) != 0 ||
	    !(timeout_s >= 1 && timeout_s <= 3600)) {
		json_decref(hello);
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "a malformed 'hello' came");
	}
	fm_text_take(session->peer, sizeof(session->peer), node);
	session->peer_timeout_ns = (uint64_t)(timeout_s * 1e9);
	if (protocol != FM_PROTOCOL)
		fm_error_set(error, -EPROTONOSUPPORT, FM_REASON_VERSION,
			     "%s runs fabmark %s with protocol %d, the client %s runs %s with protocol %d; install the "
			     "same version on both",
			     client->server->node, FM_VERSION, FM_PROTOCOL, node, version, (int)protocol);
	json_decref(hello);
	if (protocol != FM_PROTOCOL)
		return error->code;
	fm_node_boot_id(boot_id, sizeof(boot_id));
	return fm_session_send(session,
			       json_pack("{s:s, s:i, s:s, s:s, s:s, s:o}", "type", "hello", "protocol", FM_PROTOCOL,
					 "version", FM_VERSION, "node", client->server->node, "boot_id", boot_id,
					 "facts", fm_node_facts()),
			       error);
}

static int serve_offer(struct client *client, struct fm_nics *nics, struct fm_error *error)
{
	json_t *offer = NULL;
	int code = fm_session_expect(client->session, "offer", fm_now_ns() + FM_PHASE_NS, &offer, error);

	json_decref(offer);
	if (code == 0)
		code = fm_nics_read("/sys", nics, error);
	return code ? code
		    : fm_session_send(client->session,
				      fm_offer_make(client->server->node, nics, client->server->registry), error);
}

static int place_here(struct client *client, const struct fm_nics *nics, struct fm_error *error)
{
	const struct fm_plan *plan = &client->plan;
	struct fm_place_request request = {.rails = plan->rails,
					   .rail_count = plan->rail_count,
					   .side_b = true,
					   .cpus = plan->cpus_b,
					   .threads = 1,
					   .share = plan->shares - 1,
					   .shares = plan->shares,
					   .other_cpus = plan->shares == 2 ? plan->cpus_a : ""};
	struct fm_cpus *cpus = calloc(1, sizeof(*cpus));
	int code;

	if (!cpus)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for the list of CPUs");
	for (uint32_t i = 0; i < plan->count; i++)
		if (plan->points[i].threads > request.threads)
			request.threads = plan->points[i].threads;
	code = fm_cpus_read("/sys", cpus, error);
	if (code == 0)
		code = fm_plan_place(plan, nics, cpus, &request, &client->place, error);
	free(cpus);
	return code;
}

static int serve_plan(struct client *client, const struct fm_nics *nics, struct fm_error *error)
{
	bool more = true;
	json_t *answer;
	int code = 0;

	while (more && code == 0) {
		json_t *message = NULL;

		code = fm_session_expect(client->session, "plan", fm_now_ns() + FM_PHASE_NS, &message, error);
		if (code == 0)
			code = fm_plan_receive(&client->plan, message, &more, error);
		json_decref(message);
	}
	if (code == 0)
		code = place_here(client, nics, error);
	if (code)
		return code;
	for (uint32_t i = 0; i < client->plan.count; i++)
		fm_point_check(&client->plan.points[i], &client->plan, &client->place, true);
	answer = fm_plan_answer(&client->plan);
	if (answer)
		json_object_set_new(answer, "place", fm_place_to_json(&client->place));
	return fm_session_send(client->session, answer, error);
}

static int serve_points(struct client *client, struct fm_error *error)
{
	for (;;) {
		json_t *message = NULL;
		int event = fm_session_wait(client->session, UINT64_MAX, &message, error), code = 0;
		bool bye;

		if (event < 0)
			return event;
		if (event != FM_EVENT_MESSAGE)
			continue;
		bye = fm_message_is(message, "bye");
		if (fm_message_is(message, "failed"))
			code = fm_message_explain(message, client->session->peer, error);
		else if (fm_message_is(message, "point"))
			code = serve_point(client, message, error);
		else if (fm_message_is(message, "abort"))
			/* The initiator failed before it sent the point. */
			code = fm_session_send(client->session, json_pack("{s:s, s:[]}", "type", "closed", "flows"),
					       error);
		else if (fm_message_is(message, "noise"))
			code = fm_session_send(
				client->session,
				json_pack("{s:s, s:o}", "type", "noise", "noise", fm_node_noise(&client->place)),
				error);
		else if (!bye)
			code = fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL,
					    "'%.40s' came where 'point' or 'bye' belongs",
					    json_string_value(json_object_get(message, "type")));
		json_decref(message);
		if (code || bye)
			return code;
	}
}

/* A second client while one is served: it is told, and the session in hand goes on. */
static void turn_away(struct fm_session *session, struct fm_control *control)
{
	struct fm_error busy, ignored;
	json_t *message;

	fm_error_set(&busy, -EBUSY, FM_REASON_BUSY,
		     "it is measuring with %s; try again when that is over, or take another --port",
		     session->peer[0] ? session->peer : "another client");
	/* Its hello, read before the close: unread bytes would turn that into a reset, which can overtake the sentence.
	 */
	if (fm_control_receive(control, &message, &ignored) == 0)
		json_decref(message);
	message = fm_message_failed(&busy);
	if (message)
		fm_control_send(control, message, fm_now_ns() + 100000000u, &ignored);
	json_decref(message);
	fm_control_close(control);
}

int fm_server_client(struct fm_server *server, struct fm_error *error)
{
	struct client client = {.server = server, .session = &server->session, .plan.registry = server->registry};
	struct fm_nics *nics = calloc(1, sizeof(*nics));
	int code = 0;

	if (!nics)
		code = fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for the list of devices");
	snprintf(server->session.peer, sizeof(server->session.peer), "%s", fm_control_peer(server->session.control));
	server->session.visitor = turn_away;
	server->session.peer_timeout_ns = (uint64_t)(FM_PEER_TIMEOUT * 1e9);
	server->session.heartbeat_ns = 0;
	if (code == 0)
		code = serve_hello(&client, error);
	if (code == 0)
		code = serve_offer(&client, nics, error);
	if (code == 0)
		code = serve_plan(&client, nics, error);
	if (code == 0)
		code = serve_points(&client, error);
	/* It may go when it has seen what it wanted: our offer may not suit it. */
	if (code == -ESHUTDOWN)
		code = 0;
	/* What it has not said itself, and can still hear. */
	if (code && code != -EREMOTEIO && error->reason != FM_REASON_PEER_LOST) {
		struct fm_error ignored;

		fm_session_send(&server->session, fm_message_failed(error), &ignored);
	}
	server->session.visitor = NULL;
	fm_control_close(server->session.control);
	server->session.control = NULL;
	fm_plan_free(&client.plan);
	free(nics);
	return code;
}
