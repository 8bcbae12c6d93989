/*
 * verify.c - fills before it posts, compares when it is told of an arrival.
 */
#include "bench/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>

#define BYTES_MAX      (256ull << 20) /* that one stream moves */
#define OPERATIONS_MIN 64
#define LOST_MAX       1024 /* in a row */

/* Which side sends a message. */
enum sender { SENDER_A, SENDER_B };

uint64_t fm_verify_operations(uint64_t size_bytes, uint32_t slots)
{
	uint64_t operations = 2 * (uint64_t)slots + 1, most = BYTES_MAX / size_bytes;

	if (operations < OPERATIONS_MIN)
		operations = OPERATIONS_MIN;
	if (operations > most)
		operations = most;
	return operations > 2 ? operations : 2;
}

static bool is_read(enum fm_test_id test)
{
	return test == FM_READ_LAT || test == FM_READ_BW;
}

static bool reads(const struct fm_verify *verify)
{
	return is_read(verify->work->test);
}

bool fm_verify_seen(enum fm_test_id test, bool bidirectional)
{
	return (fm_tests[test].peer != FM_TARGET && !bidirectional) || is_read(test);
}

static enum sender self_of(const struct fm_verify *verify)
{
	return verify->work->passive ? SENDER_B : SENDER_A;
}

static enum sender peer_of(const struct fm_verify *verify)
{
	return verify->work->passive ? SENDER_A : SENDER_B;
}

static uint64_t message_seed(const struct fm_verify *verify, enum sender sender, uint32_t stream, uint64_t sequence)
{
	return fm_pattern_word(verify->seed + ((uint64_t)sender << 32 | stream), sequence);
}

static size_t slot_of(const struct fm_verify *verify, uint64_t sequence)
{
	return (size_t)(sequence % verify->work->slots * verify->work->stride_bytes);
}

/* Writes what this end sends as message `sequence`. */
static int outgoing_fill(const struct fm_verify *verify, uint32_t stream, uint64_t sequence, struct fm_error *error)
{
	struct fm_buffer out = verify->buffers[2 * (size_t)stream];

	return out.kind->fill(&out, slot_of(verify, sequence), verify->work->size_bytes,
			      message_seed(verify, self_of(verify), stream, sequence), error);
}

/* Before a read, which brings the same again and again: what is compared afterwards must have come anew. */
static int incoming_spoil(const struct fm_verify *verify, uint32_t stream, uint64_t sequence, struct fm_error *error)
{
	struct fm_buffer in = verify->buffers[2 * (size_t)stream + 1];

	return in.kind->fill(&in, slot_of(verify, sequence), verify->work->size_bytes, ~verify->seed, error);
}

/* Does the slot of arrival `at` hold message `sequence`? */
static int slot_check(const struct fm_verify *verify, uint32_t stream, uint64_t at, uint64_t sequence,
		      struct fm_error *error)
{
	const struct fm_buffer *in = &verify->buffers[2 * (size_t)stream + 1];

	return in->kind->verify(in, slot_of(verify, at), verify->work->size_bytes,
				message_seed(verify, peer_of(verify), stream, sequence), error);
}

/*
 * Does the slot of arrival `at` hold its message? A slot that still holds its message before is told apart from damage.
 * lost: messages before it that stayed away, and grows by those that did now.
 */
static int incoming_check(const struct fm_verify *verify, uint32_t stream, uint64_t at, uint64_t *lost,
			  struct fm_error *error)
{
	const struct fm_work *work = verify->work;
	const uint64_t sequence = reads(verify) ? at % work->slots : at + *lost;
	struct fm_error ignored;
	int code = slot_check(verify, stream, at, sequence, error);

	if (code != -EBADMSG)
		return code;
	for (uint64_t more = 1; more <= LOST_MAX && verify->may_lose; more++)
		if (slot_check(verify, stream, at, sequence + more, &ignored) == 0) {
			*lost += more;
			return 0;
		}
	if (at / work->slots > 0 && !reads(verify) &&
	    slot_check(verify, stream, at, sequence - work->slots, &ignored) == 0)
		return fm_error_set(error, -EBADMSG, FM_REASON_VERIFY,
				    "message %" PRIu64 " of stream %u was reported before it arrived: its place still "
				    "holds message %" PRIu64,
				    sequence, stream, sequence - work->slots);
	fm_error_prefix(error, "message %" PRIu64 " of stream %u did not arrive as it was sent: ", at + *lost, stream);
	return -EBADMSG;
}

int fm_verify_begin(const struct fm_verify *verify, struct fm_error *error)
{
	int code = 0;

	/* What the peer will read: of both directions each end is read from while it drives. */
	if (!reads(verify) || (verify->work->role != FM_TARGET && !verify->work->bidirectional))
		return 0;
	for (uint32_t i = verify->first; i < verify->first + verify->count; i++)
		for (uint32_t slot = 0; slot < verify->work->slots && code == 0; slot++)
			code = outgoing_fill(verify, i, slot, error);
	return code;
}

int fm_verify_end(const struct fm_verify *verify, const struct fm_loop *loops, struct fm_error *error)
{
	const struct fm_work *work = verify->work;
	bool unseen =
		!fm_verify_seen(work->test, work->bidirectional) && (work->role == FM_TARGET || work->bidirectional);
	uint64_t lost = 0;
	int code = 0;

	for (uint32_t i = 0; i < verify->count && unseen; i++) {
		uint64_t operations = loops[i].operations;
		uint64_t from = operations > work->slots ? operations - work->slots : 0;

		for (uint64_t at = from; at < operations && code == 0; at++)
			code = incoming_check(verify, verify->first + i, at, &lost, error);
	}
	return code;
}

/* ---- turns: how many operations moved, or why it ends ---- */

static int lane_failed(struct fm_loop *loop, int code)
{
	loop->failed = code;
	return code;
}

/* Compares what a poll has just reported. */
static int arrivals_check(const struct fm_verify *verify, struct fm_loop *loop, uint32_t stream, int arrived,
			  struct fm_error *error)
{
	int code = 0;

	for (int i = 0; i < arrived && code == 0; i++)
		code = incoming_check(verify, stream, loop->done + (uint64_t)i, &loop->mark, error);
	return code ? code : arrived;
}

static int turn_drive(const struct fm_verify *verify, struct fm_loop *loop, uint32_t stream, struct fm_error *error)
{
	bool answered = fm_tests[verify->work->test].peer == FM_ECHO || reads(verify);
	int n = 1;

	while (n > 0 && loop->posted < loop->operations && loop->posted < loop->done + loop->depth) {
		int code = reads(verify) ? incoming_spoil(verify, stream, loop->posted, error)
					 : outgoing_fill(verify, stream, loop->posted, error);

		if (code)
			return code;
		n = loop->lane->post(loop->lane->self, 1);
		if (n < 0)
			return lane_failed(loop, n);
		loop->posted += (uint32_t)n;
	}
	n = loop->lane->poll(loop->lane->self);
	if (n < 0)
		return lane_failed(loop, n);
	if (answered)
		n = arrivals_check(verify, loop, stream, n, error);
	if (n > 0)
		atomic_store_explicit(&loop->beat, loop->done += (uint32_t)n, memory_order_relaxed);
	return n;
}

static int turn_arrivals(const struct fm_verify *verify, struct fm_loop *loop, uint32_t stream, struct fm_error *error)
{
	int n = loop->lane->poll(loop->lane->self);

	if (n < 0)
		return lane_failed(loop, n);
	n = arrivals_check(verify, loop, stream, n, error);
	if (n > 0)
		loop->done += (uint32_t)n;
	return n;
}

static int turn_echo(const struct fm_verify *verify, struct fm_loop *loop, uint32_t stream, struct fm_error *error)
{
	int arrived = turn_arrivals(verify, loop, stream, error), posted;

	while (arrived >= 0 && loop->posted < loop->done) {
		int code = outgoing_fill(verify, stream, loop->posted, error);

		if (code)
			return code;
		posted = loop->lane->post(loop->lane->self, 1);
		if (posted < 0)
			return lane_failed(loop, posted);
		if (posted == 0)
			break;
		loop->posted++;
	}
	return arrived;
}

static int turn_target(const struct fm_verify *verify, struct fm_loop *loop, uint32_t stream, struct fm_error *error)
{
	int n = loop->lane->poll(loop->lane->self);

	(void)verify, (void)stream, (void)error;
	return n < 0 ? lane_failed(loop, n) : n;
}

int fm_verify_run(const struct fm_verify *verify, struct fm_loop *loops, const struct fm_loop_context *context,
		  struct fm_error *error)
{
	static int (*const turns[])(const struct fm_verify *, struct fm_loop *, uint32_t, struct fm_error *) = {
		[FM_DRIVE] = turn_drive, [FM_ECHO] = turn_echo, [FM_SINK] = turn_arrivals, [FM_TARGET] = turn_target};
	bool drives = verify->work->role == FM_DRIVE, running = true;

	for (uint32_t i = 0; i < verify->count; i++) {
		/* No stamps here: the mark counts what was lost. */
		loops[i].posted = loops[i].done = loops[i].mark = 0;
		loops[i].failed = 0;
		loops[i].trace.count = 0;
	}
	while (running) {
		int stop = atomic_load_explicit(context->stop, memory_order_relaxed), moved = 0;

		if (stop == FM_ABORT)
			return -ECANCELED;
		running = !drives;
		for (uint32_t i = 0; i < verify->count; i++) {
			int n = turns[verify->work->role](verify, &loops[i], verify->first + i, error);

			if (n < 0)
				return n;
			moved += n;
			running = running || loops[i].done < loops[i].operations;
		}
		if (!drives && stop == FM_FINISH && moved == 0)
			return 0;
		if (moved == 0 && context->yield)
			sched_yield();
	}
	return 0;
}
