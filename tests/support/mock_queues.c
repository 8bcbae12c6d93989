/*
 * mock_queues.c - queue pairs of the mock: made, brought through their states and destroyed, as the devices allow.
 */
#include <errno.h>
#include <string.h>

#include "tests/support/mock_state.h"

/* What of the send operations a device has; EFA by its capabilities, and none of it for datagrams. */
static uint64_t operations_of(const struct mock_device *device, enum ibv_qp_type type)
{
	uint64_t all = IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_SEND_WITH_IMM;

	if (type == IBV_QPT_UD)
		return all;
	if (!device->efa.present || device->efa.writes)
		all |= IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM;
	if (!device->efa.present || device->efa.reads)
		all |= IBV_QP_EX_WITH_RDMA_READ;
	if (!device->efa.present)
		all |= IBV_QP_EX_WITH_ATOMIC_CMP_AND_SWP | IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD;
	return all;
}

static int queue_refused(const struct mock_device *device, const struct ibv_qp_init_attr_ex *asked, bool by_efa)
{
	bool extended = asked->comp_mask & IBV_QP_INIT_ATTR_SEND_OPS_FLAGS;

	if (device->efa.present ? asked->qp_type != (by_efa ? IBV_QPT_DRIVER : IBV_QPT_UD)
				: asked->qp_type == IBV_QPT_DRIVER)
		return EOPNOTSUPP;
	if (extended && !device->extended)
		return EOPNOTSUPP;
	if (extended && asked->send_ops_flags & ~operations_of(device, asked->qp_type))
		return EOPNOTSUPP;
	if (asked->cap.max_inline_data > device->inline_max ||
	    asked->cap.max_send_wr > (uint32_t)device->attributes.max_qp_wr ||
	    asked->cap.max_recv_wr > (uint32_t)device->attributes.max_qp_wr || !asked->send_cq || !asked->recv_cq)
		return EINVAL;
	return 0;
}

struct ibv_qp *mock_queue_make(struct ibv_context *context, const struct ibv_qp_init_attr_ex *asked, bool by_efa)
{
	struct mock_domain *domain = (struct mock_domain *)asked->pd;
	struct mock_qp *qp;
	int code = queue_refused(mock_context_of(context)->device, asked, by_efa);

	if (code) {
		errno = code;
		return NULL;
	}
	if (mock_fails())
		return NULL;
	qp = mock_made(sizeof(*qp));
	pthread_mutex_lock(&mock.mutex);
	qp->ex.qp_base = (struct ibv_qp){
		.context = context,
		.pd = asked->pd,
		.send_cq = asked->send_cq,
		.recv_cq = asked->recv_cq,
		.qp_num = mock.next_number++,
		.state = IBV_QPS_RESET,
		.qp_type = asked->qp_type,
	};
	qp->asked = *asked;
	qp->extended = asked->comp_mask & IBV_QP_INIT_ATTR_SEND_OPS_FLAGS;
	mock_queue_fill(qp);
	domain->users++;
	((struct mock_cq *)asked->send_cq)->users++;
	qp->next = mock.queues;
	mock.queues = qp;
	if (mock.log.queue_count < MOCK_LOG_MAX)
		mock.log.queues[mock.log.queue_count++] =
			(struct mock_queue){qp->ex.qp_base.qp_num, qp->extended, domain->parent != NULL, *asked};
	pthread_mutex_unlock(&mock.mutex);
	return &qp->ex.qp_base;
}

struct ibv_qp *mock_create_qp_ex(struct ibv_context *context, struct ibv_qp_init_attr_ex *asked)
{
	return mock_queue_make(context, asked, false);
}

struct ibv_qp *ibv_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *asked)
{
	struct ibv_qp_init_attr_ex all = {.comp_mask = IBV_QP_INIT_ATTR_PD, .pd = pd};

	memcpy(&all, asked, sizeof(*asked));
	return mock_queue_make(pd->context, &all, false);
}

struct ibv_qp_ex *ibv_qp_to_qp_ex(struct ibv_qp *qp)
{
	struct mock_qp *of = (struct mock_qp *)qp;

	return of->extended ? &of->ex : NULL;
}

int ibv_destroy_qp(struct ibv_qp *destroyed)
{
	struct mock_qp *qp = (struct mock_qp *)destroyed, **at = &mock.queues;

	pthread_mutex_lock(&mock.mutex);
	while (*at != qp)
		at = &(*at)->next;
	*at = qp->next;
	((struct mock_domain *)destroyed->pd)->users--;
	((struct mock_cq *)destroyed->send_cq)->users--;
	pthread_mutex_unlock(&mock.mutex);
	mock_gone(qp, 0, "");
	return 0;
}

/* What a step must and may say, by type (InfiniBand specification, volume 1, table of queue pair transitions). */
static void masks_of(const struct mock_qp *qp, enum ibv_qp_state to, int *must, int *may)
{
	const struct mock_device *device = mock_context_of(qp->ex.qp_base.context)->device;
	enum ibv_qp_type type = qp->ex.qp_base.qp_type;
	bool rc = type == IBV_QPT_RC, addressed = type == IBV_QPT_UD || type == IBV_QPT_DRIVER;

	*may = 0;
	switch (to) {
	case IBV_QPS_INIT:
		*must = IBV_QP_PKEY_INDEX | IBV_QP_PORT | (addressed ? IBV_QP_QKEY : IBV_QP_ACCESS_FLAGS);
		break;
	case IBV_QPS_RTR:
		*must = addressed ? 0 : IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN;
		*must |= rc ? IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER : 0;
		*may = IBV_QP_PKEY_INDEX | (addressed ? IBV_QP_QKEY : IBV_QP_ACCESS_FLAGS);
		break;
	default:
		*must = IBV_QP_SQ_PSN;
		*must |= rc ? IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC : 0;
		*may = type == IBV_QPT_DRIVER && device->efa.rnr_retry ? IBV_QP_RNR_RETRY : 0;
		break;
	}
}

int ibv_modify_qp(struct ibv_qp *modified, struct ibv_qp_attr *attributes, int mask)
{
	struct mock_qp *qp = (struct mock_qp *)modified;
	const struct mock_device *device = mock_context_of(modified->context)->device;
	int must, may;

	if (mock_fails())
		return ENOMEM;
	masks_of(qp, attributes->qp_state, &must, &may);
	if (!(mask & IBV_QP_STATE) || (mask & must) != must || mask & ~(must | may | IBV_QP_STATE))
		return EINVAL;
	if (mask & IBV_QP_AV && device->port.link_layer == IBV_LINK_LAYER_ETHERNET && !attributes->ah_attr.is_global)
		return EINVAL;
	if (mask & IBV_QP_MAX_QP_RD_ATOMIC && attributes->max_rd_atomic > device->attributes.max_qp_init_rd_atom)
		return EINVAL;
	if (mask & IBV_QP_MAX_DEST_RD_ATOMIC && attributes->max_dest_rd_atomic > device->attributes.max_qp_rd_atom)
		return EINVAL;
	pthread_mutex_lock(&mock.mutex);
	modified->state = attributes->qp_state;
	if (mask & IBV_QP_QKEY)
		qp->qkey = attributes->qkey;
	if (mask & IBV_QP_ACCESS_FLAGS)
		qp->access = (int)attributes->qp_access_flags;
	if (mask & IBV_QP_DEST_QPN)
		qp->peer = attributes->dest_qp_num;
	if (mask & IBV_QP_PKEY_INDEX)
		qp->pkey = device->pkeys[attributes->pkey_index];
	if (mock.log.modify_count < MOCK_LOG_MAX)
		mock.log.modify[mock.log.modify_count++] = (struct mock_modify){modified->qp_num, mask, *attributes};
	pthread_mutex_unlock(&mock.mutex);
	return 0;
}
