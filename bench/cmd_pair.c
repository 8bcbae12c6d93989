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

enum { SETS_MAX = 1 + FM_TRANSPORTS_MAX };

/*
 * The command's own options, those of every backend of this tree, and behind the parsed ones those of modules from
 * outside, each with the struct that its rows fill.
 */
struct pair_options {
	const struct fm_option_set *sets[SETS_MAX];
	void *values[SETS_MAX];
	size_t count, parsed;
	struct fm_pair_config config;
};

static int options_add(struct pair_options *options, const struct fm_option_set *set, struct fm_error *error)
{
	void *values = calloc(1, set->bytes);

	if (!values)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for options");
	options->sets[options->count] = set;
	options->values[options->count++] = values;
	return fm_options_defaults(set, values, error);
}

static int options_begin(struct pair_options *options, struct fm_error *error)
{
	const struct fm_option_set *sets[FM_TRANSPORTS_MAX];
	size_t count = fm_backend_sets(sets);
	int code = fm_options_defaults(&fm_pair_option_set, &options->config, error);

	options->sets[0] = &fm_pair_option_set;
	options->values[0] = &options->config;
	options->count = 1;
	for (size_t i = 0; i < count && code == 0; i++)
		code = options_add(options, sets[i], error);
	options->parsed = options->count;
	return code ? code : fm_options_check(options->sets, options->count, error);
}

/* Once they are loaded: they are set by --set alone, so that no module can take the name of an option of pair. */
static int options_add_outside(struct pair_options *options, const struct fm_registry *registry, struct fm_error *error)
{
	int code = 0;

	for (uint32_t i = 0; i < registry->count && code == 0; i++)
		if (registry->entries[i].outside && registry->entries[i].table.options->count)
			code = options_add(options, registry->entries[i].table.options, error);
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
	pair->run.plan.registry = program->registry;
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

/* One --set NAME.KEY=VALUE, whose form has been checked. */
static int apply_setting(struct pair_options *options, const struct fm_registry *registry, const char *setting,
			 struct fm_error *error)
{
	char name[FM_TEXT_MAX], *key, *value;
	const struct fm_registered *found;

	snprintf(name, sizeof(name), "%s", setting);
	key = strchr(name, '.');
	*key++ = '\0';
	value = strchr(key, '=');
	*value++ = '\0';
	for (size_t i = 1; i < options->count; i++)
		if (strcmp(options->sets[i]->name, name) == 0)
			return fm_options_set(options->sets[i], options->values[i], key, value, error)
				       ? fm_error_prefix(error, "--set: ")
				       : 0;
	found = fm_registry_find(registry, name);
	if (!found)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "--set: no transport '%s' here: 'fabmark devices' lists those that there are",
				    name);
	if (found->table.absent)
		return fm_error_set(error, -ENODEV, FM_REASON_ABSENT, "--set: %s cannot run here: %s", name,
				    found->table.absent);
	return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "--set: transport '%s' has no options", name);
}

/* What the command line says of transports, once it is known which there are. */
static int apply_transports(struct pair_options *options, const struct fm_registry *registry, struct fm_error *error)
{
	const struct fm_settings *settings = &options->config.what.settings;
	int code = options_add_outside(options, registry, error);

	if (code == 0)
		code = split_transport(options, error);
	for (uint32_t i = 0; i < settings->count && code == 0; i++)
		code = apply_setting(options, registry, settings->text[i], error);
	return code;
}

static int check_words(const struct fm_pair_config *config, const struct fm_registry *registry, const char *host,
		       struct fm_error *error)
{
	if (config->where.local && host)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "'%s' and --local: give a host, or measure this machine", host);
	if (host && !*host)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "the host is empty; give a name or an address, or nothing to be the server");
	if (strcmp(config->what.transport, "auto") != 0 && strcmp(config->what.transport, "all") != 0 &&
	    !fm_registry_find(registry, config->what.transport))
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "no transport '%s' here: 'fabmark devices' lists those that there are, and modules "
				    "that gave none; FABMARK_TRANSPORT_PATH says where modules lie",
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

		ready.count = options.parsed;
		code = fm_options_parse(&ready, program->argc, program->argv, &host, &positional, given, error);
	}
	if (positional == 0)
		host = NULL;
	/* Not for --help, which is the same everywhere. */
	if (code == 0 && !options.config.help) {
		fm_registry_load(program->registry);
		code = apply_transports(&options, program->registry, error);
	}
	if (code == 0 && !options.config.help)
		code = check_words(&options.config, program->registry, host, error);
	if (code)
		code = fm_exit_code(error, 0);
	else if (options.config.help)
		fm_command_help(command, options.sets, options.parsed);
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
