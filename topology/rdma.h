/*
 * rdma.h - the RDMA ports of this node as sysfs tells them: no library, so that recorded machines are tests.
 */
#ifndef FM_RDMA_H
#define FM_RDMA_H

#include <jansson.h>

#include "common/error.h"
#include "topology/address.h"
#include "topology/nic.h"

enum { FM_RDMA_PORTS_MAX = 64, FM_RDMA_GIDS_MAX = 64, FM_RDMA_NAME_MAX = 32 };

struct fm_rdma_gid {
	uint32_t index;
	char text[FM_ADDRESS_MAX];    /* as an IPv6 address: ::ffff:10.0.0.1 */
	struct fm_address address;    /* the same; of an IPv4-mapped one the IPv4 address */
	char type[16];		      /* InfiniBand, RoCE v1, RoCE v2, iWARP; "" a hole of the table */
	char net_device[IF_NAMESIZE]; /* "" none, as with InfiniBand */
	const char *refused;	      /* why it can't be taken, static; NULL: it can */
};

/* How many counters a folder has and how many of them can be read. */
struct fm_rdma_counters {
	uint32_t count, readable;
};

struct fm_rdma_port {
	char device[FM_RDMA_NAME_MAX];
	uint32_t port;				     /* from 1 */
	char node_type[16];			     /* CA, RNIC; "" unknown */
	char description[65];			     /* node_desc */
	char firmware[32], board[32], node_guid[24]; /* "" unknown */
	char driver[32];	 /* of the PCI function: "mlx5_core"; rxe and siw by their description; "" unknown */
	char pci[16];		 /* "" none: a software device */
	int numa_node;		 /* -1 unknown */
	char link_layer[16];	 /* ethernet, infiniband, unspecified */
	char state[16];		 /* ACTIVE, DOWN, INIT, ARMED; "" unknown */
	char physical_state[24]; /* LinkUp, Disabled, Polling; "" unknown */
	bool active;
	double link_gbps;      /* of a PCI device that is active; NaN otherwise: a software device's is made up */
	char rate[40];	       /* as the kernel has it: "100 Gb/sec (4X EDR)"; "" of a software device */
	uint32_t lid, sm_lid;  /* 0 none */
	uint32_t capabilities; /* cap_mask */
	char pkeys[64];	       /* those in the table, by index: "0xffff 0x8001"; "" none, as iWARP */
	char uverbs[16];       /* its character device under /dev/infiniband; "" the kernel has none for it */
	struct fm_rdma_counters counters, hw_counters;
	char net_device[IF_NAMESIZE]; /* of this network namespace; "" none */
	const char *left_out;	      /* why no NIC of the inventory has it, static; NULL: one has */
	uint32_t gid_count;
	struct fm_rdma_gid gids[FM_RDMA_GIDS_MAX];
	int chosen;	  /* which of gids would be taken; -1 none */
	char reason[128]; /* why that one, or why none */
};

struct fm_rdma {
	uint32_t count;
	struct fm_rdma_port *ports; /* by PCI address, then name; then number */
};

/*
 * Reads the ports of every RDMA device and joins them with the net devices of this network namespace, the first
 * `count` of `nics`, which has room for FM_RDMA_PORTS_MAX more:
 *
 * - A net device gets the port that a GID of its own, the kernel's word (rxe), its PCI function and port number, or, of
 *   iWARP, its hardware address names. Of two ports, an active one, then one of hardware, then the first. A bond, which
 * is no PCI device, takes address, memory node and rate from its port.
 * - A port that is no Ethernet's and has no net device (InfiniBand without IPoIB, EFA) is added as a NIC of its own,
 *   up when the port is active, without addresses.
 * - Left out: ports of representors and of scalable functions (nameable by their net device), and Ethernet ports whose
 *   net device is not in this network namespace.
 *
 * A GID can be taken when it is none of: zero (not even listed), a hole (no type), one whose net device is not here, or
 * is here by name only (its address is not among that device's). RoCE v2 goes before v1, then IPv4 before IPv6, then
 * global before link-local, then the lower index; of InfiniBand the lowest index.
 *
 * No RDMA at all is no error: count is 0. Devices with names over 27 bytes and ports beyond FM_RDMA_PORTS_MAX are left
 * out. -ENOMEM (out_of_memory). sysfs: "/sys" or a recorded tree.
 */
int fm_rdma_read(const char *sysfs, struct fm_nic *nics, size_t *count, struct fm_rdma *rdma, struct fm_error *error);
void fm_rdma_free(struct fm_rdma *rdma);

/* The best GID of a port among those of a net device ("": all); NULL: none can be taken. */
const struct fm_rdma_gid *fm_rdma_gid_choose(const struct fm_rdma_port *port, const char *net_device);
/* Fills gids, chosen and reason from ports/P; the nics tell which net devices are here. */
void fm_rdma_gids_read(const char *directory, const struct fm_nic *nics, size_t count, struct fm_rdma_port *port);

/* Where what verbs needs lies; the defaults' places on a real machine are "/sys", "/dev" and "/". */
struct fm_rdma_roots {
	const char *sysfs, *dev, *root; /* root: for the libraries and /etc */
};

/*
 * Sentences on what stands between this process and verbs: kernel modules, network namespaces, /dev/infiniband, the
 * provider library; each with how to get it. An array of strings, empty where nothing is missing; NULL: no memory.
 */
json_t *fm_rdma_missing(const struct fm_rdma_roots *roots, const struct fm_rdma *rdma, const struct fm_nics *nics);

/* For `devices --json`; NULL on lack of memory. */
json_t *fm_rdma_to_json(const struct fm_rdma *rdma);

#endif
