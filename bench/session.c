/*
 * session.c - waiting, and what happens meanwhile.
 */
#include "bench/session.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"

#define HEARTBEAT_NS	  1000000000ull
#define HEARTBEATS_A_TURN 16

int fm_session_begin(struct fm_session *session, struct fm_error *error)
{
	session->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (session->wake_fd < 0)
		return fm_error_set(error, -errno, FM_REASON_ENVIRONMENT, "cannot make an eventfd: %s",
				    strerror(errno));
	session->heartbeat_ns = fm_now_ns() + HEARTBEAT_NS;
	return 0;
}

void fm_session_end(struct fm_session *session)
{
	fm_control_close(session->control);
	session->control = NULL;
	if (session->wake_fd >= 0)
		close(session->wake_fd);
	session->wake_fd = -1;
}

int fm_session_send(struct fm_session *session, json_t *message, struct fm_error *error)
{
	int code;

	if (!message)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for a message to %s",
				    session->peer);
	code = fm_control_send(session->control, message, fm_now_ns() + session->peer_timeout_ns, error);
	json_decref(message);
	return code;
}

bool fm_message_is(const json_t *message, const char *type)
{
	const char *text = json_string_value(json_object_get(message, "type"));

	return text && strcmp(text, type) == 0;
}

json_t *fm_message_failed(const struct fm_error *error)
{
	char text[sizeof(error->text)];
	size_t i = 0;

	/* What the user typed may stand in it, in any encoding; JSON takes UTF-8 only. */
	for (; error->text[i]; i++)
		text[i] = (char)((signed char)error->text[i] < 0 ? '?' : error->text[i]);
	text[i] = '\0';
	return json_pack("{s:s, s:s, s:s}", "type", "failed", "reason", fm_reason_name(error->reason), "text", text);
}

void fm_text_take(char *text, size_t bytes, const char *from)
{
	size_t used = 0;

	/* jansson has checked that it is UTF-8: the first byte of a character tells its length. */
	for (size_t i = 0, length; from[i]; i += length) {
		unsigned char first = (unsigned char)from[i];

		length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
		if (used + length >= bytes || strnlen(from + i, length) < length)
			break;
		memcpy(text + used, from + i, length);
		if (first < 0x20 || first == 0x7f)
			text[used] = '?';
		used += length;
	}
	text[used] = '\0';
}

int fm_message_explain(const json_t *message, const char *peer, struct fm_error *error)
{
	const char *reason = json_string_value(json_object_get(message, "reason"));
	const char *from = json_string_value(json_object_get(message, "text"));
	char text[400];

	fm_text_take(text, sizeof(text), from ? from : "it failed, and gave no cause");
	return fm_error_set(error, -EREMOTEIO, reason ? fm_reason_find(reason) : FM_REASON_PEER_FAILED, "%s says: %s",
			    peer, text);
}

/* The messages that every wait swallows: 0 it was one, 1 it is the caller's. */
static int session_swallow(json_t *message)
{
	if (!fm_message_is(message, "alive"))
		return 1;
	json_decref(message);
	return 0;
}

/*
 * One message that is already here: 1 with it, 0 none, or too many heartbeats: whoever floods us with them must not
 * keep us from signals and deadlines.
 */
static int session_receive(struct fm_session *session, json_t **message, struct fm_error *error)
{
	for (int i = 0; i < HEARTBEATS_A_TURN; i++) {
		int code = fm_control_receive(session->control, message, error);

		if (code == -EAGAIN)
			return 0;
		if (code)
			return fm_error_prefix(error, "lost %s: ", session->peer);
		if (session_swallow(*message))
			return 1;
	}
	return 0;
}

/* A heartbeat is due: the next one is a second later. */
static void session_pulse(struct fm_session *session)
{
	session->heartbeat_ns = fm_now_ns() + HEARTBEAT_NS;
	if (session->pulse)
		session->pulse();
}

void fm_session_beat(struct fm_session *session)
{
	struct fm_error ignored;

	/* A failure shows again in the next wait. */
	if (!session->control || fm_now_ns() < session->heartbeat_ns)
		return;
	session_pulse(session);
	fm_session_send(session, json_pack("{s:s}", "type", "alive"), &ignored);
}

/* Heartbeat out, silence noticed. */
static int session_alive(struct fm_session *session, struct fm_error *error)
{
	uint64_t now = fm_now_ns(), heard = fm_control_heard_ns(session->control);

	if (now >= session->heartbeat_ns) {
		int code;

		session_pulse(session);
		code = fm_session_send(session, json_pack("{s:s}", "type", "alive"), error);
		if (code)
			return fm_error_prefix(error, "lost %s: ", session->peer);
	}
	if (now > heard && now - heard > session->peer_timeout_ns)
		return fm_error_set(error, -ETIMEDOUT, FM_REASON_PEER_LOST,
				    "lost %s: not a sign of life for %.1f s; is the node up, and the link to it?",
				    session->peer, (double)session->peer_timeout_ns / 1e9);
	return 0;
}

const char *fm_signal_name(int number)
{
	return number == SIGINT ? "SIGINT" : number == SIGTERM ? "SIGTERM" : "SIGHUP";
}

int fm_session_signal(struct fm_session *session, struct fm_error *error)
{
	struct signalfd_siginfo info;

	if (read(session->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 0;
	session->signal = (int)info.ssi_signo;
	return fm_error_set(error, -EINTR, FM_REASON_INTERRUPTED, "interrupted by %s", fm_signal_name(session->signal));
}

/* What poll(2) waits for; the index of each source, or -1. */
struct wait_set {
	struct pollfd fds[FM_DOOR_POLL_MAX + 3];
	uint32_t count;
	int control, wake, signal;
};

static int wait_add(struct wait_set *set, int fd, short events)
{
	if (fd < 0)
		return -1;
	set->fds[set->count] = (struct pollfd){.fd = fd, .events = events};
	return (int)set->count++;
}

static void session_poll(struct fm_session *session, struct wait_set *set, uint64_t deadline_ns)
{
	uint64_t now = fm_now_ns(), until = deadline_ns;
	uint64_t door_ns = session->door ? fm_door_deadline_ns(session->door) : UINT64_MAX;
	struct timespec patience;

	*set = (struct wait_set){.count = 0};
	set->control = -1;
	if (session->control) {
		set->control = wait_add(set, fm_control_fd(session->control), fm_control_events(session->control));
		if (session->heartbeat_ns < until)
			until = session->heartbeat_ns;
	}
	set->wake = wait_add(set, session->wake_fd, POLLIN);
	set->signal = wait_add(set, session->signal_fd, POLLIN);
	if (session->door)
		set->count += fm_door_pollfds(session->door, set->fds + set->count);
	if (door_ns < until)
		until = door_ns;
	until = until > now ? until - now : 0;
	patience = (struct timespec){(time_t)(until / 1000000000u), (long)(until % 1000000000u)};
	/* An interrupted or failed poll is a turn in which nothing came. */
	if (ppoll(set->fds, set->count, &patience, NULL) < 0)
		for (uint32_t i = 0; i < set->count; i++)
			set->fds[i].revents = 0;
}

/* Another client while one is being served: the visitor hook tells it so. */
static void session_door(struct fm_session *session)
{
	struct fm_control *control;

	fm_door_work(session->door);
	if (!session->visitor)
		return;
	while (fm_door_next(session->door, &control) == 0)
		session->visitor(session, control);
}

int fm_session_wait(struct fm_session *session, uint64_t deadline_ns, json_t **message, struct fm_error *error)
{
	for (;;) {
		struct wait_set set;
		uint64_t drained;
		int code;

		if (session->control) {
			code = session_receive(session, message, error);
			if (code)
				return code < 0 ? code : FM_EVENT_MESSAGE;
			code = session_alive(session, error);
			if (code)
				return code;
		}
		session_poll(session, &set, deadline_ns);
		if (set.signal >= 0 && set.fds[set.signal].revents) {
			code = fm_session_signal(session, error);
			if (code)
				return code;
		}
		if (session->door)
			session_door(session);
		if (set.wake >= 0 && set.fds[set.wake].revents &&
		    read(session->wake_fd, &drained, sizeof(drained)) == (ssize_t)sizeof(drained))
			return FM_EVENT_WAKE;
		if (fm_now_ns() >= deadline_ns)
			return FM_EVENT_DEADLINE;
		if (!session->control && session->door)
			return FM_EVENT_WAKE;
	}
}

int fm_session_expect(struct fm_session *session, const char *type, uint64_t deadline_ns, json_t **message,
		      struct fm_error *error)
{
	for (;;) {
		json_t *got = NULL;
		int code = fm_session_wait(session, deadline_ns, &got, error);

		if (code < 0)
			return code;
		if (code == FM_EVENT_DEADLINE)
			return fm_error_set(error, -ETIMEDOUT, FM_REASON_TIMEOUT, "%s did not send '%s' in time",
					    session->peer, type);
		if (code == FM_EVENT_WAKE)
			continue;
		if (fm_message_is(got, type)) {
			*message = got;
			return 0;
		}
		if (fm_message_is(got, "failed"))
			code = fm_message_explain(got, session->peer, error);
		else if (fm_message_is(got, "bye"))
			code = fm_error_set(error, -ESHUTDOWN, FM_REASON_PEER_FAILED, "%s took its leave",
					    session->peer);
		else
			code = fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "%s sent '%.40s' where '%s' belongs",
					    session->peer, json_string_value(json_object_get(got, "type")), type);
		json_decref(got);
		return code;
	}
}
