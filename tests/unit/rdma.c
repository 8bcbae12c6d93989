/*
 * rdma.c - RDMA ports of recorded machines: which GID would be taken and why, which NIC each port is, what is missing.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "topology/placement.h"
#include "topology/rdma.h"

#define GID_V4(address)	     "0000:0000:0000:0000:0000:ffff:" address
#define GID_ZERO	     "0000:0000:0000:0000:0000:0000:0000:0000"
#define GID_LINK_LOCAL	     "fe80:0000:0000:0000:0000:00ff:fe00:0001" /* of 02:00:00:00:00:01 */
#define GID_GLOBAL	     "fd00:0000:0000:0000:0000:0000:0000:0001"
#define GID_INFINIBAND(last) "fe80:0000:0000:0000:0c42:a103:00ab:00" last

struct machine {
	char root[32];
	struct fm_nic nics[FM_RDMA_PORTS_MAX + 8];
	size_t count;
	struct fm_rdma rdma;
	struct fm_error error;
};

static struct machine *machine_new(void)
{
	struct machine *machine = test_calloc(1, sizeof(*machine));

	snprintf(machine->root, sizeof(machine->root), "/tmp/fm-rdma-XXXXXX");
	assert_non_null(mkdtemp(machine->root));
	return machine;
}

static void machine_free(struct machine *machine)
{
	char command[64];

	fm_rdma_free(&machine->rdma);
	snprintf(command, sizeof(command), "rm -rf %s", machine->root);
	assert_int_equal(system(command), 0);
	test_free(machine);
}

static void path_make(const struct machine *machine, const char *path, char full[512])
{
	snprintf(full, 512, "%s/%s", machine->root, path);
	for (char *at = full + strlen(machine->root) + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		mkdir(full, 0755);
		*at = '/';
	}
}

/* A file, or with "-> TARGET" a link. */
__attribute__((format(printf, 3, 4))) static void put(const struct machine *machine, const char *text,
						      const char *format, ...)
{
	char path[256], full[512];
	va_list arguments;
	FILE *file;

	va_start(arguments, format);
	vsnprintf(path, sizeof(path), format, arguments);
	va_end(arguments);
	path_make(machine, path, full);
	if (strncmp(text, "-> ", 3) == 0) {
		assert_int_equal(symlink(text + 3, full), 0);
		return;
	}
	file = fopen(full, "w");
	assert_non_null(file);
	fprintf(file, "%s\n", text);
	fclose(file);
}

/* A device with one port; pci: "" in software. */
static void put_device(const struct machine *machine, const char *name, const char *node_type, const char *link_layer,
		       const char *state, const char *pci)
{
	put(machine, node_type, "class/infiniband/%s/node_type", name);
	put(machine, "20.31.1014", "class/infiniband/%s/fw_ver", name);
	put(machine, "MT_0000000223", "class/infiniband/%s/board_id", name);
	put(machine, link_layer, "class/infiniband/%s/ports/1/link_layer", name);
	put(machine, state, "class/infiniband/%s/ports/1/state", name);
	put(machine, "5: LinkUp", "class/infiniband/%s/ports/1/phys_state", name);
	put(machine, "100 Gb/sec (4X EDR)", "class/infiniband/%s/ports/1/rate", name);
	put(machine, "0x1b", "class/infiniband/%s/ports/1/lid", name);
	put(machine, "0xffff", "class/infiniband/%s/ports/1/pkeys/0", name);
	put(machine, "0x0000", "class/infiniband/%s/ports/1/pkeys/1", name);
	put(machine, "0x8001", "class/infiniband/%s/ports/1/pkeys/2", name);
	put(machine, "7", "class/infiniband/%s/ports/1/counters/port_xmit_data", name);
	if (pci[0]) {
		char target[128];

		put(machine, "1", "devices/pci0000:3a/%s/numa_node", pci);
		snprintf(target, sizeof(target), "-> ../../../devices/pci0000:3a/%s", pci);
		put(machine, target, "class/infiniband/%s/device", name);
	}
}

/* An empty type or net device is a file that cannot be read, as the kernel's EINVAL. */
static void put_gid(const struct machine *machine, const char *name, int index, const char *gid, const char *type,
		    const char *net_device)
{
	put(machine, gid, "class/infiniband/%s/ports/1/gids/%d", name, index);
	if (type[0])
		put(machine, type, "class/infiniband/%s/ports/1/gid_attrs/types/%d", name, index);
	if (net_device[0])
		put(machine, net_device, "class/infiniband/%s/ports/1/gid_attrs/ndevs/%d", name, index);
}

/* addresses: "10.0.0.1 fd00::1". */
static struct fm_nic *add_nic(struct machine *machine, const char *name, const char *hardware_address,
			      const char *link_layer, const char *addresses)
{
	struct fm_nic *nic = &machine->nics[machine->count++];
	char text[256], *rest;

	snprintf(nic->name, sizeof(nic->name), "%s", name);
	snprintf(nic->hardware_address, sizeof(nic->hardware_address), "%s", hardware_address);
	snprintf(nic->link_layer, sizeof(nic->link_layer), "%s", link_layer);
	snprintf(text, sizeof(text), "%s", addresses);
	nic->up = true;
	nic->link_gbps = NAN;
	nic->numa_node = -1;
	for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		struct fm_nic_address *to = &nic->addresses[nic->address_count++];

		snprintf(to->text, sizeof(to->text), "%s", word);
		to->gid_index = -1;
	}
	return nic;
}

static const struct fm_rdma_port *read_first(struct machine *machine)
{
	assert_int_equal(fm_rdma_read(machine->root, machine->nics, &machine->count, &machine->rdma, &machine->error),
			 0);
	assert_true(machine->rdma.count > 0);
	return &machine->rdma.ports[0];
}

static const struct fm_rdma_gid *gid_of(const struct fm_rdma_port *port, uint32_t index)
{
	for (uint32_t i = 0; i < port->gid_count; i++)
		if (port->gids[i].index == index)
			return &port->gids[i];
	return NULL;
}

/* What a RoCE NIC in a host with containers may have, in no order at all. */
static void gids_in_odd_order(void **state)
{
	struct machine *machine = machine_new();
	const struct fm_rdma_port *port;

	(void)state;
	add_nic(machine, "eth0", "02:00:00:00:00:01", "ethernet", "10.0.0.1 fd00::1 10.0.0.9");
	add_nic(machine, "veth7", "02:00:00:00:00:07", "ethernet", "");
	put_device(machine, "mlx5_0", "1: CA", "Ethernet", "4: ACTIVE", "0000:3b:00.0");
	put_gid(machine, "mlx5_0", 0, GID_V4("0a00:0001"), "IB/RoCE v1", "eth0");
	put_gid(machine, "mlx5_0", 1, GID_LINK_LOCAL, "RoCE v2", "eth0");
	put_gid(machine, "mlx5_0", 2, GID_ZERO, "", "");
	put_gid(machine, "mlx5_0", 3, GID_GLOBAL, "RoCE v2", "eth0");
	put_gid(machine, "mlx5_0", 4, GID_V4("0a09:0001"), "RoCE v2", "pod3");
	put_gid(machine, "mlx5_0", 5, GID_V4("0a00:0063"), "RoCE v2", "eth0");
	put_gid(machine, "mlx5_0", 6, GID_V4("0a00:0009"), "", "");
	put_gid(machine, "mlx5_0", 7, GID_V4("0a00:0001"), "RoCE v2", "eth0");
	put_gid(machine, "mlx5_0", 10, GID_V4("0a00:0009"), "RoCE v2", "eth0");
	put_gid(machine, "mlx5_0", 11, "nonsense", "RoCE v2", "eth0");
	port = read_first(machine);
	assert_int_equal(port->gid_count, 8);
	assert_int_equal(port->gids[port->chosen].index, 7);
	assert_string_equal(port->gids[port->chosen].text, "::ffff:10.0.0.1");
	assert_string_equal(port->reason, "RoCE v2 before v1, IPv4 before IPv6");
	assert_string_equal(gid_of(port, 0)->type, "RoCE v1");
	assert_null(gid_of(port, 0)->refused);
	assert_null(gid_of(port, 1)->refused);
	assert_null(gid_of(port, 2));
	assert_string_equal(gid_of(port, 4)->refused, "its net device is not in this network namespace");
	/* A container's eth0 is not the host's, whose GIDs it sees. */
	assert_string_equal(gid_of(port, 5)->refused, "no address of that net device: of another network namespace");
	assert_string_equal(gid_of(port, 6)->refused, "it has no type: a hole of the table");
	assert_string_equal(machine->nics[0].rdma.device, "mlx5_0");
	assert_int_equal(machine->nics[0].rdma.port, 1);
	assert_int_equal(machine->nics[0].rdma.gid_index, 7);
	assert_true(machine->nics[0].rdma.active);
	assert_int_equal(machine->nics[0].addresses[0].gid_index, 7);
	assert_int_equal(machine->nics[0].addresses[1].gid_index, 3);
	assert_int_equal(machine->nics[0].addresses[2].gid_index, 10);
	assert_string_equal(machine->nics[1].rdma.device, "");
	assert_int_equal(machine->count, 2);
	/* What the device says of itself. */
	assert_string_equal(port->pci, "0000:3b:00.0");
	assert_int_equal(port->numa_node, 1);
	assert_string_equal(port->node_type, "CA");
	assert_string_equal(port->firmware, "20.31.1014");
	assert_string_equal(port->pkeys, "0xffff 0x8001");
	assert_string_equal(port->state, "ACTIVE");
	assert_string_equal(port->physical_state, "LinkUp");
	assert_int_equal(port->lid, 0x1b);
	assert_float_equal(port->link_gbps, 100, 1e-9);
	assert_int_equal(port->counters.readable, 1);
	assert_int_equal(port->hw_counters.count, 0);
	machine_free(machine);
}

static void what_decides_between_two(void **state)
{
	static const struct {
		const char *first, *first_type, *second, *second_type, *reason;
		int chosen;
	} cases[] = {
		{GID_LINK_LOCAL, "RoCE v2", GID_GLOBAL, "RoCE v2", "global before link-local", 1},
		{GID_GLOBAL, "RoCE v2", GID_V4("0a00:0001"), "RoCE v2", "IPv4 before IPv6", 1},
		{GID_LINK_LOCAL, "RoCE v2", GID_V4("0a00:0001"), "IB/RoCE v1", "RoCE v2 before v1", 0},
		{GID_GLOBAL, "RoCE v2", GID_GLOBAL, "RoCE v2", "the first of several alike", 0},
		{GID_GLOBAL, "RoCE v2", GID_ZERO, "RoCE v2", "the only one that can be used", 0},
		{GID_GLOBAL, "RoCE v2", GID_V4("0a00:0001"), "", "the only one that can be used", 0},
		{GID_ZERO, "", GID_V4("0a00:0001"), "", "none of its GIDs can be used here", -1},
		{GID_ZERO, "", GID_ZERO, "", "it has no GID", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct machine *machine = machine_new();
		const struct fm_rdma_port *port;

		add_nic(machine, "eth0", "02:00:00:00:00:01", "ethernet", "10.0.0.1 fd00::1");
		put_device(machine, "rxe0", "1: CA", "Ethernet", "4: ACTIVE", "");
		put(machine, "eth0", "class/infiniband/rxe0/parent");
		put_gid(machine, "rxe0", 0, cases[i].first, cases[i].first_type, "eth0");
		put_gid(machine, "rxe0", 1, cases[i].second, cases[i].second_type, "eth0");
		port = read_first(machine);
		assert_string_equal(port->reason, cases[i].reason);
		assert_int_equal(port->chosen < 0 ? -1 : (int)port->gids[port->chosen].index, cases[i].chosen);
		/* Without a GID the kernel's word is enough to know the net device. */
		assert_string_equal(machine->nics[0].rdma.device, "rxe0");
		assert_string_equal(port->net_device, "eth0");
		assert_int_equal(machine->nics[0].rdma.gid[0] != '\0', cases[i].chosen >= 0);
		/* A software device's rate is made up. */
		assert_true(isnan(machine->nics[0].link_gbps));
		machine_free(machine);
	}
}

static void link_local_gids_are_known_by_their_hardware(void **state)
{
	struct machine *machine = machine_new();
	const struct fm_rdma_port *port;

	(void)state;
	add_nic(machine, "eth0", "02:00:00:00:00:01", "ethernet", "");
	put_device(machine, "mlx5_0", "1: CA", "Ethernet", "4: ACTIVE", "0000:3b:00.0");
	put_gid(machine, "mlx5_0", 0, "fe80:0000:0000:0000:0000:00ff:fe00:0002", "RoCE v2", "eth0");
	put_gid(machine, "mlx5_0", 1, GID_LINK_LOCAL, "RoCE v2", "eth0");
	port = read_first(machine);
	assert_non_null(gid_of(port, 0)->refused);
	assert_int_equal(port->gids[port->chosen].index, 1);
	machine_free(machine);
}

static void infiniband_without_net_device(void **state)
{
	struct machine *machine = machine_new();
	const struct fm_nic *nic;
	struct fm_nics *nics = test_calloc(1, sizeof(*nics));

	(void)state;
	add_nic(machine, "eth0", "02:00:00:00:00:01", "ethernet", "10.0.0.1");
	put_device(machine, "mlx5_1", "1: CA", "InfiniBand", "4: ACTIVE", "0000:5e:00.0");
	put_device(machine, "mlx5_0", "1: CA", "InfiniBand", "1: DOWN", "0000:3b:00.0");
	put_gid(machine, "mlx5_1", 0, GID_INFINIBAND("02"), "IB/RoCE v1", "");
	put_gid(machine, "mlx5_0", 0, GID_INFINIBAND("01"), "IB/RoCE v1", "");
	assert_string_equal(read_first(machine)->device, "mlx5_0");
	assert_int_equal(machine->count, 3);
	nic = &machine->nics[2];
	assert_string_equal(nic->name, "mlx5_1:1");
	assert_true(fm_nic_is_port(nic) && nic->up && nic->rdma.active);
	assert_string_equal(nic->pci, "0000:5e:00.0");
	assert_int_equal(nic->numa_node, 1);
	assert_string_equal(nic->link_layer, "infiniband");
	assert_string_equal(nic->rdma.gid_type, "InfiniBand");
	assert_float_equal(nic->link_gbps, 100, 1e-9);
	assert_int_equal(nic->address_count, 0);
	nic = &machine->nics[1];
	assert_true(!nic->up && isnan(nic->link_gbps));
	/* By each of its names. */
	nics->count = 3;
	memcpy(nics->list, machine->nics, 3 * sizeof(nics->list[0]));
	assert_ptr_equal(fm_nic_find(nics, "mlx5_1"), &nics->list[2]);
	assert_ptr_equal(fm_nic_find(nics, "mlx5_1:1"), &nics->list[2]);
	assert_ptr_equal(fm_nic_find(nics, "5e:00.0"), &nics->list[2]);
	assert_null(fm_nic_find(nics, "mlx5_1:2"));
	assert_null(fm_nic_find(nics, "mlx5_"));
	assert_null(fm_nic_find(nics, "mlx5_1x"));
	test_free(nics);
	machine_free(machine);
}

static void ipoib_by_function_and_port(void **state)
{
	struct machine *machine = machine_new();

	(void)state;
	add_nic(machine, "ib0", "", "infiniband", "10.0.0.1");
	add_nic(machine, "ib1", "", "infiniband", "10.0.1.1");
	put_device(machine, "mlx4_0", "1: CA", "InfiniBand", "4: ACTIVE", "0000:3b:00.0");
	put(machine, "InfiniBand", "class/infiniband/mlx4_0/ports/2/link_layer");
	put(machine, "4: ACTIVE", "class/infiniband/mlx4_0/ports/2/state");
	for (int i = 0; i < 2; i++) {
		put(machine, "-> ../../../devices/pci0000:3a/0000:3b:00.0", "class/net/ib%d/device", i);
		put(machine, i ? "1" : "0", "class/net/ib%d/dev_port", i);
	}
	read_first(machine);
	assert_int_equal(machine->rdma.count, 2);
	assert_int_equal(machine->count, 2);
	assert_string_equal(machine->nics[0].rdma.device, "mlx4_0");
	assert_int_equal(machine->nics[0].rdma.port, 1);
	assert_int_equal(machine->nics[1].rdma.port, 2);
	assert_string_equal(machine->rdma.ports[1].net_device, "ib1");
	machine_free(machine);
}

static void bond_and_vlan(void **state)
{
	struct machine *machine = machine_new();
	const struct fm_nic *bond = add_nic(machine, "bond0", "02:00:00:00:00:01", "ethernet", "10.0.0.1");
	const struct fm_nic *vlan = add_nic(machine, "bond0.7", "02:00:00:00:00:01", "ethernet", "10.7.0.1");
	const struct fm_rdma_port *port;

	(void)state;
	add_nic(machine, "eth0", "02:00:00:00:00:01", "ethernet", "");
	put_device(machine, "mlx5_bond_0", "1: CA", "Ethernet", "4: ACTIVE", "0000:3b:00.0");
	put_gid(machine, "mlx5_bond_0", 0, GID_V4("0a07:0001"), "RoCE v2", "bond0.7");
	put_gid(machine, "mlx5_bond_0", 1, GID_V4("0a00:0001"), "IB/RoCE v1", "bond0");
	put_gid(machine, "mlx5_bond_0", 2, GID_V4("0a00:0001"), "RoCE v2", "bond0");
	port = read_first(machine);
	/* Each net device has the GID of its own; the bond takes slot, node and rate from the port. */
	assert_int_equal(bond->rdma.gid_index, 2);
	assert_int_equal(vlan->rdma.gid_index, 0);
	assert_string_equal(bond->rdma.device, "mlx5_bond_0");
	assert_string_equal(bond->pci, "0000:3b:00.0");
	assert_int_equal(bond->numa_node, 1);
	assert_float_equal(bond->link_gbps, 100, 1e-9);
	assert_string_equal(machine->nics[2].rdma.device, "");
	assert_string_equal(port->net_device, "bond0.7");
	assert_int_equal(machine->count, 3);
	machine_free(machine);
}

static void what_is_no_nic(void **state)
{
	struct machine *machine = machine_new();
	char name[FM_RDMA_NAME_MAX + 8];

	(void)state;
	add_nic(machine, "pf0vf3", "02:00:00:00:00:03", "ethernet", "");
	add_nic(machine, "eth0", "02:00:00:00:00:01", "ethernet", "10.0.0.1");
	/* A representor of a virtual function. */
	put_device(machine, "mlx5_0", "1: CA", "Ethernet", "4: ACTIVE", "0000:3b:00.0");
	put(machine, "pf0vf3", "class/net/pf0vf3/phys_port_name");
	put(machine, "-> ../../../devices/pci0000:3a/0000:3b:00.0", "class/net/pf0vf3/device");
	/* A scalable function of InfiniBand without a net device. */
	put_device(machine, "mlx5_4", "1: CA", "InfiniBand", "4: ACTIVE", "");
	put(machine, "x", "devices/pci0000:3a/0000:3b:00.0/mlx5_core.sf.4/sfnum");
	put(machine, "-> ../../../devices/pci0000:3a/0000:3b:00.0/mlx5_core.sf.4", "class/infiniband/mlx5_4/device");
	/* One whose net device went to a container. */
	put_device(machine, "mlx5_5", "1: CA", "Ethernet", "4: ACTIVE", "0000:5e:00.0");
	put_gid(machine, "mlx5_5", 0, GID_V4("0a00:0001"), "RoCE v2", "net1");
	/* A second one over eth0. */
	put_device(machine, "rxe0", "1: CA", "Ethernet", "4: ACTIVE", "");
	put_device(machine, "rxe1", "1: CA", "Ethernet", "4: ACTIVE", "");
	put(machine, "eth0", "class/infiniband/rxe0/parent");
	put(machine, "eth0", "class/infiniband/rxe1/parent");
	/* A name beyond what a NIC's has room for. */
	snprintf(name, sizeof(name), "a_name_of_twenty_eight_bytes");
	assert_int_equal(strlen(name), 28);
	put_device(machine, name, "1: CA", "InfiniBand", "4: ACTIVE", "");
	read_first(machine);
	assert_int_equal(machine->count, 2);
	assert_string_equal(machine->nics[0].rdma.device, "");
	assert_string_equal(machine->nics[1].rdma.device, "rxe0");
	assert_int_equal(machine->rdma.count, 5);
	assert_string_equal(machine->rdma.ports[0].left_out, "its net device is a representor");
	assert_string_equal(machine->rdma.ports[1].left_out, "a scalable function without a net device here");
	assert_string_equal(machine->rdma.ports[2].left_out, "its net device is not in this network namespace");
	assert_null(machine->rdma.ports[3].left_out);
	assert_string_equal(machine->rdma.ports[4].left_out, "another RDMA device has its net device already");
	machine_free(machine);
}

/* Of two ports of one net device the one that is active: its GIDs are the net device's then. */
static void an_active_port_goes_first(void **state)
{
	struct machine *machine = machine_new();
	const struct fm_nic *nic = add_nic(machine, "eth0", "02:00:00:00:00:01", "ethernet", "10.0.0.1");

	(void)state;
	put_device(machine, "mlx5_0", "1: CA", "Ethernet", "1: DOWN", "0000:3b:00.0");
	put_device(machine, "mlx5_1", "1: CA", "Ethernet", "4: ACTIVE", "0000:3b:00.1");
	put_device(machine, "rxe0", "1: CA", "Ethernet", "4: ACTIVE", "");
	put_gid(machine, "mlx5_0", 3, GID_V4("0a00:0001"), "RoCE v2", "eth0");
	put_gid(machine, "mlx5_1", 5, GID_V4("0a00:0001"), "RoCE v2", "eth0");
	put_gid(machine, "rxe0", 1, GID_V4("0a00:0001"), "RoCE v2", "eth0");
	read_first(machine);
	assert_string_equal(nic->rdma.device, "mlx5_1");
	assert_int_equal(nic->rdma.gid_index, 5);
	assert_int_equal(nic->addresses[0].gid_index, 5);
	assert_string_equal(machine->rdma.ports[0].left_out,
			    "it is not active, and another RDMA device of its net device is");
	assert_null(machine->rdma.ports[1].left_out);
	assert_string_equal(machine->rdma.ports[2].left_out, "another RDMA device has its net device already");
	/* A rate in software is none. */
	assert_string_equal(machine->rdma.ports[1].rate, "100 Gb/sec (4X EDR)");
	assert_string_equal(machine->rdma.ports[2].rate, "");
	machine_free(machine);
}

/* EFA: neither InfiniBand nor Ethernet, no net device, one GID that stands for itself. */
static void efa_is_a_nic_of_its_own(void **state)
{
	struct machine *machine = machine_new();
	const struct fm_nic *nic;

	(void)state;
	put_device(machine, "rdmap0s6", "7: unspecified", "Unspecified", "4: ACTIVE", "0000:00:06.0");
	put_gid(machine, "rdmap0s6", 0, GID_INFINIBAND("01"), "IB/RoCE v1", "");
	read_first(machine);
	assert_int_equal(machine->count, 1);
	nic = &machine->nics[0];
	assert_string_equal(nic->name, "rdmap0s6:1");
	assert_string_equal(nic->link_layer, "unspecified");
	assert_true(nic->up && nic->rdma.active);
	assert_int_equal(nic->rdma.gid_index, 0);
	assert_string_equal(nic->rdma.gid_type, "native");
	machine_free(machine);
}

static void iwarp_by_hardware_address(void **state)
{
	struct machine *machine = machine_new();

	(void)state;
	add_nic(machine, "eth0", "ea:0c:06:b3:e9:fb", "ethernet", "10.0.0.1");
	put_device(machine, "siw0", "4: RNIC", "Ethernet", "4: ACTIVE", "");
	put_gid(machine, "siw0", 0, "ea0c:06b3:e9fb:0000:0000:0000:0000:0000", "IB/RoCE v1", "");
	assert_string_equal(read_first(machine)->gids[0].type, "iWARP");
	assert_string_equal(machine->nics[0].rdma.device, "siw0");
	assert_string_equal(machine->nics[0].rdma.gid_type, "iWARP");
	machine_free(machine);
}

/* More GIDs than are kept: one that can be taken is never lost to those that can't. */
static void a_full_table(void **state)
{
	struct machine *machine = machine_new();
	const struct fm_rdma_port *port;

	(void)state;
	add_nic(machine, "eth0", "02:00:00:00:00:01", "ethernet", "10.0.0.1");
	put_device(machine, "mlx5_0", "1: CA", "Ethernet", "4: ACTIVE", "0000:3b:00.0");
	for (int i = 0; i < 2 * FM_RDMA_GIDS_MAX; i++)
		put_gid(machine, "mlx5_0", i, i == 100 ? GID_V4("0a00:0001") : GID_V4("0a01:0001"), "RoCE v2",
			i == 100 ? "eth0" : "pod");
	port = read_first(machine);
	assert_int_equal(port->gid_count, FM_RDMA_GIDS_MAX);
	assert_int_equal(port->gids[port->chosen].index, 100);
	machine_free(machine);
}

static void assert_missing(struct machine *machine, const char *const *expected)
{
	char dev[64];
	const struct fm_rdma_roots roots = {machine->root, dev, machine->root};
	struct fm_nics *nics = test_calloc(1, sizeof(*nics));
	json_t *list;
	size_t i;

	snprintf(dev, sizeof(dev), "%s/dev", machine->root);
	nics->count = (uint32_t)machine->count;
	memcpy(nics->list, machine->nics, machine->count * sizeof(nics->list[0]));
	list = fm_rdma_missing(&roots, &machine->rdma, nics);
	for (i = 0; expected[i]; i++) {
		const char *found = json_string_value(json_array_get(list, i));

		if (!found || !strstr(found, expected[i]))
			fail_msg("'%s' is not in '%s'", expected[i], found ? found : "nothing");
	}
	assert_int_equal(json_array_size(list), i);
	json_decref(list);
	test_free(nics);
}

static void what_is_missing(void **state)
{
	struct machine *machine = machine_new();
	struct fm_nic *nic = add_nic(machine, "eth0", "02:00:00:00:00:01", "ethernet", "10.0.0.1");

	(void)state;
	assert_int_equal(fm_rdma_read(machine->root, machine->nics, &machine->count, &machine->rdma, &machine->error),
			 0);
	assert_int_equal(machine->rdma.count, 0);
	assert_missing(machine, (const char *const[]){"modprobe ib_uverbs", "rdma link add", NULL});
	/* A NIC that has RDMA, without its module. */
	snprintf(nic->driver, sizeof(nic->driver), "bnxt_en");
	snprintf(nic->pci, sizeof(nic->pci), "0000:3b:00.0");
	assert_missing(machine, (const char *const[]){"modprobe bnxt_re", NULL});
	put(machine, "x", "class/infiniband/.keep");
	put(machine, "N", "module/ib_core/parameters/netns_mode");
	assert_missing(machine, (const char *const[]){"rdma system set netns shared", "modprobe bnxt_re", NULL});
	/* The device without the rest, each in turn. */
	put_device(machine, "bnxt_re0", "1: CA", "Ethernet", "1: DOWN", "0000:3b:00.0");
	put(machine, "x", "bus/pci/drivers/bnxt_en/bind");
	put(machine, "-> ../../../bus/pci/drivers/bnxt_en", "devices/pci0000:3a/0000:3b:00.0/driver");
	read_first(machine);
	assert_missing(machine, (const char *const[]){"bnxt_re0 has no device file", "ibverbs-providers",
						      "no RDMA port is active", NULL});
	fm_rdma_free(&machine->rdma);
	put(machine, "bnxt_re0", "class/infiniband_verbs/uverbs3/ibdev");
	put(machine, "4: ACTIVE", "class/infiniband/bnxt_re0/ports/1/state");
	machine->count = 1;
	read_first(machine);
	assert_missing(machine, (const char *const[]){"a container must be given it", "ibverbs-providers", NULL});
	put(machine, "x", "dev/infiniband/uverbs3");
	put(machine, "driver bnxt_re", "etc/libibverbs.d/bnxt_re.driver");
	assert_missing(machine, (const char *const[]){NULL});
	machine_free(machine);
}

/* Of iWARP the connection manager is part of what must be here. */
static void what_iwarp_lacks(void **state)
{
	struct machine *machine = machine_new();

	(void)state;
	add_nic(machine, "eth0", "ea:0c:06:b3:e9:fb", "ethernet", "10.0.0.1");
	put_device(machine, "siw0", "4: RNIC", "Ethernet", "4: ACTIVE", "");
	put_gid(machine, "siw0", 0, "ea0c:06b3:e9fb:0000:0000:0000:0000:0000", "IB/RoCE v1", "");
	put(machine, "siw0", "class/infiniband_verbs/uverbs0/ibdev");
	put(machine, "x", "dev/infiniband/uverbs0");
	put(machine, "driver siw", "etc/libibverbs.d/siw.driver");
	read_first(machine);
	assert_missing(machine, (const char *const[]){"modprobe rdma_ucm", NULL});
	put(machine, "x", "dev/infiniband/rdma_cm");
	assert_missing(machine, (const char *const[]){NULL});
	machine_free(machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gids_in_odd_order),
		cmocka_unit_test(what_decides_between_two),
		cmocka_unit_test(link_local_gids_are_known_by_their_hardware),
		cmocka_unit_test(infiniband_without_net_device),
		cmocka_unit_test(ipoib_by_function_and_port),
		cmocka_unit_test(bond_and_vlan),
		cmocka_unit_test(what_is_no_nic),
		cmocka_unit_test(an_active_port_goes_first),
		cmocka_unit_test(efa_is_a_nic_of_its_own),
		cmocka_unit_test(iwarp_by_hardware_address),
		cmocka_unit_test(a_full_table),
		cmocka_unit_test(what_is_missing),
		cmocka_unit_test(what_iwarp_lacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
