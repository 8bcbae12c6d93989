/*
 * wire.h - small things that travel between the two sessions as JSON.
 */
#ifndef FM_WIRE_H
#define FM_WIRE_H

#include <jansson.h>

#include "bench/flow.h"

/* A blob as base64; NULL on lack of memory. */
json_t *fm_blob_to_json(const struct fm_blob *blob);
/* -EPROTO: no string, no base64, or longer than FM_BLOB_MAX. */
int fm_blob_from_json(const json_t *json, struct fm_blob *blob);

json_t *fm_effective_to_json(const struct fm_effective *effective);
json_t *fm_counters_to_json(const struct fm_counters *counters);
/* Adds after - before to sum, key by key; keys that are not in both are left out. */
void fm_counters_delta(const struct fm_counters *before, const struct fm_counters *after, struct fm_counters *sum);
/* Adds delta to the entry of this key, which is made where there is none. */
void fm_counters_accumulate(struct fm_counters *sum, const char *key, uint64_t delta);

/* The place of this node as rows of the other node show it; and its reading. */
json_t *fm_place_to_json(const struct fm_place *place);
int fm_place_from_json(const json_t *json, struct fm_place *place);

#endif
