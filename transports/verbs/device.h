/*
 * device.h - which RDMA device, port and GID belong to a rail, from what the kernel tells under /sys; no library.
 */
#ifndef FM_VERBS_DEVICE_H
#define FM_VERBS_DEVICE_H

#include "topology/place.h"
#include "transports/transport.h"

#define FM_VERBS_SYSFS "/sys/class/infiniband"

enum { FM_VERBS_GIDS_MAX = 256, FM_VERBS_GID_AUTO = -1 };

enum fm_verbs_gid_type { FM_VERBS_GID_IB, FM_VERBS_GID_ROCE_V1, FM_VERBS_GID_ROCE_V2 };

struct fm_verbs_gid {
	int index;
	uint8_t raw[16];
	enum fm_verbs_gid_type type;
	char netdev[32]; /* "" where it has none */
};

struct fm_verbs_port {
	char device[64];
	uint8_t number; /* from 1 */
	bool ethernet;	/* RoCE: addresses need a GID */
	bool iwarp;
	bool active;
	struct fm_verbs_gid gid; /* the one to use */
};

/* "RoCE v2", "RoCE v1", "IB". */
const char *fm_verbs_gid_type_name(enum fm_verbs_gid_type type);

/*
 * The entry to use: NULL where none will do. netdev: entries of other net devices do not belong to the rail; "" any.
 * address: the rail's data address as a GID, IPv4-mapped where it is IPv4, and preferred; NULL none. Then RoCE v2
 * before v1, IPv4 before global IPv6 before link-local, the lower index before the higher.
 */
const struct fm_verbs_gid *fm_verbs_gid_choose(const struct fm_verbs_gid *gids, uint32_t count, const char *netdev,
					       const uint8_t *address);

/* A numeric address as a GID. False where it is none. */
bool fm_verbs_gid_of_address(const char *address, uint8_t raw[16]);

/*
 * Finds the rail's port: by the RDMA device that it names, else by its net device, else by its address. gid_index:
 * the entry that must be used, or FM_VERBS_GID_AUTO. -ENODEV with what is missing, reason placement.
 */
int fm_verbs_port_find(const char *sysfs, const struct fm_place_rail *rail, int gid_index, struct fm_verbs_port *port,
		       struct fm_error *error);

/* The first line of a file, without its newline. False where it cannot be read. */
bool fm_verbs_read_line(const char *path, char *text, size_t bytes);

/*
 * The port's counters as columns and by their own names, and the bytes that it has moved; what cannot be read is left
 * out.
 */
void fm_verbs_counters(const char *sysfs, const struct fm_verbs_port *port, struct fm_counters *counters);
/* How long the driver may answer reads of its counters from a store, in ms; 0 where it does not say. */
uint32_t fm_verbs_counters_age_ms(const char *sysfs, const struct fm_verbs_port *port);
/* The port's link, state, address and LID, which must stay as they are. */
void fm_verbs_states(const char *sysfs, const struct fm_verbs_port *port, struct fm_counters *counters);

/* What an endpoint has sent and was sent. */
struct fm_verbs_moved {
	uint64_t size, mtu; /* bytes of a message, and of a packet's payload */
	bool fetches;	    /* reads and atomics: the data goes against the operations */
	uint64_t outgoing, incoming;
	uint64_t grants, granted; /* credits written to the peer, and at most by it */
};

/*
 * The most bytes that these can be in the port's own counters: each packet with the longest headers that there are, and
 * acknowledged by itself.
 */
void fm_verbs_own_traffic(const struct fm_verbs_moved *moved, struct fm_counters *counters);

#endif
