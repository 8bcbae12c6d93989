/*
 * plan.h - the points of a run and how they travel to the other node.
 *
 * The initiator makes the plan from its configuration and both ends' offers; the peer checks each point against its own
 * machine before anything is allocated, and answers which ones it refuses and why.
 */
#ifndef FM_PLAN_H
#define FM_PLAN_H

#include <jansson.h>

#include "bench/config.h"
#include "bench/query.h"
#include "topology/placement.h"
#include "transports/registry.h"

enum { FM_POINTS_PER_MESSAGE = 100, FM_POINTS_MAX = 100000 };

/* One test at one size over one transport. */
struct fm_point {
	uint64_t id; /* from 1 */
	char transport[32];
	enum fm_test_id test; /* FM_TEST_COUNT: a transport that is absent altogether */
	uint64_t size_bytes, stride_bytes;
	uint32_t slots, depth, streams, threads;
	uint32_t turn; /* 1 + the plan's rail that it measures alone; 0: all of them at once */
	char memory_a[32], memory_b[32];
	bool events;		/* both ends wait for events */
	bool bidirectional;	/* both ends drive; bandwidth tests alone */
	bool named;		/* asked for by name: being unable counts as failed, not as skipped */
	enum fm_reason refused; /* FM_REASON_NONE: to be measured */
	char why[256];
};

struct fm_plan {
	struct fm_point *points;
	uint32_t count, capacity;
	struct fm_rail rails[FM_RAILS_MAX];
	uint32_t rail_count;
	bool in_turn;				       /* each rail in points of its own */
	char cpus_a[FM_TEXT_MAX], cpus_b[FM_TEXT_MAX]; /* --cpu of the initiator and of its peer */
	uint32_t shares;			       /* 2: both ends on this machine */
	json_t *options;			       /* {transport: {option: text}}, or NULL */
	const struct fm_registry *registry;	       /* the caller's, set before all else */
	struct fm_answers *answers;		       /* of transports that were asked; NULL at first */
};

void fm_plan_free(struct fm_plan *plan);

/* Appends a point. -E2BIG: more than FM_POINTS_MAX; -ENOMEM. */
int fm_plan_add(struct fm_plan *plan, const struct fm_point *point, struct fm_error *error);

/* What this node offers: {"type": "offer", node, nics, transports: [{name, absent}], memory: [{name, absent}]}. */
json_t *fm_offer_make(const char *node, const struct fm_nics *nics, const struct fm_registry *registry);

/* Does what --transport (a name, auto or all) comes to go by RDMA alone? offer: the peer's. */
bool fm_plan_over_rdma(const struct fm_plan *plan, const char *name, const json_t *offer);

/* Appends the points that config asks for, refused ones included. peer_offer: the other node's. place: this node's. */
int fm_plan_points(struct fm_plan *plan, const struct fm_pair_what *what, const json_t *peer_offer,
		   const struct fm_place *place, struct fm_error *error);

/* Points [first, first + FM_POINTS_PER_MESSAGE) as a "plan" message; the first message carries the rest of the plan
 * too. */
json_t *fm_plan_message(const struct fm_plan *plan, uint32_t first);
/* Takes one such message in; *more: another follows. -EPROTO on anything odd. */
int fm_plan_receive(struct fm_plan *plan, const json_t *message, bool *more, struct fm_error *error);

/* Messages that a buffer holds while they are compared: then outstanding ones do not share slots. */
uint32_t fm_point_verify_slots(const struct fm_point *point);

/* A first message may take as long as this on a slow link: nothing that stands still for less has stalled. */
uint64_t fm_point_stall_ns(const struct fm_point *point);

/* Whether this node can do the point; fills refused and why. */
void fm_point_check(struct fm_point *point, struct fm_plan *plan, const struct fm_place *place, bool side_b);
/* What the point's transport can do of the point's test with this place and the plan's options; see fm_query. */
int fm_point_query(const struct fm_point *point, struct fm_plan *plan, const struct fm_place *place,
		   struct fm_capability *capability, struct fm_error *error);
/* {"type": "planned", "refused": [[id, reason, why], ...]}, of the first ones that fit; and its reading. */
json_t *fm_plan_answer(const struct fm_plan *plan);
int fm_plan_apply_answer(struct fm_plan *plan, const json_t *answer, const char *peer, struct fm_error *error);

/* A set's values as {name: text} and back: values that differ from the default only. */
json_t *fm_options_to_json(const struct fm_option_set *set, const void *values);

#endif
