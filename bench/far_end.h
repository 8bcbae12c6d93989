/*
 * far_end.h - the other end of a pair: a host that serves already, or one that is started and ended by us.
 */
#ifndef FM_FAR_END_H
#define FM_FAR_END_H

#include "bench/local.h"
#include "bench/remote.h"

struct fm_far_end {
	const char *address; /* what to connect to */
	uint16_t port;
	struct fm_local local;	    /* --local */
	struct fm_remote remote;    /* --ssh */
	struct fm_remote_host host; /* of it */
};

/*
 * Finds the token of a server that runs already, at host; or makes one, and starts the far end with it. far: zeroed,
 * and stopped in any case; must stay where it is. -EINTR: interrupt_fd is readable. Must be called before any thread is
 * started.
 */
int fm_far_end_start(const struct fm_pair_where *where, const char *host, int interrupt_fd, struct fm_token *token,
		     struct fm_far_end *far, struct fm_error *error);
/* now: it has not met us, or was lost, so it does not end by itself. */
void fm_far_end_stop(struct fm_far_end *far, bool now);

#endif
