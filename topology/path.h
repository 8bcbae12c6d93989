/*
 * path.h - how near two PCI devices are, in the terms of `nvidia-smi topo -m`.
 */
#ifndef FM_PATH_H
#define FM_PATH_H

#include "topology/machine.h"

/* The nearer, the lower. */
enum fm_path_class {
	FM_PATH_SELF,	/* X: the same function */
	FM_PATH_NVLINK, /* NV#: # NVLinks, direct or through NVSwitch; GPU to GPU only */
	FM_PATH_PIX,	/* at most one PCIe switch between them */
	FM_PATH_PXB,	/* several PCIe switches, no host bridge */
	FM_PATH_C2C,	/* the GPU's coherent link to the CPU that the NIC hangs on */
	FM_PATH_PHB,	/* one PCIe host bridge */
	FM_PATH_NODE,	/* host bridges of one NUMA node */
	FM_PATH_SYS,	/* the link between NUMA nodes */
	FM_PATH_UNKNOWN,
};

struct fm_path {
	enum fm_path_class class;
	uint32_t links; /* NVLinks; else 0 */
};

/*
 * From device a to b, by index. Of the bridges above each, common ones are left out; what remains decides: none but
 * one step on either side is PIX, more PXB, nothing in common but the root PHB, else the memory nodes, of which an
 * unknown one makes it unknown unless the machine has just one. Broadcom's switches, which show two levels and run at
 * full rate, count as one. Source: NVIDIA's `nvidia-smi topo --help`; NCCL, src/graph/topo.c.
 */
struct fm_path fm_path_between(const struct fm_machine *machine, uint32_t a, uint32_t b);
/* GPU a to GPU b, indices among gpus: NVLink where there is any, else as above. */
struct fm_path fm_path_gpus(const struct fm_machine *machine, uint32_t a, uint32_t b);
/* Indices among gpus and nics: C2C where that is nearer, else as above. */
struct fm_path fm_path_gpu_nic(const struct fm_machine *machine, uint32_t gpu, uint32_t nic);
/* Indices among nics. Two ports of one function are PIX to each other. */
struct fm_path fm_path_nics(const struct fm_machine *machine, uint32_t a, uint32_t b);

/* "PIX", "NV18", "X", "unknown". Returns text. bytes >= 16. */
const char *fm_path_format(struct fm_path path, char *text, size_t bytes);
/* What it means, for legends: "at most one PCIe switch". */
const char *fm_path_meaning(enum fm_path_class class);

#endif
