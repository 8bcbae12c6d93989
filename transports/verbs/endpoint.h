/*
 * endpoint.h - one rail's device, queues and registered memory.
 */
#ifndef FM_VERBS_ENDPOINT_H
#define FM_VERBS_ENDPOINT_H

#include "transports/verbs/device.h"
#include "transports/verbs/lane.h"

enum {
	FM_VERBS_CM_NONCE = 16,	 /* bytes */
	FM_VERBS_RNR_TIMER = 12, /* 0.64 ms */
};

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
	/* Of rdma_cm. */
	bool iwarp, by_cm;
	uint16_t cm_port;		     /* of the passive side */
	uint8_t cm_address[16];		     /* the data address, shaped like a GID */
	uint8_t cm_nonce[FM_VERBS_CM_NONCE]; /* by which who connects here, or answers, is known for the peer */
};

struct fm_verbs_cm;

struct fm_endpoint {
	const struct fm_work *work;
	const struct fm_place_rail *rail;
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
	enum ibv_mtu mtu; /* in force, as these are */
	uint64_t service_level, traffic_class;
	bool extended, connected, exchanged;
	struct fm_verbs_cm *cm; /* NULL: queue pairs are connected by what the control connection tells */
	char event[160];	/* the last asynchronous event, in words */
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

/* ---- memory.c ---- */

/* Registers the lanes' buffers and what lies beside them. */
int fm_verbs_memory_open(struct fm_endpoint *endpoint, struct fm_error *error);
void fm_verbs_memory_close(struct fm_endpoint *endpoint);

/* ---- exchange.c ---- */

int fm_verbs_exchange_write(const struct fm_endpoint *endpoint, struct fm_blob *blob, struct fm_error *error);
/* Reads and checks what the peer wrote; fills endpoint->peer, mtu and the lanes' peer. */
int fm_verbs_exchange_read(struct fm_endpoint *endpoint, const struct fm_blob *blob, struct fm_error *error);

/* ---- cm.c: see cm.h ---- */

static inline bool fm_verbs_by_cm(const struct fm_verbs_options *options, const struct fm_verbs_port *port)
{
	return options->rdma_cm || port->iwarp;
}

/* Can these options be had by rdma_cm, and is it here? -errno and a sentence. */
int fm_verbs_cm_check(const struct fm_verbs_options *options, const struct fm_verbs_port *port, struct fm_error *error);
/* Makes the nonce and, on the passive side, listens; before the queue pairs are made. */
int fm_verbs_cm_open(struct fm_endpoint *endpoint, struct fm_error *error);
/* A step towards connected queue pairs: 0, -EAGAIN or why not. */
int fm_verbs_cm_connect(struct fm_endpoint *endpoint, struct fm_error *error);
/* Takes leavings and refuses strangers. */
void fm_verbs_cm_progress(struct fm_endpoint *endpoint);
void fm_verbs_cm_effective(const struct fm_endpoint *endpoint, struct fm_effective *effective);
/* After the queue pairs are destroyed. */
void fm_verbs_cm_close(struct fm_endpoint *endpoint);

/* ---- report.c ---- */

/* Reads asynchronous events without waiting; a fatal one is -EIO, another is kept for effective. */
int fm_verbs_events(struct fm_endpoint *endpoint, struct fm_error *error);
int fm_verbs_effective(struct fm_endpoint *endpoint, struct fm_effective *effective, struct fm_error *error);

#endif
