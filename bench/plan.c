/*
 * plan.c - makes the points and carries them over.
 */
#include "bench/plan.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/sysinfo.h>

#include "bench/flow.h"
#include "bench/rails.h"
#include "bench/session.h"
#include "common/memory/memory.h"
#include "topology/cgroup.h"

#define DEPTH_DEFAULT 128
#define STRIDE_ALIGN  64 /* a cache line: no two messages share one */
/* Of one stream's buffer: what stays in a core's cache, as with the programs that users compare with. */
#define RING_BYTES	  (1ull << 20)
#define VERIFY_RING_BYTES (16ull << 20)	 /* the same while each message is another one */
#define SLOWEST_LINK_BPS  1e8		 /* bits a second */
#define RINGS_BYTES	  (512ull << 20) /* of all buffers of a flow */

void fm_plan_free(struct fm_plan *plan)
{
	free(plan->points);
	json_decref(plan->options);
	*plan = (struct fm_plan){0};
}

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

json_t *fm_offer_make(const char *node, const struct fm_nics *nics, const struct fm_registry *registry)
{
	json_t *transports = json_array(), *memory = json_array();

	for (const struct fm_transport *const *at = registry->list; *at; at++)
		json_array_append_new(transports, json_pack("{s:s, s:o}", "name", (*at)->name, "absent",
							    text_or_null((*at)->absent)));
	for (const struct fm_memory_kind *const *at = fm_memory_kinds; *at; at++)
		json_array_append_new(
			memory, json_pack("{s:s, s:o}", "name", (*at)->name, "absent", text_or_null((*at)->absent)));
	return json_pack("{s:s, s:s, s:o, s:o, s:o}", "type", "offer", "node", node, "nics", fm_nics_to_json(nics),
			 "transports", transports, "memory", memory);
}

/* For either end: what to do about it is the same. */
static const char no_transport[] = "no transport of this name is there; a module is needed on both nodes, in a folder "
				   "that FABMARK_TRANSPORT_PATH names where fabmark is started";

/* Why the peer cannot do `name` of its offer's list; NULL where it can. */
static const char *peer_absent(const json_t *offer, const char *list, const char *name)
{
	size_t length = strcspn(name, ":"), i;
	json_t *entry;

	json_array_foreach(json_object_get(offer, list), i, entry)
	{
		const char *entry_name = json_string_value(json_object_get(entry, "name"));
		json_t *absent = json_object_get(entry, "absent");

		if (!entry_name || strlen(entry_name) != length || strncmp(entry_name, name, length) != 0)
			continue;
		return json_is_string(absent) ? json_string_value(absent) : NULL;
	}
	return strcmp(list, "transports") == 0 ? no_transport : "its build does not have it";
}

static int plan_add(struct fm_plan *plan, const struct fm_point *point, struct fm_error *error)
{
	if (plan->count == FM_POINTS_MAX)
		return fm_error_set(error, -E2BIG, FM_REASON_USAGE, "more than %d points; ask for fewer sizes or tests",
				    FM_POINTS_MAX);
	if (plan->count == plan->capacity) {
		uint32_t capacity = plan->capacity ? 2 * plan->capacity : 64;
		struct fm_point *points = realloc(plan->points, capacity * sizeof(*points));

		if (!points)
			return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for %u points",
					    capacity);
		plan->points = points;
		plan->capacity = capacity;
	}
	plan->points[plan->count++] = *point;
	return 0;
}

static int transport_query(const struct fm_transport *transport, const struct fm_plan *plan,
			   const struct fm_place *place, struct fm_capabilities *capabilities, struct fm_error *error)
{
	void *values = fm_transport_values(transport, plan->options, error);
	int code;

	memset(capabilities, 0, sizeof(*capabilities));
	if (!values)
		return error->code;
	code = transport->query(place, values, plan->registry->list, capabilities, error);
	free(values);
	return code;
}

/* ---- the initiator's choice ---- */

struct plan_builder {
	struct fm_plan *plan;
	const struct fm_pair_what *what;
	const json_t *offer;
	const struct fm_place *place;
	struct fm_error *error;
};

__attribute__((format(printf, 3, 4))) static void point_refuse(struct fm_point *point, enum fm_reason reason,
							       const char *format, ...)
{
	va_list arguments;

	point->refused = reason;
	va_start(arguments, format);
	vsnprintf(point->why, sizeof(point->why), format, arguments);
	va_end(arguments);
}

/* How many messages a buffer of at most so many bytes holds: no more than there are outstanding operations. */
static uint32_t ring_slots(const struct fm_point *point, uint64_t bytes)
{
	uint64_t ring = RINGS_BYTES / (2ull * point->streams), slots;

	slots = (ring < bytes ? ring : bytes) / point->stride_bytes;
	if (slots > point->depth)
		slots = point->depth;
	return slots ? (uint32_t)slots : 1;
}

static void point_layout(struct fm_point *point)
{
	point->stride_bytes = (point->size_bytes + STRIDE_ALIGN - 1) / STRIDE_ALIGN * STRIDE_ALIGN;
	point->slots = ring_slots(point, RING_BYTES);
}

uint32_t fm_point_verify_slots(const struct fm_point *point)
{
	uint32_t slots = ring_slots(point, VERIFY_RING_BYTES);

	return slots > point->slots ? slots : point->slots;
}

static int add_sizes(const struct plan_builder *builder, struct fm_point *point)
{
	static const struct fm_size_list latency = {1, {8}}, bandwidth = {2, {65536, 1048576}}, perftest = {23, {2}};
	const struct fm_pair_what *what = builder->what;
	const struct fm_test *test = &fm_tests[point->test];
	const struct fm_size_list *sizes = &what->sizes;
	const uint32_t turns = builder->plan->in_turn ? builder->plan->rail_count : 1;
	struct fm_size_list all = perftest;

	if (what->all_sizes || what->full) {
		if (what->full)
			all = (struct fm_size_list){24, {1}};
		for (uint32_t i = 1; i < all.count; i++)
			all.bytes[i] = 2 * all.bytes[i - 1];
		sizes = &all;
	} else if (sizes->count == 0) {
		sizes = test->metric == FM_LATENCY ? &latency : &bandwidth;
	}
	point->depth = test->metric == FM_LATENCY ? 1 : what->depth ? (uint32_t)what->depth : DEPTH_DEFAULT;
	for (uint32_t i = 0; i < sizes->count * turns; i++) {
		struct fm_point sized = *point;

		sized.id = builder->plan->count + 1;
		sized.size_bytes = sizes->bytes[i / turns];
		sized.turn = builder->plan->in_turn ? i % turns + 1 : 0;
		point_layout(&sized);
		if (sized.refused == FM_REASON_NONE)
			fm_point_check(&sized, builder->plan, builder->place, false);
		if (plan_add(builder->plan, &sized, builder->error))
			return builder->error->code;
	}
	return 0;
}

/*
 * All tests of one transport. counts: a point that cannot be measured is a failure; else, one of several transports
 * that were not named, it is only skipped.
 */
static int add_transport(const struct plan_builder *builder, const struct fm_transport *transport, bool counts)
{
	const struct fm_pair_what *what = builder->what;
	const char *peer = peer_absent(builder->offer, "transports", transport->name);
	struct fm_capabilities capabilities;
	struct fm_error error;
	bool queried = !transport->absent &&
		       transport_query(transport, builder->plan, builder->place, &capabilities, &error) == 0;

	for (int i = 0; i < FM_TEST_COUNT; i++) {
		struct fm_point point = {.test = (enum fm_test_id)i,
					 .streams = (uint32_t)what->streams,
					 .threads = (uint32_t)what->threads,
					 .events = what->events};
		int code;

		/* A ping-pong goes both ways by itself. */
		point.bidirectional = what->bidirectional && fm_tests[i].metric == FM_BANDWIDTH;
		if (!what->full && (what->tests.count ? !what->tests.chosen[i]
						      : i != (int)transport->default_latency &&
								i != (int)transport->default_bandwidth))
			continue;
		/* A family or all means the tests that there are; only a name can be disappointed. */
		if (queried && !capabilities.tests[i].supported && !what->tests.named[i])
			continue;
		snprintf(point.transport, sizeof(point.transport), "%s", transport->name);
		snprintf(point.memory_a, sizeof(point.memory_a), "%s", what->memory.local);
		snprintf(point.memory_b, sizeof(point.memory_b), "%s", what->memory.remote);
		/* Memory other than the default was named, whatever the transport. */
		point.named = counts || strcmp(point.memory_a, fm_memory_kinds[0]->name) != 0 ||
			      strcmp(point.memory_b, fm_memory_kinds[0]->name) != 0;
		if (!transport->absent && peer)
			point_refuse(&point, FM_REASON_ABSENT, "the other node cannot run %s: %s", transport->name,
				     peer);
		else if (fm_memory_find(point.memory_a) && peer_absent(builder->offer, "memory", point.memory_b))
			point_refuse(&point, FM_REASON_ABSENT, "the other node has no %s memory: %s", point.memory_b,
				     peer_absent(builder->offer, "memory", point.memory_b));
		code = add_sizes(builder, &point);
		if (code)
			return code;
	}
	return 0;
}

/* A named test that no transport of auto or all can do is a row too: it was asked for. */
static void mark_unable(const struct plan_builder *builder)
{
	for (int i = 0; i < FM_TEST_COUNT; i++) {
		struct fm_point *found = NULL;

		if (!builder->what->tests.named[i])
			continue;
		for (uint32_t j = 0; j < builder->plan->count && !found; j++)
			if ((int)builder->plan->points[j].test == i &&
			    builder->plan->points[j].refused == FM_REASON_NONE)
				found = &builder->plan->points[j];
		for (uint32_t j = 0; j < builder->plan->count && !found; j++)
			if ((int)builder->plan->points[j].test == i)
				builder->plan->points[j].named = true;
	}
}

/*
 * Does auto go on to the next transport? Where this one has nothing to measure with on this place (no RDMA on the
 * loopback device) or none of the chosen tests, and another follows.
 */
static bool gives_way(const struct plan_builder *builder, const struct fm_transport *const *at)
{
	const struct fm_pair_what *what = builder->what;
	struct fm_capabilities capabilities;
	struct fm_error error = {0};
	bool others = false;

	for (const struct fm_transport *const *next = at + 1; *next; next++)
		others = others || ((*next)->automatic && !(*next)->absent &&
				    !peer_absent(builder->offer, "transports", (*next)->name));
	if (!others)
		return false;
	if (transport_query(*at, builder->plan, builder->place, &capabilities, &error))
		return error.reason == FM_REASON_PLACEMENT || error.reason == FM_REASON_UNSUPPORTED;
	for (int i = 0; i < FM_TEST_COUNT; i++)
		if (capabilities.tests[i].supported && (!what->tests.count || what->tests.chosen[i]))
			return false;
	return true;
}

int fm_plan_points(struct fm_plan *plan, const struct fm_pair_what *what, const json_t *peer_offer,
		   const struct fm_place *place, struct fm_error *error)
{
	const struct plan_builder builder = {plan, what, peer_offer, place, error};
	bool best = strcmp(what->transport, "auto") == 0, all = strcmp(what->transport, "all") == 0;
	int code = 0;

	if (!best && !all) {
		const struct fm_transport *transport = fm_transport_among(plan->registry->list, what->transport);

		if (!transport)
			return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
					    "no transport '%s': 'fabmark devices' lists those that there are",
					    what->transport);
		code = add_transport(&builder, transport, true);
	}
	for (const struct fm_transport *const *at = plan->registry->list; *at && code == 0 && (best || all); at++) {
		if (!(*at)->automatic)
			continue;
		if (best &&
		    ((*at)->absent || peer_absent(peer_offer, "transports", (*at)->name) || gives_way(&builder, at)))
			continue;
		code = add_transport(&builder, *at, best);
		if (best)
			break;
	}
	if (code)
		return code;
	mark_unable(&builder);
	if (plan->count == 0)
		return fm_error_set(error, -EOPNOTSUPP, FM_REASON_UNSUPPORTED,
				    "nothing to measure: transport %s has none of these tests on this place",
				    what->transport);
	return 0;
}

/* ---- checking, on both ends ---- */

/* Bytes that can be had without swapping: MemAvailable of proc(5), or all there is on kernels that do not tell. */
static double memory_available(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	struct sysinfo info;
	char line[128];

	while (file && kib == 0 && fgets(line, sizeof(line), file))
		if (strncmp(line, "MemAvailable:", 13) == 0)
			kib = strtoull(line + 13, NULL, 10);
	if (file)
		fclose(file);
	if (kib)
		return (double)kib * 1024;
	return sysinfo(&info) == 0 ? (double)info.totalram * info.mem_unit : INFINITY;
}

/* What may still be had: of the machine, and of the control group that a job or a pod runs in. */
static double memory_left(void)
{
	double machine = memory_available(), group = fm_cgroup_memory_left("/proc/self");

	return group < machine ? group : machine;
}

/* rails, shares: how many such flows this machine carries at once. */
static void check_memory(struct fm_point *point, const char *memory, uint32_t flows)
{
	const struct fm_memory_kind *kind = fm_memory_find(memory);
	/* In reals: a peer's numbers may be such that the product has no place in 64 bits. */
	double bytes = 2.0 * (double)point->stride_bytes * point->slots * point->streams * flows;

	if (!kind || kind->absent)
		point_refuse(point, FM_REASON_ABSENT, "no %s memory here: %s", memory,
			     kind ? kind->absent : "'fabmark devices' lists the kinds that there are");
	else if (bytes > memory_left())
		point_refuse(
			point, FM_REASON_OUT_OF_MEMORY,
			"needs %.0f MiB of buffers, and %.0f MiB of memory are left; take fewer --streams or a smaller "
			"--size",
			bytes / 1048576, memory_left() / 1048576);
}

int fm_point_query(const struct fm_point *point, const struct fm_plan *plan, const struct fm_place *place,
		   struct fm_capability *capability, struct fm_error *error)
{
	const struct fm_transport *transport = fm_transport_among(plan->registry->list, point->transport);
	struct fm_capabilities capabilities;
	struct fm_place used;
	int code;

	if (!transport || transport->absent)
		return fm_error_set(error, -ENODEV, FM_REASON_ABSENT, "%s cannot run here: %s", point->transport,
				    transport ? transport->absent : no_transport);
	fm_point_place(point, place, &used);
	code = transport_query(transport, plan, &used, &capabilities, error);
	if (code == 0)
		*capability = capabilities.tests[point->test];
	return code;
}

void fm_point_check(struct fm_point *point, const struct fm_plan *plan, const struct fm_place *place, bool side_b)
{
	struct fm_capability test = {0};
	struct fm_error error;
	char limit[32];

	if (fm_point_query(point, plan, place, &test, &error)) {
		point_refuse(point, error.reason, "%s", error.text);
	} else if (!test.supported) {
		point_refuse(point, FM_REASON_UNSUPPORTED, "%s has no %s here", point->transport,
			     fm_tests[point->test].name);
	} else if (point->size_bytes < test.size_min || point->size_bytes > test.size_max) {
		bool small = point->size_bytes < test.size_min;

		fm_format_count(small ? test.size_min : test.size_max, limit, sizeof(limit));
		point_refuse(point, FM_REASON_UNSUPPORTED, "%s takes messages of %s %s bytes", point->transport,
			     small ? "at least" : "at most", limit);
	} else if (point->depth > test.depth_max) {
		fm_format_count(test.depth_max, limit, sizeof(limit));
		point_refuse(point, FM_REASON_UNSUPPORTED, "%s takes a depth of up to %s", point->transport, limit);
	} else if (point->bidirectional && (!test.bidirectional || test.may_lose)) {
		point_refuse(point, FM_REASON_UNSUPPORTED, "%s measures %s in one direction at a time",
			     point->transport, fm_tests[point->test].name);
	} else {
		check_memory(point, side_b ? point->memory_b : point->memory_a,
			     (point->turn ? 1 : place->count) * (plan->shares ? plan->shares : 1));
	}
}

uint64_t fm_point_stall_ns(const struct fm_point *point)
{
	const double message_s = (double)point->size_bytes * point->streams * 8 / SLOWEST_LINK_BPS;

	return (uint64_t)((1 + message_s) * 1e9);
}

/* ---- the wire ---- */

static json_t *point_to_json(const struct fm_point *point)
{
	return json_pack("[I, s, s, I, I, i, i, i, i, b, b, s, s]", (json_int_t)point->id, point->transport,
			 fm_tests[point->test].name, (json_int_t)point->size_bytes, (json_int_t)point->stride_bytes,
			 (int)point->slots, (int)point->depth, (int)point->streams, (int)point->threads, point->events,
			 point->bidirectional, point->memory_a, point->memory_b);
}

static int point_from_json(const json_t *json, struct fm_point *point, struct fm_error *error)
{
	const char *transport, *test, *memory_a, *memory_b;
	json_int_t id, size, stride;
	int slots, depth, streams, threads, events, bidirectional;

	if (json_unpack((json_t *)json, "[I, s, s, I, I, i, i, i, i, b, b, s, s]", &id, &transport, &test, &size,
			&stride, &slots, &depth, &streams, &threads, &events, &bidirectional, &memory_a,
			&memory_b) != 0)
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "a point of the plan is malformed");
	*point = (struct fm_point){.id = (uint64_t)id,
				   .test = fm_test_find(test),
				   .size_bytes = (uint64_t)size,
				   .stride_bytes = (uint64_t)stride,
				   .slots = (uint32_t)slots,
				   .depth = (uint32_t)depth,
				   .streams = (uint32_t)streams,
				   .threads = (uint32_t)threads,
				   .events = events != 0,
				   .bidirectional = bidirectional != 0};
	if (point->test == FM_TEST_COUNT)
		return fm_error_set(error, -EPROTO, FM_REASON_VERSION,
				    "the plan has a test '%.30s', which is unknown here", test);
	if (id < 1 || size < 1 || size > (1ll << 40) || stride < size || stride > (1ll << 41) || slots < 1 ||
	    slots > 65536 || depth < 1 || depth > 65536 || streams < 1 || streams > 1024 || threads < 1 ||
	    threads > FM_THREADS_MAX || streams % threads ||
	    (point->bidirectional && fm_tests[point->test].metric != FM_BANDWIDTH))
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "point %lld of the plan is out of bounds",
				    (long long)id);
	snprintf(point->transport, sizeof(point->transport), "%s", transport);
	snprintf(point->memory_a, sizeof(point->memory_a), "%s", memory_a);
	snprintf(point->memory_b, sizeof(point->memory_b), "%s", memory_b);
	return 0;
}

json_t *fm_plan_message(const struct fm_plan *plan, uint32_t first)
{
	uint32_t end = first + FM_POINTS_PER_MESSAGE;
	json_t *points = json_array(), *turns = json_array();
	json_t *message = json_pack("{s:s, s:o, s:b}", "type", "plan", "points", points, "more", end < plan->count);

	if (!message) {
		json_decref(turns);
		return NULL;
	}
	for (uint32_t i = first; i < end && i < plan->count; i++)
		if (plan->points[i].refused == FM_REASON_NONE) {
			json_array_append_new(points, point_to_json(&plan->points[i]));
			json_array_append_new(turns, json_integer(plan->points[i].turn));
		}
	if (plan->in_turn)
		json_object_set(message, "turns", turns);
	json_decref(turns);
	if (first == 0) {
		json_object_set_new(message, "rails", fm_rails_to_json(plan->rails, plan->rail_count));
		json_object_set_new(message, "cpus_a", json_string(plan->cpus_a));
		json_object_set_new(message, "cpus_b", json_string(plan->cpus_b));
		json_object_set_new(message, "shares", json_integer(plan->shares));
		if (plan->in_turn)
			json_object_set_new(message, "in_turn", json_true());
		if (plan->options)
			json_object_set(message, "options", plan->options);
	}
	return message;
}

static int plan_receive_head(struct fm_plan *plan, const json_t *message, struct fm_error *error)
{
	const char *cpus_a = json_string_value(json_object_get(message, "cpus_a"));
	const char *cpus_b = json_string_value(json_object_get(message, "cpus_b"));
	json_int_t shares = json_integer_value(json_object_get(message, "shares"));
	json_t *options = json_object_get(message, "options"), *set, *value;
	const char *transport, *name;

	if (!cpus_a || !cpus_b || strlen(cpus_a) >= sizeof(plan->cpus_a) || strlen(cpus_b) >= sizeof(plan->cpus_b) ||
	    shares < 1 || shares > 2 || (options && !json_is_object(options)))
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "the head of the plan is malformed");
	json_object_foreach(options, transport, set)
	{
		if (!json_is_object(set))
			return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "the plan's options of %.30s are none",
					    transport);
		json_object_foreach(set, name, value)
		{
			if (!json_is_string(value))
				return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL,
						    "the plan's option '%.30s' of %.30s is no text", name, transport);
		}
	}
	snprintf(plan->cpus_a, sizeof(plan->cpus_a), "%s", cpus_a);
	snprintf(plan->cpus_b, sizeof(plan->cpus_b), "%s", cpus_b);
	plan->shares = (uint32_t)shares;
	plan->options = json_incref(options);
	plan->in_turn = json_is_true(json_object_get(message, "in_turn"));
	return fm_rails_from_json(json_object_get(message, "rails"), plan->rails, FM_RAILS_MAX, &plan->rail_count,
				  error);
}

/* The rail that a point has for itself, where the plan's rails take turns. */
static int turn_from_json(const struct fm_plan *plan, const json_t *turn, struct fm_point *point,
			  struct fm_error *error)
{
	json_int_t value = json_integer_value(turn);

	if (!plan->in_turn)
		return 0;
	if (value < 1 || value > (json_int_t)plan->rail_count)
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "point %llu of the plan has no rail",
				    (unsigned long long)point->id);
	point->turn = (uint32_t)value;
	return 0;
}

int fm_plan_receive(struct fm_plan *plan, const json_t *message, bool *more, struct fm_error *error)
{
	json_t *points = json_object_get(message, "points"), *turns = json_object_get(message, "turns"), *json;
	size_t i;
	int code = 0;

	if (!json_is_array(points))
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "a plan without points came");
	if (plan->rail_count == 0)
		code = plan_receive_head(plan, message, error);
	json_array_foreach(points, i, json)
	{
		struct fm_point point;

		if (code == 0)
			code = point_from_json(json, &point, error);
		if (code == 0)
			code = turn_from_json(plan, json_array_get(turns, i), &point, error);
		if (code == 0)
			code = plan_add(plan, &point, error);
	}
	*more = json_is_true(json_object_get(message, "more"));
	return code;
}

json_t *fm_plan_answer(const struct fm_plan *plan)
{
	/* So that they fit a message; a point that is refused beyond them fails with its reason when its turn comes. */
	const size_t most = 150;
	json_t *refused = json_array();

	for (uint32_t i = 0; i < plan->count && json_array_size(refused) < most; i++)
		if (plan->points[i].refused != FM_REASON_NONE)
			json_array_append_new(refused,
					      json_pack("[I, s, s]", (json_int_t)plan->points[i].id,
							fm_reason_name(plan->points[i].refused), plan->points[i].why));
	return json_pack("{s:s, s:o}", "type", "planned", "refused", refused);
}

int fm_plan_apply_answer(struct fm_plan *plan, const json_t *answer, const char *peer, struct fm_error *error)
{
	json_t *refused = json_object_get(answer, "refused"), *json;
	size_t i;

	if (!json_is_array(refused))
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "%s answered the plan with something malformed",
				    peer);
	json_array_foreach(refused, i, json)
	{
		char text[160];
		const char *reason, *why;
		json_int_t id;

		if (json_unpack(json, "[I, s, s]", &id, &reason, &why) != 0 || id < 1 || id > (json_int_t)plan->count)
			return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "%s refused a point that there is not",
					    peer);
		plan->points[id - 1].refused = fm_reason_find(reason);
		fm_text_take(text, sizeof(text), why);
		snprintf(plan->points[id - 1].why, sizeof(plan->points[0].why), "%s: %s", peer, text);
	}
	return 0;
}

static json_t *option_to_json(const struct fm_option *row, const void *values)
{
	const struct fm_option_type *type = fm_option_type_of(row);
	const void *field = (const char *)values + row->offset;
	char text[64];

	if (type == &fm_option_flag && *(const bool *)field == (strcmp(row->value, "true") == 0))
		return NULL;
	if (type == &fm_option_flag)
		return json_string(*(const bool *)field ? "true" : "false");
	if (type == &fm_option_text || type == &fm_option_choice)
		return strcmp(field, row->value ? row->value : "") ? json_string(field) : NULL;
	if (type == &fm_option_count)
		snprintf(text, sizeof(text), "%llu", (unsigned long long)*(const uint64_t *)field);
	else if (type == &fm_option_seconds)
		snprintf(text, sizeof(text), "%.9f", *(const double *)field);
	else
		return NULL;
	return json_string(text);
}

json_t *fm_options_to_json(const struct fm_option_set *set, const void *values)
{
	json_t *object = json_object();

	for (size_t i = 0; i < set->count; i++) {
		json_t *value = option_to_json(&set->rows[i], values);

		if (value)
			json_object_set_new(object, set->rows[i].name, value);
	}
	return object;
}
