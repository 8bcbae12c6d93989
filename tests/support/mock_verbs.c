/*
 * mock_verbs.c - the calls of libibverbs that make and destroy all objects but queue pairs, and those of libefa.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <infiniband/efadv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/support/mock_state.h"

/* The library's interface knows no context of its own. */
struct mock_state mock = {.mutex = PTHREAD_MUTEX_INITIALIZER};

void mock_violate(const char *what)
{
	if (!mock.log.violation[0])
		snprintf(mock.log.violation, sizeof(mock.log.violation), "%s", what);
}

/* ---- what a test says and asks ---- */

void mock_start(const struct mock_device *devices, uint32_t count)
{
	memset(&mock.log, 0, sizeof(mock.log));
	mock.alive = 0;
	mock.regions = NULL;
	mock.queues = NULL;
	mock.device_count = count;
	for (uint32_t i = 0; i < count; i++) {
		mock.devices[i] = devices[i];
		memset(&mock.handles[i], 0, sizeof(mock.handles[i]));
		snprintf(mock.handles[i].name, sizeof(mock.handles[i].name), "%s", devices[i].name);
	}
	mock.next_number = 0x100;
	mock.random = 1;
	mock_fail_at(0);
}

struct mock_device *mock_device_named(const char *name)
{
	for (uint32_t i = 0; i < mock.device_count; i++)
		if (strcmp(mock.devices[i].name, name) == 0)
			return &mock.devices[i];
	return NULL;
}

const struct mock_log *mock_log(void)
{
	return &mock.log;
}

uint32_t mock_alive(void)
{
	return mock.alive;
}

void mock_fail_at(uint32_t k)
{
	mock.fail_at = k;
	mock.calls = 0;
}

uint32_t mock_calls(void)
{
	return mock.calls;
}

bool mock_fails(void)
{
	bool now;

	pthread_mutex_lock(&mock.mutex);
	now = ++mock.calls == mock.fail_at;
	pthread_mutex_unlock(&mock.mutex);
	if (now)
		errno = ENOMEM;
	return now;
}

void *mock_made(size_t bytes)
{
	void *object = calloc(1, bytes);

	if (!object)
		abort();
	pthread_mutex_lock(&mock.mutex);
	mock.alive++;
	pthread_mutex_unlock(&mock.mutex);
	return object;
}

void mock_gone(void *object, uint32_t users, const char *what)
{
	pthread_mutex_lock(&mock.mutex);
	mock.alive--;
	if (users)
		mock_violate(what);
	pthread_mutex_unlock(&mock.mutex);
	free(object);
}

/* ---- devices ---- */

struct ibv_device **(ibv_get_device_list)(int *count)
{
	struct ibv_device **list;

	if (mock_fails())
		return NULL;
	list = mock_made((mock.device_count + 1) * sizeof(struct ibv_device *));
	for (uint32_t i = 0; i < mock.device_count; i++)
		list[i] = &mock.handles[i];
	if (count)
		*count = (int)mock.device_count;
	return list;
}

void ibv_free_device_list(struct ibv_device **list)
{
	mock_gone(list, 0, "");
}

const char *ibv_get_device_name(struct ibv_device *device)
{
	return device->name;
}

struct ibv_context *ibv_open_device(struct ibv_device *device)
{
	struct mock_context *made_of;

	if (mock_fails())
		return NULL;
	made_of = mock_made(sizeof(*made_of));
	made_of->device = &mock.devices[device - mock.handles];
	made_of->verbs.sz = sizeof(made_of->verbs);
	made_of->verbs.context.abi_compat = __VERBS_ABI_IS_EXTENDED;
	made_of->verbs.context.device = device;
	made_of->verbs.context.num_comp_vectors = made_of->device->vectors;
	made_of->verbs.context.async_fd = eventfd(0, EFD_CLOEXEC);
	mock_context_fill(made_of);
	return &made_of->verbs.context;
}

int ibv_close_device(struct ibv_context *context)
{
	struct mock_context *closed = mock_context_of(context);

	close(context->async_fd);
	mock_gone(closed, closed->users, "a device was closed whose objects live");
	return 0;
}

int ibv_query_device(struct ibv_context *context, struct ibv_device_attr *attributes)
{
	if (mock_fails())
		return ENOMEM;
	*attributes = mock_context_of(context)->device->attributes;
	return 0;
}

int mock_query_port(struct ibv_context *context, uint8_t number, struct ibv_port_attr *attributes, size_t bytes)
{
	if (mock_fails())
		return ENOMEM;
	if (number != 1)
		return EINVAL;
	memcpy(attributes, &mock_context_of(context)->device->port, bytes);
	return 0;
}

int ibv_query_pkey(struct ibv_context *context, uint8_t number, int index, __be16 *pkey)
{
	if (mock_fails() || number != 1 || index < 0 || index >= MOCK_PKEYS_MAX)
		return -1;
	*pkey = htons(mock_context_of(context)->device->pkeys[index]);
	return 0;
}

/* No test has any. */
int ibv_get_async_event(struct ibv_context *context, struct ibv_async_event *event)
{
	(void)context, (void)event;
	return -1;
}

void ibv_ack_async_event(struct ibv_async_event *event)
{
	(void)event;
}

/* ---- domains and memory ---- */

struct ibv_pd *ibv_alloc_pd(struct ibv_context *context)
{
	struct mock_domain *domain;

	if (mock_fails())
		return NULL;
	domain = mock_made(sizeof(*domain));
	domain->pd.context = context;
	mock_context_of(context)->users++;
	return &domain->pd;
}

int ibv_dealloc_pd(struct ibv_pd *pd)
{
	struct mock_domain *domain = (struct mock_domain *)pd;

	mock_context_of(pd->context)->users--;
	if (domain->parent) {
		domain->parent->users--;
		domain->td->users--;
	}
	mock_gone(domain, domain->users, "a protection domain was freed whose objects live");
	return 0;
}

struct ibv_td *mock_alloc_td(struct ibv_context *context, struct ibv_td_init_attr *attributes)
{
	struct mock_td *td;

	(void)attributes;
	if (!mock_context_of(context)->device->thread_domains) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	if (mock_fails())
		return NULL;
	td = mock_made(sizeof(*td));
	td->td.context = context;
	mock_context_of(context)->users++;
	return &td->td;
}

int mock_dealloc_td(struct ibv_td *td)
{
	struct mock_td *freed = (struct mock_td *)td;

	mock_context_of(td->context)->users--;
	mock_gone(freed, freed->users, "a thread domain was freed whose parent domain lives");
	return 0;
}

struct ibv_pd *mock_alloc_parent_domain(struct ibv_context *context, struct ibv_parent_domain_init_attr *attributes)
{
	struct mock_domain *domain;

	if (mock_fails())
		return NULL;
	domain = mock_made(sizeof(*domain));
	domain->pd.context = context;
	domain->parent = (struct mock_domain *)attributes->pd;
	domain->td = (struct mock_td *)attributes->td;
	domain->parent->users++;
	domain->td->users++;
	mock_context_of(context)->users++;
	return &domain->pd;
}

static struct ibv_mr *region_make(struct ibv_pd *pd, void *base, size_t bytes, int access)
{
	const struct mock_device *device = mock_context_of(pd->context)->device;
	int refused = 0;
	struct mock_region *region;

	if (device->efa.present)
		refused = IBV_ACCESS_REMOTE_ATOMIC | (device->efa.reads ? 0 : IBV_ACCESS_REMOTE_READ) |
			  (device->efa.writes ? 0 : IBV_ACCESS_REMOTE_WRITE);
	if (access & refused) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	if (mock_fails())
		return NULL;
	region = mock_made(sizeof(*region));
	pthread_mutex_lock(&mock.mutex);
	region->mr = (struct ibv_mr){.context = pd->context, .pd = pd, .addr = base, .length = bytes};
	region->mr.lkey = mock.next_number++;
	region->mr.rkey = mock.next_number++;
	region->access = access;
	region->next = mock.regions;
	mock.regions = region;
	((struct mock_domain *)pd)->users++;
	if (mock.log.region_count < MOCK_LOG_MAX)
		mock.log.region_access[mock.log.region_count++] = access;
	pthread_mutex_unlock(&mock.mutex);
	return &region->mr;
}

struct ibv_mr *(ibv_reg_mr)(struct ibv_pd *pd, void *base, size_t bytes, int access)
{
	if (access & (int)IBV_ACCESS_OPTIONAL_RANGE)
		mock_violate("the plain registration was given optional flags");
	return region_make(pd, base, bytes, access);
}

struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *base, size_t bytes, uint64_t iova, unsigned access)
{
	if (iova != (uintptr_t)base)
		mock_violate("a region has another address than its memory");
	return region_make(pd, base, bytes, (int)access);
}

int ibv_dereg_mr(struct ibv_mr *mr)
{
	struct mock_region *region = (struct mock_region *)mr, **at = &mock.regions;

	pthread_mutex_lock(&mock.mutex);
	while (*at != region)
		at = &(*at)->next;
	*at = region->next;
	((struct mock_domain *)mr->pd)->users--;
	pthread_mutex_unlock(&mock.mutex);
	mock_gone(region, 0, "");
	return 0;
}

/* ---- completion queues ---- */

struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *context)
{
	struct mock_channel *channel;

	if (mock_fails())
		return NULL;
	channel = mock_made(sizeof(*channel));
	channel->channel.context = context;
	channel->channel.fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	mock_context_of(context)->users++;
	return &channel->channel;
}

int ibv_destroy_comp_channel(struct ibv_comp_channel *channel)
{
	struct mock_channel *destroyed = (struct mock_channel *)channel;

	close(channel->fd);
	mock_context_of(channel->context)->users--;
	mock_gone(destroyed, destroyed->users, "a completion channel was destroyed whose queue lives");
	return 0;
}

struct ibv_cq *ibv_create_cq(struct ibv_context *context, int entries, void *own, struct ibv_comp_channel *channel,
			     int vector)
{
	const struct mock_device *device = mock_context_of(context)->device;
	struct mock_cq *cq;

	(void)own;
	if (entries > device->attributes.max_cqe || vector < 0 || vector >= device->vectors) {
		errno = EINVAL;
		return NULL;
	}
	if (mock_fails())
		return NULL;
	cq = mock_made(sizeof(*cq) + (size_t)entries * sizeof(cq->ring[0]));
	cq->cq.context = context;
	cq->cq.channel = channel;
	cq->cq.cqe = entries;
	if (channel)
		((struct mock_channel *)channel)->users++;
	mock_context_of(context)->users++;
	if (mock.log.completion_queue_count < MOCK_LOG_MAX) {
		mock.log.entries[mock.log.completion_queue_count] = entries;
		mock.log.vectors[mock.log.completion_queue_count++] = vector;
	}
	return &cq->cq;
}

int ibv_destroy_cq(struct ibv_cq *destroyed)
{
	struct mock_cq *cq = (struct mock_cq *)destroyed;

	if (cq->events_given != cq->events_acknowledged)
		mock_violate("a completion queue was destroyed with events that nobody acknowledged: it would hang");
	if (destroyed->channel)
		((struct mock_channel *)destroyed->channel)->users--;
	mock_context_of(destroyed->context)->users--;
	mock_gone(cq, cq->users, "a completion queue was destroyed whose queue pairs live");
	return 0;
}

int ibv_get_cq_event(struct ibv_comp_channel *channel, struct ibv_cq **cq, void **own)
{
	struct mock_channel *of = (struct mock_channel *)channel;
	uint64_t one;

	if (read(channel->fd, &one, sizeof(one)) != sizeof(one))
		return -1;
	pthread_mutex_lock(&mock.mutex);
	*cq = &of->rung->cq;
	*own = NULL;
	of->rung->events_given++;
	pthread_mutex_unlock(&mock.mutex);
	return 0;
}

void ibv_ack_cq_events(struct ibv_cq *cq, unsigned count)
{
	((struct mock_cq *)cq)->events_acknowledged += count;
}

/* ---- addresses ---- */

struct ibv_ah *ibv_create_ah(struct ibv_pd *pd, struct ibv_ah_attr *attributes)
{
	const struct mock_device *device = mock_context_of(pd->context)->device;
	struct mock_ah *ah;

	/* RoCE and EFA know no other way. */
	if (device->port.link_layer != IBV_LINK_LAYER_INFINIBAND && !attributes->is_global) {
		errno = EINVAL;
		return NULL;
	}
	if (mock_fails())
		return NULL;
	ah = mock_made(sizeof(*ah));
	ah->ah = (struct ibv_ah){.context = pd->context, .pd = pd};
	ah->attributes = *attributes;
	((struct mock_domain *)pd)->users++;
	mock_context_of(pd->context)->addresses++;
	if (mock.log.address_count < MOCK_LOG_MAX)
		mock.log.addresses[mock.log.address_count++] = *attributes;
	return &ah->ah;
}

int ibv_destroy_ah(struct ibv_ah *ah)
{
	((struct mock_domain *)ah->pd)->users--;
	mock_gone(ah, 0, "");
	return 0;
}

/* ---- what is looked up ---- */

static int query_in_order(struct ibv_qp *qp, enum ibv_wr_opcode opcode, uint32_t flags)
{
	int caps = mock_context_of(qp->context)->device->in_order;

	(void)opcode;
	return flags ? caps : caps & 1;
}

static int efa_query(struct ibv_context *context, struct efadv_device_attr *attributes, uint32_t bytes)
{
	const struct mock_device *device = mock_context_of(context)->device;

	if (!device->efa.present)
		return EOPNOTSUPP;
	if (mock_fails())
		return ENOMEM;
	memset(attributes, 0, bytes);
	attributes->max_sq_wr = attributes->max_rq_wr = (uint32_t)device->attributes.max_qp_wr;
	attributes->inline_buf_size = (uint16_t)device->efa.inline_max;
	attributes->device_caps = (device->efa.reads ? EFADV_DEVICE_ATTR_CAPS_RDMA_READ : 0) |
				  (device->efa.rnr_retry ? EFADV_DEVICE_ATTR_CAPS_RNR_RETRY : 0) |
				  (device->efa.writes ? 1u << 3 : 0);
	attributes->max_rdma_size = device->efa.rdma_max;
	return 0;
}

static struct ibv_qp *efa_create(struct ibv_context *context, struct ibv_qp_init_attr_ex *asked,
				 struct efadv_qp_init_attr *own, uint32_t bytes)
{
	if (own->driver_qp_type != EFADV_QP_DRIVER_TYPE_SRD || bytes < sizeof(*own) || own->comp_mask)
		mock_violate("an SRD queue pair was asked for in another way than libefa wants");
	return mock_queue_make(context, asked, true);
}

void *__wrap_dlopen(const char *name, int flags);
void *__wrap_dlvsym(void *library, const char *name, const char *version);

/* A handle of libefa alone; nothing else is opened. */
void *__wrap_dlopen(const char *name, int flags)
{
	(void)flags;
	return strcmp(name, "libefa.so.1") == 0 && !mock.devices[0].library_lacks_efa ? &mock : NULL;
}

void *__wrap_dlvsym(void *library, const char *name, const char *version)
{
	const struct {
		const char *name, *version;
		void (*call)(void);
	} symbols[] = {
		{"efadv_query_device", "EFA_1.1", (void (*)(void))efa_query},
		{"efadv_create_qp_ex", "EFA_1.1", (void (*)(void))efa_create},
		{"ibv_query_qp_data_in_order", "IBVERBS_1.14", (void (*)(void))query_in_order},
	};
	union {
		void (*call)(void);
		void *pointer;
	} found;

	for (size_t i = library == &mock ? 0 : mock.devices[0].in_order < 0 ? 3 : 2; i < 3; i++) {
		found.call = symbols[i].call;
		if (strcmp(symbols[i].name, name) == 0 && strcmp(symbols[i].version, version) == 0)
			return found.pointer;
	}
	return NULL;
}
