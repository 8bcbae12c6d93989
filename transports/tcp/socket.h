/*
 * socket.h - what tcp does with one socket: address it, tune it, open it, and read back what the kernel made of it.
 */
#ifndef FM_TCP_SOCKET_H
#define FM_TCP_SOCKET_H

#include <sys/socket.h>

#include "transports/tcp/tcp.h"
#include "transports/transport.h"

enum { FM_TCP_NAME_MAX = 80 };

struct fm_tcp_address {
	struct sockaddr_storage storage;
	socklen_t bytes; /* 0: none */
};

/* A numeric address with a port; a link-local one without a scope gets that of device. -EINVAL where it is none. */
int fm_tcp_address_parse(const char *text, uint16_t port, const char *device, struct fm_tcp_address *address);

/* Sets what the options ask for, and that small messages leave at once. -errno names what the kernel refuses. */
int fm_tcp_socket_tune(const struct fm_tcp_options *options, int fd, struct fm_error *error);

/* A tuned, non-blocking socket bound to this end's data address, whose text is for messages; the caller closes it. */
int fm_tcp_socket_open(const struct fm_tcp_options *options, const struct fm_tcp_address *local, const char *text,
		       int *fd, struct fm_error *error);

/* Both ends of a connected socket: "10.0.0.1:4711", "[fe80::1%eth0]:4711". */
void fm_tcp_socket_names(int fd, char local[FM_TCP_NAME_MAX], char peer[FM_TCP_NAME_MAX]);

/* Appends the values in force. */
void fm_tcp_socket_effective(int fd, struct fm_effective *effective);

/* Adds this socket's counters to those that are there, new ones at the end. What the kernel does not tell is left out.
 */
void fm_tcp_socket_counters(int fd, struct fm_counters *counters);

#endif
