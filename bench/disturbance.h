/*
 * disturbance.h - what happened to a rail's port within the measured window, in words for its row.
 */
#ifndef FM_DISTURBANCE_H
#define FM_DISTURBANCE_H

#include <jansson.h>

#include "transports/transport.h"

struct fm_disturbance {
	char changed[400]; /* the link, port or address is not what it was: the row is inconclusive; "" it is */
	char shared[400];  /* others use the port, too: a remark; "" nothing was seen of them */
};

/*
 * Compares two readings of an endpoint of this node. Others are spoken of where the port moved more than 5% and 1 MB
 * beyond what was the endpoint's own at most, and nothing was sent again meanwhile, which would be its own as well.
 * Fills only members that are still empty: the first thing that happened is told.
 */
void fm_disturbance_find(const char *node, const struct fm_counters *before, const struct fm_counters *after,
			 struct fm_disturbance *found);

/* As members of object, where there is anything; and their reading, from the other node, under what is known already.
 */
void fm_disturbance_to_json(const struct fm_disturbance *found, json_t *object);
void fm_disturbance_from_json(const json_t *object, struct fm_disturbance *found);

#endif
