/*
 * endpoint.h - one rail's device, queues and registered memory.
 */
#ifndef FM_VERBS_ENDPOINT_H
#define FM_VERBS_ENDPOINT_H

#include "transports/verbs/device.h"
#include "transports/verbs/lane.h"

/* What of an end its peer must know, beside its streams. */
struct fm_verbs_end {
	enum ibv_qp_type type;
	enum fm_verbs_gid_type gid_type;
	bool ethernet;
	uint8_t gid[16];
	uint16_t lid, pkey;
	enum ibv_mtu mtu;
	uint32_t reads_out, reads_in; /* reads and atomics that it can have on their way, and can answer, at once */
	uint32_t ahead;
	uint64_t control; /* address of the first lane's fm_verbs_control; the others follow */
	uint32_t control_key;
	uint32_t ece_vendor, ece_options; /* 0: no enhanced connection establishment */
};

struct fm_endpoint {
	const struct fm_work *work;
	struct fm_verbs_options options;
	struct fm_verbs_port port;
	struct fm_verbs_end self, peer;
	struct ibv_context *context;
	struct ibv_device_attr device;
	struct ibv_port_attr attributes;
	struct ibv_pd *pd;
	struct fm_verbs_thread *threads;
	struct fm_verbs_lane *lanes;
	struct fm_verbs_control *control; /* one a lane */
	struct ibv_mr *control_region;
	struct ibv_ah *ah; /* of datagrams */
	uint32_t inline_max;
	enum ibv_mtu mtu; /* in force */
	bool extended, connected;
	char event[160]; /* the last asynchronous event, in words */
};

/* Opens the port's device and asks for its limits; *context is the caller's to close. */
int fm_verbs_device_open(const struct fm_verbs_port *port, struct ibv_context **context, struct ibv_device_attr *device,
			 struct ibv_port_attr *attributes, struct fm_error *error);

/* ---- queue.c ---- */

/* A protection domain, a completion queue and, with events, a channel for each thread. */
int fm_verbs_threads_open(struct fm_endpoint *endpoint, struct fm_error *error);
/* A queue pair in state INIT for each lane. */
int fm_verbs_queues_open(struct fm_endpoint *endpoint, struct fm_error *error);
/* Brings every queue pair to where it can send. */
int fm_verbs_queues_connect(struct fm_endpoint *endpoint, struct fm_error *error);
void fm_verbs_queues_close(struct fm_endpoint *endpoint);
/* Does the device promise that the last byte of a write lands last? False also where it does not say. */
bool fm_verbs_in_order(const struct fm_endpoint *endpoint);

/* ---- shared.c ---- */

/* A queue of receives for all lanes of the thread, and their completion queue. */
int fm_verbs_shared_open(const struct fm_endpoint *endpoint, struct fm_verbs_thread *thread, struct fm_error *error);
/* What a queue pair of the thread is to be made with; without a shared queue nothing changes. */
void fm_verbs_shared_attach(const struct fm_verbs_thread *thread, struct ibv_qp_init_attr_ex *attributes);
/* The largest share of one lane in a queue that the device can make; 0 none. */
uint32_t fm_verbs_shared_most(const struct fm_endpoint *endpoint);
void fm_verbs_shared_close(struct fm_verbs_thread *thread);

/* ---- ece.c ---- */

/* What the queue pairs can do, into endpoint->self, once they are made. */
void fm_verbs_ece_query(struct fm_endpoint *endpoint);
/* Before a queue pair becomes ready to receive. */
void fm_verbs_ece_set(const struct fm_endpoint *endpoint, const struct fm_verbs_lane *lane);
void fm_verbs_ece_report(const struct fm_endpoint *endpoint, struct fm_effective *effective);

/* ---- memory.c ---- */

int fm_verbs_region_make(const struct fm_endpoint *endpoint, void *base, size_t bytes, int access,
			 struct ibv_mr **region, struct fm_error *error);

/* Registers the lanes' buffers and what lies beside them. */
int fm_verbs_memory_open(struct fm_endpoint *endpoint, struct fm_error *error);
void fm_verbs_memory_close(struct fm_endpoint *endpoint);

/* ---- exchange.c ---- */

int fm_verbs_exchange_write(const struct fm_endpoint *endpoint, struct fm_blob *blob, struct fm_error *error);
/* Reads and checks what the peer wrote; fills endpoint->peer, mtu and the lanes' peer. */
int fm_verbs_exchange_read(struct fm_endpoint *endpoint, const struct fm_blob *blob, struct fm_error *error);

/* ---- report.c ---- */

/* Reads asynchronous events without waiting; a fatal one is -EIO, another is kept for effective. */
int fm_verbs_events(struct fm_endpoint *endpoint, struct fm_error *error);
int fm_verbs_effective(struct fm_endpoint *endpoint, struct fm_effective *effective, struct fm_error *error);

#endif
