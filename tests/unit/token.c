/*
 * token.c - where the token comes from, what is refused, and the key made of it.
 */
#include "common/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define GOOD "0123456789abcdef0123"

static int scratch_remove(const char *path, const struct stat *status, int kind, struct FTW *at)
{
	(void)status;
	(void)kind;
	(void)at;
	return remove(path);
}

/* Each test has a home of its own, and none of the user's variables. */
static int scratch_open(void **state)
{
	char *folder = strdup("/tmp/fabmark-token-XXXXXX");

	if (!folder || !mkdtemp(folder))
		return -1;
	setenv("HOME", folder, 1);
	unsetenv("XDG_CONFIG_HOME");
	unsetenv("FABMARK_TOKEN");
	*state = folder;
	return 0;
}

static int scratch_close(void **state)
{
	nftw(*state, scratch_remove, 8, FTW_DEPTH | FTW_PHYS);
	free(*state);
	return 0;
}

static void write_file(const char *folder, const char *name, const char *text, size_t bytes, mode_t mode,
		       char path[PATH_MAX])
{
	int fd;

	snprintf(path, PATH_MAX, "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, bytes), bytes);
	assert_return_code(fchmod(fd, mode), errno);
	close(fd);
}

static void assert_refused(const char *file, int code, const char *part)
{
	struct fm_token token = {.text = "untouched"};
	struct fm_error error = {0};

	assert_int_equal(fm_token_find(file, false, &token, &error), code);
	assert_int_equal(error.code, code);
	assert_int_equal(error.reason, FM_REASON_TOKEN);
	if (!strstr(error.text, part))
		fail_msg("'%s' lacks '%s'", error.text, part);
	assert_string_equal(token.text, "untouched");
}

static void test_file_is_trimmed_and_named(void **state)
{
	struct fm_token token;
	struct fm_error error;
	char path[PATH_MAX];

	write_file(*state, "t", GOOD " \t\r\n\n", strlen(GOOD) + 5, 0600, path);
	assert_int_equal(fm_token_find(path, false, &token, &error), 0);
	assert_string_equal(token.text, GOOD);
	assert_string_equal(token.source, path);
	fm_token_wipe(&token);
	assert_int_equal(token.text[0], 0);
	fm_token_wipe(NULL);
}

static void test_order(void **state)
{
	struct fm_token token;
	struct fm_error error;
	char path[PATH_MAX], config[PATH_MAX], folder[PATH_MAX];

	snprintf(folder, sizeof(folder), "%s/.config", (const char *)*state);
	mkdir(folder, 0700);
	write_file(*state, "t", "from-the-option-file", 20, 0600, path);
	snprintf(folder, sizeof(folder), "%s/.config/fabmark", (const char *)*state);
	mkdir(folder, 0700);
	write_file(folder, "token", "from-the-config-file\n", 21, 0600, config);

	setenv("FABMARK_TOKEN", "from-the-environment", 1);
	assert_int_equal(fm_token_find(path, true, &token, &error), 0);
	assert_string_equal(token.text, "from-the-option-file");
	assert_int_equal(fm_token_find(NULL, true, &token, &error), 0);
	assert_string_equal(token.text, "from-the-environment");
	assert_string_equal(token.source, "FABMARK_TOKEN");
	setenv("FABMARK_TOKEN", "", 1);
	assert_int_equal(fm_token_find(NULL, true, &token, &error), 0);
	assert_string_equal(token.text, "from-the-config-file");
	assert_string_equal(token.source, config);

	chmod(config, 0644);
	assert_refused(NULL, -EPERM, "chmod 600 ");
	/* A relative XDG_CONFIG_HOME is to be ignored; an absolute one replaces ~/.config. */
	chmod(config, 0600);
	setenv("XDG_CONFIG_HOME", "elsewhere", 1);
	assert_int_equal(fm_token_find(NULL, false, &token, &error), 0);
	setenv("XDG_CONFIG_HOME", "/nowhere", 1);
	assert_refused(NULL, -ENOENT, "--token-file");
}

static void test_missing_names_three_ways(void **state)
{
	(void)state;
	assert_refused(NULL, -ENOENT, "--token-file");
	assert_refused(NULL, -ENOENT, "FABMARK_TOKEN");
	assert_refused(NULL, -ENOENT, "fabmark/token");
	assert_refused("/nowhere/token", -ENOENT, "/nowhere/token");
	assert_refused("/tmp", -EISDIR, "/tmp");
}

static void test_permissions(void **state)
{
	static const mode_t bad[] = {0640, 0604, 0620, 0602, 0644, 0666};
	struct fm_token token;
	struct fm_error error;
	char path[PATH_MAX], part[PATH_MAX + 16];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_file(*state, "t", GOOD, strlen(GOOD), bad[i], path);
		snprintf(part, sizeof(part), "chmod 600 %s", path);
		assert_refused(path, -EPERM, part);
	}
	write_file(*state, "t", GOOD, strlen(GOOD), 0400, path);
	assert_int_equal(fm_token_find(path, false, &token, &error), 0);
}

static void test_pipe_needs_no_permissions(void **state)
{
	struct fm_token token;
	struct fm_error error;
	char path[32];
	int ends[2];

	(void)state;
	assert_return_code(pipe(ends), errno);
	assert_int_equal(write(ends[1], GOOD "\n", strlen(GOOD) + 1), strlen(GOOD) + 1);
	close(ends[1]);
	snprintf(path, sizeof(path), "/dev/fd/%d", ends[0]);
	assert_int_equal(fm_token_find(path, false, &token, &error), 0);
	assert_string_equal(token.text, GOOD);
	close(ends[0]);
}

static void test_text_is_checked(void **state)
{
	struct fm_token token;
	struct fm_error error;
	char path[PATH_MAX], longest[FM_TOKEN_MAX + 1], lots[4096];

	write_file(*state, "t", "fifteen-letters\n", 16, 0600, path);
	assert_refused(path, -EINVAL, "has 15 characters");
	assert_refused(path, -EINVAL, path);
	setenv("FABMARK_TOKEN", "short", 1);
	assert_refused(NULL, -EINVAL, "FABMARK_TOKEN");
	unsetenv("FABMARK_TOKEN");
	write_file(*state, "t", "", 0, 0600, path);
	assert_refused(path, -EINVAL, "has 0 characters");
	write_file(*state, "t", "sixteen-letters!", 16, 0600, path);
	assert_int_equal(fm_token_find(path, false, &token, &error), 0);
	write_file(*state, "t", "0123456789abcdef\n0123456789abcdef", 33, 0600, path);
	assert_refused(path, -EINVAL, "not one line");
	write_file(*state, "t", "0123456789abcdef\0hidden", 23, 0600, path);
	assert_refused(path, -EINVAL, "not one line");

	memset(longest, 'x', sizeof(longest));
	write_file(*state, "t", longest, FM_TOKEN_MAX, 0600, path);
	assert_int_equal(fm_token_find(path, false, &token, &error), 0);
	assert_int_equal(strlen(token.text), FM_TOKEN_MAX);
	write_file(*state, "t", longest, FM_TOKEN_MAX + 1, 0600, path);
	assert_refused(path, -EINVAL, "more than 256");
	memset(lots, 'x', sizeof(lots));
	write_file(*state, "t", lots, sizeof(lots), 0600, path);
	assert_refused(path, -EINVAL, "more than 256");
}

static void test_create(void **state)
{
	struct fm_token made, again;
	struct fm_error error;
	struct stat status;
	char folder[PATH_MAX];

	assert_int_equal(fm_token_find(NULL, true, &made, &error), 0);
	assert_int_equal(strlen(made.text), 32);
	assert_int_equal(strspn(made.text, "0123456789abcdef"), 32);
	assert_return_code(stat(made.source, &status), errno);
	assert_int_equal(status.st_mode & 07777, 0600);
	snprintf(folder, sizeof(folder), "%s/.config/fabmark", (const char *)*state);
	assert_return_code(stat(folder, &status), errno);
	assert_int_equal(status.st_mode & 07777, 0700);
	assert_int_equal(fm_token_find(NULL, false, &again, &error), 0);
	assert_string_equal(again.text, made.text);

	setenv("XDG_CONFIG_HOME", "/dev/null", 1);
	assert_int_equal(fm_token_find(NULL, true, &again, &error), -ENOTDIR);
	assert_int_equal(error.reason, FM_REASON_TOKEN);
	assert_non_null(strstr(error.text, "/dev/null/fabmark/token"));
}

/* In a child: waits for the start, makes or finds the token, and writes it to the parent. */
static void race_run(int start, int result)
{
	struct fm_token token;
	struct fm_error error;
	char byte;

	if (read(start, &byte, 1) != 0 || fm_token_find(NULL, true, &token, &error) || strlen(token.text) != 32)
		_exit(1);
	_exit(write(result, token.text, 32) != 32);
}

static void test_create_race(void **state)
{
	enum { RUNNERS = 8, ROUNDS = 10 };
	char path[PATH_MAX], first[32], other[32];

	snprintf(path, sizeof(path), "%s/.config/fabmark/token", (const char *)*state);
	for (int round = 0; round < ROUNDS; round++) {
		int start[2], result[2], status;

		unlink(path);
		assert_return_code(pipe(start), errno);
		assert_return_code(pipe(result), errno);
		for (int i = 0; i < RUNNERS; i++) {
			pid_t child = fork();

			assert_true(child >= 0);
			if (child == 0) {
				close(start[1]);
				race_run(start[0], result[1]);
			}
		}
		close(start[0]);
		close(start[1]);
		close(result[1]);
		assert_int_equal(read(result[0], first, 32), 32);
		for (int i = 1; i < RUNNERS; i++) {
			assert_int_equal(read(result[0], other, 32), 32);
			assert_memory_equal(first, other, 32);
		}
		close(result[0]);
		while (wait(&status) > 0)
			assert_int_equal(status, 0);
	}
}

/* A child on a terminal of its own, asked for the token; what it was given, or -code, is its exit code. */
static pid_t prompt_start(int *master)
{
	pid_t child;

	*master = posix_openpt(O_RDWR | O_NOCTTY);
	assert_true(*master >= 0);
	assert_return_code(grantpt(*master), errno);
	assert_return_code(unlockpt(*master), errno);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct fm_token token;
		struct fm_error error;
		struct termios after;
		int code;

		setsid();
		dup2(open(ptsname(*master), O_RDWR), STDIN_FILENO);
		code = fm_token_find(NULL, false, &token, &error);
		if (tcgetattr(STDIN_FILENO, &after) || !(after.c_lflag & ECHO))
			_exit(90);
		if (code == 0)
			_exit(strcmp(token.text, GOOD) || strcmp(token.source, "the terminal") ? 91 : 0);
		_exit(-code);
	}
	return child;
}

/* Reads what the terminal shows until it holds part. */
static void prompt_expect(int master, char *shown, size_t room, const char *part)
{
	size_t count = 0;

	shown[0] = 0;
	while (!strstr(shown, part)) {
		struct pollfd fd = {master, POLLIN, 0};
		ssize_t n;

		assert_int_equal(poll(&fd, 1, 20000), 1);
		n = read(master, shown + count, room - 1 - count);
		assert_true(n > 0);
		count += (size_t)n;
		shown[count] = 0;
	}
}

static void test_prompt(void **state)
{
	char shown[512];
	int master, status;
	pid_t child = prompt_start(&master);

	(void)state;
	prompt_expect(master, shown, sizeof(shown), "folder): ");
	assert_int_equal(write(master, GOOD "\n", strlen(GOOD) + 1), strlen(GOOD) + 1);
	prompt_expect(master, shown, sizeof(shown), "\n");
	assert_null(strstr(shown, GOOD));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(master);
}

static void test_prompt_interrupted(void **state)
{
	struct termios after;
	char shown[512];
	int master, status;
	pid_t child = prompt_start(&master);

	(void)state;
	prompt_expect(master, shown, sizeof(shown), "folder): ");
	assert_return_code(tcgetattr(master, &after), errno);
	assert_false(after.c_lflag & ECHO);
	assert_int_equal(write(master, "\003", 1), 1);
	prompt_expect(master, shown, sizeof(shown), "\n");
	assert_int_equal(waitpid(child, &status, 0), child);
	/* The signal was held back until the terminal was as before, and then did what it does. */
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
	assert_return_code(tcgetattr(master, &after), errno);
	assert_true(after.c_lflag & ECHO);
	close(master);
}

static void test_random(void **state)
{
	struct fm_token a, b;
	struct fm_error error;

	(void)state;
	assert_int_equal(fm_token_random(&a, &error), 0);
	assert_int_equal(fm_token_random(&b, &error), 0);
	assert_int_equal(strlen(a.text), 32);
	assert_string_not_equal(a.text, b.text);
}

/* openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt key:correct-horse-battery -kdfopt info:'fabmark control 1' HKDF
 */
static void test_key(void **state)
{
	static const uint8_t expected[FM_KEY_BYTES] = {
		0xdd, 0x25, 0xaa, 0x3b, 0xac, 0x91, 0xc4, 0x84, 0x20, 0x26, 0x5f, 0x1a, 0x6f, 0xbc, 0xd3, 0x6e,
		0x80, 0xf4, 0xe5, 0x5a, 0xab, 0x24, 0x79, 0xc1, 0x62, 0x17, 0x7d, 0xc2, 0x80, 0xb6, 0xbe, 0xa4,
	};
	struct fm_token token = {.text = "correct-horse-battery"};
	struct fm_error error;
	uint8_t key[FM_KEY_BYTES];

	(void)state;
	assert_int_equal(fm_token_key(&token, key, &error), 0);
	assert_memory_equal(key, expected, sizeof(key));
	token.text[0] = 'C';
	assert_int_equal(fm_token_key(&token, key, &error), 0);
	assert_memory_not_equal(key, expected, sizeof(key));
}

int main(void)
{
#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_open, scratch_close)
	const struct CMUnitTest tests[] = {
		IN_SCRATCH(test_file_is_trimmed_and_named),
		IN_SCRATCH(test_order),
		IN_SCRATCH(test_missing_names_three_ways),
		IN_SCRATCH(test_permissions),
		IN_SCRATCH(test_pipe_needs_no_permissions),
		IN_SCRATCH(test_text_is_checked),
		IN_SCRATCH(test_create),
		IN_SCRATCH(test_create_race),
		IN_SCRATCH(test_prompt),
		IN_SCRATCH(test_prompt_interrupted),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_key),
	};

	/* With a terminal there, a missing token would be asked for. */
	if (!freopen("/dev/null", "r", stdin))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
