/*
 * lane.c - messages of one stream: size_bytes of the byte stream and one send() each.
 * send_bw is bounded by the sink's receipts (the cumulative count of messages, 8 bytes little-endian, on the way back),
 * stream_bw by the socket's buffer, with one receipt at the end.
 */
#include "transports/tcp/lane.h"

#include <endian.h>
#include <stdlib.h>
#include <unistd.h>

enum { WAIT_MS = 10, STAGE_MAX = 4 << 20 };

static inline void cursor_move(struct fm_tcp_cursor *cursor, size_t bytes)
{
	cursor->at += bytes;
	if (cursor->at < cursor->end)
		return;
	cursor->end += cursor->stride;
	cursor->at = cursor->end - cursor->run;
	if (cursor->at >= cursor->bytes) {
		cursor->at = 0;
		cursor->end = cursor->run;
	}
}

static inline uint8_t *cursor_address(const struct fm_tcp_cursor *cursor)
{
	return (uint8_t *)cursor->buffer.base + cursor->at;
}

static int lane_fail(struct fm_tcp_lane *lane, int code)
{
	lane->failed = code;
	return code;
}

/* Hands bytes to the kernel; what it does not take now is left in unsent. 0 or -errno. */
static inline int lane_send(struct fm_tcp_lane *lane, const uint8_t *bytes, size_t count)
{
	ssize_t n = send(lane->fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n == (ssize_t)count)
		return 0;
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return lane_fail(lane, -errno);
		n = 0;
	}
	lane->unsent_at = bytes + n;
	lane->unsent = count - (size_t)n;
	return 0;
}

static inline int lane_flush(struct fm_tcp_lane *lane)
{
	size_t rest = lane->unsent;

	lane->unsent = 0;
	return rest ? lane_send(lane, lane->unsent_at, rest) : 0;
}

static inline __attribute__((always_inline)) int lane_post(struct fm_tcp_lane *lane, uint32_t count, bool staged)
{
	const struct fm_buffer *buffer = &lane->out.buffer;
	uint32_t started = 0;
	int code;

	if (__builtin_expect(lane->unsent > 0, 0)) {
		code = lane_flush(lane);
		if (code || lane->unsent)
			return code;
	}
	do {
		const uint8_t *message = staged ? lane->stage_out : cursor_address(&lane->out);

		if (staged) {
			code = buffer->kind->copy_out(buffer, lane->out.at, lane->stage_out, lane->size, &lane->error);
			if (code)
				return lane_fail(lane, code);
		}
		code = lane_send(lane, message, lane->size);
		if (__builtin_expect(code, 0))
			return code;
		cursor_move(&lane->out, lane->size);
		started++;
	} while (started < count && !lane->unsent);
	lane->posted += started;
	return (int)started;
}

/* recv() that says 0 for "nothing yet" and -EPIPE for the end of the stream. */
static inline ssize_t lane_recv(struct fm_tcp_lane *lane, uint8_t *to, size_t count)
{
	ssize_t n = recv(lane->fd, to, count, MSG_DONTWAIT);

	if (__builtin_expect(n > 0, 1))
		return n;
	if (n == 0)
		return lane_fail(lane, -EPIPE);
	return errno == EAGAIN || errno == EINTR ? 0 : lane_fail(lane, -errno);
}

/* One recv() of messages: how many are now whole, or -errno. */
static inline __attribute__((always_inline)) int lane_receive(struct fm_tcp_lane *lane, bool staged)
{
	struct fm_buffer *buffer = &lane->in.buffer;
	size_t room = lane->in.end - lane->in.at, whole;
	ssize_t n;

	if (staged && room > lane->stage_in_bytes)
		room = lane->stage_in_bytes;
	n = lane_recv(lane, staged ? lane->stage_in : cursor_address(&lane->in), room);
	if (n <= 0)
		return (int)n;
	if (staged) {
		int code = buffer->kind->copy_in(buffer, lane->in.at, lane->stage_in, (size_t)n, &lane->error);

		if (code)
			return lane_fail(lane, code);
	}
	cursor_move(&lane->in, (size_t)n);
	lane->partial += (size_t)n;
	if (lane->partial < lane->size)
		return 0;
	whole = lane->partial / lane->size;
	lane->partial -= whole * lane->size;
	return (int)whole;
}

/* drive of latency and echo: messages go out by post and come in here. */
static inline __attribute__((always_inline)) int exchange_poll(struct fm_tcp_lane *lane, bool staged)
{
	if (__builtin_expect(lane->unsent > 0, 0)) {
		int code = lane_flush(lane);

		if (code)
			return code;
	}
	return lane_receive(lane, staged);
}

static int sink_receipt(struct fm_tcp_lane *lane)
{
	uint64_t count = htole64(lane->done);

	lane->receipt_due = lane->done + lane->receipt_step;
	if (lane->receipt_due > lane->armed)
		lane->receipt_due = lane->done < lane->armed ? lane->armed : UINT64_MAX;
	memcpy(lane->receipts, &count, FM_TCP_RECEIPT_BYTES);
	return lane_send(lane, lane->receipts, FM_TCP_RECEIPT_BYTES);
}

static inline __attribute__((always_inline)) int sink_poll(struct fm_tcp_lane *lane, bool staged)
{
	int n = exchange_poll(lane, staged), code;

	if (n < 0)
		return n;
	lane->done += (uint32_t)n;
	if (lane->done >= lane->receipt_due && !lane->unsent) {
		code = sink_receipt(lane);
		if (code)
			return code;
	}
	return n;
}

/* drive of bandwidth: how many more messages have their receipt. */
static inline int lane_receipts(struct fm_tcp_lane *lane)
{
	ssize_t n = lane_recv(lane, lane->receipts + lane->held, sizeof(lane->receipts) - lane->held);
	uint64_t count;
	size_t whole;
	int more;

	if (n <= 0)
		return (int)n;
	lane->held += (size_t)n;
	whole = lane->held / FM_TCP_RECEIPT_BYTES * FM_TCP_RECEIPT_BYTES;
	if (!whole)
		return 0;
	memcpy(&count, lane->receipts + whole - FM_TCP_RECEIPT_BYTES, FM_TCP_RECEIPT_BYTES);
	count = le64toh(count);
	lane->held -= whole;
	memmove(lane->receipts, lane->receipts + whole, lane->held);
	if (count < lane->done || count > lane->posted)
		return lane_fail(lane, -EPROTO);
	more = (int)(count - lane->done);
	lane->done = count;
	return more;
}

static int send_bw_poll(void *self)
{
	struct fm_tcp_lane *lane = self;

	if (__builtin_expect(lane->unsent > 0, 0)) {
		int code = lane_flush(lane);

		if (code)
			return code;
	}
	return lane_receipts(lane);
}

/* Done is what the kernel has taken whole, save the last message, which waits for the receipt of all. */
static int stream_bw_poll(void *self)
{
	struct fm_tcp_lane *lane = self;
	int code = lane_flush(lane), more;
	uint64_t taken;

	if (code)
		return code;
	/* Polled on when it is through: a lane of its thread is not. */
	if (lane->done == lane->armed)
		return 0;
	taken = lane->posted - (lane->unsent > 0);
	if (taken == lane->armed)
		taken--;
	more = (int)(taken - lane->done);
	lane->done = taken;
	if (more || lane->unsent || lane->posted < lane->armed)
		return more;
	return lane_receipts(lane);
}

static int post_host(void *self, uint32_t count)
{
	return lane_post(self, count, false);
}

static int post_staged(void *self, uint32_t count)
{
	return lane_post(self, count, true);
}

static int exchange_host(void *self)
{
	return exchange_poll(self, false);
}

static int exchange_staged(void *self)
{
	return exchange_poll(self, true);
}

static int sink_host(void *self)
{
	return sink_poll(self, false);
}

static int sink_staged(void *self)
{
	return sink_poll(self, true);
}

/* With --events: sleep until something comes for one of the thread's lanes. */
static void lane_wait(const struct fm_tcp_lane *lane)
{
	for (uint32_t i = 0; i < lane->waits_count; i++)
		lane->waits[i] = (struct pollfd){
			.fd = lane->waited[i].fd,
			.events = lane->waited[i].unsent ? POLLIN | POLLOUT : POLLIN,
		};
	poll(lane->waits, lane->waits_count, WAIT_MS);
}

static int waiting_poll(void *self)
{
	struct fm_tcp_lane *lane = self;
	int n = lane->busy_poll(lane);

	if (n)
		return n;
	lane_wait(lane);
	return lane->busy_poll(lane);
}

static int lane_arm(void *self, uint64_t operations, uint64_t incoming)
{
	struct fm_tcp_lane *lane = self;
	const struct fm_work *work = lane->work;

	(void)incoming;
	lane->unsent = lane->partial = lane->held = 0;
	lane->posted = lane->done = 0;
	lane->out.at = lane->in.at = 0;
	lane->out.end = lane->out.run;
	lane->in.end = lane->in.run;
	lane->armed = operations;
	lane->receipt_step = work->depth > 4 ? work->depth / 4 : 1;
	if (work->test == FM_STREAM_BW || lane->receipt_step > operations)
		lane->receipt_step = operations;
	/* An echo never owes a receipt. */
	lane->receipt_due = lane->role == FM_SINK ? lane->receipt_step : UINT64_MAX;
	return lane->failed;
}

static int lane_explain(void *self, struct fm_error *error)
{
	struct fm_tcp_lane *lane = self;
	int code = lane->failed;

	if (lane->error.code) {
		*error = lane->error;
		return error->code;
	}
	switch (code) {
	case -EPIPE:
	case -ECONNRESET:
		return fm_error_set(error, code, FM_REASON_PEER_LOST,
				    "the peer closed the data connection %s -> %s: its own output says why",
				    lane->local, lane->peer);
	case -ETIMEDOUT:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
	case -ENETDOWN:
		return fm_error_set(error, code, FM_REASON_PEER_LOST,
				    "the data connection %s -> %s lost its peer: %s; check the link and the route",
				    lane->local, lane->peer, strerror(-code));
	case -EPROTO:
		return fm_error_set(error, code, FM_REASON_PROTOCOL,
				    "the peer acknowledges messages on %s -> %s that were never sent", lane->local,
				    lane->peer);
	default:
		return fm_error_set(error, code, FM_REASON_TRANSFER, "the data connection %s -> %s failed: %s",
				    lane->local, lane->peer, strerror(-code));
	}
}

static void cursor_set(struct fm_tcp_cursor *cursor, const struct fm_buffer *buffer, const struct fm_work *work,
		       bool packed)
{
	*cursor = (struct fm_tcp_cursor){
		.buffer = *buffer,
		.run = packed ? work->size_bytes * work->slots : work->size_bytes,
		.stride = packed ? work->stride_bytes * work->slots : work->stride_bytes,
		.bytes = work->stride_bytes * work->slots,
	};
	cursor->end = cursor->run;
}

int fm_tcp_lane_init(struct fm_tcp_lane *lane, const struct fm_buffer buffers[2], struct fm_error *error)
{
	const struct fm_work *work = lane->work;

	lane->size = work->size_bytes;
	cursor_set(&lane->out, &buffers[0], work, false);
	/* Nobody looks where an unverified message lies: let one recv() take as many as there are. */
	cursor_set(&lane->in, &buffers[1], work, !work->verify || work->stride_bytes == work->size_bytes);
	lane->stage_in_bytes = lane->in.run < STAGE_MAX ? lane->in.run : STAGE_MAX;
	if (!buffers[0].cpu_access)
		lane->stage_out = malloc(lane->size);
	if (!buffers[1].cpu_access)
		lane->stage_in = malloc(lane->stage_in_bytes);
	if ((!buffers[0].cpu_access && !lane->stage_out) || (!buffers[1].cpu_access && !lane->stage_in))
		return fm_error_set(
			error, -ENOMEM, FM_REASON_OUT_OF_MEMORY,
			"no memory to stage messages of %llu bytes: take a smaller --size or fewer --streams",
			(unsigned long long)work->size_bytes);
	return 0;
}

static struct fm_lane lane_busy(struct fm_tcp_lane *lane)
{
	const struct fm_work *work = lane->work;
	bool drives = lane->role == FM_DRIVE, staged = lane->stage_in;
	struct fm_lane made = {lane, lane_arm,	     lane->stage_out ? post_staged : post_host,
			       NULL, fm_settle_none, lane_explain};

	if (lane->role == FM_SINK)
		made.poll = staged ? sink_staged : sink_host;
	else if (drives && work->test == FM_SEND_BW)
		made.poll = send_bw_poll;
	else if (drives && work->test == FM_STREAM_BW)
		made.poll = stream_bw_poll;
	else
		made.poll = staged ? exchange_staged : exchange_host;
	return made;
}

struct fm_lane fm_tcp_lane_specialise(struct fm_tcp_lane *lane)
{
	struct fm_lane made = lane_busy(lane);

	if (lane->work->events) {
		lane->busy_poll = made.poll;
		made.poll = waiting_poll;
	}
	return made;
}

/* ---- both directions: a socket each ---- */

static struct fm_tcp_lane *driving(struct fm_tcp_lane lanes[2])
{
	return &lanes[lanes[0].role != FM_DRIVE];
}

static struct fm_tcp_lane *sinking(struct fm_tcp_lane lanes[2])
{
	return &lanes[lanes[0].role == FM_DRIVE];
}

static int both_arm(void *self, uint64_t operations, uint64_t incoming)
{
	int code = lane_arm(driving(self), operations, 0);

	return code ? code : lane_arm(sinking(self), incoming, 0);
}

static int both_post_host(void *self, uint32_t count)
{
	return lane_post(driving(self), count, false);
}

static int both_post_staged(void *self, uint32_t count)
{
	return lane_post(driving(self), count, true);
}

static int both_poll(void *self)
{
	struct fm_tcp_lane *in = sinking(self), *out = driving(self);
	int n = in->busy_poll(in);

	return n < 0 ? n : out->busy_poll(out);
}

static int both_waiting_poll(void *self)
{
	int n = both_poll(self);

	if (n)
		return n;
	lane_wait(driving(self));
	return both_poll(self);
}

static int both_explain(void *self, struct fm_error *error)
{
	struct fm_tcp_lane *in = sinking(self);

	return lane_explain(in->failed || in->error.code ? in : driving(self), error);
}

struct fm_lane fm_tcp_lane_specialise_both(struct fm_tcp_lane lanes[2])
{
	const struct fm_tcp_lane *out = driving(lanes);

	for (int i = 0; i < 2; i++)
		lanes[i].busy_poll = lane_busy(&lanes[i]).poll;
	return (struct fm_lane){
		.self = lanes,
		.arm = both_arm,
		.post = out->stage_out ? both_post_staged : both_post_host,
		.poll = out->work->events ? both_waiting_poll : both_poll,
		.settle = fm_settle_none,
		.explain = both_explain,
	};
}

void fm_tcp_lane_free(struct fm_tcp_lane *lane)
{
	if (lane->fd >= 0)
		close(lane->fd);
	free(lane->stage_out);
	free(lane->stage_in);
}
