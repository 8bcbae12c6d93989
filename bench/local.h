/*
 * local.h - the far end of pair --local: a second process of this program on this machine.
 */
#ifndef FM_LOCAL_H
#define FM_LOCAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/token.h"

struct fm_local {
	pid_t pid;     /* 0: none */
	uint16_t port; /* on 127.0.0.1 */
};

/*
 * Starts 'serve --once' on a free port of the loopback device with this token and waits until it listens. It dies with
 * this process. Must be called before any thread is started.
 */
int fm_local_start(const struct fm_token *token, struct fm_local *local, struct fm_error *error);
/*
 * Ends it. After a session it ends by itself and has 3 s for that, unless now, or where it is stopped (SIGSTOP); then
 * SIGTERM, and after 1 s more, SIGKILL. Accepts one that was never started.
 */
void fm_local_stop(struct fm_local *local, bool now);

#endif
