/*
 * place.h - where a measurement runs on one node: for each rail a device, an address, a GPU, CPUs and a memory node.
 *
 * A place is plain data and list-shaped from the first day; it is decided before anything is opened and then only read.
 */
#ifndef FM_PLACE_H
#define FM_PLACE_H

#include <stdint.h>

enum {
	FM_RAILS_MAX = 16,   /* NIC pairs of one measurement */
	FM_THREADS_MAX = 64, /* measuring threads of one rail */
	FM_ADDRESS_MAX = 64, /* numeric IPv6 address with a scope, and its NUL */
};

struct fm_place_rail {
	char device[32]; /* net device; the RDMA device where its port has none; "" where only an address is known */
	char address[FM_ADDRESS_MAX]; /* this end's data address, numeric; a link-local one has its scope, fe80::1%eth0,
					 which goes to no peer: there it takes the peer's. "" where an RDMA port has
					 none */
	char pci[16];		      /* "" where the device is none of PCI */
	char link_layer[16];	      /* ethernet, infiniband, loopback; "" unknown */
	double link_gbps;	      /* NaN where it cannot be read */
	uint32_t mtu;		      /* bytes; 0 unknown */
	char rdma_device[32];	      /* the RDMA device under it; "" none */
	uint32_t port;		      /* its port, from 1; 0 where there is none */
	uint32_t gid_index; /* the GID to take there: the data address's, else the best; 0 where there is none */
	int gpu;	    /* ordinal; -1 none */
	int numa_node;	    /* of the device; -1 unknown */
	uint32_t cpu_count;
	int cpus[FM_THREADS_MAX]; /* one a measuring thread; beyond cpu_count they repeat */
	int shared_cpus;	  /* other measuring threads run on these CPUs too: idle loops yield */
	char reason[192];	  /* why this device and these CPUs, in words */
};

struct fm_place {
	uint32_t count;
	struct fm_place_rail rails[FM_RAILS_MAX];
};

#endif
