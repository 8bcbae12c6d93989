/*
 * pair.c - two ends of a transport in one process.
 */
#include "tests/support/pair.h"

#include <arpa/inet.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEADLINE_NS 10000000000u

/* No transport here wraps another. */
static const struct fm_transport *const others[] = {NULL};

static int services_expect(void *context, const uint8_t cookie[16])
{
	struct pair_services *services = context;

	if (services->expected == PAIR_STREAMS_MAX)
		return -ENOSPC;
	services->fds[services->expected] = -1;
	memcpy(services->cookies[services->expected++], cookie, 16);
	return 0;
}

/* True once the greeting has come whole; a socket that nobody expects is closed. */
static bool services_sorted(struct pair_services *services, int fd)
{
	uint8_t greeting[20];

	if (recv(fd, greeting, sizeof(greeting), MSG_PEEK) != sizeof(greeting))
		return false;
	recv(fd, greeting, sizeof(greeting), 0);
	for (uint32_t i = 0; i < services->expected; i++)
		if (memcmp(greeting, "FMD1", 4) == 0 && memcmp(services->cookies[i], greeting + 4, 16) == 0) {
			services->fds[i] = fd;
			return true;
		}
	close(fd);
	return true;
}

static void services_accept(struct pair_services *services)
{
	uint32_t kept = 0;

	if (services->pending < PAIR_STREAMS_MAX) {
		int fd = accept4(services->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0)
			services->unsorted[services->pending++] = fd;
	}
	for (uint32_t i = 0; i < services->pending; i++)
		if (!services_sorted(services, services->unsorted[i]))
			services->unsorted[kept++] = services->unsorted[i];
	services->pending = kept;
}

static int services_claim(void *context, const uint8_t cookie[16], int *fd)
{
	struct pair_services *services = context;

	services_accept(services);
	for (uint32_t i = 0; i < services->expected; i++)
		if (memcmp(services->cookies[i], cookie, 16) == 0 && services->fds[i] >= 0) {
			*fd = services->fds[i];
			services->fds[i] = -1;
			return 0;
		}
	return -EAGAIN;
}

static int services_random(void *context, void *bytes, size_t count)
{
	(void)context;
	return getrandom(bytes, count, 0) == (ssize_t)count ? 0 : -EIO;
}

static bool services_stopped(void *context)
{
	struct pair_services *services = context;

	return atomic_load(&services->stopped);
}

static int services_open(struct pair_services *services, const char *address)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6};
	struct sockaddr_in four = {.sin_family = AF_INET};
	bool v6 = inet_pton(AF_INET6, address, &six.sin6_addr) == 1;
	const struct sockaddr *name = v6 ? (const struct sockaddr *)&six : (const struct sockaddr *)&four;
	socklen_t bytes = v6 ? sizeof(six) : sizeof(four);

	services->table = (struct fm_services){
		.bytes = sizeof(services->table),
		.context = services,
		.claim = services_claim,
		.expect = services_expect,
		.random = services_random,
		.stopped = services_stopped,
		.transports = others,
	};
	inet_pton(AF_INET, address, &four.sin_addr);
	services->listener = socket(name->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (services->listener < 0 || bind(services->listener, name, bytes) || listen(services->listener, 64) ||
	    getsockname(services->listener, v6 ? (struct sockaddr *)&six : (struct sockaddr *)&four, &bytes))
		return -errno;
	services->table.port = ntohs(v6 ? six.sin6_port : four.sin_port);
	return 0;
}

static int side_open(struct pair_side *side, bool passive, struct fm_error *error)
{
	const struct pair_request *request = &side->pair->request;
	struct fm_capabilities capabilities;
	uint32_t buffers = 2 * request->streams;
	int code;

	side->cpu = request->pinned ? passive : -1;
	side->place = (struct fm_place){.count = 1};
	if (request->rails)
		side->place.rails[0] = request->rails[passive];
	snprintf(side->place.rails[0].address, sizeof(side->place.rails[0].address), "%s", request->address);
	side->work = (struct fm_work){
		.test = request->test,
		.role = passive ? fm_tests[request->test].peer : FM_DRIVE,
		.passive = passive,
		.bidirectional = request->bidirectional,
		.events = request->events,
		.verify = request->verify,
		.size_bytes = request->size,
		.stride_bytes = request->stride ? request->stride : request->size,
		.slots = request->slots,
		.depth = request->depth,
		.streams = request->streams,
		.threads = request->threads,
		.options = request->options,
		.services = &side->pair->services.table,
	};
	for (uint32_t i = 0; i < buffers; i++) {
		code = request->memory->allocate(-1, 0, side->work.slots * side->work.stride_bytes, &side->buffers[i],
						 error);
		if (code)
			return code;
	}
	code = request->transport->query(&side->place, request->options, others, &capabilities, error);
	return code ? code
		    : request->transport->open(&side->place, &side->work, side->buffers, buffers, &side->endpoint,
					       error);
}

static int pair_connect(struct pair *pair, struct fm_error *error)
{
	const struct fm_transport *transport = pair->request.transport;
	struct fm_blob *blobs = calloc(2, sizeof(*blobs));
	uint64_t deadline = fm_now_ns() + DEADLINE_NS;
	int codes[2] = {-EAGAIN, -EAGAIN}, code = blobs ? 0 : -ENOMEM;

	for (int i = 1; i >= 0 && !code; i--)
		code = transport->address(pair->sides[i].endpoint, &blobs[i], error);
	while (!code && (codes[0] || codes[1]) && fm_now_ns() < deadline)
		for (int i = 0; i < 2 && !code; i++) {
			if (codes[i] == -EAGAIN)
				codes[i] = transport->connect(pair->sides[i].endpoint, &blobs[!i], pair->sides[i].lanes,
							      pair->request.streams, error);
			if (codes[i] != -EAGAIN)
				code = codes[i];
		}
	free(blobs);
	return code ? code : codes[0] ? codes[0] : codes[1];
}

int pair_open(struct pair *pair, const struct pair_request *request, struct fm_error *error)
{
	int code;

	memset(pair, 0, sizeof(*pair));
	pair->request = *request;
	pair->services.listener = -1;
	pair->clock = (struct fm_clock){.source = "clock_monotonic_raw", .ns_per_tick = 1};
	pair->sides[0].pair = pair->sides[1].pair = pair;
	code = services_open(&pair->services, request->address);
	if (code)
		fm_error_set(error, code, FM_REASON_ENVIRONMENT, "no listener on %s", request->address);
	for (int i = 0; i < 2 && !code; i++)
		code = side_open(&pair->sides[i], i == 1, error);
	if (!code)
		code = pair_connect(pair, error);
	if (code)
		pair_close(pair);
	return code;
}

int pair_arm(struct pair *pair, uint64_t operations, uint64_t batch)
{
	for (int s = 0; s < 2; s++) {
		struct pair_side *side = &pair->sides[s];

		atomic_store(&side->stop, FM_RUN);
		for (uint32_t i = 0; i < pair->request.streams; i++) {
			struct fm_loop *loop = &side->loops[i];
			int code = side->lanes[i].arm(side->lanes[i].self, operations,
						      pair->request.bidirectional ? operations : 0);

			if (code)
				return code;
			loop->lane = &side->lanes[i];
			loop->operations = operations;
			loop->batch = batch;
			loop->depth = pair->request.depth;
			loop->trace.capacity = PAIR_STAMPS_MAX;
			if (!loop->trace.ticks)
				loop->trace.ticks = calloc(PAIR_STAMPS_MAX, sizeof(uint64_t));
			if (!loop->trace.done)
				loop->trace.done = calloc(PAIR_STAMPS_MAX, sizeof(uint64_t));
			if (!loop->trace.ticks || !loop->trace.done)
				return -ENOMEM;
		}
	}
	return 0;
}

static void *side_thread(void *argument)
{
	struct pair_thread *thread = argument;
	struct pair_side *side = thread->side;
	const struct fm_verify verify = {&side->work,	side->buffers, side->pair->request.verify_seed,
					 thread->first, thread->count, false};
	const struct fm_loop_context context = {
		.clock = &side->pair->clock, .stop = &side->stop, .yield = !side->pair->request.pinned};

	if (side->cpu >= 0) {
		cpu_set_t cpus;

		CPU_ZERO(&cpus);
		CPU_SET((size_t)side->cpu, &cpus);
		pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	}
	if (side->pair->request.verify_seed)
		thread->code = fm_verify_run(&verify, side->loops + thread->first, &context, &thread->error);
	else
		thread->code = fm_loop_run(side->work.role, side->loops + thread->first, thread->count, &context);
	return NULL;
}

void pair_start(struct pair *pair, int s)
{
	struct pair_side *side = &pair->sides[s];
	uint32_t streams = pair->request.streams, threads = pair->request.threads;

	for (uint32_t t = 0; t < threads; t++) {
		struct pair_thread *thread = &side->threads[t];

		thread->side = side;
		thread->first = streams * t / threads;
		thread->count = streams * (t + 1) / threads - thread->first;
		if (pthread_create(&thread->id, NULL, side_thread, thread))
			abort();
	}
}

int pair_join(struct pair *pair, int s)
{
	int code = 0;

	for (uint32_t t = 0; t < pair->request.threads; t++) {
		pthread_join(pair->sides[s].threads[t].id, NULL);
		if (!code)
			code = pair->sides[s].threads[t].code;
	}
	return code;
}

int pair_run(struct pair *pair, uint64_t operations, uint64_t batch)
{
	int code = pair_arm(pair, operations, batch), peer;

	if (code)
		return code;
	pair_start(pair, 1);
	pair_start(pair, 0);
	code = pair_join(pair, 0);
	atomic_store(&pair->sides[1].stop, code ? FM_ABORT : FM_FINISH);
	peer = pair_join(pair, 1);
	return code ? code : peer;
}

void pair_close(struct pair *pair)
{
	for (int s = 0; s < 2; s++) {
		struct pair_side *side = &pair->sides[s];

		pair->request.transport->close(side->endpoint);
		side->endpoint = NULL;
		for (uint32_t i = 0; i < 2 * pair->request.streams; i++)
			pair->request.memory->free(&side->buffers[i]);
		for (uint32_t i = 0; i < pair->request.streams; i++) {
			free(side->loops[i].trace.ticks);
			free(side->loops[i].trace.done);
			side->loops[i].trace = (struct fm_trace){0};
		}
	}
	for (uint32_t i = 0; i < pair->services.expected; i++)
		if (pair->services.fds[i] >= 0)
			close(pair->services.fds[i]);
	for (uint32_t i = 0; i < pair->services.pending; i++)
		close(pair->services.unsorted[i]);
	pair->services.expected = pair->services.pending = 0;
	if (pair->services.listener >= 0)
		close(pair->services.listener);
	pair->services.listener = -1;
}
