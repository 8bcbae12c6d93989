/*
 * loopback.h - listeners, raw connections and threads that stand at the other end in the tests of control and door.
 */
#ifndef FM_TEST_LOOPBACK_H
#define FM_TEST_LOOPBACK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/control.h"
#include "common/socket.h"

#define TOKEN	    "sixteen-letters-and-more"
#define OTHER_TOKEN "another-token-altogether"

static inline uint64_t in_ms(uint64_t ms)
{
	return fm_now_ns() + ms * 1000000u;
}

static inline struct fm_token token_of(const char *text)
{
	struct fm_token token = {0};

	snprintf(token.text, sizeof(token.text), "%s", text);
	snprintf(token.source, sizeof(token.source), "of the test");
	return token;
}

/* Fails the test with the sentence itself where part is not in it. */
static inline void assert_says(const struct fm_error *error, int code, enum fm_reason reason, const char *part)
{
	if (error->code != code || error->reason != reason || !strstr(error->text, part))
		fail_msg("%d %s '%s', not %d %s '%s'", error->code, fm_reason_name(error->reason), error->text, code,
			 fm_reason_name(reason), part);
}

/* A listener on 127.0.0.1 or ::1, and its port. */
static inline int listen_loopback(int family, int backlog, uint16_t *port)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr *address = family == AF_INET6 ? (struct sockaddr *)&six : (struct sockaddr *)&four;
	socklen_t bytes = family == AF_INET6 ? sizeof(six) : sizeof(four);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_return_code(bind(fd, address, bytes), errno);
	assert_return_code(listen(fd, backlog), errno);
	assert_return_code(getsockname(fd, address, &bytes), errno);
	*port = ntohs(family == AF_INET6 ? six.sin6_port : four.sin_port);
	return fd;
}

/* Whether this machine has ::1: containers often do not. */
static inline bool have_ipv6(void)
{
	const struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool have = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;

	if (fd >= 0)
		close(fd);
	return have;
}

/* A plain connection, as a port scan or another program makes it. */
static inline int dial_raw(uint16_t port)
{
	struct fm_error error;
	int fd = -1;

	assert_int_equal(fm_socket_connect("127.0.0.1", port, in_ms(5000), -1, &fd, &error), 0);
	return fd;
}

static inline void send_raw(int fd, const void *bytes, size_t count)
{
	assert_int_equal(send(fd, bytes, count, MSG_NOSIGNAL), count);
}

/* fm_control_connect in a thread, for tests whose own thread is the server. */
struct dialer {
	pthread_t thread;
	char host[64];
	uint16_t port;
	struct fm_token token;
	int code;
	struct fm_control *control;
	struct fm_error error;
};

static inline void *dialer_run(void *argument)
{
	struct dialer *dialer = argument;

	dialer->code = fm_control_connect(dialer->host, dialer->port, &dialer->token, in_ms(20000), -1,
					  &dialer->control, &dialer->error);
	return NULL;
}

static inline void dialer_start(struct dialer *dialer, const char *host, uint16_t port, const char *token)
{
	*dialer = (struct dialer){.port = port, .token = token_of(token)};
	snprintf(dialer->host, sizeof(dialer->host), "%s", host);
	assert_int_equal(pthread_create(&dialer->thread, NULL, dialer_run, dialer), 0);
}

/* The next message, waiting for it. */
static inline int receive_wait(struct fm_control *control, json_t **message, struct fm_error *error)
{
	uint64_t deadline = in_ms(20000);
	int code;

	while ((code = fm_control_receive(control, message, error)) == -EAGAIN)
		if (fm_socket_wait(fm_control_fd(control), fm_control_events(control), deadline, -1))
			break;
	return code;
}

/* Sends a message one way and asserts that it arrives. */
static inline void assert_hears(struct fm_control *from, struct fm_control *to, const char *type)
{
	json_t *sent = json_pack("{s:s, s:i}", "type", type, "n", 7), *got = NULL;
	struct fm_error error;

	assert_int_equal(fm_control_send(from, sent, in_ms(20000), &error), 0);
	assert_int_equal(receive_wait(to, &got, &error), 0);
	assert_true(json_equal(sent, got));
	json_decref(sent);
	json_decref(got);
}

#endif
