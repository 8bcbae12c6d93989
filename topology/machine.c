/*
 * machine.c - builds a device tree entry by entry, whoever reads it.
 */
#include "topology/machine.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { VENDOR_NVIDIA = 0x10de, VENDOR_AMD = 0x1002, VENDOR_INTEL = 0x8086, VENDOR_HABANA = 0x1da3 };

int fm_machine_new(const char *source, struct fm_machine **machine, struct fm_error *error)
{
	struct fm_machine *made = calloc(1, sizeof(*made));

	if (!made)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for a device tree");
	snprintf(made->source, sizeof(made->source), "%s", source);
	*machine = made;
	return 0;
}

/* Room for one more in *list, which grows by doubling; its index. */
static int list_grow(void **list, uint32_t *count, size_t bytes, uint32_t limit, const char *what,
		     struct fm_error *error)
{
	/* A power of two or 0 is exactly full. */
	const bool full = (*count & (*count - 1)) == 0;
	void *grown;

	if (*count >= limit)
		return fm_error_set(error, -E2BIG, FM_REASON_PLACEMENT, "more than %u %s: no machine has so many",
				    limit, what);
	if (full) {
		grown = realloc(*list, bytes * (*count ? 2 * (size_t)*count : 1));
		if (!grown)
			return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for %u %s", *count + 1,
					    what);
		*list = grown;
	}
	return (int)(*count)++;
}

int fm_machine_add_device(struct fm_machine *machine, const struct fm_device *device, struct fm_error *error)
{
	int index;

	if (device->parent >= (int)machine->device_count)
		return fm_error_set(error, -EINVAL, FM_REASON_INTERNAL, "device %s comes before the bridge above it",
				    device->pci);
	if (device->pci[0] && fm_machine_find(machine, device->pci) >= 0)
		return fm_error_set(error, -EEXIST, FM_REASON_PLACEMENT,
				    "PCI address %s is there twice: one of them is wrong", device->pci);
	index = list_grow((void **)&machine->devices, &machine->device_count, sizeof(*device), FM_MACHINE_DEVICES_MAX,
			  "PCI devices", error);
	if (index >= 0)
		machine->devices[index] = *device;
	return index;
}

int fm_machine_add_gpu(struct fm_machine *machine, const struct fm_gpu *gpu, struct fm_error *error)
{
	int index = list_grow((void **)&machine->gpus, &machine->gpu_count, sizeof(*gpu), FM_MACHINE_GPUS_MAX, "GPUs",
			      error);

	if (index >= 0)
		machine->gpus[index] = *gpu;
	return index;
}

int fm_machine_add_nic(struct fm_machine *machine, const struct fm_machine_nic *nic, struct fm_error *error)
{
	int index = list_grow((void **)&machine->nics, &machine->nic_count, sizeof(*nic), FM_MACHINE_NICS_MAX, "NICs",
			      error);

	if (index >= 0)
		machine->nics[index] = *nic;
	return index;
}

int fm_machine_add_node(struct fm_machine *machine, const struct fm_machine_node *node, struct fm_error *error)
{
	int index = list_grow((void **)&machine->nodes, &machine->node_count, sizeof(*node), FM_MACHINE_NODES_MAX,
			      "memory nodes", error);

	if (index >= 0)
		machine->nodes[index] = *node;
	return index;
}

int fm_machine_add_link(struct fm_machine *machine, const struct fm_gpu_link *link, struct fm_error *error)
{
	int index = list_grow((void **)&machine->links, &machine->link_count, sizeof(*link), FM_MACHINE_LINKS_MAX,
			      "NVLink pairs", error);

	if (index >= 0)
		machine->links[index] = *link;
	return index;
}

/* ---- finishing ---- */

static const char *pci_of(const struct fm_machine *machine, uint32_t device)
{
	return machine->devices[device].pci;
}

/* Addresses with domains of 4 and more digits compare as numbers do: shorter first. */
static int pci_compare(const char *a, const char *b)
{
	const size_t x = strlen(a), y = strlen(b);

	return x != y ? (x > y) - (x < y) : strcmp(a, b);
}

static int gpu_compare(const void *a, const void *b, void *machine)
{
	return pci_compare(pci_of(machine, ((const struct fm_gpu *)a)->device),
			   pci_of(machine, ((const struct fm_gpu *)b)->device));
}

static int nic_compare(const void *a, const void *b, void *machine)
{
	const struct fm_machine_nic *x = a, *y = b;
	int order = pci_compare(pci_of(machine, x->device), pci_of(machine, y->device));

	if (order == 0)
		order = (x->port > y->port) - (x->port < y->port);
	return order ? order : strcmp(x->name, y->name);
}

static int node_compare(const void *a, const void *b)
{
	const struct fm_machine_node *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

/* After sorting: which GPU is now the one whose device was that of index `old`. */
static uint32_t gpu_by_device(const struct fm_machine *machine, uint32_t device)
{
	uint32_t i = 0;

	while (i < machine->gpu_count && machine->gpus[i].device != device)
		i++;
	return i;
}

void fm_machine_finish(struct fm_machine *machine)
{
	/* Links keep to devices while their GPUs move. */
	for (uint32_t i = 0; i < machine->link_count; i++) {
		machine->links[i].a = machine->gpus[machine->links[i].a].device;
		machine->links[i].b = machine->gpus[machine->links[i].b].device;
	}
	if (machine->gpu_count)
		qsort_r(machine->gpus, machine->gpu_count, sizeof(*machine->gpus), gpu_compare, machine);
	for (uint32_t i = 0; i < machine->link_count; i++) {
		uint32_t a = gpu_by_device(machine, machine->links[i].a);
		uint32_t b = gpu_by_device(machine, machine->links[i].b);

		machine->links[i].a = a < b ? a : b;
		machine->links[i].b = a < b ? b : a;
	}
	for (uint32_t i = 0; i < machine->gpu_count; i++)
		snprintf(machine->gpus[i].name, sizeof(machine->gpus[i].name), "GPU%u", i);
	for (uint32_t i = 0; i < machine->nic_count; i++)
		if (!machine->nics[i].name[0])
			snprintf(machine->nics[i].name, sizeof(machine->nics[i].name), "%s",
				 pci_of(machine, machine->nics[i].device));
	if (machine->nic_count)
		qsort_r(machine->nics, machine->nic_count, sizeof(*machine->nics), nic_compare, machine);
	if (machine->node_count)
		qsort(machine->nodes, machine->node_count, sizeof(*machine->nodes), node_compare);
}

void fm_machine_free(struct fm_machine *machine)
{
	if (!machine)
		return;
	free(machine->devices);
	free(machine->gpus);
	free(machine->nics);
	free(machine->links);
	free(machine->nodes);
	free(machine);
}

/* ---- entries ---- */

void fm_device_init(struct fm_device *device)
{
	*device = (struct fm_device){
		.parent = -1, .root = -1, .numa_node = -1, .package = -1, .now.gtps = NAN, .best.gtps = NAN};
}

void fm_gpu_init(struct fm_gpu *gpu)
{
	*gpu = (struct fm_gpu){.cuda = -1, .c2c_gbps = NAN};
}

void fm_machine_nic_init(struct fm_machine_nic *nic)
{
	*nic = (struct fm_machine_nic){.link_gbps = NAN};
}

int fm_machine_find(const struct fm_machine *machine, const char *pci)
{
	char full[FM_PCI_TEXT_MAX];

	if (!fm_pci_parse(pci, full))
		return -1;
	for (uint32_t i = 0; i < machine->device_count; i++)
		if (strcmp(machine->devices[i].pci, full) == 0)
			return (int)i;
	return -1;
}

bool fm_pci_is_gpu(uint32_t class_code, uint32_t vendor_id)
{
	const uint32_t class = class_code >> 8;

	switch (vendor_id) {
	case VENDOR_NVIDIA:
		return class == 0x0300 || class == 0x0302;
	case VENDOR_AMD: /* 0x0300 is a desktop's or the processor's own */
	case VENDOR_INTEL:
		return class == 0x0302 || class == 0x0380 || class == 0x1200;
	case VENDOR_HABANA:
		return class == 0x1200;
	case 0: /* a source that gives no vendor lists no VGA chips as 3D controllers */
		return class == 0x0302;
	default:
		return false;
	}
}

bool fm_pci_is_nic(uint32_t class_code)
{
	const uint32_t class = class_code >> 8;

	return class == 0x0200 || class == 0x0207 || class == 0x0208 || class == 0x0c06;
}
