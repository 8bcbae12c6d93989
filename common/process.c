/*
 * process.c - spawns, reads and ends another program.
 */
#include "common/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

#define TERM_NS	      1000000000ull /* to obey SIGTERM */
#define NAP_NS	      2000000
#define COMPLAINT_MAX 4096

/* The child's ends of the pipes, and ours. */
struct ends {
	int child[3], ours[3];
};

static void ends_close(int fds[3])
{
	for (int i = 0; i < 3; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

static int ends_pipe(struct ends *ends, int which)
{
	int fds[2];
	bool to_child = which == STDIN_FILENO;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return -errno;
	ends->child[which] = fds[!to_child];
	ends->ours[which] = fds[to_child];
	return 0;
}

static int ends_make(struct ends *ends, bool live)
{
	int code = ends_pipe(ends, STDIN_FILENO);

	if (code == 0)
		code = ends_pipe(ends, STDOUT_FILENO);
	if (code == 0 && live)
		code = ends_pipe(ends, STDERR_FILENO);
	if (code || live)
		return code;
	ends->ours[STDERR_FILENO] = memfd_create("fabmark-errors", MFD_CLOEXEC);
	if (ends->ours[STDERR_FILENO] < 0)
		return -errno;
	/* The child's own copy: the same file and offset, appended to by all of its children too. */
	ends->child[STDERR_FILENO] = fcntl(ends->ours[STDERR_FILENO], F_DUPFD_CLOEXEC, 3);
	return ends->child[STDERR_FILENO] < 0 ? -errno : 0;
}

/* 0 or an errno. */
static int spawn(const char *const *argv, const struct ends *ends, bool group, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t held, plain;
	int number;

	sigemptyset(&held);
	sigaddset(&held, SIGINT);
	sigaddset(&held, SIGHUP);
	sigemptyset(&plain);
	sigaddset(&plain, SIGPIPE);
	sigaddset(&plain, SIGTERM);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	for (int i = 0; i < 3; i++)
		posix_spawn_file_actions_adddup2(&actions, ends->child[i], i);
	posix_spawnattr_setsigmask(&attributes, &held);
	posix_spawnattr_setsigdefault(&attributes, &plain);
	posix_spawnattr_setflags(&attributes, (short)(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						      (group ? POSIX_SPAWN_SETPGROUP : 0)));
	number = posix_spawnp(pid, argv[0], &actions, &attributes, (char *const *)argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return number;
}

int fm_process_start(const char *const *argv, bool live, struct fm_process *process, struct fm_error *error)
{
	struct ends ends = {{-1, -1, -1}, {-1, -1, -1}};
	/* With a terminal it stays in our group, or it could not ask for a passphrase there. */
	const bool group = !isatty(STDIN_FILENO);
	pid_t pid = 0;
	int number = -ends_make(&ends, live);

	*process = (struct fm_process){.in = -1, .out = -1, .err = -1, .status = -1};
	if (number == 0)
		number = spawn(argv, &ends, group, &pid);
	ends_close(ends.child);
	if (number) {
		ends_close(ends.ours);
		return fm_error_set(error, -number, FM_REASON_ENVIRONMENT, "cannot start '%.100s': %s", argv[0],
				    number == ENOENT ? "there is no such program in PATH" : strerror(number));
	}
	process->pid = pid;
	process->group = group;
	process->in = ends.ours[STDIN_FILENO];
	process->out = ends.ours[STDOUT_FILENO];
	process->err = ends.ours[STDERR_FILENO];
	return 0;
}

/* Byte by byte: what follows the line is not ours to take. */
int fm_process_line(struct fm_process *process, uint64_t deadline_ns, int interrupt_fd, char *text, size_t bytes)
{
	size_t used = 0;

	for (;;) {
		struct pollfd fds[2] = {{process->out, POLLIN, 0}, {interrupt_fd, POLLIN, 0}};
		uint64_t now = fm_now_ns();
		char byte;
		ssize_t got;

		if (now >= deadline_ns)
			return -ETIMEDOUT;
		if (poll(fds, 2, (int)((deadline_ns - now) / 1000000) + 1) <= 0)
			continue;
		if (fds[1].revents)
			return -EINTR;
		got = read(process->out, &byte, 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -EPIPE;
		if (byte == '\n')
			break;
		if (used + 1 < bytes)
			text[used++] = byte;
	}
	text[used] = '\0';
	return 0;
}

bool fm_process_ended(struct fm_process *process, uint64_t wait_ns)
{
	const struct timespec nap = {0, NAP_NS};
	uint64_t deadline_ns = fm_now_ns() + wait_ns;

	while (process->pid) {
		int status;
		pid_t got = waitpid(process->pid, &status, WNOHANG);

		if (got != 0) {
			process->status = got > 0 ? status : -1;
			process->pid = 0;
		} else if (fm_now_ns() >= deadline_ns) {
			return false;
		} else {
			nanosleep(&nap, NULL);
		}
	}
	return true;
}

const char *fm_process_complaint(const struct fm_process *process, char *text, size_t bytes)
{
	char tail[COMPLAINT_MAX + 1], *line;
	off_t end = process->err >= 0 ? lseek(process->err, 0, SEEK_END) : -1;
	ssize_t got = 0;

	text[0] = '\0';
	if (end > 0) {
		got = pread(process->err, tail, COMPLAINT_MAX, end > COMPLAINT_MAX ? end - COMPLAINT_MAX : 0);
	} else if (end < 0 && process->err >= 0) {
		/* A pipe: what is there, and no waiting for more. */
		fcntl(process->err, F_SETFL, O_NONBLOCK);
		got = read(process->err, tail, COMPLAINT_MAX);
	}
	if (got <= 0)
		return text;
	while (got > 0 && strchr(" \r\n", tail[got - 1]))
		got--;
	tail[got] = '\0';
	line = strrchr(tail, '\n');
	line = line ? line + 1 : tail;
	for (char *at = line; *at; at++)
		if ((unsigned char)*at < ' ' || (unsigned char)*at > '~')
			*at = *at == '\r' ? ' ' : '?';
	snprintf(text, bytes, "%s", line);
	return text;
}

void fm_process_stop(struct fm_process *process, uint64_t grace_ns)
{
	int *const fds[] = {&process->out, &process->err};

	if (process->in >= 0)
		close(process->in);
	process->in = -1;
	if (process->pid && !fm_process_ended(process, grace_ns)) {
		const pid_t whom = process->group ? -process->pid : process->pid;

		kill(whom, SIGTERM);
		if (!fm_process_ended(process, TERM_NS)) {
			kill(whom, SIGKILL);
			fm_process_ended(process, UINT64_MAX / 2);
		}
	}
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}
