/*
 * ece.c - enhanced connection establishment: what two devices of one vendor can do beyond the standard, such as other
 * ways to retransmit, is used where both ends' queue pairs are told of it before they are connected.
 */
#include <dlfcn.h>

#include "transports/verbs/endpoint.h"

/* Newer than the oldest library that the module loads with. NULL where this one has none. */
static void *symbol(const char *name)
{
	return dlvsym(RTLD_DEFAULT, name, "IBVERBS_1.10");
}

static bool query(const struct fm_endpoint *endpoint, struct ibv_ece *ece)
{
	union {
		void *symbol;
		int (*call)(struct ibv_qp *qp, struct ibv_ece *ece);
	} function = {.symbol = symbol("ibv_query_ece")};

	return function.symbol && function.call(endpoint->lanes->qp, ece) == 0;
}

void fm_verbs_ece_query(struct fm_endpoint *endpoint)
{
	struct ibv_ece ece = {0};

	/* Datagrams are not connected, and rdma_cm connects by itself. Most devices have none, and that is no error. */
	if (endpoint->self.type == IBV_QPT_UD || endpoint->cm || !query(endpoint, &ece))
		return;
	endpoint->self.ece_vendor = ece.vendor_id;
	endpoint->self.ece_options = ece.options;
}

/* Each end is given the other's, of which its device takes what it has itself: the same on both. */
void fm_verbs_ece_set(const struct fm_endpoint *endpoint, const struct fm_verbs_lane *lane)
{
	union {
		void *symbol;
		int (*call)(struct ibv_qp *qp, struct ibv_ece *ece);
	} function = {.symbol = symbol("ibv_set_ece")};
	struct ibv_ece ece = {.vendor_id = endpoint->peer.ece_vendor, .options = endpoint->peer.ece_options};

	if (function.symbol && ece.vendor_id && ece.vendor_id == endpoint->self.ece_vendor)
		function.call(lane->qp, &ece);
}

void fm_verbs_ece_report(const struct fm_endpoint *endpoint, struct fm_effective *effective)
{
	struct ibv_ece ece = {0};

	if (endpoint->self.ece_vendor && endpoint->self.ece_vendor == endpoint->peer.ece_vendor &&
	    query(endpoint, &ece))
		fm_effective_add(effective, "ece", "0x%x:0x%x", ece.vendor_id, ece.options);
}
