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

/* Can the NIC carry data by RDMA? NULL: no. */
bool fm_rail_over_rdma(const struct fm_nic *nic);
/* Has its node an RDMA port that is at least four times as fast? Then nobody means this one without naming it. */
bool fm_rail_out_of_band(const struct fm_nics *nics, const struct fm_nic *nic);
/*
 * B's RDMA port for this one of A, of the same link layer: for InfiniBand in the same subnet, of the same rank there;
 * else of the same ordinal, which is then told (FM_NICS_MAX otherwise). NULL: none.
 */
const struct fm_nic *fm_rail_rdma_remote(const struct fm_nics *a, const struct fm_nics *b, const struct fm_nic *nic,
					 uint32_t *ordinal);
/* Why they were paired, in words. */
void fm_rail_rdma_reason(const struct fm_nic *nic, uint32_t ordinal, char *text, size_t bytes);
/* The rail of the first RDMA port of A, by slot, that has a partner with one. False: there is none; *rail is undefined.
 */
bool fm_rail_rdma_first(const struct fm_nics *a, const struct fm_nics *b, const struct fm_rail_request *request,
			struct fm_rail *rail);

#endif
