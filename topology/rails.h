/*
 * rails.h - what the two ways of making rails share: one named rail at a time, or every one.
 */
#ifndef FM_RAILS_H
#define FM_RAILS_H

#include "topology/placement.h"

/* The order of ranks and ordinals: PCI devices by address, then the others by name. Nodes of one kind agree in slots,
 * not in names. */
bool fm_nic_before(const struct fm_nic *x, const struct fm_nic *y);

/* Do the control connection's addresses say that both ends are one machine, whose data never leaves it? */
bool fm_rails_one_machine(const struct fm_nics *a, const struct fm_nics *b, const struct fm_rail_request *request);

/* The rail of this device of A by the same-rail rule; only the request's control addresses count. */
int fm_rail_of_device(const struct fm_nics *a, const struct fm_nics *b, const struct fm_rail_request *request,
		      const char *device, struct fm_rail *rail, bool *by_ordinal, struct fm_error *error);

#endif
