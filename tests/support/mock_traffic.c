/*
 * mock_traffic.c - work requests of the mock: posted, carried out by copying, and their completions.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/mock_state.h"

enum { GRH_BYTES = 40, A_POLL = 5 /* less than so many requests are carried out on each */, FULL = 0x8000 };

static const struct mock_device *device_of(const struct mock_qp *qp)
{
	return mock_context_of(qp->ex.qp_base.context)->device;
}

/* Its requests wait, and go in any order. */
static bool unordered(const struct mock_qp *qp)
{
	return qp->ex.qp_base.qp_type == IBV_QPT_DRIVER;
}

static struct mock_qp *queue_numbered(uint32_t number)
{
	struct mock_qp *qp = mock.queues;

	while (qp && qp->ex.qp_base.qp_num != number)
		qp = qp->next;
	return qp;
}

/* ---- memory ---- */

/* What another thread may be looking at is written last and whole: its last byte, or a word of eight. */
static void carry(uint64_t to, const void *from, size_t bytes)
{
	uint8_t *at = (uint8_t *)(uintptr_t)to;
	const uint8_t *bytes_of = from;
	uint64_t word;

	if (bytes == sizeof(word) && to % sizeof(word) == 0) {
		memcpy(&word, from, sizeof(word));
		__atomic_store_n((uint64_t *)(uintptr_t)to, word, __ATOMIC_RELEASE);
	} else if (bytes) {
		memcpy(at, from, bytes - 1);
		__atomic_store_n(at + bytes - 1, bytes_of[bytes - 1], __ATOMIC_RELEASE);
	}
}

static bool region_has(uint32_t key, bool remote, uint64_t address, uint64_t bytes, int access)
{
	for (const struct mock_region *region = mock.regions; region; region = region->next) {
		uint64_t base = (uintptr_t)region->mr.addr;

		if ((remote ? region->mr.rkey : region->mr.lkey) == key)
			return address >= base && address + bytes <= base + region->mr.length &&
			       (region->access & access) == access;
	}
	return false;
}

/* ---- completions ---- */

static void complete(struct ibv_cq *to, const struct ibv_wc *wc, uint64_t sequence)
{
	struct mock_cq *cq = (struct mock_cq *)to;

	if (cq->put - cq->taken == (uint64_t)to->cqe) {
		mock_violate("a completion queue overran");
		return;
	}
	cq->ring[cq->put++ % (uint64_t)to->cqe] = (struct mock_entry){*wc, sequence};
	if (cq->armed && to->channel) {
		uint64_t one = 1;

		cq->armed = false;
		((struct mock_channel *)to->channel)->rung = cq;
		if (write(to->channel->fd, &one, sizeof(one)) != sizeof(one))
			abort();
	}
}

static void sent(const struct mock_qp *qp, const struct mock_request *request, enum ibv_wc_status status)
{
	const struct ibv_wc wc = {.wr_id = request->id, .status = status, .qp_num = qp->ex.qp_base.qp_num};

	if (status != IBV_WC_SUCCESS || request->flags & IBV_SEND_SIGNALED)
		complete(qp->ex.qp_base.send_cq, &wc, request->sequence);
}

/* ---- a request is carried out ---- */

/* Into the oldest receive. False: there is none. */
static bool deliver(struct mock_qp *to, const struct mock_request *request, const uint8_t *data, uint32_t bytes)
{
	const struct mock_receive *receive = &to->receives[to->receives_taken % MOCK_RECEIVES_MAX];
	bool datagram = to->ex.qp_base.qp_type == IBV_QPT_UD, immediate = request->opcode != IBV_WR_SEND;
	struct ibv_wc wc = {.wr_id = receive->id, .status = IBV_WC_SUCCESS, .opcode = IBV_WC_RECV};
	int entry = 0;

	if (to->receives_taken == to->receives_put)
		return false;
	to->receives_taken++;
	wc.qp_num = to->ex.qp_base.qp_num;
	wc.byte_len = bytes;
	wc.wc_flags = immediate ? IBV_WC_WITH_IMM : 0;
	wc.imm_data = immediate ? request->immediate : 0;
	if (datagram) {
		static const uint8_t header[GRH_BYTES];

		if (receive->entries[0].length != GRH_BYTES)
			mock_violate("a datagram's header has no place of its own");
		carry(receive->entries[entry++].addr, header, sizeof(header));
	}
	if (data) {
		const struct ibv_sge *place = &receive->entries[entry];

		if (entry >= receive->count || place->length < bytes ||
		    !region_has(place->lkey, false, place->addr, bytes, IBV_ACCESS_LOCAL_WRITE))
			wc.status = IBV_WC_LOC_LEN_ERR;
		else
			carry(place->addr, data, bytes);
	}
	complete(to->ex.qp_base.recv_cq, &wc, 0);
	return true;
}

static enum ibv_wc_status atomic(const struct mock_request *request)
{
	uint64_t *word = (uint64_t *)(uintptr_t)request->remote, before;

	if (request->remote % sizeof(*word) || request->length != sizeof(*word))
		return IBV_WC_REM_INV_REQ_ERR;
	before = *word;
	if (request->opcode == IBV_WR_ATOMIC_FETCH_AND_ADD)
		*word += request->compare;
	else if (before == request->compare)
		*word = request->swap;
	carry(request->local, &before, sizeof(before));
	return IBV_WC_SUCCESS;
}

/* The access that the peer's memory must grant. */
static int access_of(enum ibv_wr_opcode opcode)
{
	switch (opcode) {
	case IBV_WR_RDMA_WRITE:
	case IBV_WR_RDMA_WRITE_WITH_IMM:
		return IBV_ACCESS_REMOTE_WRITE;
	case IBV_WR_RDMA_READ:
		return IBV_ACCESS_REMOTE_READ;
	case IBV_WR_ATOMIC_CMP_AND_SWP:
	case IBV_WR_ATOMIC_FETCH_AND_ADD:
		return IBV_ACCESS_REMOTE_ATOMIC;
	default:
		return 0;
	}
}

/* Whom it goes to; NULL: to nobody who would take it. */
static struct mock_qp *target_of(const struct mock_qp *qp, const struct mock_request *request)
{
	bool connected = qp->ex.qp_base.qp_type == IBV_QPT_RC || qp->ex.qp_base.qp_type == IBV_QPT_UC;
	struct mock_qp *to = queue_numbered(connected ? qp->peer : request->number);

	if (!to || to->ex.qp_base.state < IBV_QPS_RTR || to->ex.qp_base.qp_type != qp->ex.qp_base.qp_type)
		return NULL;
	if ((to->pkey & ~FULL) != (qp->pkey & ~FULL) || !((to->pkey | qp->pkey) & FULL))
		return NULL;
	if (connected)
		return to->peer == qp->ex.qp_base.qp_num ? to : NULL;
	return request->ah && to->qkey == request->qkey ? to : NULL;
}

/* False: the receiver is not ready, and it is tried again. */
static bool carry_out(struct mock_qp *qp, const struct mock_request *request)
{
	const uint8_t *data =
		request->flags & IBV_SEND_INLINE ? request->data : (const uint8_t *)(uintptr_t)request->local;
	const int access = access_of(request->opcode);
	struct mock_qp *to = target_of(qp, request);
	bool reliable = qp->ex.qp_base.qp_type == IBV_QPT_RC || unordered(qp);
	enum ibv_wc_status status = IBV_WC_SUCCESS;
	bool ready = true;

	if (!to) {
		sent(qp, request, reliable ? IBV_WC_RETRY_EXC_ERR : IBV_WC_SUCCESS);
		return true;
	}
	/* A responder of EFA takes RDMA only from those whom it has an address of. */
	if (access && unordered(qp) && !mock_context_of(to->ex.qp_base.context)->addresses)
		status = IBV_WC_REM_OP_ERR;
	else if (access && (!region_has(request->remote_key, true, request->remote, request->length, access) ||
			    (!unordered(qp) && (to->access & access) != access)))
		status = IBV_WC_REM_ACCESS_ERR;
	else if (request->opcode == IBV_WR_RDMA_READ)
		carry(request->local, (const void *)(uintptr_t)request->remote, request->length);
	else if (access == IBV_ACCESS_REMOTE_ATOMIC)
		status = atomic(request);
	else if (access)
		carry(request->remote, data, request->length);
	if (status == IBV_WC_SUCCESS && !access)
		ready = deliver(to, request, data, request->length);
	else if (status == IBV_WC_SUCCESS && request->opcode == IBV_WR_RDMA_WRITE_WITH_IMM)
		ready = deliver(to, request, NULL, request->length);
	if (!ready) {
		mock.log.not_ready++;
		if (unordered(qp))
			return false;
		status = reliable ? IBV_WC_RNR_RETRY_EXC_ERR : IBV_WC_SUCCESS;
	}
	sent(qp, request, status);
	return true;
}

/* ---- posting ---- */

static bool local_is_sound(const struct mock_qp *qp, const struct mock_request *request)
{
	const struct mock_device *device = device_of(qp);
	bool fetches = request->opcode == IBV_WR_RDMA_READ || access_of(request->opcode) == IBV_ACCESS_REMOTE_ATOMIC;
	bool is_inline = request->flags & IBV_SEND_INLINE;

	if (is_inline && (fetches || request->length > qp->asked.cap.max_inline_data))
		return false;
	/* EFA: a completion of each, nothing inline but messages, and a limit for either. */
	if (device->efa.present &&
	    (!(request->flags & IBV_SEND_SIGNALED) ||
	     request->flags & ~(unsigned)(IBV_SEND_SIGNALED | IBV_SEND_INLINE) ||
	     (access_of(request->opcode) && is_inline) ||
	     request->length > (access_of(request->opcode) ? device->efa.rdma_max : device->port.max_msg_sz)))
		return false;
	return is_inline || region_has(request->local_key, false, request->local, request->length,
				       fetches ? IBV_ACCESS_LOCAL_WRITE : 0);
}

/* 0 or an errno, as the library has it. */
static int submit(struct mock_qp *qp, struct mock_request *request)
{
	struct mock_device *device = mock_context_of(qp->ex.qp_base.context)->device;

	if (device->posts_until_failure && --device->posts_until_failure == 0)
		return EIO;
	if (qp->ex.qp_base.state != IBV_QPS_RTS || !local_is_sound(qp, request))
		return EINVAL;
	if (qp->sequence - qp->freed >= qp->asked.cap.max_send_wr || qp->pending_count == MOCK_PENDING_MAX)
		return ENOMEM;
	request->sequence = ++qp->sequence;
	mock.log.posted[request->opcode]++;
	mock.log.signalled[request->opcode] += (request->flags & IBV_SEND_SIGNALED) != 0;
	mock.log.inlined[request->opcode] += (request->flags & IBV_SEND_INLINE) != 0;
	if (unordered(qp)) {
		uint32_t writes = 0;

		qp->pending[qp->pending_count++] = *request;
		for (uint32_t i = 0; i < qp->pending_count; i++)
			writes += qp->pending[i].opcode == IBV_WR_RDMA_WRITE;
		if (writes > mock.log.writes_at_once)
			mock.log.writes_at_once = writes;
	} else {
		carry_out(qp, request);
	}
	return 0;
}

static int post_send(struct ibv_qp *base, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
	struct mock_qp *qp = (struct mock_qp *)base;
	int code = 0;

	pthread_mutex_lock(&mock.mutex);
	for (; wr && !code; wr = wr->next) {
		struct mock_request request = {
			.id = wr->wr_id,
			.opcode = wr->opcode,
			.flags = wr->send_flags,
			.immediate = wr->imm_data,
			.local = wr->sg_list->addr,
			.length = wr->sg_list->length,
			.local_key = wr->sg_list->lkey,
		};

		if (access_of(wr->opcode) == IBV_ACCESS_REMOTE_ATOMIC) {
			request.remote = wr->wr.atomic.remote_addr;
			request.remote_key = wr->wr.atomic.rkey;
			request.compare = wr->wr.atomic.compare_add;
			request.swap = wr->wr.atomic.swap;
		} else if (access_of(wr->opcode)) {
			request.remote = wr->wr.rdma.remote_addr;
			request.remote_key = wr->wr.rdma.rkey;
		} else if (base->qp_type == IBV_QPT_UD) {
			request.ah = (const struct mock_ah *)wr->wr.ud.ah;
			request.number = wr->wr.ud.remote_qpn;
			request.qkey = wr->wr.ud.remote_qkey;
		}
		if (wr->send_flags & IBV_SEND_INLINE && request.length <= MOCK_INLINE_MAX)
			memcpy(request.data, (const void *)(uintptr_t)request.local, request.length);
		*bad = wr;
		code = submit(qp, &request);
	}
	pthread_mutex_unlock(&mock.mutex);
	return code;
}

static int post_receive(struct ibv_qp *base, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
	struct mock_qp *qp = (struct mock_qp *)base;
	int code = 0;

	pthread_mutex_lock(&mock.mutex);
	for (; wr && !code; wr = wr->next) {
		struct mock_receive *receive = &qp->receives[qp->receives_put % MOCK_RECEIVES_MAX];

		*bad = wr;
		if (base->state == IBV_QPS_RESET || wr->num_sge > (int)qp->asked.cap.max_recv_sge)
			code = EINVAL;
		else if (qp->receives_put - qp->receives_taken >= qp->asked.cap.max_recv_wr)
			code = ENOMEM;
		if (code)
			break;
		if (device_of(qp)->efa.present && wr->num_sge == 0)
			mock_violate("EFA makes nothing of a receive without an entry");
		*receive = (struct mock_receive){.id = wr->wr_id, .count = wr->num_sge};
		for (int i = 0; i < wr->num_sge; i++)
			receive->entries[i] = wr->sg_list[i];
		qp->receives_put++;
		mock.log.receives++;
	}
	pthread_mutex_unlock(&mock.mutex);
	return code;
}

static uint32_t lot(uint32_t below)
{
	mock.random = mock.random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(mock.random >> 33) % below;
}

/* Some of those that wait, by lot; now and then none. */
static void progress(struct mock_qp *qp)
{
	for (uint32_t i = lot(A_POLL); i > 0 && qp->pending_count; i--) {
		uint32_t at = lot(qp->pending_count);

		if (!carry_out(qp, &qp->pending[at]))
			return;
		mock.log.overtaken += at > 0;
		qp->pending_count--;
		memmove(&qp->pending[at], &qp->pending[at + 1], (qp->pending_count - at) * sizeof(qp->pending[0]));
	}
}

static int poll_cq(struct ibv_cq *base, int count, struct ibv_wc *wc)
{
	struct mock_cq *cq = (struct mock_cq *)base;
	int n = 0;

	pthread_mutex_lock(&mock.mutex);
	for (struct mock_qp *qp = mock.queues; qp; qp = qp->next)
		progress(qp);
	for (; n < count && cq->taken < cq->put; n++) {
		const struct mock_entry *entry = &cq->ring[cq->taken++ % (uint64_t)base->cqe];
		struct mock_qp *qp = queue_numbered(entry->wc.qp_num);

		wc[n] = entry->wc;
		if (qp && entry->sequence)
			qp->freed = unordered(qp) ? qp->freed + 1 : entry->sequence;
	}
	pthread_mutex_unlock(&mock.mutex);
	return n;
}

static int request_notify(struct ibv_cq *base, int solicited)
{
	(void)solicited;
	pthread_mutex_lock(&mock.mutex);
	/* Who sleeps does not poll, and that is what carries requests out here. */
	for (struct mock_qp *qp = mock.queues; qp; qp = qp->next)
		for (int i = 0; i < 2 * MOCK_PENDING_MAX && qp->pending_count; i++)
			progress(qp);
	((struct mock_cq *)base)->armed = true;
	pthread_mutex_unlock(&mock.mutex);
	return 0;
}

/* ---- ibv_wr_* ---- */

static struct mock_request *begin(struct ibv_qp_ex *ex, enum ibv_wr_opcode opcode, uint32_t key, uint64_t remote)
{
	struct mock_qp *qp = (struct mock_qp *)ex;
	struct mock_request *request = &qp->building[qp->building_count];

	if (qp->building_count + 1 < MOCK_BUILDING_MAX)
		qp->building_count++;
	*request = (struct mock_request){.id = ex->wr_id, .opcode = opcode, .flags = ex->wr_flags};
	request->remote_key = key;
	request->remote = remote;
	return request;
}

static struct mock_request *current(struct ibv_qp_ex *ex)
{
	struct mock_qp *qp = (struct mock_qp *)ex;

	return &qp->building[qp->building_count - 1];
}

static void wr_start(struct ibv_qp_ex *ex)
{
	((struct mock_qp *)ex)->building_count = 0;
}

static int wr_complete(struct ibv_qp_ex *ex)
{
	struct mock_qp *qp = (struct mock_qp *)ex;
	int code = 0;

	pthread_mutex_lock(&mock.mutex);
	for (uint32_t i = 0; i < qp->building_count && !code; i++)
		code = submit(qp, &qp->building[i]);
	pthread_mutex_unlock(&mock.mutex);
	return code;
}

static void wr_write(struct ibv_qp_ex *ex, uint32_t key, uint64_t remote)
{
	begin(ex, IBV_WR_RDMA_WRITE, key, remote);
}

static void wr_write_imm(struct ibv_qp_ex *ex, uint32_t key, uint64_t remote, __be32 immediate)
{
	begin(ex, IBV_WR_RDMA_WRITE_WITH_IMM, key, remote)->immediate = immediate;
}

static void wr_read(struct ibv_qp_ex *ex, uint32_t key, uint64_t remote)
{
	begin(ex, IBV_WR_RDMA_READ, key, remote);
}

static void wr_add(struct ibv_qp_ex *ex, uint32_t key, uint64_t remote, uint64_t add)
{
	begin(ex, IBV_WR_ATOMIC_FETCH_AND_ADD, key, remote)->compare = add;
}

static void wr_swap(struct ibv_qp_ex *ex, uint32_t key, uint64_t remote, uint64_t compare, uint64_t swap)
{
	struct mock_request *request = begin(ex, IBV_WR_ATOMIC_CMP_AND_SWP, key, remote);

	request->compare = compare;
	request->swap = swap;
}

static void wr_send(struct ibv_qp_ex *ex)
{
	begin(ex, IBV_WR_SEND, 0, 0);
}

static void wr_send_imm(struct ibv_qp_ex *ex, __be32 immediate)
{
	begin(ex, IBV_WR_SEND_WITH_IMM, 0, 0)->immediate = immediate;
}

static void wr_address(struct ibv_qp_ex *ex, struct ibv_ah *ah, uint32_t number, uint32_t qkey)
{
	struct mock_request *request = current(ex);

	request->ah = (const struct mock_ah *)ah;
	request->number = number;
	request->qkey = qkey;
}

static void wr_inline(struct ibv_qp_ex *ex, void *address, size_t bytes)
{
	struct mock_request *request = current(ex);

	request->length = (uint32_t)bytes;
	request->flags |= IBV_SEND_INLINE;
	if (bytes <= MOCK_INLINE_MAX)
		memcpy(request->data, address, bytes);
}

static void wr_entry(struct ibv_qp_ex *ex, uint32_t key, uint64_t address, uint32_t bytes)
{
	struct mock_request *request = current(ex);

	request->local_key = key;
	request->local = address;
	request->length = bytes;
}

void mock_queue_fill(struct mock_qp *qp)
{
	qp->ex.wr_start = wr_start;
	qp->ex.wr_complete = wr_complete;
	qp->ex.wr_rdma_write = wr_write;
	qp->ex.wr_rdma_write_imm = wr_write_imm;
	qp->ex.wr_rdma_read = wr_read;
	qp->ex.wr_atomic_fetch_add = wr_add;
	qp->ex.wr_atomic_cmp_swp = wr_swap;
	qp->ex.wr_send = wr_send;
	qp->ex.wr_send_imm = wr_send_imm;
	qp->ex.wr_set_ud_addr = wr_address;
	qp->ex.wr_set_inline_data = wr_inline;
	qp->ex.wr_set_sge = wr_entry;
}

void mock_context_fill(struct mock_context *context)
{
	struct verbs_context *verbs = &context->verbs;

	verbs->context.ops.poll_cq = poll_cq;
	verbs->context.ops.req_notify_cq = request_notify;
	verbs->context.ops.post_send = post_send;
	verbs->context.ops.post_recv = post_receive;
	verbs->query_port = mock_query_port;
	verbs->alloc_td = mock_alloc_td;
	verbs->dealloc_td = mock_dealloc_td;
	verbs->alloc_parent_domain = mock_alloc_parent_domain;
	verbs->create_qp_ex = mock_create_qp_ex;
}
