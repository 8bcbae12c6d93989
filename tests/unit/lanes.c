/*
 * lanes.c - transports through the measuring loops: both ends in this process, in threads of their own.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/memory/memory.h"
#include "tests/support/pair.h"
#include "transports/registry.h"
#include "transports/tcp/tcp.h"

static struct pair_request request_of(const char *transport, enum fm_test_id test, uint64_t size)
{
	return (struct pair_request){
		.transport = fm_transport_find(transport),
		.address = "127.0.0.1",
		.memory = fm_memory_find("host"),
		.test = test,
		.size = size,
		.slots = 8,
		.depth = fm_tests[test].metric == FM_LATENCY ? 1 : 8,
		.streams = 1,
		.threads = 1,
		.verify = true,
	};
}

static struct pair *opened(const struct pair_request *request)
{
	struct pair *pair = malloc(sizeof(*pair));
	struct fm_error error = {0};

	assert_non_null(pair);
	if (pair_open(pair, request, &error))
		fail_msg("%s", error.text);
	return pair;
}

static void closed(struct pair *pair)
{
	pair_close(pair);
	free(pair);
}

static uint64_t seed_of(int side, uint32_t stream, uint32_t slot)
{
	return (uint64_t)side << 32 | stream << 16 | slot;
}

/* What each side sends is known by side, stream and slot. */
static void fill(struct pair *pair)
{
	const struct pair_request *request = &pair->request;
	struct fm_error error;

	for (int s = 0; s < 2; s++)
		for (uint32_t i = 0; i < request->streams; i++)
			for (uint32_t slot = 0; slot < request->slots; slot++)
				assert_int_equal(request->memory->fill(&pair->sides[s].buffers[2 * i],
								       slot * pair->sides[s].work.stride_bytes,
								       request->size, seed_of(s, i, slot), &error),
						 0);
}

/* The first `count` slots of what came in from the other side. */
static void verify(struct pair *pair, int s, uint64_t count)
{
	const struct pair_request *request = &pair->request;
	struct fm_error error = {0};

	for (uint32_t i = 0; i < request->streams; i++)
		for (uint32_t slot = 0; slot < request->slots && slot < count; slot++)
			if (request->memory->verify(&pair->sides[s].buffers[2 * i + 1],
						    slot * pair->sides[s].work.stride_bytes, request->size,
						    seed_of(!s, i, slot), &error))
				fail_msg("side %d stream %u slot %u: %s", s, i, slot, error.text);
}

/* Runs repetitions of several lengths on the same lanes; every arrival is counted and every byte compared. */
static void exercise(const struct pair_request *request)
{
	static const uint64_t lengths[] = {1, 5, 64};
	struct pair *pair = opened(request);

	fill(pair);
	for (size_t r = 0; r < sizeof(lengths) / sizeof(lengths[0]); r++) {
		assert_int_equal(pair_run(pair, lengths[r], 4), 0);
		for (uint32_t i = 0; i < request->streams; i++) {
			const struct fm_loop *drive = &pair->sides[0].loops[i], *peer = &pair->sides[1].loops[i];

			assert_int_equal(drive->done, lengths[r]);
			assert_int_equal(peer->done, lengths[r]);
			assert_int_equal(drive->trace.done[drive->trace.count - 1], lengths[r]);
			assert_int_equal(drive->trace.done[0], 0);
		}
		if (request->transport == fm_transport_find("null"))
			continue;
		verify(pair, 1, lengths[r]);
		if (fm_tests[request->test].peer == FM_ECHO)
			verify(pair, 0, lengths[r]);
	}
	closed(pair);
}

static void tcp_sizes(void **state)
{
	static const enum fm_test_id tests[] = {FM_SEND_LAT, FM_SEND_BW, FM_STREAM_BW};
	static const uint64_t sizes[] = {1, 3, 8, 13, 4096, (1 << 20) + 3};

	(void)state;
	for (size_t t = 0; t < sizeof(tests) / sizeof(tests[0]); t++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			for (uint32_t streams = 1; streams <= 4; streams += 3) {
				struct pair_request request = request_of("tcp", tests[t], sizes[i]);

				request.streams = streams;
				exercise(&request);
			}
}

static bool has_six(void)
{
	const struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	bool has = fd >= 0 && bind(fd, (const struct sockaddr *)&name, sizeof(name)) == 0;

	if (fd >= 0)
		close(fd);
	if (!has)
		print_message("no ::1 on this machine: IPv4 alone is tested\n");
	return has;
}

static void tcp_six_threads_events(void **state)
{
	static const enum fm_test_id tests[] = {FM_SEND_LAT, FM_SEND_BW, FM_STREAM_BW};

	const char *const addresses[] = {"127.0.0.1", has_six() ? "::1" : "127.0.0.1"};

	(void)state;
	for (size_t t = 0; t < sizeof(tests) / sizeof(tests[0]); t++)
		for (int variant = 0; variant < 8; variant++) {
			struct pair_request request = request_of("tcp", tests[t], 1000);

			request.address = addresses[variant & 1];
			request.streams = 6;
			request.threads = variant & 2 ? 2 : 1;
			request.events = variant & 4;
			request.stride = 1024;
			exercise(&request);
		}
}

/* Buffers so small that no message goes out in one piece, and memory that the CPU cannot touch. */
static void tcp_partial_staged(void **state)
{
	/* Segments far smaller than the buffer, or the kernel's silly window avoidance sleeps 200 ms at a time. */
	const struct fm_tcp_options options = {.socket_buffer = 16384, .mss = 1000};
	static const enum fm_test_id tests[] = {FM_SEND_LAT, FM_SEND_BW, FM_STREAM_BW};

	(void)state;
	for (size_t t = 0; t < sizeof(tests) / sizeof(tests[0]); t++)
		for (int variant = 0; variant < 4; variant++) {
			struct pair_request request = request_of("tcp", tests[t], 50001);

			request.options = variant & 1 ? &options : NULL;
			request.memory = fm_memory_find(variant & 2 ? "guarded" : "host");
			request.streams = 2;
			exercise(&request);
		}
}

/* Without --verify messages lie packed whatever the stride: only the count is looked at. */
static void tcp_packed(void **state)
{
	struct pair_request request = request_of("tcp", FM_SEND_BW, 24);
	struct pair *pair;

	(void)state;
	request.verify = false;
	request.stride = 64;
	request.depth = 64;
	request.slots = 5;
	pair = opened(&request);
	for (uint64_t n = 1; n < 5000; n *= 7) {
		assert_int_equal(pair_run(pair, n, 16), 0);
		assert_int_equal(pair->sides[1].loops[0].done, n);
	}
	closed(pair);
}

static void null_all(void **state)
{
	(void)state;
	for (int t = 0; t < FM_TEST_COUNT; t++) {
		struct pair_request request = request_of("null", t, 8);

		request.memory = fm_memory_find("guarded");
		request.streams = 3;
		if (fm_tests[t].peer == FM_TARGET) {
			struct pair *pair = opened(&request);

			assert_int_equal(pair_run(pair, 1000, 16), 0);
			assert_int_equal(pair->sides[0].loops[2].done, 1000);
			closed(pair);
		} else {
			exercise(&request);
		}
	}
}

/* The peer's process is gone: the drive ends at once and says who and where. */
static void tcp_peer_closes(void **state)
{
	static const enum fm_test_id tests[] = {FM_SEND_LAT, FM_SEND_BW, FM_STREAM_BW};

	(void)state;
	for (size_t t = 0; t < sizeof(tests) / sizeof(tests[0]); t++) {
		struct pair_request request = request_of("tcp", tests[t], 512);
		struct pair *pair = opened(&request);
		const struct fm_lane *lane = &pair->sides[0].lanes[0];
		struct fm_error error = {0};
		int code;

		assert_int_equal(pair_arm(pair, UINT64_MAX / 2, 1024), 0);
		pair_start(pair, 1);
		pair_start(pair, 0);
		usleep(20000);
		atomic_store(&pair->sides[1].stop, FM_ABORT);
		assert_int_equal(pair_join(pair, 1), -ECANCELED);
		request.transport->close(pair->sides[1].endpoint);
		pair->sides[1].endpoint = NULL;
		code = pair_join(pair, 0);
		assert_true(code < 0 && code != -ECANCELED);
		assert_int_equal(pair->sides[0].loops[0].failed, code);
		assert_int_equal(lane->explain(lane->self, &error), code);
		assert_int_equal(error.reason, FM_REASON_PEER_LOST);
		assert_non_null(strstr(error.text, "the peer closed the data connection 127.0.0.1:"));
		assert_int_equal(lane->arm(lane->self, 1, 0), code);
		closed(pair);
	}
}

/* The control thread gives up: every loop of either role ends within moments. */
static void aborts_fast(void **state)
{
	static const struct {
		const char *transport;
		enum fm_test_id test;
	} cases[] = {{"tcp", FM_SEND_LAT},
		     {"tcp", FM_SEND_BW},
		     {"tcp", FM_STREAM_BW},
		     {"null", FM_SEND_LAT},
		     {"null", FM_READ_BW}};

	(void)state;
	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++)
		for (int events = 0; events < 2; events++) {
			struct pair_request request = request_of(cases[c].transport, cases[c].test, 64);
			struct pair *pair;
			uint64_t since;

			request.streams = 2;
			request.events = events;
			pair = opened(&request);
			assert_int_equal(pair_arm(pair, UINT64_MAX / 2, 1024), 0);
			pair_start(pair, 1);
			pair_start(pair, 0);
			usleep(10000);
			since = fm_now_ns();
			atomic_store(&pair->sides[0].stop, FM_ABORT);
			atomic_store(&pair->sides[1].stop, FM_ABORT);
			assert_int_equal(pair_join(pair, 0), -ECANCELED);
			assert_int_equal(pair_join(pair, 1), -ECANCELED);
			assert_true(fm_now_ns() - since < 1000000000);
			closed(pair);
		}
}

static const char *effective_of(const struct fm_effective *effective, const char *key)
{
	for (uint32_t i = 0; i < effective->count; i++)
		if (strcmp(effective->items[i].key, key) == 0)
			return effective->items[i].value;
	fail_msg("%s is not among the effective values", key);
	return NULL;
}

static void tcp_says_what_is_in_force(void **state)
{
	const struct fm_tcp_options options = {.socket_buffer = 65536, .mss = 1000, .congestion = "reno"};
	struct pair_request request = request_of("tcp", FM_SEND_BW, 64);
	struct fm_effective effective = {0};
	struct fm_counters counters = {0};
	struct fm_error error;
	struct pair *pair;

	(void)state;
	request.options = &options;
	request.streams = 3;
	pair = opened(&request);
	assert_int_equal(pair_run(pair, 100, 16), 0);
	for (int s = 0; s < 2; s++) {
		const struct fm_transport *tcp = request.transport;

		memset(&effective, 0, sizeof(effective));
		assert_int_equal(tcp->effective(pair->sides[s].endpoint, &effective, &error), 0);
		assert_string_equal(effective_of(&effective, "connection"), "tcp");
		assert_string_equal(effective_of(&effective, "memory_path"), "host");
		assert_string_equal(effective_of(&effective, "nodelay"), "1");
		assert_string_equal(effective_of(&effective, "congestion"), "reno");
		assert_true(atoi(effective_of(&effective, "send_buffer")) >= 65536);
		assert_true(atoi(effective_of(&effective, "mtu")) >= 1280);
		assert_in_range(atoi(effective_of(&effective, "mss")), 900, 1000);
		assert_non_null(strstr(effective_of(&effective, "socket"), "127.0.0.1:"));
		counters.count = 0;
		assert_int_equal(tcp->counters(pair->sides[s].endpoint, &counters, &error), 0);
		assert_string_equal(counters.items[0].key, "retransmit_count");
		assert_in_range(counters.count, 2, FM_COUNTERS_MAX);
	}
	closed(pair);
}

/* What cannot be had is refused before anything connects, in words. */
static void tcp_refuses(void **state)
{
	const struct fm_tcp_options options = {.congestion = "no-such-control"};
	struct pair *pair = malloc(sizeof(*pair));
	struct pair_request request;
	struct fm_error error;

	(void)state;
	request = request_of("tcp", FM_WRITE_BW, 8);
	assert_int_equal(pair_open(pair, &request, &error), -EOPNOTSUPP);
	request = request_of("tcp", FM_SEND_LAT, 8);
	request.bidirectional = true;
	assert_int_equal(pair_open(pair, &request, &error), -EOPNOTSUPP);
	assert_int_equal(error.reason, FM_REASON_UNSUPPORTED);
	request = request_of("tcp", FM_SEND_BW, 8);
	request.options = &options;
	assert_int_equal(pair_open(pair, &request, &error), -ENOENT);
	assert_non_null(strstr(error.text, "--congestion"));
	free(pair);
}

/* A port that nobody listens on, and blobs that no peer of ours sends. */
static void tcp_connect_fails(void **state)
{
	struct pair_request request = request_of("tcp", FM_SEND_BW, 8);
	struct fm_blob *good = calloc(1, sizeof(*good)), *bad = calloc(1, sizeof(*bad));
	const struct fm_transport *tcp = request.transport;
	struct pair *pair = opened(&request);
	struct pair_side *side = &pair->sides[0];
	struct fm_error error = {0};
	int code = -EAGAIN;

	(void)state;
	assert_non_null(good);
	assert_non_null(bad);
	pair->services.expected = 0;
	pair->services.table.port = 1;
	assert_int_equal(tcp->address(pair->sides[1].endpoint, good, &error), 0);
	for (uint32_t cut = 0; cut < good->bytes; cut++) {
		tcp->close(side->endpoint);
		assert_int_equal(tcp->open(&side->place, &side->work, side->buffers, 2, &side->endpoint, &error), 0);
		*bad = *good;
		bad->bytes = cut;
		assert_int_equal(tcp->connect(side->endpoint, bad, side->lanes, 1, &error), -EPROTO);
	}
	while (code == -EAGAIN)
		code = tcp->connect(side->endpoint, good, side->lanes, 1, &error);
	assert_int_equal(code, -ECONNREFUSED);
	assert_int_equal(error.reason, FM_REASON_CONNECT);
	assert_non_null(strstr(error.text, "open TCP port 1 on 127.0.0.1"));
	atomic_store(&pair->services.stopped, true);
	assert_int_equal(tcp->connect(side->endpoint, good, side->lanes, 1, &error), -ECANCELED);
	free(good);
	free(bad);
	closed(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_sizes),	      cmocka_unit_test(tcp_six_threads_events),
		cmocka_unit_test(tcp_partial_staged), cmocka_unit_test(tcp_packed),
		cmocka_unit_test(null_all),	      cmocka_unit_test(tcp_peer_closes),
		cmocka_unit_test(aborts_fast),	      cmocka_unit_test(tcp_says_what_is_in_force),
		cmocka_unit_test(tcp_refuses),	      cmocka_unit_test(tcp_connect_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
