/*
 * device.h - what the kernel tells under /sys of the port that placement has chosen for a rail; no library.
 */
#ifndef FM_VERBS_DEVICE_H
#define FM_VERBS_DEVICE_H

#include "topology/place.h"
#include "transports/transport.h"

#ifndef FM_VERBS_SYSFS /* tests have another */
#define FM_VERBS_SYSFS "/sys/class/infiniband"
#endif

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
	uint8_t number;	 /* from 1 */
	bool ethernet;	 /* RoCE or iWARP */
	bool infiniband; /* LIDs address it; all others need a GID */
	bool iwarp;
	bool software; /* no device of PCI is under it: its rate is made up */
	bool active;
	struct fm_verbs_gid gid; /* the one to use */
};

/* "RoCE v2", "RoCE v1", "IB". */
const char *fm_verbs_gid_type_name(enum fm_verbs_gid_type type);

/*
 * The port of the rail's place, which placement has chosen, and the entry of its GID table: gid_index, or with
 * FM_VERBS_GID_AUTO the place's. -ENODEV with what is missing, -ENETDOWN; reason placement.
 */
int fm_verbs_port_find(const char *sysfs, const struct fm_place_rail *rail, int gid_index, struct fm_verbs_port *port,
		       struct fm_error *error);

/*
 * The completion vector whose interrupt comes to this CPU, as far as can be said: drivers deal their vectors out to the
 * CPUs next to the device first, in ascending order, and then to the others. vectors: how many there are, at least 1.
 */
uint32_t fm_verbs_vector(const char *sysfs, const char *device, int cpu, uint32_t vectors);

/*
 * Which priorities of a net device have priority flow control, a bit each. False where the kernel does not say. parse:
 * the answer to the query, as it came.
 */
bool fm_verbs_pfc_read(const char *net_device, uint8_t *priorities);
bool fm_verbs_pfc_parse(const void *answer, size_t bytes, uint8_t *priorities);

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
