/*
 * rdma_gid.c - the GIDs of an RDMA port: which can be taken here, which would be, and why.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "topology/rdma.h"
#include "topology/sysfs.h"

enum { TABLE_MAX = 4096, EMPTY_MAX = 64 };

/* What puts one GID before another, the weightiest in the highest bit; the names of the bits are the reason's words. */
enum { GLOBAL = 1, IPV4 = 2, ROCE_V2 = 4 };

static const char *const advantages[] = {"RoCE v2 before v1", "IPv4 before IPv6", "global before link-local"};

static bool is_roce(const struct fm_rdma_gid *gid)
{
	return strncmp(gid->type, "RoCE", strlen("RoCE")) == 0;
}

static int gid_weight(const struct fm_rdma_gid *gid)
{
	if (!is_roce(gid))
		return 0;
	return ROCE_V2 * (strcmp(gid->type, "RoCE v2") == 0) + IPV4 * (gid->address.family == AF_INET) +
	       GLOBAL * !fm_address_link_local(&gid->address);
}

const struct fm_rdma_gid *fm_rdma_gid_choose(const struct fm_rdma_port *port, const char *net_device)
{
	const struct fm_rdma_gid *best = NULL;

	for (uint32_t i = 0; i < port->gid_count; i++) {
		const struct fm_rdma_gid *gid = &port->gids[i];

		if (gid->refused || (net_device[0] && gid->net_device[0] && strcmp(gid->net_device, net_device) != 0))
			continue;
		if (!best || gid_weight(gid) > gid_weight(best))
			best = gid;
	}
	return best;
}

/* The GID that the kernel makes of a hardware address alone: fe80:: and the address with ff:fe in its middle. */
static bool is_of_hardware(const struct fm_address *address, const char *hardware_address)
{
	unsigned at[6];
	const uint8_t *bytes = address->bytes;

	/* NOLINTNEXTLINE(cert-err34-c): their widths keep the numbers in range */
	if (sscanf(hardware_address, "%2x:%2x:%2x:%2x:%2x:%2x", &at[0], &at[1], &at[2], &at[3], &at[4], &at[5]) != 6)
		return false;
	return bytes[8] == (at[0] ^ 2) && bytes[9] == at[1] && bytes[10] == at[2] && bytes[13] == at[3] &&
	       bytes[14] == at[4] && bytes[15] == at[5];
}

/*
 * A container that shares the host's RDMA devices sees the host's GIDs, and often has a device of the same name: then
 * the addresses tell. Taking a GID of another network namespace fails with ENODEV when the queue pair is connected.
 */
static const char *gid_refuse(const struct fm_rdma_gid *gid, const struct fm_nic *nics, size_t count)
{
	const struct fm_nic *nic = NULL;

	if (!gid->type[0])
		return "it has no type: a hole of the table";
	if (!is_roce(gid))
		return NULL;
	for (size_t i = 0; i < count && !nic; i++)
		if (gid->net_device[0] && strcmp(nics[i].name, gid->net_device) == 0)
			nic = &nics[i];
	if (!nic)
		return "its net device is not in this network namespace";
	if (nic->address_count == FM_NIC_ADDRESSES_MAX || fm_nic_has(nic, gid->text))
		return NULL;
	if (fm_address_link_local(&gid->address) && gid->address.family == AF_INET6 &&
	    (!nic->hardware_address[0] || is_of_hardware(&gid->address, nic->hardware_address)))
		return NULL;
	return "no address of that net device: of another network namespace";
}

/* The kernel's words say less than the link layer and the node type do. */
static void type_name(const struct fm_rdma_port *port, const char *kernel, struct fm_rdma_gid *gid)
{
	const char *name = kernel;

	if (kernel[0] && strcmp(port->node_type, "RNIC") == 0)
		name = "iWARP";
	else if (strcmp(kernel, "IB/RoCE v1") == 0)
		name = strcmp(port->link_layer, "ethernet") == 0     ? "RoCE v1"
		       : strcmp(port->link_layer, "infiniband") == 0 ? "InfiniBand"
								     : "native";
	snprintf(gid->type, sizeof(gid->type), "%.15s", name);
}

static bool gid_read(const char *directory, uint32_t index, const struct fm_rdma_port *port, struct fm_rdma_gid *gid)
{
	static const struct in6_addr zero = IN6ADDR_ANY_INIT;
	char file[48], text[64], kernel[32] = "";
	struct in6_addr bytes;

	memset(gid, 0, sizeof(*gid));
	gid->index = index;
	snprintf(file, sizeof(file), "gids/%u", index);
	if (!fm_sysfs_text(directory, file, text, sizeof(text)) || inet_pton(AF_INET6, text, &bytes) != 1 ||
	    memcmp(&bytes, &zero, sizeof(zero)) == 0)
		return false;
	inet_ntop(AF_INET6, &bytes, gid->text, sizeof(gid->text));
	fm_address_parse(gid->text, &gid->address);
	snprintf(file, sizeof(file), "gid_attrs/types/%u", index);
	fm_sysfs_text(directory, file, kernel, sizeof(kernel));
	type_name(port, kernel, gid);
	snprintf(file, sizeof(file), "gid_attrs/ndevs/%u", index);
	fm_sysfs_text(directory, file, gid->net_device, sizeof(gid->net_device));
	return true;
}

/* By what the chosen one was before any of the others; the first difference to each counts. */
static void reason_write(struct fm_rdma_port *port)
{
	const struct fm_rdma_gid *chosen = port->chosen < 0 ? NULL : &port->gids[port->chosen];
	int won = 0, others = 0;

	if (!chosen) {
		snprintf(port->reason, sizeof(port->reason), "%s",
			 port->gid_count ? "none of its GIDs can be used here" : "it has no GID");
		return;
	}
	for (uint32_t i = 0; i < port->gid_count; i++) {
		int difference = gid_weight(chosen) ^ gid_weight(&port->gids[i]);

		if (port->gids[i].refused || &port->gids[i] == chosen)
			continue;
		others++;
		won |= difference & ROCE_V2 ? ROCE_V2 : difference & IPV4 ? IPV4 : difference & GLOBAL;
	}
	port->reason[0] = '\0';
	for (int i = 0; i < 3; i++)
		if (won & ROCE_V2 >> i)
			snprintf(port->reason + strlen(port->reason), sizeof(port->reason) - strlen(port->reason),
				 "%s%s", port->reason[0] ? ", " : "", advantages[i]);
	if (!won)
		snprintf(port->reason, sizeof(port->reason), "%s",
			 others ? "the first of several alike" : "the only one that can be used");
}

static int compare_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* The indices of the table; a file a GID, in no order. */
static uint32_t indices_list(const char *directory, uint32_t indices[TABLE_MAX])
{
	char path[PATH_MAX];
	const struct dirent *entry;
	uint32_t count = 0;
	DIR *folder;
	long index;

	if (snprintf(path, sizeof(path), "%s/gids", directory) >= PATH_MAX || !(folder = opendir(path)))
		return 0;
	while (count < TABLE_MAX && (entry = readdir(folder)))
		if (fm_integer_parse(entry->d_name, 0, UINT16_MAX, &index))
			indices[count++] = (uint32_t)index;
	closedir(folder);
	qsort(indices, count, sizeof(indices[0]), compare_numbers);
	return count;
}

void fm_rdma_gids_read(const char *directory, const struct fm_nic *nics, size_t count, struct fm_rdma_port *port)
{
	uint32_t indices[TABLE_MAX], table = indices_list(directory, indices);
	const struct fm_rdma_gid *best;
	uint32_t empty = 0;

	/* The kernel takes the first free entry for a new GID: behind many empty ones there are but empty ones. */
	for (uint32_t i = 0; i < table && empty < EMPTY_MAX; i++) {
		struct fm_rdma_gid gid;
		uint32_t slot = port->gid_count;

		if (!gid_read(directory, indices[i], port, &gid)) {
			empty++;
			continue;
		}
		empty = 0;
		gid.refused = gid_refuse(&gid, nics, count);
		/* When it is full, one that can be taken is worth more than one that can't. */
		if (slot == FM_RDMA_GIDS_MAX) {
			for (slot = 0; slot < FM_RDMA_GIDS_MAX && !port->gids[slot].refused; slot++)
				;
			if (gid.refused || slot == FM_RDMA_GIDS_MAX)
				continue;
			memmove(&port->gids[slot], &port->gids[slot + 1],
				(FM_RDMA_GIDS_MAX - slot - 1) * sizeof(port->gids[0]));
			slot = FM_RDMA_GIDS_MAX - 1;
		} else {
			port->gid_count++;
		}
		port->gids[slot] = gid;
	}
	best = fm_rdma_gid_choose(port, "");
	port->chosen = best ? (int)(best - port->gids) : -1;
	reason_write(port);
}
