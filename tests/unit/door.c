/*
 * door.c - the server's port among friends, strangers and people who say nothing.
 */
#include "common/door.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "loopback.h"

static const uint8_t cookie[FM_COOKIE_BYTES] = "one-time-cookie";

/* What a data socket says first. */
static void opening_of(const uint8_t secret[FM_COOKIE_BYTES], uint8_t opening[20])
{
	memcpy(opening, "FMD1", 4);
	memcpy(opening + 4, secret, FM_COOKIE_BYTES);
}

static struct fm_door *open_door(uint64_t patience_ns)
{
	struct fm_token token = token_of(TOKEN);
	struct fm_door *door = NULL;
	struct fm_error error;

	assert_int_equal(fm_door_open_patience(NULL, 0, &token, patience_ns, &door, &error), 0);
	assert_int_not_equal(fm_door_port(door), 0);
	return door;
}

/* As the session does: waits for the door's descriptors or its deadline, at most 20 ms, and lets it work. */
static void turn(struct fm_door *door)
{
	struct pollfd fds[FM_DOOR_POLL_MAX];
	uint32_t count = fm_door_pollfds(door, fds);
	uint64_t now = fm_now_ns(), deadline = fm_door_deadline_ns(door);
	uint64_t ms = deadline > now ? (deadline - now) / 1000000 + 1 : 0;

	assert_in_range(count, 0, FM_DOOR_POLL_MAX);
	poll(fds, count, ms < 20 ? (int)ms : 20);
	fm_door_work(door);
}

static struct fm_control *await_control(struct fm_door *door)
{
	struct fm_control *control = NULL;
	uint64_t deadline = in_ms(20000);

	while (fm_door_next(door, &control) == -EAGAIN) {
		assert_true(fm_now_ns() < deadline);
		turn(door);
	}
	return control;
}

/* Turns the door until so many were refused in all; the last sentence. */
static void await_refused(struct fm_door *door, uint32_t wanted, char *text, size_t bytes)
{
	uint64_t deadline = in_ms(20000);
	uint32_t count = 0;

	while (count < wanted) {
		char fresh[512];
		uint32_t n = fm_door_refused(door, fresh, sizeof(fresh));

		if (n)
			snprintf(text, bytes, "%s", fresh);
		count += n;
		assert_true(fm_now_ns() < deadline);
		turn(door);
	}
	assert_int_equal(count, wanted);
}

static void assert_refused(struct fm_door *door, const char *part)
{
	char text[512];

	await_refused(door, 1, text, sizeof(text));
	if (!strstr(text, part) || !strstr(text, "127.0.0.1"))
		fail_msg("'%s' lacks '%s' or the address", text, part);
}

static void assert_closed(int fd)
{
	char byte;

	assert_int_equal(fm_socket_wait(fd, POLLIN, in_ms(5000), -1), 0);
	assert_true(recv(fd, &byte, 1, 0) <= 0);
}

/* A friend gets in and is understood. */
static void assert_lets_in(struct fm_door *door, const char *host)
{
	struct dialer dialer;
	struct fm_control *server;

	dialer_start(&dialer, host, fm_door_port(door), TOKEN);
	server = await_control(door);
	pthread_join(dialer.thread, NULL);
	assert_int_equal(dialer.code, 0);
	assert_string_equal(fm_control_peer(server), strchr(host, ':') ? "::1" : "127.0.0.1");
	assert_hears(dialer.control, server, "hello");
	fm_control_close(dialer.control);
	fm_control_close(server);
}

static void test_both_families(void **state)
{
	struct fm_door *door = open_door(FM_DOOR_PATIENCE_NS);
	struct fm_control *none;
	char text[64] = "x";

	(void)state;
	assert_int_equal(fm_door_next(door, &none), -EAGAIN);
	assert_true(fm_door_deadline_ns(door) == UINT64_MAX);
	assert_lets_in(door, "127.0.0.1");
	if (have_ipv6())
		assert_lets_in(door, "::1");
	assert_int_equal(fm_door_refused(door, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	fm_door_close(door);
}

/*
 * What a newcomer says may come just after the door has looked whether it has said something. While `late` is set, each
 * look finds nothing, and what is there all the same must not be taken for something else.
 */
static atomic_bool late;

ssize_t __real_recv(int fd, void *bytes, size_t count, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t count, int flags);

ssize_t __wrap_recv(int fd, void *bytes, size_t count, int flags)
{
	if (late && flags & MSG_PEEK) {
		errno = EAGAIN;
		return -1;
	}
	return __real_recv(fd, bytes, count, flags);
}

static void test_first_byte_comes_late(void **state)
{
	struct fm_door *door = open_door(FM_DOOR_PATIENCE_NS);
	struct dialer dialer;
	struct fm_control *server;
	char text[512] = "";

	(void)state;
	late = true;
	dialer_start(&dialer, "127.0.0.1", fm_door_port(door), TOKEN);
	for (int i = 0; i < 10; i++)
		turn(door);
	late = false;
	if (fm_door_refused(door, text, sizeof(text)))
		fail_msg("refused: %s", text);
	server = await_control(door);
	pthread_join(dialer.thread, NULL);
	assert_int_equal(dialer.code, 0);
	fm_control_close(dialer.control);
	fm_control_close(server);
	fm_door_close(door);
}

static void test_one_address(void **state)
{
	struct fm_token token = token_of(TOKEN);
	struct fm_door *door = NULL, *second = NULL;
	struct fm_error error;
	char says[64];

	(void)state;
	assert_int_equal(fm_door_open(have_ipv6() ? "[::1]" : "127.0.0.1", 0, &token, &door, &error), 0);
	assert_lets_in(door, have_ipv6() ? "::1" : "127.0.0.1");
	snprintf(says, sizeof(says), "port %u is in use by another program", fm_door_port(door));
	assert_int_equal(fm_door_open(have_ipv6() ? "::1" : "127.0.0.1", fm_door_port(door), &token, &second, &error),
			 -EADDRINUSE);
	assert_says(&error, -EADDRINUSE, FM_REASON_ENVIRONMENT, says);
	assert_int_equal(fm_door_open(NULL, fm_door_port(door), &token, &second, &error), -EADDRINUSE);
	assert_int_equal(fm_door_open("nodeA", 0, &token, &second, &error), -EINVAL);
	assert_says(&error, -EINVAL, FM_REASON_USAGE, "nodeA");
	assert_int_equal(fm_door_open("192.0.2.1", 0, &token, &second, &error), -EADDRNOTAVAIL);
	assert_says(&error, -EADDRNOTAVAIL, FM_REASON_ENVIRONMENT, "192.0.2.1");
	assert_null(second);
	fm_door_close(door);
	fm_door_close(NULL);
}

static void test_wrong_token(void **state)
{
	struct fm_door *door = open_door(FM_DOOR_PATIENCE_NS);
	struct dialer dialer;

	(void)state;
	dialer_start(&dialer, "127.0.0.1", fm_door_port(door), OTHER_TOKEN);
	assert_refused(door, "has another token than this node");
	pthread_join(dialer.thread, NULL);
	assert_int_equal(dialer.code, -EPERM);
	assert_says(&dialer.error, -EPERM, FM_REASON_TOKEN, "differs");
	assert_lets_in(door, "127.0.0.1");
	fm_door_close(door);
}

static void test_strangers(void **state)
{
	static const char *const openings[] = {"GET / HTTP/1.1\r\n\r\n", "SSH-2.0-x\r\n", "FMC1\x02", "FMX1", "\n"};
	struct fm_door *door = open_door(FM_DOOR_PATIENCE_NS);
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof(openings) / sizeof(openings[0]); i++) {
		fd = dial_raw(fm_door_port(door));
		send_raw(fd, openings[i], strlen(openings[i]));
		assert_refused(door, "is no fabmark (it began with byte 0x");
		assert_closed(fd);
		close(fd);
	}
	close(dial_raw(fm_door_port(door)));
	assert_refused(door, "closed the connection after 0 bytes");
	fd = dial_raw(fm_door_port(door));
	send_raw(fd, "\x16nonsense", 9);
	assert_refused(door, "is no fabmark");
	close(fd);
	assert_lets_in(door, "127.0.0.1");
	fm_door_close(door);
}

static void test_silence(void **state)
{
	struct fm_door *door = open_door(200000000);
	int fd = dial_raw(fm_door_port(door));
	uint64_t begin = fm_now_ns();

	(void)state;
	turn(door);
	assert_true(fm_door_deadline_ns(door) <= fm_now_ns() + 200000000);
	assert_refused(door, "connected and said nothing");
	assert_in_range(fm_now_ns() - begin, 190000000, 2000000000);
	assert_closed(fd);
	assert_true(fm_door_deadline_ns(door) == UINT64_MAX);
	close(fd);
	fm_door_close(door);
}

/* A byte now and then does not buy more patience, be it of a handshake or of a cookie. */
static void test_slow_loris(void **state)
{
	static const char *const openings[] = {"\x16\x03\x01\x02", "FMD1"};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct fm_door *door = open_door(200000000);
		int fd = dial_raw(fm_door_port(door));
		uint64_t begin = fm_now_ns();
		char text[512] = "";
		uint32_t sent = 0;

		while (!fm_door_refused(door, text, sizeof(text))) {
			if (sent < 8)
				send(fd, sent < 4 ? openings[i] + sent : "", 1, MSG_NOSIGNAL);
			sent++;
			turn(door);
		}
		assert_non_null(strstr(text, "too slow"));
		assert_in_range(fm_now_ns() - begin, 190000000, 2000000000);
		assert_closed(fd);
		close(fd);
		fm_door_close(door);
	}
}

/* Half-open handshakes must not make poll(2) return for nothing. */
static void test_no_spinning(void **state)
{
	struct fm_door *door = open_door(300000000);
	int tls = dial_raw(fm_door_port(door)), data = dial_raw(fm_door_port(door));
	char text[512];
	uint32_t turns = 0, refused = 0;

	(void)state;
	send_raw(tls, "\x16\x03\x01\x02\x00\x01", 6);
	send_raw(data, "FMD1cookie", 10);
	for (; refused < 2; turns++) {
		turn(door);
		refused += fm_door_refused(door, text, sizeof(text));
	}
	assert_in_range(turns, 5, 100);
	close(tls);
	close(data);
	fm_door_close(door);
}

static void test_crowd(void **state)
{
	struct fm_door *door = open_door(FM_DOOR_PATIENCE_NS);
	uint64_t begin = fm_now_ns();
	char text[512];
	int fds[20];

	(void)state;
	for (int i = 0; i < 20; i++)
		fds[i] = dial_raw(fm_door_port(door));
	assert_lets_in(door, "127.0.0.1");
	/* Each eight gave way after the grace, long before their patience was out. */
	assert_true(fm_now_ns() - begin < FM_DOOR_PATIENCE_NS);
	assert_in_range(fm_door_refused(door, text, sizeof(text)), 12, 20);
	assert_non_null(strstr(text, "127.0.0.1: connected and said nothing, and another one came"));
	assert_closed(fds[0]);
	for (int i = 0; i < 20; i++)
		close(fds[i]);
	fm_door_close(door);
}

/* Who has begun to speak stays, though older than those who say nothing. */
static void test_silent_go_first(void **state)
{
	struct fm_door *door = open_door(FM_DOOR_PATIENCE_NS);
	struct pollfd still;
	char text[512];
	int speaker = dial_raw(fm_door_port(door)), fds[20];
	uint64_t until;

	(void)state;
	send_raw(speaker, "\x16\x03\x01\x02\x00\x01", 6);
	for (int i = 0; i < 20; i++)
		fds[i] = dial_raw(fm_door_port(door));
	for (until = in_ms(600); fm_now_ns() < until;)
		turn(door);
	assert_true(fm_door_refused(door, text, sizeof(text)) >= 13);
	still = (struct pollfd){speaker, POLLIN, 0};
	assert_int_equal(poll(&still, 1, 0), 0);
	for (int i = 0; i < 20; i++)
		close(fds[i]);
	close(speaker);
	fm_door_close(door);
}

static void test_cookie(void **state)
{
	struct fm_door *door = open_door(FM_DOOR_PATIENCE_NS);
	uint8_t opening[20];
	char next[8];
	int fd = dial_raw(fm_door_port(door)), taken = -1, other;

	(void)state;
	opening_of(cookie, opening);
	assert_int_equal(fm_door_claim(door, cookie, &taken), -ENOENT);
	assert_int_equal(fm_door_expect(door, cookie), 0);
	assert_int_equal(fm_door_expect(door, cookie), -EEXIST);
	assert_int_equal(fm_door_claim(door, cookie, &taken), -EAGAIN);
	/* In three parts, the last with payload behind it. */
	send_raw(fd, opening, 3);
	turn(door);
	send_raw(fd, opening + 3, 10);
	turn(door);
	assert_int_equal(fm_door_claim(door, cookie, &taken), -EAGAIN);
	send_raw(fd, opening + 13, 7);
	send_raw(fd, "payload", 7);
	while (fm_door_claim(door, cookie, &taken) == -EAGAIN)
		turn(door);
	assert_true(taken >= 0);
	assert_int_equal(fm_socket_wait(taken, POLLIN, in_ms(5000), -1), 0);
	assert_int_equal(recv(taken, next, sizeof(next), MSG_DONTWAIT), 7);
	assert_memory_equal(next, "payload", 7);
	assert_int_equal(recv(taken, next, sizeof(next), 0), -1);
	assert_int_equal(errno, EAGAIN);

	/* It counts once. */
	assert_int_equal(fm_door_claim(door, cookie, &taken), -ENOENT);
	other = dial_raw(fm_door_port(door));
	send_raw(other, opening, sizeof(opening));
	assert_refused(door, "a cookie that nobody expects");
	assert_closed(other);
	close(other);
	close(taken);
	close(fd);
	fm_door_close(door);
}

static void test_wrong_cookie(void **state)
{
	struct fm_door *door = open_door(FM_DOOR_PATIENCE_NS);
	uint8_t opening[20];
	int fd = dial_raw(fm_door_port(door)), twin = -1, taken = -1;

	(void)state;
	assert_int_equal(fm_door_expect(door, cookie), 0);
	opening_of(cookie, opening);
	opening[19] ^= 1;
	send_raw(fd, opening, sizeof(opening));
	assert_refused(door, "a cookie that nobody expects");
	assert_closed(fd);
	close(fd);
	/* A freed place holds zeros: they are no cookie. */
	memset(opening + 4, 0, FM_COOKIE_BYTES);
	fd = dial_raw(fm_door_port(door));
	send_raw(fd, opening, sizeof(opening));
	assert_refused(door, "a cookie that nobody expects");
	close(fd);
	/* A second socket with the same cookie does not replace the first. */
	opening_of(cookie, opening);
	fd = dial_raw(fm_door_port(door));
	send_raw(fd, opening, sizeof(opening));
	turn(door);
	twin = dial_raw(fm_door_port(door));
	send_raw(twin, opening, sizeof(opening));
	assert_refused(door, "a cookie that nobody expects");
	assert_closed(twin);
	close(twin);
	/* Nobody claims it: clear closes it. */
	fm_door_clear(door);
	assert_closed(fd);
	assert_int_equal(fm_door_claim(door, cookie, &taken), -ENOENT);
	close(fd);
	fm_door_close(door);
}

/* Many streams of one session connect at once while another thread claims them. */
enum { STREAMS = 64 };

static void stream_cookie(int stream, uint8_t secret[FM_COOKIE_BYTES])
{
	memcpy(secret, cookie, FM_COOKIE_BYTES);
	secret[0] = (uint8_t)stream;
}

struct claimer {
	struct fm_door *door;
	int fds[STREAMS];
};

static void *claimer_run(void *argument)
{
	struct claimer *claimer = argument;
	uint64_t deadline = in_ms(20000);

	for (int i = 0; i < STREAMS; i++) {
		uint8_t secret[FM_COOKIE_BYTES];

		stream_cookie(i, secret);
		claimer->fds[i] = -1;
		while (fm_door_claim(claimer->door, secret, &claimer->fds[i]) == -EAGAIN && fm_now_ns() < deadline)
			nanosleep(&(struct timespec){0, 1000000}, NULL);
	}
	return NULL;
}

static void test_burst_of_streams(void **state)
{
	struct fm_door *door = open_door(FM_DOOR_PATIENCE_NS);
	struct claimer claimer = {.door = door};
	uint8_t secret[FM_COOKIE_BYTES], opening[20];
	char text[512];
	int fds[STREAMS];
	pthread_t thread;

	(void)state;
	for (int i = 0; i < STREAMS; i++) {
		stream_cookie(i, secret);
		assert_int_equal(fm_door_expect(door, secret), 0);
		fds[i] = dial_raw(fm_door_port(door));
	}
	assert_int_equal(pthread_create(&thread, NULL, claimer_run, &claimer), 0);
	/* All are connected before the first has spoken: the worst case for eight places. */
	turn(door);
	for (int i = 0; i < STREAMS; i++) {
		stream_cookie(i, secret);
		opening_of(secret, opening);
		send_raw(fds[i], opening, sizeof(opening));
		turn(door);
	}
	for (uint64_t until = in_ms(500); fm_now_ns() < until;)
		turn(door);
	pthread_join(thread, NULL);
	assert_int_equal(fm_door_refused(door, text, sizeof(text)), 0);
	for (int i = 0; i < STREAMS; i++) {
		char byte;

		send_raw(fds[i], &i, 1);
		assert_true(claimer.fds[i] >= 0);
		assert_int_equal(fm_socket_wait(claimer.fds[i], POLLIN, in_ms(5000), -1), 0);
		assert_int_equal(recv(claimer.fds[i], &byte, 1, 0), 1);
		assert_int_equal(byte, i);
		close(claimer.fds[i]);
		close(fds[i]);
	}
	fm_door_close(door);
}

static void test_cookies_are_bounded(void **state)
{
	struct fm_door *door = open_door(FM_DOOR_PATIENCE_NS);
	uint8_t secret[FM_COOKIE_BYTES] = {0};

	(void)state;
	for (int i = 0; i < FM_COOKIE_MAX; i++) {
		memcpy(secret, &i, sizeof(i));
		assert_int_equal(fm_door_expect(door, secret), 0);
	}
	assert_int_equal(fm_door_expect(door, cookie), -ENOSPC);
	fm_door_clear(door);
	assert_int_equal(fm_door_expect(door, cookie), 0);
	fm_door_close(door);
}

/* The session in hand goes on while a crowd of strangers knocks. */
static void test_session_is_undisturbed(void **state)
{
	struct fm_door *door = open_door(300000000);
	struct fm_control *server;
	struct dialer dialer;
	int fds[100];

	(void)state;
	dialer_start(&dialer, "127.0.0.1", fm_door_port(door), TOKEN);
	server = await_control(door);
	pthread_join(dialer.thread, NULL);
	for (int i = 0; i < 100; i++) {
		uint64_t begin;

		fds[i] = dial_raw(fm_door_port(door));
		if (i % 3)
			send_raw(fds[i], i % 3 == 1 ? "\x16\x03\x01" : "junk", 3);
		begin = fm_now_ns();
		fm_door_work(door);
		/* Far beyond what it takes, far below what a wait would: sanitizers and a busy machine included. */
		assert_true(fm_now_ns() - begin < 500000000);
		assert_hears(dialer.control, server, "beat");
	}
	for (int i = 0; i < 100; i++)
		close(fds[i]);
	fm_control_close(dialer.control);
	fm_control_close(server);
	fm_door_close(door);
}

/* Handshakes that are done but not fetched are bounded too, and closed with the door. */
static void test_ready_are_bounded(void **state)
{
	struct fm_door *door = open_door(FM_DOOR_PATIENCE_NS);
	struct dialer dialers[10];
	char text[512];

	(void)state;
	for (int i = 0; i < 10; i++) {
		dialer_start(&dialers[i], "127.0.0.1", fm_door_port(door), TOKEN);
		if (i == 7)
			for (uint64_t until = in_ms(300); fm_now_ns() < until;)
				turn(door);
	}
	await_refused(door, 2, text, sizeof(text));
	assert_non_null(strstr(text, "8 others wait already"));
	for (int i = 0; i < 10; i++) {
		pthread_join(dialers[i].thread, NULL);
		if (dialers[i].code == 0)
			fm_control_close(dialers[i].control);
	}
	fm_door_close(door);
}

/* No descriptors left: the newcomer waits, poll(2) does too, and it gets in as soon as there are some. */
static void test_out_of_descriptors(void **state)
{
	struct fm_door *door = open_door(FM_DOOR_PATIENCE_NS);
	int fd = dial_raw(fm_door_port(door)), lowest = dup(fd);
	struct rlimit before, low;
	uint32_t turns = 0;
	char text[512] = "";

	(void)state;
	close(lowest);
	getrlimit(RLIMIT_NOFILE, &before);
	low = before;
	low.rlim_cur = (rlim_t)lowest;
	setrlimit(RLIMIT_NOFILE, &low);
	for (uint64_t until = in_ms(250); fm_now_ns() < until; turns++)
		turn(door);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_in_range(turns, 5, 60);
	assert_in_range(fm_door_refused(door, text, sizeof(text)), 1, 5);
	assert_non_null(strstr(text, "ulimit -n"));
	assert_lets_in(door, "127.0.0.1");
	close(fd);
	fm_door_close(door);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_families),
		cmocka_unit_test(test_first_byte_comes_late),
		cmocka_unit_test(test_one_address),
		cmocka_unit_test(test_wrong_token),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_slow_loris),
		cmocka_unit_test(test_no_spinning),
		cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_silent_go_first),
		cmocka_unit_test(test_cookie),
		cmocka_unit_test(test_wrong_cookie),
		cmocka_unit_test(test_burst_of_streams),
		cmocka_unit_test(test_cookies_are_bounded),
		cmocka_unit_test(test_session_is_undisturbed),
		cmocka_unit_test(test_ready_are_bounded),
		cmocka_unit_test(test_out_of_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
