/*
 * tcp.c - TCP sockets, one a stream and direction, never blocking: what every machine has.
 * The passive side names its address, port and a cookie for each stream; the active side opens every connection and
 * greets with the cookie.
 */
#include "transports/tcp/tcp.h"

#include <stdlib.h>
#include <unistd.h>

#include "transports/tcp/lane.h"

enum {
	MAGIC_BYTES = 4, /* "FMD1", by which the door knows a data socket; the cookie follows */
	COOKIE_BYTES = 16,
	CONNECTING_MAX = 4, /* the door keeps few sockets that have not greeted yet: never meet it with more */
	DEPTH_MAX = 1 << 20,
	MESSAGE_MAX = 1 << 30,
};

struct tcp_greeting {
	uint8_t bytes[MAGIC_BYTES + COOKIE_BYTES];
	bool done;
};

struct fm_endpoint {
	const struct fm_work *work;
	const struct fm_place_rail *rail;
	struct fm_tcp_options options;
	struct fm_tcp_address local, peer; /* peer: none until its blob is read */
	char peer_text[FM_ADDRESS_MAX];
	uint16_t peer_port;
	struct fm_tcp_lane *lanes;	/* one a socket, */
	struct tcp_greeting *greetings; /* and so are these */
	struct pollfd *waits;
};

static int tcp_query(const struct fm_place *place, const void *options, const struct fm_transport *const *transports,
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
	struct fm_tcp_address address;

	(void)options, (void)transports;
	for (uint32_t i = 0; i < place->count; i++) {
		const struct fm_place_rail *rail = &place->rails[i];

		if (fm_tcp_address_parse(rail->address, 0, rail->device, &address))
			return fm_error_set(
				error, -EADDRNOTAVAIL, FM_REASON_PLACEMENT,
				"rail %u has no data address ('%s' on device '%s'): give one with --data-address", i,
				rail->address, rail->device);
	}
	*capabilities = (struct fm_capabilities){.staged = true};
	capabilities->tests[FM_SEND_BW] = delivered;
	capabilities->tests[FM_SEND_BW].bidirectional = true;
	capabilities->tests[FM_SEND_LAT] = delivered;
	capabilities->tests[FM_SEND_LAT].completion = FM_REPLIED;
	/* Not depth but the socket's buffer bounds what is outstanding, and one receipt ends it all. */
	capabilities->tests[FM_STREAM_BW] = capabilities->tests[FM_SEND_BW];
	capabilities->tests[FM_STREAM_BW].variant = "last_receipt";
	return 0;
}

static int tcp_refuse(const struct fm_work *work, uint32_t buffers, struct fm_error *error)
{
	if (work->test != FM_SEND_LAT && work->test != FM_SEND_BW && work->test != FM_STREAM_BW)
		return fm_error_set(error, -EOPNOTSUPP, FM_REASON_UNSUPPORTED,
				    "tcp cannot do %s: take send_lat, send_bw or stream_bw", fm_tests[work->test].name);
	if (work->bidirectional && fm_tests[work->test].metric != FM_BANDWIDTH)
		return fm_error_set(error, -EOPNOTSUPP, FM_REASON_UNSUPPORTED,
				    "a %s goes both ways by itself: leave out --bidirectional",
				    fm_tests[work->test].name);
	if (!work->streams || buffers != 2 * work->streams || !work->slots || !work->size_bytes || !work->threads ||
	    work->streams % work->threads || work->size_bytes > MESSAGE_MAX || work->stride_bytes < work->size_bytes)
		return fm_error_set(error, -EINVAL, FM_REASON_INTERNAL,
				    "%u buffers of %u slots do not fit %u streams of tcp", buffers, work->slots,
				    work->streams);
	return 0;
}

/* One a stream and direction: of a stream that goes both ways, first the one that carries from A to B. */
static uint32_t tcp_sockets(const struct fm_work *work)
{
	return work->bidirectional ? 2 * work->streams : work->streams;
}

static void tcp_close(struct fm_endpoint *endpoint)
{
	if (!endpoint)
		return;
	for (uint32_t i = 0; endpoint->lanes && i < tcp_sockets(endpoint->work); i++)
		fm_tcp_lane_free(&endpoint->lanes[i]);
	free(endpoint->lanes);
	free(endpoint->greetings);
	free(endpoint->waits);
	free(endpoint);
}

static enum fm_role tcp_role(const struct fm_work *work, uint32_t socket)
{
	if (!work->bidirectional)
		return work->role;
	return (socket % 2 == 1) == work->passive ? FM_DRIVE : FM_SINK;
}

static int tcp_lanes(struct fm_endpoint *endpoint, const struct fm_buffer *buffers, struct fm_error *error)
{
	const struct fm_work *work = endpoint->work;
	uint32_t count = tcp_sockets(work), each = count / work->streams;
	int code = 0;

	endpoint->greetings = calloc(count, sizeof(endpoint->greetings[0]));
	endpoint->waits = calloc(count, sizeof(endpoint->waits[0]));
	endpoint->lanes = aligned_alloc(_Alignof(struct fm_tcp_lane), count * sizeof(endpoint->lanes[0]));
	if (!endpoint->lanes || !endpoint->greetings || !endpoint->waits)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for %u streams: take fewer",
				    work->streams);
	for (uint32_t i = 0; i < count; i++) {
		/* A thread waits for any of its lanes, else an idle one would hold up the others. */
		uint32_t owned = count / work->threads, first = i / owned * owned;

		endpoint->lanes[i] = (struct fm_tcp_lane){
			.fd = -1,
			.work = work,
			.role = tcp_role(work, i),
			.waited = &endpoint->lanes[first],
			.waits = &endpoint->waits[first],
			.waits_count = owned,
		};
	}
	for (uint32_t i = 0; i < count && !code; i++)
		code = fm_tcp_lane_init(&endpoint->lanes[i], &buffers[2 * (size_t)(i / each)], error);
	return code;
}

static int tcp_open(const struct fm_place *place, const struct fm_work *work, const struct fm_buffer *buffers,
		    uint32_t count, struct fm_endpoint **endpoint, struct fm_error *error)
{
	struct fm_endpoint *made;
	int code = tcp_refuse(work, count, error), probe;

	if (code)
		return code;
	made = calloc(1, sizeof(*made));
	if (!made)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for an endpoint");
	made->work = work;
	made->rail = &place->rails[work->rail];
	if (work->options)
		made->options = *(const struct fm_tcp_options *)work->options;
	code = tcp_lanes(made, buffers, error);
	if (!code && fm_tcp_address_parse(made->rail->address, 0, made->rail->device, &made->local))
		code = fm_error_set(error, -EADDRNOTAVAIL, FM_REASON_PLACEMENT, "'%s' is no data address",
				    made->rail->address);
	/* What options or address cannot do is said now, on both ends, and not when the peer comes. */
	if (!code)
		code = fm_tcp_socket_open(&made->options, &made->local, made->rail->address, &probe, error);
	if (code) {
		tcp_close(made);
		return code;
	}
	close(probe);
	*endpoint = made;
	return 0;
}

/*
 * The blob: length and text of the data address, port, number of cookies, the cookies; port and number are 0 from the
 * active side. An address's scope stays out of it, for it means nothing on the other node.
 */
static int tcp_address(struct fm_endpoint *endpoint, struct fm_blob *blob, struct fm_error *error)
{
	const struct fm_services *services = endpoint->work->services;
	bool passive = endpoint->work->passive;
	uint32_t length = (uint32_t)strcspn(endpoint->rail->address, "%");
	uint32_t cookies = passive ? tcp_sockets(endpoint->work) : 0;
	int code = fm_blob_put_u64(blob, length);

	code = code ? code : fm_blob_put(blob, endpoint->rail->address, length);
	code = code ? code : fm_blob_put_u64(blob, passive ? services->port : 0);
	code = code ? code : fm_blob_put_u64(blob, cookies);
	for (uint32_t i = 0; i < cookies && !code; i++) {
		uint8_t *cookie = endpoint->greetings[i].bytes + MAGIC_BYTES;

		code = services->random(services->context, cookie, COOKIE_BYTES);
		code = code ? code : services->expect(services->context, cookie);
		code = code ? code : fm_blob_put(blob, cookie, COOKIE_BYTES);
	}
	if (code)
		fm_error_set(error, code, FM_REASON_CONNECT,
			     "cannot announce %u data connections: %s; take fewer --streams", cookies, strerror(-code));
	return code;
}

static int tcp_read_peer(struct fm_endpoint *endpoint, const struct fm_blob *blob, struct fm_error *error)
{
	const struct fm_work *work = endpoint->work;
	struct fm_blob_reader reader = {.blob = blob};
	char text[FM_ADDRESS_MAX] = "";
	uint64_t length = fm_blob_get_u64(&reader), port, cookies;

	reader.failed |= length >= sizeof(text);
	fm_blob_get(&reader, text, reader.failed ? 0 : (uint32_t)length);
	port = fm_blob_get_u64(&reader);
	cookies = fm_blob_get_u64(&reader);
	for (uint32_t i = 0; i < tcp_sockets(work) && !work->passive; i++) {
		memcpy(endpoint->greetings[i].bytes, "FMD1", MAGIC_BYTES);
		fm_blob_get(&reader, endpoint->greetings[i].bytes + MAGIC_BYTES, COOKIE_BYTES);
	}
	if (reader.failed || port > UINT16_MAX || (!work->passive && (!port || cookies != tcp_sockets(work))) ||
	    fm_tcp_address_parse(text, (uint16_t)port, endpoint->rail->device, &endpoint->peer))
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "the peer's data address cannot be read");
	if (endpoint->peer.storage.ss_family != endpoint->local.storage.ss_family)
		return fm_error_set(error, -EAFNOSUPPORT, FM_REASON_PLACEMENT,
				    "data address %s here and %s there are of different families: name two of one with "
				    "--data-address LOCAL=REMOTE",
				    endpoint->rail->address, text);
	memcpy(endpoint->peer_text, text, sizeof(text));
	endpoint->peer_port = (uint16_t)port;
	return 0;
}

/* One step of the active side towards a connected stream that has greeted: 0, -EAGAIN or why not. */
static int tcp_dial(struct fm_endpoint *endpoint, uint32_t stream, struct fm_error *error)
{
	const struct tcp_greeting *greeting = &endpoint->greetings[stream];
	struct fm_tcp_lane *lane = &endpoint->lanes[stream];
	ssize_t sent = -1;
	int code = 0;

	if (lane->fd < 0)
		code = fm_tcp_socket_open(&endpoint->options, &endpoint->local, endpoint->rail->address, &lane->fd,
					  error);
	if (code)
		return code;
	/* Asked again, connect() tells how far it is. What an empty socket is given to send it takes whole. */
	if (connect(lane->fd, (const struct sockaddr *)&endpoint->peer.storage, endpoint->peer.bytes) == 0 ||
	    errno == EISCONN)
		sent = send(lane->fd, greeting->bytes, sizeof(greeting->bytes), MSG_NOSIGNAL);
	if (sent == sizeof(greeting->bytes))
		return 0;
	code = sent >= 0 ? -EIO : -errno;
	if (code == -EINPROGRESS || code == -EALREADY || code == -EINTR)
		code = -EAGAIN;
	return fm_error_set(
		error, code, FM_REASON_CONNECT,
		"no data connection from %s to %s port %u: %s; open TCP port %u on %s for data, or choose other "
		"addresses with --data-address",
		endpoint->rail->address, endpoint->peer_text, endpoint->peer_port,
		code == -EAGAIN ? "no answer" : strerror(-code), endpoint->peer_port, endpoint->peer_text);
}

/* The passive side: has the peer's socket come? 0, -EAGAIN or why not. */
static int tcp_claim(struct fm_endpoint *endpoint, uint32_t stream, struct fm_error *error)
{
	const struct fm_services *services = endpoint->work->services;
	int fd;
	int code = services->claim(services->context, endpoint->greetings[stream].bytes + MAGIC_BYTES, &fd);

	if (code)
		return fm_error_set(
			error, code, FM_REASON_CONNECT,
			"no data connection from %s to %s port %u: %s; open TCP port %u on %s for data, or choose "
			"other addresses with --data-address",
			endpoint->peer_text, endpoint->rail->address, services->port,
			code == -EAGAIN ? "none came" : strerror(-code), services->port, endpoint->rail->address);
	endpoint->lanes[stream].fd = fd;
	return fm_tcp_socket_tune(&endpoint->options, fd, error);
}

static int tcp_connect(struct fm_endpoint *endpoint, const struct fm_blob *peer, struct fm_lane *lanes, uint32_t count,
		       struct fm_error *error)
{
	const struct fm_work *work = endpoint->work;
	uint32_t pending = 0;
	int code = endpoint->peer_text[0] ? 0 : tcp_read_peer(endpoint, peer, error);

	if (code)
		return code;
	if (work->services->stopped(work->services->context))
		return fm_error_set(error, -ECANCELED, FM_REASON_CONNECT, "given up before %s was connected",
				    endpoint->peer_text);
	for (uint32_t i = 0; i < tcp_sockets(work) && pending < CONNECTING_MAX; i++) {
		if (endpoint->greetings[i].done)
			continue;
		code = work->passive ? tcp_claim(endpoint, i, error) : tcp_dial(endpoint, i, error);
		if (code && code != -EAGAIN)
			return code;
		if (code)
			pending++;
		else
			fm_tcp_socket_names(endpoint->lanes[i].fd, endpoint->lanes[i].local, endpoint->lanes[i].peer);
		endpoint->greetings[i].done = !code;
	}
	if (pending)
		return -EAGAIN;
	for (uint32_t i = 0; i < count; i++)
		lanes[i] = work->bidirectional ? fm_tcp_lane_specialise_both(&endpoint->lanes[2 * (size_t)i])
					       : fm_tcp_lane_specialise(&endpoint->lanes[i]);
	return 0;
}

static int tcp_effective(struct fm_endpoint *endpoint, struct fm_effective *effective, struct fm_error *error)
{
	const struct fm_tcp_lane *lane = &endpoint->lanes[0];

	(void)error;
	fm_effective_add(effective, "connection", "tcp");
	fm_effective_add(effective, "memory_path", lane->stage_out || lane->stage_in ? "staged" : "host");
	fm_effective_add(effective, "socket", "%s", lane->local);
	if (endpoint->work->bidirectional)
		fm_effective_add(effective, "sockets_per_stream", "2");
	fm_tcp_socket_effective(lane->fd, effective);
	return 0;
}

static int tcp_counters(struct fm_endpoint *endpoint, struct fm_counters *counters, struct fm_error *error)
{
	(void)error;
	for (uint32_t i = 0; i < tcp_sockets(endpoint->work); i++)
		fm_tcp_socket_counters(endpoint->lanes[i].fd, counters);
	return 0;
}

const struct fm_transport fm_transport_tcp = {
	.abi = FM_TRANSPORT_ABI,
	.name = "tcp",
	.help = "the operating system's TCP sockets",
	.automatic = true,
	.default_latency = FM_SEND_LAT,
	.default_bandwidth = FM_SEND_BW,
	.options = &fm_tcp_options,
	.probe = fm_probe_none,
	.query = tcp_query,
	.open = tcp_open,
	.address = tcp_address,
	.connect = tcp_connect,
	.progress = fm_progress_none,
	.effective = tcp_effective,
	.counters = tcp_counters,
	.disconnect = fm_disconnect_none,
	.close = tcp_close,
};
