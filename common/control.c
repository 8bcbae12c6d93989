/*
 * control.c - JSON messages in frames over TLS: connects, accepts, sends, receives.
 */
#include "common/control.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/socket.h"
#include "common/tls.h"

enum { HEADER_BYTES = 8, DEPTH_MAX = 32 };

static const uint8_t magic[4] = {'F', 'M', 'C', '1'};

struct fm_control {
	struct fm_tls *tls;
	/* A direction that failed once fails alike ever after: its frames are out of step. */
	struct fm_error receive_failure, send_failure;
	char local[FM_ADDRESS_BYTES], peer[FM_ADDRESS_BYTES];
	uint8_t header[HEADER_BYTES]; /* of the message that is coming in */
	uint32_t header_count;
	uint8_t *body; /* NULL until the header is there and sound */
	uint32_t body_bytes, body_count;
};

/* Depth by counting brackets outside strings: jansson's own limit is 2,048, and we have no message beyond 8. */
static bool message_too_deep(const char *bytes, size_t count)
{
	bool quoted = false;
	int depth = 0;

	for (size_t i = 0; i < count; i++) {
		if (quoted) {
			if (bytes[i] == '\\')
				i++;
			else if (bytes[i] == '"')
				quoted = false;
			continue;
		}
		if (bytes[i] == '"')
			quoted = true;
		else if (bytes[i] == '{' || bytes[i] == '[')
			depth++;
		else if (bytes[i] == '}' || bytes[i] == ']')
			depth--;
		if (depth > DEPTH_MAX)
			return true;
	}
	return false;
}

int fm_message_decode(const void *bytes, size_t count, json_t **message, struct fm_error *error)
{
	json_error_t where;
	json_t *decoded;

	if (count > FM_MESSAGE_MAX)
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL,
				    "a message of %zu bytes is over the limit of %d", count, FM_MESSAGE_MAX);
	if (message_too_deep(bytes, count))
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL,
				    "a message is nested deeper than the limit of %d", DEPTH_MAX);
	decoded = json_loadb(bytes, count, JSON_REJECT_DUPLICATES, &where);
	/* jansson's own text quotes the message, which may hold anything: only its position is passed on. */
	if (!decoded)
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "a message is not JSON%s, at byte %d of %zu",
				    json_error_code(&where) == json_error_duplicate_key ? " (a key comes twice)" : "",
				    where.position, count);
	if (!json_is_string(json_object_get(decoded, "type"))) {
		json_decref(decoded);
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL,
				    "a message is not a JSON object with a string \"type\"");
	}
	*message = decoded;
	return 0;
}

/* Reads until have equals want. */
static int control_fill(struct fm_control *control, uint8_t *into, uint32_t want, uint32_t *have,
			struct fm_error *error)
{
	while (*have < want) {
		int count = fm_tls_read(control->tls, into + *have, want - *have, error);

		if (count < 0)
			return count;
		*have += (uint32_t)count;
	}
	return 0;
}

static int control_check_header(struct fm_control *control, struct fm_error *error)
{
	const uint8_t *h = control->header;
	uint32_t bytes = (uint32_t)h[4] | (uint32_t)h[5] << 8 | (uint32_t)h[6] << 16 | (uint32_t)h[7] << 24;

	if (memcmp(h, magic, sizeof(magic)) != 0)
		return fm_error_set(
			error, -EPROTO, FM_REASON_PROTOCOL,
			"%s sent a message without our magic (%02x %02x %02x %02x): run the same fabmark on both "
			"nodes",
			fm_tls_peer(control->tls), h[0], h[1], h[2], h[3]);
	if (bytes == 0 || bytes > FM_MESSAGE_MAX)
		return fm_error_set(
			error, -EPROTO, FM_REASON_PROTOCOL,
			"%s announced a message of %u bytes, outside of 1 to %d: run the same fabmark on both "
			"nodes",
			fm_tls_peer(control->tls), bytes, FM_MESSAGE_MAX);
	control->body = malloc(bytes);
	if (!control->body)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "out of memory for a message of %u bytes",
				    bytes);
	control->body_bytes = bytes;
	control->body_count = 0;
	return 0;
}

static void control_next_message(struct fm_control *control)
{
	free(control->body);
	control->body = NULL;
	control->header_count = 0;
}

int fm_control_receive(struct fm_control *control, json_t **message, struct fm_error *error)
{
	struct fm_error failure;
	int code = 0;

	if (control->receive_failure.code) {
		*error = control->receive_failure;
		return error->code;
	}
	if (!control->body) {
		code = control_fill(control, control->header, HEADER_BYTES, &control->header_count, &failure);
		if (code == 0)
			code = control_check_header(control, &failure);
	}
	if (code == 0)
		code = control_fill(control, control->body, control->body_bytes, &control->body_count, &failure);
	if (code == -EAGAIN)
		return code;
	if (code && failure.reason == FM_REASON_PEER_LOST && control->header_count)
		fm_error_prefix(&failure, "in the middle of a message ");
	if (code == 0) {
		code = fm_message_decode(control->body, control->body_bytes, message, &failure);
		if (code)
			fm_error_prefix(&failure, "from %s: ", fm_tls_peer(control->tls));
		control_next_message(control);
	}
	if (code)
		*error = control->receive_failure = failure;
	return code;
}

/* The frame for message, to be freed; the size is known, and checked, before it is allocated. */
static int frame_encode(const json_t *message, uint8_t **frame, size_t *frame_bytes, struct fm_error *error)
{
	const char *type = json_string_value(json_object_get(message, "type"));
	size_t bytes = type ? json_dumpb(message, NULL, 0, JSON_COMPACT) : 0;
	uint8_t *made;

	if (bytes == 0)
		return fm_error_set(error, -EINVAL, FM_REASON_INTERNAL,
				    "a message to send is not a JSON object with a string \"type\"");
	if (bytes > FM_MESSAGE_MAX)
		return fm_error_set(error, -EMSGSIZE, FM_REASON_INTERNAL,
				    "a message '%.40s' of %zu bytes is over the limit of %d", type, bytes,
				    FM_MESSAGE_MAX);
	made = malloc(HEADER_BYTES + bytes);
	if (!made)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "out of memory for a message of %zu bytes",
				    bytes);
	memcpy(made, magic, sizeof(magic));
	for (int i = 0; i < 4; i++)
		made[4 + i] = (uint8_t)(bytes >> 8 * i);
	json_dumpb(message, (char *)made + HEADER_BYTES, bytes, JSON_COMPACT);
	*frame = made;
	*frame_bytes = HEADER_BYTES + bytes;
	return 0;
}

int fm_control_send(struct fm_control *control, const json_t *message, uint64_t deadline_ns, struct fm_error *error)
{
	uint8_t *frame = NULL;
	size_t bytes = 0;
	int code;

	if (control->send_failure.code) {
		*error = control->send_failure;
		return error->code;
	}
	code = frame_encode(message, &frame, &bytes, error);
	if (code)
		return code;
	while ((code = fm_tls_write(control->tls, frame, bytes, error)) == -EAGAIN) {
		short events = fm_tls_events(control->tls) & POLLOUT ? POLLOUT : POLLIN;

		code = fm_socket_wait(fm_tls_fd(control->tls), events, deadline_ns, -1);
		if (code == 0)
			continue;
		fm_error_set(error, code, code == -ETIMEDOUT ? FM_REASON_TIMEOUT : FM_REASON_ENVIRONMENT,
			     "%s does not take our messages (%s): its fabmark hangs, or the network between does",
			     fm_tls_peer(control->tls), strerror(-code));
		break;
	}
	if (code)
		control->send_failure = *error;
	free(frame);
	return code;
}

/* Takes over fd and tls. name: how messages call the peer; NULL: by its address. */
static int control_new(int fd, const char *name, const struct fm_token *token, struct fm_control **result,
		       struct fm_error *error)
{
	struct fm_control *control = calloc(1, sizeof(*control));
	const int on = 1;
	int code;

	if (!control) {
		close(fd);
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "out of memory for a connection");
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	code = fm_socket_local(fd, control->local);
	if (code == 0)
		code = fm_socket_peer(fd, control->peer);
	if (code) {
		code = fm_error_set(error, -ECONNRESET, FM_REASON_PEER_LOST,
				    "a connection ended as soon as it had begun (%s)", strerror(-code));
		close(fd);
	} else {
		code = fm_tls_open(fd, !name, name ? name : control->peer, token, &control->tls, error);
	}
	if (code) {
		free(control);
		return code;
	}
	*result = control;
	return 0;
}

int fm_control_accept(int fd, const struct fm_token *token, struct fm_control **control, struct fm_error *error)
{
	return control_new(fd, NULL, token, control, error);
}

int fm_control_handshake(struct fm_control *control, struct fm_error *error)
{
	int code;

	if (control->send_failure.code) {
		*error = control->send_failure;
		return error->code;
	}
	code = fm_tls_handshake(control->tls, error);
	if (code && code != -EAGAIN)
		control->receive_failure = control->send_failure = *error;
	return code;
}

/* The client's handshake, waiting. */
static int control_shake(struct fm_control *control, uint64_t deadline_ns, int interrupt_fd, struct fm_error *error)
{
	const char *peer = fm_tls_peer(control->tls);
	uint64_t patience_ns = fm_now_ns() + FM_HANDSHAKE_NS;
	int code;

	if (patience_ns < deadline_ns)
		deadline_ns = patience_ns;
	while ((code = fm_control_handshake(control, error)) == -EAGAIN) {
		code = fm_socket_wait(fm_tls_fd(control->tls), fm_tls_events(control->tls), deadline_ns, interrupt_fd);
		if (code == -EINTR)
			return fm_error_set(error, code, FM_REASON_INTERRUPTED, "interrupted while connecting to %s",
					    peer);
		if (code)
			return fm_error_set(
				error, code, FM_REASON_TIMEOUT,
				"%s took the connection but did not answer (%s): its fabmark hangs, or it is "
				"no fabmark",
				peer, strerror(-code));
	}
	return code;
}

int fm_control_connect(const char *host, uint16_t port, const struct fm_token *token, uint64_t deadline_ns,
		       int interrupt_fd, struct fm_control **control, struct fm_error *error)
{
	char endpoint[FM_ENDPOINT_BYTES];
	struct fm_control *made = NULL;
	int fd;
	int code = fm_socket_connect(host, port, deadline_ns, interrupt_fd, &fd, error);

	if (code)
		return code;
	fm_socket_endpoint(host, port, endpoint);
	code = control_new(fd, endpoint, token, &made, error);
	if (code == 0)
		code = control_shake(made, deadline_ns, interrupt_fd, error);
	if (code) {
		fm_control_close(made);
		return code;
	}
	*control = made;
	return 0;
}

int fm_control_fd(const struct fm_control *control)
{
	return fm_tls_fd(control->tls);
}

short fm_control_events(const struct fm_control *control)
{
	return fm_tls_events(control->tls);
}

const char *fm_control_local(const struct fm_control *control)
{
	return control->local;
}

const char *fm_control_peer(const struct fm_control *control)
{
	return control->peer;
}

uint64_t fm_control_heard_ns(const struct fm_control *control)
{
	return fm_tls_heard_ns(control->tls);
}

void fm_control_close(struct fm_control *control)
{
	if (!control)
		return;
	fm_tls_close(control->tls);
	free(control->body);
	free(control);
}
