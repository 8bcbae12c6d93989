/*
 * post.c - handing operations to the device: one function for each operation and posting interface, so that nothing is
 * asked in the loop that is known before it.
 */
#include "transports/verbs/lane.h"

#include <errno.h>

#define INLINE static inline __attribute__((always_inline))

/* What is known of a lane's operations before the loop. */
struct how {
	enum ibv_wr_opcode opcode;
	bool stamped;	/* write_lat: the peer looks at the last byte, which says which message it is */
	bool inlined;	/* the message travels inside its work request */
	bool addressed; /* each work request has an address: datagrams, and all of SRD */
};

INLINE bool has_remote(const struct how how)
{
	return how.opcode != IBV_WR_SEND && how.opcode != IBV_WR_SEND_WITH_IMM;
}

/* The flags of the operation that makes `posted`: every so many ask for a completion, and the last. */
INLINE unsigned flags_of(struct fm_verbs_lane *lane, uint64_t posted)
{
	if (__builtin_expect(posted != lane->signal_at, 1))
		return lane->flags;
	lane->signal_at += lane->signal_every;
	if (lane->signal_at > lane->armed)
		lane->signal_at = lane->armed;
	return lane->flags | IBV_SEND_SIGNALED;
}

INLINE void stamp(struct fm_verbs_lane *lane, uint64_t at)
{
	volatile uint8_t *last = (uint8_t *)(uintptr_t)(lane->local.base + at) + lane->size - 1;

	*last = lane->stamp_out;
	if (at + lane->local.stride == lane->local.end)
		lane->stamp_out = lane->stamp_out == UINT8_MAX ? 1 : (uint8_t)(lane->stamp_out + 1);
}

/* The slot behind the one at `at`. */
INLINE uint64_t next_slot(const struct fm_verbs_lane *lane, uint64_t at)
{
	at += lane->local.stride;
	return at == lane->local.end ? 0 : at;
}

INLINE int hand_over(struct fm_verbs_lane *lane, uint32_t n)
{
	struct ibv_send_wr *bad;
	int code;

	if (__builtin_expect(n == lane->list_max, 1))
		return ibv_post_send(lane->qp, lane->list, &bad);
	lane->list[n - 1].next = NULL;
	code = ibv_post_send(lane->qp, lane->list, &bad);
	lane->list[n - 1].next = &lane->list[n];
	return code;
}

/* What differs from one request of the list to the next. */
INLINE void request_fill(struct fm_verbs_lane *lane, struct ibv_send_wr *request, struct ibv_sge *entry,
			 uint64_t posted, uint64_t at, const struct how how)
{
	unsigned flags = flags_of(lane, posted);
	uint64_t id = lane->id | posted, from = lane->local.base + at, to = lane->remote + at;

	request->wr_id = id;
	request->send_flags = flags;
	entry->addr = from;
	/* An atomic's address lies at the same place of the union. */
	if (has_remote(how))
		request->wr.rdma.remote_addr = to;
}

INLINE int post_classic(struct fm_verbs_lane *lane, uint32_t count, const struct how how)
{
	const uint64_t end = lane->posted + count;
	uint64_t posted = lane->posted, at = lane->local.at;
	struct ibv_send_wr *bad;
	int code = 0;

	/* Without a list nothing needs cutting. */
	while (lane->list_max == 1 && posted != end && __builtin_expect(code == 0, 1)) {
		posted++;
		if (how.stamped)
			stamp(lane, at);
		request_fill(lane, lane->list, lane->entries, posted, at, how);
		at = next_slot(lane, at);
		code = ibv_post_send(lane->qp, lane->list, &bad);
	}
	while (posted != end && __builtin_expect(code == 0, 1)) {
		uint32_t n = 0;

		for (; n < lane->list_max && posted != end; n++) {
			posted++;
			if (how.stamped)
				stamp(lane, at);
			request_fill(lane, &lane->list[n], &lane->entries[n], posted, at, how);
			at = next_slot(lane, at);
		}
		code = hand_over(lane, n);
	}
	lane->posted = posted;
	lane->local.at = at;
	return __builtin_expect(code, 0) ? fm_verbs_lane_fail(lane, -code, "ibv_post_send") : (int)count;
}

/* What is in the builder's hand: the operation, without its data. */
INLINE void build(struct ibv_qp_ex *qpx, const struct fm_verbs_lane *lane, uint64_t at, const struct how how)
{
	switch (how.opcode) {
	case IBV_WR_RDMA_WRITE:
		ibv_wr_rdma_write(qpx, lane->remote_key, lane->remote + at);
		break;
	case IBV_WR_RDMA_WRITE_WITH_IMM:
		ibv_wr_rdma_write_imm(qpx, lane->remote_key, lane->remote + at, lane->immediate);
		break;
	case IBV_WR_RDMA_READ:
		ibv_wr_rdma_read(qpx, lane->remote_key, lane->remote + at);
		break;
	case IBV_WR_ATOMIC_FETCH_AND_ADD:
		ibv_wr_atomic_fetch_add(qpx, lane->remote_key, lane->remote + at, 1);
		break;
	case IBV_WR_ATOMIC_CMP_AND_SWP:
		ibv_wr_atomic_cmp_swp(qpx, lane->remote_key, lane->remote + at, 0, 1);
		break;
	case IBV_WR_SEND:
		ibv_wr_send(qpx);
		break;
	default:
		ibv_wr_send_imm(qpx, lane->immediate);
		break;
	}
}

INLINE int post_extended(struct fm_verbs_lane *lane, uint32_t count, const struct how how)
{
	struct ibv_qp_ex *qpx = lane->qpx;
	const uint64_t end = lane->posted + count;
	uint64_t posted = lane->posted, at = lane->local.at;
	int code = 0;

	do {
		uint64_t stop = posted + lane->list_max < end ? posted + lane->list_max : end;

		ibv_wr_start(qpx);
		do {
			posted++;
			if (how.stamped)
				stamp(lane, at);
			qpx->wr_id = lane->id | posted;
			/* The kernel's half of soft-RoCE believes this flag and not the builder. */
			qpx->wr_flags = flags_of(lane, posted);
			build(qpx, lane, at, how);
			if (how.addressed)
				ibv_wr_set_ud_addr(qpx, lane->ah, lane->peer.qp_number, FM_VERBS_QKEY);
			if (how.inlined)
				ibv_wr_set_inline_data(qpx, (void *)(uintptr_t)(lane->local.base + at), lane->size);
			else
				ibv_wr_set_sge(qpx, lane->local_key, lane->local.base + at, lane->size);
			at = next_slot(lane, at);
		} while (posted != stop);
		code = ibv_wr_complete(qpx);
	} while (__builtin_expect(code == 0, 1) && posted != end);
	lane->posted = posted;
	lane->local.at = at;
	return __builtin_expect(code, 0) ? fm_verbs_lane_fail(lane, -code, "ibv_wr_complete") : (int)count;
}

/* How many of count may be posted now: by the queue's length, and by what the peer is ready to receive. */
INLINE uint32_t allowed(const struct fm_verbs_lane *lane, uint32_t count)
{
	uint64_t room = lane->room - (lane->posted - lane->acked);

	if (lane->needs_credit) {
		uint64_t credit = __atomic_load_n(&lane->control->credit, __ATOMIC_ACQUIRE),
			 sent = lane->sent_before + lane->posted;

		if (credit < lane->credit_first)
			credit = lane->credit_first;
		/* iWARP may show a word half written. That is never too much, but may be less than was sent. */
		if ((int64_t)(credit - sent) < (int64_t)room)
			room = credit > sent ? credit - sent : 0;
	}
	return count < room ? count : (uint32_t)room;
}

INLINE int lane_post(struct fm_verbs_lane *lane, uint32_t count, const bool extended, const struct how how)
{
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
	n = extended ? post_extended(lane, count, how) : post_classic(lane, count, how);
	/* Of a latency the message is on its way: now there is time for receives. */
	if (lane->receives_messages && n > 0) {
		int code = fm_verbs_receive(lane, lane->slack_after);

		return code < 0 ? code : n;
	}
	return n;
}

/* Classic requests have flags and addresses of their own, filled in before: one function does for all of them. */
#define POST(name, extended, ...)                                                                                      \
	static int name(void *self, uint32_t count)                                                                    \
	{                                                                                                              \
		return lane_post(self, count, extended, (struct how){__VA_ARGS__});                                    \
	}
#define POSTS_OUT(name, code, ...)                                                                                     \
	POST(name, true, .opcode = code, __VA_ARGS__)                                                                  \
	POST(name##_inlined, true, .opcode = code, .inlined = true, __VA_ARGS__)

POST(write_classic, false, .opcode = IBV_WR_RDMA_WRITE)
POST(write_stamped_classic, false, .opcode = IBV_WR_RDMA_WRITE, .stamped = true)
POST(write_imm_classic, false, .opcode = IBV_WR_RDMA_WRITE_WITH_IMM)
POST(read_classic, false, .opcode = IBV_WR_RDMA_READ)
POST(fadd_classic, false, .opcode = IBV_WR_ATOMIC_FETCH_AND_ADD)
POST(cas_classic, false, .opcode = IBV_WR_ATOMIC_CMP_AND_SWP)
POST(send_classic, false, .opcode = IBV_WR_SEND)
POST(send_imm_classic, false, .opcode = IBV_WR_SEND_WITH_IMM)

POSTS_OUT(plain_write, IBV_WR_RDMA_WRITE, .addressed = false)
POSTS_OUT(write_stamped, IBV_WR_RDMA_WRITE, .stamped = true)
POSTS_OUT(write_imm, IBV_WR_RDMA_WRITE_WITH_IMM, .addressed = false)
POST(plain_read, true, .opcode = IBV_WR_RDMA_READ)
POST(fadd, true, .opcode = IBV_WR_ATOMIC_FETCH_AND_ADD)
POST(cas, true, .opcode = IBV_WR_ATOMIC_CMP_AND_SWP)
POSTS_OUT(plain_send, IBV_WR_SEND, .addressed = false)
POSTS_OUT(send_imm, IBV_WR_SEND_WITH_IMM, .addressed = false)

POSTS_OUT(write_to, IBV_WR_RDMA_WRITE, .addressed = true)
POSTS_OUT(write_stamped_to, IBV_WR_RDMA_WRITE, .stamped = true, .addressed = true)
POSTS_OUT(write_imm_to, IBV_WR_RDMA_WRITE_WITH_IMM, .addressed = true)
POST(read_from, true, .opcode = IBV_WR_RDMA_READ, .addressed = true)
POSTS_OUT(send_to, IBV_WR_SEND, .addressed = true)
POSTS_OUT(send_imm_to, IBV_WR_SEND_WITH_IMM, .addressed = true)

typedef int (*poster)(void *self, uint32_t count);

static poster poster_classic(const struct fm_verbs_lane *lane)
{
	switch (lane->opcode) {
	case IBV_WR_RDMA_WRITE:
		return lane->polled ? write_stamped_classic : write_classic;
	case IBV_WR_RDMA_WRITE_WITH_IMM:
		return write_imm_classic;
	case IBV_WR_RDMA_READ:
		return read_classic;
	case IBV_WR_ATOMIC_FETCH_AND_ADD:
		return fadd_classic;
	case IBV_WR_ATOMIC_CMP_AND_SWP:
		return cas_classic;
	case IBV_WR_SEND:
		return send_classic;
	default:
		return send_imm_classic;
	}
}

static poster poster_addressed(const struct fm_verbs_lane *lane)
{
	bool inlined = lane->flags & IBV_SEND_INLINE;

	switch (lane->opcode) {
	case IBV_WR_RDMA_WRITE:
		if (lane->polled)
			return inlined ? write_stamped_to_inlined : write_stamped_to;
		return inlined ? write_to_inlined : write_to;
	case IBV_WR_RDMA_WRITE_WITH_IMM:
		return inlined ? write_imm_to_inlined : write_imm_to;
	case IBV_WR_RDMA_READ:
		return read_from;
	case IBV_WR_SEND:
		return inlined ? send_to_inlined : send_to;
	default:
		return inlined ? send_imm_to_inlined : send_imm_to;
	}
}

static poster poster_extended(const struct fm_verbs_lane *lane)
{
	bool inlined = lane->flags & IBV_SEND_INLINE;

	switch (lane->opcode) {
	case IBV_WR_RDMA_WRITE:
		if (lane->polled)
			return inlined ? write_stamped_inlined : write_stamped;
		return inlined ? plain_write_inlined : plain_write;
	case IBV_WR_RDMA_WRITE_WITH_IMM:
		return inlined ? write_imm_inlined : write_imm;
	case IBV_WR_RDMA_READ:
		return plain_read;
	case IBV_WR_ATOMIC_FETCH_AND_ADD:
		return fadd;
	case IBV_WR_ATOMIC_CMP_AND_SWP:
		return cas;
	case IBV_WR_SEND:
		return inlined ? plain_send_inlined : plain_send;
	default:
		return inlined ? send_imm_inlined : send_imm;
	}
}

int (*fm_verbs_poster(const struct fm_verbs_lane *lane))(void *self, uint32_t count)
{
	if (!lane->qpx)
		return poster_classic(lane);
	return lane->ah ? poster_addressed(lane) : poster_extended(lane);
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
	if (lane->ah)
		ibv_wr_set_ud_addr(qpx, lane->ah, lane->peer.qp_number, FM_VERBS_QKEY);
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
