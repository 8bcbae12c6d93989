/*
 * control.c - the conversation over loopback: tokens, limits, garbage, and peers that vanish. Ways not to get as far as
 * that are in socket.c, the parser's own tests in message.c.
 */
#include "common/control.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include "common/tls.h"
#include "loopback.h"

/* Both ends of a conversation; what did not come about is NULL and has its code and error. */
struct conversation {
	struct fm_control *client, *server;
	int client_code, server_code;
	struct fm_error client_error, server_error;
};

/* Accepts one connection and shakes hands. */
static int accept_one(int listener, const char *token, struct fm_control **control, struct fm_error *error)
{
	struct fm_token own = token_of(token);
	struct fm_control *made = NULL;
	int code;

	assert_int_equal(fm_socket_wait(listener, POLLIN, in_ms(20000), -1), 0);
	code = fm_control_accept(accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), &own, &made, error);
	while (code == 0 && (code = fm_control_handshake(made, error)) == -EAGAIN)
		code = fm_socket_wait(fm_control_fd(made), fm_control_events(made), in_ms(20000), -1);
	if (code)
		fm_control_close(made);
	else
		*control = made;
	return code;
}

static void converse(struct conversation *c, const char *host, int family, const char *client, const char *server)
{
	struct dialer dialer;
	uint16_t port;
	int listener = listen_loopback(family, 8, &port);

	*c = (struct conversation){0};
	dialer_start(&dialer, host, port, client);
	c->server_code = accept_one(listener, server, &c->server, &c->server_error);
	pthread_join(dialer.thread, NULL);
	c->client = dialer.control;
	c->client_code = dialer.code;
	c->client_error = dialer.error;
	close(listener);
}

static void converse_well(struct conversation *c)
{
	converse(c, "127.0.0.1", AF_INET, TOKEN, TOKEN);
	assert_int_equal(c->client_code, 0);
	assert_int_equal(c->server_code, 0);
}

static void part(struct conversation *c)
{
	fm_control_close(c->client);
	fm_control_close(c->server);
}

static void test_both_ways(void **state)
{
	static const struct {
		const char *host, *address;
		int family;
	} cases[] = {
		{"127.0.0.1", "127.0.0.1", AF_INET}, {"[127.0.0.1]", "127.0.0.1", AF_INET}, {"::1", "::1", AF_INET6},
		{"[::1]", "::1", AF_INET6},	     {"localhost", "127.0.0.1", AF_INET},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conversation c;
		uint64_t heard;

		if (cases[i].family == AF_INET6 && !have_ipv6())
			continue;
		converse(&c, cases[i].host, cases[i].family, TOKEN, TOKEN);
		assert_int_equal(c.client_code, 0);
		assert_int_equal(c.server_code, 0);
		assert_string_equal(fm_control_peer(c.client), cases[i].address);
		assert_string_equal(fm_control_local(c.client), cases[i].address);
		assert_string_equal(fm_control_peer(c.server), cases[i].address);
		heard = fm_control_heard_ns(c.server);
		assert_hears(c.client, c.server, "hello");
		assert_true(fm_control_heard_ns(c.server) > heard);
		assert_hears(c.server, c.client, "offer");
		for (int n = 0; n < 100; n++)
			assert_hears(n % 3 ? c.client : c.server, n % 3 ? c.server : c.client, "go");
		part(&c);
	}
}

static void test_wrong_token(void **state)
{
	struct conversation c;

	(void)state;
	converse(&c, "127.0.0.1", AF_INET, OTHER_TOKEN, TOKEN);
	assert_null(c.client);
	assert_null(c.server);
	assert_says(&c.client_error, -EPERM, FM_REASON_TOKEN, "differs from the one that 127.0.0.1:");
	assert_says(&c.client_error, -EPERM, FM_REASON_TOKEN,
		    "copy its token file, or set FABMARK_TOKEN on both nodes");
	assert_says(&c.server_error, -EPERM, FM_REASON_TOKEN, "127.0.0.1 has another token than this node");
	assert_null(strstr(c.client_error.text, OTHER_TOKEN));
	assert_null(strstr(c.server_error.text, TOKEN));
	assert_int_equal(ERR_peek_error(), 0);
}

/* A raw client's bytes to the server's half; then the client closes, or resets. */
static void offer_bytes(const void *bytes, size_t count, bool reset, struct fm_error *error)
{
	const struct linger at_once = {1, 0};
	struct fm_control *control = NULL;
	uint16_t port;
	int listener = listen_loopback(AF_INET, 8, &port), fd = dial_raw(port);

	send_raw(fd, bytes, count);
	if (reset)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
	assert_true(accept_one(listener, TOKEN, &control, error) < 0);
	assert_null(control);
	assert_int_equal(ERR_peek_error(), 0);
	close(listener);
}

static void test_server_meets_strangers(void **state)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: nodeA\r\n\r\n";
	static const char record[] = "\x16\x03\x01\x00\x05hello, this is no handshake at all";
	static const char half[] = "\x16\x03\x01\x02\x00\x01";
	uint8_t noise[4096];
	struct fm_error error;

	(void)state;
	offer_bytes(http, strlen(http), false, &error);
	assert_says(&error, -EPROTO, FM_REASON_PROTOCOL, "127.0.0.1 is no fabmark");
	offer_bytes(record, sizeof(record), false, &error);
	assert_says(&error, -EPROTO, FM_REASON_PROTOCOL, "127.0.0.1 is no fabmark");
	srandom(1);
	for (int round = 0; round < 50; round++) {
		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = (uint8_t)random();
		noise[0] = 0x16;
		offer_bytes(noise, sizeof(noise), false, &error);
	}
	offer_bytes(half, sizeof(half), false, &error);
	assert_says(&error, -ECONNRESET, FM_REASON_PEER_LOST, "closed the connection during the handshake");
	offer_bytes("", 0, true, &error);
	assert_says(&error, -ECONNRESET, FM_REASON_PEER_LOST, "");
}

/* What stands in for a server: reads what comes, answers with bytes (NULL: with TLS and a certificate), closes. */
struct stranger {
	pthread_t thread;
	int listener;
	const char *answer;
};

static SSL_CTX *certified_context(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_NAME *name = X509_get_subject_name(certificate);

	X509_set_version(certificate, 2);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"stranger", -1, -1, 0);
	X509_set_issuer_name(certificate, name);
	X509_set_pubkey(certificate, key);
	X509_sign(certificate, key, EVP_sha256());
	SSL_CTX_use_certificate(context, certificate);
	SSL_CTX_use_PrivateKey(context, key);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return context;
}

static void *stranger_run(void *argument)
{
	const struct stranger *stranger = argument;
	int fd = accept4(stranger->listener, NULL, NULL, SOCK_CLOEXEC);
	char bytes[4096];

	if (stranger->answer) {
		if (recv(fd, bytes, sizeof(bytes), 0) > 0)
			send(fd, stranger->answer, strlen(stranger->answer), MSG_NOSIGNAL);
	} else {
		SSL_CTX *context = certified_context();
		SSL *ssl = SSL_new(context);

		SSL_set_fd(ssl, fd);
		SSL_accept(ssl);
		SSL_free(ssl);
		SSL_CTX_free(context);
	}
	close(fd);
	return NULL;
}

static void meet_stranger(const char *answer, struct fm_error *error)
{
	struct fm_token token = token_of(TOKEN);
	struct stranger stranger = {.answer = answer};
	struct fm_control *control = NULL;
	uint16_t port;

	stranger.listener = listen_loopback(AF_INET, 8, &port);
	assert_int_equal(pthread_create(&stranger.thread, NULL, stranger_run, &stranger), 0);
	assert_true(fm_control_connect("127.0.0.1", port, &token, in_ms(20000), -1, &control, error) < 0);
	assert_null(control);
	pthread_join(stranger.thread, NULL);
	close(stranger.listener);
}

static void test_client_meets_strangers(void **state)
{
	struct fm_error error;

	(void)state;
	meet_stranger("SSH-2.0-OpenSSH_9.2\r\n", &error);
	assert_says(&error, -EPROTO, FM_REASON_PROTOCOL, "is no fabmark server");
	meet_stranger("HTTP/1.1 400 Bad Request\r\n\r\n", &error);
	assert_says(&error, -EPROTO, FM_REASON_PROTOCOL, "is no fabmark server");
	meet_stranger("", &error);
	assert_says(&error, -ECONNRESET, FM_REASON_PEER_LOST, "during the handshake");
	/* Whoever holds the address but not the token must not get in with a certificate. */
	meet_stranger(NULL, &error);
	assert_says(&error, -EPROTO, FM_REASON_PROTOCOL, "certificate verify failed");
}

/* TLS as a browser speaks it, to our server: it has neither our key nor do we have a certificate. */
static void *browse(void *argument)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(context);

	SSL_set_fd(ssl, *(int *)argument);
	SSL_connect(ssl);
	SSL_free(ssl);
	SSL_CTX_free(context);
	return NULL;
}

static void test_server_meets_browser(void **state)
{
	struct fm_control *control = NULL;
	struct fm_error error;
	pthread_t thread;
	uint16_t port;
	int listener = listen_loopback(AF_INET, 8, &port), fd = dial_raw(port);

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, browse, &fd), 0);
	assert_int_equal(accept_one(listener, TOKEN, &control, &error), -EPROTO);
	assert_says(&error, -EPROTO, FM_REASON_PROTOCOL, "127.0.0.1 is no fabmark");
	pthread_join(thread, NULL);
	close(fd);
	close(listener);
}

static void test_silent_server(void **state)
{
	struct fm_token token = token_of(TOKEN);
	struct fm_control *control;
	struct fm_error error;
	uint64_t begin = fm_now_ns();
	uint16_t port;
	int listener = listen_loopback(AF_INET, 8, &port);

	(void)state;
	assert_int_equal(fm_control_connect("127.0.0.1", port, &token, in_ms(200), -1, &control, &error), -ETIMEDOUT);
	assert_says(&error, -ETIMEDOUT, FM_REASON_TIMEOUT, "took the connection but did not answer");
	assert_in_range(fm_now_ns() - begin, 200000000, 2000000000);
	close(listener);
}

/* A message whose JSON has exactly so many bytes. */
static json_t *message_of(size_t bytes)
{
	size_t padding = bytes - strlen("{\"type\":\"x\",\"pad\":\"\"}");
	char *pad = malloc(padding + 1);
	json_t *message;

	memset(pad, 'p', padding);
	pad[padding] = 0;
	message = json_pack("{s:s, s:s}", "type", "x", "pad", pad);
	free(pad);
	assert_int_equal(json_dumpb(message, NULL, 0, JSON_COMPACT), bytes);
	return message;
}

static void test_exact_limit(void **state)
{
	json_t *longest = message_of(FM_MESSAGE_MAX), *longer = message_of(FM_MESSAGE_MAX + 1);
	json_t *untyped = json_pack("{s:i}", "type", 1), *got = NULL;
	struct conversation c;
	struct fm_error error;

	(void)state;
	converse_well(&c);
	assert_int_equal(fm_control_send(c.client, longer, in_ms(5000), &error), -EMSGSIZE);
	assert_says(&error, -EMSGSIZE, FM_REASON_INTERNAL, "65537 bytes");
	assert_int_equal(fm_control_send(c.client, untyped, in_ms(5000), &error), -EINVAL);
	assert_int_equal(fm_control_send(c.client, longest, in_ms(5000), &error), 0);
	assert_int_equal(receive_wait(c.server, &got, &error), 0);
	assert_true(json_equal(got, longest));
	assert_hears(c.server, c.client, "still-there");
	json_decref(longest);
	json_decref(longer);
	json_decref(untyped);
	json_decref(got);
	part(&c);
}

/* A server, and a client that can write anything into its TLS stream; all in this thread. */
static void converse_raw(struct fm_tls **client, struct fm_control **server)
{
	struct fm_token token = token_of(TOKEN);
	struct fm_error error;
	uint16_t port;
	int listener = listen_loopback(AF_INET, 8, &port);
	int client_code = -EAGAIN, server_code = -EAGAIN;

	assert_int_equal(fm_tls_open(dial_raw(port), false, "server", &token, client, &error), 0);
	assert_int_equal(fm_control_accept(accept4(listener, NULL, NULL, SOCK_NONBLOCK), &token, server, &error), 0);
	while (client_code == -EAGAIN || server_code == -EAGAIN) {
		client_code = fm_tls_handshake(*client, &error);
		server_code = fm_control_handshake(*server, &error);
	}
	assert_int_equal(client_code, 0);
	assert_int_equal(server_code, 0);
	close(listener);
}

static void test_bad_frames(void **state)
{
	static const struct {
		const char *bytes;
		size_t count;
		const char *says;
	} cases[] = {
		{"FMC1\x01\x00\x01\x00", 8, "65537 bytes"},
		{"FMC1\xff\xff\xff\xff", 8, "4294967295 bytes"},
		{"FMC1\0\0\0\0", 8, "0 bytes"},
		{"FMC2\x02\0\0\0{}", 10, "without our magic (46 4d 43 32)"},
		{"GET / HTTP/1.1", 14, "without our magic"},
		{"FMC1\x02\0\0\0{}", 10, "from 127.0.0.1: a message is not a JSON object"},
		{"FMC1\x02\0\0\0[]", 10, "not a JSON object"},
		{"FMC1\x04\0\0\0\0\0\0\0", 12, "not JSON"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fm_control *server = NULL;
		struct fm_tls *client = NULL;
		struct fm_error error = {0};
		json_t *got = NULL;

		converse_raw(&client, &server);
		assert_int_equal(fm_tls_write(client, cases[i].bytes, cases[i].count, &error), 0);
		assert_int_equal(receive_wait(server, &got, &error), -EPROTO);
		assert_says(&error, -EPROTO, FM_REASON_PROTOCOL, cases[i].says);
		memset(&error, 0, sizeof(error));
		assert_int_equal(fm_control_receive(server, &got, &error), -EPROTO);
		assert_says(&error, -EPROTO, FM_REASON_PROTOCOL, cases[i].says);
		assert_null(got);
		fm_tls_close(client);
		fm_control_close(server);
	}
}

/* A frame that comes in pieces, and then one that ends early. */
static void test_truncated(void **state)
{
	static const char frame[] = "FMC1\x0e\0\0\0{\"type\": \"go\"}";
	struct fm_control *server = NULL;
	struct fm_tls *client = NULL;
	struct fm_error error;
	json_t *got = NULL;

	(void)state;
	converse_raw(&client, &server);
	for (size_t i = 0; i < sizeof(frame) - 1; i++) {
		assert_int_equal(fm_control_receive(server, &got, &error), -EAGAIN);
		assert_int_equal(fm_tls_write(client, frame + i, 1, &error), 0);
	}
	assert_int_equal(receive_wait(server, &got, &error), 0);
	assert_string_equal(json_string_value(json_object_get(got, "type")), "go");
	json_decref(got);

	assert_int_equal(fm_tls_write(client, frame, sizeof(frame) - 4, &error), 0);
	fm_tls_close(client);
	assert_int_equal(receive_wait(server, &got, &error), -ECONNRESET);
	assert_says(&error, -ECONNRESET, FM_REASON_PEER_LOST,
		    "in the middle of a message 127.0.0.1 closed the connection");
	fm_control_close(server);
}

static void test_peer_killed(void **state)
{
	struct fm_token token = token_of(TOKEN);
	struct fm_control *server = NULL;
	struct fm_error error;
	json_t *got = NULL;
	uint16_t port;
	int listener = listen_loopback(AF_INET, 8, &port), status;
	pid_t child = fork();

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		struct fm_tls *tls;
		int fd, code;

		if (fm_socket_connect("127.0.0.1", port, in_ms(20000), -1, &fd, &error) ||
		    fm_tls_open(fd, false, "server", &token, &tls, &error))
			_exit(1);
		while ((code = fm_tls_handshake(tls, &error)) == -EAGAIN)
			fm_socket_wait(fd, POLLIN, in_ms(20000), -1);
		if (code == 0)
			fm_tls_write(tls, "FMC1\x20\0\0\0{\"type\":", 16, &error);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(accept_one(listener, TOKEN, &server, &error), 0);
	assert_int_equal(receive_wait(server, &got, &error), -ECONNRESET);
	assert_says(&error, -ECONNRESET, FM_REASON_PEER_LOST, "in the middle of a message");
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	fm_control_close(server);
	close(listener);
}

/* What a peer said before it closed is heard, although sending to it fails by now; and no SIGPIPE ends this program. */
static void test_last_words(void **state)
{
	json_t *message = json_pack("{s:s}", "type", "failed"), *got = NULL;
	struct conversation c;
	struct fm_error error;

	(void)state;
	converse_well(&c);
	assert_int_equal(fm_control_send(c.server, message, in_ms(5000), &error), 0);
	fm_control_close(c.server);
	for (int i = 0; i < 1000 && fm_control_send(c.client, message, in_ms(5000), &error) == 0; i++)
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	assert_says(&error, -ECONNRESET, FM_REASON_PEER_LOST, "the connection to 127.0.0.1:");
	assert_int_equal(fm_control_send(c.client, message, in_ms(5000), &error), -ECONNRESET);
	assert_int_equal(receive_wait(c.client, &got, &error), 0);
	assert_true(json_equal(message, got));
	json_decref(got);
	got = NULL;
	assert_int_equal(receive_wait(c.client, &got, &error), -ECONNRESET);
	assert_int_equal(error.reason, FM_REASON_PEER_LOST);
	fm_control_close(c.client);
	json_decref(message);
}

static void test_peer_does_not_read(void **state)
{
	json_t *message = message_of(FM_MESSAGE_MAX);
	struct conversation c;
	struct fm_error error;
	int code = 0;

	(void)state;
	converse_well(&c);
	for (int i = 0; i < 1000 && code == 0; i++)
		code = fm_control_send(c.client, message, in_ms(100), &error);
	assert_int_equal(code, -ETIMEDOUT);
	assert_says(&error, -ETIMEDOUT, FM_REASON_TIMEOUT, "does not take our messages");
	assert_true(fm_control_events(c.client) & POLLOUT);
	json_decref(message);
	part(&c);
}

/* Passes bytes on one at a time, both ways, until one side closes. */
struct trickle {
	pthread_t thread;
	int listener;
	uint16_t port;
};

static void *trickle_run(void *argument)
{
	const struct trickle *trickle = argument;
	int ends[2] = {accept4(trickle->listener, NULL, NULL, SOCK_CLOEXEC), -1};
	struct fm_error error;
	bool open = fm_socket_connect("127.0.0.1", trickle->port, in_ms(20000), -1, &ends[1], &error) == 0;

	while (open) {
		struct pollfd fds[2] = {{ends[0], POLLIN, 0}, {ends[1], POLLIN, 0}};
		char byte;

		open = poll(fds, 2, 20000) > 0;
		for (int i = 0; i < 2 && open; i++)
			if (fds[i].revents)
				open = recv(ends[i], &byte, 1, 0) == 1 && send(ends[!i], &byte, 1, MSG_NOSIGNAL) == 1;
	}
	close(ends[0]);
	close(ends[1]);
	return NULL;
}

static void test_one_byte_at_a_time(void **state)
{
	struct trickle trickle;
	struct dialer dialer;
	struct fm_control *server = NULL;
	struct fm_error error;
	uint16_t port;
	int listener = listen_loopback(AF_INET, 8, &trickle.port);

	(void)state;
	trickle.listener = listen_loopback(AF_INET, 8, &port);
	assert_int_equal(pthread_create(&trickle.thread, NULL, trickle_run, &trickle), 0);
	dialer_start(&dialer, "127.0.0.1", port, TOKEN);
	assert_int_equal(accept_one(listener, TOKEN, &server, &error), 0);
	pthread_join(dialer.thread, NULL);
	assert_int_equal(dialer.code, 0);
	assert_hears(dialer.control, server, "slow");
	assert_hears(server, dialer.control, "slower");
	fm_control_close(dialer.control);
	fm_control_close(server);
	pthread_join(trickle.thread, NULL);
	close(trickle.listener);
	close(listener);
}

static void test_close_accepts_null(void **state)
{
	(void)state;
	fm_control_close(NULL);
	fm_tls_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_wrong_token),
		cmocka_unit_test(test_server_meets_strangers),
		cmocka_unit_test(test_client_meets_strangers),
		cmocka_unit_test(test_server_meets_browser),
		cmocka_unit_test(test_silent_server),
		cmocka_unit_test(test_exact_limit),
		cmocka_unit_test(test_bad_frames),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_peer_killed),
		cmocka_unit_test(test_last_words),
		cmocka_unit_test(test_peer_does_not_read),
		cmocka_unit_test(test_one_byte_at_a_time),
		cmocka_unit_test(test_close_accepts_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
