/*
 * cmd_pair.c - fabmark pair: reads the command line, then measures; without a host it is a server for one client.
 */
#include <errno.h>
#include <stdlib.h>

#include "bench/command.h"
#include "bench/pair.h"
#include "bench/plan.h"
#include "bench/serve_command.h"
#include "common/memory/memory.h"
#include "transports/registry.h"

enum { SETS_MAX = 1 + FM_BACKENDS_MAX };

/* The command's own options and those of every backend, each with the struct that its rows fill. */
struct pair_options {
	const struct fm_option_set *sets[SETS_MAX];
	void *values[SETS_MAX];
	size_t count;
	struct fm_pair_config config;
};

static int options_begin(struct pair_options *options, struct fm_error *error)
{
	int code;

	options->sets[0] = &fm_pair_option_set;
	options->values[0] = &options->config;
	options->count = 1;
	for (const struct fm_transport *const *at = fm_transports; *at && options->count < SETS_MAX; at++) {
		const struct fm_option_set *set = (*at)->options;

		if (!set || !set->count)
			continue;
		options->values[options->count] = calloc(1, set->bytes);
		if (!options->values[options->count])
			return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for options");
		options->sets[options->count++] = set;
	}
	code = fm_options_check(options->sets, options->count, error);
	for (size_t i = 0; i < options->count && code == 0; i++)
		code = fm_options_defaults(options->sets[i], options->values[i], error);
	return code;
}

static void options_end(struct pair_options *options)
{
	for (size_t i = 1; i < options->count; i++)
		free(options->values[i]);
}

/* {transport: {option: text}}. */
static json_t *options_document(const struct pair_options *options)
{
	json_t *document = json_object();

	for (size_t i = 1; i < options->count; i++)
		json_object_set_new(document, options->sets[i]->name,
				    fm_options_to_json(options->sets[i], options->values[i]));
	return document;
}

static json_t *arguments_document(const struct fm_program *program)
{
	json_t *arguments = json_array();

	for (int i = 0; i < program->argc; i++)
		json_array_append_new(arguments, json_string(program->argv[i]));
	return arguments;
}

static bool row_given(const char *name, const bool *given)
{
	for (size_t i = 0; i < fm_pair_option_set.count; i++)
		if (strcmp(fm_pair_option_set.rows[i].name, name) == 0)
			return given[i];
	return false;
}

static int pair_measure(const struct fm_program *program, const struct pair_options *options, const char *host,
			bool out_given, struct fm_error *error)
{
	struct fm_pair *pair = calloc(1, sizeof(*pair));
	json_t *backends = options_document(options);
	int code, signal;
	uint32_t inconclusive;

	if (!pair || !backends) {
		free(pair);
		json_decref(backends);
		fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory to measure with");
		return FM_EXIT_UNMEASURED;
	}
	pair->run.config = &options->config;
	pair->host = host;
	pair->arguments = arguments_document(program);
	pair->out_given = out_given;
	code = fm_pair_run(pair, backends, program->signal_fd, error);
	signal = pair->run.session.signal;
	inconclusive = pair->rows_inconclusive;
	if (code == 0 && pair->rows_failed)
		code = -EIO;
	json_decref(pair->arguments);
	json_decref(backends);
	free(pair);
	if (code)
		return fm_exit_code(error, signal);
	return inconclusive ? FM_EXIT_INCONCLUSIVE : FM_EXIT_OK;
}

/* --transport NAME:TEXT is --transport NAME --NAME TEXT, for a transport that has an option of its own name. */
static int split_transport(struct pair_options *options, struct fm_error *error)
{
	char *name = options->config.what.transport, *text = strchr(name, ':');

	if (!text)
		return 0;
	*text++ = '\0';
	for (size_t i = 1; i < options->count; i++)
		if (strcmp(options->sets[i]->name, name) == 0 &&
		    fm_options_set(options->sets[i], options->values[i], name, text, error) == 0)
			return 0;
	return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "transport '%s' takes nothing behind a colon", name);
}

static int check_words(const struct fm_pair_config *config, const char *host, struct fm_error *error)
{
	if (config->where.local && host)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "'%s' and --local: give a host, or measure this machine", host);
	if (host && !*host)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "the host is empty; give a name or an address, or nothing to be the server");
	if (strcmp(config->what.transport, "auto") != 0 && strcmp(config->what.transport, "all") != 0 &&
	    !fm_transport_find(config->what.transport))
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "no transport '%s' in this version: 'fabmark devices' lists those that there are",
				    config->what.transport);
	if (!fm_memory_find(config->what.memory.local) || !fm_memory_find(config->what.memory.remote))
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "no memory kind '%s': 'fabmark devices' lists those that there are",
				    fm_memory_find(config->what.memory.local) ? config->what.memory.remote
									      : config->what.memory.local);
	return 0;
}

static int pair_run(const struct fm_command *command, const struct fm_program *program, struct fm_error *error)
{
	struct pair_options options = {.count = 0};
	bool *given = calloc(fm_pair_option_set.count, sizeof(*given));
	const struct fm_option_parser parser = {
		"fabmark pair", options.sets, options.values, 0, fm_pair_aliases, fm_pair_rules, 1};
	const char *host = NULL;
	uint32_t positional = 0;
	int code = given ? options_begin(&options, error)
			 : fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for options");

	if (code == 0) {
		struct fm_option_parser ready = parser;

		ready.count = options.count;
		code = fm_options_parse(&ready, program->argc, program->argv, &host, &positional, given, error);
	}
	if (positional == 0)
		host = NULL;
	if (code == 0)
		code = split_transport(&options, error);
	if (code == 0 && !options.config.help)
		code = check_words(&options.config, host, error);
	if (code)
		code = fm_exit_code(error, 0);
	else if (options.config.help)
		fm_command_help(command, options.sets, options.count);
	else if (!host && !options.config.where.local)
		code = fm_serve_as_pair(&options.config, program, error);
	else
		code = pair_measure(program, &options, host, row_given("out", given), error);
	options_end(&options);
	free(given);
	return code;
}

const struct fm_command fm_command_pair = {
	.name = "pair",
	.help = "measure latency and bandwidth: here to HOST, or --local; bare: serve one client",
	.usage = "[HOST | --local] [OPTION...]",
	.options = &fm_pair_option_set,
	.run = pair_run,
};
