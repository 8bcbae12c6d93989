/*
 * socket.c - looks up names in a thread that can be left behind, and connects without blocking.
 */
#include "common/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"

/* getaddrinfo(3) knows no deadline: it runs in a thread of its own, which frees this if nobody waits any longer. */
struct lookup {
	pthread_mutex_t lock;
	bool done, abandoned;	/* under lock */
	int done_fd;		/* readable when done */
	int code, system_error; /* of getaddrinfo */
	struct addrinfo *found;
	char host[FM_HOST_MAX + 1];
	char port[8];
};

/* What one connection attempt is about, for its messages. */
struct target {
	const char *host;
	uint16_t port;
	uint64_t deadline_ns;
	int interrupt_fd;
};

int fm_socket_wait(int fd, short events, uint64_t deadline_ns, int interrupt_fd)
{
	for (;;) {
		/* poll(2) passes over a negative descriptor. */
		struct pollfd fds[2] = {{fd, events, 0}, {interrupt_fd, POLLIN, 0}};
		uint64_t now = fm_now_ns();
		uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
		struct timespec timeout = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
		int ready = ppoll(fds, 2, &timeout, NULL);

		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready > 0)
			return fds[1].revents ? -EINTR : 0;
		if (ready == 0 && left == 0)
			return -ETIMEDOUT;
	}
}

void fm_socket_endpoint(const char *host, uint16_t port, char text[FM_ENDPOINT_BYTES])
{
	if (host[0] != '[' && strchr(host, ':'))
		snprintf(text, FM_ENDPOINT_BYTES, "[%.255s]:%u", host, port);
	else
		snprintf(text, FM_ENDPOINT_BYTES, "%.257s:%u", host, port);
}

void fm_socket_address(const struct sockaddr_storage *address, char text[FM_ADDRESS_BYTES])
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;

	if (address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
		inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], text, FM_ADDRESS_BYTES);
	else if (getnameinfo((const struct sockaddr *)address, sizeof(*address), text, FM_ADDRESS_BYTES, NULL, 0,
			     NI_NUMERICHOST))
		snprintf(text, FM_ADDRESS_BYTES, "unknown address");
}

int fm_socket_local(int fd, char text[FM_ADDRESS_BYTES])
{
	struct sockaddr_storage address = {0};
	socklen_t bytes = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &bytes))
		return -errno;
	fm_socket_address(&address, text);
	return 0;
}

int fm_socket_peer(int fd, char text[FM_ADDRESS_BYTES])
{
	struct sockaddr_storage address = {0};
	socklen_t bytes = sizeof(address);

	if (getpeername(fd, (struct sockaddr *)&address, &bytes))
		return -errno;
	fm_socket_address(&address, text);
	return 0;
}

static void lookup_free(struct lookup *lookup)
{
	if (!lookup)
		return;
	if (lookup->found)
		freeaddrinfo(lookup->found);
	if (lookup->done_fd >= 0)
		close(lookup->done_fd);
	pthread_mutex_destroy(&lookup->lock);
	free(lookup);
}

static int lookup_ask(struct lookup *lookup, int flags)
{
	const struct addrinfo hints = {.ai_flags = flags | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};

	lookup->code = getaddrinfo(lookup->host, lookup->port, &hints, &lookup->found);
	lookup->system_error = lookup->code == EAI_SYSTEM ? errno : 0;
	return lookup->code;
}

static void *lookup_run(void *argument)
{
	struct lookup *lookup = argument;
	bool abandoned;

	lookup_ask(lookup, 0);
	pthread_mutex_lock(&lookup->lock);
	lookup->done = true;
	abandoned = lookup->abandoned;
	eventfd_write(lookup->done_fd, 1);
	pthread_mutex_unlock(&lookup->lock);
	if (abandoned)
		lookup_free(lookup);
	return NULL;
}

/* Signals are the main thread's: a handler or signalfd there must not miss one because this thread took it. */
static int lookup_start(struct lookup *lookup, pthread_t *thread)
{
	sigset_t all, before;
	int code;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(thread, NULL, lookup_run, lookup);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -code;
}

/* 0: the lookup is done, well or not, and the thread gone. Otherwise the thread owns it from now on. */
static int lookup_wait(struct lookup *lookup, pthread_t thread, const struct target *target)
{
	int code = fm_socket_wait(lookup->done_fd, POLLIN, target->deadline_ns, target->interrupt_fd);

	if (code) {
		bool done;

		pthread_mutex_lock(&lookup->lock);
		done = lookup->done;
		lookup->abandoned = !done;
		pthread_mutex_unlock(&lookup->lock);
		if (!done) {
			pthread_detach(thread);
			return code;
		}
	}
	pthread_join(thread, NULL);
	return 0;
}

static int lookup_failed(const struct lookup *lookup, struct fm_error *error)
{
	switch (lookup->code) {
	case EAI_NONAME:
#ifdef EAI_NODATA
	case EAI_NODATA:
#endif
		return fm_error_set(error, -ENOENT, FM_REASON_UNREACHABLE,
				    "no node is named %s: check the spelling, or give its IP address", lookup->host);
	case EAI_MEMORY:
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "out of memory while looking up %s",
				    lookup->host);
	default:
		return fm_error_set(
			error, -EHOSTUNREACH, FM_REASON_UNREACHABLE,
			"cannot look up %s (%s): check this node's DNS, or give the other node's IP address",
			lookup->host,
			lookup->code == EAI_SYSTEM ? strerror(lookup->system_error) : gai_strerror(lookup->code));
	}
}

static int lookup_new(const struct target *target, struct lookup **result, struct fm_error *error)
{
	const char *host = target->host;
	size_t length = strlen(host);
	struct lookup *lookup;

	if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
		host++;
		length -= 2;
	}
	if (length == 0 || length > FM_HOST_MAX)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "the name of the other node must have 1 to %d characters, not %zu", FM_HOST_MAX,
				    length);
	lookup = calloc(1, sizeof(*lookup));
	if (!lookup)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "out of memory while connecting");
	pthread_mutex_init(&lookup->lock, NULL);
	memcpy(lookup->host, host, length);
	snprintf(lookup->port, sizeof(lookup->port), "%u", target->port);
	lookup->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (lookup->done_fd < 0) {
		int code = -errno;

		lookup_free(lookup);
		return fm_error_set(error, code, FM_REASON_ENVIRONMENT, "cannot look up a name: %s; raise 'ulimit -n'",
				    strerror(-code));
	}
	*result = lookup;
	return 0;
}

static int lookup_host(const struct target *target, struct lookup **result, struct fm_error *error)
{
	struct lookup *lookup = NULL;
	pthread_t thread;
	int code = lookup_new(target, &lookup, error);

	if (!lookup)
		return code;
	/* A numeric address needs no name server, and no thread. */
	if (lookup_ask(lookup, AI_NUMERICHOST)) {
		code = lookup_start(lookup, &thread);
		if (code) {
			lookup_free(lookup);
			return fm_error_set(error, code, FM_REASON_ENVIRONMENT,
					    "cannot start a thread to look up %s: %s", target->host, strerror(-code));
		}
		code = lookup_wait(lookup, thread, target);
		if (code == -EINTR)
			return fm_error_set(error, code, FM_REASON_INTERRUPTED, "interrupted while looking up %s",
					    target->host);
		if (code)
			return fm_error_set(
				error, code, FM_REASON_UNREACHABLE,
				"the name %s could not be looked up in time: check this node's DNS, or give "
				"the other node's IP address",
				target->host);
	}
	if (lookup->code) {
		code = lookup_failed(lookup, error);
		lookup_free(lookup);
		return code;
	}
	*result = lookup;
	return 0;
}

static int connect_address(const struct addrinfo *address, uint64_t until_ns, int interrupt_fd, int *result)
{
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int on = 1;
	int code = 0;

	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, address->ai_addr, address->ai_addrlen)) {
		code = -errno;
		if (code == -EINPROGRESS || code == -EINTR)
			code = fm_socket_wait(fd, POLLOUT, until_ns, interrupt_fd);
		if (code == 0) {
			int failure = 0;
			socklen_t bytes = sizeof(failure);

			getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &bytes);
			code = -failure;
		}
	}
	if (code) {
		close(fd);
		return code;
	}
	*result = fd;
	return 0;
}

static int connect_failed(const struct target *target, const struct addrinfo *address, int code, struct fm_error *error)
{
	struct sockaddr_storage storage = {0};
	char endpoint[FM_ENDPOINT_BYTES], numeric[FM_ADDRESS_BYTES], where[FM_ADDRESS_BYTES + 3] = "";

	memcpy(&storage, address->ai_addr, address->ai_addrlen);
	fm_socket_address(&storage, numeric);
	fm_socket_endpoint(target->host, target->port, endpoint);
	if (strncmp(target->host + (target->host[0] == '['), numeric, strlen(numeric)) != 0)
		snprintf(where, sizeof(where), " (%s)", numeric);
	if (code == -EINVAL && strncmp(numeric, "fe80:", 5) == 0 && !strchr(target->host, '%'))
		return fm_error_set(error, code, FM_REASON_USAGE,
				    "%s is a link-local address, of which every interface has a network: give the "
				    "interface too, as in %s%%eth0",
				    numeric, numeric);
	switch (code) {
	case -ECONNREFUSED:
		return fm_error_set(error, code, FM_REASON_REFUSED,
				    "nothing listens on %s%s: start 'fabmark serve' there", endpoint, where);
	case -EINTR:
		return fm_error_set(error, code, FM_REASON_INTERRUPTED, "interrupted while connecting to %s", endpoint);
	case -EMFILE:
	case -ENFILE:
		return fm_error_set(error, code, FM_REASON_ENVIRONMENT, "cannot open a socket: %s; raise 'ulimit -n'",
				    strerror(-code));
	default:
		return fm_error_set(
			error, code, FM_REASON_UNREACHABLE,
			"no answer from %s%s on TCP port %u (%s): open TCP port %u in the firewall, or check "
			"the address",
			target->host, where, target->port, strerror(-code), target->port);
	}
}

/* Of several addresses' failures, a refusal says most: the node is there. */
static void connect_prefer(struct fm_error *kept, const struct fm_error *fresh)
{
	if (kept->code == 0 || kept->reason != FM_REASON_REFUSED || fresh->reason == FM_REASON_INTERRUPTED)
		*kept = *fresh;
}

int fm_socket_connect(const char *host, uint16_t port, uint64_t deadline_ns, int interrupt_fd, int *fd,
		      struct fm_error *error)
{
	const struct target target = {host, port, deadline_ns, interrupt_fd};
	struct fm_error kept = {0}, fresh;
	struct lookup *lookup = NULL;
	uint64_t addresses = 0;
	int code = lookup_host(&target, &lookup, error);

	if (!lookup)
		return code;
	for (const struct addrinfo *at = lookup->found; at; at = at->ai_next)
		addresses++;
	for (const struct addrinfo *at = lookup->found; at; at = at->ai_next) {
		uint64_t now = fm_now_ns();
		uint64_t share = deadline_ns > now ? (deadline_ns - now) / addresses-- : 0;

		code = connect_address(at, now + share, interrupt_fd, fd);
		if (code == 0)
			goto out;
		connect_failed(&target, at, code, &fresh);
		connect_prefer(&kept, &fresh);
		if (code == -EINTR)
			break;
	}
	*error = kept;
	code = kept.code;
out:
	lookup_free(lookup);
	return code;
}
