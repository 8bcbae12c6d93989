/*
 * verbs.c - what of the verbs transport needs no device: GIDs, ports under a folder like /sys, counters, statuses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "transports/verbs/device.h"
#include "transports/verbs/status.h"

static struct fm_verbs_gid gid_of(int index, const char *address, enum fm_verbs_gid_type type, const char *netdev)
{
	struct fm_verbs_gid gid = {.index = index, .type = type};

	assert_true(fm_verbs_gid_of_address(address, gid.raw));
	snprintf(gid.netdev, sizeof(gid.netdev), "%s", netdev);
	return gid;
}

static void gids_are_ranked(void **state)
{
	const struct fm_verbs_gid gids[] = {
		gid_of(0, "fe80::1", FM_VERBS_GID_ROCE_V1, "eth0"),
		gid_of(1, "fe80::1", FM_VERBS_GID_ROCE_V2, "eth0"),
		gid_of(2, "10.0.0.1", FM_VERBS_GID_ROCE_V1, "eth0"),
		gid_of(3, "fd00::1", FM_VERBS_GID_ROCE_V2, "eth0"),
		gid_of(4, "10.0.0.1", FM_VERBS_GID_ROCE_V2, "eth0"),
		gid_of(5, "10.0.0.9", FM_VERBS_GID_ROCE_V2, "eth0"),
		gid_of(6, "10.1.0.1", FM_VERBS_GID_ROCE_V2, "eth1"),
	};
	uint8_t address[16];

	(void)state;
	assert_int_equal(fm_verbs_gid_choose(gids, 1, "eth0", NULL)->index, 0);
	assert_int_equal(fm_verbs_gid_choose(gids, 3, "eth0", NULL)->index, 1);
	assert_int_equal(fm_verbs_gid_choose(gids, 4, "eth0", NULL)->index, 3);
	assert_int_equal(fm_verbs_gid_choose(gids, 7, "eth0", NULL)->index, 4);
	assert_int_equal(fm_verbs_gid_choose(gids, 7, "eth1", NULL)->index, 6);
	assert_int_equal(fm_verbs_gid_choose(gids, 7, "", NULL)->index, 4);
	assert_null(fm_verbs_gid_choose(gids, 7, "eth2", NULL));
	/* The data address wins over the order. */
	assert_true(fm_verbs_gid_of_address("10.0.0.9", address));
	assert_int_equal(fm_verbs_gid_choose(gids, 7, "eth0", address)->index, 5);
	assert_true(fm_verbs_gid_of_address("fe80::1%eth0", address));
	assert_int_equal(fm_verbs_gid_choose(gids, 7, "eth0", address)->index, 1);
	assert_false(fm_verbs_gid_of_address("node1", address));
}

/* ---- a tree like /sys/class/infiniband ---- */

static void put(const char *root, const char *path, const char *text)
{
	char whole[512];
	FILE *file;

	snprintf(whole, sizeof(whole), "%s/%s", root, path);
	for (char *at = whole + strlen(root) + 1; (at = strchr(at, '/')); *at++ = '/') {
		*at = '\0';
		mkdir(whole, 0755);
	}
	file = fopen(whole, "w");
	assert_non_null(file);
	fprintf(file, "%s\n", text);
	fclose(file);
}

static void put_port(const char *root, const char *device, const char *port, const char *layer, const char *state)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/node_type", device);
	put(root, path, "1: CA");
	snprintf(path, sizeof(path), "%s/ports/%s/state", device, port);
	put(root, path, state);
	snprintf(path, sizeof(path), "%s/ports/%s/link_layer", device, port);
	put(root, path, layer);
}

static void put_gid(const char *root, const char *port, int index, const char *gid, const char *type,
		    const char *netdev)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/gids/%d", port, index);
	put(root, path, gid);
	snprintf(path, sizeof(path), "%s/gid_attrs/types/%d", port, index);
	put(root, path, type);
	if (!netdev)
		return;
	snprintf(path, sizeof(path), "%s/gid_attrs/ndevs/%d", port, index);
	put(root, path, netdev);
}

static int tree_make(void **state)
{
	char *root = strdup("/tmp/fabmark-verbs.XXXXXX");

	if (!root || !mkdtemp(root))
		return -1;
	put_port(root, "mlx5_0", "1", "Ethernet", "1: DOWN");
	put_gid(root, "mlx5_0/ports/1", 0, "fe80:0000:0000:0000:0000:00ff:fe00:0001", "RoCE v2", "eth0");
	put_port(root, "mlx5_1", "1", "Ethernet", "4: ACTIVE");
	put_gid(root, "mlx5_1/ports/1", 0, "fe80:0000:0000:0000:0000:00ff:fe00:0002", "IB/RoCE v1", "eth1");
	put_gid(root, "mlx5_1/ports/1", 3, "0000:0000:0000:0000:0000:ffff:0a00:0002", "RoCE v2", "eth1");
	put_gid(root, "mlx5_1/ports/1", 4, "0000:0000:0000:0000:0000:ffff:0a00:0063", "RoCE v2", "eth9");
	put_port(root, "mlx5_2", "1", "InfiniBand", "4: ACTIVE");
	put_gid(root, "mlx5_2/ports/1", 0, "fe80:0000:0000:0000:0000:00ff:fe00:0003", "IB/RoCE v1", NULL);
	put(root, "mlx5_2/device/net/ib0/mtu", "2044");
	put(root, "mlx5_1/ports/1/hw_counters/out_of_sequence", "3");
	put(root, "mlx5_1/ports/1/hw_counters/packet_seq_err", "4");
	put(root, "mlx5_1/ports/1/hw_counters/local_ack_timeout_err", "5");
	put(root, "mlx5_1/ports/1/hw_counters/lifespan", "10");
	put(root, "mlx5_1/ports/1/counters/port_xmit_data", "77");
	*state = root;
	return 0;
}

static int tree_remove(void **state)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", (const char *)*state);
	free(*state);
	/* NOLINTNEXTLINE(cert-env33-c): a path that mkdtemp made. */
	return system(command);
}

static struct fm_place_rail rail_of(const char *device, const char *address)
{
	struct fm_place_rail rail = {0};

	snprintf(rail.device, sizeof(rail.device), "%s", device);
	snprintf(rail.address, sizeof(rail.address), "%s", address);
	return rail;
}

static void assert_port(const char *root, const struct fm_place_rail *rail, int wish, const char *device, int gid)
{
	struct fm_verbs_port port;
	struct fm_error error = {0};

	if (fm_verbs_port_find(root, rail, wish, &port, &error))
		fail_msg("%s", error.text);
	assert_string_equal(port.device, device);
	assert_int_equal(port.number, 1);
	assert_int_equal(port.gid.index, gid);
}

static void assert_no_port(const char *root, const struct fm_place_rail *rail, int wish, const char *words)
{
	struct fm_verbs_port port;
	struct fm_error error = {0};

	assert_true(fm_verbs_port_find(root, rail, wish, &port, &error) < 0);
	assert_int_equal(error.reason, FM_REASON_PLACEMENT);
	if (!strstr(error.text, words))
		fail_msg("'%s' is not in: %s", words, error.text);
}

static void ports_are_found(void **state)
{
	const char *root = *state;
	struct fm_place_rail netdev = rail_of("eth1", "10.0.0.2"), named = rail_of("mlx5_1", ""),
			     address = rail_of("", "10.0.0.2"), infiniband = rail_of("ib0", "192.168.1.1"),
			     down = rail_of("eth0", ""), other = rail_of("eth7", ""), foreign = rail_of("", "10.9.9.9");

	assert_port(root, &netdev, FM_VERBS_GID_AUTO, "mlx5_1", 3);
	assert_port(root, &netdev, 0, "mlx5_1", 0);
	assert_port(root, &address, FM_VERBS_GID_AUTO, "mlx5_1", 3);
	assert_port(root, &infiniband, FM_VERBS_GID_AUTO, "mlx5_2", 0);
	assert_port(root, &named, FM_VERBS_GID_AUTO, "mlx5_1", 3);
	assert_no_port(root, &netdev, 9, "no port of 'eth1' has a GID with index 9");
	assert_no_port(root, &down, FM_VERBS_GID_AUTO, "is not active");
	assert_no_port(root, &other, FM_VERBS_GID_AUTO, "no RDMA port belongs to net device eth7");
	assert_no_port(root, &foreign, FM_VERBS_GID_AUTO, "no RDMA port belongs to address 10.9.9.9");
	named.port = 2;
	assert_no_port(root, &named, FM_VERBS_GID_AUTO, "no RDMA port");
	assert_no_port("/nowhere", &netdev, FM_VERBS_GID_AUTO, "no RDMA device");
}

static uint64_t counter_of(const struct fm_counters *counters, const char *key)
{
	for (uint32_t i = 0; i < counters->count; i++)
		if (strcmp(counters->items[i].key, key) == 0)
			return counters->items[i].value;
	return UINT64_MAX;
}

static void counters_have_columns(void **state)
{
	const struct fm_verbs_port port = {.device = "mlx5_1", .number = 1};
	struct fm_counters counters = {0};

	fm_verbs_counters(*state, &port, &counters);
	assert_int_equal(counters.count, 3);
	assert_int_equal(counter_of(&counters, "retransmit_count"), 9);
	assert_int_equal(counter_of(&counters, "out_of_sequence_count"), 3);
	assert_int_equal(counter_of(&counters, "port_xmit_data"), 77);
}

static void statuses_have_words(void **state)
{
	enum fm_verbs_weight weight;

	(void)state;
	for (int i = IBV_WC_SUCCESS; i <= IBV_WC_GENERAL_ERR; i++) {
		struct fm_verbs_words words = fm_verbs_status_words((enum ibv_wc_status)i);

		assert_true(words.name && words.name[0] && words.cause && words.cause[0]);
		assert_string_not_equal(words.name, "unknown status");
	}
	assert_string_equal(fm_verbs_status_words((enum ibv_wc_status)999).name, "unknown status");
	assert_string_equal(fm_verbs_status_words((enum ibv_wc_status) - 1).name, "unknown status");
	assert_true(fm_verbs_status_secondary(IBV_WC_WR_FLUSH_ERR));
	assert_false(fm_verbs_status_secondary(IBV_WC_RETRY_EXC_ERR));
	assert_string_equal(fm_verbs_event_words(IBV_EVENT_PORT_ERR, &weight).name, "port went down");
	assert_int_equal(weight, FM_VERBS_DISTURBS);
	fm_verbs_event_words(IBV_EVENT_DEVICE_FATAL, &weight);
	assert_int_equal(weight, FM_VERBS_FATAL);
	assert_string_equal(fm_verbs_event_words((enum ibv_event_type)999, &weight).name, "other event");
	assert_int_equal(weight, FM_VERBS_TOLD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gids_are_ranked),
		cmocka_unit_test(ports_are_found),
		cmocka_unit_test(counters_have_columns),
		cmocka_unit_test(statuses_have_words),
	};

	return cmocka_run_group_tests(tests, tree_make, tree_remove);
}
