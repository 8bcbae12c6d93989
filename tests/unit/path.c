/*
 * path.c - device trees entry by entry, and path classes worked out by hand for small ones.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "topology/path.h"

enum {
	ROOT_PORT = 0x8086 << 16,
	SWITCH = 0x10b5 << 16,
	BROADCOM = 0x1000 << 16 | 0xc030,
	GPU = 0x10de << 16,
	NIC = 0x15b3 << 16
};

static struct fm_machine *machine_of(bool switches)
{
	struct fm_machine *machine = NULL;
	struct fm_error error;

	assert_int_equal(fm_machine_new("by hand", &machine, &error), 0);
	machine->switches = switches;
	return machine;
}

/* ids: vendor << 16 | part. GPUs and NICs become entries of their own. */
static int add(struct fm_machine *machine, const char *pci, uint32_t ids, int parent, int root, int numa_node)
{
	struct fm_device device;
	struct fm_error error;
	int index;

	fm_device_init(&device);
	snprintf(device.pci, sizeof(device.pci), "%s", pci);
	device.vendor_id = ids >> 16;
	device.part_id = ids & 0xffff;
	device.kind = ids == GPU ? FM_DEVICE_GPU : ids == NIC ? FM_DEVICE_NIC : FM_DEVICE_BRIDGE;
	device.parent = parent;
	device.root = root;
	device.numa_node = numa_node;
	index = fm_machine_add_device(machine, &device, &error);
	assert_true(index >= 0);
	if (ids == GPU) {
		struct fm_gpu gpu;

		fm_gpu_init(&gpu);
		gpu.device = (uint32_t)index;
		assert_true(fm_machine_add_gpu(machine, &gpu, &error) >= 0);
	} else if (ids == NIC) {
		struct fm_machine_nic nic;

		fm_machine_nic_init(&nic);
		nic.device = (uint32_t)index;
		assert_true(fm_machine_add_nic(machine, &nic, &error) >= 0);
	}
	return index;
}

static void assert_path(const struct fm_machine *machine, int a, int b, const char *expected)
{
	char text[16];

	assert_string_equal(fm_path_format(fm_path_between(machine, (uint32_t)a, (uint32_t)b), text, sizeof(text)),
			    expected);
	assert_string_equal(fm_path_format(fm_path_between(machine, (uint32_t)b, (uint32_t)a), text, sizeof(text)),
			    expected);
}

/* A switch below a root port, with a GPU, a NIC of two functions, and a second switch: as Linux lists their ports. */
static void test_ports(void **state)
{
	struct fm_machine *machine = machine_of(false);
	int port = add(machine, "0000:00:01.0", ROOT_PORT, -1, 0, 0);
	int up = add(machine, "0000:01:00.0", SWITCH, port, 0, 0);
	int gpu = add(machine, "0000:03:00.0", GPU, add(machine, "0000:02:00.0", SWITCH, up, 0, 0), 0, 0);
	int nic_port = add(machine, "0000:02:01.0", SWITCH, up, 0, 0);
	int nic = add(machine, "0000:04:00.0", NIC, nic_port, 0, 0);
	int second = add(machine, "0000:04:00.1", NIC, nic_port, 0, 0);
	int deeper = add(machine, "0000:05:00.0", SWITCH, add(machine, "0000:02:02.0", SWITCH, up, 0, 0), 0, 0);
	int far = add(machine, "0000:07:00.0", GPU, add(machine, "0000:06:00.0", SWITCH, deeper, 0, 0), 0, 0);
	int beside = add(machine, "0000:08:00.0", NIC, add(machine, "0000:00:02.0", ROOT_PORT, -1, 0, 0), 0, 0);
	int bridge = add(machine, "0000:40:00.0", NIC, -1, 1, 0);
	int socket = add(machine, "0000:80:00.0", NIC, -1, 2, 1);
	int nowhere = add(machine, "0000:c0:00.0", NIC, -1, 3, -1);

	(void)state;
	assert_path(machine, gpu, gpu, "X");
	assert_path(machine, gpu, nic, "PIX");
	assert_path(machine, nic, second, "PIX");
	assert_path(machine, far, nic, "PXB");
	assert_path(machine, gpu, beside, "PHB");
	assert_path(machine, gpu, bridge, "NODE");
	assert_path(machine, gpu, socket, "SYS");
	assert_path(machine, gpu, nowhere, "unknown");
	fm_machine_free(machine);
}

/* The same card below two levels of a Broadcom switch, which run as one, and of another, which don't. */
static void test_levels(void **state)
{
	const uint32_t kinds[] = {BROADCOM, SWITCH};
	const char *const classes[] = {"PIX", "PXB"};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct fm_machine *machine = machine_of(true);
		int top = add(machine, "0000:08:00.0", kinds[i], -1, 0, 0);
		int gpu = add(machine, "0000:0f:00.0", GPU, add(machine, "0000:0d:00.0", kinds[i], top, 0, 0), 0, 0);
		int nic = add(machine, "0000:0c:00.0", NIC, add(machine, "0000:0a:00.0", kinds[i], top, 0, 0), 0, 0);
		int direct = add(machine, "0000:09:00.0", NIC, top, 0, 0);

		assert_path(machine, gpu, nic, classes[i]);
		assert_path(machine, direct, nic, classes[i]);
		fm_machine_free(machine);
	}
	for (int i = 0; i < 2; i++) {
		struct fm_machine *machine = machine_of(false);
		int port = add(machine, "0000:00:01.0", ROOT_PORT, -1, 0, 0);
		int top = add(machine, "0000:01:00.0", kinds[i], port, 0, 0);
		int lower =
			add(machine, "0000:03:00.0", kinds[i], add(machine, "0000:02:00.0", kinds[i], top, 0, 0), 0, 0);
		int gpu = add(machine, "0000:05:00.0", GPU, add(machine, "0000:04:00.0", kinds[i], lower, 0, 0), 0, 0);
		int nic = add(machine, "0000:06:00.0", NIC, add(machine, "0000:02:01.0", kinds[i], top, 0, 0), 0, 0);

		assert_path(machine, gpu, nic, classes[i]);
		fm_machine_free(machine);
	}
}

static void test_one_node(void **state)
{
	struct fm_machine *machine = machine_of(false);
	const struct fm_machine_node node = {.number = 0, .package = 0}, another = {.number = 1, .package = 0};
	int a = add(machine, "0000:10:00.0", GPU, -1, 0, -1), b = add(machine, "0000:20:00.0", NIC, -1, 1, -1);
	struct fm_error error;

	(void)state;
	fm_machine_add_node(machine, &node, &error);
	assert_path(machine, a, b, "NODE");
	fm_machine_add_node(machine, &another, &error);
	assert_path(machine, a, b, "unknown");
	fm_machine_free(machine);
}

static void test_links(void **state)
{
	struct fm_machine *machine = machine_of(true);
	struct fm_gpu_link link = {0, 1, 4};
	struct fm_error error;
	char text[16];

	(void)state;
	/* Backwards, so that finishing turns them round. */
	for (int i = 3; i >= 0; i--) {
		char pci[FM_PCI_TEXT_MAX];

		snprintf(pci, sizeof(pci), "%04x:00:00.0", i == 3 ? 0x10000 : i);
		add(machine, pci, GPU, -1, i, i);
	}
	fm_machine_add_link(machine, &link, &error);
	machine->gpus[2].switched = 18;
	machine->gpus[3].switched = 12;
	fm_machine_finish(machine);
	assert_string_equal(machine->gpus[3].name, "GPU3");
	assert_string_equal(machine->devices[machine->gpus[3].device].pci, "10000:00:00.0");
	assert_string_equal(fm_path_format(fm_path_gpus(machine, 0, 1), text, sizeof(text)), "NV12");
	assert_string_equal(fm_path_format(fm_path_gpus(machine, 3, 2), text, sizeof(text)), "NV4");
	assert_string_equal(fm_path_format(fm_path_gpus(machine, 0, 2), text, sizeof(text)), "SYS");
	assert_string_equal(fm_path_format(fm_path_gpus(machine, 2, 2), text, sizeof(text)), "X");
	fm_machine_free(machine);
}

/* GH200: the NIC reaches the GPU through the CPU, by the GPU's own link. */
static void test_coherent(void **state)
{
	struct fm_machine *machine = machine_of(false);
	char text[16];

	(void)state;
	add(machine, "0009:01:00.0", GPU, -1, 0, 0);
	add(machine, "0000:01:00.0", NIC, -1, 1, 0);
	add(machine, "0010:01:00.0", NIC, -1, 2, 1);
	assert_string_equal(fm_path_format(fm_path_gpu_nic(machine, 0, 0), text, sizeof(text)), "NODE");
	machine->gpus[0].c2c_gbps = 3600;
	assert_string_equal(fm_path_format(fm_path_gpu_nic(machine, 0, 0), text, sizeof(text)), "C2C");
	assert_string_equal(fm_path_format(fm_path_gpu_nic(machine, 0, 1), text, sizeof(text)), "SYS");
	fm_machine_free(machine);
}

static void test_refused(void **state)
{
	struct fm_machine *machine = machine_of(false);
	struct fm_device device;
	struct fm_error error;

	(void)state;
	fm_device_init(&device);
	snprintf(device.pci, sizeof(device.pci), "0000:3b:00.0");
	assert_int_equal(fm_machine_add_device(machine, &device, &error), 0);
	assert_int_equal(fm_machine_add_device(machine, &device, &error), -EEXIST);
	assert_non_null(strstr(error.text, "0000:3b:00.0"));
	snprintf(device.pci, sizeof(device.pci), "0000:3c:00.0");
	device.parent = 1;
	assert_int_equal(fm_machine_add_device(machine, &device, &error), -EINVAL);
	assert_int_equal(fm_machine_find(machine, "3b:00.0"), 0);
	assert_int_equal(fm_machine_find(machine, "garbage"), -1);
	for (uint32_t i = 0; i < FM_MACHINE_GPUS_MAX; i++) {
		const struct fm_gpu gpu = {.device = 0};

		assert_int_equal(fm_machine_add_gpu(machine, &gpu, &error), (int)i);
	}
	assert_int_equal(fm_machine_add_gpu(machine, &(struct fm_gpu){.device = 0}, &error), -E2BIG);
	fm_machine_free(machine);
	fm_machine_free(NULL);
}

static void test_kinds(void **state)
{
	(void)state;
	assert_true(fm_pci_is_gpu(0x030200, 0x10de));
	assert_true(fm_pci_is_gpu(0x030000, 0x10de));
	assert_true(fm_pci_is_gpu(0x030200, 0));
	assert_true(fm_pci_is_gpu(0x038000, 0x1002));
	assert_true(fm_pci_is_gpu(0x120000, 0x1da3));
	assert_false(fm_pci_is_gpu(0x030000, 0x1a03));
	assert_false(fm_pci_is_gpu(0x030000, 0x8086));
	assert_false(fm_pci_is_gpu(0x020000, 0x10de));
	assert_true(fm_pci_is_nic(0x020700));
	assert_true(fm_pci_is_nic(0x020000));
	assert_false(fm_pci_is_nic(0x028000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports), cmocka_unit_test(test_levels),   cmocka_unit_test(test_one_node),
		cmocka_unit_test(test_links), cmocka_unit_test(test_coherent), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
