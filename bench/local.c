/*
 * local.c - forks and runs the far end.
 */
#include "bench/local.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

#define START_MS 10000
#define END_NS	 3000000000ull /* to end by itself */
#define TERM_NS	 1000000000ull /* to obey SIGTERM */

/* The child's last words. It had no thread beside it, so no lock is held that strerror may want. */
static void child_fail(const char *what)
{
	char line[160];
	int length = snprintf(line, sizeof(line), "fabmark: cannot start the far end: %s: %s\n", what, strerror(errno));
	ssize_t gone = write(STDERR_FILENO, line, (size_t)length);

	(void)gone;
	_exit(127);
}

/* The child: only async-signal-safe calls until exec. */
static void child_exec(pid_t parent, const char *token_path, const char *ready_text)
{
	const char *const arguments[] = {"fabmark",    "serve",	    "--once",	      "--quiet",      "--port",
					 "0",	       "--address", "127.0.0.1",      "--token-file", token_path,
					 "--ready-fd", ready_text,  "--idle-timeout", "30",	      NULL};

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	/* The parent may have died before the line above. */
	if (getppid() != parent)
		_exit(127);
	/* Ctrl-C is the parent's to handle: it ends the session in order. */
	setpgid(0, 0);
	/* What the parent ignores the child would too, and this is how it is told to end. */
	signal(SIGTERM, SIG_DFL);
	/* Results own stdout; the child has none. */
	if (dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		child_fail("dup2");
	execv("/proc/self/exe", (char *const *)arguments);
	child_fail("/proc/self/exe");
}

static int read_port(int fd, uint16_t *port, struct fm_error *error)
{
	char text[16] = "";
	size_t used = 0;
	uint64_t deadline_ns = fm_now_ns() + START_MS * 1000000ull;

	while (used < sizeof(text) - 1 && !strchr(text, '\n')) {
		struct pollfd entry = {.fd = fd, .events = POLLIN};
		int64_t left_ms = ((int64_t)deadline_ns - (int64_t)fm_now_ns()) / 1000000;
		ssize_t got;

		if (left_ms <= 0)
			return fm_error_set(error, -ETIMEDOUT, FM_REASON_TIMEOUT,
					    "the far end on this machine did not start within %d s", START_MS / 1000);
		if (poll(&entry, 1, (int)left_ms) <= 0)
			continue;
		got = read(fd, text + used, sizeof(text) - 1 - used);
		if (got <= 0)
			return fm_error_set(error, -ECHILD, FM_REASON_ENVIRONMENT,
					    "the far end on this machine ended at once; its message stands above");
		used += (size_t)got;
	}
	*port = (uint16_t)strtoul(text, NULL, 10);
	return 0;
}

int fm_local_start(const struct fm_token *token, struct fm_local *local, struct fm_error *error)
{
	int token_pipe[2] = {-1, -1}, ready_pipe[2] = {-1, -1};
	char token_path[32], ready_text[16];
	size_t length = strlen(token->text);
	pid_t parent = getpid();
	int code;

	/* Not close-on-exec: the child's ends are inherited on purpose, ours are closed in it by hand below. */
	if (pipe(token_pipe) != 0 || pipe(ready_pipe) != 0) {
		code = fm_error_set(error, -errno, FM_REASON_ENVIRONMENT, "cannot make a pipe: %s", strerror(errno));
		goto out;
	}
	snprintf(token_path, sizeof(token_path), "/dev/fd/%d", token_pipe[0]);
	snprintf(ready_text, sizeof(ready_text), "%d", ready_pipe[1]);
	/* Far below a pipe's capacity, so this cannot block. */
	if (write(token_pipe[1], token->text, length) != (ssize_t)length) {
		code = fm_error_set(error, -EIO, FM_REASON_ENVIRONMENT, "cannot hand the token to the far end");
		goto out;
	}
	local->pid = fork();
	if (local->pid == 0) {
		close(token_pipe[1]);
		close(ready_pipe[0]);
		child_exec(parent, token_path, ready_text);
	}
	if (local->pid < 0) {
		local->pid = 0;
		code = fm_error_set(error, -errno, FM_REASON_ENVIRONMENT, "cannot start the far end: %s",
				    strerror(errno));
		goto out;
	}
	/* The child reads the token to its end, which comes when the last writer is gone. */
	close(token_pipe[1]);
	close(ready_pipe[1]);
	token_pipe[1] = ready_pipe[1] = -1;
	code = read_port(ready_pipe[0], &local->port, error);
	if (code)
		fm_local_stop(local, true);
out:
	for (int i = 0; i < 2; i++) {
		if (token_pipe[i] >= 0)
			close(token_pipe[i]);
		if (ready_pipe[i] >= 0)
			close(ready_pipe[i]);
	}
	return code;
}

/* Waits so long for its end: true once there. false at once where it is stopped (SIGSTOP) and so cannot end. */
static bool local_ended(pid_t pid, uint64_t limit_ns)
{
	const struct timespec nap = {0, 2000000};
	uint64_t deadline_ns = fm_now_ns() + limit_ns;

	for (;;) {
		int status = 0;
		pid_t got = waitpid(pid, &status, WNOHANG | WUNTRACED);

		if (got != 0)
			return got < 0 || !WIFSTOPPED(status);
		if (fm_now_ns() >= deadline_ns)
			return false;
		nanosleep(&nap, NULL);
	}
}

void fm_local_stop(struct fm_local *local, bool now)
{
	if (local->pid == 0)
		return;
	if (now || !local_ended(local->pid, END_NS)) {
		kill(local->pid, SIGTERM);
		if (!local_ended(local->pid, TERM_NS)) {
			kill(local->pid, SIGKILL);
			waitpid(local->pid, NULL, 0);
		}
	}
	local->pid = 0;
}
