/*
 * device.c - ports and GIDs under /sys/class/infiniband. A GID's index differs from node to node and from container to
 * container, so none is taken for granted: it is found by the address that it stands for.
 */
#include "transports/verbs/device.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>

enum { GID_BYTES = 16, PORTS_MAX = 8, EMPTY_MAX = 16 };

const char *fm_verbs_gid_type_name(enum fm_verbs_gid_type type)
{
	static const char *const names[] = {"IB", "RoCE v1", "RoCE v2"};

	return names[type];
}

static bool is_mapped(const uint8_t raw[GID_BYTES])
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(raw, prefix, sizeof(prefix)) == 0;
}

static bool is_zero(const uint8_t raw[GID_BYTES])
{
	static const uint8_t none[8];

	/* The last eight bytes are the interface; an empty entry has the subnet's prefix alone. */
	return memcmp(raw + 8, none, sizeof(none)) == 0;
}

static bool is_link_local(const uint8_t raw[GID_BYTES])
{
	return raw[0] == 0xfe && (raw[1] & 0xc0) == 0x80;
}

static int gid_score(const struct fm_verbs_gid *gid, const uint8_t *address)
{
	int family = is_mapped(gid->raw) ? 2 : !is_link_local(gid->raw);

	return (address && memcmp(gid->raw, address, GID_BYTES) == 0 ? 100 : 0) + 10 * (int)gid->type + family;
}

const struct fm_verbs_gid *fm_verbs_gid_choose(const struct fm_verbs_gid *gids, uint32_t count, const char *netdev,
					       const uint8_t *address)
{
	const struct fm_verbs_gid *best = NULL;

	for (uint32_t i = 0; i < count; i++) {
		const struct fm_verbs_gid *gid = &gids[i];

		if (is_zero(gid->raw) || (netdev[0] && strcmp(gid->netdev, netdev) != 0))
			continue;
		if (!best || gid_score(gid, address) > gid_score(best, address))
			best = gid;
	}
	return best;
}

bool fm_verbs_gid_of_address(const char *address, uint8_t raw[GID_BYTES])
{
	char text[FM_ADDRESS_MAX];

	snprintf(text, sizeof(text), "%.*s", (int)strcspn(address, "%"), address);
	memset(raw, 0, GID_BYTES);
	if (inet_pton(AF_INET6, text, raw) == 1)
		return true;
	raw[10] = raw[11] = 0xff;
	return inet_pton(AF_INET, text, raw + 12) == 1;
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

/* ---- the tables of a port ---- */

static bool gid_read(const char *ports, int number, int index, struct fm_verbs_gid *gid)
{
	char path[PATH_MAX], text[64];

	snprintf(path, sizeof(path), "%s/%d/gids/%d", ports, number, index);
	*gid = (struct fm_verbs_gid){.index = index, .type = FM_VERBS_GID_IB};
	if (!fm_verbs_read_line(path, text, sizeof(text)) || inet_pton(AF_INET6, text, gid->raw) != 1 ||
	    is_zero(gid->raw))
		return false;
	snprintf(path, sizeof(path), "%s/%d/gid_attrs/ndevs/%d", ports, number, index);
	if (!fm_verbs_read_line(path, gid->netdev, sizeof(gid->netdev)))
		gid->netdev[0] = '\0';
	snprintf(path, sizeof(path), "%s/%d/gid_attrs/types/%d", ports, number, index);
	if (!fm_verbs_read_line(path, text, sizeof(text)))
		return !gid->netdev[0];
	if (strcmp(text, "RoCE v2") == 0)
		gid->type = FM_VERBS_GID_ROCE_V2;
	else if (gid->netdev[0])
		gid->type = FM_VERBS_GID_ROCE_V1;
	return true;
}

static uint32_t gids_read(const char *ports, int number, struct fm_verbs_gid *gids)
{
	uint32_t count = 0;

	/* Tables are long and filled from the front, with few holes; each read is a system call or three. */
	for (int i = 0, empty = 0; i < FM_VERBS_GIDS_MAX && empty < EMPTY_MAX; i++) {
		bool filled = gid_read(ports, number, i, &gids[count]);

		count += filled;
		empty = filled ? 0 : empty + 1;
	}
	return count;
}

/* What one wants of a port. */
struct wanted {
	const char *sysfs;
	const struct fm_place_rail *rail;
	int gid_index;
	bool named; /* the rail names an RDMA device */
	bool has_address;
	uint8_t address[GID_BYTES];
};

/* Does a port of InfiniBand, whose GIDs have no net device, carry this one? */
static bool has_netdev(const char *sysfs, const char *device, const char *netdev)
{
	char path[PATH_MAX];
	DIR *folder;

	snprintf(path, sizeof(path), "%s/%s/device/net/%s", sysfs, device, netdev);
	folder = netdev[0] ? opendir(path) : NULL;
	if (folder)
		closedir(folder);
	return folder != NULL;
}

/* The GID of an iWARP port is a hardware address and stands for no IP address: the inventory knows whose it is. */
static bool iwarp_belongs(const struct wanted *wanted, const char *device)
{
	const struct fm_place_rail *rail = wanted->rail;

	return wanted->named || (rail->rdma_device[0] ? strcmp(rail->rdma_device, device) == 0
						      : has_netdev(wanted->sysfs, device, rail->device));
}

static const struct fm_verbs_gid *port_gid(const struct wanted *wanted, const struct fm_verbs_port *port,
					   const struct fm_verbs_gid *gids, uint32_t count)
{
	const char *netdev = wanted->rail->device;

	if (wanted->named || (!port->ethernet && has_netdev(wanted->sysfs, port->device, netdev)))
		netdev = "";
	if (wanted->gid_index != FM_VERBS_GID_AUTO) {
		const struct fm_verbs_gid *any = fm_verbs_gid_choose(gids, count, netdev, NULL);

		for (uint32_t i = 0; i < count && any; i++)
			if (gids[i].index == wanted->gid_index && !is_zero(gids[i].raw))
				return &gids[i];
		return NULL;
	}
	if (!netdev[0] && !wanted->named && wanted->rail->device[0] == '\0') {
		/* An address alone: the port that has it. */
		const struct fm_verbs_gid *gid =
			wanted->has_address ? fm_verbs_gid_choose(gids, count, "", wanted->address) : NULL;

		return gid && memcmp(gid->raw, wanted->address, GID_BYTES) == 0 ? gid : NULL;
	}
	return fm_verbs_gid_choose(gids, count, netdev, wanted->has_address ? wanted->address : NULL);
}

/* Fills port where it belongs to the rail. */
static bool port_read(const struct wanted *wanted, const char *device, int number, struct fm_verbs_port *port)
{
	struct fm_verbs_gid gids[FM_VERBS_GIDS_MAX];
	const struct fm_verbs_gid *gid;
	char ports[PATH_MAX - 64], path[PATH_MAX], text[64];

	*port = (struct fm_verbs_port){.number = (uint8_t)number};
	snprintf(port->device, sizeof(port->device), "%s", device);
	snprintf(ports, sizeof(ports), "%s/%s/ports", wanted->sysfs, device);
	snprintf(path, sizeof(path), "%s/%d/state", ports, number);
	if (!fm_verbs_read_line(path, text, sizeof(text)))
		return false;
	port->active = strncmp(text, "4:", 2) == 0;
	snprintf(path, sizeof(path), "%s/%d/link_layer", ports, number);
	port->ethernet = fm_verbs_read_line(path, text, sizeof(text)) && strcmp(text, "Ethernet") == 0;
	snprintf(path, sizeof(path), "%s/%s/node_type", wanted->sysfs, device);
	port->iwarp = fm_verbs_read_line(path, text, sizeof(text)) && strncmp(text, "4:", 2) == 0;
	gid = port_gid(wanted, port, gids, gids_read(ports, number, gids));
	if (gid)
		port->gid = *gid;
	return port->iwarp ? iwarp_belongs(wanted, device) : gid != NULL;
}

/* The best port of one device. */
static bool device_read(const struct wanted *wanted, const char *device, struct fm_verbs_port *port)
{
	uint32_t only = wanted->rail->port;
	struct fm_verbs_port found;
	bool any = false;

	for (int number = 1; number <= PORTS_MAX; number++) {
		if ((only && (int)only != number) || !port_read(wanted, device, number, &found))
			continue;
		if (!any || (found.active && !port->active))
			*port = found;
		any = true;
	}
	return any;
}

static bool wanted_named(const char *sysfs, const char *device)
{
	char path[PATH_MAX], text[64];

	snprintf(path, sizeof(path), "%s/%s/node_type", sysfs, device);
	return device[0] && fm_verbs_read_line(path, text, sizeof(text));
}

static int port_missing(const struct wanted *wanted, bool any, struct fm_error *error)
{
	const struct fm_place_rail *rail = wanted->rail;

	if (!any)
		return fm_error_set(
			error, -ENODEV, FM_REASON_PLACEMENT,
			"this machine has no RDMA device: load its driver, or for soft-RoCE run 'rdma link add "
			"rxe0 type rxe netdev %s'",
			rail->device[0] ? rail->device : "eth0");
	if (wanted->gid_index != FM_VERBS_GID_AUTO)
		return fm_error_set(
			error, -ENODEV, FM_REASON_PLACEMENT,
			"no port of '%s' has a GID with index %d: 'ibv_devinfo -v' lists them; or leave out "
			"--gid-index",
			rail->device[0] ? rail->device : rail->address, wanted->gid_index);
	return fm_error_set(
		error, -ENODEV, FM_REASON_PLACEMENT,
		"no RDMA port belongs to %s%s%s: 'rdma link' lists which net device has one; choose it with "
		"--device",
		rail->device[0] ? "net device " : "address ", rail->device[0] ? rail->device : rail->address,
		wanted->named ? " with a GID that can be used" : "");
}

int fm_verbs_port_find(const char *sysfs, const struct fm_place_rail *rail, int gid_index, struct fm_verbs_port *port,
		       struct fm_error *error)
{
	struct wanted wanted = {.sysfs = sysfs, .rail = rail, .gid_index = gid_index};
	struct fm_verbs_port best = {0}, found;
	struct dirent **names = NULL;
	int count = scandir(sysfs, &names, NULL, alphasort);
	bool any = false, good = false;

	wanted.named = wanted_named(sysfs, rail->device);
	wanted.has_address = fm_verbs_gid_of_address(rail->address, wanted.address);
	for (int i = 0; i < count; i++) {
		const char *name = names[i]->d_name;

		if (name[0] != '.') {
			any = true;
			if ((!wanted.named || strcmp(name, rail->device) == 0) && device_read(&wanted, name, &found) &&
			    (!good || (found.active && !best.active))) {
				best = found;
				good = true;
			}
		}
		free(names[i]);
	}
	free(names);
	if (!good)
		return port_missing(&wanted, any, error);
	if (!best.active)
		return fm_error_set(
			error, -ENETDOWN, FM_REASON_PLACEMENT,
			"port %u of RDMA device %s is not active: check the cable, the switch and 'rdma link'",
			best.number, best.device);
	*port = best;
	return 0;
}
