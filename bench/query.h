/*
 * query.h - asks transports what they can do, each in a thread of its own and once a plan: query opens devices, which
 * takes long in many drivers and hangs in broken ones.
 */
#ifndef FM_QUERY_H
#define FM_QUERY_H

#include <jansson.h>

#include "topology/place.h"
#include "transports/transport.h"

/* Shorter than the peer's patience with a control thread that waits here (--peer-timeout, 3.5 s). */
#define FM_QUERY_NS 2500000000u

/* What was answered until now. */
struct fm_answers;

/*
 * What the transport can do at this place; *answers, which begins as NULL, remembers it by transport and turn, for
 * within one plan options and places do not change. options: {transport: {option: text}}. list: see fm_services; it and
 * the transport outlive the program's threads. *capabilities stays valid until the answers are freed. The transport's
 * own error; -ETIMEDOUT (timeout) where it does not come back by FM_QUERY_NS: its thread is left behind with all that
 * it uses; -ENOMEM (out_of_memory).
 */
int fm_query(struct fm_answers **answers, const struct fm_transport *transport, uint32_t turn, const json_t *options,
	     const struct fm_place *place, const struct fm_transport *const *list,
	     const struct fm_capabilities **capabilities, struct fm_error *error);
void fm_answers_free(struct fm_answers *answers);

#endif
