/*
 * socket.c - waiting with deadlines, and every way not to get a connection.
 */
#include "common/socket.h"

#include <sys/eventfd.h>
#include <time.h>

#include "loopback.h"

/* A listener whose queue is full drops every SYN, as a firewall does. */
static int listen_blackhole(int filler[8], uint16_t *port)
{
	int listener = listen_loopback(AF_INET, 0, port);
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(*port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	for (int i = 0; i < 8; i++) {
		filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(filler[i], (struct sockaddr *)&address, sizeof(address));
	}
	nanosleep(&(struct timespec){0, 50000000}, NULL);
	return listener;
}

static void test_blackhole(void **state)
{
	struct fm_token token = token_of(TOKEN);
	struct fm_control *control;
	struct fm_error error;
	char says[96];
	int filler[8], listener, interrupt = eventfd(1, EFD_CLOEXEC);
	uint64_t begin;
	uint16_t port;

	(void)state;
	listener = listen_blackhole(filler, &port);
	begin = fm_now_ns();
	assert_int_equal(fm_control_connect("127.0.0.1", port, &token, in_ms(300), -1, &control, &error), -ETIMEDOUT);
	assert_in_range(fm_now_ns() - begin, 300000000, 2000000000);
	snprintf(says, sizeof(says), "no answer from 127.0.0.1 on TCP port %u", port);
	assert_says(&error, -ETIMEDOUT, FM_REASON_UNREACHABLE, says);
	snprintf(says, sizeof(says), "open TCP port %u", port);
	assert_says(&error, -ETIMEDOUT, FM_REASON_UNREACHABLE, says);

	begin = fm_now_ns();
	assert_int_equal(fm_control_connect("127.0.0.1", port, &token, in_ms(20000), interrupt, &control, &error),
			 -EINTR);
	assert_says(&error, -EINTR, FM_REASON_INTERRUPTED, "interrupted while connecting to 127.0.0.1:");
	assert_true(fm_now_ns() - begin < 2000000000u);
	for (int i = 0; i < 8; i++)
		close(filler[i]);
	close(listener);
	close(interrupt);
}

static void test_no_such_server(void **state)
{
	struct fm_token token = token_of(TOKEN);
	struct fm_control *control;
	struct fm_error error;
	char long_name[400], says[96];
	uint16_t port;

	(void)state;
	close(listen_loopback(AF_INET, 1, &port));
	assert_int_equal(fm_control_connect("127.0.0.1", port, &token, in_ms(5000), -1, &control, &error),
			 -ECONNREFUSED);
	snprintf(says, sizeof(says), "nothing listens on 127.0.0.1:%u: start 'fabmark serve' there", port);
	assert_says(&error, -ECONNREFUSED, FM_REASON_REFUSED, says);
	/* Two addresses, both refused. */
	assert_int_equal(fm_control_connect("localhost", port, &token, in_ms(5000), -1, &control, &error),
			 -ECONNREFUSED);
	assert_says(&error, -ECONNREFUSED, FM_REASON_REFUSED, "nothing listens on localhost:");
	/* How it fails depends on the machine's name server, if it has one. */
	assert_true(fm_control_connect("no-such-node.invalid", port, &token, in_ms(3000), -1, &control, &error) < 0);
	assert_says(&error, error.code, FM_REASON_UNREACHABLE, "no-such-node.invalid");
	/* No time at all: whether the lookup is left behind, or done already, nothing waits and nothing leaks. */
	assert_true(fm_control_connect("localhost", port, &token, 0, -1, &control, &error) < 0);
	assert_true(error.reason == FM_REASON_UNREACHABLE || error.reason == FM_REASON_REFUSED);
	memset(long_name, 'n', sizeof(long_name));
	long_name[sizeof(long_name) - 1] = 0;
	assert_int_equal(fm_control_connect(long_name, port, &token, in_ms(3000), -1, &control, &error), -EINVAL);
	assert_int_equal(fm_control_connect("[]", port, &token, in_ms(3000), -1, &control, &error), -EINVAL);
	assert_int_equal(error.reason, FM_REASON_USAGE);
	nanosleep(&(struct timespec){0, 100000000}, NULL);
}

static void test_link_local_without_a_scope(void **state)
{
	struct fm_token token = token_of(TOKEN);
	struct fm_control *control;
	struct fm_error error;
	int probe = socket(AF_INET6, SOCK_STREAM, 0);

	(void)state;
	if (probe < 0)
		skip();
	close(probe);
	assert_int_equal(fm_control_connect("fe80::1", 1, &token, in_ms(3000), -1, &control, &error), -EINVAL);
	assert_says(&error, -EINVAL, FM_REASON_USAGE, "give the interface too, as in fe80::1%eth0");
}

static void test_wait(void **state)
{
	int quiet = eventfd(0, EFD_CLOEXEC), ready = eventfd(1, EFD_CLOEXEC);
	uint64_t begin = fm_now_ns();

	(void)state;
	assert_int_equal(fm_socket_wait(quiet, POLLIN, in_ms(50), -1), -ETIMEDOUT);
	assert_true(fm_now_ns() - begin >= 50000000);
	assert_int_equal(fm_socket_wait(quiet, POLLIN, 0, quiet), -ETIMEDOUT);
	assert_int_equal(fm_socket_wait(ready, POLLIN, 0, quiet), 0);
	assert_int_equal(fm_socket_wait(ready, POLLIN, in_ms(5000), ready), -EINTR);
	close(quiet);
	close(ready);
}

static void test_texts(void **state)
{
	struct sockaddr_storage address = {.ss_family = AF_INET6};
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address;
	char endpoint[FM_ENDPOINT_BYTES], numeric[FM_ADDRESS_BYTES];

	(void)state;
	fm_socket_endpoint("nodeB", 18520, endpoint);
	assert_string_equal(endpoint, "nodeB:18520");
	fm_socket_endpoint("fd00::1", 18520, endpoint);
	assert_string_equal(endpoint, "[fd00::1]:18520");
	fm_socket_endpoint("[fd00::1]", 1, endpoint);
	assert_string_equal(endpoint, "[fd00::1]:1");
	assert_int_equal(inet_pton(AF_INET6, "::ffff:10.0.0.2", &six->sin6_addr), 1);
	fm_socket_address(&address, numeric);
	assert_string_equal(numeric, "10.0.0.2");
	assert_int_equal(inet_pton(AF_INET6, "fd00::1", &six->sin6_addr), 1);
	fm_socket_address(&address, numeric);
	assert_string_equal(numeric, "fd00::1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_link_local_without_a_scope),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_blackhole),
		cmocka_unit_test(test_no_such_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
