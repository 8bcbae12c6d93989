/*
 * verbs_nics.c - whole points of every test over devices with the manners of ConnectX, EFA, Intel's and Broadcom's:
 * what is sent arrives, what fails is told and leaves nothing behind.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/nics.h"

static uint64_t seed_of(int side, uint32_t stream, uint32_t slot)
{
	return (uint64_t)side << 32 | stream << 16 | slot;
}

/* Atomics start from a word that is known: 0. */
static void fill(const struct ends *ends)
{
	const struct pair_request *request = &ends->request;
	struct fm_error error;

	for (int side = 0; side < 2; side++)
		for (uint32_t i = 0; i < request->streams; i++) {
			struct pair_side *of = &ends->pair->sides[side];

			memset(of->buffers[2 * i + 1].base, 0, of->buffers[2 * i + 1].bytes);
			for (uint32_t slot = 0; slot < request->slots; slot++)
				assert_int_equal(request->memory->fill(&of->buffers[2 * i],
								       slot * of->work.stride_bytes, request->size,
								       seed_of(side, i, slot), &error),
						 0);
		}
}

/* Did side's incoming slots get what lies in the other's outgoing ones? */
static void compare(const struct ends *ends, int side, uint64_t count)
{
	const struct pair_request *request = &ends->request;
	struct fm_error error = {0};

	for (uint32_t i = 0; i < request->streams; i++)
		for (uint32_t slot = 0; slot < request->slots && slot < count; slot++)
			if (request->memory->verify(&ends->pair->sides[side].buffers[2 * i + 1],
						    slot * ends->pair->sides[side].work.stride_bytes, request->size,
						    seed_of(!side, i, slot), &error))
				fail_msg("side %d stream %u slot %u: %s", side, i, slot, error.text);
}

static bool is_atomic(enum fm_test_id test)
{
	return strncmp(fm_tests[test].operation, "atomic", 6) == 0;
}

/* What lies where after so many operations. */
static void contents(const struct ends *ends, uint64_t count, uint64_t before, bool unordered)
{
	enum fm_test_id test = ends->request.test;
	const struct pair_side *peer = &ends->pair->sides[1];

	if (is_atomic(test)) {
		uint64_t sum = 0, word;

		for (uint32_t slot = 0; slot < ends->request.slots; slot++) {
			memcpy(&word, (const char *)peer->buffers[1].base + slot * peer->work.stride_bytes,
			       sizeof(word));
			sum += word;
		}
		if (test == FM_ATOMIC_FADD_LAT || test == FM_ATOMIC_FADD_BW)
			assert_int_equal(sum, before + count);
		else
			assert_in_range(sum, 1, ends->request.slots);
	} else if (test == FM_READ_LAT || test == FM_READ_BW) {
		compare(ends, 0, count);
	} else if (!unordered || strncmp(fm_tests[test].operation, "send", 4) != 0 ||
		   fm_tests[test].metric == FM_LATENCY) {
		compare(ends, 1, count);
		if (fm_tests[test].peer == FM_ECHO)
			compare(ends, 0, count);
	}
}

static bool unreliable(const struct ends *ends)
{
	return strcmp(ends->options.connection, "ud") == 0 || strcmp(ends->options.connection, "uc") == 0;
}

/* Repetitions of several lengths on the same lanes; each operation is counted, and each arrival where none is lost. */
static void point(struct ends *ends, bool unordered, bool lossy)
{
	static const uint64_t lengths[] = {64, 1, 100};
	uint64_t done = 0;

	ends_opened(ends);
	fill(ends);
	for (size_t r = 0; r < sizeof(lengths) / sizeof(lengths[0]); r++) {
		int code = ends_run(ends, lengths[r]);

		if (code)
			fail_msg("%s: %d", fm_tests[ends->request.test].name, code);
		for (uint32_t i = 0; i < ends->request.streams; i++) {
			assert_int_equal(ends->pair->sides[0].loops[i].done, lengths[r]);
			if (fm_tests[ends->request.test].peer != FM_TARGET && !lossy)
				assert_int_equal(ends->pair->sides[1].loops[i].done, lengths[r]);
		}
		/* The polled byte is another one than the pattern's. */
		/* Receives that may be lost are posted without end: later repetitions start in another slot. */
		if (!lossy && (r == 0 || !unreliable(ends)) &&
		    (ends->request.verify || ends->request.test != FM_WRITE_LAT))
			contents(ends, lengths[r], done, unordered);
		done += lengths[r];
	}
	if (!lossy)
		assert_int_equal(mock_log()->not_ready, 0);
	ends_close(ends);
}

static void every_test_over(const struct nic *nic, const char *connection, bool events)
{
	static const uint64_t sizes[] = {8, 1, 32, 33, 4096, 65536};
	struct fm_capabilities can;
	struct fm_error error = {0};
	struct ends ends;

	ends_make(&ends, nic, nic, FM_SEND_LAT);
	for (int t = 0; t < FM_TEST_COUNT; t++)
		for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s += events ? 3 : 1) {
			const struct fm_capability *one = &can.tests[t];

			ends_set(&ends, nic, nic, (enum fm_test_id)t);
			ends_option(&ends, "connection", connection);
			if (ends_query(&ends, 0, &can, &error))
				fail_msg("%s", error.text);
			if (!one->supported || sizes[s] < one->size_min || sizes[s] > one->size_max)
				continue;
			ends.request.size = sizes[s];
			ends.request.stride = sizes[s] < 64 ? 64 : sizes[s];
			ends.request.streams = s == 0 ? 4 : 1;
			ends.request.threads = s == 0 ? 2 : 1;
			ends.request.verify = one->verify && s % 2;
			ends.request.events = events;
			if (is_atomic((enum fm_test_id)t))
				ends.request.streams = ends.request.threads = 1;
			point(&ends, ends.devices[0].efa.present, one->may_lose);
		}
}

static void every_test_over_every_device(void **state)
{
	(void)state;
	for (size_t i = 0; i < nic_count; i++)
		every_test_over(&nics[i], "auto", false);
}

static void events_and_other_connections(void **state)
{
	(void)state;
	every_test_over(nic_named("mlx5 RoCE"), "auto", true);
	every_test_over(nic_named("efa"), "auto", true);
	every_test_over(nic_named("mlx5 InfiniBand"), "uc", false);
	every_test_over(nic_named("bnxt_re"), "ud", false);
	every_test_over(nic_named("efa"), "ud", false);
}

/* SRD carries out what it likes first: that happened, each asked for its completion, and credits held the sender. */
static void unordered_operations(void **state)
{
	static const enum fm_test_id tests[] = {FM_SEND_BW, FM_WRITE_BW, FM_WRITE_IMM_BW, FM_READ_BW};
	static const enum ibv_wr_opcode opcodes[] = {IBV_WR_SEND, IBV_WR_RDMA_WRITE, IBV_WR_RDMA_WRITE_WITH_IMM,
						     IBV_WR_RDMA_READ};
	struct ends ends;

	(void)state;
	for (size_t t = 0; t < 4; t++) {
		const struct mock_log *log = mock_log();

		ends_make(&ends, nic_named("efa"), nic_named("efa"), tests[t]);
		ends_option(&ends, "rx-depth", "12");
		ends_opened(&ends);
		for (int i = 0; i < 20; i++)
			assert_int_equal(ends_run(&ends, 1000), 0);
		assert_true(log->overtaken > 1000);
		assert_int_equal(log->not_ready, 0);
		assert_int_equal(log->posted[opcodes[t]], 20000);
		assert_int_equal(log->signalled[opcodes[t]], 20000);
		/* The word that they write counts up: a later one must not be overtaken. */
		if (opcodes[t] == IBV_WR_SEND || opcodes[t] == IBV_WR_RDMA_WRITE_WITH_IMM)
			assert_int_equal(log->writes_at_once, 1);
		assert_int_equal(log->inlined[opcodes[t]], tests[t] == FM_SEND_BW ? 20000 : 0);
		ends_close(&ends);
	}
}

/* The first generations of EFA have no RDMA write: nobody can give credits, so the device tries again. */
static void efa_without_writes(void **state)
{
	struct ends ends;

	(void)state;
	for (int of_both = 0; of_both < 2; of_both++) {
		ends_make(&ends, nic_named("efa"), nic_named("efa"), FM_SEND_BW);
		ends.devices[1].efa.writes = false;
		ends.devices[0].efa.writes = !of_both;
		ends_option(&ends, "rx-depth", "4");
		ends_opened(&ends);
		for (int i = 0; i < 5; i++)
			assert_int_equal(ends_run(&ends, 300), 0);
		assert_int_equal(mock_log()->posted[IBV_WR_RDMA_WRITE], 0);
		ends_close(&ends);
	}
}

/* ---- what fails ---- */

/* Each call in turn: a sentence, nothing left, no crash. Some can be done without: then the point goes on. */
static void each_call_fails(const struct nic *nic, const char *connection, enum fm_test_id test, bool events)
{
	uint32_t failed = 0;
	struct ends ends;

	ends_make(&ends, nic, nic, test);
	for (uint32_t k = 1;; k++) {
		struct fm_error error = {0};
		bool reached;
		int code;

		ends_set(&ends, nic, nic, test);
		ends_option(&ends, "connection", connection);
		ends.request.streams = ends.request.threads = 2;
		ends.request.events = events;
		ends.request.options = &ends.options;
		mock_start(ends.devices, 2);
		mock_fail_at(k);
		ends.pair = malloc(sizeof(*ends.pair));
		assert_non_null(ends.pair);
		code = pair_open(ends.pair, &ends.request, &error);
		reached = mock_calls() >= k;
		if (code) {
			failed++;
			assert_true(reached);
			assert_true(error.text[0] != '\0' && error.reason != FM_REASON_INTERNAL);
			free(ends.pair);
			ends.pair = NULL;
		} else {
			assert_int_equal(ends_run(&ends, 20), 0);
		}
		ends_close(&ends);
		if (!reached)
			break;
	}
	/* Devices, domains, regions, queues, three steps of each queue pair: of two streams at both ends. */
	assert_true(failed > 20);
}

static void nothing_is_left_behind(void **state)
{
	(void)state;
	for (size_t i = 0; i < nic_count; i++)
		for (int events = 0; events < 2; events++) {
			each_call_fails(&nics[i], "auto", FM_SEND_BW, events);
			each_call_fails(&nics[i], "auto", FM_READ_LAT, events);
		}
	each_call_fails(nic_named("mlx5 RoCE"), "ud", FM_SEND_LAT, false);
}

/* A device that goes away under way: the lane says so in words. */
static void posting_fails(void **state)
{
	(void)state;
	for (size_t i = 0; i < nic_count; i++) {
		struct fm_error error = {0};
		const struct fm_lane *lane;
		struct ends ends;

		ends_make(&ends, &nics[i], &nics[i], FM_WRITE_BW);
		ends.devices[0].posts_until_failure = 50;
		ends_opened(&ends);
		assert_int_equal(ends_run(&ends, 20), 0);
		assert_int_equal(ends_run(&ends, 1000), -EIO);
		lane = &ends.pair->sides[0].lanes[0];
		assert_int_equal(lane->explain(lane->self, &error), -EIO);
		assert_non_null(strstr(error.text, "stream 0: ibv_"));
		ends_close(&ends);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_test_over_every_device), cmocka_unit_test(events_and_other_connections),
		cmocka_unit_test(unordered_operations),		cmocka_unit_test(efa_without_writes),
		cmocka_unit_test(nothing_is_left_behind),	cmocka_unit_test(posting_fails),
	};

	return cmocka_run_group_tests(tests, nics_enter, nics_leave);
}
