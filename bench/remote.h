/*
 * remote.h - fabmark on another node, started over ssh and gone when we are.
 *
 * The program there gets the token as the first line of its standard input and ends when that input ends, which is what
 * happens however this process dies: ssh, sshd or the kernel closes it.
 */
#ifndef FM_REMOTE_H
#define FM_REMOTE_H

#include <jansson.h>

#include "bench/config.h"
#include "common/process.h"
#include "common/token.h"

/* One end of --ssh: NAME as ssh knows it, ADDRESS as the other node does. */
struct fm_remote_host {
	char name[FM_TEXT_MAX], address[FM_TEXT_MAX];
};

/* How the nodes are reached; text of the command line. */
struct fm_remote_way {
	const char *command; /* --ssh-command */
	const char *program; /* --remote-program; "" ours, or the one in PATH */
	double connect_timeout_s;
	int interrupt_fd; /* readable when the user wants out; -1 none */
};

struct fm_remote {
	struct fm_process process;
	char name[FM_TEXT_MAX]; /* of the host, for messages */
	const char *command;	/* --ssh-command, for messages too */
	bool ours;		/* fabmark runs there: what it says is its own words */
};

/*
 * "NAME[=ADDRESS]"; without an address the host name that ssh's configuration gives NAME (ssh -G), else NAME without
 * its user. -EINVAL (usage): empty, or one that ssh would take for an option.
 */
int fm_remote_host(const char *text, const struct fm_remote_way *way, struct fm_remote_host *host,
		   struct fm_error *error);

/*
 * Starts fabmark there with these arguments, hands it the token, and checks that its version is ours. live: its errors
 * are to be read from remote->process.err as they come. Errors name the host, the cause and the next step: unreachable
 * (no such host, no answer, no sshd), environment (no ssh here, not let in, no fabmark there), version, timeout,
 * interrupted. On failure nothing is left running.
 */
int fm_remote_start(const char *name, const struct fm_remote_way *way, const char *const *arguments, bool live,
		    const struct fm_token *token, struct fm_remote *remote, struct fm_error *error);

/* The same with 'serve --once', at this port or, where it is taken, another: *port, once it listens. */
int fm_remote_serve(const char *name, const struct fm_remote_way *way, uint64_t wish, const struct fm_token *token,
		    struct fm_remote *remote, uint16_t *port, struct fm_error *error);

/* Why it is gone, from its exit status and what it said last; "" unless it failed. Waits for its end a moment. */
int fm_remote_explain(struct fm_remote *remote, struct fm_error *error);

/* Ends it, now without waiting for it to end by itself; accepts one that was never started. */
void fm_remote_stop(struct fm_remote *remote, bool now);

#endif
