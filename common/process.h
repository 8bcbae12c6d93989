/*
 * process.h - another program, run without a shell: what it reads and writes goes through pipes.
 */
#ifndef FM_PROCESS_H
#define FM_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"

struct fm_process {
	pid_t pid;  /* 0: none, or gone and status has how */
	bool group; /* it leads a process group of its own: what it starts ends with it */
	int in;	    /* its standard input, to write to; -1 closed */
	int out;    /* its standard output, to read from; -1 closed */
	int err;    /* its standard error, to read from: a pipe, or a file in memory that never fills up; -1 closed */
	int status; /* as waitpid(2) has it, once pid is 0; -1 unknown */
};

/*
 * Starts argv[0], found in PATH. live: errors come by a pipe as they are written, else they are kept until somebody
 * reads them. An interrupt of the terminal (SIGINT) and its end (SIGHUP) are held back from the program: it is told by
 * us, in order. Where our standard input is no terminal it leads a process group. It sees no other descriptor of ours.
 * Errors of reason environment name the program: -ENOENT not installed; the errno of pipe and spawn.
 */
int fm_process_start(const char *const *argv, bool live, struct fm_process *process, struct fm_error *error);

/*
 * The next line of its standard output, without the line feed; what is too long is cut. -ETIMEDOUT, -EINTR
 * (interrupt_fd is readable; -1: there is none), -EPIPE: it closed its output before a line was whole. No sentence:
 * only the caller knows what was to come.
 */
int fm_process_line(struct fm_process *process, uint64_t deadline_ns, int interrupt_fd, char *text, size_t bytes);

/* Is it gone? Waits so long for it. The status is then set. */
bool fm_process_ended(struct fm_process *process, uint64_t wait_ns);

/*
 * The last line of what it wrote to standard error; of a live one, of what nobody has read yet. "" none. Control
 * characters become '?'.
 */
const char *fm_process_complaint(const struct fm_process *process, char *text, size_t bytes);

/* Closes its standard input, which tells it to end; after grace_ns SIGTERM, a second later SIGKILL. Frees all. */
void fm_process_stop(struct fm_process *process, uint64_t grace_ns);

#endif
