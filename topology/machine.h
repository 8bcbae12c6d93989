/*
 * machine.h - the device tree of one machine: PCI bridges, GPUs and NICs with the link that each hangs on, memory nodes
 * and packages. However it was found out (hwloc on this machine, a recorded /sys, an hwloc XML file, an NCCL topology
 * file), what follows (path classes, pairing, ceilings, pictures) is a pure function of it.
 *
 * What a source does not tell is unknown and stays so: NaN, 0, -1, "" as said below.
 */
#ifndef FM_MACHINE_H
#define FM_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "topology/sysfs.h"

enum {
	FM_MACHINE_DEVICES_MAX = 8192, /* bridges included */
	FM_MACHINE_GPUS_MAX = 256,
	FM_MACHINE_NICS_MAX = 256,
	FM_MACHINE_NODES_MAX = 1024,
	FM_MACHINE_LINKS_MAX = 65536,
};

enum fm_device_kind {
	FM_DEVICE_OTHER,  /* a function that the source names without saying what it is; others are left out */
	FM_DEVICE_BRIDGE, /* a port of a switch, a root port, or a whole switch: see fm_machine.switches */
	FM_DEVICE_GPU,
	FM_DEVICE_NIC,
};

struct fm_pci_link {
	double gtps;	/* GT/s of a lane, 16 for Gen4; NaN unknown */
	uint32_t lanes; /* 0 unknown */
};

struct fm_device {
	enum fm_device_kind kind;
	char pci[FM_PCI_TEXT_MAX];   /* "0000:3b:00.0" */
	uint32_t class_code;	     /* 0x030200; 0 unknown */
	uint32_t vendor_id, part_id; /* 0x10de, 0x2330; 0 unknown */
	int parent;		     /* index of the bridge above; -1: none, it sits right under the host bridge */
	int root;		     /* host bridge, counted from 0: equal numbers share one; -1 unknown */
	int numa_node;		     /* the system's number; -1 unknown */
	int package;		     /* -1 unknown */
	struct fm_pci_link now;	     /* of the link upwards; idle GPUs slow theirs down */
	struct fm_pci_link best;     /* what both its ends can */
	uint32_t payload_bytes;	     /* MaxPayloadSize in force; 0 unknown */
};

struct fm_gpu {
	uint32_t device;   /* index among devices */
	char name[16];	   /* GPU0, ... in the order of PCI addresses, as nvidia-smi counts */
	char model[64];	   /* "NVIDIA H100 80GB HBM3"; "" unknown */
	int cuda;	   /* its ordinal among this process's CUDA devices; -1 unknown or none */
	uint32_t nvlinks;  /* all of them; 0 none or unknown */
	uint32_t switched; /* of these, those that end at an NVSwitch */
	double c2c_gbps;   /* its coherent link to the CPU, one way; NaN none or unknown */
};

/* NVLinks from one GPU straight to another. */
struct fm_gpu_link {
	uint32_t a, b; /* indices among gpus */
	uint32_t count;
};

enum fm_nic_state { FM_NIC_UNKNOWN, FM_NIC_DOWN, FM_NIC_UP };

/* A port that data can leave by: RDMA port, net device, or both. A function with two ports is two of them. */
struct fm_machine_nic {
	uint32_t device;      /* index among devices: software devices are no part of the tree */
	char name[32];	      /* RDMA device, with ":port" where it has several; else net device, else PCI address */
	char rdma_device[32]; /* "" none or unknown */
	uint32_t port;	      /* from 1; 0 unknown */
	char net_device[32];  /* "" none or unknown */
	char link_layer[16];  /* ethernet, infiniband; "" unknown */
	double link_gbps;     /* NaN unknown */
	enum fm_nic_state state;
};

struct fm_machine_node {
	int number;	 /* the system's; -1 where the source has devices on a node that it does not name */
	int package;	 /* -1 unknown */
	char cpus[1024]; /* "0-15,64-79", all of them, whether this process may use them or not; "" unknown */
};

struct fm_machine {
	char source[256]; /* "this machine", "NCCL topology file topo.xml" */
	bool live;	  /* the machine that this process runs on */
	/*
	 * Bridges are whole switches, as in NCCL's files, and not the ports that Linux lists: then two functions below
	 * one switch are 1 step from it, not 2.
	 */
	bool switches;
	uint32_t device_count, gpu_count, nic_count, link_count, node_count;
	struct fm_device *devices;     /* a bridge comes before what is below it */
	struct fm_gpu *gpus;	       /* by PCI address */
	struct fm_machine_nic *nics;   /* by PCI address, then port, then name */
	struct fm_gpu_link *links;     /* a < b */
	struct fm_machine_node *nodes; /* by number */
};

/*
 * For readers: an empty machine, then one entry after the other, then finish. add functions copy what they are given
 * and return its index, or -ENOMEM (out_of_memory), or -E2BIG (placement) over the limits above, which names the limit.
 * A device's parent must be there already (-EINVAL, internal); the same PCI address twice is -EEXIST (placement).
 */
int fm_machine_new(const char *source, struct fm_machine **machine, struct fm_error *error);
int fm_machine_add_device(struct fm_machine *machine, const struct fm_device *device, struct fm_error *error);
int fm_machine_add_gpu(struct fm_machine *machine, const struct fm_gpu *gpu, struct fm_error *error);
int fm_machine_add_nic(struct fm_machine *machine, const struct fm_machine_nic *nic, struct fm_error *error);
int fm_machine_add_node(struct fm_machine *machine, const struct fm_machine_node *node, struct fm_error *error);
int fm_machine_add_link(struct fm_machine *machine, const struct fm_gpu_link *link, struct fm_error *error);
/* Sorts GPUs, NICs and nodes, renumbers links, and names GPUs and the NICs that have no name yet. */
void fm_machine_finish(struct fm_machine *machine);
void fm_machine_free(struct fm_machine *machine);

/* What is unknown of a device, GPU and NIC: all of it. */
void fm_device_init(struct fm_device *device);
void fm_gpu_init(struct fm_gpu *gpu);
void fm_machine_nic_init(struct fm_machine_nic *nic);

/* Index of the device with this PCI address, which may leave the domain out; -1: none. */
int fm_machine_find(const struct fm_machine *machine, const char *pci);
/* A GPU, by PCI class and vendor: one that computes, and not a server's VGA chip. */
bool fm_pci_is_gpu(uint32_t class_code, uint32_t vendor_id);
/* An Ethernet, InfiniBand or fabric controller, by PCI class. */
bool fm_pci_is_nic(uint32_t class_code);

#endif
