/*
 * nic.c - inventory of the NICs: names and addresses from getifaddrs, the rest from sysfs and two ioctls.
 */
#include "topology/nic.h"

#include <errno.h>
#include <ifaddrs.h>
#include <limits.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <math.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "topology/address.h"
#include "topology/rdma.h"
#include "topology/sysfs.h"

enum {
	LINK_MBPS_MAX = 10000000,
	FLAG_LOWER_UP = 1 << 16 /* IFF_LOWER_UP of linux/if.h, which cannot be included beside net/if.h */
};

/* As many devices as there are; cut to FM_NICS_MAX at the end, when it is known which matter. */
struct inventory {
	struct fm_nic *list;
	size_t count, capacity;
};

/* Without a device under it a link's speed is made up: a veth says 10 Gb/s, a tap 10 Mb/s. */
static void hardware_read(const char *directory, struct fm_nic *nic)
{
	char device[PATH_MAX], driver[PATH_MAX];
	long mbps;

	if (!fm_sysfs_resolve(directory, "device", device))
		return;
	if (fm_sysfs_integer(directory, "speed", 1, LINK_MBPS_MAX, &mbps))
		nic->link_gbps = (double)mbps / 1000;
	if (fm_sysfs_resolve(device, "driver", driver))
		snprintf(nic->driver, sizeof(nic->driver), "%.31s", strrchr(driver, '/') + 1);
	fm_sysfs_pci(device, nic->pci, &nic->numa_node);
}

static void hardware_address_format(const struct sockaddr_ll *link, char *text, size_t bytes)
{
	int count = link->sll_halen < 8 ? link->sll_halen : 8;

	text[0] = '\0';
	for (int i = 0; i < count; i++)
		snprintf(text + strlen(text), bytes - strlen(text), "%s%02x", i ? ":" : "", link->sll_addr[i]);
}

/*
 * A process that changed its network namespace but not its mounts sees the devices of another namespace in /sys, often
 * under the very same names. Index and hardware address together tell them apart.
 */
static bool sysfs_fits(const char *directory, const struct sockaddr_ll *link)
{
	char text[128], expected[24];
	long index;

	if (fm_sysfs_integer(directory, "ifindex", 1, INT_MAX, &index) && index != link->sll_ifindex)
		return false;
	hardware_address_format(link, expected, sizeof(expected));
	return !fm_sysfs_text(directory, "address", text, sizeof(text)) ||
	       strncasecmp(text, expected, strlen(expected)) == 0;
}

/* By ioctl: right in this network namespace whatever is mounted, and a veth has no driver in sysfs. */
static void kernel_ask(int fd, struct fm_nic *nic)
{
	struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq request;

	memset(&request, 0, sizeof(request));
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%.15s", nic->name);
	if (ioctl(fd, SIOCGIFMTU, &request) == 0 && request.ifr_mtu > 0)
		nic->mtu = (uint32_t)request.ifr_mtu;
	request.ifr_data = (void *)&driver;
	if (nic->driver[0] == '\0' && ioctl(fd, SIOCETHTOOL, &request) == 0)
		snprintf(nic->driver, sizeof(nic->driver), "%.31s", driver.driver);
}

static const char *link_layer_name(unsigned hardware_type)
{
	switch (hardware_type) {
	case ARPHRD_ETHER:
		return "ethernet";
	case ARPHRD_INFINIBAND:
		return "infiniband";
	case ARPHRD_LOOPBACK:
		return "loopback";
	default:
		return "";
	}
}

/* The entry of this device, made if need be. IPv4 aliases ("eth0:1") belong to their device. NULL: no memory. */
static struct fm_nic *inventory_entry(struct inventory *inventory, const struct ifaddrs *at)
{
	int length = (int)strcspn(at->ifa_name, ":");
	struct fm_nic *nic;

	for (size_t i = 0; i < inventory->count; i++) {
		nic = &inventory->list[i];
		if (strlen(nic->name) == (size_t)length && strncmp(nic->name, at->ifa_name, (size_t)length) == 0)
			return nic;
	}
	if (inventory->count == inventory->capacity) {
		size_t capacity = inventory->capacity ? 2 * inventory->capacity : 16;
		struct fm_nic *list = realloc(inventory->list, capacity * sizeof(*list));

		if (!list)
			return NULL;
		inventory->list = list;
		inventory->capacity = capacity;
	}
	nic = &inventory->list[inventory->count++];
	memset(nic, 0, sizeof(*nic));
	snprintf(nic->name, sizeof(nic->name), "%.*s", length, at->ifa_name);
	/* Carrier by either flag: IFF_RUNNING lags up to a second behind a link that has just come up. */
	nic->up = (at->ifa_flags & IFF_UP) && (at->ifa_flags & (IFF_RUNNING | FLAG_LOWER_UP));
	nic->loopback = at->ifa_flags & IFF_LOOPBACK;
	nic->link_gbps = NAN;
	nic->numa_node = -1;
	return nic;
}

static uint32_t mask_bits(const struct sockaddr *mask, int family)
{
	struct fm_address address;
	uint32_t bits = 0;

	/* glibc leaves the mask out for some tunnels; then the address stands alone. */
	if (!mask)
		return fm_address_bits(family);
	if (mask->sa_family == AF_INET6 && family == AF_INET6)
		memcpy(address.bytes, &((const struct sockaddr_in6 *)(const void *)mask)->sin6_addr, 16);
	else if (!fm_address_from_socket(mask, &address))
		return fm_address_bits(family);
	while (bits < fm_address_bits(family) && (address.bytes[bits / 8] & 0x80 >> bits % 8))
		bits++;
	return bits;
}

static void address_add(struct fm_nic *nic, const struct ifaddrs *at)
{
	struct fm_address address;
	struct fm_nic_address added = {.gid_index = -1};
	char bare[FM_ADDRESS_MAX - IF_NAMESIZE - 1];
	uint32_t slot = nic->address_count;

	if (!fm_address_from_socket(at->ifa_addr, &address))
		return;
	added.family = address.family;
	added.prefix_bits = mask_bits(at->ifa_netmask, address.family);
	added.link_local = fm_address_link_local(&address);
	fm_address_format(&address, bare, sizeof(bare));
	if (added.link_local && added.family == AF_INET6)
		snprintf(added.text, sizeof(added.text), "%s%%%.15s", bare, nic->name);
	else
		snprintf(added.text, sizeof(added.text), "%s", bare);
	if (slot == FM_NIC_ADDRESSES_MAX) {
		for (slot = 0; slot < FM_NIC_ADDRESSES_MAX && !nic->addresses[slot].link_local; slot++)
			;
		if (slot == FM_NIC_ADDRESSES_MAX || added.link_local)
			return;
	} else {
		nic->address_count++;
	}
	nic->addresses[slot] = added;
}

static int entry_add(struct inventory *inventory, const struct ifaddrs *at, const char *sysfs, int fd)
{
	struct fm_nic *nic = inventory_entry(inventory, at);
	const struct sockaddr_ll *link = (const void *)at->ifa_addr;
	char directory[PATH_MAX];

	if (!nic)
		return -ENOMEM;
	if (!at->ifa_addr)
		return 0;
	if (at->ifa_addr->sa_family != AF_PACKET) {
		address_add(nic, at);
		return 0;
	}
	snprintf(nic->link_layer, sizeof(nic->link_layer), "%s", link_layer_name(link->sll_hatype));
	hardware_address_format(link, nic->hardware_address, sizeof(nic->hardware_address));
	if (snprintf(directory, sizeof(directory), "%s/class/net/%s", sysfs, nic->name) < PATH_MAX &&
	    sysfs_fits(directory, link))
		hardware_read(directory, nic);
	kernel_ask(fd, nic);
	return 0;
}

/* Higher carries data more likely. A Kubernetes node has hundreds of veths, each with a link-local address. */
static int importance(const struct fm_nic *nic)
{
	bool global = false;

	for (uint32_t i = 0; i < nic->address_count; i++)
		global |= !nic->addresses[i].link_local;
	return 4 * ((global || nic->rdma.active) && nic->up) + 2 * (nic->pci[0] != '\0') + global;
}

static int compare_importance(const void *a, const void *b)
{
	const struct fm_nic *x = a, *y = b;
	int difference = importance(y) - importance(x);

	return difference ? difference : strverscmp(x->name, y->name);
}

static int compare_names(const void *a, const void *b)
{
	return strverscmp(((const struct fm_nic *)a)->name, ((const struct fm_nic *)b)->name);
}

/* rdma: NULL where only the NICs are of interest. */
static int rdma_join(const char *sysfs, struct inventory *inventory, struct fm_rdma *rdma, struct fm_error *error)
{
	struct fm_nic *list = realloc(inventory->list, (inventory->count + FM_RDMA_PORTS_MAX) * sizeof(*list));
	struct fm_rdma own = {0, NULL};
	int result;

	if (!list)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for the list of NICs");
	inventory->list = list;
	inventory->capacity = inventory->count + FM_RDMA_PORTS_MAX;
	result = fm_rdma_read(sysfs, inventory->list, &inventory->count, rdma ? rdma : &own, error);
	fm_rdma_free(&own);
	return result;
}

int fm_nics_read(const char *sysfs, struct fm_nics *nics, struct fm_error *error)
{
	return fm_nics_read_all(sysfs, nics, NULL, error);
}

int fm_nics_read_all(const char *sysfs, struct fm_nics *nics, struct fm_rdma *rdma, struct fm_error *error)
{
	struct inventory inventory = {NULL, 0, 0};
	struct ifaddrs *all = NULL;
	int result = 0, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (getifaddrs(&all) < 0) {
		result = fm_error_set(error, -errno, FM_REASON_ENVIRONMENT, "cannot list the net devices: %s",
				      strerror(errno));
		goto out;
	}
	for (const struct ifaddrs *at = all; at && result == 0; at = at->ifa_next)
		result = entry_add(&inventory, at, sysfs, fd);
	if (result < 0) {
		fm_error_set(error, result, FM_REASON_OUT_OF_MEMORY, "no memory for the list of net devices");
		goto out;
	}
	result = rdma_join(sysfs, &inventory, rdma, error);
	if (result < 0)
		goto out;
	if (inventory.count > FM_NICS_MAX) {
		qsort(inventory.list, inventory.count, sizeof(*inventory.list), compare_importance);
		inventory.count = FM_NICS_MAX;
	}
	if (inventory.count > 0) {
		qsort(inventory.list, inventory.count, sizeof(*inventory.list), compare_names);
		memcpy(nics->list, inventory.list, inventory.count * sizeof(*inventory.list));
	}
	nics->count = (uint32_t)inventory.count;
out:
	if (all)
		freeifaddrs(all);
	if (fd >= 0)
		close(fd);
	free(inventory.list);
	return result;
}

static bool nic_has(const struct fm_nic *nic, const struct fm_address *wanted)
{
	struct fm_address address;
	long number;

	for (uint32_t i = 0; i < nic->address_count; i++) {
		if (!fm_address_parse(nic->addresses[i].text, &address) || !fm_address_equal(&address, wanted))
			continue;
		/* An inventory knows no interface numbers, so a scope given as one cannot be held against a device. */
		if (!nic->addresses[i].link_local || wanted->scope[0] == '\0' ||
		    fm_integer_parse(wanted->scope, 0, INT_MAX, &number) || strcmp(wanted->scope, nic->name) == 0)
			return true;
	}
	return false;
}

bool fm_nic_has(const struct fm_nic *nic, const char *text)
{
	struct fm_address address;

	return fm_address_parse(text, &address) && nic_has(nic, &address);
}

/* "mlx5_0" is any port of it, "mlx5_0:1" that one. */
static bool nic_has_rdma_name(const struct fm_nic *nic, const char *name)
{
	size_t length = strlen(nic->rdma.device);
	long port;

	if (length == 0 || strncmp(name, nic->rdma.device, length) != 0)
		return false;
	return name[length] == '\0' || (name[length] == ':' && fm_integer_parse(name + length + 1, 1, INT_MAX, &port) &&
					(uint32_t)port == nic->rdma.port);
}

const struct fm_nic *fm_nic_find(const struct fm_nics *nics, const char *name)
{
	const struct fm_nic *found = NULL;
	struct fm_address address;
	char pci[FM_PCI_TEXT_MAX];
	bool by_pci = fm_pci_parse(name, pci), by_address = fm_address_parse(name, &address);

	for (uint32_t i = 0; i < nics->count; i++) {
		const struct fm_nic *nic = &nics->list[i];

		if (name[0] != '\0' && strcmp(nic->name, name) == 0)
			return nic;
		if ((by_pci && strcmp(nic->pci, pci) == 0) || (by_address && nic_has(nic, &address)) ||
		    nic_has_rdma_name(nic, name))
			if (!found || (!found->up && nic->up))
				found = nic;
	}
	return found;
}
