/*
 * door.c - one listener, a few newcomers of whom nothing is known yet, and the data sockets that somebody waits for.
 */
#include "common/door.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/socket.h"

enum {
	TLS_RECORD_HANDSHAKE = 0x16,
	MAGIC_BYTES = 4,
	OPENING_BYTES = MAGIC_BYTES + FM_COOKIE_BYTES,
	READY_MAX = 8,
	ACCEPT_MAX = 64, /* per call, so that a flood cannot hold up the session */
	BACKLOG = FM_COOKIE_MAX,
};
#define EXHAUSTED_PAUSE_NS 100000000ull

static const uint8_t magic[MAGIC_BYTES] = {'F', 'M', 'D', '1'};

/* A connection that has yet to show what it is. */
struct newcomer {
	int fd; /* -1: this place is free; otherwise owned, by control once that is set */
	uint64_t since_ns;
	struct fm_control *control; /* its handshake goes on */
	uint32_t count;		    /* of the opening, 0: it has said nothing */
	uint8_t opening[OPENING_BYTES];
	char peer[FM_ADDRESS_BYTES];
};

struct guest {
	bool expected;
	int fd; /* -1: has not come */
	uint8_t cookie[FM_COOKIE_BYTES];
};

struct fm_door {
	int listener;
	uint64_t patience_ns, grace_ns;
	uint64_t exhausted_until_ns; /* no accept(2) before: there were no descriptors left */
	struct fm_token token;
	struct newcomer newcomers[FM_DOOR_HALF_OPEN];
	struct fm_control *ready[READY_MAX];
	uint32_t ready_count;
	uint32_t refused;
	char refusal[512];
	pthread_mutex_t lock; /* of guests, which the session's threads claim */
	struct guest guests[FM_COOKIE_MAX];
};

__attribute__((format(printf, 2, 3))) static void door_count_refusal(struct fm_door *door, const char *format, ...)
{
	va_list arguments;

	door->refused++;
	va_start(arguments, format);
	vsnprintf(door->refusal, sizeof(door->refusal), format, arguments);
	va_end(arguments);
}

static void newcomer_close(struct newcomer *newcomer)
{
	if (newcomer->control)
		fm_control_close(newcomer->control);
	else if (newcomer->fd >= 0)
		close(newcomer->fd);
	OPENSSL_cleanse(newcomer->opening, sizeof(newcomer->opening));
	*newcomer = (struct newcomer){.fd = -1};
}

/* The guest with this cookie, or NULL. Looks at all of them: how long it takes says nothing about the cookies. */
static struct guest *door_find_guest(struct fm_door *door, const uint8_t cookie[FM_COOKIE_BYTES])
{
	struct guest *found = NULL;

	for (int i = 0; i < FM_COOKIE_MAX; i++) {
		struct guest *guest = &door->guests[i];

		if (CRYPTO_memcmp(guest->cookie, cookie, FM_COOKIE_BYTES) == 0 && guest->expected)
			found = guest;
	}
	return found;
}

/* Hands a socket with a whole opening to whoever expects it. */
static void newcomer_admit_data(struct fm_door *door, struct newcomer *newcomer)
{
	struct guest *guest;
	bool kept;

	pthread_mutex_lock(&door->lock);
	guest = door_find_guest(door, newcomer->opening + MAGIC_BYTES);
	kept = guest && guest->fd < 0;
	if (kept) {
		guest->fd = newcomer->fd;
		newcomer->fd = -1;
	}
	pthread_mutex_unlock(&door->lock);
	if (!kept)
		door_count_refusal(door, "%s: a data socket with a cookie that nobody expects", newcomer->peer);
	newcomer_close(newcomer);
}

/* Reads no further than the opening: what comes behind it belongs to the transport. */
static void newcomer_read_opening(struct fm_door *door, struct newcomer *newcomer)
{
	uint32_t compared;
	ssize_t n =
		recv(newcomer->fd, newcomer->opening + newcomer->count, OPENING_BYTES - newcomer->count, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n <= 0) {
		door_count_refusal(door, "%s: closed the connection after %u bytes", newcomer->peer, newcomer->count);
		newcomer_close(newcomer);
		return;
	}
	newcomer->count += (uint32_t)n;
	compared = newcomer->count < MAGIC_BYTES ? newcomer->count : MAGIC_BYTES;
	if (memcmp(newcomer->opening, magic, compared) != 0) {
		door_count_refusal(door, "%s: is no fabmark (it began with byte 0x%02x)", newcomer->peer,
				   newcomer->opening[0]);
		newcomer_close(newcomer);
	} else if (newcomer->count == OPENING_BYTES) {
		newcomer_admit_data(door, newcomer);
	}
}

static void newcomer_shake(struct fm_door *door, struct newcomer *newcomer)
{
	struct fm_error error;
	int code = fm_control_handshake(newcomer->control, &error);

	if (code == -EAGAIN)
		return;
	if (code) {
		door_count_refusal(door, "%s: %.400s", newcomer->peer, error.text);
	} else if (door->ready_count == READY_MAX) {
		door_count_refusal(door, "%s: %d others wait already", newcomer->peer, READY_MAX);
	} else {
		door->ready[door->ready_count++] = newcomer->control;
		newcomer->control = NULL;
		newcomer->fd = -1;
	}
	newcomer_close(newcomer);
}

/* Goes as far with one newcomer as it can without waiting. */
static void newcomer_work(struct fm_door *door, struct newcomer *newcomer)
{
	uint8_t first = 0;
	ssize_t n = 1;

	if (!newcomer->control && newcomer->count == 0)
		n = recv(newcomer->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);
	/* Not read any further: what comes right after this look must be looked at, too, before it is taken. */
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (newcomer->control) {
		newcomer_shake(door, newcomer);
	} else if (newcomer->count == 0 && n == 1 && first == TLS_RECORD_HANDSHAKE) {
		struct fm_error error;

		if (fm_control_accept(newcomer->fd, &door->token, &newcomer->control, &error)) {
			newcomer->fd = -1;
			door_count_refusal(door, "%s: %.400s", newcomer->peer, error.text);
			newcomer_close(newcomer);
		} else {
			newcomer_shake(door, newcomer);
		}
	} else {
		newcomer_read_opening(door, newcomer);
	}
}

static bool newcomer_silent(const struct newcomer *newcomer)
{
	return !newcomer->control && newcomer->count == 0;
}

/* Who would have to give way: NULL while there is a free place. */
static const struct newcomer *door_victim(const struct fm_door *door)
{
	const struct newcomer *victim = &door->newcomers[0];

	for (int i = 0; i < FM_DOOR_HALF_OPEN; i++) {
		const struct newcomer *at = &door->newcomers[i];

		if (at->fd < 0)
			return NULL;
		if (newcomer_silent(at) != newcomer_silent(victim))
			victim = newcomer_silent(at) ? at : victim;
		else if (at->since_ns < victim->since_ns)
			victim = at;
	}
	return victim;
}

/* When the next newcomer can be let in; 0: now. */
static uint64_t door_accept_ns(const struct fm_door *door)
{
	const struct newcomer *victim = door_victim(door);
	uint64_t free_ns = victim ? victim->since_ns + door->grace_ns : 0;

	return free_ns > door->exhausted_until_ns ? free_ns : door->exhausted_until_ns;
}

/* A free place, made free if it must be. Only after door_accept_ns. */
static struct newcomer *door_place(struct fm_door *door)
{
	const struct newcomer *victim = door_victim(door);
	struct newcomer *place;

	if (victim) {
		place = &door->newcomers[victim - door->newcomers];
		door_count_refusal(door, "%s: %s, and another one came", place->peer,
				   newcomer_silent(place) ? "connected and said nothing" : "was slow to say who it is");
		newcomer_close(place);
		return place;
	}
	for (place = door->newcomers; place->fd >= 0; place++)
		;
	return place;
}

/* One connection out of the kernel's queue; false: there is none to be had now. */
static bool door_accept(struct fm_door *door, uint64_t now)
{
	struct sockaddr_storage address = {0};
	socklen_t bytes = sizeof(address);
	struct newcomer *place;
	int fd = accept4(door->listener, (struct sockaddr *)&address, &bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		/* Linux passes on errors of the connection that was to be accepted: accept(2), "Error handling". */
		if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
			return errno != EAGAIN && errno != EWOULDBLOCK && errno != EBADF && errno != EINVAL;
		/* The listener stays readable: without a pause, poll(2) would never wait again. */
		door_count_refusal(door, "a connection must wait: %s; raise 'ulimit -n'", strerror(errno));
		door->exhausted_until_ns = now + EXHAUSTED_PAUSE_NS;
		return false;
	}
	place = door_place(door);
	place->fd = fd;
	place->since_ns = now;
	fm_socket_address(&address, place->peer);
	newcomer_work(door, place);
	return true;
}

void fm_door_work(struct fm_door *door)
{
	uint64_t now = fm_now_ns();

	for (int i = 0; i < FM_DOOR_HALF_OPEN; i++) {
		struct newcomer *newcomer = &door->newcomers[i];

		if (newcomer->fd >= 0)
			newcomer_work(door, newcomer);
		if (newcomer->fd < 0 || now < newcomer->since_ns + door->patience_ns)
			continue;
		door_count_refusal(door, "%s: %s", newcomer->peer,
				   newcomer_silent(newcomer) ? "connected and said nothing"
							     : "was too slow to say who it is");
		newcomer_close(newcomer);
	}
	for (int i = 0; i < ACCEPT_MAX && door_accept_ns(door) <= now; i++)
		if (!door_accept(door, now))
			break;
}

uint32_t fm_door_pollfds(const struct fm_door *door, struct pollfd *fds)
{
	uint32_t count = 0;

	if (door_accept_ns(door) <= fm_now_ns())
		fds[count++] = (struct pollfd){door->listener, POLLIN, 0};
	for (int i = 0; i < FM_DOOR_HALF_OPEN; i++) {
		const struct newcomer *newcomer = &door->newcomers[i];

		if (newcomer->fd < 0)
			continue;
		fds[count++] = (struct pollfd){
			newcomer->fd, (short)(newcomer->control ? fm_control_events(newcomer->control) : POLLIN), 0};
	}
	return count;
}

uint64_t fm_door_deadline_ns(const struct fm_door *door)
{
	uint64_t accept_ns = door_accept_ns(door);
	uint64_t deadline = accept_ns > fm_now_ns() ? accept_ns : UINT64_MAX;

	for (int i = 0; i < FM_DOOR_HALF_OPEN; i++) {
		const struct newcomer *newcomer = &door->newcomers[i];

		if (newcomer->fd >= 0 && newcomer->since_ns + door->patience_ns < deadline)
			deadline = newcomer->since_ns + door->patience_ns;
	}
	return deadline;
}

int fm_door_next(struct fm_door *door, struct fm_control **control)
{
	if (door->ready_count == 0)
		return -EAGAIN;
	*control = door->ready[0];
	door->ready_count--;
	memmove(door->ready, door->ready + 1, door->ready_count * sizeof(door->ready[0]));
	return 0;
}

uint32_t fm_door_refused(struct fm_door *door, char *text, size_t bytes)
{
	uint32_t refused = door->refused;

	snprintf(text, bytes, "%s", door->refusal);
	door->refused = 0;
	door->refusal[0] = 0;
	return refused;
}

int fm_door_expect(struct fm_door *door, const uint8_t cookie[FM_COOKIE_BYTES])
{
	int code = -ENOSPC;

	pthread_mutex_lock(&door->lock);
	if (door_find_guest(door, cookie))
		code = -EEXIST;
	for (int i = 0; i < FM_COOKIE_MAX && code == -ENOSPC; i++) {
		struct guest *guest = &door->guests[i];

		if (guest->expected)
			continue;
		guest->expected = true;
		memcpy(guest->cookie, cookie, FM_COOKIE_BYTES);
		code = 0;
	}
	pthread_mutex_unlock(&door->lock);
	return code;
}

static void guest_forget(struct guest *guest)
{
	OPENSSL_cleanse(guest->cookie, sizeof(guest->cookie));
	guest->expected = false;
	guest->fd = -1;
}

int fm_door_claim(struct fm_door *door, const uint8_t cookie[FM_COOKIE_BYTES], int *fd)
{
	struct guest *guest;
	int code = 0;

	pthread_mutex_lock(&door->lock);
	guest = door_find_guest(door, cookie);
	if (!guest) {
		code = -ENOENT;
	} else if (guest->fd < 0) {
		code = -EAGAIN;
	} else {
		*fd = guest->fd;
		guest_forget(guest);
	}
	pthread_mutex_unlock(&door->lock);
	return code;
}

void fm_door_clear(struct fm_door *door)
{
	pthread_mutex_lock(&door->lock);
	for (int i = 0; i < FM_COOKIE_MAX; i++) {
		if (door->guests[i].fd >= 0)
			close(door->guests[i].fd);
		guest_forget(&door->guests[i]);
	}
	pthread_mutex_unlock(&door->lock);
}

static int listen_failed(const char *address, uint16_t port, int code, struct fm_error *error)
{
	switch (code) {
	case -EADDRINUSE:
		return fm_error_set(error, code, FM_REASON_ENVIRONMENT,
				    "port %u is in use by another program: stop it or take --port", port);
	case -EACCES:
		return fm_error_set(error, code, FM_REASON_ENVIRONMENT,
				    "port %u is for root only: take --port with 1024 or more", port);
	case -EADDRNOTAVAIL:
		return fm_error_set(error, code, FM_REASON_ENVIRONMENT,
				    "this node does not have the address %s: 'ip address' shows those it has", address);
	default:
		return fm_error_set(error, code, FM_REASON_ENVIRONMENT, "cannot listen on port %u: %s", port,
				    strerror(-code));
	}
}

/* A listening socket, or -errno. */
static int listen_on(const struct sockaddr *address, socklen_t bytes)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int on = 1, off = 0;
	int code = 0;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* Where the system's default is IPv6 alone, "all addresses" would miss every IPv4 peer. */
	if (address->sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, address, bytes) || listen(fd, BACKLOG)) {
		code = -errno;
		close(fd);
		return code;
	}
	return fd;
}

static int listen_everywhere(uint16_t port)
{
	const struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	const struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = listen_on((const struct sockaddr *)&six, sizeof(six));

	if (fd != -EAFNOSUPPORT && fd != -EADDRNOTAVAIL)
		return fd;
	return listen_on((const struct sockaddr *)&four, sizeof(four));
}

static int listen_open(const char *address, uint16_t port, struct fm_error *error)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_PASSIVE, .ai_socktype = SOCK_STREAM};
	size_t length = address ? strlen(address) : 0;
	bool brackets = length >= 2 && address[0] == '[' && address[length - 1] == ']';
	char host[FM_ADDRESS_BYTES], service[8];
	struct addrinfo *found;
	int fd;

	if (!address) {
		fd = listen_everywhere(port);
		return fd < 0 ? listen_failed("any", port, fd, error) : fd;
	}
	snprintf(host, sizeof(host), "%.*s", (int)(brackets ? length - 2 : length), address + brackets);
	snprintf(service, sizeof(service), "%u", port);
	if (getaddrinfo(host, service, &hints, &found))
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "cannot listen on '%.100s': give an IP address of this node", address);
	fd = listen_on(found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return fd < 0 ? listen_failed(address, port, fd, error) : fd;
}

int fm_door_open(const char *address, uint16_t port, const struct fm_token *token, struct fm_door **door,
		 struct fm_error *error)
{
	return fm_door_open_patience(address, port, token, FM_DOOR_PATIENCE_NS, door, error);
}

int fm_door_open_patience(const char *address, uint16_t port, const struct fm_token *token, uint64_t patience_ns,
			  struct fm_door **door, struct fm_error *error)
{
	int listener = listen_open(address, port, error);
	struct fm_door *made;

	if (listener < 0)
		return listener;
	made = calloc(1, sizeof(*made));
	if (!made) {
		close(listener);
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "out of memory for the server's port");
	}
	made->listener = listener;
	made->patience_ns = patience_ns;
	made->grace_ns = patience_ns < FM_DOOR_GRACE_NS ? patience_ns : FM_DOOR_GRACE_NS;
	made->token = *token;
	pthread_mutex_init(&made->lock, NULL);
	for (int i = 0; i < FM_DOOR_HALF_OPEN; i++)
		made->newcomers[i].fd = -1;
	for (int i = 0; i < FM_COOKIE_MAX; i++)
		made->guests[i].fd = -1;
	*door = made;
	return 0;
}

uint16_t fm_door_port(const struct fm_door *door)
{
	union {
		struct sockaddr_in6 six;
		struct sockaddr_in four;
		struct sockaddr any;
	} address = {0};
	socklen_t bytes = sizeof(address);

	getsockname(door->listener, &address.any, &bytes);
	return ntohs(address.any.sa_family == AF_INET6 ? address.six.sin6_port : address.four.sin_port);
}

void fm_door_close(struct fm_door *door)
{
	if (!door)
		return;
	close(door->listener);
	for (int i = 0; i < FM_DOOR_HALF_OPEN; i++)
		newcomer_close(&door->newcomers[i]);
	for (uint32_t i = 0; i < door->ready_count; i++)
		fm_control_close(door->ready[i]);
	fm_door_clear(door);
	pthread_mutex_destroy(&door->lock);
	fm_token_wipe(&door->token);
	free(door);
}
