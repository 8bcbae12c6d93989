/*
 * placement.h - decides where a measurement runs: first which device of A talks to which of B (rails), then, on each
 * node, which CPUs measure. Pure functions of inventories and a request, so that any machine can be a test.
 */
#ifndef FM_PLACEMENT_H
#define FM_PLACEMENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "topology/nic.h"
#include "topology/place.h"

enum { FM_CPUS_MAX = 4096, FM_RAIL_NAME_MAX = 64 };

/* CPUs this process may use: the affinity mask, which a cpuset cgroup narrows, and the CPU time a cgroup grants. */
struct fm_cpus {
	uint32_t count;
	int list[FM_CPUS_MAX];	    /* ascending */
	int numa_node[FM_CPUS_MAX]; /* of list[i]; -1 unknown */
	int core[FM_CPUS_MAX];	    /* lowest CPU among the SMT siblings of list[i]: siblings share it */
	double quota;		    /* CPUs' worth of time that cgroup v1 or v2 grants; NaN: no limit */
};

/* sysfs: "/sys" or a recorded tree; the quota through /proc/self. -errno (environment) where the kernel won't say. */
int fm_cpus_read(const char *sysfs, struct fm_cpus *cpus, struct fm_error *error);
/* "0-3,8" to an ascending list without repetition. -EINVAL (usage) names the piece that is no CPU. */
int fm_cpus_parse(const char *text, int *list, uint32_t capacity, uint32_t *count, struct fm_error *error);
/* The shortest such text; cut where it does not fit. Returns text. */
const char *fm_cpus_format(const int *list, uint32_t count, char *text, size_t bytes);

/*
 * One NIC pair, between A (this node, whose user typed the command) and B. Addresses are numeric, of one family and
 * without a scope, which means nothing on the other node: each end adds its own device's name to a link-local one.
 */
struct fm_rail {
	/* Names of NICs, see fm_nic; "" only an address is known */
	char device_a[FM_RAIL_NAME_MAX], device_b[FM_RAIL_NAME_MAX];
	char address_a[FM_ADDRESS_MAX], address_b[FM_ADDRESS_MAX]; /* both "" between RDMA ports that share none */
	char reason[192]; /* "asked for", "same subnet 10.1.0.0/24", "the control connection's addresses" */
};

struct fm_rail_request {
	/* "one", "LIST" of devices or addresses, each LOCAL[=REMOTE]; "" means one. "all" and "each" go to rails_every.
	 */
	const char *rails;
	const char *device;		   /* LOCAL[=REMOTE], or "" */
	const char *data_address;	   /* LOCAL[=REMOTE], numeric, or "" */
	const char *control_a, *control_b; /* numeric addresses of the control connection's ends: the last resort */
	bool rdma;			   /* data goes from RDMA port to RDMA port, which may do without addresses */
};

/*
 * Pairs devices of A and B. A device is named by net device, RDMA device[:port], PCI address or IP. Nothing asked for:
 * the control connection's own addresses (so `pair --local` gets the loopback), and the reason says so; for RDMA, where
 * these have no active RDMA port at both ends, the first RDMA port of A that has a partner.
 *
 * Remote default: the same rail. First a device in the same subnet; where several share it on both nodes, as in a flat
 * fabric, the one of the same rank among them. Else the same ordinal among the devices that are up, addressed and no
 * loopback. For an RDMA port without a partner so far: of its link layer the one in the same InfiniBand subnet, or of
 * the same ordinal. Ranks and ordinals go by PCI address, then by name: names differ between nodes of one kind, slots
 * don't. Addresses: global before link-local, one subnet, the control connection's family, IPv4, in this order of
 * weight.
 *
 * Errors (usage, placement) name the device and what would be possible: "no net device 'eth7' on this node: it has
 * eth0, eth1". Two rails over one device of a node are refused: they would measure each other.
 */
int fm_rails_pair(const struct fm_nics *a, const struct fm_nics *b, const struct fm_rail_request *request,
		  struct fm_rail *rails, uint32_t capacity, uint32_t *count, struct fm_error *error);

/* Devices that carry no rail, in words: "eth2: down or without carrier; eth5 of the other node: no partner here". */
struct fm_rails_left {
	uint32_t count, shown; /* shown: of these, so many stand in text */
	char text[1024];
};

/* One more of them; why: without a full stop. */
__attribute__((format(printf, 3, 4))) void fm_rails_leave(struct fm_rails_left *left, const char *device,
							  const char *why, ...);

/*
 * Every rail that the rule above gives (those without addresses for RDMA alone), each device in one of them, in the
 * order of A's slots: devices in one subnet first choose, then those of one ordinal. What could carry data and is not
 * among them is left over with its reason: a device that is down, has link-local addresses only (which pair by luck),
 * has no partner, or one that another rail has. Devices without an address that are no hardware, such as a bridge's
 * ports, are no rails to begin with.
 *
 * Both ends on one machine, or no pair at all: the control connection's addresses alone, as for "one". The request may
 * name no device. Errors as above.
 */
int fm_rails_every(const struct fm_nics *a, const struct fm_nics *b, const struct fm_rail_request *request,
		   struct fm_rail *rails, uint32_t capacity, uint32_t *count, struct fm_rails_left *left,
		   struct fm_error *error);

struct fm_place_request {
	const struct fm_rail *rails;
	uint32_t rail_count;
	bool side_b;	  /* take device_b and address_b */
	const char *cpus; /* --cpu's text for this side; "" chooses */
	uint32_t threads; /* measuring threads of each rail */
	/*
	 * Ends on this machine that measure at once, and which this one is; else 0 of 1. Of 2 the other one is the
	 * other side of the same rails; of more each is taken to use this one's devices.
	 */
	uint32_t share, shares;
	const char *other_cpus; /* shares = 2: --cpu's text for the other end; "" or NULL: it chooses */
};

/*
 * The place of one node. CPUs: one a thread, no two threads on one while there are enough; then other cores before SMT
 * siblings; then the device's memory node (unknown: the node with the most cores to use); CPU 0 and its siblings last,
 * interrupts live there; then the lowest number. Deterministic: each of several ends on a machine works out the places
 * of all and takes its own. Where CPUs do not suffice or the cgroup grants less time, they are shared: shared_cpus says
 * so and reason has it in words.
 *
 * A link-local address gets this node's scope. -EINVAL (usage) where --cpu names a CPU that the process may not use, or
 * fewer than threads, or a count is out of range; -ENODEV (placement) where a rail's device or address isn't here.
 */
int fm_place_decide(const struct fm_nics *nics, const struct fm_cpus *cpus, const struct fm_place_request *request,
		    struct fm_place *place, struct fm_error *error);

/*
 * True route: asks the kernel by which device a packet from `from` to `to` leaves; a socket that is bound to an address
 * still takes the routing table's device, which for two devices in one subnet is the first one. A link-local `to` is
 * taken in the scope of `device`, else of `from`. -EADDRNOTAVAIL (placement): `from` is none of this node's;
 * -ENETUNREACH (placement): no route, both are named; -EXDEV (placement): another device than `device` (where that is
 * not ""), with the rule to think of.
 * An address of this very machine is fine whatever the device: the kernel short-cuts it through the loopback, and no
 * rule would change that. So is a sandbox whose kernel answers no such question: then only reachability is known.
 */
int fm_route_check(const char *from, const char *to, const char *device, struct fm_error *error);

/*
 * For the offer and the plan that the two ends exchange: arrays. NULL on lack of memory; from_json: -EPROTO (protocol)
 * on anything odd, unknown members included, and outputs untouched.
 */
json_t *fm_nics_to_json(const struct fm_nics *nics);
int fm_nics_from_json(const json_t *json, struct fm_nics *nics, struct fm_error *error);
json_t *fm_rails_to_json(const struct fm_rail *rails, uint32_t count);
int fm_rails_from_json(const json_t *json, struct fm_rail *rails, uint32_t capacity, uint32_t *count,
		       struct fm_error *error);

#endif
