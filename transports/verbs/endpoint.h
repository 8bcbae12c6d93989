/*
 * endpoint.h - one rail's device, queues and registered memory.
 */
#ifndef FM_VERBS_ENDPOINT_H
#define FM_VERBS_ENDPOINT_H

#include "transports/verbs/device.h"
#include "transports/verbs/efa.h"
#include "transports/verbs/lane.h"

enum {
	FM_VERBS_PKEYS_MAX = 32, /* of a table, those that are told to the peer */
	FM_VERBS_CM_NONCE = 16,	 /* bytes */
	FM_VERBS_RNR_TIMER = 12, /* 0.64 ms */
};

/* What of an end its peer must know, beside its streams. */
struct fm_verbs_end {
	enum ibv_qp_type type; /* IBV_QPT_DRIVER: SRD */
	enum fm_verbs_gid_type gid_type;
	bool ethernet;
	bool writes;   /* RDMA writes: all but some devices of EFA */
	bool in_order; /* of EFA: what is written to it can be polled for */
	uint8_t gid[16];
	uint16_t lid;
	uint32_t pkey_count; /* those that may be taken, in the order of their table */
	uint16_t pkeys[FM_VERBS_PKEYS_MAX];
	enum ibv_mtu mtu;
	uint32_t reads_out, reads_in; /* reads and atomics that it can have on their way, and can answer, at once */
	uint32_t ahead;
	uint64_t control; /* address of the first lane's fm_verbs_control; the others follow */
	uint32_t control_key;
	uint32_t ece_vendor, ece_options; /* 0: no enhanced connection establishment */
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
	struct fm_verbs_efa efa;
	uint16_t pkey_places[FM_VERBS_PKEYS_MAX]; /* the indices of self.pkeys */
	uint32_t pkey;				  /* which of them is in force */
	struct ibv_pd *pd;
	struct fm_verbs_thread *threads;
	struct fm_verbs_lane *lanes;
	struct fm_verbs_control *control; /* one a lane */
	struct ibv_mr *control_region;
	struct ibv_ah *ah; /* of UD and SRD, whose work requests say where they go */
	uint32_t inline_max;
	enum ibv_mtu mtu; /* in force, as these are */
	uint64_t service_level, traffic_class;
	bool extended, connected, exchanged;
	struct fm_verbs_cm *cm; /* NULL: queue pairs are connected by what the control connection tells */
	/* watch.c's. */
	char event[64];	       /* the last asynchronous event, in words */
	uint32_t disturbances; /* events so far that change what is measured */
	bool listed;	       /* the device was under /sys when it was opened, so it is gone once it is not */
	struct fm_error fatal; /* the device cannot go on; code 0: it can */
};

/* ---- choose.c ---- */

/*
 * The connection type: what the options say; with auto RC, or SRD where the device is one of EFA, which has no RC. efa:
 * what that device can do, all zero for others. -EOPNOTSUPP where the device has no such type.
 */
int fm_verbs_type_choose(const struct fm_verbs_options *options, const struct fm_verbs_port *port,
			 struct ibv_context *context, const struct ibv_device_attr *device, struct fm_verbs_efa *efa,
			 enum ibv_qp_type *type, struct fm_error *error);
/* Reads those P_Keys of the port that may be taken: the entry of this index, or with FM_VERBS_GID_AUTO all. */
int fm_verbs_pkeys_read(struct fm_endpoint *endpoint, int index, struct fm_error *error);
/* The limit of a work queue: operations that may be on their way, and receives posted ahead. */
uint32_t fm_verbs_queue_max(const struct ibv_device_attr *device, const struct fm_verbs_efa *efa);

/* ---- verbs.c ---- */

/* Opens the port's device and asks for its limits; *context is the caller's to close. */
int fm_verbs_device_open(const struct fm_verbs_port *port, struct ibv_context **context, struct ibv_device_attr *device,
			 struct ibv_port_attr *attributes, struct fm_error *error);

/* Every work request says where it goes, and a queue pair is connected to nobody: UD and SRD. */
static inline bool fm_verbs_addressed(enum ibv_qp_type type)
{
	return type == IBV_QPT_UD || type == IBV_QPT_DRIVER;
}

/* What is done is delivered, and nothing is lost: RC and SRD. */
static inline bool fm_verbs_reliable(enum ibv_qp_type type)
{
	return type == IBV_QPT_RC || type == IBV_QPT_DRIVER;
}

/* Access flags without those that a device refuses because it has no such operation. */
static inline int fm_verbs_access(const struct fm_endpoint *endpoint, int access)
{
	if (endpoint->device.atomic_cap == IBV_ATOMIC_NONE)
		access &= ~IBV_ACCESS_REMOTE_ATOMIC;
	if (endpoint->efa.present && !endpoint->efa.reads)
		access &= ~IBV_ACCESS_REMOTE_READ;
	if (endpoint->efa.present && !endpoint->efa.writes)
		access &= ~IBV_ACCESS_REMOTE_WRITE;
	return access;
}

/* ---- queue.c ---- */

/* A protection domain, a completion queue and, with events, a channel for each thread. */
int fm_verbs_threads_open(struct fm_endpoint *endpoint, struct fm_error *error);
/* A queue pair for each lane. */
int fm_verbs_queues_open(struct fm_endpoint *endpoint, struct fm_error *error);
/* Brings every queue pair to where it can send. */
int fm_verbs_queues_connect(struct fm_endpoint *endpoint, struct fm_error *error);
void fm_verbs_queues_close(struct fm_endpoint *endpoint);
/* Does the device promise that the last byte of these writes lands last? False also where it does not say. */
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

int fm_verbs_region_make(const struct fm_endpoint *endpoint, const struct fm_buffer *buffer, int access,
			 struct ibv_mr **region, struct fm_error *error);

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

/* ---- remark.c ---- */

/* What somebody who reads the row should know of this port: a bond's paths, a class of traffic without PFC. */
void fm_verbs_remark(const struct fm_endpoint *endpoint, struct fm_effective *effective);

#endif
