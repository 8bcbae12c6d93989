/*
 * pingpong_tcp.c - what the program adds to a TCP ping-pong: 8-byte send_lat through its lanes and loops against a bare
 * loop of send() and recv(), in turn, both ends pinned to CPU 0 and 1: pingpong_tcp [ROUNDS [OPERATIONS]].
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/memory/memory.h"
#include "tests/support/pair.h"
#include "transports/registry.h"

enum { MESSAGE = 8, ROUNDS_MAX = 1000 };

struct bare {
	int fds[2];
	uint64_t operations;
};

static void pin(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET((size_t)cpu, &cpus);
	pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
}

static bool bare_connect(struct bare *bare)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof(name);
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	bool ok;

	bare->fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	ok = bind(listener, (struct sockaddr *)&name, bytes) == 0 && listen(listener, 1) == 0 &&
	     getsockname(listener, (struct sockaddr *)&name, &bytes) == 0 &&
	     connect(bare->fds[0], (struct sockaddr *)&name, bytes) == 0;
	bare->fds[1] = ok ? accept(listener, NULL, NULL) : -1;
	close(listener);
	for (int i = 0; i < 2; i++)
		setsockopt(bare->fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return ok && bare->fds[1] >= 0;
}

static void bare_receive(int fd)
{
	char message[MESSAGE];

	while (recv(fd, message, sizeof(message), MSG_DONTWAIT) != MESSAGE)
		;
}

static void *bare_echo(void *argument)
{
	struct bare *bare = argument;
	char message[MESSAGE] = {0};

	pin(1);
	for (uint64_t i = 0; i < bare->operations; i++) {
		bare_receive(bare->fds[1]);
		send(bare->fds[1], message, sizeof(message), MSG_NOSIGNAL);
	}
	return NULL;
}

static void *bare_drive(void *argument)
{
	struct bare *bare = argument;
	char message[MESSAGE] = {0};

	pin(0);
	for (uint64_t i = 0; i < bare->operations; i++) {
		send(bare->fds[0], message, sizeof(message), MSG_NOSIGNAL);
		bare_receive(bare->fds[0]);
	}
	return NULL;
}

/* Half round trip in ns, mean over the operations. */
static double bare_run(struct bare *bare, uint64_t operations)
{
	pthread_t echo, drive;
	uint64_t since;

	bare->operations = operations;
	pthread_create(&echo, NULL, bare_echo, bare);
	since = fm_clock_raw_ns();
	pthread_create(&drive, NULL, bare_drive, bare);
	pthread_join(drive, NULL);
	since = fm_clock_raw_ns() - since;
	pthread_join(echo, NULL);
	return (double)since / (double)operations / 2;
}

static double ours_run(struct pair *pair, uint64_t operations)
{
	const struct fm_trace *trace = &pair->sides[0].loops[0].trace;

	if (pair_run(pair, operations, 1))
		return 0;
	return (double)(trace->ticks[trace->count - 1] - trace->ticks[0]) * pair->clock.ns_per_tick /
	       (double)operations / 2;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 21;
	uint64_t operations = argc > 2 ? strtoull(argv[2], NULL, 10) : 20000;
	struct pair_request request = {
		.transport = fm_transport_find("tcp"),
		.address = "127.0.0.1",
		.memory = fm_memory_find("host"),
		.test = FM_SEND_LAT,
		.size = MESSAGE,
		.slots = 1,
		.depth = 1,
		.streams = 1,
		.threads = 1,
		.pinned = true,
	};
	struct pair *pair = malloc(sizeof(*pair));
	double bare_ns[ROUNDS_MAX], ours_ns[ROUNDS_MAX];
	struct fm_error error = {0};
	struct bare bare;

	if (!pair || rounds < 1 || rounds > ROUNDS_MAX || !bare_connect(&bare) || pair_open(pair, &request, &error)) {
		fprintf(stderr, "cannot start: %s\n", error.text);
		return 1;
	}
	fm_clock_calibrate(&pair->clock);
	bare_run(&bare, operations);
	ours_run(pair, operations);
	for (uint64_t i = 0; i < rounds; i++) {
		bare_ns[i] = bare_run(&bare, operations);
		ours_ns[i] = ours_run(pair, operations);
	}
	qsort(bare_ns, rounds, sizeof(double), compare);
	qsort(ours_ns, rounds, sizeof(double), compare);
	printf("half round trip, median of %d rounds: bare %.0f ns, ours %.0f ns (%.3f); fastest round: %.0f, %.0f "
	       "(%.3f)\n",
	       (int)rounds, bare_ns[rounds / 2], ours_ns[rounds / 2], ours_ns[rounds / 2] / bare_ns[rounds / 2],
	       bare_ns[0], ours_ns[0], ours_ns[0] / bare_ns[0]);
	pair_close(pair);
	free(pair);
	return 0;
}
