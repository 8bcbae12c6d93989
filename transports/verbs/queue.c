/*
 * queue.c - completion queues and queue pairs: made, and brought through their states.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>

#include "transports/verbs/endpoint.h"
#include "transports/verbs/status.h"

enum {
	HOPS = 64,
	/* IBV_QUERY_QP_DATA_IN_ORDER_RETURN_CAPS and _ALIGNED_128_BYTES, of headers younger than the oldest that do. */
	ORDER_RETURN_CAPS = 1 << 0,
	ORDER_ALIGNED_128 = 1 << 1,
};

static int failed(const struct fm_endpoint *endpoint, const char *what, int code, struct fm_error *error)
{
	struct fm_verbs_region limits;
	char locked[128] = "";

	if (code == 0)
		code = -EIO;
	fm_verbs_region_limits(&limits);
	/* Hardware keeps its queues in memory that it locks. */
	if (code == -ENOMEM && limits.lock_limit != UINT64_MAX)
		snprintf(locked, sizeof(locked),
			 ", or raise the memlock limit of %llu bytes, of which %llu are in use ('ulimit -l')",
			 (unsigned long long)limits.lock_limit, (unsigned long long)limits.locked);
	return fm_error_set(error, code, code == -ENOMEM ? FM_REASON_OUT_OF_MEMORY : FM_REASON_CONNECT,
			    "%s: no %s: %s; fewer --streams or a smaller --depth need less of the device%s",
			    endpoint->port.device, what, strerror(-code), locked);
}

/* ---- what a thread has ---- */

/* A thread domain lets the provider do without locks; where there is none the endpoint's own domain does. */
static void thread_domain(const struct fm_endpoint *endpoint, struct fm_verbs_thread *thread)
{
	struct ibv_td_init_attr none = {0};
	struct ibv_parent_domain_init_attr attributes = {.pd = endpoint->pd};

	thread->pd = endpoint->pd;
	thread->td = ibv_alloc_td(endpoint->context, &none);
	if (!thread->td)
		return;
	attributes.td = thread->td;
	thread->pd = ibv_alloc_parent_domain(endpoint->context, &attributes);
	if (thread->pd)
		return;
	ibv_dealloc_td(thread->td);
	thread->td = NULL;
	thread->pd = endpoint->pd;
}

/* Nobody is woken without events, so that the vector, which is a CPU's interrupt, does not matter. */
static int vector_of(const struct fm_endpoint *endpoint, const struct fm_verbs_thread *thread)
{
	const struct fm_place_rail *rail = endpoint->rail;
	uint32_t index = (uint32_t)(thread - endpoint->threads);
	int vectors = endpoint->context->num_comp_vectors;

	if (!endpoint->work->events || vectors < 2 || !rail->cpu_count)
		return 0;
	return (int)fm_verbs_vector(FM_VERBS_SYSFS, endpoint->port.device, rail->cpus[index % rail->cpu_count],
				    (uint32_t)vectors);
}

static uint64_t completions(const struct fm_verbs_lane *lane)
{
	return lane->room / lane->signal_every + 2 + (lane->receives_messages ? lane->ahead : 0) +
	       (lane->grants_credit ? FM_VERBS_GRANTS : 0) + lane->flush_max;
}

static int thread_open(struct fm_endpoint *endpoint, struct fm_verbs_thread *thread, struct fm_error *error)
{
	uint64_t entries = 1;

	thread_domain(endpoint, thread);
	for (uint32_t i = 0; i < thread->count; i++)
		entries += completions(&thread->lanes[i]);
	if (entries > (uint64_t)endpoint->device.max_cqe)
		return fm_error_set(
			error, -EINVAL, FM_REASON_UNSUPPORTED,
			"%u streams of a thread need a completion queue of %llu entries and %s has %d: take fewer "
			"--streams or a smaller --depth",
			thread->count, (unsigned long long)entries, endpoint->port.device, endpoint->device.max_cqe);
	if (endpoint->work->events) {
		thread->channel = ibv_create_comp_channel(endpoint->context);
		if (!thread->channel)
			return failed(endpoint, "completion channel", -errno, error);
	}
	thread->vector = vector_of(endpoint, thread);
	thread->cq = ibv_create_cq(endpoint->context, (int)entries, NULL, thread->channel, thread->vector);
	if (!thread->cq)
		return failed(endpoint, "completion queue", -errno, error);
	return thread->lanes->shares_receives ? fm_verbs_shared_open(endpoint, thread, error) : 0;
}

int fm_verbs_threads_open(struct fm_endpoint *endpoint, struct fm_error *error)
{
	int code = 0;

	for (uint32_t i = 0; i < endpoint->work->threads && code == 0; i++)
		code = thread_open(endpoint, &endpoint->threads[i], error);
	return code;
}

/* ---- queue pairs ---- */

static uint64_t operations_of(const struct fm_verbs_lane *lane)
{
	uint64_t credit = lane->grants_credit ? IBV_QP_EX_WITH_RDMA_WRITE : 0;

	switch (lane->opcode) {
	case IBV_WR_RDMA_WRITE:
		return IBV_QP_EX_WITH_RDMA_WRITE;
	case IBV_WR_RDMA_WRITE_WITH_IMM:
		/* Of an unordered device's write_lat it is known only later whether the plain one will do. */
		return IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM | credit | (lane->unordered ? IBV_QP_EX_WITH_RDMA_WRITE : 0);
	case IBV_WR_RDMA_READ:
		return IBV_QP_EX_WITH_RDMA_READ;
	case IBV_WR_ATOMIC_FETCH_AND_ADD:
		return IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD;
	case IBV_WR_ATOMIC_CMP_AND_SWP:
		return IBV_QP_EX_WITH_ATOMIC_CMP_AND_SWP;
	case IBV_WR_SEND:
		return IBV_QP_EX_WITH_SEND | credit;
	default:
		return IBV_QP_EX_WITH_SEND_WITH_IMM | credit;
	}
}

/* NULL, and errno says why. */
static struct ibv_qp *queue_make(const struct fm_endpoint *endpoint, struct fm_verbs_lane *lane, bool extended,
				 uint32_t inline_max)
{
	struct ibv_qp_init_attr_ex attributes = {
		.send_cq = lane->thread->cq,
		.recv_cq = lane->thread->cq,
		.cap = {.max_send_wr =
				(uint32_t)lane->room + (lane->grants_credit ? FM_VERBS_GRANTS : 0) + lane->flush_max,
			.max_recv_wr = lane->receives_messages ? lane->ahead : 1,
			.max_send_sge = 1,
			.max_recv_sge = endpoint->self.type == IBV_QPT_UD ? 2 : 1,
			.max_inline_data = inline_max},
		.qp_type = endpoint->self.type,
		.comp_mask = IBV_QP_INIT_ATTR_PD,
		.pd = lane->thread->pd,
	};
	struct ibv_qp *qp;

	fm_verbs_shared_attach(lane->thread, &attributes);
	if (extended) {
		attributes.comp_mask |= IBV_QP_INIT_ATTR_SEND_OPS_FLAGS;
		attributes.send_ops_flags = operations_of(lane);
	}
	qp = endpoint->self.type == IBV_QPT_DRIVER ? fm_verbs_efa_queue(&endpoint->efa, endpoint->context, &attributes)
						   : ibv_create_qp_ex(endpoint->context, &attributes);
	lane->qpx = qp && extended ? ibv_qp_to_qp_ex(qp) : NULL;
	return qp;
}

/* The largest inline size that the device takes, at most inline_max; a number that was asked for must be had. */
static struct ibv_qp *queue_try(struct fm_endpoint *endpoint, struct fm_verbs_lane *lane, bool extended)
{
	bool exact = strcmp(endpoint->options.inline_bytes, "auto") != 0;
	struct ibv_qp *qp = queue_make(endpoint, lane, extended, endpoint->inline_max);

	for (uint32_t bytes = endpoint->inline_max; !qp && bytes && !exact;) {
		bytes /= 2;
		qp = queue_make(endpoint, lane, extended, bytes);
		if (qp)
			endpoint->inline_max = bytes;
	}
	return qp;
}

static int queue_init(const struct fm_endpoint *endpoint, const struct fm_verbs_lane *lane, struct fm_error *error)
{
	struct ibv_qp_attr attributes = {
		.qp_state = IBV_QPS_INIT,
		.pkey_index = endpoint->pkey_places[endpoint->pkey],
		.port_num = endpoint->port.number,
		.qkey = FM_VERBS_QKEY,
		.qp_access_flags = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE,
	};
	bool addressed = fm_verbs_addressed(endpoint->self.type);
	int mask = IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT, code;

	if (endpoint->self.type == IBV_QPT_RC)
		attributes.qp_access_flags |= IBV_ACCESS_REMOTE_READ;
	if (endpoint->self.type == IBV_QPT_RC && endpoint->device.atomic_cap != IBV_ATOMIC_NONE)
		attributes.qp_access_flags |= IBV_ACCESS_REMOTE_ATOMIC;
	mask |= addressed ? IBV_QP_QKEY : IBV_QP_ACCESS_FLAGS;
	code = ibv_modify_qp(lane->qp, &attributes, mask);
	return code ? failed(endpoint, "queue pair that can be set up (INIT)", -code, error) : 0;
}

/* Devices need not have it for these, and do not say whether they do. */
static int shared_failed(const struct fm_endpoint *endpoint, int number, struct fm_error *error)
{
	return fm_error_set(
		error, number ? -number : -EIO, FM_REASON_UNSUPPORTED,
		"--srq: %s makes no %s queue pair with a shared receive queue and what else is asked of it: "
		"%s; leave --srq out, or take --connection rc",
		endpoint->port.device, endpoint->self.type == IBV_QPT_UC ? "UC" : "UD", strerror(number));
}

int fm_verbs_queues_open(struct fm_endpoint *endpoint, struct fm_error *error)
{
	const char *api = endpoint->options.post_api;
	int code = 0;

	endpoint->extended = strcmp(api, "classic") != 0;
	if (endpoint->self.type == IBV_QPT_DRIVER && !endpoint->extended)
		return fm_error_set(error, -EOPNOTSUPP, FM_REASON_UNSUPPORTED,
				    "--post-api classic: SRD posts reads and writes by ibv_wr_* alone; leave it out");
	for (uint32_t i = 0; i < endpoint->work->streams && code == 0; i++) {
		struct fm_verbs_lane *lane = &endpoint->lanes[i];

		lane->qp = queue_try(endpoint, lane, endpoint->extended);
		if (!lane->qp && endpoint->extended && strcmp(api, "auto") == 0 &&
		    endpoint->self.type != IBV_QPT_DRIVER) {
			endpoint->extended = false;
			lane->qp = queue_try(endpoint, lane, false);
		}
		if (!lane->qp && lane->shares_receives && endpoint->self.type != IBV_QPT_RC)
			return shared_failed(endpoint, errno, error);
		if (!lane->qp)
			return failed(endpoint,
				      endpoint->extended ? "queue pair with ibv_wr_* and what is asked of it"
							 : "queue pair with what is asked of it",
				      -errno, error);
		lane->inline_max = endpoint->inline_max;
	}
	return code;
}

/* Does each message of the incoming buffers lie within one aligned block of this size? */
static bool within_blocks(const struct fm_endpoint *endpoint, uint64_t block)
{
	const struct fm_work *work = endpoint->work;
	uint64_t stride = work->stride_bytes;

	return work->size_bytes <= block && (stride % block == 0 || (stride <= block && block % stride == 0)) &&
	       (uintptr_t)endpoint->lanes[0].in.base % block == 0;
}

bool fm_verbs_in_order(const struct fm_endpoint *endpoint)
{
	struct ibv_qp *qp = endpoint->lanes[0].qp;
	/* Newer than the oldest library that the module loads with. */
	union {
		void *symbol;
		int (*call)(struct ibv_qp *qp, enum ibv_wr_opcode opcode, uint32_t flags);
	} query = {.symbol = dlvsym(RTLD_DEFAULT, "ibv_query_qp_data_in_order", "IBVERBS_1.14")};

	if (!query.symbol)
		return false;
	/* Libraries before rdma-core 46 take no flag; later ones tell with it of blocks that land whole. */
	return query.call(qp, IBV_WR_RDMA_WRITE, 0) == 1 ||
	       (query.call(qp, IBV_WR_RDMA_WRITE, ORDER_RETURN_CAPS) & ORDER_ALIGNED_128 &&
		within_blocks(endpoint, 128));
}

/* ---- states ---- */

static struct ibv_ah_attr path_to(const struct fm_endpoint *endpoint)
{
	const struct fm_verbs_end *self = &endpoint->self, *peer = &endpoint->peer;
	struct ibv_ah_attr path = {
		.dlid = peer->lid,
		.sl = (uint8_t)endpoint->options.service_level,
		.port_num = endpoint->port.number,
		/*
		 * Between subnets of InfiniBand, whose prefixes differ, a header is needed too, and on ports of virtual
		 * functions that share a LID. What is neither, as EFA, knows GIDs only.
		 */
		.is_global = !endpoint->port.infiniband || endpoint->attributes.flags & IBV_QPF_GRH_REQUIRED ||
			     memcmp(self->gid, peer->gid, 8) != 0,
	};

	if (!path.is_global)
		return path;
	memcpy(path.grh.dgid.raw, peer->gid, sizeof(peer->gid));
	path.grh.sgid_index = (uint8_t)endpoint->port.gid.index;
	path.grh.hop_limit = HOPS;
	path.grh.traffic_class = (uint8_t)endpoint->options.traffic_class;
	return path;
}

static uint8_t least(uint32_t a, uint32_t b)
{
	uint32_t less = a < b ? a : b;

	return less > UINT8_MAX ? UINT8_MAX : (uint8_t)less;
}

static int state_failed(const struct fm_endpoint *endpoint, const char *state, int code, struct fm_error *error)
{
	const char *cause =
		code == ENODEV || code == EINVAL
			? "the GID may belong to another network namespace, or the two ends' addresses to other "
			  "networks; choose with --gid-index LOCAL=REMOTE"
		: code == ENETUNREACH || code == ETIMEDOUT || code == EHOSTUNREACH
			? "there is no route to the peer's GID, or nobody answers there: try ping between the "
			  "data addresses"
			: "look into the kernel's log";

	return fm_error_set(error, -code, FM_REASON_CONNECT, "a queue pair of %s cannot become %s: %s: %s",
			    endpoint->port.device, state, strerror(code), cause);
}

static int queue_ready_to_receive(const struct fm_endpoint *endpoint, const struct fm_verbs_lane *lane,
				  struct fm_error *error)
{
	struct ibv_qp_attr attributes = {
		.qp_state = IBV_QPS_RTR,
		.ah_attr = path_to(endpoint),
		.path_mtu = endpoint->mtu,
		.dest_qp_num = lane->peer.qp_number,
		.rq_psn = lane->peer.psn,
		.max_dest_rd_atomic = least(endpoint->self.reads_in, endpoint->peer.reads_out),
		.min_rnr_timer = FM_VERBS_RNR_TIMER,
	};
	int mask = IBV_QP_STATE, code;

	if (!fm_verbs_addressed(endpoint->self.type))
		mask |= IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN;
	if (endpoint->self.type == IBV_QPT_RC)
		mask |= IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
	code = ibv_modify_qp(lane->qp, &attributes, mask);
	return code ? state_failed(endpoint, "ready to receive", code, error) : 0;
}

static int queue_ready_to_send(const struct fm_endpoint *endpoint, const struct fm_verbs_lane *lane,
			       struct fm_error *error)
{
	struct ibv_qp_attr attributes = {
		.qp_state = IBV_QPS_RTS,
		.sq_psn = lane->psn,
		.timeout = (uint8_t)endpoint->options.qp_timeout,
		.retry_cnt = (uint8_t)endpoint->options.retry_count,
		.rnr_retry = (uint8_t)endpoint->options.rnr_retry,
		.max_rd_atomic = least(endpoint->self.reads_out, endpoint->peer.reads_in),
	};
	int mask = IBV_QP_STATE | IBV_QP_SQ_PSN, code;

	if (endpoint->self.type == IBV_QPT_RC)
		mask |= IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC;
	if (endpoint->self.type == IBV_QPT_DRIVER && endpoint->efa.rnr_retry)
		mask |= IBV_QP_RNR_RETRY;
	code = ibv_modify_qp(lane->qp, &attributes, mask);
	return code ? state_failed(endpoint, "ready to send", code, error) : 0;
}

int fm_verbs_queues_connect(struct fm_endpoint *endpoint, struct fm_error *error)
{
	struct ibv_ah_attr path = path_to(endpoint);
	int code = 0;

	/* That says which P_Key, too. */
	if (endpoint->cm)
		return fm_verbs_cm_connect(endpoint, error);
	/* A device of EFA takes what arrives only from those whom it has an address of: so both ends make one. */
	if (fm_verbs_addressed(endpoint->self.type)) {
		endpoint->ah = ibv_create_ah(endpoint->pd, &path);
		if (!endpoint->ah)
			return state_failed(endpoint, "addressed to the peer", errno ? errno : EIO, error);
	}
	for (uint32_t i = 0; i < endpoint->work->streams && code == 0; i++) {
		struct fm_verbs_lane *lane = &endpoint->lanes[i];

		lane->ah = endpoint->ah;
		/* Only now is it known which P_Key the two ends share. */
		code = queue_init(endpoint, lane, error);
		if (code == 0)
			fm_verbs_ece_set(endpoint, lane);
		code = code ? code : queue_ready_to_receive(endpoint, lane, error);
		code = code ? code : queue_ready_to_send(endpoint, lane, error);
	}
	return code;
}

void fm_verbs_queues_close(struct fm_endpoint *endpoint)
{
	const struct fm_work *work = endpoint->work;

	for (uint32_t i = 0; endpoint->lanes && i < work->streams; i++)
		if (endpoint->lanes[i].qp)
			ibv_destroy_qp(endpoint->lanes[i].qp);
	if (endpoint->ah)
		ibv_destroy_ah(endpoint->ah);
	for (uint32_t i = 0; endpoint->threads && i < work->threads; i++) {
		struct fm_verbs_thread *thread = &endpoint->threads[i];

		fm_verbs_shared_close(thread);
		if (thread->cq) {
			if (thread->unacknowledged)
				ibv_ack_cq_events(thread->cq, thread->unacknowledged);
			ibv_destroy_cq(thread->cq);
		}
		if (thread->channel)
			ibv_destroy_comp_channel(thread->channel);
		if (thread->td) {
			ibv_dealloc_pd(thread->pd);
			ibv_dealloc_td(thread->td);
		}
	}
}
