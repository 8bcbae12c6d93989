/*
 * efa.h - Amazon's Elastic Fabric Adapter: queue pairs of type SRD, which are reliable but keep no order. Its calls are
 * libefa's and not libibverbs', so they are looked up where such a device is: the module loads without them.
 */
#ifndef FM_VERBS_EFA_H
#define FM_VERBS_EFA_H

#include <infiniband/verbs.h>
#include <stdbool.h>

#include "common/error.h"

enum { FM_VERBS_VENDOR_AMAZON = 0x1d0f };

/* What such a device can do; all zero: the device is none. */
struct fm_verbs_efa {
	bool present;
	bool reads, writes; /* RDMA; else it can send alone */
	bool rnr_retry;	    /* a queue pair says how often a receiver that is not ready is tried again */
	uint32_t rdma_max;  /* bytes of one read or write */
	uint32_t inline_max;
	uint32_t send_queue_max, receive_queue_max; /* work requests */
	void *create;				    /* efadv_create_qp_ex */
};

/*
 * Asks the device, which is Amazon's. -EOPNOTSUPP (unsupported) with what is missing: the header when this program was
 * built, or the library now.
 */
int fm_verbs_efa_query(struct ibv_context *context, const char *device, struct fm_verbs_efa *efa,
		       struct fm_error *error);
/* A queue pair of type SRD; attributes say IBV_QPT_DRIVER. NULL, and errno says why. */
struct ibv_qp *fm_verbs_efa_queue(const struct fm_verbs_efa *efa, struct ibv_context *context,
				  struct ibv_qp_init_attr_ex *attributes);

#endif
