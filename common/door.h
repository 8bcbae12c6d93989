/*
 * door.h - the server's one TCP port: sorts what comes in into control connections and data sockets, in the session's
 * own thread and without ever waiting.
 *
 * First bytes decide: a TLS record (0x16) becomes a control handshake; "FMD1" and a 16-byte cookie becomes a data
 * socket if somebody expects that cookie; anything else is closed. At most FM_DOOR_HALF_OPEN undecided connections,
 * each for FM_DOOR_PATIENCE_NS. When another comes, the oldest that has said nothing gives way, else the oldest of all,
 * but none before FM_DOOR_GRACE_NS: until then the newcomer waits in the kernel's queue. Without that grace a burst of
 * data sockets would throw out its own first ones, whose cookies are still on the way. A wrong token, a port scan or
 * garbage never disturbs the session in hand.
 */
#ifndef FM_DOOR_H
#define FM_DOOR_H

#include <poll.h>

#include "common/control.h"

enum {
	FM_DOOR_HALF_OPEN = 8,
	FM_DOOR_POLL_MAX = FM_DOOR_HALF_OPEN + 2,
	FM_COOKIE_BYTES = 16,
	FM_COOKIE_MAX = 1024, /* expected at a time */
};
#define FM_DOOR_PATIENCE_NS 3000000000ull
#define FM_DOOR_GRACE_NS    100000000ull

struct fm_door;

/*
 * Listens on port (0: any free one) of address (numeric, with or without brackets; NULL: all, IPv6 and IPv4 in one
 * socket, or IPv4 alone where this node has no IPv6). Copies the token. Errors: environment, "port 18520 is in use by
 * another program: stop it or take --port"; usage, an address that is not numeric; out_of_memory.
 */
int fm_door_open(const char *address, uint16_t port, const struct fm_token *token, struct fm_door **door,
		 struct fm_error *error);
/* The same with another patience, for tests that cannot wait so long. */
int fm_door_open_patience(const char *address, uint16_t port, const struct fm_token *token, uint64_t patience_ns,
			  struct fm_door **door, struct fm_error *error);
uint16_t fm_door_port(const struct fm_door *door);
/* Fills up to FM_DOOR_POLL_MAX entries to wait for; returns how many. */
uint32_t fm_door_pollfds(const struct fm_door *door, struct pollfd *fds);
/* When fm_door_work has something to do although nothing came, fm_now_ns(); UINT64_MAX: never. */
uint64_t fm_door_deadline_ns(const struct fm_door *door);
/* Accepts, sorts, drives handshakes. Never waits. Call after poll(2) and on the deadline. */
void fm_door_work(struct fm_door *door);
/* A control connection whose handshake is done: 0 and ownership; -EAGAIN none. Call until -EAGAIN after each work. */
int fm_door_next(struct fm_door *door, struct fm_control **control);
/* How many were turned away since the last call, and why the last one was ("" none): for serve's log line. */
uint32_t fm_door_refused(struct fm_door *door, char *text, size_t bytes);

/*
 * Data sockets with this cookie are kept from now on; one that comes earlier is closed. -EEXIST: expected already.
 * -ENOSPC: FM_COOKIE_MAX are. May be called from any thread, like claim and clear.
 */
int fm_door_expect(struct fm_door *door, const uint8_t cookie[FM_COOKIE_BYTES]);
/*
 * Takes an expected socket that has come: 0 and ownership of the non-blocking fd, whose next byte is the one behind the
 * cookie. -EAGAIN: not yet. -ENOENT: nobody expects it. Taken once: the cookie is then void.
 */
int fm_door_claim(struct fm_door *door, const uint8_t cookie[FM_COOKIE_BYTES], int *fd);
/* Forgets all expected cookies and closes sockets that nobody claimed. */
void fm_door_clear(struct fm_door *door);
/* Accepts NULL. */
void fm_door_close(struct fm_door *door);

#endif
