/*
 * cm.h - queue pairs that are connected by rdma_cm, the only way that iWARP has, and what of it needs no device.
 *
 * librdmacm is loaded when it is needed, so that the module runs where it is not installed. Queue pairs stay ours, made
 * on our own context and in our own threads' domains: rdma_cm gets their numbers, and says by rdma_init_qp_attr what to
 * bring them into their states with. They can so have the retries that were asked for, which rdma_cm itself cannot set.
 */
#ifndef FM_VERBS_CM_H
#define FM_VERBS_CM_H

#include <arpa/inet.h>
#include <rdma/rdma_cma.h>
#include <sys/socket.h>

#include "transports/verbs/endpoint.h"

#define FM_VERBS_CM_DEVICE "/dev/infiniband/rdma_cm"

#define FM_VERBS_CM_CALLS(X)                                                                                           \
	X(create_event_channel)                                                                                        \
	X(destroy_event_channel)                                                                                       \
	X(create_id)                                                                                                   \
	X(destroy_id)                                                                                                  \
	X(bind_addr)                                                                                                   \
	X(listen)                                                                                                      \
	X(resolve_addr)                                                                                                \
	X(resolve_route)                                                                                               \
	X(connect)                                                                                                     \
	X(accept)                                                                                                      \
	X(reject)                                                                                                      \
	X(establish)                                                                                                   \
	X(init_qp_attr)                                                                                                \
	X(get_cm_event)                                                                                                \
	X(ack_cm_event)                                                                                                \
	X(set_option)                                                                                                  \
	X(get_src_port)

/* librdmacm's functions: create_id is rdma_create_id. */
struct fm_verbs_cm_calls {
#define FM_VERBS_CM_CALL(name) __typeof__(rdma_##name) *name;
	FM_VERBS_CM_CALLS(FM_VERBS_CM_CALL)
#undef FM_VERBS_CM_CALL
};

enum fm_verbs_cm_state {
	LINK_NEW,
	LINK_RESOLVING,
	LINK_ROUTING,
	LINK_CONNECTING,
	LINK_ACCEPTED, /* by the passive side */
	LINK_FIRST,    /* iWARP's first message is on its way */
	LINK_DONE
};

/* A stream's connection. */
struct fm_verbs_cm_link {
	struct rdma_cm_id *id;
	enum fm_verbs_cm_state state;
	uint32_t tries;
	uint64_t not_before_ms;
};

enum {
	FM_VERBS_CM_TRIES = 16,	  /* ports that another socket has */
	FM_VERBS_CM_PENDING = 16, /* connections at once: the peer's queue for their requests is finite */
};

struct fm_verbs_cm {
	struct fm_verbs_cm_calls call;
	struct rdma_event_channel *channel;
	struct rdma_cm_id *listener;
	struct fm_verbs_cm_link *links; /* one a stream */
	uint32_t done, refused;		/* links that are through; connections of others */
	char own[INET6_ADDRSTRLEN], peer[INET6_ADDRSTRLEN];
	bool known; /* what is in force is known */
};

/* ---- cm_link.c ---- */

/* The active side: begins what may begin. */
int fm_verbs_cm_links_start(struct fm_endpoint *endpoint, struct fm_error *error);
/* Takes events without waiting, and does what comes next for each. Of both sides. */
int fm_verbs_cm_events_take(struct fm_endpoint *endpoint, struct fm_error *error);
/* The active side of iWARP: answers to the first messages. */
int fm_verbs_cm_first_reads_take(struct fm_endpoint *endpoint, struct fm_error *error);
/* Is the id on the endpoint's device and port? Two RDMA devices may share one net device. */
int fm_verbs_cm_device_check(const struct fm_endpoint *endpoint, const struct rdma_cm_id *id, struct fm_error *error);
/* rdma_CALL failed with this code, negative. */
int fm_verbs_cm_failed(const struct fm_endpoint *endpoint, const char *call, int code, struct fm_error *error);

/* ---- cm_library.c ---- */

/* Loads librdmacm, for good, and looks whether the kernel has rdma_cm: -ENOSYS, -ENOENT, -EACCES with what to do. */
int fm_verbs_cm_load(struct fm_verbs_cm_calls *calls, struct fm_error *error);

/* ---- cm_wire.c ---- */

enum { FM_VERBS_CM_GREETING = 24 }; /* bytes; of the 56 that rdma_cm carries over InfiniBand */

/* What a connection carries in its private data: whom it is for, by the receiver's nonce, and which stream it is. */
void fm_verbs_cm_greet(uint8_t greeting[FM_VERBS_CM_GREETING], const uint8_t nonce[FM_VERBS_CM_NONCE], uint32_t stream);

/* Is this a greeting with our nonce, of one of so many streams? Bytes behind it are padding. */
bool fm_verbs_cm_greeted(const void *data, size_t bytes, const uint8_t nonce[FM_VERBS_CM_NONCE], uint32_t streams,
			 uint32_t *stream);

/* A numeric address, shaped like a GID; an interface's name behind it ("fe80::1%eth0") is passed over. False: none. */
bool fm_verbs_cm_address_read(const char *address, uint8_t raw[16]);
/*
 * A GID-shaped address, IPv4 mapped, as a socket's. device: the net device that a link-local one is on, as an index of
 * this node; else it does not matter.
 */
void fm_verbs_cm_address(const uint8_t raw[16], const char *device, uint16_t port, struct sockaddr_storage *address);

/*
 * Why a connection was refused, by the event's status: a reason of InfiniBand's connection manager, or of iWARP a
 * negative errno.
 */
const char *fm_verbs_cm_refusal(int status);

/* The number of a queue pair lives on in its peer's connection manager for a while; asked again, it has forgotten. */
static inline bool fm_verbs_cm_passes(int status)
{
	return status == 10;
}

#endif
