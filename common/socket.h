/*
 * socket.h - TCP connections that never wait longer than a deadline: names looked up, addresses tried in turn.
 *
 * All sockets are non-blocking and close on exec. Deadlines are fm_now_ns().
 */
#ifndef FM_SOCKET_H
#define FM_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/error.h"

/* Room for an IPv6 address with its interface; the longest name that DNS can hold; room for "[HOST]:PORT". */
enum { FM_ADDRESS_BYTES = 64, FM_HOST_MAX = 255, FM_ENDPOINT_BYTES = FM_HOST_MAX + 9 };

/*
 * Waits until fd shows one of events: 0, -ETIMEDOUT, -EINTR as soon as interrupt_fd is readable (-1: there is none), or
 * what poll(2) failed with. A signal alone does not end the wait.
 */
int fm_socket_wait(int fd, short events, uint64_t deadline_ns, int interrupt_fd);

/*
 * Connects to host (name, IPv4, IPv6, with or without brackets) with TCP_NODELAY. Each address of a name gets its share
 * of the time that is left, so that one which is silent does not use up the others'. A name server that does not answer
 * is left behind at the deadline. Errors by reason: usage (no such host can be), unreachable (no such name, no route,
 * no answer), refused, interrupted, environment (this process has no more descriptors).
 */
int fm_socket_connect(const char *host, uint16_t port, uint64_t deadline_ns, int interrupt_fd, int *fd,
		      struct fm_error *error);

/* "nodeB:18520", "[fd00::1]:18520": how messages call the other end. */
void fm_socket_endpoint(const char *host, uint16_t port, char text[FM_ENDPOINT_BYTES]);

/* Numeric address without port; an IPv4 address that came through an IPv6 socket is written as IPv4. */
void fm_socket_address(const struct sockaddr_storage *address, char text[FM_ADDRESS_BYTES]);
/* The same for this end of a connection, or its peer: 0 or -errno, -ENOTCONN where the peer is gone already. */
int fm_socket_local(int fd, char text[FM_ADDRESS_BYTES]);
int fm_socket_peer(int fd, char text[FM_ADDRESS_BYTES]);

#endif
