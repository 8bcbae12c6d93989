/*
 * unix.c - a whole transport in one file: messages over AF_UNIX sockets between two processes of one machine. It is the
 * example of docs/writing-a-transport.md; copy it, and replace what is below its lanes by your own stack.
 *
 *     cc -std=c11 -O2 -fPIC -shared -fvisibility=hidden -Wl,-z,defs $(pkg-config --cflags fabmark-transport) \
 *         -o unix.so unix.c
 *     FABMARK_TRANSPORT_PATH=$PWD fabmark pair --local --transport unix
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4, struct ucred */
#endif

#include <fabmark/transport.h>

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { NAME_BYTES = 16, WAIT_MS = 10, DEPTH_MAX = 65536, MESSAGE_MAX = 1 << 30 };

struct unix_options {
	uint64_t buffer; /* bytes, SO_SNDBUF; 0: the kernel's default */
};

/* One stream. Its thread alone touches it between arm and settle, so nothing is locked. */
struct unix_lane {
	const struct fm_work *work;
	int fd; /* -1: none yet */
	struct fm_buffer out, in;
	uint64_t posted, arrived; /* messages begun; come whole */
	size_t unsent;		  /* bytes of the message in hand that the kernel has not taken */
	size_t partial;		  /* bytes that have come of the next message */
	uint64_t receipts;	  /* sink: messages whose receipt, a byte each, is not sent yet */
	int failed;		  /* -errno of what ended it */
	struct pollfd *waits;	  /* of all lanes of its thread: with events, any of them wakes it */
	uint32_t waits_count;
};

struct fm_endpoint {
	struct fm_work work;
	struct unix_options options;
	uint8_t name[NAME_BYTES]; /* of the passive end's socket, in the abstract namespace */
	int listener;		  /* passive end; else -1 */
	struct unix_lane *lanes;
	struct pollfd *waits;
};

/* ---- what the measuring loops call ---- */

static int lane_fail(struct unix_lane *lane, int code)
{
	lane->failed = code;
	return code;
}

/* Sends what it can without waiting: how many bytes, 0 none, or -errno. */
static ssize_t lane_send(struct unix_lane *lane, const void *bytes, size_t count)
{
	ssize_t n = send(lane->fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EINTR ? 0 : lane_fail(lane, -errno);
}

/* The same for receiving; the end of the stream is a failure, for the peer leaves only after disconnect. */
static ssize_t lane_receive(struct unix_lane *lane, void *bytes, size_t count)
{
	ssize_t n = recv(lane->fd, bytes, count, MSG_DONTWAIT);

	if (n > 0)
		return n;
	if (n == 0)
		return lane_fail(lane, -EPIPE);
	return errno == EAGAIN || errno == EINTR ? 0 : lane_fail(lane, -errno);
}

/* Where message i lies: slots are used in turn, at both ends. */
static uint8_t *slot_of(const struct unix_lane *lane, const struct fm_buffer *buffer, uint64_t i)
{
	return (uint8_t *)buffer->base + i % lane->work->slots * lane->work->stride_bytes;
}

/* Goes on with the message that the kernel took only a part of. 0: it is out, or waits further. */
static int lane_flush(struct unix_lane *lane)
{
	const uint8_t *end = slot_of(lane, &lane->out, lane->posted - 1) + lane->work->size_bytes;
	ssize_t n = lane->unsent ? lane_send(lane, end - lane->unsent, lane->unsent) : 0;

	if (n < 0)
		return (int)n;
	lane->unsent -= (size_t)n;
	return 0;
}

static int unix_post(void *self, uint32_t count)
{
	struct unix_lane *lane = self;
	uint32_t started = 0;
	int code = lane_flush(lane);

	while (code == 0 && !lane->unsent && started < count) {
		ssize_t n = lane_send(lane, slot_of(lane, &lane->out, lane->posted), lane->work->size_bytes);

		if (n <= 0) {
			code = (int)n;
			break;
		}
		/* Begun is as good as started: the rest follows in the next post or poll. */
		lane->unsent = lane->work->size_bytes - (size_t)n;
		lane->posted++;
		started++;
	}
	/* Some were started before one failed: they count, and the failure stays for the next call. */
	if (started)
		return (int)started;
	return code ? code : lane->failed;
}

/* Messages that have now come whole, at most one a call. */
static int lane_arrivals(struct unix_lane *lane)
{
	uint8_t *slot = slot_of(lane, &lane->in, lane->arrived);
	ssize_t n = lane_receive(lane, slot + lane->partial, lane->work->size_bytes - lane->partial);

	if (n < 0)
		return (int)n;
	lane->partial += (size_t)n;
	if (lane->partial < lane->work->size_bytes)
		return 0;
	lane->partial = 0;
	lane->arrived++;
	return 1;
}

/* The drive of a latency test, whose operation is done when the reply is here, and the echo that sends it. */
static int exchange_poll(void *self)
{
	int code = lane_flush(self);

	return code ? code : lane_arrivals(self);
}

/* The drive of a bandwidth test: done is what the sink has. It sends a byte for each message. */
static int receipts_poll(void *self)
{
	uint8_t receipts[256];
	int code = lane_flush(self);

	return code ? code : (int)lane_receive(self, receipts, sizeof(receipts));
}

static int sink_poll(void *self)
{
	static const uint8_t receipts[64];
	struct unix_lane *lane = self;
	int arrived = lane_arrivals(lane);
	size_t owed;
	ssize_t n;

	if (arrived < 0)
		return arrived;
	lane->receipts += (uint64_t)arrived;
	owed = lane->receipts < sizeof(receipts) ? (size_t)lane->receipts : sizeof(receipts);
	n = owed ? lane_send(lane, receipts, owed) : 0;
	if (n < 0)
		return (int)n;
	lane->receipts -= (uint64_t)n;
	return arrived;
}

/* With --events: where nothing has come, wait for it, 10 ms at most, on all lanes of the thread. */
static int waiting_poll(struct unix_lane *lane, int (*busy)(void *self))
{
	int n = busy(lane);

	/* What the kernel did not take would wait, too. */
	if (n || lane->unsent || lane->receipts)
		return n;
	poll(lane->waits, lane->waits_count, WAIT_MS);
	return busy(lane);
}

static int exchange_wait(void *self)
{
	return waiting_poll(self, exchange_poll);
}

static int receipts_wait(void *self)
{
	return waiting_poll(self, receipts_poll);
}

static int sink_wait(void *self)
{
	return waiting_poll(self, sink_poll);
}

static int unix_arm(void *self, uint64_t operations, uint64_t incoming)
{
	struct unix_lane *lane = self;

	(void)incoming; /* this transport has no bidirectional lanes */
	(void)operations;
	lane->posted = lane->arrived = lane->receipts = 0;
	lane->unsent = lane->partial = 0;
	return lane->failed;
}

static int unix_explain(void *self, struct fm_error *error)
{
	const struct unix_lane *lane = self;

	if (lane->failed == -EPIPE || lane->failed == -ECONNRESET)
		return fm_error_set(error, lane->failed, FM_REASON_PEER_LOST,
				    "the peer closed the socket: its own output says why");
	return fm_error_set(error, lane->failed, FM_REASON_TRANSFER, "the socket failed: %s", strerror(-lane->failed));
}

/* ---- before and after ---- */

static int unix_query(const struct fm_place *place, const void *options, const struct fm_transport *const *transports,
		      struct fm_capabilities *capabilities, struct fm_error *error)
{
	const struct fm_capability delivered = {
		.supported = true,
		.completion = FM_DELIVERED,
		.variant = "",
		.size_min = 1,
		.size_max = MESSAGE_MAX,
		.depth_max = DEPTH_MAX,
		.verify = true,
	};

	(void)place, (void)options, (void)transports, (void)error;
	capabilities->tests[FM_SEND_BW] = delivered;
	capabilities->tests[FM_SEND_LAT] = delivered;
	capabilities->tests[FM_SEND_LAT].completion = FM_REPLIED;
	return 0;
}

static void unix_close(struct fm_endpoint *endpoint)
{
	if (!endpoint)
		return;
	for (uint32_t i = 0; endpoint->lanes && i < endpoint->work.streams; i++)
		if (endpoint->lanes[i].fd >= 0)
			close(endpoint->lanes[i].fd);
	if (endpoint->listener >= 0)
		close(endpoint->listener);
	free(endpoint->lanes);
	free(endpoint->waits);
	free(endpoint);
}

static socklen_t unix_name(const struct fm_endpoint *endpoint, struct sockaddr_un *name)
{
	/* A leading NUL: the abstract namespace, which leaves no file behind. */
	*name = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(name->sun_path + 1, endpoint->name, NAME_BYTES);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + NAME_BYTES);
}

static int unix_listen(struct fm_endpoint *endpoint, struct fm_error *error)
{
	const struct fm_services *services = endpoint->work.services;
	int code = services->random(services->context, endpoint->name, NAME_BYTES);
	struct sockaddr_un name;
	socklen_t bytes = unix_name(endpoint, &name);

	endpoint->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (code == 0 && (endpoint->listener < 0 || bind(endpoint->listener, (struct sockaddr *)&name, bytes) != 0 ||
			  listen(endpoint->listener, (int)endpoint->work.streams) != 0))
		code = -errno;
	if (code)
		fm_error_set(error, code, FM_REASON_CONNECT, "cannot listen on a socket: %s", strerror(-code));
	return code;
}

/* What cannot be done is said here at the latest, in words, before anything is allocated. */
static int unix_refuse(const struct fm_work *work, const struct fm_buffer *buffers, uint32_t count,
		       struct fm_error *error)
{
	if (work->bidirectional)
		return fm_error_set(error, -EOPNOTSUPP, FM_REASON_UNSUPPORTED,
				    "unix measures one direction at a time: leave out --bidirectional");
	for (uint32_t i = 0; i < count; i++)
		if (!buffers[i].cpu_access)
			return fm_error_set(error, -EOPNOTSUPP, FM_REASON_UNSUPPORTED,
					    "unix takes memory that the CPU can touch, not %s: leave out --memory",
					    buffers[i].kind->name);
	return 0;
}

static int unix_fill(struct fm_endpoint *endpoint, const struct fm_buffer *buffers, struct fm_error *error)
{
	const struct fm_work *work = &endpoint->work;
	uint32_t each = work->streams / work->threads;

	endpoint->lanes = calloc(work->streams, sizeof(*endpoint->lanes));
	endpoint->waits = calloc(work->streams, sizeof(*endpoint->waits));
	if (!endpoint->lanes || !endpoint->waits)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for %u streams: take fewer",
				    work->streams);
	for (uint32_t i = 0; i < work->streams; i++)
		endpoint->lanes[i] = (struct unix_lane){
			.work = work,
			.fd = -1,
			.out = buffers[2 * (size_t)i],
			.in = buffers[2 * (size_t)i + 1],
			.waits = &endpoint->waits[i - i % each], /* lanes of a thread stand together */
			.waits_count = each,
		};
	return work->passive ? unix_listen(endpoint, error) : 0;
}

static int unix_open(const struct fm_place *place, const struct fm_work *work, const struct fm_buffer *buffers,
		     uint32_t count, struct fm_endpoint **endpoint, struct fm_error *error)
{
	struct fm_endpoint *made;
	int code = unix_refuse(work, buffers, count, error);

	(void)place;
	if (code)
		return code;
	made = calloc(1, sizeof(*made));
	if (!made)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for an endpoint");
	made->work = *work;
	made->options = *(const struct unix_options *)work->options;
	made->listener = -1;
	code = unix_fill(made, buffers, error);
	if (code) {
		unix_close(made);
		return code;
	}
	*endpoint = made;
	return 0;
}

/* The passive end says where it listens; the other end has nothing to say. */
static int unix_address(struct fm_endpoint *endpoint, struct fm_blob *blob, struct fm_error *error)
{
	int code = endpoint->work.passive ? fm_blob_put(blob, endpoint->name, NAME_BYTES) : 0;

	return code ? fm_error_set(error, code, FM_REASON_CONNECT, "cannot tell the socket's name") : 0;
}

/* One stream's socket: 0, -EAGAIN while it is not there, or why not. */
static int unix_dial(struct fm_endpoint *endpoint, struct unix_lane *lane)
{
	struct sockaddr_un name;
	socklen_t bytes = unix_name(endpoint, &name);
	int code;

	lane->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (lane->fd >= 0 && connect(lane->fd, (struct sockaddr *)&name, bytes) == 0)
		return 0;
	code = -errno;
	if (lane->fd >= 0)
		close(lane->fd);
	lane->fd = -1;
	return code;
}

/* Streams come in the order in which they were dialled. Others of this machine may see the name: only we are let in. */
static int unix_accept(struct fm_endpoint *endpoint, struct unix_lane *lane)
{
	struct ucred peer;
	socklen_t bytes = sizeof(peer);
	int fd = accept4(endpoint->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return errno == ECONNABORTED || errno == EINTR ? -EAGAIN : -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0 || peer.uid != geteuid()) {
		close(fd);
		return -EAGAIN;
	}
	lane->fd = fd;
	return 0;
}

static int unix_tune(const struct unix_options *options, int fd)
{
	int bytes = (int)options->buffer;

	return bytes && setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)) != 0 ? -errno : 0;
}

static struct fm_lane unix_specialise(struct unix_lane *lane)
{
	const struct fm_work *work = lane->work;
	struct fm_lane made = {lane, unix_arm, unix_post, exchange_poll, fm_settle_none, unix_explain};

	if (work->role == FM_SINK)
		made.poll = work->events ? sink_wait : sink_poll;
	else if (work->role == FM_DRIVE && work->test == FM_SEND_BW)
		made.poll = work->events ? receipts_wait : receipts_poll;
	else if (work->events)
		made.poll = exchange_wait;
	return made;
}

static int unix_connect(struct fm_endpoint *endpoint, const struct fm_blob *peer, struct fm_lane *lanes, uint32_t count,
			struct fm_error *error)
{
	struct fm_blob_reader reader = {.blob = peer};

	if (!endpoint->work.passive)
		fm_blob_get(&reader, endpoint->name, NAME_BYTES);
	if (reader.failed)
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "the peer's address cannot be read");
	for (uint32_t i = 0; i < count; i++) {
		struct unix_lane *lane = &endpoint->lanes[i];
		int code = 0;

		if (lane->fd < 0)
			code = endpoint->work.passive ? unix_accept(endpoint, lane) : unix_dial(endpoint, lane);
		if (code == 0)
			code = unix_tune(&endpoint->options, lane->fd);
		if (code)
			return fm_error_set(
				error, code, FM_REASON_CONNECT,
				"no socket of this machine leads to the peer: %s; unix joins two processes of "
				"one machine",
				strerror(-code));
		lane->waits[i % lane->waits_count] = (struct pollfd){.fd = lane->fd, .events = POLLIN};
		lanes[i] = unix_specialise(lane);
	}
	return 0;
}

static int unix_effective(struct fm_endpoint *endpoint, struct fm_effective *effective, struct fm_error *error)
{
	int bytes = 0;
	socklen_t length = sizeof(bytes);

	(void)error;
	getsockopt(endpoint->lanes[0].fd, SOL_SOCKET, SO_SNDBUF, &bytes, &length);
	fm_effective_add(effective, "connection", "unix");
	fm_effective_add(effective, "memory_path", "host");
	fm_effective_add(effective, "send_buffer", "%d", bytes);
	if (endpoint->work.events)
		fm_effective_add(effective, "events", "yes");
	return 0;
}

/* ---- the tables ---- */

static const struct fm_option rows[] = {
	{
		.name = "buffer",
		.argument = "BYTES",
		.value = "0",
		.help = "send buffer of a socket; 0: the kernel's default",
		.group = "unix",
		.kind = FM_OPTION_COUNT,
		.offset = offsetof(struct unix_options, buffer),
		.maximum = 1 << 30,
	},
};

static const struct fm_option_set options = {
	.name = "unix",
	.rows = rows,
	.count = sizeof(rows) / sizeof(rows[0]),
	.bytes = sizeof(struct unix_options),
};

static const struct fm_transport transport = {
	.abi = FM_TRANSPORT_ABI,
	.name = "unix",
	.help = "AF_UNIX sockets between two processes of one machine",
	.default_latency = FM_SEND_LAT,
	.default_bandwidth = FM_SEND_BW,
	.options = &options,
	.probe = fm_probe_none,
	.query = unix_query,
	.open = unix_open,
	.address = unix_address,
	.connect = unix_connect,
	.progress = fm_progress_none,
	.effective = unix_effective,
	.counters = fm_counters_none,
	.disconnect = fm_disconnect_none,
	.close = unix_close,
};

FM_MODULE(transport);
