/*
 * tls.c - OpenSSL with an external pre-shared key, on a BIO of our own, and its failures in words.
 */
#include "common/tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/socket.h"

/* Names the key and so the protocol: another one is a different program, not a wrong token. */
#define IDENTITY "fabmark control 1"

struct fm_tls {
	int fd;
	bool server, established;
	bool wants_write; /* the last call stopped because the socket took no more */
	bool failed;	  /* OpenSSL allows no further call, SSL_shutdown included */
	int io_error;	  /* errno of the socket, once it failed */
	uint64_t heard_ns;
	SSL_CTX *context;
	SSL *ssl;
	BIO_METHOD *method;
	uint8_t key[FM_KEY_BYTES]; /* wiped when the handshake is over */
	char peer[FM_ENDPOINT_BYTES];
	char source[128]; /* of our token, for the message about a wrong one */
};

static int tls_lost(const struct fm_tls *tls, struct fm_error *error)
{
	if (tls->io_error)
		return fm_error_set(error, -ECONNRESET, FM_REASON_PEER_LOST,
				    "the connection to %s broke (%s): its fabmark died, or the network between cut it",
				    tls->peer, strerror(tls->io_error));
	if (!tls->established)
		return fm_error_set(
			error, -ECONNRESET, FM_REASON_PEER_LOST,
			"%s closed the connection during the handshake: it has too many at once, or it is no "
			"fabmark",
			tls->peer);
	return fm_error_set(error, -ECONNRESET, FM_REASON_PEER_LOST,
			    "%s closed the connection: its own output says why", tls->peer);
}

static int tls_wrong_token(const struct fm_tls *tls, struct fm_error *error)
{
	if (tls->server)
		return fm_error_set(error, -EPERM, FM_REASON_TOKEN,
				    "%s has another token than this node (%s): copy the token file there, or set "
				    "FABMARK_TOKEN on both nodes",
				    tls->peer, tls->source);
	return fm_error_set(
		error, -EPERM, FM_REASON_TOKEN,
		"the token (%s) differs from the one that %s has: copy its token file, or set FABMARK_TOKEN on "
		"both nodes",
		tls->source, tls->peer);
}

static int tls_no_fabmark(const struct fm_tls *tls, const char *cause, struct fm_error *error)
{
	if (tls->established)
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL,
				    "%s sent what cannot be decrypted (%s): something between changes the bytes",
				    tls->peer, cause);
	if (tls->server)
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "%s is no fabmark (%s)", tls->peer, cause);
	return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL,
			    "%s is no fabmark server (%s): check the address and the port", tls->peer, cause);
}

/*
 * The server finds that the binder, made with the key, does not fit, and ends the handshake (RFC 8446, 4.2.11). By
 * which alert is left open: OpenSSL 3.0 sends illegal_parameter, others decrypt_error. Our own hello gives no other
 * cause for them.
 */
static bool tls_blames_key(int reason)
{
	return reason == SSL_R_BINDER_DOES_NOT_VERIFY || reason == SSL_R_SSLV3_ALERT_ILLEGAL_PARAMETER ||
	       reason == SSL_R_TLSV1_ALERT_DECRYPT_ERROR;
}

/* Turns the outcome of an OpenSSL call into -EAGAIN or a sentence, and empties OpenSSL's error queue. */
static int tls_stopped(struct fm_tls *tls, int outcome, struct fm_error *error)
{
	int kind = SSL_get_error(tls->ssl, outcome);
	/* The oldest entry is the cause, later ones its consequences. */
	unsigned long first = ERR_peek_error();
	const char *cause = ERR_reason_error_string(first);
	int reason = ERR_GET_LIB(first) == ERR_LIB_SSL ? ERR_GET_REASON(first) : 0;

	ERR_clear_error();
	tls->wants_write = kind == SSL_ERROR_WANT_WRITE;
	if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE)
		return -EAGAIN;
	tls->failed = true;
	OPENSSL_cleanse(tls->key, sizeof(tls->key));
	if (kind == SSL_ERROR_SSL && ERR_GET_REASON(first) == ERR_R_MALLOC_FAILURE)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "out of memory for the connection to %s",
				    tls->peer);
	if (kind != SSL_ERROR_SSL || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return tls_lost(tls, error);
	if (!tls->established && tls_blames_key(reason))
		return tls_wrong_token(tls, error);
	return tls_no_fabmark(tls, cause ? cause : "TLS failed", error);
}

int fm_tls_handshake(struct fm_tls *tls, struct fm_error *error)
{
	int outcome;

	if (tls->established)
		return 0;
	ERR_clear_error();
	outcome = SSL_do_handshake(tls->ssl);
	if (outcome != 1)
		return tls_stopped(tls, outcome, error);
	OPENSSL_cleanse(tls->key, sizeof(tls->key));
	tls->wants_write = false;
	/* OpenSSL counts a pre-shared key as a session that was resumed. Without this a certificate would do instead.
	 */
	if (!SSL_session_reused(tls->ssl)) {
		tls->failed = true;
		return tls_no_fabmark(tls, "TLS without the token", error);
	}
	tls->established = true;
	return 0;
}

int fm_tls_read(struct fm_tls *tls, void *bytes, size_t room, struct fm_error *error)
{
	int count;

	ERR_clear_error();
	count = SSL_read(tls->ssl, bytes, room < INT_MAX ? (int)room : INT_MAX);
	return count > 0 ? count : tls_stopped(tls, count, error);
}

int fm_tls_write(struct fm_tls *tls, const void *bytes, size_t count, struct fm_error *error)
{
	size_t written;

	ERR_clear_error();
	if (SSL_write_ex(tls->ssl, bytes, count, &written) != 1)
		return tls_stopped(tls, 0, error);
	tls->wants_write = false;
	return 0;
}

int fm_tls_fd(const struct fm_tls *tls)
{
	return tls->fd;
}

short fm_tls_events(const struct fm_tls *tls)
{
	return tls->wants_write ? POLLIN | POLLOUT : POLLIN;
}

const char *fm_tls_peer(const struct fm_tls *tls)
{
	return tls->peer;
}

uint64_t fm_tls_heard_ns(const struct fm_tls *tls)
{
	return tls->heard_ns;
}

/* A BIO of our own, because OpenSSL's for sockets writes with write(2), and that raises SIGPIPE. */

static int bio_done(BIO *bio, ssize_t count, int retry)
{
	struct fm_tls *tls = BIO_get_data(bio);

	if (count >= 0)
		return (int)count;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		BIO_set_flags(bio, retry | BIO_FLAGS_SHOULD_RETRY);
	else
		tls->io_error = errno;
	return -1;
}

static int bio_read(BIO *bio, char *bytes, int room)
{
	struct fm_tls *tls = BIO_get_data(bio);
	ssize_t count;

	BIO_clear_retry_flags(bio);
	do
		count = recv(tls->fd, bytes, (size_t)room, MSG_DONTWAIT);
	while (count < 0 && errno == EINTR);
	if (count > 0)
		tls->heard_ns = fm_now_ns();
	return bio_done(bio, count, BIO_FLAGS_READ);
}

static int bio_write(BIO *bio, const char *bytes, int count)
{
	struct fm_tls *tls = BIO_get_data(bio);
	ssize_t written;

	BIO_clear_retry_flags(bio);
	do
		written = send(tls->fd, bytes, (size_t)count, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (written < 0 && errno == EINTR);
	return bio_done(bio, written, BIO_FLAGS_WRITE);
}

/* Nothing is buffered, so a flush has always succeeded; nothing else is known. */
static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

/* The key as OpenSSL wants it: a TLS 1.3 session to resume, whose cipher fixes the hash. */
static SSL_SESSION *tls_session(SSL *ssl)
{
	static const unsigned char aes_128_gcm_sha256[] = {0x13, 0x01};
	const struct fm_tls *tls = SSL_get_app_data(ssl);
	const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, aes_128_gcm_sha256);
	SSL_SESSION *session = SSL_SESSION_new();

	if (cipher && session && SSL_SESSION_set1_master_key(session, tls->key, sizeof(tls->key)) &&
	    SSL_SESSION_set_cipher(session, cipher) && SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION))
		return session;
	SSL_SESSION_free(session);
	return NULL;
}

static int tls_offer_key(SSL *ssl, const EVP_MD *hash, const unsigned char **identity, size_t *bytes,
			 SSL_SESSION **session)
{
	(void)hash;
	*session = tls_session(ssl);
	*identity = (const unsigned char *)IDENTITY;
	*bytes = strlen(IDENTITY);
	return *session != NULL;
}

static int tls_find_key(SSL *ssl, const unsigned char *identity, size_t bytes, SSL_SESSION **session)
{
	*session = NULL;
	/* Without a key the handshake goes on, and fails because there is no certificate. */
	if (bytes != strlen(IDENTITY) || memcmp(identity, IDENTITY, bytes) != 0)
		return 1;
	*session = tls_session(ssl);
	return *session != NULL;
}

static SSL_CTX *tls_context(bool server)
{
	SSL_CTX *context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());

	if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) ||
	    !SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") || !SSL_CTX_set_num_tickets(context, 0)) {
		SSL_CTX_free(context);
		return NULL;
	}
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	if (server) {
		SSL_CTX_set_psk_find_session_callback(context, tls_find_key);
	} else {
		SSL_CTX_set_psk_use_session_callback(context, tls_offer_key);
		/* No authority is trusted, so a server that shows a certificate instead of knowing the key fails here.
		 */
		SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	}
	return context;
}

static bool tls_attach(struct fm_tls *tls)
{
	BIO *bio;

	tls->context = tls_context(tls->server);
	tls->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "socket without SIGPIPE");
	if (!tls->context || !tls->method || !BIO_meth_set_read(tls->method, bio_read) ||
	    !BIO_meth_set_write(tls->method, bio_write) || !BIO_meth_set_ctrl(tls->method, bio_control))
		return false;
	tls->ssl = SSL_new(tls->context);
	bio = BIO_new(tls->method);
	if (!tls->ssl || !bio || !SSL_set_app_data(tls->ssl, tls)) {
		BIO_free(bio);
		return false;
	}
	BIO_set_data(bio, tls);
	SSL_set_bio(tls->ssl, bio, bio);
	if (tls->server)
		SSL_set_accept_state(tls->ssl);
	else
		SSL_set_connect_state(tls->ssl);
	return true;
}

int fm_tls_open(int fd, bool server, const char *peer, const struct fm_token *token, struct fm_tls **tls,
		struct fm_error *error)
{
	struct fm_tls *made = calloc(1, sizeof(*made));
	int code;

	if (!made) {
		close(fd);
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "out of memory for a connection to %s",
				    peer);
	}
	made->fd = fd;
	made->server = server;
	made->heard_ns = fm_now_ns();
	snprintf(made->peer, sizeof(made->peer), "%s", peer);
	snprintf(made->source, sizeof(made->source), "%.127s", token->source);
	code = fm_token_key(token, made->key, error);
	if (code == 0 && !tls_attach(made)) {
		const char *cause = ERR_reason_error_string(ERR_peek_error());

		code = fm_error_set(error, -ENOTSUP, FM_REASON_ENVIRONMENT,
				    "OpenSSL cannot set up TLS 1.3 with AES-128-GCM (%s): check openssl.cnf",
				    cause ? cause : "no reason given");
	}
	ERR_clear_error();
	if (code) {
		fm_tls_close(made);
		return code;
	}
	*tls = made;
	return 0;
}

/* Closing over unread bytes would send a reset, which can overtake what we sent last: take them out first. */
static void tls_drain(int fd)
{
	char unread[4096];

	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 32 && recv(fd, unread, sizeof(unread), MSG_DONTWAIT) > 0; i++)
		;
}

void fm_tls_close(struct fm_tls *tls)
{
	if (!tls)
		return;
	if (tls->established && !tls->failed && !tls->wants_write)
		SSL_shutdown(tls->ssl);
	SSL_free(tls->ssl);
	SSL_CTX_free(tls->context);
	BIO_meth_free(tls->method);
	ERR_clear_error();
	tls_drain(tls->fd);
	close(tls->fd);
	OPENSSL_cleanse(tls->key, sizeof(tls->key));
	free(tls);
}
