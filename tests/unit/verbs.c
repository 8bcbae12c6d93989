/*
 * verbs.c - what of the verbs transport needs no device: ports under a folder like /sys, vectors, counters, statuses.
 */
#include <linux/dcbnl.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "transports/verbs/device.h"
#include "transports/verbs/status.h"

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
	if (type)
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
	put_gid(root, "mlx5_0/ports/1", 0, "fe80:0000:0000:0000:0000:00ff:fe00:0001", "RoCE v2", "lo");
	put_port(root, "mlx5_1", "1", "Ethernet", "4: ACTIVE");
	put_gid(root, "mlx5_1/ports/1", 0, "fe80:0000:0000:0000:0000:00ff:fe00:0002", "IB/RoCE v1", "lo");
	put_gid(root, "mlx5_1/ports/1", 2, "fe80:0000:0000:0000:0000:0000:0000:0000", "RoCE v2", "lo");
	put_gid(root, "mlx5_1/ports/1", 3, "0000:0000:0000:0000:0000:ffff:0a00:0002", "RoCE v2", "lo");
	put_gid(root, "mlx5_1/ports/1", 4, "0000:0000:0000:0000:0000:ffff:0a00:0063", "RoCE v2", "pod-of-others");
	put_gid(root, "mlx5_1/ports/1", 5, "0000:0000:0000:0000:0000:ffff:0a00:0064", NULL, NULL);
	put(root, "mlx5_1/device/local_cpulist", "8-11,24-27");
	put_port(root, "mlx5_2", "1", "InfiniBand", "4: ACTIVE");
	put_gid(root, "mlx5_2/ports/1", 0, "fe80:0000:0000:0000:0000:00ff:fe00:0003", "IB/RoCE v1", NULL);
	put_port(root, "efa_0", "1", "Unspecified", "4: ACTIVE");
	put_gid(root, "efa_0/ports/1", 0, "fe80:0000:0000:0000:0000:00ff:fe00:0004", NULL, NULL);
	put_port(root, "siw0", "1", "Ethernet", "4: ACTIVE");
	put(root, "siw0/node_type", "4: RNIC");
	put_gid(root, "siw0/ports/1", 0, "0200:0000:0001:0000:0000:0000:0000:0000", "IB/RoCE v1", NULL);
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

/* As placement has it: the RDMA device, and the GID that it has chosen. */
static struct fm_place_rail rail_of(const char *device, const char *rdma_device, uint32_t gid_index)
{
	struct fm_place_rail rail = {.port = 1, .gid_index = gid_index};

	snprintf(rail.device, sizeof(rail.device), "%s", device);
	snprintf(rail.rdma_device, sizeof(rail.rdma_device), "%s", rdma_device);
	return rail;
}

static struct fm_verbs_port found(const char *root, const struct fm_place_rail *rail, int wish, int gid)
{
	struct fm_verbs_port port;
	struct fm_error error = {0};

	if (fm_verbs_port_find(root, rail, wish, &port, &error))
		fail_msg("%s", error.text);
	assert_string_equal(port.device, rail->rdma_device);
	assert_int_equal(port.number, 1);
	assert_int_equal(port.gid.index, gid);
	assert_true(port.active);
	return port;
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

/* What placement has chosen is taken, and nothing else is looked for. */
static void ports_are_the_places(void **state)
{
	const char *root = *state;
	struct fm_place_rail roce = rail_of("eth1", "mlx5_1", 3), infiniband = rail_of("ib0", "mlx5_2", 0),
			     efa = rail_of("efa_0", "efa_0", 0), iwarp = rail_of("eth3", "siw0", 0);
	struct fm_verbs_port port = found(root, &roce, FM_VERBS_GID_AUTO, 3);

	assert_true(port.ethernet && !port.infiniband && !port.iwarp && !port.software);
	assert_int_equal(port.gid.type, FM_VERBS_GID_ROCE_V2);
	assert_string_equal(port.gid.netdev, "lo");
	assert_int_equal(found(root, &roce, 0, 0).gid.type, FM_VERBS_GID_ROCE_V1);
	port = found(root, &infiniband, FM_VERBS_GID_AUTO, 0);
	assert_true(!port.ethernet && port.infiniband && port.software);
	assert_int_equal(port.gid.type, FM_VERBS_GID_IB);
	port = found(root, &efa, FM_VERBS_GID_AUTO, 0);
	assert_true(!port.ethernet && !port.infiniband);
	assert_true(found(root, &iwarp, FM_VERBS_GID_AUTO, 0).iwarp);
}

static void ports_that_are_none(void **state)
{
	const char *root = *state;
	struct fm_place_rail roce = rail_of("eth1", "mlx5_1", 3), down = rail_of("eth0", "mlx5_0", 0),
			     none = rail_of("eth7", "", 0), gone = rail_of("eth8", "mlx5_8", 0), address = none;

	assert_no_port(root, &roce, 9, "'mlx5_1' has no GID with index 9");
	/* An empty entry, a hole, and one of another network namespace. */
	assert_no_port(root, &roce, 2, "no GID with index 2");
	assert_no_port(root, &roce, 5, "no GID with index 5");
	assert_no_port(root, &roce, 4, "belongs to pod-of-others, a net device of another network namespace");
	roce.gid_index = 9;
	assert_no_port(root, &roce, FM_VERBS_GID_AUTO, "no GID that can be used");
	assert_no_port(root, &down, FM_VERBS_GID_AUTO, "is not active");
	assert_no_port(root, &none, FM_VERBS_GID_AUTO, "no RDMA port belongs to net device eth7");
	assert_no_port(root, &gone, FM_VERBS_GID_AUTO, "no RDMA port belongs to net device eth8");
	address.device[0] = '\0';
	snprintf(address.address, sizeof(address.address), "10.9.9.9");
	assert_no_port(root, &address, FM_VERBS_GID_AUTO, "no RDMA port belongs to address 10.9.9.9");
	assert_no_port("/nowhere", &roce, FM_VERBS_GID_AUTO, "no RDMA device");
}

/* CPUs 8 to 11 and 24 to 27 are next to the device: they have the first eight vectors, CPU 0 the ninth. */
static void vectors_go_to_near_cpus_first(void **state)
{
	static const struct {
		int cpu;
		uint32_t vectors, expected;
	} cases[] = {{8, 32, 0},   {11, 32, 3},	 {24, 32, 4}, {27, 32, 7}, {0, 32, 8}, {7, 32, 15},
		     {12, 32, 16}, {28, 32, 28}, {27, 4, 3},  {0, 4, 0},   {31, 1, 0}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(fm_verbs_vector(*state, "mlx5_1", cases[i].cpu, cases[i].vectors), cases[i].expected);
	/* Where nobody says which are near. */
	assert_int_equal(fm_verbs_vector(*state, "mlx5_2", 5, 4), 1);
}

/* ---- an answer of the kernel's ---- */

static size_t put_attribute(uint8_t *at, uint16_t type, const void *payload, size_t bytes)
{
	struct rtattr header = {.rta_type = type, .rta_len = (uint16_t)(sizeof(header) + bytes)};

	memcpy(at, &header, sizeof(header));
	memcpy(at + sizeof(header), payload, bytes);
	return RTA_ALIGN(header.rta_len);
}

/* A name, then the IEEE attributes: something else, then PFC. */
static size_t put_answer(uint8_t answer[256], uint8_t priorities)
{
	const struct ieee_pfc pfc = {.pfc_cap = 8, .pfc_en = priorities};
	struct nlmsghdr header = {.nlmsg_type = RTM_GETDCB};
	uint8_t inner[192] = {0};
	size_t used = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct dcbmsg)), inside;

	memset(answer, 0, 256);
	inside = put_attribute(inner, DCB_ATTR_IEEE_MAXRATE, "abcde", 5);
	inside += put_attribute(inner + inside, DCB_ATTR_IEEE_PFC, &pfc, offsetof(struct ieee_pfc, requests));
	used += put_attribute(answer + used, DCB_ATTR_IFNAME, "eth0", 5);
	used += put_attribute(answer + used, DCB_ATTR_IEEE | NLA_F_NESTED, inner, inside);
	header.nlmsg_len = (uint32_t)used;
	memcpy(answer, &header, sizeof(header));
	return used;
}

static void flow_control_is_read(void **state)
{
	uint8_t answer[256], cut[256], priorities = 0;
	size_t bytes = put_answer(answer, 0x08);

	(void)state;
	assert_true(fm_verbs_pfc_parse(answer, bytes, &priorities));
	assert_int_equal(priorities, 0x08);
	/* Cut anywhere, with lengths that agree and with those that don't: no answer, and nothing read beyond it. */
	for (size_t at = 0; at < bytes - 40; at++) {
		uint8_t *exact = test_malloc(at + 1);
		struct nlmsghdr header;

		memcpy(cut, answer, sizeof(cut));
		memcpy(exact, cut, at);
		assert_false(fm_verbs_pfc_parse(exact, at, &priorities));
		memcpy(&header, cut, sizeof(header));
		header.nlmsg_len = (uint32_t)at;
		memcpy(cut, &header, sizeof(header));
		memcpy(exact, cut, at);
		assert_false(fm_verbs_pfc_parse(exact, at, &priorities));
		test_free(exact);
	}
	assert_false(fm_verbs_pfc_read("no-such-device", &priorities));
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
		cmocka_unit_test(ports_are_the_places),		 cmocka_unit_test(ports_that_are_none),
		cmocka_unit_test(vectors_go_to_near_cpus_first), cmocka_unit_test(flow_control_is_read),
		cmocka_unit_test(counters_have_columns),	 cmocka_unit_test(statuses_have_words),
	};

	return cmocka_run_group_tests(tests, tree_make, tree_remove);
}
