/*
 * serve.h - the responder's half of a session.
 */
#ifndef FM_SERVE_H
#define FM_SERVE_H

#include "bench/session.h"
#include "common/clock.h"
#include "transports/registry.h"

struct fm_server {
	struct fm_session session;
	struct fm_clock clock;
	const struct fm_registry *registry;
	char node[128];
	void (*say)(void *context, const char *sentence); /* serve's log line on stderr; never NULL */
	void *context;
};

/*
 * Serves the client of server->session.control until it says goodbye or is lost: 0 it ended as it should; else why not,
 * in words. The control connection is closed afterwards; the door stays open.
 */
int fm_server_client(struct fm_server *server, struct fm_error *error);

#endif
