/*
 * session.h - the conversation of two nodes: typed messages, heartbeats, deadlines and signals, for both sides alike.
 *
 * The control thread spends its life in fm_session_wait. A heartbeat goes out each second; a peer that was silent for
 * peer_timeout_ns is lost, whatever the data path says.
 */
#ifndef FM_SESSION_H
#define FM_SESSION_H

#include <stdbool.h>

#include "common/control.h"
#include "common/door.h"

enum { FM_PROTOCOL = 1 };
#define FM_PHASE_NS	15000000000ull /* deadline of a phase without measuring in it */
#define FM_TEARDOWN_NS	5000000000ull  /* after that, what hangs is left behind */
#define FM_GIVE_UP_NS	2000000000ull  /* the same of a point that failed, whose row waits for it, */
#define FM_LAST_NS	500000000ull   /* and of one after which nothing can be measured: the kernel closes for us */
#define FM_PEER_TIMEOUT 3.5	       /* seconds of silence */

struct fm_session {
	struct fm_control *control;
	struct fm_door *door; /* the server's; NULL on the client */
	int signal_fd;	      /* signalfd of SIGINT, SIGTERM, SIGHUP; -1 none */
	int wake_fd;	      /* eventfd that workers write to */
	uint64_t peer_timeout_ns;
	uint64_t heartbeat_ns;							 /* when the next one is due */
	int signal;								 /* the signal that came, or 0 */
	char peer[128];								 /* the other node's name */
	void (*visitor)(struct fm_session *session, struct fm_control *control); /* server: a second client came */
	void (*pulse)(void); /* with each heartbeat: whoever started us wants one too; NULL: nobody does */
};

/* Makes wake_fd and starts the heartbeat; control, door, signal_fd are the caller's until fm_session_end. */
int fm_session_begin(struct fm_session *session, struct fm_error *error);
/* Closes the control connection and wake_fd; not the door and not signal_fd. */
void fm_session_end(struct fm_session *session);

/* A heartbeat if one is due: for whoever reckons or writes so long that the peer would think us dead. */
void fm_session_beat(struct fm_session *session);

/* Reads the signal that interrupted something, if one came: -EINTR with the sentence, and session->signal; else 0. */
int fm_session_signal(struct fm_session *session, struct fm_error *error);

/* "SIGINT" of one of the signals that end a run. */
const char *fm_signal_name(int number);

/* Sends one message and drops the reference; NULL (no memory) is an error. */
int fm_session_send(struct fm_session *session, json_t *message, struct fm_error *error);

enum fm_event { FM_EVENT_MESSAGE, FM_EVENT_WAKE, FM_EVENT_DEADLINE };

/*
 * Waits for a message (a new reference in *message), a worker or the deadline, whichever comes first, and returns
 * which. Negative: -EINTR a signal (reason interrupted), -ETIMEDOUT silence, -ECONNRESET and others: the peer is lost,
 * or what came was no message. Heartbeats are sent and swallowed here. Without a control connection (a server between
 * clients) it waits for the other things.
 */
int fm_session_wait(struct fm_session *session, uint64_t deadline_ns, json_t **message, struct fm_error *error);

/*
 * The next message, which must be of this type: 0 and a new reference. A "failed" message instead is -EREMOTEIO with
 * the peer's sentence and reason; "bye" is -ESHUTDOWN, another type -EPROTO; the deadline is -ETIMEDOUT naming what was
 * waited for.
 */
int fm_session_expect(struct fm_session *session, const char *type, uint64_t deadline_ns, json_t **message,
		      struct fm_error *error);

/* Is it a message of this type? */
bool fm_message_is(const json_t *message, const char *type);
/* {"type": "failed", "reason": ..., "text": ...}; a new reference. */
json_t *fm_message_failed(const struct fm_error *error);
/*
 * Copies a peer's text: as much as fits and is whole UTF-8, control characters replaced. What it says is printed on
 * terminals, in logs and in CSV.
 */
void fm_text_take(char *text, size_t bytes, const char *from);
/* Turns a "failed" message into an error with context; returns error->code. */
int fm_message_explain(const json_t *message, const char *peer, struct fm_error *error);

#endif
