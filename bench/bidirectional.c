/*
 * bidirectional.c - comparing clocks, running both drives, and the window that they have in common.
 */
#include "bench/bidirectional.h"

#include <errno.h>
#include <math.h>

#define TIME_MAX_NS (1ll << 62)

static uint64_t now_ns(const struct fm_clock *clock)
{
	return fm_clock_ns(clock, fm_clock_ticks(clock));
}

/* ---- two clocks ---- */

void fm_both_turn(struct fm_both *both, uint64_t sent_ns, int64_t there_ns, uint64_t back_ns)
{
	uint64_t half = (back_ns - sent_ns + 1) / 2;

	if (half >= both->offset_error_ns)
		return;
	both->offset_error_ns = half;
	both->offset_ns = there_ns - (int64_t)(sent_ns + half);
}

uint64_t fm_both_ours(const struct fm_both *both, int64_t there_ns)
{
	int64_t at = there_ns - both->offset_ns;

	return at > 0 ? (uint64_t)at : 0;
}

int64_t fm_both_theirs(const struct fm_both *both, uint64_t here_ns)
{
	return (int64_t)here_ns + both->offset_ns;
}

/* A time of the peer's: -EPROTO unless it is one. Bounded, so that no sum or difference of two leaves 64 bits. */
static int time_read(const json_t *json, int64_t *ns, struct fm_error *error)
{
	json_int_t value = json_integer_value(json);

	if (!json_is_integer(json) || value <= 0 || value >= TIME_MAX_NS)
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "the peer sent a malformed time");
	*ns = value;
	return 0;
}

/* ---- the initiator ---- */

/* By how much the server's clock is ahead of ours, and within what. */
static int compare_clocks(struct fm_point_run *p, struct fm_error *error)
{
	const struct fm_clock *clock = &p->run->clock;
	int code = 0;

	p->both.offset_error_ns = UINT64_MAX;
	for (int i = 0; i < FM_CLOCK_TURNS && code == 0; i++) {
		const struct fm_wait wait = {
			.message = "clock", .deadline_ns = fm_now_ns() + FM_PHASE_NS, .what = "comparing clocks"};
		uint64_t sent_ns = now_ns(clock), back_ns;
		int64_t there_ns = 0;
		json_t *message = NULL;

		code = fm_session_send(p->flows->session, json_pack("{s:s}", "type", "clock"), error);
		if (code) {
			p->flows->session_lost = true;
			return code;
		}
		code = fm_flows_wait(p->flows, &wait, &message, error);
		back_ns = now_ns(clock);
		if (code == 0)
			code = time_read(json_object_get(message, "ns"), &there_ns, error);
		if (code == 0)
			fm_both_turn(&p->both, sent_ns, there_ns, back_ns);
		json_decref(message);
	}
	return code;
}

static void window_narrow(struct fm_window *window, uint64_t from_ns, uint64_t to_ns)
{
	window->from_ns = from_ns > window->from_ns ? from_ns : window->from_ns;
	window->to_ns = to_ns < window->to_ns ? to_ns : window->to_ns;
}

/* The windows of each rail and of all, from our stamps and the server's "through". */
static int find_windows(struct fm_point_run *p, const json_t *through, struct fm_error *error)
{
	struct fm_window *total = &p->both.windows[FM_TOTAL];

	*total = (struct fm_window){0, UINT64_MAX};
	for (uint32_t i = 0; i < p->flows->count; i++) {
		const json_t *theirs = json_array_get(json_object_get(through, "flows"), i);
		struct fm_window *window = &p->both.windows[i];
		struct fm_repetition repetition;
		int64_t start_ns, end_ns;
		int code = time_read(json_object_get(theirs, "start_ns"), &start_ns, error);

		code = code ? code : time_read(json_object_get(theirs, "end_ns"), &end_ns, error);
		if (code)
			return code;
		fm_flow_repetition(p->flows->list[i], &repetition);
		*window = (struct fm_window){fm_both_ours(&p->both, start_ns), fm_both_ours(&p->both, end_ns)};
		window_narrow(window, repetition.start_ns, repetition.end_ns);
		window_narrow(total, window->from_ns, window->to_ns);
		p->both.elapsed_b_s[i] = end_ns > start_ns ? (double)(end_ns - start_ns) / 1e9 : 0;
	}
	return 0;
}

static json_t *window_to_json(const struct fm_point_run *p, const struct fm_window *window)
{
	return json_pack("[I, I]", (json_int_t)fm_both_theirs(&p->both, window->from_ns),
			 (json_int_t)fm_both_theirs(&p->both, window->to_ns));
}

static json_t *done_message(const struct fm_point_run *p)
{
	json_t *windows = json_array();

	for (uint32_t i = 0; i < p->flows->count; i++)
		json_array_append_new(windows, window_to_json(p, &p->both.windows[i]));
	return json_pack("{s:s, s:o, s:o}", "type", "done", "windows", windows, "total",
			 window_to_json(p, &p->both.windows[FM_TOTAL]));
}

int fm_bidirectional_run(struct fm_point_run *p, uint64_t stall_ns, json_t **done, struct fm_error *error)
{
	const struct fm_wait wait = {.message = "through",
				     .through = true,
				     .deadline_ns = UINT64_MAX,
				     .stall_ns = stall_ns,
				     .what = "measuring"};
	json_t *through = NULL;
	int code = p->counts ? compare_clocks(p, error) : 0;

	if (code)
		return code;
	code = fm_session_send(p->flows->session, json_pack("{s:s}", "type", "go"), error);
	if (code) {
		p->flows->session_lost = true;
		return code;
	}
	fm_flows_each(p->flows, fm_flow_run);
	code = fm_flows_wait(p->flows, &wait, &through, error);
	if (code)
		return code;
	/* A repetition that compares messages has no stamps. */
	code = p->verify_seed ? 0 : find_windows(p, through, error);
	json_decref(through);
	if (code == 0)
		*done = done_message(p);
	return code;
}

/* ---- the server ---- */

static int answer_clocks(struct fm_flows *flows, const struct fm_clock *clock, struct fm_error *error)
{
	int code = 0;

	for (int i = 0; i < FM_CLOCK_TURNS && code == 0; i++) {
		const struct fm_wait wait = {
			.message = "clock", .deadline_ns = fm_now_ns() + FM_PHASE_NS, .what = "comparing clocks"};
		json_t *message = NULL;

		code = fm_flows_wait(flows, &wait, &message, error);
		json_decref(message);
		if (code)
			return code;
		code = fm_session_send(flows->session,
				       json_pack("{s:s, s:I}", "type", "clock", "ns", (json_int_t)now_ns(clock)),
				       error);
		flows->session_lost = flows->session_lost || code;
	}
	return code;
}

static json_t *through_message(const struct fm_flows *flows)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < flows->count; i++) {
		struct fm_repetition repetition;

		fm_flow_repetition(flows->list[i], &repetition);
		json_array_append_new(list, json_pack("{s:I, s:I}", "start_ns", (json_int_t)repetition.start_ns,
						      "end_ns", (json_int_t)repetition.end_ns));
	}
	return json_pack("{s:s, s:o}", "type", "through", "flows", list);
}

int fm_bidirectional_serve(struct fm_flows *flows, const struct fm_clock *clock, uint64_t stall_ns, json_t **done,
			   struct fm_error *error)
{
	struct fm_wait wait = {.message = "go", .deadline_ns = fm_now_ns() + FM_PHASE_NS, .what = "waiting to start"};
	json_t *go = NULL;
	int code = clock ? answer_clocks(flows, clock, error) : 0;

	if (code == 0)
		code = fm_flows_wait(flows, &wait, &go, error);
	json_decref(go);
	if (code)
		return code;
	fm_flows_each(flows, fm_flow_run);
	wait = (struct fm_wait){.through = true, .deadline_ns = UINT64_MAX, .stall_ns = stall_ns, .what = "measuring"};
	code = fm_flows_wait(flows, &wait, NULL, error);
	if (code)
		return code;
	code = fm_session_send(flows->session, through_message(flows), error);
	if (code) {
		flows->session_lost = true;
		return code;
	}
	/* How long the initiator's drives take is its own to watch. */
	wait = (struct fm_wait){.message = "done", .deadline_ns = UINT64_MAX, .what = "measuring"};
	return fm_flows_wait(flows, &wait, done, error);
}

static json_t *moved_in(const struct fm_flows *flows, uint32_t flow, const json_t *window)
{
	json_int_t from = json_integer_value(json_array_get(window, 0)),
		   to = json_integer_value(json_array_get(window, 1));
	double moved = from > 0 && to > 0 ? fm_flows_done(flows, flow, 1, (uint64_t)from, (uint64_t)to) : NAN;

	return isfinite(moved) ? json_real(moved) : json_null();
}

json_t *fm_bidirectional_moved(const struct fm_flows *flows, uint32_t flow, const json_t *done)
{
	return json_pack("{s:o, s:o}", "moved",
			 moved_in(flows, flow, json_array_get(json_object_get(done, "windows"), flow)), "moved_total",
			 moved_in(flows, flow, json_object_get(done, "total")));
}
