/*
 * token.c - finds, makes and asks for the token; derives the key.
 */
#include "common/token.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define KEY_INFO     "fabmark control 1"
#define PROMPT	     "token (fabmark/token in the other node's config folder): "
#define RANDOM_BYTES 16

/* Longest input that is read: a token, and generous white space behind it. */
enum { RAW_MAX = 1024 };

void fm_token_wipe(struct fm_token *token)
{
	if (token)
		OPENSSL_cleanse(token, sizeof(*token));
}

/* Makes a token of raw bytes, which it trims and checks. */
static int token_take(const char *raw, size_t count, const char *source, struct fm_token *token, struct fm_error *error)
{
	while (count > 0 && strchr(" \t\r\n", raw[count - 1]) && raw[count - 1])
		count--;
	if (count < FM_TOKEN_MIN)
		return fm_error_set(
			error, -EINVAL, FM_REASON_TOKEN,
			"the token in %.300s has %zu characters: take at least %d, as 'openssl rand -hex 16' "
			"makes them",
			source, count, FM_TOKEN_MIN);
	if (count > FM_TOKEN_MAX)
		return fm_error_set(error, -EINVAL, FM_REASON_TOKEN,
				    "the token in %.300s has more than %d characters: take a shorter one", source,
				    FM_TOKEN_MAX);
	for (size_t i = 0; i < count; i++)
		if ((unsigned char)raw[i] < ' ' || raw[i] == 0x7f)
			return fm_error_set(error, -EINVAL, FM_REASON_TOKEN,
					    "the token in %.300s is not one line of text: take letters and digits, as "
					    "'openssl rand -hex 16' makes them",
					    source);
	memset(token, 0, sizeof(*token));
	memcpy(token->text, raw, count);
	snprintf(token->source, sizeof(token->source), "%s", source);
	return 0;
}

static ssize_t read_all(int fd, char *bytes, size_t room)
{
	size_t count = 0;

	while (count < room) {
		ssize_t n = read(fd, bytes + count, room - count);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		count += (size_t)n;
	}
	return (ssize_t)count;
}

/* -ENOENT without a word where the file is absent; the caller knows whether that is an error. */
static int token_read(const char *path, struct fm_token *token, struct fm_error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char raw[RAW_MAX];
	struct stat status;
	ssize_t count;
	int code;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return -ENOENT;
	if (fd < 0 || fstat(fd, &status)) {
		code = fm_error_set(error, -errno, FM_REASON_TOKEN, "cannot read the token file %s: %s", path,
				    strerror(errno));
		goto out;
	}
	/* Checked on what is open, not on the name. A pipe has no readers but its ends. */
	if (S_ISREG(status.st_mode) && status.st_mode & (S_IRWXG | S_IRWXO)) {
		code = fm_error_set(error, -EPERM, FM_REASON_TOKEN,
				    "others may read or change the token file %.200s: type 'chmod 600 %.200s'", path,
				    path);
		goto out;
	}
	count = read_all(fd, raw, sizeof(raw));
	if (count < 0)
		code = fm_error_set(error, (int)count, FM_REASON_TOKEN, "cannot read the token file %s: %s", path,
				    strerror((int)-count));
	else
		code = token_take(raw, (size_t)count, path, token, error);
	OPENSSL_cleanse(raw, sizeof(raw));
out:
	if (fd >= 0)
		close(fd);
	return code;
}

/* The first line of standard input, and not a byte behind it: that belongs to others. */
static int token_line(struct fm_token *token, struct fm_error *error)
{
	char raw[RAW_MAX];
	size_t count = 0;
	ssize_t got = 1;
	int code;

	while (count < sizeof(raw) && (got = read(STDIN_FILENO, raw + count, 1)) != 0) {
		if (got < 0 && errno != EINTR)
			break;
		if (got > 0 && raw[count++] == '\n')
			break;
	}
	if (got < 0)
		code = fm_error_set(error, -errno, FM_REASON_TOKEN, "cannot read the token from standard input: %s",
				    strerror(errno));
	else
		code = token_take(raw, count, "standard input", token, error);
	OPENSSL_cleanse(raw, sizeof(raw));
	return code;
}

/* The user's config folder, without fabmark; -ENOENT where there is none, as for a container's nameless user. */
static int config_folder(char folder[PATH_MAX])
{
	const char *xdg = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	struct passwd entry, *found = NULL;
	char names[4096];
	int count;

	/* The XDG Base Directory Specification ignores relative paths. */
	if (xdg && xdg[0] == '/') {
		count = snprintf(folder, PATH_MAX, "%s", xdg);
		return count < PATH_MAX ? 0 : -ENAMETOOLONG;
	}
	if (!home || home[0] != '/') {
		if (getpwuid_r(getuid(), &entry, names, sizeof(names), &found) || !found)
			return -ENOENT;
		home = entry.pw_dir;
	}
	count = snprintf(folder, PATH_MAX, "%s/.config", home);
	return count < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* As mkdir -p, new folders 0700. */
static int folder_make(const char *path)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(part, 0700) && errno != EEXIST && access(part, F_OK))
			return -errno;
		*slash = '/';
	}
	return mkdir(part, 0700) && errno != EEXIST ? -errno : 0;
}

/*
 * Puts text under path unless something is there already. A reader sees all of it or nothing, and of several writers
 * one wins: link(2) does both, on NFS too; renameat2(2) serves file systems without hard links.
 */
static int file_publish(const char *path, const char *text)
{
	char temporary[PATH_MAX];
	size_t bytes = strlen(text);
	int code = 0, fd;

	if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int)sizeof(temporary))
		return -ENAMETOOLONG;
	fd = mkostemp(temporary, O_CLOEXEC); /* O_EXCL and 0600 by its own definition */
	if (fd < 0)
		return -errno;
	if (write(fd, text, bytes) != (ssize_t)bytes || fsync(fd))
		code = errno ? -errno : -ENOSPC;
	if (close(fd) && code == 0)
		code = -errno;
	if (code == 0 && link(temporary, path) && errno != EEXIST)
		code = renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE) && errno != EEXIST ? -errno : 0;
	unlink(temporary);
	return code;
}

static int token_create(const char *folder, const char *path, struct fm_token *token, struct fm_error *error)
{
	char line[FM_TOKEN_MAX + 2];
	struct fm_token made;
	int code = fm_token_random(&made, error);

	if (code)
		return code;
	snprintf(line, sizeof(line), "%s\n", made.text);
	code = folder_make(folder);
	if (code == 0)
		code = file_publish(path, line);
	OPENSSL_cleanse(line, sizeof(line));
	fm_token_wipe(&made);
	/* Read back, because another process may have been first. */
	if (code == 0)
		code = token_read(path, token, error);
	if (code == 0 || code == -EPERM)
		return code;
	return fm_error_set(error, code, FM_REASON_TOKEN,
			    "cannot create the token file %.200s: %s; set FABMARK_TOKEN or give --token-file", path,
			    strerror(-code));
}

/* -ENOENT without a word where there is no config file, and none is to be made. */
static int token_config(bool create, struct fm_token *token, struct fm_error *error)
{
	char base[PATH_MAX], folder[PATH_MAX], path[PATH_MAX];
	int code = config_folder(base);

	if (code == 0 && (snprintf(folder, sizeof(folder), "%s/fabmark", base) >= (int)sizeof(folder) ||
			  snprintf(path, sizeof(path), "%s/token", folder) >= (int)sizeof(path)))
		code = -ENAMETOOLONG;
	if (code == -ENOENT && !create)
		return code;
	if (code)
		return fm_error_set(error, code, FM_REASON_TOKEN,
				    "there is no config folder for the token (%s): set HOME or FABMARK_TOKEN, or give "
				    "--token-file",
				    strerror(-code));
	code = token_read(path, token, error);
	return code == -ENOENT && create ? token_create(folder, path, token, error) : code;
}

/* Blocks the signals that end or stop a program and makes a descriptor that shows them. */
static int signals_hold(sigset_t *before)
{
	sigset_t held;

	sigemptyset(&held);
	sigaddset(&held, SIGINT);
	sigaddset(&held, SIGTERM);
	sigaddset(&held, SIGQUIT);
	sigaddset(&held, SIGHUP);
	sigaddset(&held, SIGTSTP);
	pthread_sigmask(SIG_BLOCK, &held, before);
	return signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* One line, as the terminal's line discipline hands it out. */
static int line_read(int terminal, int signals, char *raw, size_t room, size_t *count)
{
	*count = 0;
	while (*count < room) {
		struct pollfd fds[2] = {{terminal, POLLIN, 0}, {signals, POLLIN, 0}};
		ssize_t n;

		if (poll(fds, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (fds[1].revents)
			return -EINTR;
		n = read(terminal, raw + *count, room - *count);
		if (n < 0)
			return -errno;
		*count += (size_t)n;
		if (n == 0 || raw[*count - 1] == '\n')
			break;
	}
	return 0;
}

/*
 * Asks on the terminal, echo off. Signals are held back meanwhile and stay pending, so that the echo is on again before
 * one ends or stops the program; a handler would need state outside of this function.
 */
static int token_ask(int terminal, struct fm_token *token, struct fm_error *error)
{
	struct termios loud, quiet;
	char raw[RAW_MAX];
	sigset_t before;
	size_t count = 0;
	int signals, code;

	if (tcgetattr(terminal, &loud))
		return fm_error_set(error, -errno, FM_REASON_TOKEN, "cannot ask for the token on the terminal: %s",
				    strerror(errno));
	signals = signals_hold(&before);
	quiet = loud;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	quiet.c_lflag |= ICANON | ISIG;
	tcsetattr(terminal, TCSAFLUSH, &quiet);
	dprintf(terminal, "%s", PROMPT);
	code = line_read(terminal, signals, raw, sizeof(raw), &count);
	tcsetattr(terminal, TCSAFLUSH, &loud);
	dprintf(terminal, "\n");
	if (signals >= 0)
		close(signals);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (code == 0)
		code = token_take(raw, count, "the terminal", token, error);
	else
		fm_error_set(error, code, code == -EINTR ? FM_REASON_INTERRUPTED : FM_REASON_TOKEN,
			     "no token was given on the terminal: %s", strerror(-code));
	OPENSSL_cleanse(raw, sizeof(raw));
	return code;
}

static int token_prompt(struct fm_token *token, struct fm_error *error)
{
	int terminal = isatty(STDIN_FILENO) ? open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
	int code;

	if (terminal < 0)
		return fm_error_set(
			error, -ENOENT, FM_REASON_TOKEN,
			"no token: give --token-file FILE, set FABMARK_TOKEN, or copy the file fabmark/token "
			"from the other node's config folder (~/.config, or $XDG_CONFIG_HOME) to this node's");
	code = token_ask(terminal, token, error);
	close(terminal);
	return code;
}

int fm_token_find(const char *file, bool create, struct fm_token *token, struct fm_error *error)
{
	const char *environment = getenv("FABMARK_TOKEN");
	int code;

	if (file && strcmp(file, "-") == 0)
		return token_line(token, error);
	if (file) {
		code = token_read(file, token, error);
		return code == -ENOENT ? fm_error_set(error, code, FM_REASON_TOKEN,
						      "there is no token file %s: check --token-file", file)
				       : code;
	}
	if (environment && environment[0])
		return token_take(environment, strlen(environment), "FABMARK_TOKEN", token, error);
	code = token_config(create, token, error);
	return code == -ENOENT ? token_prompt(token, error) : code;
}

/*
 * 0 where OpenSSL has the memory to start. Left to start by itself, version 3.0 does not look whether it had, and
 * crashes; a context of our own is the one part of it that says so.
 */
static int openssl_start(struct fm_error *error)
{
	OSSL_LIB_CTX *probe = OPENSSL_init_ssl(0, NULL) == 1 ? OSSL_LIB_CTX_new() : NULL;

	OSSL_LIB_CTX_free(probe);
	return probe ? 0
		     : fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY,
				    "OpenSSL cannot start: out of memory, or openssl.cnf is broken");
}

int fm_token_random(struct fm_token *token, struct fm_error *error)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t bits[RANDOM_BYTES];

	if (openssl_start(error))
		return error->code;
	if (RAND_priv_bytes(bits, sizeof(bits)) != 1) {
		ERR_clear_error();
		return fm_error_set(
			error, -EIO, FM_REASON_ENVIRONMENT,
			"OpenSSL has no random bits for a token: check its configuration, and the memory that is free");
	}
	memset(token, 0, sizeof(*token));
	for (size_t i = 0; i < sizeof(bits); i++) {
		token->text[2 * i] = digits[bits[i] >> 4];
		token->text[2 * i + 1] = digits[bits[i] & 15];
	}
	snprintf(token->source, sizeof(token->source), "made for this run");
	OPENSSL_cleanse(bits, sizeof(bits));
	return 0;
}

int fm_token_key(const struct fm_token *token, uint8_t key[FM_KEY_BYTES], struct fm_error *error)
{
	/* OpenSSL's parameters take no const pointers, and write through none of these. */
	OSSL_PARAM parameters[] = {
		OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 6),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, (char *)token->text, strlen(token->text)),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_INFO, (char *)KEY_INFO, strlen(KEY_INFO)),
		OSSL_PARAM_END,
	};
	EVP_KDF_CTX *context;
	EVP_KDF *kdf;
	uint8_t derived[FM_KEY_BYTES];
	int good;

	if (openssl_start(error))
		return error->code;
	kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	good = context && EVP_KDF_derive(context, derived, sizeof(derived), parameters) == 1;
	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
	ERR_clear_error();
	if (!good)
		return fm_error_set(error, -ENOTSUP, FM_REASON_ENVIRONMENT,
				    "OpenSSL cannot derive a key with HKDF-SHA256: check openssl.cnf");
	memcpy(key, derived, sizeof(derived));
	OPENSSL_cleanse(derived, sizeof(derived));
	return 0;
}
