/*
 * plan.c - makes the points and carries them over.
 */
#include "bench/plan.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "bench/flow.h"
#include "bench/node.h"
#include "bench/rails.h"
#include "bench/session.h"
#include "common/memory/memory.h"

#define DEPTH_DEFAULT 128
#define STRIDE_ALIGN  64 /* a cache line: no two messages share one */
/* Of the buffers that a thread sends from: what stays in a core's cache, as with the programs that users compare with.
 */
#define RING_BYTES	  (1ull << 20)
#define VERIFY_RING_BYTES (16ull << 20)	 /* the same while each message is another one */
#define SLOWEST_LINK_BPS  1e8		 /* bits a second */
#define RINGS_BYTES	  (512ull << 20) /* of all buffers of a flow */

void fm_plan_free(struct fm_plan *plan)
{
	free(plan->points);
	json_decref(plan->options);
	fm_answers_free(plan->answers);
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

int fm_plan_add(struct fm_plan *plan, const struct fm_point *point, struct fm_error *error)
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

/* ---- the initiator's choice ---- */

struct plan_builder {
	struct fm_plan *plan;
	const struct fm_pair_what *what;
	const json_t *offer;
	const struct fm_place *place;
	struct fm_error *error;
	const char **why_not; /* what ruled out a test that was left out; "" nothing did */
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
	point->slots = ring_slots(point, RING_BYTES * point->threads / point->streams);
}

uint32_t fm_point_verify_slots(const struct fm_point *point)
{
	uint32_t slots = ring_slots(point, VERIFY_RING_BYTES);

	return slots > point->slots ? slots : point->slots;
}

/* What is measured without --size: of messages that may be so long at most. */
static struct fm_size_list default_sizes(const struct fm_test *test, uint64_t most)
{
	static const struct fm_size_list latency = {1, {8}}, bandwidth = {2, {65536, 1048576}};
	const struct fm_size_list *wanted = test->metric == FM_LATENCY ? &latency : &bandwidth;
	struct fm_size_list sizes = {0};

	for (uint32_t i = 0; i < wanted->count; i++) {
		uint64_t bytes = wanted->bytes[i];

		while (bytes > most && bytes > 1)
			bytes /= 2;
		if (!sizes.count || sizes.bytes[sizes.count - 1] != bytes)
			sizes.bytes[sizes.count++] = bytes;
	}
	return sizes;
}

/* most: bytes of a message that this end can send. */
static int add_sizes(const struct plan_builder *builder, struct fm_point *point, uint64_t most)
{
	static const struct fm_size_list perftest = {23, {2}};
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
		all = default_sizes(test, most);
		sizes = &all;
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
		if (fm_plan_add(builder->plan, &sized, builder->error))
			return builder->error->code;
	}
	return 0;
}

/* What is measured without --test: the transport's default, or, where this device has no such operation, sending. */
static bool is_default(const struct fm_transport *transport, const struct fm_capabilities *capabilities, int test)
{
	const enum fm_test_id latency = transport->default_latency, bandwidth = transport->default_bandwidth;
	bool without_latency = capabilities && !capabilities->tests[latency].supported;
	bool without_bandwidth = capabilities && !capabilities->tests[bandwidth].supported;

	return test == (int)(without_latency ? FM_SEND_LAT : latency) ||
	       test == (int)(without_bandwidth ? FM_SEND_BW : bandwidth);
}

/*
 * All tests of one transport. counts: a point that cannot be measured is a failure; else, one of several transports
 * that were not named, it is only skipped.
 */
static int add_transport(const struct plan_builder *builder, const struct fm_transport *transport, bool counts)
{
	const struct fm_pair_what *what = builder->what;
	const char *peer = peer_absent(builder->offer, "transports", transport->name);
	const struct fm_capabilities *capabilities = NULL;
	struct fm_plan *plan = builder->plan;
	struct fm_error error;
	bool queried = !transport->absent && fm_query(&plan->answers, transport, 0, plan->options, builder->place,
						      plan->registry->list, &capabilities, &error) == 0;

	for (int i = 0; i < FM_TEST_COUNT; i++) {
		struct fm_point point = {.test = (enum fm_test_id)i,
					 .streams = (uint32_t)what->streams,
					 .threads = (uint32_t)what->threads,
					 .events = what->events};
		int code;

		/* A ping-pong goes both ways by itself. */
		point.bidirectional = what->bidirectional && fm_tests[i].metric == FM_BANDWIDTH;
		if (!what->full &&
		    (what->tests.count ? !what->tests.chosen[i] : !is_default(transport, capabilities, i)))
			continue;
		/* A family or all means the tests that there are; only a name can be disappointed. */
		if (queried && !capabilities->tests[i].supported && !what->tests.named[i]) {
			if (capabilities->tests[i].why_not)
				*builder->why_not = capabilities->tests[i].why_not;
			continue;
		}
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
		code = add_sizes(builder, &point,
				 queried && capabilities->tests[i].supported ? capabilities->tests[i].size_max
									     : UINT64_MAX);
		if (code)
			return code;
	}
	return 0;
}

/* NULL: none. */
static const struct fm_transport *transport_auto(const struct fm_plan *plan, const json_t *offer)
{
	for (const struct fm_transport *const *at = plan->registry->list; *at; at++)
		if ((*at)->automatic && !(*at)->absent && !peer_absent(offer, "transports", (*at)->name))
			return *at;
	return NULL;
}

bool fm_plan_over_rdma(const struct fm_plan *plan, const char *name, const json_t *offer)
{
	const struct fm_transport *transport = strcmp(name, "auto") == 0
						       ? transport_auto(plan, offer)
						       : fm_transport_among(plan->registry->list, name);

	return transport && transport->rdma;
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
	const struct fm_capabilities *capabilities;
	struct fm_plan *plan = builder->plan;
	struct fm_error error = {0};
	bool others = false;

	for (const struct fm_transport *const *next = at + 1; *next; next++)
		others = others || ((*next)->automatic && !(*next)->absent &&
				    !peer_absent(builder->offer, "transports", (*next)->name));
	if (!others)
		return false;
	if (fm_query(&plan->answers, *at, 0, plan->options, builder->place, plan->registry->list, &capabilities,
		     &error))
		return error.reason == FM_REASON_PLACEMENT || error.reason == FM_REASON_UNSUPPORTED;
	for (int i = 0; i < FM_TEST_COUNT; i++)
		if (capabilities->tests[i].supported && (!what->tests.count || what->tests.chosen[i]))
			return false;
	return true;
}

int fm_plan_points(struct fm_plan *plan, const struct fm_pair_what *what, const json_t *peer_offer,
		   const struct fm_place *place, struct fm_error *error)
{
	const char *why_not = "";
	const struct plan_builder builder = {plan, what, peer_offer, place, error, &why_not};
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
				    "nothing to measure: transport %s has none of these tests on this place%s%s",
				    what->transport, *why_not ? ": " : "", why_not);
	return 0;
}

/* ---- checking, on both ends ---- */

/* rails, shares: how many such flows this machine carries at once. */
static void check_memory(struct fm_point *point, const char *memory, uint32_t flows)
{
	const struct fm_memory_kind *kind = fm_memory_find(memory);
	/* In reals: a peer's numbers may be such that the product has no place in 64 bits. */
	double one = (double)point->stride_bytes * point->slots, count = 2.0 * point->streams * flows;
	double bytes = one * count;
	struct fm_error error;

	if (!kind || kind->absent)
		point_refuse(point, FM_REASON_ABSENT, "no %s memory here: %s", memory,
			     kind ? kind->absent : "'fabmark devices' lists the kinds that there are");
	else if (bytes > fm_node_memory_left())
		point_refuse(
			point, FM_REASON_OUT_OF_MEMORY,
			"needs %.0f MiB of buffers, and %.0f MiB of memory are left; take fewer --streams or a smaller "
			"--size",
			bytes / 1048576, fm_node_memory_left() / 1048576);
	else if (fm_memory_reserved(kind, one, count, &error))
		point_refuse(point, error.reason, "%s", error.text);
}

int fm_point_query(const struct fm_point *point, struct fm_plan *plan, const struct fm_place *place,
		   struct fm_capability *capability, struct fm_error *error)
{
	const struct fm_transport *transport = fm_transport_among(plan->registry->list, point->transport);
	const struct fm_capabilities *capabilities;
	struct fm_place used;
	int code;

	if (!transport || transport->absent)
		return fm_error_set(error, -ENODEV, FM_REASON_ABSENT, "%s cannot run here: %s", point->transport,
				    transport ? transport->absent : no_transport);
	fm_point_place(point, place, &used);
	code = fm_query(&plan->answers, transport, point->turn, plan->options, &used, plan->registry->list,
			&capabilities, error);
	if (code == 0)
		*capability = capabilities->tests[point->test];
	return code;
}

/* A test that the transport lacks: names those that it has. */
static void refuse_test(struct fm_point *point, struct fm_plan *plan, const struct fm_place *place)
{
	struct fm_point other = *point;
	struct fm_capability test;
	struct fm_error ignored;
	char has[sizeof(point->why)] = "";
	size_t used = 0;

	for (int i = 0; i < FM_TEST_COUNT; i++) {
		other.test = (enum fm_test_id)i;
		if (fm_point_query(&other, plan, place, &test, &ignored) == 0 && test.supported && used < sizeof(has))
			used += (size_t)snprintf(has + used, sizeof(has) - used, "%s%s", used ? ", " : "",
						 fm_tests[i].name);
	}
	point_refuse(point, FM_REASON_UNSUPPORTED, "%s has no %s here%s%s", point->transport,
		     fm_tests[point->test].name, used ? ": it has " : "", has);
}

void fm_point_check(struct fm_point *point, struct fm_plan *plan, const struct fm_place *place, bool side_b)
{
	struct fm_capability test = {0};
	struct fm_error error;
	char limit[32];

	if (fm_point_query(point, plan, place, &test, &error)) {
		point_refuse(point, error.reason, "%s", error.text);
	} else if (!test.supported && test.why_not) {
		point_refuse(point, FM_REASON_UNSUPPORTED, "%s has no %s here: %s", point->transport,
			     fm_tests[point->test].name, test.why_not);
	} else if (!test.supported) {
		refuse_test(point, plan, place);
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
