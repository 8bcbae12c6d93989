/*
 * flush.c - the answer that iWARP does not give: what it sends is done when it has been sent. A read is answered by the
 * peer, and only when what was sent before it has come there (RFC 5040, 5.5).
 */
#include "transports/verbs/lane.h"

int fm_verbs_flush(struct fm_verbs_lane *lane)
{
	/* From the peer's outgoing buffer to where headers of datagrams would go: both are there for other reasons. */
	struct ibv_sge entry = {(uintptr_t)lane->control->header, 1, lane->control_key};
	struct ibv_send_wr *bad, request = {
					 .wr_id = (lane->id & ~((1ull << FM_VERBS_ID_LANE_SHIFT) - 1)) |
						  (uint64_t)FM_VERBS_FLUSHED << FM_VERBS_ID_KIND_SHIFT,
					 .sg_list = &entry,
					 .num_sge = 1,
					 .opcode = IBV_WR_RDMA_READ,
					 .send_flags = IBV_SEND_SIGNALED,
					 .wr.rdma = {lane->peer.out, lane->peer.out_key},
				 };
	int code;

	lane->flushing++;
	code = ibv_post_send(lane->qp, &request, &bad);
	return code ? fm_verbs_lane_fail(lane, -code, "ibv_post_send") : 0;
}
