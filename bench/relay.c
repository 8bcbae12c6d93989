/*
 * relay.c - starts both ends over ssh and writes down what the measuring one tells.
 */
#include "bench/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/command.h"
#include "bench/session.h"
#include "common/clock.h"

enum { ARGUMENTS_MAX = 128, TURN_MS = 200, LINE_MAX_BYTES = 64 << 20 };
#define LEAVE_NS 12000000000ull /* for the measuring end to leave, once it is told to */
#define SILENCE	 1.5		/* times --peer-timeout: it gives its own peer up first, and says which one it was */
#define MEET_S	 45		/* until both ends have met, beyond the connect timeout */

static void say(const struct fm_relay *relay, const char *before, const char *text, const char *after)
{
	if (!relay->config->output.quiet)
		fprintf(stderr, "%s%s%s\n", before, text, after);
}

/* ---- what comes ---- */

static int take_run_id(struct fm_relay *relay, const json_t *value, struct fm_error *error)
{
	const char *text = json_string_value(value);
	int code;

	/* It becomes a folder's name here. */
	if (!text || !*text || strlen(text) >= sizeof(relay->run_id) || *text == '.' || strchr(text, '/') ||
	    relay->opened)
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "a run id came that cannot be");
	snprintf(relay->run_id, sizeof(relay->run_id), "%s", text);
	code = fm_outputs_open(&relay->output, &relay->config->output, relay->out_given, relay->run_id, error);
	relay->opened = code == 0;
	if (relay->output.warning[0])
		say(relay, "warning: ", relay->output.warning, "");
	return code;
}

/* The key of a row's point in relay->due. */
static const char *point_of(const json_t *row)
{
	const char *point = json_string_value(json_object_get(row, "point_id"));

	return point ? point : "";
}

static int take_due(struct fm_relay *relay, json_t *value, struct fm_error *error)
{
	int code = fm_stream_row(value, &relay->row, error);

	if (code == 0 && json_object_set(relay->due, point_of(value), value))
		code = fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for what is to be measured");
	return code;
}

static int take_row(struct fm_relay *relay, const json_t *value, struct fm_error *error)
{
	int code = fm_stream_row(value, &relay->row, error);

	json_object_del(relay->due, point_of(value));
	if (code == 0)
		code = fm_outputs_row(&relay->output, &relay->row.record, error);
	if (code == 0 && relay->compare)
		fm_compare_row(relay->compare, &relay->row.record);
	return code ? code : fm_record_check(&relay->row.record, error);
}

static int take_document(struct fm_relay *relay, json_t *value, struct fm_error *error)
{
	json_object_set(value, "arguments", relay->arguments);
	json_object_set(value, "options", (json_t *)relay->options);
	json_object_set_new(value, "host", json_string(relay->second));
	if (relay->compare)
		json_object_set_new(value, "again", json_string(relay->compare->run_id));
	return fm_folder_write(&relay->output.folder, "run.json", value, error);
}

static int take_line(struct fm_relay *relay, const char *text, size_t length, struct fm_error *error)
{
	json_t *line = json_loadb(text, length, 0, NULL), *value;
	const char *sentence;
	int code = 0;

	relay->heard_ns = fm_now_ns();
	relay->heard = true;
	if ((value = json_object_get(line, "run_id")))
		code = take_run_id(relay, value, error);
	else if (json_is_true(json_object_get(line, "alive")))
		code = 0;
	else if (line && !relay->opened)
		code = fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "a line came before the run id");
	else if ((value = json_object_get(line, "row")))
		code = take_row(relay, value, error);
	else if ((value = json_object_get(line, "due")))
		code = take_due(relay, value, error);
	else if ((value = json_object_get(line, "document")))
		code = take_document(relay, value, error);
	else if ((sentence = json_string_value(json_object_get(line, "sentence"))))
		snprintf(relay->sentence, sizeof(relay->sentence), "%s", sentence);
	else
		code = fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "'%.*s' came where a result belongs",
				    (int)(length < 80 ? length : 80), text);
	json_decref(line);
	return code ? fm_error_prefix(error, "%.80s: ", relay->drive.name) : 0;
}

/* Whole lines of what is there. 1: it may have more; 0: not now; -EPIPE: its output has ended. */
static int take_output(struct fm_relay *relay)
{
	char *newline, *from;
	ssize_t got;

	if (relay->capacity - relay->used < 65536) {
		char *grown =
			relay->capacity < LINE_MAX_BYTES ? realloc(relay->line, 2 * relay->capacity + 65536) : NULL;

		if (!grown)
			return -EPIPE;
		relay->line = grown;
		relay->capacity = 2 * relay->capacity + 65536;
	}
	got = read(relay->drive.process.out, relay->line + relay->used, relay->capacity - relay->used);
	if (got <= 0)
		return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -EPIPE;
	relay->used += (size_t)got;
	for (from = relay->line; (newline = memchr(from, '\n', relay->used - (size_t)(from - relay->line)));
	     from = newline + 1)
		/* The first failure ends the run; what else comes is still read, so that nobody blocks. */
		if (!relay->failure.code)
			take_line(relay, from, (size_t)(newline - from), &relay->failure);
	relay->used -= (size_t)(from - relay->line);
	memmove(relay->line, from, relay->used);
	return 1;
}

/*
 * What the measuring end says to people goes through as it comes. Once we have a signal its last words are about the
 * one that ssh's end gave it, which nobody sent.
 */
static void take_errors(const struct fm_relay *relay)
{
	char text[4096];
	ssize_t got;

	while ((got = read(relay->drive.process.err, text, sizeof(text))) > 0)
		if (!relay->signal && write(STDERR_FILENO, text, (size_t)got) != got)
			return;
}

static bool take_signal(struct fm_relay *relay)
{
	struct signalfd_siginfo info;

	if (relay->signal || read(relay->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return false;
	relay->signal = (int)info.ssi_signo;
	return true;
}

/* ---- the run ---- */

/* Tells the measuring end to leave, once; it then has until *deadline_ns. */
static void dismiss(struct fm_relay *relay, uint64_t *deadline_ns)
{
	if (relay->drive.process.in < 0)
		return;
	close(relay->drive.process.in);
	relay->drive.process.in = -1;
	*deadline_ns = fm_now_ns() + LEAVE_NS;
}

/* Silence for so long means that the measuring end, or the way to it, is gone. */
static uint64_t silence_ns(const struct fm_relay *relay)
{
	const struct fm_pair_where *where = &relay->config->where;
	double seconds = where->peer_timeout_s * SILENCE;

	/* It says nothing until it has met the serving end. */
	if (!relay->heard)
		seconds = fmax(seconds, where->connect_timeout_s + MEET_S);
	return (uint64_t)(seconds * 1e9);
}

static bool fell_silent(struct fm_relay *relay)
{
	uint64_t limit_ns = silence_ns(relay);

	if (relay->signal || relay->failure.code || fm_now_ns() - relay->heard_ns < limit_ns)
		return false;
	relay->silent = true;
	fm_error_set(&relay->failure, -ETIMEDOUT, FM_REASON_PEER_LOST,
		     "lost %.80s: not a sign of life for %.1f s; is the node up, and the link to it? The rows that it "
		     "sent are kept",
		     relay->drive.name, (double)limit_ns / 1e9);
	return true;
}

static void follow(struct fm_relay *relay)
{
	struct fm_process *process = &relay->drive.process;
	uint64_t deadline_ns = UINT64_MAX;
	bool ended = false, output = true;

	relay->heard_ns = fm_now_ns();
	fcntl(process->out, F_SETFL, O_NONBLOCK);
	fcntl(process->err, F_SETFL, O_NONBLOCK);
	while (!ended && fm_now_ns() < deadline_ns) {
		struct pollfd fds[] = {{output ? process->out : -1, POLLIN, 0},
				       {process->err, POLLIN, 0},
				       {relay->signal ? -1 : relay->signal_fd, POLLIN, 0}};

		poll(fds, sizeof(fds) / sizeof(fds[0]), TURN_MS);
		/* Looked at first: what it wrote before its end is there by then. */
		ended = fm_process_ended(process, 0);
		take_errors(relay);
		for (int more = 1; output && more > 0;) {
			more = take_output(relay);
			output = more >= 0;
		}
		/* There is no telling it to leave. */
		if (!ended && fell_silent(relay))
			return;
		if (take_signal(relay) || relay->failure.code)
			dismiss(relay, &deadline_ns);
		/* An error channel at its end is always readable. */
		if (!ended && !output)
			ended = fm_process_ended(process, TURN_MS * 1000000ull);
	}
}

static int drive_start(struct fm_relay *relay, const struct fm_remote_way *way, const struct fm_remote_host *to,
		       const struct fm_token *token, uint16_t port, struct fm_error *error)
{
	const struct fm_pair_output *output = &relay->config->output;
	struct fm_remote_host from;
	char port_text[16];
	const char *arguments[ARGUMENTS_MAX + 1] = {"pair",	    to->address, "--port",  port_text,
						    "--token-file", "-",	 "--stream"};
	size_t count = 7, i;
	json_t *word;
	int code = fm_remote_host(relay->config->where.ssh, way, &from, error);

	if (code)
		return code;
	snprintf(port_text, sizeof(port_text), "%u", port);
	if (output->quiet)
		arguments[count++] = "--quiet";
	json_array_foreach((json_t *)relay->words, i, word)
	{
		if (count < ARGUMENTS_MAX)
			arguments[count++] = json_string_value(word);
	}
	return fm_remote_start(from.name, way, arguments, true, token, &relay->drive, error);
}

static void close_words(struct fm_relay *relay)
{
	char compared[FM_COMPARE_BYTES] = "";
	const char *const sentences[] = {relay->sentence,
					 relay->compare ? fm_compare_sentence(relay->compare, compared) : compared};

	for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++) {
		if (sentences[i][0] && relay->output.table)
			fm_text_paragraph(stdout, sentences[i]);
		else if (sentences[i][0])
			say(relay, "", sentences[i], "");
	}
	fflush(stdout);
	if (relay->output.folder.path[0])
		say(relay, "results: ", relay->output.folder.path, "/results.csv");
}

/*
 * A row for each point that the measuring end took with it: the first of them it had in hand, so that failed, the
 * others never began.
 */
static void write_off(struct fm_relay *relay, const struct fm_error *why)
{
	struct fm_record *record = &relay->row.record;
	struct fm_error ignored;
	const char *point, *status = "failed";
	json_t *columns;

	json_object_foreach(relay->due, point, columns)
	{
		if (fm_stream_row(columns, &relay->row, &ignored))
			continue;
		record->verdict.status = status;
		record->verdict.reason_code = fm_reason_name(why->reason);
		snprintf(record->verdict.reason, sizeof(record->verdict.reason), "%s", why->text);
		fm_outputs_row(&relay->output, record, &ignored);
		if (relay->compare)
			fm_compare_row(relay->compare, record);
		status = "skipped";
	}
}

/* From how the measuring end ended to our exit code, and to a sentence where it had none. */
static int relay_verdict(struct fm_relay *relay, struct fm_error *error)
{
	const struct fm_process *process = &relay->drive.process;
	int status = process->status, code = status != -1 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	if (relay->signal) {
		fm_error_set(error, -EINTR, FM_REASON_INTERRUPTED, "interrupted by %s", fm_signal_name(relay->signal));
		return fm_exit_code(error, relay->signal);
	}
	if (relay->failure.code) {
		*error = relay->failure;
		if (relay->silent)
			write_off(relay, error);
		return fm_exit_code(error, 0);
	}
	if (code >= FM_EXIT_OK && code <= FM_EXIT_INCONCLUSIVE)
		return code;
	if (process->pid)
		fm_error_set(error, -ETIMEDOUT, FM_REASON_PEER_LOST,
			     "%.80s did not end when it was told to; the rows that it sent are kept",
			     relay->drive.name);
	else
		fm_error_set(error, -ECONNRESET, FM_REASON_PEER_LOST,
			     "lost %.80s: ssh, or fabmark there, ended with %d before the run did; the rows that it "
			     "sent are kept",
			     relay->drive.name, code);
	write_off(relay, error);
	return FM_EXIT_UNMEASURED;
}

static int relay_start(struct fm_relay *relay, const struct fm_remote_way *way, struct fm_error *error)
{
	struct fm_remote_host to;
	struct fm_token token = {0};
	uint16_t port = 0;
	int code = fm_remote_host(relay->second, way, &to, error);

	if (code == 0)
		code = fm_token_random(&token, error);
	if (code == 0)
		code = fm_remote_serve(to.name, way, relay->config->where.port, &token, &relay->serve, &port, error);
	if (code == 0)
		code = drive_start(relay, way, &to, &token, port, error);
	fm_token_wipe(&token);
	return code;
}

int fm_relay_run(struct fm_relay *relay, struct fm_error *error)
{
	const struct fm_pair_where *where = &relay->config->where;
	const struct fm_remote_way way = {where->ssh_command, where->remote_program, where->connect_timeout_s,
					  relay->signal_fd};
	struct fm_error closing = {0};
	int code;

	relay->due = json_object();
	code = relay_start(relay, &way, error);
	if (code) {
		if (code == -EINTR)
			take_signal(relay);
		code = fm_exit_code(error, relay->signal);
	} else {
		follow(relay);
		code = relay_verdict(relay, error);
		if (relay->opened)
			close_words(relay);
	}
	fm_remote_stop(&relay->drive, relay->silent);
	fm_remote_stop(&relay->serve, false);
	if (relay->opened && fm_outputs_close(&relay->output, &closing) && code == FM_EXIT_OK) {
		*error = closing;
		code = FM_EXIT_UNMEASURED;
	}
	free(relay->line);
	json_decref(relay->due);
	return code;
}
