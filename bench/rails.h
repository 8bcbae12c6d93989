/*
 * rails.h - the rails of a run: all at once in each point, or in turn, each in a point of its own.
 */
#ifndef FM_BENCH_RAILS_H
#define FM_BENCH_RAILS_H

#include "bench/plan.h"

/*
 * What --rails asks for: plan->rails, and in_turn. Of "all" and "each" those that the route does not lead over are left
 * over as well; one that was named is an error instead. local: both ends on this machine, where no route is asked.
 */
int fm_plan_rails(struct fm_plan *plan, const struct fm_nics *a, const struct fm_nics *b,
		  const struct fm_rail_request *request, bool local, struct fm_rails_left *left,
		  struct fm_error *error);

/* fm_place_decide for the plan's rails; where they take turns each gets the CPUs as if it were alone. */
int fm_plan_place(const struct fm_plan *plan, const struct fm_nics *nics, const struct fm_cpus *cpus,
		  const struct fm_place_request *request, struct fm_place *place, struct fm_error *error);

/* The part of a node's place that the point uses: all of it, or its one rail. */
void fm_point_place(const struct fm_point *point, const struct fm_place *whole, struct fm_place *place);
/* The plan's number of the first rail of the point. */
uint32_t fm_point_rail(const struct fm_point *point);

#endif
