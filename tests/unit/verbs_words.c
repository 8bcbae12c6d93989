/*
 * verbs_words.c - what the verbs transport says of statuses, events and refused registrations, and what it reads of a
 * port around the measured window.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "transports/verbs/device.h"
#include "transports/verbs/status.h"

/* ---- words ---- */

/* A name of its own, and a sentence with what it is and what to do. */
static void assert_words(struct fm_verbs_words words, const char *const *names, int count, const char *unknown)
{
	assert_non_null(words.name);
	assert_non_null(words.cause);
	assert_string_not_equal(words.name, unknown);
	if (strlen(words.cause) < sizeof("nothing to do") - 1)
		fail_msg("%s: '%s' says neither cause nor next step", words.name, words.cause);
	for (int i = 0; i < count; i++)
		assert_string_not_equal(words.name, names[i]);
}

static void every_status_has_words(void **state)
{
	const char *names[IBV_WC_TM_RNDV_INCOMPLETE + 1];

	(void)state;
	for (int i = IBV_WC_SUCCESS; i <= IBV_WC_TM_RNDV_INCOMPLETE; i++) {
		struct fm_verbs_words words = fm_verbs_status_words((enum ibv_wc_status)i);

		assert_words(words, names, i, "unknown status");
		assert_true(strchr(words.cause, ':') || strchr(words.cause, ';'));
		assert_int_equal(fm_verbs_status_secondary((enum ibv_wc_status)i), i == IBV_WC_WR_FLUSH_ERR);
		names[i] = words.name;
	}
	assert_string_equal(fm_verbs_status_words((enum ibv_wc_status)(IBV_WC_TM_RNDV_INCOMPLETE + 1)).name,
			    "unknown status");
	assert_string_equal(fm_verbs_status_words((enum ibv_wc_status) - 1).name, "unknown status");
}

static void every_event_has_words(void **state)
{
	static const enum fm_verbs_weight weights[] = {
		[IBV_EVENT_CQ_ERR] = FM_VERBS_FATAL,
		[IBV_EVENT_QP_FATAL] = FM_VERBS_FATAL,
		[IBV_EVENT_QP_REQ_ERR] = FM_VERBS_FATAL,
		[IBV_EVENT_QP_ACCESS_ERR] = FM_VERBS_FATAL,
		[IBV_EVENT_COMM_EST] = FM_VERBS_USUAL,
		[IBV_EVENT_SQ_DRAINED] = FM_VERBS_USUAL,
		[IBV_EVENT_PATH_MIG] = FM_VERBS_DISTURBS,
		[IBV_EVENT_PATH_MIG_ERR] = FM_VERBS_FATAL,
		[IBV_EVENT_DEVICE_FATAL] = FM_VERBS_FATAL,
		[IBV_EVENT_PORT_ACTIVE] = FM_VERBS_DISTURBS,
		[IBV_EVENT_PORT_ERR] = FM_VERBS_DISTURBS,
		[IBV_EVENT_LID_CHANGE] = FM_VERBS_DISTURBS,
		[IBV_EVENT_PKEY_CHANGE] = FM_VERBS_DISTURBS,
		[IBV_EVENT_SM_CHANGE] = FM_VERBS_DISTURBS,
		[IBV_EVENT_SRQ_ERR] = FM_VERBS_FATAL,
		[IBV_EVENT_SRQ_LIMIT_REACHED] = FM_VERBS_USUAL,
		[IBV_EVENT_QP_LAST_WQE_REACHED] = FM_VERBS_USUAL,
		[IBV_EVENT_CLIENT_REREGISTER] = FM_VERBS_DISTURBS,
		[IBV_EVENT_GID_CHANGE] = FM_VERBS_DISTURBS,
		[IBV_EVENT_WQ_FATAL] = FM_VERBS_FATAL,
	};
	const char *names[IBV_EVENT_WQ_FATAL + 1];
	enum fm_verbs_weight weight;

	(void)state;
	for (int i = IBV_EVENT_CQ_ERR; i <= IBV_EVENT_WQ_FATAL; i++) {
		struct fm_verbs_words words = fm_verbs_event_words((enum ibv_event_type)i, &weight);

		assert_words(words, names, i, "other event");
		assert_int_equal(weight, weights[i]);
		/* Of a port are those that ibv_get_async_event(3) lists as such. */
		assert_int_equal(fm_verbs_event_of_port((enum ibv_event_type)i),
				 weights[i] == FM_VERBS_DISTURBS && i != IBV_EVENT_PATH_MIG);
		names[i] = words.name;
	}
	assert_string_equal(fm_verbs_event_words((enum ibv_event_type)(IBV_EVENT_WQ_FATAL + 1), &weight).name,
			    "other event");
	assert_int_equal(weight, FM_VERBS_TOLD);
	assert_string_equal(fm_verbs_event_words((enum ibv_event_type) - 1, &weight).name, "other event");
}

static void assert_region(const struct fm_verbs_region *region, int code, enum fm_reason reason, const char *words)
{
	struct fm_error error = {0};

	assert_int_equal(fm_verbs_region_words(region, code, &error), code);
	assert_int_equal(error.code, code);
	assert_int_equal(error.reason, reason);
	if (!strstr(error.text, words) || !strstr(error.text, "mlx5_0 cannot register 65536 bytes of "))
		fail_msg("'%s' is not in: %s", words, error.text);
}

static void a_refused_registration_names_the_limit(void **state)
{
	struct fm_verbs_region region = {.device = "mlx5_0",
					 .kind = "host",
					 .bytes = 65536,
					 .cpu_access = true,
					 .lock_limit = 65536,
					 .locked = 4096};
	struct fm_verbs_region here;

	(void)state;
	assert_region(&region, -ENOMEM, FM_REASON_OUT_OF_MEMORY,
		      "the memlock limit is 65536 bytes, of which 4096 are in use");
	assert_region(&region, -EFAULT, FM_REASON_UNSUPPORTED, "pages cannot be locked");
	assert_region(&region, -EINVAL, FM_REASON_UNSUPPORTED, "size or address");
	region.access = IBV_ACCESS_RELAXED_ORDERING;
	assert_region(&region, -EINVAL, FM_REASON_UNSUPPORTED, "leave out --relaxed-ordering");
	assert_region(&region, -EAGAIN, FM_REASON_UNSUPPORTED, "rdma.max");
	assert_region(&region, -EACCES, FM_REASON_UNSUPPORTED, "/dev/infiniband");
	assert_region(&region, -ENODEV, FM_REASON_UNSUPPORTED, "was removed");
	assert_region(&region, -E2BIG, FM_REASON_UNSUPPORTED, "take a smaller --size");
	/* There is room under the limit, or no limit: it is something else. */
	region.lock_limit = 1 << 20;
	assert_region(&region, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "the device's own tables for it are full");
	region.lock_limit = UINT64_MAX;
	assert_region(&region, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "the device's own tables for it are full");
	region.kind = "cuda";
	region.cpu_access = false;
	region.lock_limit = 4096;
	assert_region(&region, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "BAR1");
	assert_region(&region, -EFAULT, FM_REASON_UNSUPPORTED, "nvidia-peermem");
	assert_region(&region, -EINVAL, FM_REASON_UNSUPPORTED, "nvidia-peermem");
	assert_region(&region, -EOPNOTSUPP, FM_REASON_UNSUPPORTED, "take --memory host");
	fm_verbs_region_limits(&here);
	assert_true(here.lock_limit > 0);
	assert_true(here.locked <= here.lock_limit);
}

/* ---- a port under a folder like /sys ---- */

static const char *const folders[] = {"",
				      "/mlx5_0",
				      "/mlx5_0/ports",
				      "/mlx5_0/ports/1",
				      "/mlx5_0/ports/1/counters",
				      "/mlx5_0/ports/1/hw_counters",
				      "/mlx5_0/ports/1/gids"};
static const char *const files[][2] = {
	{"rate", "200 Gb/sec (4X HDR)"},
	{"state", "4: ACTIVE"},
	{"lid", "0x7"},
	{"gids/3", "0000:0000:0000:0000:0000:ffff:0a00:0002"},
	{"counters/port_xmit_data", "1000"},
	{"counters/port_rcv_data", "70"},
	{"hw_counters/lifespan", "10"},
};

static void put(const char *root, const char *file, const char *text)
{
	char path[256];
	FILE *out;

	snprintf(path, sizeof(path), "%s/mlx5_0/ports/1/%s", root, file);
	out = fopen(path, "w");
	assert_non_null(out);
	fprintf(out, "%s\n", text);
	fclose(out);
}

static int tree_make(void **state)
{
	char *root = strdup("/tmp/fabmark-port.XXXXXX"), path[256];

	if (!root || !mkdtemp(root))
		return -1;
	for (size_t i = 1; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", root, folders[i]);
		if (mkdir(path, 0755))
			return -1;
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		put(root, files[i][0], files[i][1]);
	*state = root;
	return 0;
}

static int tree_remove(void **state)
{
	char path[256];
	int code = 0;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/mlx5_0/ports/1/%s", (char *)*state, files[i][0]);
		code |= unlink(path);
	}
	for (size_t i = sizeof(folders) / sizeof(folders[0]); i-- > 0;) {
		snprintf(path, sizeof(path), "%s%s", (char *)*state, folders[i]);
		code |= rmdir(path);
	}
	free(*state);
	return code;
}

static const struct fm_verbs_port port = {.device = "mlx5_0", .number = 1, .ethernet = true, .gid = {.index = 3}};

static const char *state_of(const struct fm_counters *counters, const char *name)
{
	for (uint32_t i = 0; i < counters->state_count; i++)
		if (strcmp(counters->states[i].name, name) == 0)
			return counters->states[i].value;
	return "";
}

static void states_are_read(void **state)
{
	struct fm_verbs_port infiniband = port, gone = {.device = "mlx5_9", .number = 1};
	struct fm_counters counters = {0};

	fm_verbs_states(*state, &port, &counters);
	assert_int_equal(counters.state_count, 3);
	assert_string_equal(state_of(&counters, "the link of mlx5_0:1"), "200 Gb/sec (4X HDR)");
	assert_string_equal(state_of(&counters, "port mlx5_0:1"), "ACTIVE");
	assert_string_equal(state_of(&counters, "GID 3 of mlx5_0:1"), "0000:0000:0000:0000:0000:ffff:0a00:0002");
	infiniband.ethernet = false;
	counters = (struct fm_counters){0};
	fm_verbs_states(*state, &infiniband, &counters);
	assert_string_equal(state_of(&counters, "the LID of mlx5_0:1"), "0x7");
	put(*state, "rate", "100 Gb/sec (2X HDR)");
	counters = (struct fm_counters){0};
	fm_verbs_states(*state, &port, &counters);
	assert_string_equal(state_of(&counters, "the link of mlx5_0:1"), "100 Gb/sec (2X HDR)");
	counters = (struct fm_counters){0};
	fm_verbs_states(*state, &gone, &counters);
	assert_int_equal(counters.state_count, 0);
	assert_int_equal(fm_verbs_counters_age_ms(*state, &port), 10);
	assert_int_equal(fm_verbs_counters_age_ms(*state, &gone), 0);
}

static void ports_count_words_of_four_bytes(void **state)
{
	const struct fm_verbs_port gone = {.device = "mlx5_9", .number = 1};
	struct fm_counters counters = {0};

	fm_verbs_counters(*state, &port, &counters);
	assert_int_equal(counters.sent.port, 4000);
	assert_int_equal(counters.received.port, 280);
	counters = (struct fm_counters){0};
	fm_verbs_counters(*state, &gone, &counters);
	assert_int_equal(counters.sent.port, 0);
}

/* Bytes on the wire of RoCE v2 over IPv4, FCS included, and each packet acknowledged: never more than is reckoned. */
static void assert_covers(uint64_t size, uint64_t mtu, bool fetches)
{
	enum { COMMON = 14 + 20 + 8 + 12 + 4 + 4, RETH = 16, AETH = 4, MESSAGES = 1000 };
	struct fm_verbs_moved moved = {.size = size, .mtu = mtu, .fetches = fetches, .outgoing = MESSAGES};
	uint64_t packets = (size + mtu - 1) / mtu;
	uint64_t data = MESSAGES * (size + packets * COMMON + (fetches ? AETH : RETH));
	uint64_t other = fetches ? MESSAGES * (uint64_t)(COMMON + RETH) : MESSAGES * packets * (COMMON + AETH);
	struct fm_counters out = {0}, in = {0};

	fm_verbs_own_traffic(&moved, &out);
	assert_true(out.sent.own >= (fetches ? other : data));
	assert_true(out.received.own >= (fetches ? data : other));
	/* The peer reckons the same, the other way round. */
	moved.incoming = moved.outgoing;
	moved.outgoing = 0;
	fm_verbs_own_traffic(&moved, &in);
	assert_int_equal(in.sent.own, out.received.own);
	assert_int_equal(in.received.own, out.sent.own);
	/* And of large messages not so much that nothing would be noticed: 5% is what is looked for. */
	if (mtu == 4096 && size >= mtu)
		assert_true((double)(fetches ? out.received.own : out.sent.own) < 1.05 * (double)data);
}

static void own_traffic_is_an_upper_bound(void **state)
{
	static const uint64_t sizes[] = {1, 8, 1023, 1024, 1025, 4096, 65536, 1 << 20, 1 << 30};
	struct fm_verbs_moved moved = {.size = 8, .mtu = 4096, .outgoing = 100, .grants = 3, .granted = 5};
	struct fm_counters with = {0}, without = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (uint64_t mtu = 1024; mtu <= 4096; mtu *= 2) {
			assert_covers(sizes[i], mtu, false);
			assert_covers(sizes[i], mtu, true);
		}
	fm_verbs_own_traffic(&moved, &with);
	moved.grants = moved.granted = 0;
	fm_verbs_own_traffic(&moved, &without);
	assert_true(with.sent.own >= without.sent.own + 3 * 8ull);
	assert_true(with.received.own >= without.received.own + 5 * 8ull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_status_has_words),
		cmocka_unit_test(every_event_has_words),
		cmocka_unit_test(a_refused_registration_names_the_limit),
		cmocka_unit_test(states_are_read),
		cmocka_unit_test(ports_count_words_of_four_bytes),
		cmocka_unit_test(own_traffic_is_an_upper_bound),
	};

	return cmocka_run_group_tests(tests, tree_make, tree_remove);
}
