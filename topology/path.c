/*
 * path.c - classes of paths between PCI devices.
 */
#include "topology/path.h"

enum { STEPS_MAX = 64 };

static bool device_is_broadcom(const struct fm_device *device)
{
	return device->vendor_id == 0x1000 && (device->part_id == 0xc010 || device->part_id == 0xc030);
}

/*
 * From the device to the bridge right under the root, the device itself first, each step a switch as nvidia-smi counts
 * them. Of a chain of Broadcom's only the uppermost is a step.
 */
static uint32_t path_steps(const struct fm_machine *machine, uint32_t device, uint32_t steps[STEPS_MAX])
{
	uint32_t count = 0;

	steps[count++] = device;
	for (int at = machine->devices[device].parent; at >= 0 && count < STEPS_MAX; at = machine->devices[at].parent) {
		const bool broadcom = device_is_broadcom(&machine->devices[at]);

		if (count > 1 && broadcom && device_is_broadcom(&machine->devices[steps[count - 1]]))
			count--;
		steps[count++] = (uint32_t)at;
	}
	return count;
}

static enum fm_path_class path_of_nodes(const struct fm_machine *machine, const struct fm_device *a,
					const struct fm_device *b)
{
	if (machine->node_count == 1 && machine->nodes[0].number >= 0)
		return FM_PATH_NODE;
	if (a->numa_node < 0 || b->numa_node < 0)
		return FM_PATH_UNKNOWN;
	return a->numa_node == b->numa_node ? FM_PATH_NODE : FM_PATH_SYS;
}

struct fm_path fm_path_between(const struct fm_machine *machine, uint32_t a, uint32_t b)
{
	const struct fm_device *x = &machine->devices[a], *y = &machine->devices[b];
	/* A switch that shows its ports is two bridges on the way. */
	const uint32_t near = machine->switches ? 1 : 2;
	uint32_t up_a[STEPS_MAX], up_b[STEPS_MAX];
	uint32_t i = path_steps(machine, a, up_a), j = path_steps(machine, b, up_b), common = 0;

	if (a == b)
		return (struct fm_path){FM_PATH_SELF, 0};
	while (i > 1 && j > 1 && up_a[i - 1] == up_b[j - 1]) {
		i--;
		j--;
		common++;
	}
	if (common > 0)
		return (struct fm_path){i <= near && j <= near ? FM_PATH_PIX : FM_PATH_PXB, 0};
	if (x->root >= 0 && x->root == y->root)
		return (struct fm_path){FM_PATH_PHB, 0};
	return (struct fm_path){path_of_nodes(machine, x, y), 0};
}

struct fm_path fm_path_nics(const struct fm_machine *machine, uint32_t a, uint32_t b)
{
	const uint32_t x = machine->nics[a].device, y = machine->nics[b].device;

	if (a != b && x == y)
		return (struct fm_path){FM_PATH_PIX, 0};
	return fm_path_between(machine, x, y);
}

struct fm_path fm_path_gpus(const struct fm_machine *machine, uint32_t a, uint32_t b)
{
	const struct fm_gpu *x = &machine->gpus[a], *y = &machine->gpus[b];
	uint32_t links = x->switched < y->switched ? x->switched : y->switched;

	if (a == b)
		return (struct fm_path){FM_PATH_SELF, 0};
	for (uint32_t i = 0; i < machine->link_count; i++)
		if (machine->links[i].a == (a < b ? a : b) && machine->links[i].b == (a < b ? b : a))
			links += machine->links[i].count;
	if (links)
		return (struct fm_path){FM_PATH_NVLINK, links};
	return fm_path_between(machine, x->device, y->device);
}

struct fm_path fm_path_gpu_nic(const struct fm_machine *machine, uint32_t gpu, uint32_t nic)
{
	const struct fm_device *x = &machine->devices[machine->gpus[gpu].device];
	const struct fm_device *y = &machine->devices[machine->nics[nic].device];
	struct fm_path path = fm_path_between(machine, machine->gpus[gpu].device, machine->nics[nic].device);

	/* The GPU's own link to the CPU is wider than its PCIe link, which may be there as well. */
	if (path.class > FM_PATH_C2C && machine->gpus[gpu].c2c_gbps > 0 && x->numa_node >= 0 &&
	    (x->numa_node == y->numa_node || (x->package >= 0 && x->package == y->package)))
		path.class = FM_PATH_C2C;
	return path;
}

static const struct {
	const char *name, *meaning;
} classes[] = {
	[FM_PATH_SELF] = {"X", "itself"},
	[FM_PATH_NVLINK] = {"NV", "so many NVLinks, direct or through NVSwitch"},
	[FM_PATH_PIX] = {"PIX", "at most one PCIe switch between them"},
	[FM_PATH_PXB] = {"PXB", "several PCIe switches, but no host bridge"},
	[FM_PATH_C2C] = {"C2C", "the GPU's coherent link to the CPU that the NIC hangs on"},
	[FM_PATH_PHB] = {"PHB", "a PCIe host bridge, usually the CPU"},
	[FM_PATH_NODE] = {"NODE", "two PCIe host bridges of one NUMA node"},
	[FM_PATH_SYS] = {"SYS", "the link between NUMA nodes or sockets"},
	[FM_PATH_UNKNOWN] = {"unknown", "the source does not tell"},
};

const char *fm_path_format(struct fm_path path, char *text, size_t bytes)
{
	if (path.class == FM_PATH_NVLINK)
		snprintf(text, bytes, "NV%u", path.links);
	else
		snprintf(text, bytes, "%s", classes[path.class].name);
	return text;
}

const char *fm_path_meaning(enum fm_path_class class)
{
	return classes[class].meaning;
}
