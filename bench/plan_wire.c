/*
 * plan_wire.c - how a plan, and what a node refuses of it, travel to the other node.
 */
#include <errno.h>
#include <stdlib.h>

#include "bench/plan.h"
#include "bench/session.h"

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
			code = fm_plan_add(plan, &point, error);
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
