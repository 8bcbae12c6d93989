/*
 * flows.c - the rails of a point together.
 */
#include "bench/flows.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/random.h>

#include "results/windows.h"

#define WATCH_NS  250000000ull
#define WINDOW_NS 100000000ull
#define STARVED	  0.5 /* of the time */

/* ---- what a transport may ask of the program ---- */

static int service_claim(void *context, const uint8_t cookie[16], int *fd)
{
	const struct fm_flows *flows = context;

	return flows->session->door ? fm_door_claim(flows->session->door, cookie, fd) : -EAGAIN;
}

static int service_expect(void *context, const uint8_t cookie[16])
{
	const struct fm_flows *flows = context;

	return flows->session->door ? fm_door_expect(flows->session->door, cookie) : -EOPNOTSUPP;
}

static int service_random(void *context, void *bytes, size_t count)
{
	(void)context;
	return getrandom(bytes, count, 0) == (ssize_t)count ? 0 : -errno;
}

static bool service_stopped(void *context)
{
	const struct fm_flows *flows = context;

	return atomic_load(&flows->stop) != FM_RUN;
}

struct fm_flows *fm_flows_new(const struct fm_flows_setup *setup, struct fm_error *error)
{
	struct fm_flows *flows = calloc(1, sizeof(*flows));

	if (!flows) {
		fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for a point");
		return NULL;
	}
	flows->session = setup->session;
	flows->place = *setup->place;
	flows->services = (struct fm_services){
		.bytes = sizeof(flows->services),
		.context = flows,
		.claim = service_claim,
		.expect = service_expect,
		.random = service_random,
		.stopped = service_stopped,
		.port = setup->session->door ? fm_door_port(setup->session->door) : 0,
		.transports = setup->plan->registry->list,
	};
	for (uint32_t i = 0; i < setup->place->count; i++) {
		const struct fm_flow_setup flow = {
			.point = setup->point,
			.place = &flows->place,
			.rail = i,
			.passive = setup->passive,
			.clock = setup->clock,
			.services = &flows->services,
			.options = setup->plan->options,
			.registry = setup->plan->registry,
			.verify_seed = setup->verify_seed,
			.may_lose = setup->may_lose,
			.stop = &flows->stop,
			.wake_fd = setup->session->wake_fd,
		};

		flows->list[i] = fm_flow_new(&flow, error);
		if (!flows->list[i]) {
			fm_flows_free(flows, FM_GIVE_UP_NS);
			return NULL;
		}
		flows->count++;
	}
	return flows;
}

static void beat(void *session)
{
	fm_session_beat(session);
}

bool fm_flows_free(struct fm_flows *flows, uint64_t teardown_ns)
{
	uint64_t deadline_ns = fm_now_ns() + teardown_ns;
	bool gone = true;

	if (!flows)
		return true;
	atomic_store(&flows->stop, FM_ABORT);
	for (uint32_t i = 0; i < flows->count; i++)
		gone = fm_flow_free(flows->list[i], deadline_ns, beat, flows->session) && gone;
	if (flows->session->door)
		fm_door_clear(flows->session->door);
	if (gone)
		free(flows);
	return gone;
}

static void stop_change(struct fm_flows *flows, int from, int to)
{
	atomic_compare_exchange_strong(&flows->stop, &from, to);
}

void fm_flows_finish(struct fm_flows *flows)
{
	stop_change(flows, FM_RUN, FM_FINISH);
}

void fm_flows_resume(struct fm_flows *flows)
{
	stop_change(flows, FM_FINISH, FM_RUN);
}

void fm_flows_each(struct fm_flows *flows, void (*step)(struct fm_flow *flow))
{
	for (uint32_t i = 0; i < flows->count; i++)
		step(flows->list[i]);
}

bool fm_flows_busy(const struct fm_flows *flows)
{
	for (uint32_t i = 0; i < flows->count; i++)
		if (fm_flow_busy(flows->list[i]))
			return true;
	return false;
}

bool fm_flows_armed(const struct fm_flows *flows)
{
	for (uint32_t i = 0; i < flows->count; i++)
		if (!fm_flow_armed(flows->list[i]))
			return false;
	return true;
}

bool fm_flows_through(const struct fm_flows *flows)
{
	for (uint32_t i = 0; i < flows->count; i++)
		if (!fm_flow_through(flows->list[i]))
			return false;
	return true;
}

int fm_flows_result(struct fm_flows *flows, struct fm_error *error)
{
	int canceled = 0;

	for (uint32_t i = 0; i < flows->count; i++) {
		struct fm_flow *flow = flows->list[i];
		int code = fm_flow_busy(flow) ? 0 : fm_flow_result(flow);

		if (code == 0)
			continue;
		*error = flow->error;
		if (code == -ECANCELED) {
			canceled = code;
			continue;
		}
		if (flows->count > 1)
			fm_error_prefix(error, "rail %u (%s): ", i, flows->place.rails[i].device);
		return code;
	}
	return canceled;
}

/* The stamps of several flows' lanes, in ns. */
struct traces {
	struct fm_window_trace *list;
	size_t count;
	uint64_t *at_ns;
};

static void traces_free(struct traces *traces)
{
	free(traces->list);
	free(traces->at_ns);
}

/* False on lack of memory, and where there are none. */
static bool traces_of(const struct fm_flows *flows, uint32_t first, uint32_t count, struct traces *traces)
{
	size_t lanes = 0, stamps = 0;

	*traces = (struct traces){0};
	for (uint32_t i = first; i < first + count; i++)
		for (uint32_t j = 0; j < flows->list[i]->work.streams; j++, lanes++)
			stamps += flows->list[i]->loops[j].trace.count;
	if (lanes == 0 || stamps == 0)
		return false;
	traces->list = calloc(lanes, sizeof(*traces->list));
	traces->at_ns = malloc(stamps * sizeof(*traces->at_ns));
	if (!traces->list || !traces->at_ns) {
		traces_free(traces);
		return false;
	}
	stamps = 0;
	for (uint32_t i = first; i < first + count; i++)
		for (uint32_t j = 0; j < flows->list[i]->work.streams; j++) {
			const struct fm_trace *trace = &flows->list[i]->loops[j].trace;

			for (uint32_t k = 0; k < trace->count; k++)
				traces->at_ns[stamps + k] = fm_clock_ns(flows->list[i]->clock, trace->ticks[k]);
			traces->list[traces->count++] = (struct fm_window_trace){
				.at_ns = traces->at_ns + stamps, .done = trace->done, .count = trace->count};
			stamps += trace->count;
		}
	return true;
}

double fm_flows_done(const struct fm_flows *flows, uint32_t first, uint32_t count, uint64_t from_ns, uint64_t to_ns)
{
	struct traces traces;
	double done;

	if (!traces_of(flows, first, count, &traces))
		return NAN;
	done = fm_windows_done(traces.list, traces.count, from_ns, to_ns);
	traces_free(&traces);
	return done;
}

double fm_flows_worst(const struct fm_flows *flows, uint32_t first, uint32_t count)
{
	struct traces traces;
	double worst;

	if (!traces_of(flows, first, count, &traces))
		return NAN;
	/* A sink starts before its drive does: the wait for the first arrivals is no stall of the path. */
	for (size_t i = 0; i < traces.count; i++)
		if (flows->list[first]->work.role != FM_DRIVE && traces.list[i].count > 1) {
			traces.list[i].at_ns++;
			traces.list[i].done++;
			traces.list[i].count--;
		}
	worst = fm_windows_worst_per_s(traces.list, traces.count, WINDOW_NS);
	traces_free(&traces);
	return worst;
}

/* ---- waiting ---- */

/* When each flow was last seen to move. */
struct watch {
	uint64_t progress[FM_RAILS_MAX], moved_ns[FM_RAILS_MAX], cpu_ns[FM_RAILS_MAX];
};

static void watch_begin(const struct fm_flows *flows, struct watch *watch)
{
	for (uint32_t i = 0; i < flows->count; i++) {
		watch->progress[i] = fm_flow_progress(flows->list[i]);
		watch->moved_ns[i] = fm_now_ns();
		watch->cpu_ns[i] = fm_flow_cpu_ns(flows->list[i]);
	}
}

/* What of it takes its time: the device of a rail, where there is one. */
static const char *rail_name(const struct fm_flows *flows, uint32_t rail)
{
	const struct fm_place_rail *place = &flows->place.rails[rail];

	return place->device[0] ? place->device : place->address;
}

static int watch_late(const struct fm_flows *flows, const struct fm_wait *wait, uint64_t waited_ns,
		      struct fm_error *error)
{
	uint32_t rail = 0;

	while (rail + 1 < flows->count && !fm_flow_busy(flows->list[rail]))
		rail++;
	return fm_error_set(
		error, -ETIMEDOUT, FM_REASON_TIMEOUT,
		"%s on %s took more than %.0f s and was given up; whether its driver hangs, 'dmesg' may tell",
		wait->what, rail_name(flows, rail), (double)waited_ns / 1e9);
}

/* A thread that polls busily takes all of its CPU: one that had little of it was kept waiting by others. */
static int watch_stalled(const struct fm_flows *flows, const struct fm_wait *wait, uint32_t rail, uint64_t cpu_ns,
			 struct fm_error *error)
{
	const struct fm_work *work = &flows->list[rail]->work;
	double share = (double)cpu_ns / (double)wait->stall_ns / work->threads;
	char starved[96] = "";

	if (!work->events && share < STARVED)
		snprintf(starved, sizeof(starved),
			 " (the measuring threads here had the CPU for %.0f%% of that time: others take it)",
			 share * 100);
	return fm_error_set(
		error, -ETIMEDOUT, FM_REASON_TIMEOUT,
		"nothing moved on the data path for %.1f s, while the control connection is alive%s; is the "
		"link of %s up, and its route?",
		(double)wait->stall_ns / 1e9, starved, rail_name(flows, rail));
}

static int flows_watch(const struct fm_flows *flows, const struct fm_wait *wait, uint64_t since_ns, struct watch *watch,
		       struct fm_error *error)
{
	uint64_t now = fm_now_ns();

	if (now >= wait->deadline_ns)
		return watch_late(flows, wait, wait->deadline_ns - since_ns, error);
	for (uint32_t i = 0; i < flows->count && wait->stall_ns; i++) {
		uint64_t progress = fm_flow_progress(flows->list[i]);

		/* What our drives have behind them, the peer's may not: it watches them itself. */
		if (progress != watch->progress[i] || fm_flow_through(flows->list[i])) {
			watch->progress[i] = progress;
			watch->moved_ns[i] = now;
			watch->cpu_ns[i] = fm_flow_cpu_ns(flows->list[i]);
		} else if (now - watch->moved_ns[i] > wait->stall_ns) {
			return watch_stalled(flows, wait, i, fm_flow_cpu_ns(flows->list[i]) - watch->cpu_ns[i], error);
		}
	}
	return 0;
}

/* A message while flows run: the one waited for, or the peer's bad news. */
static int flows_message(struct fm_flows *flows, const struct fm_wait *wait, json_t *got, json_t **message,
			 struct fm_error *error)
{
	const char *peer = flows->session->peer;
	int code;

	if (wait->message && !*message && fm_message_is(got, wait->message)) {
		*message = got;
		return 0;
	}
	if (fm_message_is(got, "failed")) {
		code = fm_message_explain(got, peer, error);
	} else if (fm_message_is(got, "abort")) {
		fm_message_explain(got, peer, error);
		error->code = code = -ECONNABORTED;
	} else {
		flows->session_lost = true;
		code = fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "%s sent '%.40s' while %s", peer,
				    json_string_value(json_object_get(got, "type")), wait->what);
	}
	json_decref(got);
	return code;
}

static bool flows_met(const struct fm_flows *flows, const struct fm_wait *wait, json_t *const *message)
{
	return (!wait->message || *message) && (!wait->idle || !fm_flows_busy(flows)) &&
	       (!wait->armed || fm_flows_armed(flows)) && (!wait->through || fm_flows_through(flows));
}

int fm_flows_wait(struct fm_flows *flows, const struct fm_wait *wait, json_t **message, struct fm_error *error)
{
	const uint64_t since_ns = fm_now_ns();
	struct watch watch = {.progress = {0}};
	json_t *none = NULL, **found = message ? message : &none;
	int code = 0;

	*found = NULL;
	watch_begin(flows, &watch);
	while (code == 0 && !flows_met(flows, wait, found)) {
		uint64_t watch_ns = fm_now_ns() + WATCH_NS;
		json_t *got;
		int event = fm_session_wait(flows->session, watch_ns < wait->deadline_ns ? watch_ns : wait->deadline_ns,
					    &got, error);

		if (event < 0) {
			flows->session_lost = event != -EINTR;
			code = event;
		} else if (event == FM_EVENT_MESSAGE) {
			code = flows_message(flows, wait, got, found, error);
		} else {
			code = fm_flows_result(flows, error);
			if (code == 0)
				code = flows_watch(flows, wait, since_ns, &watch, error);
		}
	}
	if (code == 0)
		code = fm_flows_result(flows, error);
	if (code && *found) {
		json_decref(*found);
		*found = NULL;
	}
	return code;
}
