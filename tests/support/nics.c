/*
 * nics.c - two ends of the verbs transport over mocked devices.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/memory/memory.h"
#include "tests/support/nics.h"

const struct nic nics[] = {
	{"mlx5 InfiniBand", mock_mlx5_infiniband, "InfiniBand", "IB/RoCE v1"},
	{"mlx5 RoCE", mock_mlx5_roce, "Ethernet", "RoCE v2"},
	{"efa", mock_efa, "Unspecified", "IB/RoCE v1"},
	{"irdma", mock_irdma, "Ethernet", "RoCE v2"},
	{"bnxt_re", mock_bnxt, "Ethernet", "RoCE v2"},
};
const size_t nic_count = sizeof(nics) / sizeof(nics[0]);

static const char *const device_names[] = {"dev0", "dev1"};

const struct nic *nic_named(const char *name)
{
	for (size_t i = 0; i < nic_count; i++)
		if (strcmp(nics[i].name, name) == 0)
			return &nics[i];
	fail_msg("no NIC is called %s", name);
	return NULL;
}

int nics_enter(void **state)
{
	char *root = strdup("/tmp/fabmark-nics.XXXXXX");

	*state = root;
	return root && mkdtemp(root) && chdir(root) == 0 ? 0 : -1;
}

int nics_leave(void **state)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", (const char *)*state);
	free(*state);
	/* NOLINTNEXTLINE(cert-env33-c): a path that mkdtemp made. */
	return chdir("/") || system(command);
}

void nics_put(const char *text, const char *format, ...)
{
	char path[256] = "sys/class/";
	va_list arguments;
	FILE *file;

	va_start(arguments, format);
	vsnprintf(path + strlen(path), sizeof(path) - strlen(path), format, arguments);
	va_end(arguments);
	for (char *at = path; (at = strchr(at, '/')); *at++ = '/') {
		*at = '\0';
		mkdir(path, 0755);
	}
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "%s\n", text);
	fclose(file);
}

static void tree_put(const struct nic *nic, const char *name, int number)
{
	char gid[64], path[64];
	bool ethernet = strcmp(nic->layer, "Ethernet") == 0;

	snprintf(gid, sizeof(gid), ethernet ? "0000:0000:0000:0000:0000:ffff:0a00:000%d" : "fe80::ff:fe00:%d",
		 number + 1);
	nics_put("1: CA", "infiniband/%s/node_type", name);
	nics_put("0-3", "infiniband/%s/device/local_cpulist", name);
	nics_put("4: ACTIVE", "infiniband/%s/ports/1/state", name);
	nics_put(nic->layer, "infiniband/%s/ports/1/link_layer", name);
	nics_put("100 Gb/sec (4X EDR)", "infiniband/%s/ports/1/rate", name);
	nics_put(gid, "infiniband/%s/ports/1/gids/0", name);
	nics_put(nic->gid_type, "infiniband/%s/ports/1/gid_attrs/types/0", name);
	snprintf(path, sizeof(path), "sys/class/infiniband/%s/ports/1/gid_attrs/ndevs/0", name);
	unlink(path);
	if (ethernet)
		nics_put("lo", "infiniband/%s/ports/1/gid_attrs/ndevs/0", name);
	/* What a bond's or a priority's test has left. */
	if (access("sys/class/net", F_OK) == 0)
		assert_int_equal(system("rm -r sys/class/net"), 0);
}

void ends_set(struct ends *ends, const struct nic *a, const struct nic *b, enum fm_test_id test)
{
	const struct nic *const kinds[] = {a, b};
	bool latency = fm_tests[test].metric == FM_LATENCY;
	struct fm_error error;

	*ends = (struct ends){.pair = NULL};
	for (int side = 0; side < 2; side++) {
		struct fm_place_rail *rail = &ends->rails[side];

		ends->devices[side] = kinds[side]->make(device_names[side]);
		snprintf(rail->device, sizeof(rail->device), "lo");
		snprintf(rail->rdma_device, sizeof(rail->rdma_device), "%s", device_names[side]);
		rail->port = 1;
		rail->cpu_count = 1;
	}
	assert_int_equal(fm_options_defaults(&fm_verbs_options, &ends->options, &error), 0);
	ends->request = (struct pair_request){
		.transport = fm_module.table,
		.address = "127.0.0.1",
		.rails = ends->rails,
		.memory = fm_memory_find("host"),
		.test = test,
		.size = 8,
		.stride = 64,
		.slots = latency ? 4 : 16,
		.depth = latency ? 1 : 16,
		.streams = 1,
		.threads = 1,
	};
}

void ends_make(struct ends *ends, const struct nic *a, const struct nic *b, enum fm_test_id test)
{
	tree_put(a, device_names[0], 0);
	tree_put(b, device_names[1], 1);
	ends_set(ends, a, b, test);
}

void ends_option(struct ends *ends, const char *name, const char *text)
{
	struct fm_error error = {0};

	if (fm_options_set(&fm_verbs_options, &ends->options, name, text, &error))
		fail_msg("%s", error.text);
}

int ends_query(struct ends *ends, int side, struct fm_capabilities *capabilities, struct fm_error *error)
{
	static const struct fm_transport *const none[] = {NULL};
	const struct fm_place place = {.count = 1, .rails = {ends->rails[side]}};

	mock_start(ends->devices, 2);
	memset(capabilities, 0, sizeof(*capabilities));
	return fm_module.table->query(&place, &ends->options, none, capabilities, error);
}

int ends_open(struct ends *ends, struct fm_error *error)
{
	int code;

	mock_start(ends->devices, 2);
	ends->request.options = &ends->options;
	ends->pair = malloc(sizeof(*ends->pair));
	assert_non_null(ends->pair);
	code = pair_open(ends->pair, &ends->request, error);
	if (code) {
		free(ends->pair);
		ends->pair = NULL;
	}
	return code;
}

void ends_opened(struct ends *ends)
{
	struct fm_error error = {0};

	if (ends_open(ends, &error))
		fail_msg("%s", error.text);
}

int ends_run(struct ends *ends, uint64_t operations)
{
	int code = pair_run(ends->pair, operations, 4);

	for (int side = 0; side < 2 && !code; side++)
		for (uint32_t i = 0; i < ends->request.streams && !code; i++) {
			const struct fm_lane *lane = &ends->pair->sides[side].lanes[i];

			code = lane->settle(lane->self);
		}
	return code;
}

void ends_close(struct ends *ends)
{
	if (ends->pair)
		pair_close(ends->pair);
	free(ends->pair);
	ends->pair = NULL;
	assert_string_equal(mock_log()->violation, "");
	assert_int_equal(mock_alive(), 0);
}

const char *ends_effective(struct ends *ends, int side, const char *key)
{
	static struct fm_effective effective;
	struct fm_error error = {0};

	memset(&effective, 0, sizeof(effective));
	if (fm_module.table->effective(ends->pair->sides[side].endpoint, &effective, &error))
		fail_msg("%s", error.text);
	/* A full list would have lost some. */
	assert_in_range(effective.count, 1, FM_EFFECTIVE_MAX - 1);
	for (uint32_t i = 0; i < effective.count; i++)
		if (strcmp(effective.items[i].key, key) == 0)
			return effective.items[i].value;
	return NULL;
}

const struct mock_modify *ends_step(const struct ends *ends, int side, enum ibv_qp_state state)
{
	const struct mock_log *log = mock_log();
	/* Side 0 is opened first, so that its queue pairs are the first ones. */
	uint32_t number = log->queues[side * (int)ends->request.streams].number;

	for (uint32_t i = 0; i < log->modify_count; i++)
		if (log->modify[i].qp_number == number && log->modify[i].attributes.qp_state == state)
			return &log->modify[i];
	fail_msg("side %d's queue pair never came to state %d", side, state);
	return NULL;
}
