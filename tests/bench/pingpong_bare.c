/*
 * pingpong_bare.c - a TCP ping-pong of 8 bytes between two nodes with nothing around it, to hold send_lat against:
 * pingpong_bare PORT echoes for ever; pingpong_bare PORT ADDRESS OPERATIONS prints the median half round trip in us,
 * the first third of them left out. Both sleep until something comes, as pair --events does; with a last word "busy"
 * they poll, as pair does without.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"

enum { MESSAGE = 8 };

static bool receive(int fd, bool busy, char message[MESSAGE])
{
	struct pollfd entry = {.fd = fd, .events = POLLIN};
	ssize_t got;

	while ((got = recv(fd, message, MESSAGE, MSG_DONTWAIT)) < 0 &&
	       (busy ? errno == EAGAIN : poll(&entry, 1, 60000) > 0))
		;
	return got == MESSAGE;
}

static int echo(int listener, bool busy)
{
	const int one = 1;

	for (;;) {
		char message[MESSAGE];
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			return 1;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		while (receive(fd, busy, message) && send(fd, message, MESSAGE, MSG_NOSIGNAL) == MESSAGE)
			;
		close(fd);
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int drive(int fd, bool busy, size_t operations)
{
	double *turns = calloc(operations + 1, sizeof(*turns));
	char message[MESSAGE] = {0};
	struct fm_clock clock;
	const int one = 1;
	uint64_t last;

	if (!turns)
		return 1;
	fm_clock_calibrate(&clock);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	last = fm_clock_ticks(&clock);
	for (size_t i = 0; i < operations; i++) {
		uint64_t now;

		if (send(fd, message, MESSAGE, MSG_NOSIGNAL) != MESSAGE || !receive(fd, busy, message))
			return 1;
		now = fm_clock_ticks(&clock);
		turns[i] = (double)(now - last) * clock.ns_per_tick / 2e3;
		last = now;
	}
	/* The first third warms up. */
	qsort(turns + operations / 3, operations - operations / 3, sizeof(*turns), compare);
	printf("%.3f\n", turns[operations / 3 + (operations - operations / 3) / 2]);
	free(turns);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	bool busy = argc > 2 && strcmp(argv[argc - 1], "busy") == 0;

	argc -= busy;
	if (argc != 2 && argc != 4)
		return 2;
	name.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
	if (argc == 2)
		return bind(fd, (struct sockaddr *)&name, sizeof(name)) || listen(fd, 1) ? 1 : echo(fd, busy);
	if (inet_pton(AF_INET, argv[2], &name.sin_addr) != 1 ||
	    connect(fd, (struct sockaddr *)&name, sizeof(name)) != 0)
		return 1;
	return drive(fd, busy, strtoull(argv[3], NULL, 10));
}
