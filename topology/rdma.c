/*
 * rdma.c - the RDMA ports of this node from sysfs, and which NIC each of them is.
 */
#include "topology/rdma.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "topology/sysfs.h"

enum { NAME_USED_MAX = 27, PORT_MAX = 255 }; /* a name and ":255" fit the name of a NIC */

/* What the ports of a device are read with. */
struct reading {
	const char *sysfs;
	struct fm_nic *nics;
	size_t count, net_count; /* of the NICs so many are net devices */
	struct fm_rdma *rdma;
};

static void text_read(const char *directory, const char *file, char *text, size_t bytes)
{
	char whole[256];

	if (fm_sysfs_text(directory, file, whole, sizeof(whole)))
		snprintf(text, bytes, "%s", whole);
}

/* "4: ACTIVE", "1: CA": the word. */
static void word_read(const char *directory, const char *file, char *text, size_t bytes)
{
	char whole[64];
	const char *word;

	if (!fm_sysfs_text(directory, file, whole, sizeof(whole)))
		return;
	word = strstr(whole, ": ");
	snprintf(text, bytes, "%s", word ? word + 2 : whole);
}

/* "0x1b", or 0. */
static uint32_t hex_read(const char *directory, const char *file)
{
	char text[32];
	char *end;
	unsigned long value;

	if (!fm_sysfs_text(directory, file, text, sizeof(text)))
		return 0;
	errno = 0;
	value = strtoul(text, &end, 16);
	return errno || *end || value > UINT32_MAX ? 0 : (uint32_t)value;
}

static void counters_read(const char *directory, const char *folder_name, struct fm_rdma_counters *counters)
{
	char path[PATH_MAX], text[64];
	const struct dirent *entry;
	DIR *folder;

	if (snprintf(path, sizeof(path), "%s/%s", directory, folder_name) >= PATH_MAX || !(folder = opendir(path)))
		return;
	while ((entry = readdir(folder))) {
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "lifespan") == 0)
			continue;
		counters->count++;
		counters->readable += fm_sysfs_text(path, entry->d_name, text, sizeof(text));
	}
	closedir(folder);
}

/* Their indices are dense; a full table of zeros ends nowhere, so the first ones are enough. */
static void pkeys_read(const char *directory, struct fm_rdma_port *port)
{
	char file[32], text[16];

	for (uint32_t i = 0; i < PORT_MAX; i++) {
		size_t used = strlen(port->pkeys);

		snprintf(file, sizeof(file), "pkeys/%u", i);
		if (!fm_sysfs_text(directory, file, text, sizeof(text)))
			return;
		if (strcmp(text, "0x0000") == 0)
			continue;
		if (used + strlen(text) + 2 > sizeof(port->pkeys))
			return;
		snprintf(port->pkeys + used, sizeof(port->pkeys) - used, "%s%s", used ? " " : "", text);
	}
}

/* "/sys/class/infiniband_verbs/uverbs0/ibdev" has the device's name. */
static void uverbs_find(const char *sysfs, struct fm_rdma_port *port)
{
	char path[PATH_MAX], name[64];
	const struct dirent *entry;
	DIR *folder;

	if (snprintf(path, sizeof(path), "%s/class/infiniband_verbs", sysfs) >= PATH_MAX || !(folder = opendir(path)))
		return;
	while (!port->uverbs[0] && (entry = readdir(folder))) {
		char file[300];

		snprintf(file, sizeof(file), "%s/ibdev", entry->d_name);
		if (entry->d_name[0] != '.' && fm_sysfs_text(path, file, name, sizeof(name)) &&
		    strcmp(name, port->device) == 0)
			snprintf(port->uverbs, sizeof(port->uverbs), "%.15s", entry->d_name);
	}
	closedir(folder);
}

static void device_read(const char *sysfs, const char *directory, struct fm_rdma_port *port)
{
	char device[PATH_MAX], driver[PATH_MAX];

	port->numa_node = -1;
	word_read(directory, "node_type", port->node_type, sizeof(port->node_type));
	text_read(directory, "node_desc", port->description, sizeof(port->description));
	text_read(directory, "fw_ver", port->firmware, sizeof(port->firmware));
	text_read(directory, "board_id", port->board, sizeof(port->board));
	text_read(directory, "node_guid", port->node_guid, sizeof(port->node_guid));
	uverbs_find(sysfs, port);
	/* Software devices have no device under them. */
	if (strcmp(port->description, "rxe") == 0)
		snprintf(port->driver, sizeof(port->driver), "rxe");
	if (strcmp(port->description, "Software iWARP stack") == 0)
		snprintf(port->driver, sizeof(port->driver), "siw");
	if (!fm_sysfs_resolve(directory, "device", device))
		return;
	fm_sysfs_pci(device, port->pci, &port->numa_node);
	if (fm_sysfs_resolve(device, "driver", driver))
		snprintf(port->driver, sizeof(port->driver), "%.31s", strrchr(driver, '/') + 1);
}

static void link_read(const char *directory, struct fm_rdma_port *port)
{
	char *end;
	double gbps;

	text_read(directory, "link_layer", port->link_layer, sizeof(port->link_layer));
	for (char *at = port->link_layer; *at; at++)
		*at = (char)tolower((unsigned char)*at);
	word_read(directory, "state", port->state, sizeof(port->state));
	word_read(directory, "phys_state", port->physical_state, sizeof(port->physical_state));
	text_read(directory, "rate", port->rate, sizeof(port->rate));
	port->active = strcmp(port->state, "ACTIVE") == 0;
	port->lid = hex_read(directory, "lid");
	port->sm_lid = hex_read(directory, "sm_lid");
	port->capabilities = hex_read(directory, "cap_mask");
	gbps = strtod(port->rate, &end);
	port->link_gbps = port->pci[0] && port->active && end > port->rate && gbps > 0 && gbps < 100000 ? gbps : NAN;
	/* In software it is 2.5 Gb/s, whatever is under it. */
	if (!port->pci[0])
		port->rate[0] = '\0';
}

/* ---- which NIC it is ---- */

/* In switchdev mode each virtual function has a net device on this side, and RDMA ports that carry no data of ours. */
static bool is_representor(const char *sysfs, const char *net_device)
{
	char path[PATH_MAX], name[64];

	return snprintf(path, sizeof(path), "%s/class/net/%s", sysfs, net_device) < PATH_MAX &&
	       fm_sysfs_text(path, "phys_port_name", name, sizeof(name)) && strstr(name, "pf");
}

static bool is_scalable_function(const char *directory)
{
	char device[PATH_MAX];

	return fm_sysfs_resolve(directory, "device", device) && strstr(strrchr(device, '/'), ".sf.");
}

static bool has_second_port(const char *directory)
{
	char path[PATH_MAX];

	return fm_sysfs_resolve(directory, "ports/2", path);
}

/* Of the same PCI function and, where that has several ports, of the same number. */
static bool is_same_function(const struct reading *reading, const struct fm_nic *nic, const char *directory,
			     const struct fm_rdma_port *port)
{
	char path[PATH_MAX], ours[PATH_MAX], theirs[PATH_MAX];
	long number;

	if (strcmp(nic->link_layer, port->link_layer) != 0 ||
	    snprintf(path, sizeof(path), "%s/class/net/%s", reading->sysfs, nic->name) >= PATH_MAX ||
	    !fm_sysfs_resolve(path, "device", theirs) || !fm_sysfs_resolve(directory, "device", ours) ||
	    strcmp(ours, theirs) != 0)
		return false;
	return !has_second_port(directory) ||
	       (fm_sysfs_integer(path, "dev_port", 0, PORT_MAX, &number) && (uint32_t)number + 1 == port->port);
}

/* Of iWARP the GID starts with the net device's hardware address. */
static bool is_iwarp_address(const struct fm_nic *nic, const struct fm_rdma_port *port)
{
	char text[24];
	const uint8_t *at = port->gids[0].address.bytes;

	if (port->gid_count == 0 || strcmp(port->gids[0].type, "iWARP") != 0)
		return false;
	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", at[0], at[1], at[2], at[3], at[4], at[5]);
	return strcmp(nic->hardware_address, text) == 0;
}

/* A GID of its own, the kernel's word, the PCI function, the hardware address; 0: the NIC is none of this port's. */
static int kinship(const struct reading *reading, const struct fm_nic *nic, const char *directory,
		   const struct fm_rdma_port *port)
{
	char parent[64];

	for (uint32_t i = 0; i < port->gid_count; i++)
		if (!port->gids[i].refused && strcmp(port->gids[i].net_device, nic->name) == 0)
			return 3;
	if (fm_sysfs_text(directory, "parent", parent, sizeof(parent)) && strcmp(parent, nic->name) == 0)
		return 2;
	return is_same_function(reading, nic, directory, port) || is_iwarp_address(nic, port);
}

static void nic_describe(const struct fm_rdma_port *port, const char *net_device, struct fm_nic *nic)
{
	const struct fm_rdma_gid *gid = fm_rdma_gid_choose(port, net_device);

	memcpy(nic->rdma.device, port->device, sizeof(nic->rdma.device));
	nic->rdma.port = port->port;
	nic->rdma.active = port->active;
	if (gid) {
		nic->rdma.gid_index = gid->index;
		memcpy(nic->rdma.gid, gid->text, sizeof(nic->rdma.gid));
		memcpy(nic->rdma.gid_type, gid->type, sizeof(nic->rdma.gid_type));
	}
	/* A bond or a VLAN is no PCI device itself. */
	if (!nic->pci[0]) {
		memcpy(nic->pci, port->pci, sizeof(nic->pci));
		nic->numa_node = port->numa_node;
	}
	if (isnan(nic->link_gbps))
		nic->link_gbps = port->link_gbps;
}

/* The GID of each address: RoCE v2 where there are two of it. */
static void addresses_mark(const struct fm_rdma_port *port, struct fm_nic *nic)
{
	for (uint32_t i = 0; i < nic->address_count; i++) {
		struct fm_nic_address *to = &nic->addresses[i];
		struct fm_address address;
		bool v2 = false;

		for (uint32_t j = 0; j < port->gid_count && fm_address_parse(to->text, &address); j++) {
			const struct fm_rdma_gid *gid = &port->gids[j];

			if (gid->refused || v2 || strcmp(gid->net_device, nic->name) != 0 ||
			    !fm_address_equal(&gid->address, &address))
				continue;
			v2 = strcmp(gid->type, "RoCE v2") == 0;
			if (v2 || to->gid_index < 0)
				to->gid_index = (int)gid->index;
		}
	}
}

/* Takes the NIC's port, which is not active, away from it again. */
static void nic_release(const struct reading *reading, struct fm_nic *nic)
{
	for (uint32_t i = 0; i < reading->rdma->count; i++) {
		struct fm_rdma_port *port = &reading->rdma->ports[i];

		if (strcmp(port->device, nic->rdma.device) == 0 && port->port == nic->rdma.port)
			port->left_out = "it is not active, and another RDMA device of its net device is";
	}
	for (uint32_t i = 0; i < nic->address_count; i++)
		nic->addresses[i].gid_index = -1;
	memset(&nic->rdma, 0, sizeof(nic->rdma));
}

/* Gives the port to the net devices that are its own. Of two ports an active one has it, then the first. */
static bool net_devices_join(const struct reading *reading, const char *directory, struct fm_rdma_port *port)
{
	int best = 0;
	bool joined = false;

	for (size_t i = 0; i < reading->net_count; i++) {
		struct fm_nic *nic = &reading->nics[i];
		const char *chosen = port->chosen < 0 ? "" : port->gids[port->chosen].net_device;
		int kin = kinship(reading, nic, directory, port);

		if (kin == 0)
			continue;
		if (is_representor(reading->sysfs, nic->name)) {
			port->left_out = "its net device is a representor";
			continue;
		}
		if (kin + (strcmp(chosen, nic->name) == 0) > best) {
			best = kin + (strcmp(chosen, nic->name) == 0);
			snprintf(port->net_device, sizeof(port->net_device), "%.15s", nic->name);
		}
		if (nic->rdma.device[0] && !nic->rdma.active && port->active)
			nic_release(reading, nic);
		if (nic->rdma.device[0]) {
			port->left_out = "another RDMA device has its net device already";
			continue;
		}
		nic_describe(port, nic->name, nic);
		addresses_mark(port, nic);
		joined = true;
	}
	if (joined)
		port->left_out = NULL;
	return best > 0;
}

static void own_nic_add(struct reading *reading, const struct fm_rdma_port *port)
{
	struct fm_nic *nic = &reading->nics[reading->count++];

	memset(nic, 0, sizeof(*nic));
	snprintf(nic->name, sizeof(nic->name), "%.*s:%u", NAME_USED_MAX, port->device, port->port);
	memcpy(nic->driver, port->driver, sizeof(nic->driver));
	memcpy(nic->link_layer, port->link_layer, sizeof(nic->link_layer));
	nic->link_gbps = NAN;
	nic->up = port->active;
	nic_describe(port, "", nic);
}

static void port_join(struct reading *reading, const char *directory, struct fm_rdma_port *port)
{
	if (net_devices_join(reading, directory, port) || port->left_out)
		return;
	if (is_scalable_function(directory))
		port->left_out = "a scalable function without a net device here";
	else if (strcmp(port->link_layer, "ethernet") == 0)
		port->left_out = "its net device is not in this network namespace";
	else
		own_nic_add(reading, port);
}

/* ---- the list ---- */

static void port_read(const struct reading *reading, const char *name, uint32_t number)
{
	struct fm_rdma_port *port = &reading->rdma->ports[reading->rdma->count++];
	char directory[PATH_MAX - 64], ports[PATH_MAX];

	memset(port, 0, sizeof(*port));
	snprintf(port->device, sizeof(port->device), "%s", name);
	port->port = number;
	snprintf(directory, sizeof(directory), "%s/class/infiniband/%s", reading->sysfs, name);
	snprintf(ports, sizeof(ports), "%s/ports/%u", directory, number);
	device_read(reading->sysfs, directory, port);
	link_read(ports, port);
	counters_read(ports, "counters", &port->counters);
	counters_read(ports, "hw_counters", &port->hw_counters);
	pkeys_read(ports, port);
	fm_rdma_gids_read(ports, reading->nics, reading->net_count, port);
}

/* Hardware before software, by slot; then by name. */
static int compare_ports(const void *a, const void *b)
{
	const struct fm_rdma_port *x = a, *y = b;
	size_t x_length = strlen(x->pci), y_length = strlen(y->pci);
	int order = strverscmp(x->device, y->device);

	if (!x_length != !y_length)
		return x_length ? -1 : 1;
	if (x_length != y_length)
		return x_length < y_length ? -1 : 1;
	if (strcmp(x->pci, y->pci) != 0)
		return strcmp(x->pci, y->pci);
	return order ? order : (int)x->port - (int)y->port;
}

static void device_ports_read(const struct reading *reading, const char *name)
{
	char path[PATH_MAX];
	const struct dirent *entry;
	DIR *folder;
	long number;

	if (snprintf(path, sizeof(path), "%s/class/infiniband/%s/ports", reading->sysfs, name) >= PATH_MAX - 64 ||
	    !(folder = opendir(path)))
		return;
	while (reading->rdma->count < FM_RDMA_PORTS_MAX && (entry = readdir(folder)))
		if (fm_integer_parse(entry->d_name, 1, PORT_MAX, &number))
			port_read(reading, name, (uint32_t)number);
	closedir(folder);
}

int fm_rdma_read(const char *sysfs, struct fm_nic *nics, size_t *count, struct fm_rdma *rdma, struct fm_error *error)
{
	struct reading reading = {.sysfs = sysfs, .nics = nics, .count = *count, .net_count = *count};
	struct fm_rdma made = {0, NULL};
	char path[PATH_MAX];
	const struct dirent *entry;
	DIR *folder = NULL;

	if (snprintf(path, sizeof(path), "%s/class/infiniband", sysfs) < PATH_MAX)
		folder = opendir(path);
	if (!folder) {
		*rdma = made;
		return 0;
	}
	made.ports = calloc(FM_RDMA_PORTS_MAX, sizeof(*made.ports));
	if (!made.ports) {
		closedir(folder);
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for the list of RDMA ports");
	}
	reading.rdma = &made;
	while ((entry = readdir(folder)))
		if (entry->d_name[0] != '.' && strlen(entry->d_name) <= NAME_USED_MAX)
			device_ports_read(&reading, entry->d_name);
	closedir(folder);
	qsort(made.ports, made.count, sizeof(*made.ports), compare_ports);
	for (uint32_t i = 0; i < made.count; i++) {
		snprintf(path, sizeof(path), "%s/class/infiniband/%s", sysfs, made.ports[i].device);
		port_join(&reading, path, &made.ports[i]);
	}
	*count = reading.count;
	*rdma = made;
	return 0;
}

void fm_rdma_free(struct fm_rdma *rdma)
{
	free(rdma->ports);
	*rdma = (struct fm_rdma){0, NULL};
}
