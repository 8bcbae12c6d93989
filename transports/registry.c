/*
 * registry.c - every backend, in the order in which auto prefers them.
 */
#include "transports/registry.h"

extern const struct fm_transport fm_transport_tcp, fm_transport_null, fm_transport_fault;

const struct fm_transport *const fm_transports[] = {&fm_transport_tcp, &fm_transport_null, &fm_transport_fault, NULL};
const struct fm_transport *const fm_transport_floor = &fm_transport_null;

const struct fm_transport *fm_transport_find(const char *name)
{
	for (const struct fm_transport *const *at = fm_transports; *at; at++)
		if (strcmp((*at)->name, name) == 0)
			return *at;
	return NULL;
}
