/*
 * verify.c - what the verifying repetition finds: over tcp, and over lanes that misbehave on purpose.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory/memory.h"
#include "tests/support/pair.h"
#include "transports/registry.h"

enum { SLOTS = 4, SIZE = 100, SEED = 4711 };

/* ---- over tcp ---- */

static struct pair_request request_of(enum fm_test_id test, uint64_t size)
{
	return (struct pair_request){
		.transport = fm_transport_find("tcp"),
		.address = "127.0.0.1",
		.memory = fm_memory_find("host"),
		.test = test,
		.size = size,
		.slots = SLOTS,
		.depth = fm_tests[test].metric == FM_LATENCY ? 1 : SLOTS,
		.streams = 1,
		.threads = 1,
		.verify = true,
		.verify_seed = SEED,
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

static void tcp_is_faithful(void **state)
{
	static const enum fm_test_id tests[] = {FM_SEND_LAT, FM_SEND_BW, FM_STREAM_BW};
	static const uint64_t sizes[] = {1, 8, 100, 4096, 100001};

	(void)state;
	for (size_t t = 0; t < sizeof(tests) / sizeof(tests[0]); t++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			struct pair_request request = request_of(tests[t], sizes[i]);
			struct pair *pair;

			request.streams = i % 2 ? 4 : 1;
			request.threads = i % 2 ? 2 : 1;
			request.stride = (sizes[i] + 63) / 64 * 64;
			pair = opened(&request);
			assert_int_equal(pair_run(pair, fm_verify_operations(sizes[i], SLOTS), 1), 0);
			for (uint32_t stream = 0; stream < request.streams; stream++)
				assert_int_equal(pair->sides[1].loops[stream].done,
						 fm_verify_operations(sizes[i], SLOTS));
			pair_close(pair);
			free(pair);
		}
}

enum misdeed { FLIP, LATE, SWAP };

/* Between a lane and its loop: spoils arrival `at`, once it is here and before the loop hears of it. */
struct spoiler {
	struct fm_lane inner;
	struct pair_side *side;
	enum misdeed misdeed;
	uint64_t at, arrived;
};

static uint8_t *slot_at(const struct pair_side *side, uint32_t buffer, uint64_t sequence)
{
	return (uint8_t *)side->buffers[buffer].base + sequence % side->work.slots * side->work.stride_bytes;
}

static void message_write(struct pair_side *side, uint64_t slot, uint64_t sequence)
{
	/* The seed of message `sequence` of A's stream 0, as the header of verify.h makes it. */
	fm_pattern_fill(slot_at(side, 1, slot), SIZE, fm_pattern_word(SEED, sequence));
}

static int spoiler_poll(void *self)
{
	struct spoiler *spoiler = self;
	int n = spoiler->inner.poll(spoiler->inner.self);

	if (n > 0 && spoiler->at >= spoiler->arrived && spoiler->at < spoiler->arrived + (uint64_t)n) {
		if (spoiler->misdeed == FLIP)
			slot_at(spoiler->side, 1, spoiler->at)[SIZE - 1] ^= 0x10;
		else if (spoiler->misdeed == LATE)
			message_write(spoiler->side, spoiler->at, spoiler->at - SLOTS);
		else
			message_write(spoiler->side, spoiler->at, spoiler->at + 1);
	}
	spoiler->arrived += n > 0 ? (uint32_t)n : 0;
	return n;
}

static void finds(enum misdeed misdeed, const char *words)
{
	const struct pair_request request = request_of(FM_SEND_BW, SIZE);
	struct pair *pair = opened(&request);
	struct spoiler spoiler = {pair->sides[1].lanes[0], &pair->sides[1], misdeed, 6, 0};
	const struct fm_error *error = &pair->sides[1].threads[0].error;

	assert_int_equal(pair_arm(pair, 9, 1), 0);
	pair->sides[1].lanes[0].self = &spoiler;
	pair->sides[1].lanes[0].poll = spoiler_poll;
	pair_start(pair, 1);
	pair_start(pair, 0);
	assert_int_equal(pair_join(pair, 1), -EBADMSG);
	atomic_store(&pair->sides[0].stop, FM_ABORT);
	pair_join(pair, 0);
	assert_int_equal(error->reason, FM_REASON_VERIFY);
	if (!strstr(error->text, words))
		fail_msg("'%s' does not say '%s'", error->text, words);
	pair_close(pair);
	free(pair);
}

static void damage_is_found(void **state)
{
	(void)state;
	finds(FLIP, "message 6 of stream 0 did not arrive as it was sent: byte 99 of 100");
}

static void lateness_is_found(void **state)
{
	(void)state;
	finds(LATE, "message 6 of stream 0 was reported before it arrived: its place still holds message 2");
}

static void another_message_is_found(void **state)
{
	(void)state;
	finds(SWAP, "message 6 of stream 0 did not arrive as it was sent: byte 0 of 100");
}

/* ---- one-sided: the far end's memory, and what was fetched from it ---- */

struct wire {
	struct pair_side *near, *far;
	bool read;
	uint64_t moved, lost; /* the message that is not moved */
	int reported;
};

static int wire_post(void *self, uint32_t count)
{
	struct wire *wire = self;

	for (uint32_t i = 0; i < count; i++, wire->moved++) {
		struct pair_side *from = wire->read ? wire->far : wire->near;
		struct pair_side *to = wire->read ? wire->near : wire->far;

		if (wire->moved != wire->lost)
			memcpy(slot_at(to, 1, wire->moved), slot_at(from, 0, wire->moved), SIZE);
	}
	wire->reported += (int)count;
	return (int)count;
}

static int wire_poll(void *self)
{
	struct wire *wire = self;
	int n = wire->reported;

	wire->reported = 0;
	return n;
}

/* One repetition of 9 messages, one of which is lost (9: none): what the end that can see it says. */
static int one_sided(enum fm_test_id test, uint64_t lost, struct fm_error *error)
{
	struct pair_side sides[2] = {0};
	struct wire wire = {&sides[0], &sides[1], test == FM_READ_BW, 0, lost, 0};
	struct fm_lane lane = {.self = &wire, .post = wire_post, .poll = wire_poll};
	struct fm_verify verify[2];
	atomic_int stop = FM_RUN;
	const struct fm_loop_context context = {.stop = &stop};
	int code;

	for (int s = 0; s < 2; s++) {
		sides[s].work = (struct fm_work){.test = test,
						 .role = s ? FM_TARGET : FM_DRIVE,
						 .passive = s,
						 .size_bytes = SIZE,
						 .stride_bytes = 128,
						 .slots = SLOTS};
		for (int i = 0; i < 2; i++)
			assert_int_equal(fm_memory_find("host")->allocate(-1, -1, (size_t)SLOTS * 128,
									  &sides[s].buffers[i], error),
					 0);
		verify[s] = (struct fm_verify){&sides[s].work, sides[s].buffers, SEED, 0, 1, false};
		sides[s].loops[0] = (struct fm_loop){.lane = &lane, .operations = 9, .depth = 2};
		assert_int_equal(fm_verify_begin(&verify[s], error), 0);
	}
	code = fm_verify_run(&verify[0], sides[0].loops, &context, error);
	for (int s = 0; s < 2 && code == 0; s++)
		code = fm_verify_end(&verify[s], sides[s].loops, error);
	for (int s = 0; s < 2; s++)
		for (int i = 0; i < 2; i++)
			fm_memory_find("host")->free(&sides[s].buffers[i]);
	return code;
}

static void writes_are_compared_at_the_end(void **state)
{
	struct fm_error error = {0};

	(void)state;
	assert_int_equal(one_sided(FM_WRITE_BW, 9, &error), 0);
	assert_int_equal(one_sided(FM_WRITE_BW, 7, &error), -EBADMSG);
	assert_non_null(strstr(error.text, "its place still holds message 3"));
}

static void reads_are_compared_as_they_come(void **state)
{
	struct fm_error error = {0};

	(void)state;
	assert_int_equal(one_sided(FM_READ_BW, 9, &error), 0);
	assert_int_equal(one_sided(FM_READ_BW, 7, &error), -EBADMSG);
	assert_non_null(strstr(error.text, "message 7 of stream 0 did not arrive"));
}

/* ---- a path that may lose ---- */

struct lossy {
	struct pair_side *side;
	uint64_t sequence, arrived, lost; /* the message that stays away */
};

static int lossy_poll(void *self)
{
	struct lossy *lossy = self;

	if (lossy->sequence == lossy->lost)
		lossy->sequence++;
	if (lossy->sequence == 9)
		return 0;
	message_write(lossy->side, lossy->arrived++, lossy->sequence++);
	return 1;
}

static int lossy_run(bool may_lose, struct fm_error *error)
{
	struct pair_side side = {.work = {.test = FM_SEND_BW,
					  .role = FM_SINK,
					  .passive = true,
					  .size_bytes = SIZE,
					  .stride_bytes = 128,
					  .slots = SLOTS}};
	struct lossy lossy = {&side, 0, 0, 6};
	const struct fm_lane lane = {.self = &lossy, .poll = lossy_poll};
	const struct fm_verify verify = {&side.work, side.buffers, SEED, 0, 1, may_lose};
	atomic_int stop = FM_FINISH;
	const struct fm_loop_context context = {.stop = &stop};
	const struct fm_memory_kind *host = fm_memory_find("host");
	int code;

	for (int i = 0; i < 2; i++)
		assert_int_equal(host->allocate(-1, -1, (size_t)SLOTS * 128, &side.buffers[i], error), 0);
	side.loops[0] = (struct fm_loop){.lane = &lane, .operations = 9};
	code = fm_verify_run(&verify, side.loops, &context, error);
	if (code == 0)
		assert_int_equal(side.loops[0].done, 8);
	for (int i = 0; i < 2; i++)
		host->free(&side.buffers[i]);
	return code;
}

static void a_loss_is_no_damage_where_it_may_be(void **state)
{
	struct fm_error error = {0};

	(void)state;
	assert_int_equal(lossy_run(true, &error), 0);
	assert_int_equal(lossy_run(false, &error), -EBADMSG);
	assert_non_null(strstr(error.text, "message 6 of stream 0 did not arrive as it was sent"));
}

static void operations_use_each_slot_again(void **state)
{
	(void)state;
	assert_int_equal(fm_verify_operations(8, 1), 64);
	assert_int_equal(fm_verify_operations(8, 128), 257);
	/* Bounded by what they move, yet never a single one. */
	assert_int_equal(fm_verify_operations(64 << 20, 128), 4);
	assert_int_equal(fm_verify_operations(1ull << 30, 1), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_is_faithful),
		cmocka_unit_test(damage_is_found),
		cmocka_unit_test(lateness_is_found),
		cmocka_unit_test(another_message_is_found),
		cmocka_unit_test(writes_are_compared_at_the_end),
		cmocka_unit_test(reads_are_compared_as_they_come),
		cmocka_unit_test(a_loss_is_no_damage_where_it_may_be),
		cmocka_unit_test(operations_use_each_slot_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
