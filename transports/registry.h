/*
 * registry.h - every backend in one visible array, in the order in which auto prefers them.
 */
#ifndef FM_REGISTRY_H
#define FM_REGISTRY_H

#include "transports/transport.h"

/* All backends, the absent ones included; NULL-terminated. */
extern const struct fm_transport *const fm_transports[];

/* The one whose operations cost nothing: what is left is the cost of the program itself. */
extern const struct fm_transport *const fm_transport_floor;

/* The backend of this name, or NULL. */
const struct fm_transport *fm_transport_find(const char *name);

#endif
