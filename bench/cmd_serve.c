/*
 * cmd_serve.c - fabmark serve: listens, prints the command for the other node, answers clients one after the other.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/leash.h"
#include "bench/node.h"
#include "bench/serve.h"
#include "bench/serve_command.h"
#include "topology/nic.h"

struct serving {
	struct fm_serve_config config;
	struct fm_server server;
	struct fm_token token;
};

static void say(void *context, const char *sentence)
{
	const struct serving *serving = context;
	char now[40];

	if (serving->config.quiet)
		return;
	fm_time_utc(now, sizeof(now));
	fprintf(stderr, "%s %s\n", now, sentence);
}

/* The addresses by which the other node can say it where it knows no name: of devices that are up, not of the loopback.
 */
static void announce_addresses(void)
{
	struct fm_nics *nics = calloc(1, sizeof(*nics));
	struct fm_error ignored;
	const char *before = "  (or by address: ";

	if (nics && fm_nics_read("/sys", nics, &ignored) == 0)
		for (uint32_t i = 0; i < nics->count; i++)
			for (uint32_t j = 0; j < nics->list[i].address_count; j++) {
				const struct fm_nic_address *address = &nics->list[i].addresses[j];

				if (!nics->list[i].up || nics->list[i].loopback || address->link_local)
					continue;
				fprintf(stderr, "%s%s", before, address->text);
				before = ", ";
			}
	if (before[0] == ',')
		fputs(")\n", stderr);
	free(nics);
}

/* What to type on the other node. The token itself is shown on a terminal only: a log is read by others. */
static void announce(const struct serving *serving)
{
	uint16_t port = fm_door_port(serving->server.session.door);
	bool terminal = isatty(STDERR_FILENO);
	char port_text[32] = "";

	if (serving->config.quiet)
		return;
	if (port != FM_PORT_DEFAULT)
		snprintf(port_text, sizeof(port_text), " --port %u", port);
	fprintf(stderr, "fabmark %s serves on TCP port %u. On the other node:\n\n  ", FM_VERSION, port);
	if (terminal)
		fprintf(stderr, "FABMARK_TOKEN=%s ", serving->token.text);
	fprintf(stderr, "fabmark pair %s%s\n", serving->server.node, port_text);
	announce_addresses();
	if (terminal)
		fputc('\n', stderr);
	else
		fprintf(stderr, "\nwith the token of %s (there: the same file, or FABMARK_TOKEN)\n",
			serving->token.source);
}

static int tell_ready(const struct serving *serving, struct fm_error *error)
{
	char text[16];
	int length, fd = (int)serving->config.ready_fd;

	if (fd == 0)
		return 0;
	length = snprintf(text, sizeof(text), "%u\n", fm_door_port(serving->server.session.door));
	if (write(fd, text, (size_t)length) != length)
		return fm_error_set(error, -errno, FM_REASON_ENVIRONMENT, "cannot write the port to --ready-fd %d: %s",
				    fd, strerror(errno));
	/* A standard descriptor that is closed would be the next socket's number. */
	if (fd > STDERR_FILENO)
		close(fd);
	return 0;
}

/* Refused connections since the last look, in one line. */
static void tell_refused(struct serving *serving)
{
	char why[400], line[512];
	uint32_t refused = fm_door_refused(serving->server.session.door, why, sizeof(why));

	if (!refused)
		return;
	snprintf(line, sizeof(line), "turned %u connection%s away; the last: %s", refused, refused == 1 ? "" : "s",
		 why);
	say(serving, line);
}

/* Waits for the next client: 0, or the signal that ends the server, or -ETIMEDOUT after the idle time. */
static int await_client(struct serving *serving, struct fm_error *error)
{
	struct fm_session *session = &serving->server.session;
	double idle_s = serving->config.idle_timeout_s;
	uint64_t deadline_ns = idle_s > 0 ? fm_now_ns() + (uint64_t)(idle_s * 1e9) : UINT64_MAX;

	for (;;) {
		json_t *message = NULL;
		int event;

		if (fm_door_next(session->door, &session->control) == 0)
			return 0;
		event = fm_session_wait(session, deadline_ns, &message, error);
		tell_refused(serving);
		if (event < 0)
			return event;
		if (event == FM_EVENT_DEADLINE)
			return fm_error_set(error, -ETIMEDOUT, FM_REASON_TIMEOUT, "nobody came for %g s", idle_s);
	}
}

static int serve_clients(struct serving *serving, struct fm_error *error)
{
	struct fm_session *session = &serving->server.session;

	for (;;) {
		char line[FM_TEXT_MAX + 600];
		int code = await_client(serving, error);

		if (code)
			return code;
		if (!serving->server.clock.source)
			fm_clock_calibrate(&serving->server.clock);
		snprintf(line, sizeof(line), "client %s", fm_control_peer(session->control));
		say(serving, line);
		code = fm_server_client(&serving->server, error);
		snprintf(line, sizeof(line), "client %s %s%s", session->peer, code ? "failed: " : "is through",
			 code ? error->text : "");
		say(serving, line);
		tell_refused(serving);
		if (session->signal || serving->config.once)
			return code;
	}
}

static int serve_here(struct serving *serving, const struct fm_program *program, struct fm_error *error)
{
	struct fm_session *session = &serving->server.session;
	const struct fm_serve_config *config = &serving->config;
	const char *address = config->address[0] ? config->address : NULL;
	bool told;
	int code;

	session->signal_fd = program->signal_fd;
	session->wake_fd = -1;
	serving->server.say = say;
	serving->server.context = serving;
	fm_node_name(serving->server.node, sizeof(serving->server.node));
	code = fm_token_find(config->token_file[0] ? config->token_file : NULL, true, &serving->token, error);
	if (code == 0)
		code = fm_door_open(address, (uint16_t)config->port, &serving->token, &session->door, error);
	if (code == -EADDRINUSE && config->any_port)
		code = fm_door_open(address, 0, &serving->token, &session->door, error);
	if (code == 0 && config->exit_on_eof)
		code = fm_leash_start(error);
	if (code == 0)
		code = fm_session_begin(session, error);
	if (code == 0)
		code = tell_ready(serving, error);
	told = code == 0;
	if (code == 0) {
		announce(serving);
		code = serve_clients(serving, error);
	}
	if (session->wake_fd >= 0)
		fm_session_end(session);
	fm_door_close(session->door);
	/* A server that is told to go has done its work. */
	if (session->signal && !config->once)
		return FM_EXIT_OK;
	/* Whoever started us with --ready-fd hears of it through the session, and says it itself. */
	if (config->ready_fd && told)
		error->code = 0;
	return code ? fm_exit_code(error, session->signal) : FM_EXIT_OK;
}

static int serve_start(const struct fm_serve_config *config, const struct fm_program *program, struct fm_error *error)
{
	struct serving *serving = calloc(1, sizeof(*serving));
	int code;

	if (!serving) {
		fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory to serve with");
		return FM_EXIT_UNMEASURED;
	}
	serving->config = *config;
	fm_registry_load(program->registry);
	serving->server.registry = program->registry;
	code = serve_here(serving, program, error);
	free(serving);
	return code;
}

int fm_serve_as_pair(const struct fm_pair_config *config, const struct fm_program *program, struct fm_error *error)
{
	struct fm_serve_config serve = {.port = config->where.port, .once = true, .quiet = config->output.quiet};

	memcpy(serve.token_file, config->where.token_file, sizeof(serve.token_file));
	return serve_start(&serve, program, error);
}

static int serve_run(const struct fm_command *command, const struct fm_program *program, struct fm_error *error)
{
	const struct fm_option_set *sets[] = {&fm_serve_option_set};
	struct fm_serve_config config = {0};
	void *values[] = {&config};
	const struct fm_option_parser parser = {"fabmark serve", sets, values, 1, NULL, NULL, 0, NULL};
	uint32_t positional;
	int code = fm_options_defaults(sets[0], &config, error);

	if (code == 0)
		code = fm_options_parse(&parser, program->argc, program->argv, NULL, &positional, NULL, error);
	if (code)
		return fm_exit_code(error, 0);
	if (config.help) {
		fm_command_help(command, sets, 1);
		return FM_EXIT_OK;
	}
	return serve_start(&config, program, error);
}

const struct fm_command fm_command_serve = {
	.name = "serve",
	.help = "answer pair tests; prints the command to type on the other node",
	.usage = "[OPTION...]",
	.options = &fm_serve_option_set,
	.run = serve_run,
};
