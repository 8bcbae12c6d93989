/*
 * control.h - the conversation between two nodes: TLS 1.3 over TCP, the token as external pre-shared key, and on it
 * length-prefixed JSON messages. Never the transport under test.
 *
 * A message on the wire: "FMC1" (4 bytes), length (4 bytes, little-endian, at most 64 KiB), that many bytes of JSON,
 * one object with a string "type". TLS_AES_128_GCM_SHA256 alone (with OpenSSL's default list SHA-384 is picked and a
 * SHA-256 key dropped), PSK with (EC)DHE, no tickets, no early data. One thread uses a control at a time. SIGPIPE is
 * never raised.
 */
#ifndef FM_CONTROL_H
#define FM_CONTROL_H

#include <jansson.h>
#include <stdint.h>

#include "common/token.h"

enum { FM_MESSAGE_MAX = 65536, FM_PORT_DEFAULT = 18520 };
/* Most that a client waits for a handshake: a server gives it 3 s (FM_DOOR_PATIENCE_NS), and what comes later is late.
 */
#define FM_HANDSHAKE_NS 4000000000ull

struct fm_control;

/*
 * Connects to host (name, IPv4, IPv6, with or without brackets) and shakes hands, all by deadline_ns (fm_now_ns()), the
 * handshake within FM_HANDSHAKE_NS. Tries every address of the name in turn. interrupt_fd: readable when the user wants
 * out (-EINTR), or -1. Errors by reason: unreachable (no such name, no route, no answer: names host and port, "open TCP
 * port 18520"), refused ("nothing listens on ...: start 'fabmark serve' there"), token (the peer's differs), protocol
 * (it is no fabmark), timeout (it took the connection and did not answer), peer_lost, interrupted.
 */
int fm_control_connect(const char *host, uint16_t port, const struct fm_token *token, uint64_t deadline_ns,
		       int interrupt_fd, struct fm_control **control, struct fm_error *error);

/* The server's half over an accepted, non-blocking socket, which it owns from now on, failure included. */
int fm_control_accept(int fd, const struct fm_token *token, struct fm_control **control, struct fm_error *error);
/* Drives the handshake without waiting: 0 done, -EAGAIN not yet, else it failed: wrong token, garbage. */
int fm_control_handshake(struct fm_control *control, struct fm_error *error);

/*
 * Sends one message (reference not stolen) whole by deadline_ns. -EMSGSIZE over the limit, -EINVAL no object with a
 * type: nothing was sent. peer_lost, timeout: every later send fails the same way, but receive still gives what the
 * peer said last, which may be why. A signal does not end it, so that the last words of an interrupted run get out.
 */
int fm_control_send(struct fm_control *control, const json_t *message, uint64_t deadline_ns, struct fm_error *error);
/*
 * One message if it has come whole: 0 and a new reference; -EAGAIN not yet. Never waits. Garbage, an overlong length or
 * JSON that is no object with a type: protocol; the end of the stream: peer_lost ("closed the connection"). Every later
 * call then fails the same way.
 */
int fm_control_receive(struct fm_control *control, json_t **message, struct fm_error *error);

/* For poll(2), after fm_control_receive gave -EAGAIN: TLS may hold bytes that the socket does not show. */
int fm_control_fd(const struct fm_control *control);
/* Events to wait for on it: POLLIN, and POLLOUT while TLS wants to write. */
short fm_control_events(const struct fm_control *control);
/* Numeric addresses of this end and the peer, port left out: where data goes unless placement says otherwise. */
const char *fm_control_local(const struct fm_control *control);
const char *fm_control_peer(const struct fm_control *control);
/* Time of the last byte received, fm_now_ns(): what the heartbeat watches. */
uint64_t fm_control_heard_ns(const struct fm_control *control);
/* Accepts NULL. Says goodbye in TLS if that needs no waiting. */
void fm_control_close(struct fm_control *control);

/* Decodes one message body: the parser behind fm_control_receive, exported to be fuzzed. */
int fm_message_decode(const void *bytes, size_t count, json_t **message, struct fm_error *error);

#endif
