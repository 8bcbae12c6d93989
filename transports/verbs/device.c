/*
 * device.c - the rail's port under /sys/class/infiniband. Which port and which GID it is, placement has decided
 * (topology/rdma.h): there is one rule and no second one here.
 */
#include "transports/verbs/device.h"

#include <arpa/inet.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>
#include <unistd.h>

enum { GID_BYTES = 16, CPUS_MAX = 4096 };

const char *fm_verbs_gid_type_name(enum fm_verbs_gid_type type)
{
	static const char *const names[] = {"IB", "RoCE v1", "RoCE v2"};

	return names[type];
}

/* An empty entry has the subnet's prefix alone: the last eight bytes are the interface. */
static bool is_empty(const uint8_t raw[GID_BYTES])
{
	static const uint8_t none[8];

	return memcmp(raw + 8, none, sizeof(none)) == 0;
}

bool fm_verbs_read_line(const char *path, char *text, size_t bytes)
{
	FILE *file = fopen(path, "re");
	bool read;

	if (!file)
		return false;
	/* Entries that are empty answer a read with an error. */
	read = fgets(text, (int)bytes, file) != NULL;
	fclose(file);
	if (read)
		text[strcspn(text, "\n")] = '\0';
	return read;
}

/* ---- the port ---- */

static bool port_line(const char *sysfs, const struct fm_verbs_port *port, const char *file, char *text, size_t bytes)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s/ports/%u/%s", sysfs, port->device, port->number, file);
	return fm_verbs_read_line(path, text, bytes);
}

/* False: empty, or a hole of the table, whose type cannot be read. */
static bool gid_read(const char *sysfs, const struct fm_verbs_port *port, int index, struct fm_verbs_gid *gid)
{
	char file[64], text[64];

	*gid = (struct fm_verbs_gid){.index = index, .type = FM_VERBS_GID_IB};
	snprintf(file, sizeof(file), "gids/%d", index);
	if (!port_line(sysfs, port, file, text, sizeof(text)) || inet_pton(AF_INET6, text, gid->raw) != 1 ||
	    is_empty(gid->raw))
		return false;
	snprintf(file, sizeof(file), "gid_attrs/ndevs/%d", index);
	if (!port_line(sysfs, port, file, gid->netdev, sizeof(gid->netdev)))
		gid->netdev[0] = '\0';
	snprintf(file, sizeof(file), "gid_attrs/types/%d", index);
	if (!port_line(sysfs, port, file, text, sizeof(text)))
		return !port->ethernet;
	if (strcmp(text, "RoCE v2") == 0)
		gid->type = FM_VERBS_GID_ROCE_V2;
	else if (port->ethernet)
		gid->type = FM_VERBS_GID_ROCE_V1;
	return true;
}

static int port_missing(const char *sysfs, const struct fm_place_rail *rail, struct fm_error *error)
{
	const char *device = rail->device[0] ? rail->device : "eth0";

	if (access(sysfs, F_OK) != 0)
		return fm_error_set(
			error, -ENODEV, FM_REASON_PLACEMENT,
			"this machine has no RDMA device: load its driver, or for soft-RoCE run 'rdma link add "
			"rxe0 type rxe netdev %s'",
			device);
	return fm_error_set(
		error, -ENODEV, FM_REASON_PLACEMENT,
		"no RDMA port belongs to %s%s: 'fabmark devices' lists which net device has one; choose it with "
		"--device",
		rail->device[0] ? "net device " : "address ", rail->device[0] ? rail->device : rail->address);
}

/* With RoCE the kernel takes no GID of another network namespace: ENODEV once the queue pair is to be connected. */
static int gid_check(const struct fm_verbs_port *port, bool found, int index, bool asked, struct fm_error *error)
{
	if (!found && asked)
		return fm_error_set(error, -ENODEV, FM_REASON_PLACEMENT,
				    "port %u of '%s' has no GID with index %d: 'fabmark devices' lists them; or leave "
				    "out --gid-index",
				    port->number, port->device, index);
	if (!found)
		return fm_error_set(
			error, -ENODEV, FM_REASON_PLACEMENT,
			"port %u of '%s' has no GID that can be used: 'fabmark devices' says why of each; give its "
			"net device an address",
			port->number, port->device);
	if (port->ethernet && port->gid.netdev[0] && if_nametoindex(port->gid.netdev) == 0)
		return fm_error_set(error, -ENODEV, FM_REASON_PLACEMENT,
				    "GID %d of '%s' belongs to %s, a net device of another network namespace: choose "
				    "one of this namespace with --gid-index; 'fabmark devices' lists them",
				    index, port->device, port->gid.netdev);
	return 0;
}

int fm_verbs_port_find(const char *sysfs, const struct fm_place_rail *rail, int gid_index, struct fm_verbs_port *port,
		       struct fm_error *error)
{
	int index = gid_index == FM_VERBS_GID_AUTO ? (int)rail->gid_index : gid_index, code;
	struct fm_verbs_port found = {.number = (uint8_t)rail->port};
	char path[PATH_MAX], text[64];
	bool has_gid;

	snprintf(found.device, sizeof(found.device), "%s", rail->rdma_device);
	if (!rail->rdma_device[0] || !port_line(sysfs, &found, "state", text, sizeof(text)))
		return port_missing(sysfs, rail, error);
	found.active = strncmp(text, "4:", 2) == 0;
	if (port_line(sysfs, &found, "link_layer", text, sizeof(text))) {
		found.ethernet = strcmp(text, "Ethernet") == 0;
		found.infiniband = strcmp(text, "InfiniBand") == 0;
	}
	snprintf(path, sizeof(path), "%s/%s/node_type", sysfs, found.device);
	found.iwarp = fm_verbs_read_line(path, text, sizeof(text)) && strncmp(text, "4:", 2) == 0;
	snprintf(path, sizeof(path), "%s/%s/device", sysfs, found.device);
	found.software = access(path, F_OK) != 0;
	if (!found.active)
		return fm_error_set(
			error, -ENETDOWN, FM_REASON_PLACEMENT,
			"port %u of RDMA device %s is not active: check the cable, the switch and 'rdma link'",
			found.number, found.device);
	has_gid = gid_read(sysfs, &found, index, &found.gid);
	/* An iWARP port has one that stands for its hardware address; nothing is sent to it. */
	code = found.iwarp ? 0 : gid_check(&found, has_gid, index, gid_index != FM_VERBS_GID_AUTO, error);
	if (code)
		return code;
	*port = found;
	return 0;
}

/* ---- completion vectors ---- */

/* Is the CPU in "0-3,8"? before: how many of the list are below it. */
static bool list_has(const char *list, int cpu, uint32_t *before, uint32_t *count)
{
	bool has = false;
	char *end;

	*before = *count = 0;
	for (const char *at = list; *at; at = *end ? end + 1 : end) {
		long first = strtol(at, &end, 10), last = first;

		if (end == at)
			break;
		if (*end == '-')
			last = strtol(end + 1, &end, 10);
		for (long i = first; i <= last && i < CPUS_MAX; i++) {
			has |= i == cpu;
			*before += i < cpu;
			++*count;
		}
	}
	return has;
}

uint32_t fm_verbs_vector(const char *sysfs, const char *device, int cpu, uint32_t vectors)
{
	char path[PATH_MAX], list[1024];
	uint32_t before, count, rank = cpu < 0 ? 0 : (uint32_t)cpu;

	snprintf(path, sizeof(path), "%s/%s/device/local_cpulist", sysfs, device);
	if (fm_verbs_read_line(path, list, sizeof(list)))
		rank = list_has(list, cpu, &before, &count) ? before : count + rank - before;
	return rank % vectors;
}
