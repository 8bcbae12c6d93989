/*
 * efa.c - the calls of libefa. A device of this kind has neither RC nor UC, no atomics, and delivers in any order.
 */
#include "transports/verbs/efa.h"

#include <dlfcn.h>
#include <errno.h>

/* Its header comes with libibverbs' on most systems, and not on those without the provider. */
#if defined(__has_include)
#if __has_include(<infiniband/efadv.h>)
#include <infiniband/efadv.h>
#define HAS_HEADER 1
#endif
#endif

#ifdef HAS_HEADER

/* EFADV_DEVICE_ATTR_CAPS_RDMA_WRITE, younger than the oldest header that will do: an enumerator, so no #ifdef finds it.
 */
enum { CAPS_RDMA_WRITE = 1 << 3 };

typedef int query_call(struct ibv_context *context, struct efadv_device_attr *attributes, uint32_t bytes);
typedef struct ibv_qp *create_call(struct ibv_context *context, struct ibv_qp_init_attr_ex *attributes,
				   struct efadv_qp_init_attr *efa_attributes, uint32_t bytes);

union symbol {
	void *pointer;
	query_call *query;
	create_call *create;
};

int fm_verbs_efa_query(struct ibv_context *context, const char *device, struct fm_verbs_efa *efa,
		       struct fm_error *error)
{
	/* Never closed: it is the provider that the device was opened by. */
	void *library = dlopen("libefa.so.1", RTLD_NOW | RTLD_LOCAL);
	union symbol query = {NULL}, create = {NULL};
	struct efadv_device_attr attributes = {0};
	int code;

	if (library) {
		query.pointer = dlvsym(library, "efadv_query_device", "EFA_1.1");
		create.pointer = dlvsym(library, "efadv_create_qp_ex", "EFA_1.1");
	}
	if (!query.pointer || !create.pointer)
		return fm_error_set(
			error, -EOPNOTSUPP, FM_REASON_UNSUPPORTED,
			"%s is an EFA device, whose SRD needs libefa.so.1 of rdma-core 28 or newer: install "
			"ibverbs-providers; without it --connection ud can send",
			device);
	code = query.query(context, &attributes, sizeof(attributes));
	if (code)
		return fm_error_set(error, -code, FM_REASON_UNSUPPORTED, "EFA device %s does not tell its limits: %s",
				    device, strerror(code));
	*efa = (struct fm_verbs_efa){
		.present = true,
		.reads = attributes.device_caps & EFADV_DEVICE_ATTR_CAPS_RDMA_READ,
		.writes = attributes.device_caps & CAPS_RDMA_WRITE,
		.rnr_retry = attributes.device_caps & EFADV_DEVICE_ATTR_CAPS_RNR_RETRY,
		.rdma_max = attributes.max_rdma_size,
		.inline_max = attributes.inline_buf_size,
		.send_queue_max = attributes.max_sq_wr,
		.receive_queue_max = attributes.max_rq_wr,
		.create = create.pointer,
	};
	return 0;
}

struct ibv_qp *fm_verbs_efa_queue(const struct fm_verbs_efa *efa, struct ibv_context *context,
				  struct ibv_qp_init_attr_ex *attributes)
{
	struct efadv_qp_init_attr srd = {.driver_qp_type = EFADV_QP_DRIVER_TYPE_SRD};
	const union symbol create = {efa->create};

	if (!create.create) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	return create.create(context, attributes, &srd, sizeof(srd));
}

#else

int fm_verbs_efa_query(struct ibv_context *context, const char *device, struct fm_verbs_efa *efa,
		       struct fm_error *error)
{
	(void)context, (void)efa;
	return fm_error_set(
		error, -EOPNOTSUPP, FM_REASON_UNSUPPORTED,
		"%s is an EFA device, and this fabmark was built without infiniband/efadv.h, which SRD needs: "
		"build it again with libibverbs-dev installed; without it --connection ud can send",
		device);
}

struct ibv_qp *fm_verbs_efa_queue(const struct fm_verbs_efa *efa, struct ibv_context *context,
				  struct ibv_qp_init_attr_ex *attributes)
{
	(void)efa, (void)context, (void)attributes;
	errno = EOPNOTSUPP;
	return NULL;
}

#endif
