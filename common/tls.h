/*
 * tls.h - one TLS 1.3 connection over a non-blocking socket, both ends proven by the token. Nothing here waits.
 *
 * There are no certificates: the server has none, and the client takes none, so that a handshake ends well only where
 * both ends hold the same token. Private to control.c; the tests use it to send what fm_control_send never would.
 */
#ifndef FM_TLS_H
#define FM_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/token.h"

struct fm_tls;

/*
 * Takes over fd, failure included. peer: how messages call the other end. Errors: out_of_memory, internal, environment
 * (this OpenSSL cannot do what we need).
 */
int fm_tls_open(int fd, bool server, const char *peer, const struct fm_token *token, struct fm_tls **tls,
		struct fm_error *error);

/*
 * 0 done, -EAGAIN not yet. -EPERM, token: the peer's token differs. -EPROTO, protocol: it is no fabmark.
 * -ECONNRESET, peer_lost: it closed or died.
 */
int fm_tls_handshake(struct fm_tls *tls, struct fm_error *error);
/* How many bytes were read, at least 1; -EAGAIN, -ECONNRESET, -EPROTO as above. */
int fm_tls_read(struct fm_tls *tls, void *bytes, size_t room, struct fm_error *error);
/* 0: all of it is on its way. -EAGAIN: call again with the same bytes. -ECONNRESET, -EPROTO as above. */
int fm_tls_write(struct fm_tls *tls, const void *bytes, size_t count, struct fm_error *error);

int fm_tls_fd(const struct fm_tls *tls);
/* What to wait for after -EAGAIN: POLLIN, or POLLOUT as well while bytes wait to leave. */
short fm_tls_events(const struct fm_tls *tls);
const char *fm_tls_peer(const struct fm_tls *tls);
/* When the last bytes came, fm_now_ns(). */
uint64_t fm_tls_heard_ns(const struct fm_tls *tls);
/* Accepts NULL. Says goodbye if that needs no waiting. */
void fm_tls_close(struct fm_tls *tls);

#endif
