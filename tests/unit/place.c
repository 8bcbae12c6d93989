/*
 * place.c - CPUs as lists and files, cgroup quotas, and where measuring threads go on synthetic machines.
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

#include "topology/cgroup.h"
#include "topology/placement.h"

struct machine {
	struct fm_nics nics;
	struct fm_cpus cpus;
	struct fm_rail rails[FM_RAILS_MAX];
	struct fm_place place, other;
	struct fm_error error;
};

/* sockets x cores x SMT, numbered as Linux does: all first threads, then all siblings. Devices mlx0 on the last node.
 */
static struct machine *machine_new(int sockets, int cores, int smt)
{
	struct machine *machine = test_calloc(1, sizeof(*machine));
	int physical = sockets * cores;

	for (int cpu = 0; cpu < physical * smt; cpu++) {
		machine->cpus.list[cpu] = cpu;
		machine->cpus.core[cpu] = cpu % physical;
		machine->cpus.numa_node[cpu] = cpu % physical / cores;
	}
	machine->cpus.count = (uint32_t)(physical * smt);
	machine->cpus.quota = NAN;
	machine->nics.count = 3;
	for (uint32_t i = 0; i < 3; i++) {
		struct fm_nic *nic = &machine->nics.list[i];

		snprintf(nic->name, sizeof(nic->name), i < 2 ? "mlx%u" : "lo", i);
		snprintf(nic->addresses[0].text, FM_ADDRESS_MAX, i < 2 ? "10.%u.0.1" : "127.0.0.1", i);
		nic->addresses[0].family = 2;
		nic->address_count = 1;
		nic->up = true;
		nic->loopback = i == 2;
		nic->mtu = 9000 + i;
		nic->link_gbps = i < 2 ? 100 : NAN;
		nic->numa_node = i == 0 ? sockets - 1 : i == 1 ? 0 : -1;
	}
	snprintf(machine->nics.list[0].addresses[1].text, FM_ADDRESS_MAX, "fe80::1%%mlx0");
	machine->nics.list[0].addresses[1].family = 10;
	machine->nics.list[0].addresses[1].link_local = true;
	machine->nics.list[0].address_count = 2;
	machine->rails[0] = (struct fm_rail){"lo", "lo", "127.0.0.1", "127.0.0.1", "for the test"};
	return machine;
}

static void machine_mask(struct machine *machine, const char *text)
{
	static int keep[FM_CPUS_MAX];
	struct fm_cpus *cpus = &machine->cpus;
	uint32_t count, used = 0;

	assert_int_equal(fm_cpus_parse(text, keep, FM_CPUS_MAX, &count, &machine->error), 0);
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t j = 0; j < cpus->count; j++)
			if (cpus->list[j] == keep[i]) {
				cpus->list[used] = cpus->list[j];
				cpus->core[used] = cpus->core[j];
				cpus->numa_node[used++] = cpus->numa_node[j];
			}
	cpus->count = used;
}

static struct fm_place_request request(const struct machine *machine, uint32_t threads)
{
	return (struct fm_place_request){
		.rails = machine->rails, .rail_count = 1, .cpus = "", .threads = threads, .share = 0, .shares = 1};
}

static void decide(struct machine *machine, const struct fm_place_request *asked)
{
	machine->error.text[0] = '\0';
	if (fm_place_decide(&machine->nics, &machine->cpus, asked, &machine->place, &machine->error) < 0)
		fail_msg("%s", machine->error.text);
}

static void assert_cpus(const struct fm_place *place, uint32_t rail, const char *expected)
{
	char text[256];

	assert_string_equal(fm_cpus_format(place->rails[rail].cpus, place->rails[rail].cpu_count, text, sizeof(text)),
			    expected);
}

static void list_round_trips(void **state)
{
	static const char *const same[] = {"0", "0-3,8", "1,3,5", "0-4095", "7-8"};
	static const char *const bad[] = {"",
					  ",",
					  "1,",
					  "x",
					  "3-1",
					  "-1",
					  "1-",
					  "4096",
					  "0-3:2",
					  " 1",
					  "1 ",
					  "0x1",
					  "99999999999999999999",
					  "1,,2",
					  "0-3,8-"};
	static int list[FM_CPUS_MAX];
	struct fm_error error = {0};
	uint32_t count;
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		assert_int_equal(fm_cpus_parse(same[i], list, FM_CPUS_MAX, &count, &error), 0);
		assert_string_equal(fm_cpus_format(list, count, text, sizeof(text)), same[i]);
	}
	assert_int_equal(fm_cpus_parse("5,3,4,3-5,0", list, FM_CPUS_MAX, &count, &error), 0);
	assert_string_equal(fm_cpus_format(list, count, text, sizeof(text)), "0,3-5");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		count = 77;
		assert_int_equal(fm_cpus_parse(bad[i], list, FM_CPUS_MAX, &count, &error), -EINVAL);
		assert_int_equal(count, 77);
	}
	assert_int_equal(fm_cpus_parse("1,zwei", list, FM_CPUS_MAX, &count, &error), -EINVAL);
	assert_non_null(strstr(error.text, "'zwei' is no CPU"));
	assert_int_equal(fm_cpus_parse("0-4", list, 4, &count, &error), -EINVAL);
	assert_int_equal(fm_cpus_parse("0-3", list, 4, &count, &error), 0);
}

static void list_is_cut_at_whole_numbers(void **state)
{
	static const int list[] = {100, 200, 300, 400};
	char text[64];

	(void)state;
	assert_string_equal(fm_cpus_format(list, 4, text, 16), "100,200,300,400");
	assert_string_equal(fm_cpus_format(list, 4, text, 15), "100,200,...");
	assert_string_equal(fm_cpus_format(list, 4, text, 12), "100,200,...");
	assert_string_equal(fm_cpus_format(list, 4, text, 11), "100,...");
	for (size_t bytes = 1; bytes < 20; bytes++)
		assert_true(strlen(fm_cpus_format(list, 4, text, bytes)) < bytes);
	assert_string_equal(fm_cpus_format(list, 0, text, 8), "");
}

static void one_thread_leaves_cpu_0_alone(void **state)
{
	struct machine *machine = machine_new(1, 4, 2);
	struct fm_place_request asked = request(machine, 1);

	(void)state;
	decide(machine, &asked);
	assert_cpus(&machine->place, 0, "1");
	assert_int_equal(machine->place.rails[0].shared_cpus, 0);
	assert_string_equal(machine->place.rails[0].device, "lo");
	assert_string_equal(machine->place.rails[0].reason, "for the test; CPU 1");
	assert_int_equal(machine->place.rails[0].gpu, -1);
	assert_true(isnan(machine->place.rails[0].link_gbps));
	test_free(machine);
}

static void device_on_node_1(void **state)
{
	struct machine *machine = machine_new(2, 4, 2);
	struct fm_place_request asked = request(machine, 4);

	(void)state;
	machine->rails[0] = (struct fm_rail){"mlx0", "", "10.0.0.1", "10.0.0.2", "same subnet 10.0.0.0/24"};
	decide(machine, &asked);
	assert_cpus(&machine->place, 0, "4-7");
	assert_int_equal(machine->place.rails[0].numa_node, 1);
	assert_int_equal(machine->place.rails[0].mtu, 9000);
	assert_string_equal(machine->place.rails[0].reason, "same subnet 10.0.0.0/24; CPUs 4-7 on the device's node 1");
	/* Beyond the node: other cores before siblings, CPU 0 and its sibling last. */
	asked.threads = 7;
	decide(machine, &asked);
	assert_cpus(&machine->place, 0, "4-7,1-3");
	asked.threads = 9;
	decide(machine, &asked);
	assert_cpus(&machine->place, 0, "4-7,1-3,8,12");
	assert_non_null(strstr(machine->place.rails[0].reason, ", 4 off the device's node 1"));
	test_free(machine);
}

static void mask_with_holes(void **state)
{
	struct machine *machine = machine_new(2, 4, 2);
	struct fm_place_request asked = request(machine, 3);

	(void)state;
	/* Cores 2, 5, 7 (with 5's sibling 13): node 1 has more cores, so it is home. */
	machine_mask(machine, "2,5,13,15");
	decide(machine, &asked);
	assert_cpus(&machine->place, 0, "5,15,2");
	assert_int_equal(machine->place.rails[0].shared_cpus, 0);
	asked.threads = 4;
	decide(machine, &asked);
	assert_cpus(&machine->place, 0, "5,15,2,13");
	assert_int_equal(machine->place.rails[0].shared_cpus, 0);
	test_free(machine);
}

static void one_cpu_only(void **state)
{
	struct machine *machine = machine_new(1, 1, 1);
	struct fm_place_request asked = request(machine, 3);

	(void)state;
	decide(machine, &asked);
	assert_cpus(&machine->place, 0, "0");
	assert_int_equal(machine->place.rails[0].shared_cpus, 1);
	assert_non_null(strstr(machine->place.rails[0].reason, "CPU 0; shared: 3 threads on 1 CPU"));
	test_free(machine);
}

static void quota_is_said(void **state)
{
	struct machine *machine = machine_new(1, 8, 1);
	struct fm_place_request asked = request(machine, 4);

	(void)state;
	machine->cpus.quota = 1.5;
	decide(machine, &asked);
	assert_cpus(&machine->place, 0, "1-4");
	assert_int_equal(machine->place.rails[0].shared_cpus, 1);
	assert_non_null(strstr(machine->place.rails[0].reason, "the cgroup grants 1.5 CPUs for 4 threads"));
	asked.threads = 1;
	decide(machine, &asked);
	assert_int_equal(machine->place.rails[0].shared_cpus, 0);
	/* The other end on this machine lives on the same quota. */
	asked.shares = 2;
	decide(machine, &asked);
	assert_int_equal(machine->place.rails[0].shared_cpus, 1);
	test_free(machine);
}

static void both_ends(struct machine *machine, struct fm_place_request asked)
{
	asked.shares = 2;
	asked.share = 1;
	asked.side_b = true;
	decide(machine, &asked);
	machine->other = machine->place;
	asked.share = 0;
	asked.side_b = false;
	decide(machine, &asked);
}

static void both_ends_on_two_cpus(void **state)
{
	struct machine *machine = machine_new(1, 2, 1);

	(void)state;
	both_ends(machine, request(machine, 1));
	assert_cpus(&machine->place, 0, "1");
	assert_cpus(&machine->other, 0, "0");
	assert_int_equal(machine->place.rails[0].shared_cpus, 0);
	assert_int_equal(machine->other.rails[0].shared_cpus, 0);
	both_ends(machine, request(machine, 2));
	assert_int_equal(machine->place.rails[0].shared_cpus, 1);
	assert_int_equal(machine->other.rails[0].shared_cpus, 1);
	assert_int_equal(machine->place.rails[0].cpu_count, 2);
	machine_mask(machine, "1");
	both_ends(machine, request(machine, 1));
	assert_cpus(&machine->place, 0, "1");
	assert_cpus(&machine->other, 0, "1");
	assert_int_equal(machine->place.rails[0].shared_cpus, 1);
	assert_int_equal(machine->other.rails[0].shared_cpus, 1);
	assert_non_null(strstr(machine->other.rails[0].reason, "shared: 2 threads on 1 CPU"));
	test_free(machine);
}

static void both_ends_on_different_cores_of_one_node(void **state)
{
	struct machine *machine = machine_new(2, 4, 2);

	(void)state;
	both_ends(machine, request(machine, 1));
	assert_cpus(&machine->place, 0, "1");
	assert_cpus(&machine->other, 0, "2");
	/* Each beside its own device: A's on node 1, B's on node 0; both ends must agree on who has what. */
	machine->rails[0] = (struct fm_rail){"mlx0", "mlx1", "10.0.0.1", "10.1.0.1", "asked for"};
	both_ends(machine, request(machine, 2));
	assert_cpus(&machine->place, 0, "4-5");
	assert_cpus(&machine->other, 0, "1-2");
	assert_string_equal(machine->other.rails[0].device, "mlx1");
	assert_string_equal(machine->other.rails[0].address, "10.1.0.1");
	test_free(machine);
}

/* No CPU serves two threads while there are enough, and both ends come to the same deal. */
static void no_overlap_while_there_are_enough(void **state)
{
	struct machine *machine = machine_new(2, 16, 2);

	(void)state;
	for (uint32_t threads = 1; threads <= 16; threads++) {
		bool taken[64] = {false};
		struct fm_place_request asked = request(machine, threads);

		asked.rail_count = 2;
		machine->rails[0] = (struct fm_rail){"mlx0", "mlx1", "10.0.0.1", "10.1.0.1", ""};
		machine->rails[1] = (struct fm_rail){"mlx1", "mlx0", "10.1.0.1", "10.0.0.1", ""};
		both_ends(machine, asked);
		for (uint32_t i = 0; i < 4 * threads; i++) {
			const struct fm_place *place = i < 2 * threads ? &machine->place : &machine->other;
			const struct fm_place_rail *rail = &place->rails[i / threads % 2];
			int cpu = rail->cpus[i % threads];

			assert_int_equal(rail->cpu_count, threads);
			assert_int_equal(rail->shared_cpus, 0);
			assert_false(taken[cpu]);
			taken[cpu] = true;
		}
		assert_int_equal(taken[0], threads == 16);
	}
	test_free(machine);
}

static void sixty_four_threads(void **state)
{
	struct machine *machine = machine_new(2, 32, 2);
	struct fm_place_request asked = request(machine, 64);

	(void)state;
	decide(machine, &asked);
	assert_int_equal(machine->place.rails[0].cpu_count, 64);
	assert_int_equal(machine->place.rails[0].shared_cpus, 0);
	for (int i = 0; i < 64; i++)
		for (int j = 0; j < i; j++)
			assert_int_not_equal(machine->place.rails[0].cpus[i] % 64,
					     machine->place.rails[0].cpus[j] % 64);
	machine_mask(machine, "0-2");
	decide(machine, &asked);
	assert_cpus(&machine->place, 0, "1-2,0");
	assert_int_equal(machine->place.rails[0].shared_cpus, 1);
	asked.threads = 65;
	assert_int_equal(fm_place_decide(&machine->nics, &machine->cpus, &asked, &machine->place, &machine->error),
			 -EINVAL);
	test_free(machine);
}

static void cpus_asked_for(void **state)
{
	struct machine *machine = machine_new(1, 8, 1);
	struct fm_place_request asked = request(machine, 2);

	(void)state;
	machine_mask(machine, "0-3,6");
	asked.cpus = "3,6";
	decide(machine, &asked);
	assert_cpus(&machine->place, 0, "3,6");
	assert_non_null(strstr(machine->place.rails[0].reason, "CPUs 3,6 asked for"));
	asked.cpus = "3,5";
	assert_int_equal(fm_place_decide(&machine->nics, &machine->cpus, &asked, &machine->place, &machine->error),
			 -EINVAL);
	assert_non_null(strstr(machine->error.text, "CPU 5 "));
	assert_non_null(strstr(machine->error.text, "0-3,6"));
	asked.cpus = "3";
	assert_int_equal(fm_place_decide(&machine->nics, &machine->cpus, &asked, &machine->place, &machine->error),
			 -EINVAL);
	assert_non_null(strstr(machine->error.text, "1 CPU for 2 threads"));
	asked.cpus = "3,";
	assert_int_equal(fm_place_decide(&machine->nics, &machine->cpus, &asked, &machine->place, &machine->error),
			 -EINVAL);
	assert_int_equal(machine->error.reason, FM_REASON_USAGE);
	assert_cpus(&machine->place, 0, "3,6");
	test_free(machine);
}

static void other_end_asked_for_cpus(void **state)
{
	struct machine *machine = machine_new(1, 4, 1);
	struct fm_place_request asked = request(machine, 1);

	(void)state;
	asked.shares = 2;
	asked.other_cpus = "1";
	decide(machine, &asked);
	assert_cpus(&machine->place, 0, "2");
	assert_int_equal(machine->place.rails[0].shared_cpus, 0);
	asked.cpus = "1";
	decide(machine, &asked);
	assert_cpus(&machine->place, 0, "1");
	assert_int_equal(machine->place.rails[0].shared_cpus, 1);
	assert_non_null(strstr(machine->place.rails[0].reason, "shared with other measuring threads"));
	asked.cpus = "";
	asked.other_cpus = "garbage";
	decide(machine, &asked);
	assert_cpus(&machine->place, 0, "1");
	test_free(machine);
}

static void nothing_known_of_nodes(void **state)
{
	struct machine *machine = machine_new(2, 2, 1);
	struct fm_place_request asked = request(machine, 2);

	(void)state;
	for (uint32_t i = 0; i < machine->cpus.count; i++)
		machine->cpus.numa_node[i] = -1;
	machine->nics.list[0].numa_node = -1;
	machine->rails[0] = (struct fm_rail){"mlx0", "", "10.0.0.1", "10.0.0.2", ""};
	decide(machine, &asked);
	assert_cpus(&machine->place, 0, "1-2");
	assert_string_equal(machine->place.rails[0].reason, "CPUs 1-2");
	test_free(machine);
}

/* The RDMA port of each rail, and the GID of its data address. */
static void rdma_ports_are_told(void **state)
{
	struct machine *machine = machine_new(1, 2, 1);
	struct fm_place_request asked = request(machine, 1);
	struct fm_nic *nic = &machine->nics.list[0];
	const struct fm_place_rail *rail = &machine->place.rails[0];

	(void)state;
	nic->rdma = (struct fm_nic_rdma){.device = "mlx5_3", .port = 2, .active = true, .gid_index = 4};
	nic->addresses[0].gid_index = 7;
	nic->addresses[1].gid_index = -1;
	machine->rails[0] = (struct fm_rail){"mlx0", "", "10.0.0.1", "10.0.0.2", ""};
	decide(machine, &asked);
	assert_string_equal(rail->device, "mlx0");
	assert_string_equal(rail->rdma_device, "mlx5_3");
	assert_int_equal(rail->port, 2);
	assert_int_equal(rail->gid_index, 7);
	/* An address without a GID: the best one there is. */
	machine->rails[0] = (struct fm_rail){"mlx0", "", "fe80::1", "fe80::2", ""};
	decide(machine, &asked);
	assert_int_equal(rail->gid_index, 4);
	/* No net device, no address. */
	snprintf(nic->name, sizeof(nic->name), "mlx5_3:2");
	nic->address_count = 0;
	machine->rails[0] = (struct fm_rail){"mlx5_3:2", "mlx5_3:2", "", "", ""};
	decide(machine, &asked);
	assert_string_equal(rail->device, "mlx5_3");
	assert_string_equal(rail->address, "");
	assert_int_equal(rail->port, 2);
	machine->rails[0] = (struct fm_rail){"mlx1", "", "10.1.0.1", "10.1.0.2", ""};
	decide(machine, &asked);
	assert_string_equal(rail->rdma_device, "");
	assert_int_equal(rail->port + rail->gid_index, 0);
	test_free(machine);
}

static void rails_are_checked(void **state)
{
	struct machine *machine = machine_new(1, 2, 1);
	struct fm_place_request asked = request(machine, 1);

	(void)state;
	machine->rails[0] = (struct fm_rail){"eth7", "", "10.0.0.1", "10.0.0.2", ""};
	assert_int_equal(fm_place_decide(&machine->nics, &machine->cpus, &asked, &machine->place, &machine->error),
			 -ENODEV);
	assert_non_null(strstr(machine->error.text, "no net device 'eth7'"));
	machine->rails[0] = (struct fm_rail){"mlx0", "", "10.1.0.1", "10.0.0.2", ""};
	assert_int_equal(fm_place_decide(&machine->nics, &machine->cpus, &asked, &machine->place, &machine->error),
			 -ENODEV);
	machine->rails[0] = (struct fm_rail){"mlx0", "", "fe80::1", "fe80::2", ""};
	decide(machine, &asked);
	assert_string_equal(machine->place.rails[0].address, "fe80::1%mlx0");
	/* Only the address is known: translated on the way, or one of a device that is not listed. */
	machine->rails[0] = (struct fm_rail){"", "", "172.16.0.9", "10.0.0.2", ""};
	decide(machine, &asked);
	assert_string_equal(machine->place.rails[0].device, "");
	assert_int_equal(machine->place.rails[0].numa_node, -1);
	memset(machine->rails[0].reason, 'x', sizeof(machine->rails[0].reason) - 1);
	decide(machine, &asked);
	assert_non_null(strstr(machine->place.rails[0].reason, "x; CPU 1"));
	test_free(machine);
}

static char *tree_new(void)
{
	char *root = test_malloc(32);

	snprintf(root, 32, "/tmp/fm-place-XXXXXX");
	assert_non_null(mkdtemp(root));
	return root;
}

static void tree_write(const char *root, const char *path, const char *text, size_t bytes)
{
	char full[256];
	FILE *file;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		mkdir(full, 0700);
		*at = '/';
	}
	file = fopen(full, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, bytes, file), bytes);
	fclose(file);
}

static void tree_text(const char *root, const char *path, const char *text)
{
	tree_write(root, path, text, strlen(text));
}

static void tree_free(char *root)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", root);
	assert_int_equal(system(command), 0);
	test_free(root);
}

static void cpus_of_this_machine(void **state)
{
	struct fm_cpus *cpus = test_calloc(1, sizeof(*cpus));
	struct fm_error error;

	(void)state;
	assert_int_equal(fm_cpus_read("/sys", cpus, &error), 0);
	assert_true(cpus->count >= 1);
	for (uint32_t i = 0; i < cpus->count; i++) {
		assert_true(i == 0 || cpus->list[i] > cpus->list[i - 1]);
		assert_true(cpus->core[i] >= 0 && cpus->core[i] <= cpus->list[i]);
	}
	assert_int_equal(fm_cpus_read("/nowhere", cpus, &error), 0);
	for (uint32_t i = 0; i < cpus->count; i++) {
		assert_int_equal(cpus->core[i], cpus->list[i]);
		assert_int_equal(cpus->numa_node[i], -1);
	}
	test_free(cpus);
}

static void cpus_of_a_garbled_tree(void **state)
{
	struct fm_cpus *cpus = test_calloc(1, sizeof(*cpus));
	char *root = tree_new();
	struct fm_error error;
	char path[128];

	(void)state;
	tree_text(root, "devices/system/node/node3/cpulist", "0-4095\n");
	tree_write(root, "devices/system/node/node4/cpulist", "0-\0\377", 4);
	tree_text(root, "devices/system/node/node5/cpulist", "");
	tree_text(root, "devices/system/node/nodeX/cpulist", "0");
	tree_text(root, "devices/system/node/node99999999999/cpulist", "0");
	assert_int_equal(fm_cpus_read("/sys", cpus, &error), 0);
	for (uint32_t i = 0; i < cpus->count; i++) {
		snprintf(path, sizeof(path), "devices/system/cpu/cpu%d/topology/thread_siblings_list", cpus->list[i]);
		tree_text(root, path, i % 2 ? "4000-4001" : "0-9999\n");
	}
	assert_int_equal(fm_cpus_read(root, cpus, &error), 0);
	for (uint32_t i = 0; i < cpus->count; i++) {
		assert_int_equal(cpus->core[i], cpus->list[i]);
		assert_int_equal(cpus->numa_node[i], 3);
	}
	tree_free(root);
	test_free(cpus);
}

static double quota_of(const char *root, const char *cgroup, const char *mount_root, const char *type)
{
	char text[512], proc[128];

	snprintf(text, sizeof(text),
		 "garbage\n1 2 3\n22 1 0:20 / / rw - ext4 /dev/x rw\n25 1 0:21 %s %s/fs rw,nosuid shared:9 - %s\n",
		 mount_root, root, type);
	tree_text(root, "proc/mountinfo", text);
	tree_text(root, "proc/cgroup", cgroup);
	snprintf(proc, sizeof(proc), "%s/proc", root);
	return fm_cgroup_quota(proc);
}

static void quota_of_cgroup_v2(void **state)
{
	char *root = tree_new();

	(void)state;
	tree_text(root, "fs/a/b/cpu.max", "400000 100000\n");
	tree_text(root, "fs/a/cpu.max", "150000 100000\n");
	tree_text(root, "fs/cpu.max", "max 100000\n");
	assert_float_equal(quota_of(root, "0::/a/b\n", "/", "cgroup2 cgroup2 rw"), 1.5, 1e-9);
	assert_true(isnan(quota_of(root, "0::/\n", "/", "cgroup2 cgroup2 rw")));
	/* A container without a cgroup namespace: the mount shows a part of the tree. */
	assert_float_equal(quota_of(root, "0::/docker/x/a/b\n", "/docker/x", "cgroup2 cgroup2 rw"), 1.5, 1e-9);
	tree_text(root, "fs/cpu.max", "50000 100000\n");
	assert_float_equal(quota_of(root, "0::/../elsewhere\n", "/", "cgroup2 cgroup2 rw"), 0.5, 1e-9);
	assert_float_equal(quota_of(root, "0::/a/b\n", "/", "cgroup2 cgroup2 rw"), 0.5, 1e-9);
	tree_write(root, "fs/cpu.max", "1\0 2", 4);
	assert_float_equal(quota_of(root, "0::/a/b\n", "/", "cgroup2 cgroup2 rw"), 1.5, 1e-9);
	tree_text(root, "fs/a/cpu.max", "150000");
	tree_text(root, "fs/a/b/cpu.max", "-3 0");
	assert_true(isnan(quota_of(root, "0::/a/b\n", "/", "cgroup2 cgroup2 rw")));
	assert_true(isnan(quota_of(root, "nonsense\n::\n0:\n", "/", "cgroup2 cgroup2 rw")));
	assert_true(isnan(fm_cgroup_quota("/nowhere")));
	tree_free(root);
}

static void quota_of_cgroup_v1(void **state)
{
	char *root = tree_new();

	(void)state;
	tree_text(root, "fs/slurm/job/cpu.cfs_quota_us", "250000\n");
	tree_text(root, "fs/slurm/job/cpu.cfs_period_us", "100000\n");
	tree_text(root, "fs/slurm/cpu.cfs_quota_us", "-1\n");
	tree_text(root, "fs/slurm/cpu.cfs_period_us", "100000\n");
	assert_float_equal(quota_of(root, "9:cpuset:/x\n3:cpu,cpuacct:/slurm/job/step\n0::/y\n", "/",
				    "cgroup cgroup rw,cpu,cpuacct"),
			   2.5, 1e-9);
	assert_true(isnan(quota_of(root, "9:cpuset:/slurm/job\n", "/", "cgroup cgroup rw,cpuset")));
	assert_true(isnan(quota_of(root, "3:cpu,cpuacct:/slurm\n", "/", "cgroup cgroup rw,cpu,cpuacct")));
	tree_free(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(list_round_trips),
		cmocka_unit_test(list_is_cut_at_whole_numbers),
		cmocka_unit_test(one_thread_leaves_cpu_0_alone),
		cmocka_unit_test(device_on_node_1),
		cmocka_unit_test(mask_with_holes),
		cmocka_unit_test(one_cpu_only),
		cmocka_unit_test(quota_is_said),
		cmocka_unit_test(both_ends_on_two_cpus),
		cmocka_unit_test(both_ends_on_different_cores_of_one_node),
		cmocka_unit_test(no_overlap_while_there_are_enough),
		cmocka_unit_test(sixty_four_threads),
		cmocka_unit_test(cpus_asked_for),
		cmocka_unit_test(other_end_asked_for_cpus),
		cmocka_unit_test(nothing_known_of_nodes),
		cmocka_unit_test(rdma_ports_are_told),
		cmocka_unit_test(rails_are_checked),
		cmocka_unit_test(cpus_of_this_machine),
		cmocka_unit_test(cpus_of_a_garbled_tree),
		cmocka_unit_test(quota_of_cgroup_v2),
		cmocka_unit_test(quota_of_cgroup_v1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
