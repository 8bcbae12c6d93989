/*
 * rails.c - from --rails to the plan's rails, and from the plan's rails to a point's.
 */
#include "bench/rails.h"

#include <errno.h>

#define IN_TURN "each:" /* before a list */

/* Packets between RDMA ports without addresses take no route. */
static int rail_check(const struct fm_rail *rail, struct fm_error *error)
{
	return rail->address_a[0] ? fm_route_check(rail->address_a, rail->address_b, rail->device_a, error) : 0;
}

/* Rails that were found, not named, and that packets would not take, go over to what is left. */
static void rails_routed(struct fm_plan *plan, struct fm_rails_left *left)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < plan->rail_count; i++) {
		const struct fm_rail *rail = &plan->rails[i];
		struct fm_error error;

		if (rail_check(rail, &error) == 0)
			plan->rails[kept++] = *rail;
		else
			fm_rails_leave(left, rail->device_a, "%.250s", error.text);
	}
	plan->rail_count = kept;
}

static int rails_every(struct fm_plan *plan, const struct fm_nics *a, const struct fm_nics *b,
		       const struct fm_rail_request *request, bool local, struct fm_rails_left *left,
		       struct fm_error *error)
{
	int code = fm_rails_every(a, b, request, plan->rails, FM_RAILS_MAX, &plan->rail_count, left, error);

	if (code || local)
		return code;
	rails_routed(plan, left);
	if (plan->rail_count == 0)
		return fm_error_set(error, -ENETUNREACH, FM_REASON_PLACEMENT, "no rail leads to the other node: %.400s",
				    left->text);
	return 0;
}

int fm_plan_rails(struct fm_plan *plan, const struct fm_nics *a, const struct fm_nics *b,
		  const struct fm_rail_request *request, bool local, struct fm_rails_left *left, struct fm_error *error)
{
	struct fm_rail_request named = *request;
	int code;

	memset(left, 0, sizeof(*left));
	plan->in_turn = strcmp(request->rails, "each") == 0;
	if (plan->in_turn || strcmp(request->rails, "all") == 0) {
		code = rails_every(plan, a, b, request, local, left, error);
	} else {
		plan->in_turn = strncmp(request->rails, IN_TURN, strlen(IN_TURN)) == 0;
		named.rails += plan->in_turn ? strlen(IN_TURN) : 0;
		code = fm_rails_pair(a, b, &named, plan->rails, FM_RAILS_MAX, &plan->rail_count, error);
		for (uint32_t i = 0; i < plan->rail_count && code == 0 && !local; i++)
			code = rail_check(&plan->rails[i], error);
	}
	/* One rail has nothing to take turns with. */
	plan->in_turn = plan->in_turn && plan->rail_count > 1;
	return code;
}

int fm_plan_place(const struct fm_plan *plan, const struct fm_nics *nics, const struct fm_cpus *cpus,
		  const struct fm_place_request *request, struct fm_place *place, struct fm_error *error)
{
	struct fm_place made = {.count = plan->rail_count};
	int code = 0;

	if (!plan->in_turn)
		return fm_place_decide(nics, cpus, request, place, error);
	for (uint32_t i = 0; i < plan->rail_count && code == 0; i++) {
		struct fm_place_request alone = *request;
		struct fm_place one;

		alone.rails = &request->rails[i];
		alone.rail_count = 1;
		code = fm_place_decide(nics, cpus, &alone, &one, error);
		if (code == 0)
			made.rails[i] = one.rails[0];
	}
	if (code == 0)
		*place = made;
	return code;
}

void fm_point_place(const struct fm_point *point, const struct fm_place *whole, struct fm_place *place)
{
	if (!point->turn || point->turn > whole->count) {
		*place = *whole;
		return;
	}
	place->count = 1;
	place->rails[0] = whole->rails[point->turn - 1];
}

uint32_t fm_point_rail(const struct fm_point *point)
{
	return point->turn ? point->turn - 1 : 0;
}
