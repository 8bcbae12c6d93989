/*
 * nic.c - the inventory of net devices: of this machine, of a network namespace, of recorded and garbled sysfs trees.
 */
#include <errno.h>
#include <math.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/control.h"
#include "topology/placement.h"

enum { NAMESPACE_MISSING = 77 };

#define EXPECT(condition)                                                                                              \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                \
			return 1;                                                                                      \
		}                                                                                                      \
	} while (0)

static int shell(const char *command)
{
	return system(command) == 0 ? 0 : -1;
}

static void this_machine(void **state)
{
	struct fm_nics *nics = test_calloc(1, sizeof(*nics));
	struct fm_error error;
	const struct fm_nic *lo;

	(void)state;
	assert_int_equal(fm_nics_read("/sys", nics, &error), 0);
	lo = fm_nic_find(nics, "lo");
	if (!lo || !lo->up)
		skip();
	assert_true(lo->loopback);
	assert_string_equal(lo->link_layer, "loopback");
	assert_true(isnan(lo->link_gbps));
	assert_int_equal(lo->numa_node, -1);
	assert_true(lo->mtu > 0);
	assert_ptr_equal(fm_nic_find(nics, "127.0.0.1"), lo);
	assert_ptr_equal(fm_nic_find(nics, "::ffff:127.0.0.1"), lo);
	assert_null(fm_nic_find(nics, ""));
	assert_null(fm_nic_find(nics, "nonesuch"));
	for (uint32_t i = 1; i < nics->count; i++)
		assert_true(strverscmp(nics->list[i - 1].name, nics->list[i].name) < 0);
	test_free(nics);
}

/* Devices under names that the sysfs of the outer namespace may have too: nothing of its eth0 may be believed. */
static int namespace_is_read(struct fm_nics *nics)
{
	struct fm_error error;
	const struct fm_nic *nic;

	if (unshare(CLONE_NEWNET) < 0 ||
	    shell("exec 2>/dev/null; ip link add eth0 type veth peer name eth10 && ip link add eth2 type veth peer "
		  "name p2 && "
		  "ip link set eth0 mtu 4000 && ip link set eth0 up && ip link set eth10 up && "
		  "ip address add 10.9.0.1/20 dev eth0 && ip address add 10.9.16.1/32 dev eth0 label eth0:1") < 0)
		return NAMESPACE_MISSING;
	EXPECT(fm_nics_read("/sys", nics, &error) == 0);
	EXPECT(nics->count >= 5);
	EXPECT(strcmp(nics->list[0].name, "eth0") == 0 && strcmp(nics->list[1].name, "eth2") == 0 &&
	       strcmp(nics->list[2].name, "eth10") == 0);
	nic = fm_nic_find(nics, "10.9.16.1");
	EXPECT(nic == &nics->list[0]);
	EXPECT(nic->up && !nic->loopback && nic->mtu == 4000);
	EXPECT(strcmp(nic->driver, "veth") == 0 && strcmp(nic->link_layer, "ethernet") == 0);
	EXPECT(nic->pci[0] == '\0' && isnan(nic->link_gbps) && nic->numa_node == -1);
	EXPECT(nic->addresses[0].prefix_bits == 20 && nic->addresses[1].prefix_bits == 32);
	EXPECT(!nics->list[1].up);
	if (shell("exec 2>/dev/null; ip address add fe80::77/64 dev eth0 nodad") == 0) {
		EXPECT(fm_nic_find(nics, "fe80::77") == NULL);
		EXPECT(fm_nics_read("/sys", nics, &error) == 0);
		nic = fm_nic_find(nics, "fe80::77");
		EXPECT(nic && strcmp(nic->name, "eth0") == 0);
		EXPECT(fm_nic_find(nics, "fe80::77%eth0") == nic && fm_nic_find(nics, "fe80::77%2"));
		EXPECT(fm_nic_find(nics, "fe80::77%eth2") == NULL);
	}
	/* More than the inventory holds: what could carry data stays. */
	if (shell("exec 2>/dev/null; for i in $(seq 40); do ip link add a$i type veth peer name b$i || exit 1; done; "
		  "for i in $(seq 20); do ip address add 10.8.$i.1/24 dev eth10; done; "
		  "ip address add 10.7.0.1/24 dev b40; ip link set a40 up; ip link set b40 up") == 0) {
		EXPECT(fm_nics_read("/sys", nics, &error) == 0);
		EXPECT(nics->count == FM_NICS_MAX);
		EXPECT(fm_nic_find(nics, "b40") && fm_nic_find(nics, "eth0"));
		nic = fm_nic_find(nics, "eth10");
		EXPECT(nic && nic->address_count == FM_NIC_ADDRESSES_MAX);
		for (uint32_t i = 0; i < nic->address_count; i++)
			EXPECT(!nic->addresses[i].link_local);
	}
	return 0;
}

static void network_namespace(void **state)
{
	struct fm_nics *nics = test_calloc(1, sizeof(*nics));
	pid_t child = fork();
	int status;

	(void)state;
	if (child == 0)
		_exit(namespace_is_read(nics));
	assert_int_equal(waitpid(child, &status, 0), child);
	test_free(nics);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NAMESPACE_MISSING) {
		printf("SKIP: network_namespace needs root, network namespaces and 'ip' with veth\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

struct tree {
	char root[32];
	struct fm_nics nics;
	struct fm_error error;
};

static struct tree *tree_new(void)
{
	struct tree *tree = test_calloc(1, sizeof(*tree));

	snprintf(tree->root, sizeof(tree->root), "/tmp/fm-nic-XXXXXX");
	assert_non_null(mkdtemp(tree->root));
	return tree;
}

static void tree_path(const struct tree *tree, const char *path, char full[256])
{
	snprintf(full, 256, "%s/%s", tree->root, path);
	for (char *at = full + strlen(tree->root) + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		mkdir(full, 0700);
		*at = '/';
	}
}

static void tree_write(const struct tree *tree, const char *path, const char *bytes, size_t count)
{
	char full[256];
	FILE *file;

	tree_path(tree, path, full);
	file = fopen(full, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, count, file), count);
	fclose(file);
}

static void tree_text(const struct tree *tree, const char *path, const char *text)
{
	tree_write(tree, path, text, strlen(text));
}

static void tree_link(const struct tree *tree, const char *path, const char *target)
{
	char full[256];

	tree_path(tree, path, full);
	unlink(full);
	assert_int_equal(symlink(target, full), 0);
}

static const struct fm_nic *tree_read(struct tree *tree)
{
	const struct fm_nic *lo;

	assert_int_equal(fm_nics_read(tree->root, &tree->nics, &tree->error), 0);
	lo = fm_nic_find(&tree->nics, "lo");
	assert_non_null(lo);
	return lo;
}

static void tree_free(struct tree *tree)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", tree->root);
	assert_int_equal(system(command), 0);
	test_free(tree);
}

/* Every machine has lo: the recorded trees describe it as if it were hardware. */
static void recorded_hardware(void **state)
{
	struct tree *tree = tree_new();
	const struct fm_nic *lo;

	(void)state;
	tree_text(tree, "devices/pci0000:3a/0000:3a:00.0/0000:3b:00.0/numa_node", "1\n");
	tree_text(tree, "devices/pci0000:3a/0000:3a:00.0/0000:3b:00.0/virtio2/vendor", "0x1af4\n");
	tree_text(tree, "bus/drivers/mlx5_core/bind", "");
	tree_link(tree, "devices/pci0000:3a/0000:3a:00.0/0000:3b:00.0/driver", "../../../../bus/drivers/mlx5_core");
	tree_link(tree, "class/net/lo/device", "../../../devices/pci0000:3a/0000:3a:00.0/0000:3b:00.0");
	tree_text(tree, "class/net/lo/speed", "200000\n");
	tree_text(tree, "class/net/lo/ifindex", "1\n");
	lo = tree_read(tree);
	assert_string_equal(lo->pci, "0000:3b:00.0");
	assert_string_equal(lo->driver, "mlx5_core");
	assert_float_equal(lo->link_gbps, 200, 1e-9);
	assert_int_equal(lo->numa_node, 1);
	assert_ptr_equal(fm_nic_find(&tree->nics, "3b:00.0"), lo);
	assert_ptr_equal(fm_nic_find(&tree->nics, "0000:3B:00.0"), lo);
	assert_null(fm_nic_find(&tree->nics, "0001:3b:00.0"));
	assert_null(fm_nic_find(&tree->nics, "3b:00.8"));
	assert_null(fm_nic_find(&tree->nics, "3b:00.0x"));
	/* virtio has the PCI function as its parent; its speed is -1 unless the host says otherwise. */
	tree_link(tree, "class/net/lo/device", "../../../devices/pci0000:3a/0000:3a:00.0/0000:3b:00.0/virtio2");
	tree_text(tree, "class/net/lo/speed", "-1\n");
	lo = tree_read(tree);
	assert_string_equal(lo->pci, "0000:3b:00.0");
	assert_int_equal(lo->numa_node, 1);
	assert_true(isnan(lo->link_gbps));
	/* A USB adapter is no PCI device, though its controller is. */
	tree_text(tree, "devices/pci0000:3a/0000:3a:00.0/0000:3b:00.0/usb1/1-1/1-1:1.0/x", "");
	tree_link(tree, "class/net/lo/device",
		  "../../../devices/pci0000:3a/0000:3a:00.0/0000:3b:00.0/usb1/1-1/1-1:1.0");
	assert_string_equal(tree_read(tree)->pci, "");
	/* No device under it: what the speed says is made up. */
	tree_text(tree, "class/net/lo/speed", "10000\n");
	tree_link(tree, "class/net/lo/device", "../nowhere");
	assert_true(isnan(tree_read(tree)->link_gbps));
	tree_free(tree);
}

static void garbled_sysfs(void **state)
{
	static const struct {
		const char *text;
		size_t bytes;
	} speeds[] = {{"", 0},
		      {"\n", 1},
		      {"fast\n", 5},
		      {"4294967295\n", 11},
		      {"0\n", 2},
		      {"100\0", 4},
		      {"\377\376\0\1", 4},
		      {"1e5\n", 4},
		      {"99999999999999999999999999", 26},
		      {"100000000000000000000000000000000000000000000000000000000000", 60}};
	struct tree *tree = tree_new();

	(void)state;
	assert_true(isnan(tree_read(tree)->link_gbps));
	tree_text(tree, "devices/platform/numa_node", "not a number");
	tree_link(tree, "class/net/lo/device", "../../../devices/platform");
	for (size_t i = 0; i < sizeof(speeds) / sizeof(speeds[0]); i++) {
		tree_write(tree, "class/net/lo/speed", speeds[i].text, speeds[i].bytes);
		assert_true(isnan(tree_read(tree)->link_gbps));
	}
	tree_text(tree, "class/net/lo/speed", "100000\n");
	assert_float_equal(tree_read(tree)->link_gbps, 100, 1e-9);
	assert_string_equal(tree_read(tree)->pci, "");
	assert_int_equal(tree_read(tree)->numa_node, -1);
	tree_text(tree, "class/net/lo/address", "\377garbage");
	assert_true(isnan(tree_read(tree)->link_gbps));
	tree_text(tree, "class/net/lo/address", "00:00:00:00:00:00\n");
	assert_float_equal(tree_read(tree)->link_gbps, 100, 1e-9);
	tree_text(tree, "class/net/lo/ifindex", "7\n");
	assert_true(isnan(tree_read(tree)->link_gbps));
	/* Links in a circle. */
	tree_text(tree, "class/net/lo/ifindex", "1\n");
	tree_link(tree, "class/net/lo/device", "device");
	assert_true(isnan(tree_read(tree)->link_gbps));
	tree_free(tree);
}

/* The largest inventory that can be: names, texts and addresses of full length. */
static void nics_fill(struct fm_nics *nics)
{
	memset(nics, 0, sizeof(*nics));
	nics->count = FM_NICS_MAX;
	for (uint32_t i = 0; i < nics->count; i++) {
		struct fm_nic *nic = &nics->list[i];

		snprintf(nic->name, sizeof(nic->name), "interfacename%02u", i % 100);
		snprintf(nic->pci, sizeof(nic->pci), "10000:%02x:00.0", i & 0xff);
		snprintf(nic->driver, sizeof(nic->driver), "a driver name of full length..");
		snprintf(nic->link_layer, sizeof(nic->link_layer), "infiniband");
		nic->link_gbps = i % 2 ? 123.456789012345 : NAN;
		nic->mtu = 65536;
		nic->numa_node = i % 3 ? 127 : -1;
		nic->up = i % 2;
		nic->loopback = i % 5 == 0;
		nic->rdma = (struct fm_nic_rdma){.port = 255, .active = i % 2, .gid_index = 65535};
		snprintf(nic->rdma.device, sizeof(nic->rdma.device), "an_rdma_name_of_27_bytes_%02u", i % 100);
		snprintf(nic->rdma.gid, sizeof(nic->rdma.gid), "fe80:1111:2222:3333:4444:5555:6666:7777");
		snprintf(nic->rdma.gid_type, sizeof(nic->rdma.gid_type), "InfiniBand");
		if (i % 4 == 0)
			snprintf(nic->name, sizeof(nic->name), "an_rdma_name_of_27_bytes_%02u:255", i % 100);
		nic->address_count = FM_NIC_ADDRESSES_MAX;
		for (uint32_t j = 0; j < FM_NIC_ADDRESSES_MAX; j++) {
			struct fm_nic_address *at = &nic->addresses[j];

			at->gid_index = -1;
			at->family = j ? AF_INET6 : AF_INET;
			at->prefix_bits = j ? 128 : 32;
			at->link_local = j > 4;
			if (j == 0)
				snprintf(at->text, sizeof(at->text), "100.200.1%02u.100", i);
			else
				snprintf(at->text, sizeof(at->text), "%s:1111:2222:3333:4444:1%03x:1%03x",
					 at->link_local ? "fe80:1111" : "2001:1db8", i, j);
			if (at->link_local)
				snprintf(at->text + strlen(at->text), 20, "%%%.15s", nic->name);
		}
	}
}

static void inventory_crosses_the_wire(void **state)
{
	struct fm_nics *nics = test_malloc(sizeof(*nics)), *back = test_malloc(sizeof(*back));
	struct fm_error error;
	json_t *json;
	char *text;

	(void)state;
	nics_fill(nics);
	json = fm_nics_to_json(nics);
	text = json_dumps(json, JSON_COMPACT);
	assert_true(strlen(text) < FM_MESSAGE_MAX - 4096);
	json_decref(json);
	json = json_loads(text, 0, NULL);
	if (fm_nics_from_json(json, back, &error) < 0)
		fail_msg("%s", error.text);
	assert_int_equal(back->count, nics->count);
	for (uint32_t i = 0; i < back->count; i++) {
		assert_true(isnan(nics->list[i].link_gbps) ? isnan(back->list[i].link_gbps)
							   : nics->list[i].link_gbps == back->list[i].link_gbps);
		nics->list[i].link_gbps = back->list[i].link_gbps = 0;
		assert_memory_equal(&nics->list[i], &back->list[i], offsetof(struct fm_nic, rdma));
		assert_string_equal(nics->list[i].rdma.device, back->list[i].rdma.device);
		assert_string_equal(nics->list[i].rdma.gid, back->list[i].rdma.gid);
		assert_string_equal(nics->list[i].rdma.gid_type, back->list[i].rdma.gid_type);
		assert_int_equal(nics->list[i].rdma.port, back->list[i].rdma.port);
		assert_int_equal(nics->list[i].rdma.gid_index, back->list[i].rdma.gid_index);
		assert_int_equal(nics->list[i].rdma.active, back->list[i].rdma.active);
		for (uint32_t j = 0; j < FM_NIC_ADDRESSES_MAX; j++) {
			assert_string_equal(back->list[i].addresses[j].text, nics->list[i].addresses[j].text);
			assert_int_equal(back->list[i].addresses[j].prefix_bits,
					 nics->list[i].addresses[j].prefix_bits);
			assert_int_equal(back->list[i].addresses[j].family, nics->list[i].addresses[j].family);
			assert_int_equal(back->list[i].addresses[j].link_local, nics->list[i].addresses[j].link_local);
		}
	}
	/* A name that no message can carry stays at home. */
	nics->count = 2;
	snprintf(nics->list[0].name, sizeof(nics->list[0].name), "a\377b");
	json_decref(json);
	json = fm_nics_to_json(nics);
	assert_int_equal(json_array_size(json), 1);
	json_decref(json);
	free(text);
	test_free(back);
	test_free(nics);
}

static void odd_inventories_are_refused(void **state)
{
	static const char good[] = "{'name':'eth0','pci':'','driver':'','link_layer':'','mtu':1500,'numa':-1,'up':true,"
				   "'loopback':false,'addresses':['10.0.0.1/24']}";
	/* What takes the place of what in the good one. */
	static const char *const changes[][2] = {
		{"'eth0'", "''"},
		{"'eth0'", "7"},
		{"'eth0'", "'a b'"},
		{"'eth0'", "'\\u001b[2J'"},
		{"'eth0'", "'averyveryverylong'"},
		{"'eth0'", "'\\u00e9th0'"},
		{"1500", "-1"},
		{"1500", "99999999999"},
		{"1500", "1500.5"},
		{"-1", "-2"},
		{"-1", "4096"},
		{"true", "1"},
		{"'pci':''", "'pci':'0000:3b:00.0:00.0'"},
		{"'up'", "'down'"},
		{"'mtu':1500", "'mtu':1500,'more':1"},
		{"'mtu':1500", "'mtu':1500,'gbps':0"},
		{"'mtu':1500", "'mtu':1500,'gbps':1e300"},
		{"'mtu':1500", "'mtu':1500,'gbps':-1"},
		{"'mtu':1500", "'mtu':1500,'gbps':'fast'"},
		{"'mtu':1500,", ""},
		{"'eth0'", "'eth0:1'"},
		{"'mtu':1500", "'mtu':1500,'rdma':{}"},
		{"'mtu':1500",
		 "'mtu':1500,'rdma':{'device':'','port':1,'active':true,'gid_index':0,'gid':'','gid_type':''}"},
		{"'mtu':1500",
		 "'mtu':1500,'rdma':{'device':'m','port':0,'active':true,'gid_index':0,'gid':'','gid_type':''}"},
		{"'mtu':1500",
		 "'mtu':1500,'rdma':{'device':'m','port':1,'active':true,'gid_index':-1,'gid':'','gid_type':''}"},
		{"'mtu':1500",
		 "'mtu':1500,'rdma':{'device':'m','port':1,'active':true,'gid_index':0,'gid':'x','gid_type':''}"},
		{"'mtu':1500",
		 "'mtu':1500,'rdma':{'device':'m','port':1,'active':true,'gid_index':0,'gid':'','gid_type':'','x':1}"},
		{"['10.0.0.1/24']", "{}"},
		{"10.0.0.1/24", "10.0.0.1"},
		{"10.0.0.1/24", "10.0.0.1/33"},
		{"10.0.0.1/24", "10.0.0.1/-1"},
		{"10.0.0.1/24", "10.0.0.1/2x"},
		{"10.0.0.1/24", "nodeA/24"},
		{"10.0.0.1/24", "fe80::1%eth0/64"},
		{"10.0.0.1/24", "/24"},
		{"'10.0.0.1/24'", "1,2,3,4,5,6,7,8,9"},
		{"'10.0.0.1/24'", "null"},
		{"10.0.0.1/24", "2001:db8:1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee/64"},
	};
	struct fm_nics *nics = test_calloc(1, sizeof(*nics));
	struct fm_error error;
	char text[4 * sizeof(good)];
	json_t *json, *many = json_array();

	(void)state;
	for (size_t i = 0; i <= sizeof(changes) / sizeof(changes[0]); i++) {
		bool changed = i < sizeof(changes) / sizeof(changes[0]);
		const char *at = changed ? strstr(good, changes[i][0]) : NULL;

		snprintf(text, sizeof(text), "[%.*s%s%s]", at ? (int)(at - good) : 0, good, at ? changes[i][1] : "",
			 at ? at + strlen(changes[i][0]) : good);
		for (char *quote = text; (quote = strchr(quote, '\'')); quote++)
			*quote = '"';
		json = json_loads(text, 0, NULL);
		assert_non_null(json);
		nics->count = 99;
		assert_int_equal(fm_nics_from_json(json, nics, &error), changed ? -EPROTO : 0);
		assert_int_equal(nics->count, changed ? 99 : 1);
		if (!changed) {
			json_array_append(json, json_array_get(json, 0));
			assert_int_equal(fm_nics_from_json(json, nics, &error), -EPROTO);
			assert_string_equal(error.text, "the peer's inventory lists eth0 twice");
		}
		json_decref(json);
	}
	for (int i = 0; i <= FM_NICS_MAX; i++)
		json_array_append_new(many, json_null());
	assert_int_equal(fm_nics_from_json(many, nics, &error), -EPROTO);
	assert_int_equal(fm_nics_from_json(NULL, nics, &error), -EPROTO);
	json_decref(many);
	test_free(nics);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(this_machine),
		cmocka_unit_test(network_namespace),
		cmocka_unit_test(recorded_hardware),
		cmocka_unit_test(garbled_sysfs),
		cmocka_unit_test(inventory_crosses_the_wire),
		cmocka_unit_test(odd_inventories_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
