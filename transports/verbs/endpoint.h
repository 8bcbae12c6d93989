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
	/* watch.c's. */
	char event[64];	       /* the last asynchronous event, in words */
	uint32_t disturbances; /* events so far that change what is measured */
	bool listed;	       /* the device was under /sys when it was opened, so it is gone once it is not */
	struct fm_error fatal; /* the device cannot go on; code 0: it can */
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

/* ---- watch.c ---- */

/* Once the device is open. */
void fm_verbs_watch_begin(struct fm_endpoint *endpoint);
/*
 * Without waiting: reads asynchronous events and looks whether the device is still there. Where it cannot go on -EIO,
 * from then on and for the lanes of the first thread, too; other events are kept for effective and counters. For the
 * first thread only.
 */
int fm_verbs_events(struct fm_endpoint *endpoint, struct fm_error *error);
/* Counters, states and traffic of the port, now; the device's own store of counters may be some 10 ms behind. */
int fm_verbs_observe(struct fm_endpoint *endpoint, struct fm_counters *counters, struct fm_error *error);

/* ---- report.c ---- */

int fm_verbs_effective(struct fm_endpoint *endpoint, struct fm_effective *effective, struct fm_error *error);

#endif
