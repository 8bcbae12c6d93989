/*
 * post.c - handing operations to the device: one function for each operation and posting interface, so that nothing is
 * asked in the loop that is known before it.
 */
#include "transports/verbs/lane.h"

#include <errno.h>

#define INLINE static inline __attribute__((always_inline))

INLINE void walk_on(struct fm_verbs_walk *walk)
{
	walk->at += walk->stride;
	if (walk->at == walk->end)
		walk->at = 0;
}

/* The flags of the operation that makes `posted`: every so many ask for a completion, and the last. */
INLINE unsigned signal_flag(struct fm_verbs_lane *lane, uint64_t posted)
{
	if (posted == lane->signal_at) {
		lane->signal_at += lane->signal_every;
		return IBV_SEND_SIGNALED;
	}
	return posted == lane->armed ? IBV_SEND_SIGNALED : 0;
}

/* write_lat: the peer looks at the last byte, which says which message it is. */
INLINE void stamp(struct fm_verbs_lane *lane)
{
	volatile uint8_t *last = (uint8_t *)(uintptr_t)(lane->local.base + lane->local.at) + lane->size - 1;

	*last = lane->stamp_out;
	if (lane->local.at + lane->local.stride == lane->local.end)
		lane->stamp_out = lane->stamp_out == UINT8_MAX ? 1 : (uint8_t)(lane->stamp_out + 1);
}

INLINE int post_classic(struct fm_verbs_lane *lane, uint32_t count, const bool remote, const bool stamped)
{
	struct ibv_send_wr *bad;
	uint32_t started = 0;

	do {
		uint32_t n = count - started < lane->list_max ? count - started : lane->list_max;
		int code;

		for (uint32_t i = 0; i < n; i++) {
			struct ibv_send_wr *request = &lane->list[i];
			uint64_t posted = ++lane->posted;

			if (stamped)
				stamp(lane);
			request->wr_id = lane->id | posted;
			request->send_flags = lane->flags | signal_flag(lane, posted);
			lane->entries[i].addr = lane->local.base + lane->local.at;
			/* An atomic's address lies at the same place of the union. */
			if (remote)
				request->wr.rdma.remote_addr = lane->remote + lane->local.at;
			walk_on(&lane->local);
		}
		lane->list[n - 1].next = NULL;
		code = ibv_post_send(lane->qp, lane->list, &bad);
		if (n < lane->list_max)
			lane->list[n - 1].next = &lane->list[n];
		if (__builtin_expect(code, 0))
			return fm_verbs_lane_fail(lane, -code, "ibv_post_send");
		started += n;
	} while (started < count);
	return (int)count;
}

/* What is in the builder's hand: the operation, without its data. */
INLINE void build(const struct fm_verbs_lane *lane, const enum ibv_wr_opcode opcode)
{
	struct ibv_qp_ex *qpx = lane->qpx;
	uint64_t remote = lane->remote + lane->local.at;

	switch (opcode) {
	case IBV_WR_RDMA_WRITE:
		ibv_wr_rdma_write(qpx, lane->remote_key, remote);
		break;
	case IBV_WR_RDMA_WRITE_WITH_IMM:
		ibv_wr_rdma_write_imm(qpx, lane->remote_key, remote, lane->immediate);
		break;
	case IBV_WR_RDMA_READ:
		ibv_wr_rdma_read(qpx, lane->remote_key, remote);
		break;
	case IBV_WR_ATOMIC_FETCH_AND_ADD:
		ibv_wr_atomic_fetch_add(qpx, lane->remote_key, remote, 1);
		break;
	case IBV_WR_ATOMIC_CMP_AND_SWP:
		ibv_wr_atomic_cmp_swp(qpx, lane->remote_key, remote, 0, 1);
		break;
	case IBV_WR_SEND:
		ibv_wr_send(qpx);
		break;
	default:
		ibv_wr_send_imm(qpx, lane->immediate);
		break;
	}
}

INLINE int post_extended(struct fm_verbs_lane *lane, uint32_t count, const enum ibv_wr_opcode opcode,
			 const bool stamped)
{
	struct ibv_qp_ex *qpx = lane->qpx;
	uint32_t started = 0;

	do {
		uint32_t n = count - started < lane->list_max ? count - started : lane->list_max;
		int code;

		ibv_wr_start(qpx);
		for (uint32_t i = 0; i < n; i++) {
			uint64_t posted = ++lane->posted;
			uint64_t at = lane->local.base + lane->local.at;

			if (stamped)
				stamp(lane);
			qpx->wr_id = lane->id | posted;
			/* The kernel's half of soft-RoCE believes this flag and not the builder. */
			qpx->wr_flags = lane->flags | signal_flag(lane, posted);
			build(lane, opcode);
			if (lane->ah)
				ibv_wr_set_ud_addr(qpx, lane->ah, lane->peer.qp_number, FM_VERBS_QKEY);
			if (lane->flags & IBV_SEND_INLINE)
				ibv_wr_set_inline_data(qpx, (void *)(uintptr_t)at, lane->size);
			else
				ibv_wr_set_sge(qpx, lane->local_key, at, lane->size);
			walk_on(&lane->local);
		}
		code = ibv_wr_complete(qpx);
		if (__builtin_expect(code, 0))
			return fm_verbs_lane_fail(lane, -code, "ibv_wr_complete");
		started += n;
	} while (started < count);
	return (int)count;
}

/* How many of count may be posted now: by the queue's length, and by what the peer is ready to receive. */
INLINE uint32_t allowed(const struct fm_verbs_lane *lane, uint32_t count)
{
	uint64_t room = lane->room - (lane->posted - lane->acked);

	if (lane->needs_credit) {
		uint64_t credit = lane->control->credit, sent = lane->sent_before + lane->posted;

		if (credit < lane->credit_first)
			credit = lane->credit_first;
		/* iWARP may show a word half written. That is never too much, but may be less than was sent. */
		if ((int64_t)(credit - sent) < (int64_t)room)
			room = credit > sent ? credit - sent : 0;
	}
	return count < room ? count : (uint32_t)room;
}

INLINE int lane_post(struct fm_verbs_lane *lane, uint32_t count, const enum ibv_wr_opcode opcode, const bool extended,
		     const bool stamped)
{
	const bool remote = opcode != IBV_WR_SEND && opcode != IBV_WR_SEND_WITH_IMM;
	int n;

	if (__builtin_expect(lane->failure.code, 0))
		return lane->failure.code;
	if (lane->receives_messages) {
		n = fm_verbs_receive(lane, lane->slack);
		if (__builtin_expect(n < 0, 0))
			return n;
	}
	count = allowed(lane, count);
	if (__builtin_expect(!count, 0)) {
		n = fm_verbs_drain(lane->thread);
		return n ? fm_verbs_lane_fail(lane, n, "ibv_poll_cq") : 0;
	}
	n = extended ? post_extended(lane, count, opcode, stamped) : post_classic(lane, count, remote, stamped);
	/* Of a latency the message is on its way: now there is time for receives. */
	if (lane->receives_messages && n > 0) {
		int code = fm_verbs_receive(lane, lane->slack_after);

		return code < 0 ? code : n;
	}
	return n;
}

#define POST(name, opcode, stamped)                                                                                    \
	static int name##_classic(void *self, uint32_t count)                                                          \
	{                                                                                                              \
		return lane_post(self, count, opcode, false, stamped);                                                 \
	}                                                                                                              \
	static int name##_extended(void *self, uint32_t count)                                                         \
	{                                                                                                              \
		return lane_post(self, count, opcode, true, stamped);                                                  \
	}

POST(write, IBV_WR_RDMA_WRITE, false)
POST(write_stamped, IBV_WR_RDMA_WRITE, true)
POST(write_imm, IBV_WR_RDMA_WRITE_WITH_IMM, false)
POST(read, IBV_WR_RDMA_READ, false)
POST(fadd, IBV_WR_ATOMIC_FETCH_AND_ADD, false)
POST(cas, IBV_WR_ATOMIC_CMP_AND_SWP, false)
POST(send, IBV_WR_SEND, false)
POST(send_imm, IBV_WR_SEND_WITH_IMM, false)

int (*fm_verbs_poster(const struct fm_verbs_lane *lane))(void *self, uint32_t count)
{
	switch (lane->opcode) {
	case IBV_WR_RDMA_WRITE:
		if (lane->polled)
			return lane->qpx ? write_stamped_extended : write_stamped_classic;
		return lane->qpx ? write_extended : write_classic;
	case IBV_WR_RDMA_WRITE_WITH_IMM:
		return lane->qpx ? write_imm_extended : write_imm_classic;
	case IBV_WR_RDMA_READ:
		return lane->qpx ? read_extended : read_classic;
	case IBV_WR_ATOMIC_FETCH_AND_ADD:
		return lane->qpx ? fadd_extended : fadd_classic;
	case IBV_WR_ATOMIC_CMP_AND_SWP:
		return lane->qpx ? cas_extended : cas_classic;
	case IBV_WR_SEND:
		return lane->qpx ? send_extended : send_classic;
	default:
		return lane->qpx ? send_imm_extended : send_imm_classic;
	}
}

static int grant_classic(struct fm_verbs_lane *lane, const uint64_t *word, uint64_t id)
{
	struct ibv_sge entry = {.addr = (uintptr_t)word, .length = sizeof(*word), .lkey = lane->control_key};
	struct ibv_send_wr *bad, request = {
					 .wr_id = id,
					 .sg_list = &entry,
					 .num_sge = 1,
					 .opcode = IBV_WR_RDMA_WRITE,
					 .send_flags = IBV_SEND_SIGNALED,
					 .wr.rdma = {lane->peer.credit, lane->peer.credit_key},
				 };
	int code = ibv_post_send(lane->qp, &request, &bad);

	return code ? fm_verbs_lane_fail(lane, -code, "ibv_post_send") : 0;
}

static int grant_extended(struct fm_verbs_lane *lane, const uint64_t *word, uint64_t id)
{
	struct ibv_qp_ex *qpx = lane->qpx;
	int code;

	ibv_wr_start(qpx);
	qpx->wr_id = id;
	qpx->wr_flags = IBV_SEND_SIGNALED;
	ibv_wr_rdma_write(qpx, lane->peer.credit_key, lane->peer.credit);
	ibv_wr_set_sge(qpx, lane->control_key, (uintptr_t)word, sizeof(*word));
	code = ibv_wr_complete(qpx);
	return code ? fm_verbs_lane_fail(lane, -code, "ibv_wr_complete") : 0;
}

int fm_verbs_grant(struct fm_verbs_lane *lane)
{
	uint64_t *word = &lane->control->grants[lane->grant_next++ % FM_VERBS_GRANTS];
	uint64_t id = (lane->id & ~((1ull << FM_VERBS_ID_LANE_SHIFT) - 1)) | (uint64_t)FM_VERBS_GRANTED
										     << FM_VERBS_ID_KIND_SHIFT;

	*word = lane->granted = lane->receives;
	lane->granting++;
	return lane->qpx ? grant_extended(lane, word, id) : grant_classic(lane, word, id);
}
