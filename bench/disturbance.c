/*
 * disturbance.c - two readings of a port around the measured window, compared.
 */
#include "bench/disturbance.h"

#include "bench/session.h"

#define SHARED_RATIO 1.05
#define SHARED_BYTES 1000000 /* what the control connection, name servers and the like may send meanwhile */

/* ---- what has to stay as it is ---- */

static const char *state_find(const struct fm_counters *counters, const char *name)
{
	for (uint32_t i = 0; i < counters->state_count; i++)
		if (strcmp(counters->states[i].name, name) == 0)
			return counters->states[i].value;
	return NULL;
}

static void changed_find(const char *node, const struct fm_counters *before, const struct fm_counters *after,
			 struct fm_disturbance *found)
{
	for (uint32_t i = 0; i < before->state_count && !found->changed[0]; i++) {
		const char *name = before->states[i].name, *was = before->states[i].value;
		const char *is = state_find(after, name);

		if (is && strcmp(was, is) == 0)
			continue;
		snprintf(found->changed, sizeof(found->changed),
			 "while this was measured %s on %.80s went from '%s' to '%s': the figures are of both; "
			 "measure again once that stays as it is",
			 name, node, was, is ? is : "cannot be read");
	}
}

/* ---- what others sent ---- */

/* Anything sent again is in the port's count and not in what the endpoint knows of. */
static bool sent_again(const struct fm_counters *before, const struct fm_counters *after)
{
	for (uint32_t i = 0; i < after->count; i++)
		for (uint32_t j = 0; j < before->count; j++)
			if (strcmp(after->items[i].key, "retransmit_count") == 0 &&
			    strcmp(before->items[j].key, "retransmit_count") == 0)
				return after->items[i].value != before->items[j].value;
	return false;
}

static bool is_shared(const struct fm_traffic *before, const struct fm_traffic *after, double *port, double *own)
{
	/* A counter that was reset, or that sticks at its end, tells nothing. */
	if (!before->port || after->port < before->port || after->own < before->own)
		return false;
	*port = (double)(after->port - before->port);
	*own = (double)(after->own - before->own);
	return *port > SHARED_RATIO * *own && *port - *own > SHARED_BYTES;
}

static void shared_find(const char *node, const struct fm_counters *before, const struct fm_counters *after,
			struct fm_disturbance *found)
{
	const char *way = "sent";
	double port, own;

	if (found->shared[0] || sent_again(before, after))
		return;
	if (!is_shared(&before->sent, &after->sent, &port, &own)) {
		way = "received";
		if (!is_shared(&before->received, &after->received, &port, &own))
			return;
	}
	snprintf(
		found->shared, sizeof(found->shared),
		"port shared with others: that of %.80s %s %.0f MB while this was measured, which accounts for %.0f MB "
		"of them at most; the figures are what was left of the port",
		node, way, port / 1e6, own / 1e6);
}

void fm_disturbance_find(const char *node, const struct fm_counters *before, const struct fm_counters *after,
			 struct fm_disturbance *found)
{
	changed_find(node, before, after, found);
	shared_find(node, before, after, found);
}

/* ---- to the other node ---- */

void fm_disturbance_to_json(const struct fm_disturbance *found, json_t *object)
{
	if (found->changed[0])
		json_object_set_new(object, "changed", json_string(found->changed));
	if (found->shared[0])
		json_object_set_new(object, "shared", json_string(found->shared));
}

static void take(const json_t *object, const char *key, char *text, size_t bytes)
{
	const char *came = json_string_value(json_object_get(object, key));

	if (came && !text[0])
		fm_text_take(text, bytes, came);
}

void fm_disturbance_from_json(const json_t *object, struct fm_disturbance *found)
{
	take(object, "changed", found->changed, sizeof(found->changed));
	take(object, "shared", found->shared, sizeof(found->shared));
}
