/*
 * nic.h - the NICs of this node: the net devices, as the kernel lists them, with the RDMA ports under them, and the
 * RDMA ports that have no net device.
 */
#ifndef FM_NIC_H
#define FM_NIC_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/error.h"
#include "topology/place.h"

/* So many that a full inventory, as JSON, fits the 64 KiB of one control message. */
enum { FM_NICS_MAX = 64, FM_NIC_ADDRESSES_MAX = 8 };

struct fm_nic_address {
	char text[FM_ADDRESS_MAX]; /* numeric; link-local IPv6 with its scope: fe80::1%eth0 */
	uint32_t prefix_bits;
	int family; /* AF_INET or AF_INET6 */
	bool link_local;
	int gid_index; /* of the RoCE GID that is this address; -1 none, or of another node */
};

/* The RDMA port of a NIC. */
struct fm_nic_rdma {
	char device[32]; /* "mlx5_0"; "" none */
	uint32_t port;	 /* from 1; 0 none */
	bool active;
	uint32_t gid_index;	  /* of the GID that would be taken */
	char gid[FM_ADDRESS_MAX]; /* that GID as an IPv6 address; "" none can be used */
	char gid_type[16];	  /* InfiniBand, RoCE v1, RoCE v2, iWARP; "" none */
};

struct fm_nic {
	char name[32];	     /* of the net device; of an RDMA port without one "mlx5_0:1", which is no net device's */
	char pci[16];	     /* "0000:3b:00.0"; "" for what is no PCI device. virtio: of the device under it */
	char driver[32];     /* "mlx5_core", "veth"; "" unknown */
	char link_layer[16]; /* ethernet, infiniband, loopback; "" unknown */
	char hardware_address[24]; /* "02:00:00:00:00:01", of IPoIB its first 8 bytes; "" none, or of another node */
	double link_gbps;	   /* of a physical device with a link; NaN otherwise: a veth's 10 Gb/s is made up */
	uint32_t mtu;		   /* bytes */
	int numa_node;		   /* -1 unknown */
	bool up;		   /* switched on and with carrier, or an active port: packets can leave */
	bool loopback;
	struct fm_nic_rdma rdma;
	uint32_t address_count;
	struct fm_nic_address addresses[FM_NIC_ADDRESSES_MAX];
};

struct fm_nics {
	uint32_t count;
	struct fm_nic list[FM_NICS_MAX];
};

/*
 * Lists this network namespace's devices, and the RDMA ports that have none (see rdma.h), in the natural order of their
 * names (eth2 before eth10). sysfs: "/sys", or a
 * recorded tree, whose files then describe the devices that getifaddrs names; what it lacks or garbles is unknown, and
 * no error. A sysfs mounted in another network namespace is recognised by index and hardware address and not believed.
 * Over FM_NICS_MAX, those that could carry data are kept: up, with an address, of real hardware. Over
 * FM_NIC_ADDRESSES_MAX, addresses that are not link-local. 0 or -errno (environment, out_of_memory).
 */
int fm_nics_read(const char *sysfs, struct fm_nics *nics, struct fm_error *error);
/* The same, and the RDMA ports as they were found; to be freed with fm_rdma_free where it succeeds. */
struct fm_rdma;
int fm_nics_read_all(const char *sysfs, struct fm_nics *nics, struct fm_rdma *rdma, struct fm_error *error);
/*
 * The device of this name, RDMA name ("mlx5_0", "mlx5_0:1"), PCI address ("0000:3b:00.0" or "3b:00.0") or numeric
 * address (IPv4-mapped IPv6 is IPv4; a scope, where given as a name, must be the device's); NULL where there is none.
 * A net device's own name comes first; of two that fit, the one that is up.
 */
const struct fm_nic *fm_nic_find(const struct fm_nics *nics, const char *name);
/* An RDMA port that has no net device. */
static inline bool fm_nic_is_port(const struct fm_nic *nic)
{
	return strchr(nic->name, ':') != NULL;
}
/* Is this numeric address one of the device's? */
bool fm_nic_has(const struct fm_nic *nic, const char *text);

#endif
