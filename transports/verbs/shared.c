/*
 * shared.c - with --srq: one queue of receives for all lanes of a thread.
 *
 * A message takes the receive that was posted first, whichever lane posted it. Each lane posts as many as it would to a
 * queue of its own, and grants credit for those alone; so all lanes together are never sent more than is posted.
 * Receives complete in a queue of their own, so that the thread's other one is drained as it is without --srq.
 */
#include <errno.h>
#include <stdlib.h>

#include "transports/verbs/endpoint.h"

enum { DRAIN_MAX = 16 };

#define PLACE_MASK ((1ull << FM_VERBS_ID_SEQUENCE_BITS) - 1)

struct number {
	uint32_t qp_number;
	struct fm_verbs_lane *lane; /* NULL: nobody's */
};

struct fm_verbs_shared {
	struct ibv_srq *srq;
	struct ibv_cq *cq;
	struct number *numbers; /* the lanes by queue pair: hashed, the next place where one is taken */
	uint32_t mask;
	/*
	 * With verify each message of a lane must be found in the slot of its turn, and a receive that anybody's
	 * message may take knows no turn: so a send lands here and is copied over once it is known whose it is. The
	 * places that no receive points to.
	 */
	struct fm_buffer landing;
	struct ibv_mr *region;
	uint32_t *places, free;
};

/* ---- while it measures ---- */

static inline struct number *number_of(const struct fm_verbs_shared *shared, uint32_t qp_number)
{
	uint32_t at = qp_number & shared->mask;

	while (shared->numbers[at].lane && shared->numbers[at].qp_number != qp_number)
		at = (at + 1) & shared->mask;
	return &shared->numbers[at];
}

static void landed(struct fm_verbs_shared *shared, const struct fm_verbs_lane *lane, uint32_t place, bool counts)
{
	const struct fm_work *work = lane->work;
	const uint8_t *from = (const uint8_t *)shared->landing.base + place * work->stride_bytes;
	uint8_t *to = (uint8_t *)lane->in.base + lane->arrived % work->slots * work->stride_bytes;

	if (counts)
		memcpy(to, from, lane->size);
	shared->places[shared->free++] = place;
}

static inline int book(struct fm_verbs_shared *shared, const struct ibv_wc *entry)
{
	struct fm_verbs_lane *lane = number_of(shared, entry->qp_num)->lane;
	bool counts;

	if (__builtin_expect(!lane, 0))
		return -EIO;
	if (__builtin_expect(entry->status != IBV_WC_SUCCESS, 0)) {
		fm_verbs_lane_blame(lane, entry);
		return 0;
	}
	counts = !lane->lossy || entry->imm_data == lane->immediate;
	if (shared->places)
		landed(shared, lane, (uint32_t)(entry->wr_id & PLACE_MASK), counts);
	lane->seen++;
	lane->arrived += counts;
	return 0;
}

int fm_verbs_shared_drain(const struct fm_verbs_thread *thread)
{
	struct ibv_wc entries[DRAIN_MAX];
	int n, code = 0;

	do {
		n = ibv_poll_cq(thread->shared->cq, DRAIN_MAX, entries);
		for (int i = 0; i < n && code == 0; i++)
			code = book(thread->shared, &entries[i]);
	} while (n == DRAIN_MAX && code == 0);
	return n < 0 ? -EIO : code;
}

int fm_verbs_shared_post(struct fm_verbs_lane *lane, uint32_t count)
{
	struct fm_verbs_shared *shared = lane->thread->shared;
	struct ibv_recv_wr *bad;

	for (uint32_t i = 0; i < count && shared->places; i++) {
		uint32_t place = shared->places[--shared->free];
		struct ibv_sge *entry = &lane->receive_entries[2 * i + 1];

		entry->addr = (uintptr_t)shared->landing.base + place * lane->work->stride_bytes;
		entry->lkey = shared->region->lkey;
		lane->receive_list[i].wr_id = (uint64_t)FM_VERBS_RECEIVED << FM_VERBS_ID_KIND_SHIFT | place;
	}
	return ibv_post_srq_recv(shared->srq, lane->receive_list, &bad);
}

int fm_verbs_shared_notify(const struct fm_verbs_thread *thread)
{
	return ibv_req_notify_cq(thread->shared->cq, 0);
}

/* ---- set up ---- */

void fm_verbs_shared_join(struct fm_verbs_lane *lane)
{
	*number_of(lane->thread->shared, lane->qp->qp_num) = (struct number){lane->qp->qp_num, lane};
}

void fm_verbs_shared_attach(const struct fm_verbs_thread *thread, struct ibv_qp_init_attr_ex *attributes)
{
	if (!thread->shared)
		return;
	attributes->srq = thread->shared->srq;
	attributes->recv_cq = thread->shared->cq;
	attributes->cap.max_recv_wr = attributes->cap.max_recv_sge = 0;
}

uint32_t fm_verbs_shared_most(const struct fm_endpoint *endpoint)
{
	const struct ibv_device_attr *device = &endpoint->device;
	/* The completion queue is one longer. */
	int most = device->max_srq_wr < device->max_cqe ? device->max_srq_wr : device->max_cqe - 1;

	return most > 0 ? (uint32_t)most / (endpoint->work->streams / endpoint->work->threads) : 0;
}

static int limits_check(const struct fm_endpoint *endpoint, const struct fm_verbs_thread *thread, uint64_t receives,
			uint32_t entries, struct fm_error *error)
{
	const struct ibv_device_attr *device = &endpoint->device;
	const char *name = endpoint->port.device;

	if (device->max_srq <= 0 || (uint64_t)device->max_srq_sge < entries)
		return fm_error_set(error, -EOPNOTSUPP, FM_REASON_UNSUPPORTED,
				    "--srq: %s has no shared receive queues%s: leave it out", name,
				    device->max_srq > 0 ? " for datagrams" : "");
	if ((uint32_t)device->max_srq < endpoint->work->threads)
		return fm_error_set(error, -EINVAL, FM_REASON_UNSUPPORTED,
				    "--srq takes a shared receive queue for each of %u threads, and %s has %d at most: "
				    "take fewer --threads",
				    endpoint->work->threads, name, device->max_srq);
	if (!receives || receives > (uint64_t)device->max_srq_wr || receives >= (uint64_t)device->max_cqe)
		return fm_error_set(error, -EINVAL, FM_REASON_UNSUPPORTED,
				    "--srq: %u streams of a thread with %u receives each share a queue of %llu, and %s "
				    "has %d at most, and completion queues of %d: take fewer --streams or a smaller "
				    "--rx-depth",
				    thread->count, thread->lanes->ahead, (unsigned long long)receives, name,
				    device->max_srq_wr, device->max_cqe);
	return 0;
}

static int landing_make(const struct fm_endpoint *endpoint, const struct fm_verbs_lane *lane, uint32_t receives,
			struct fm_verbs_shared *shared, struct fm_error *error)
{
	size_t bytes = receives * endpoint->work->stride_bytes;
	int relaxed = endpoint->options.relaxed_ordering ? IBV_ACCESS_RELAXED_ORDERING : 0, code;

	if (!endpoint->work->verify || (lane->opcode != IBV_WR_SEND && lane->opcode != IBV_WR_SEND_WITH_IMM))
		return 0;
	shared->places = malloc(receives * sizeof(*shared->places));
	if (!shared->places)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for %u receives: take fewer",
				    receives);
	for (shared->free = 0; shared->free < receives; shared->free++)
		shared->places[shared->free] = shared->free;
	/* Of the kind that is being tested, so that what is compared has come to such memory. */
	code = lane->in.kind->allocate(-1, lane->in.device, bytes, &shared->landing, error);
	if (code)
		return code;
	return fm_verbs_region_make(endpoint, &shared->landing, IBV_ACCESS_LOCAL_WRITE | relaxed, &shared->region,
				    error);
}

int fm_verbs_shared_open(const struct fm_endpoint *endpoint, struct fm_verbs_thread *thread, struct fm_error *error)
{
	struct ibv_srq_init_attr attributes = {.attr.max_sge = endpoint->self.type == IBV_QPT_UD ? 2 : 1};
	uint64_t receives = (uint64_t)thread->count * thread->lanes->ahead;
	int code = limits_check(endpoint, thread, receives, attributes.attr.max_sge, error);
	struct fm_verbs_shared *shared;
	uint32_t numbers = 2;

	if (code)
		return code;
	while (numbers < 2 * thread->count)
		numbers *= 2;
	shared = thread->shared = calloc(1, sizeof(*shared));
	if (shared)
		shared->numbers = calloc(numbers, sizeof(*shared->numbers));
	if (!shared || !shared->numbers)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for %u streams: take fewer",
				    thread->count);
	shared->mask = numbers - 1;
	shared->cq = ibv_create_cq(endpoint->context, (int)receives + 1, NULL, thread->channel, thread->vector);
	attributes.attr.max_wr = (uint32_t)receives;
	if (shared->cq)
		shared->srq = ibv_create_srq(thread->pd, &attributes);
	if (!shared->srq)
		return fm_error_set(
			error, errno ? -errno : -EIO, FM_REASON_UNSUPPORTED,
			"--srq: %s gives no shared receive queue of %llu receives: %s; take fewer --streams "
			"or a smaller --rx-depth, or leave --srq out",
			endpoint->port.device, (unsigned long long)receives, strerror(errno));
	return landing_make(endpoint, thread->lanes, (uint32_t)receives, shared, error);
}

void fm_verbs_shared_close(struct fm_verbs_thread *thread)
{
	struct fm_verbs_shared *shared = thread->shared;

	if (!shared)
		return;
	if (shared->srq)
		ibv_destroy_srq(shared->srq);
	if (shared->cq)
		ibv_destroy_cq(shared->cq);
	if (shared->region)
		ibv_dereg_mr(shared->region);
	if (shared->landing.base)
		shared->landing.kind->free(&shared->landing);
	free(shared->places);
	free(shared->numbers);
	free(shared);
}
