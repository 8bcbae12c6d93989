/*
 * cmd_pair.c - fabmark pair: reads the command line, or repeats an earlier one, then measures; without a host it is a
 * server for one client.
 */
#include <errno.h>
#include <stdlib.h>

#include "bench/again.h"
#include "bench/command.h"
#include "bench/pair.h"
#include "bench/plan.h"
#include "bench/relay.h"
#include "bench/serve_command.h"
#include "common/memory/memory.h"
#include "common/quote.h"
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
	json_t *asked;	       /* {name: text} of what the command line, or the run that is repeated, asks for */
	json_t *texts;	       /* the same with what a repetition pins; NULL: asked */
	const char *host;      /* NULL: none given */
	struct fm_again again; /* with --again */
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
	json_decref(options->asked);
	json_decref(options->texts);
	fm_again_free(&options->again);
}

/* The last one wins, save of an option whose texts add up: of that the texts are kept as an array. */
static void saw_option(void *context, const struct fm_option *row, const char *text)
{
	json_t *list = json_object_get(context, row->name);

	if (row->type != &fm_option_settings) {
		json_object_set_new(context, row->name, json_string(text));
		return;
	}
	if (!list) {
		list = json_array();
		json_object_set_new(context, row->name, list);
	}
	json_array_append_new(list, json_string(text));
}

/* Text i of an option that was seen; NULL behind the last. */
static const char *seen_text(const json_t *seen, size_t i)
{
	if (json_is_array(seen))
		return json_string_value(json_array_get(seen, i));
	return i == 0 ? json_string_value(seen) : NULL;
}

/* One text, to the set that has the option. */
static int option_take(struct pair_options *options, const char *name, const char *text, struct fm_error *error)
{
	int code = -ENOENT;

	for (size_t at = 0; at < options->parsed && code == -ENOENT; at++)
		code = fm_options_set(options->sets[at], options->values[at], name, text, error);
	if (code == -ENOENT)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "this version has no option --%.64s", name);
	return code;
}

/* Over the values that are there. */
static int options_take(struct pair_options *options, const json_t *texts, struct fm_error *error)
{
	const char *name, *text;
	json_t *seen;
	int code = 0;

	json_object_foreach((json_t *)texts, name, seen)
	{
		for (size_t i = 0; code == 0 && (text = seen_text(seen, i)); i++)
			code = option_take(options, name, text, error);
	}
	return code;
}

static const struct fm_option *options_row(const struct pair_options *options, const char *name)
{
	for (size_t i = 0; i < options->count; i++)
		for (size_t j = 0; j < options->sets[i]->count; j++)
			if (strcmp(options->sets[i]->rows[j].name, name) == 0)
				return &options->sets[i]->rows[j];
	return NULL;
}

/* An option as it would be typed. */
static void option_word(const struct pair_options *options, const char *name, const char *text, char *word,
			size_t bytes)
{
	const struct fm_option *row = options_row(options, name);

	if (row && !fm_option_type_of(row)->takes_value)
		snprintf(word, bytes, "--%s", name);
	else
		snprintf(word, bytes, "--%s=%s", name, text);
}

/* What is repeated, as it would be typed. */
static void announce_again(const struct pair_options *options, const json_t *texts)
{
	char line[8192] = "fabmark pair", word[FM_TEXT_MAX + 64];
	const char *name, *text;
	json_t *seen;

	if (options->config.output.quiet)
		return;
	if (options->host)
		fm_quote_append(line, sizeof(line), options->host);
	json_object_foreach((json_t *)texts, name, seen)
	{
		for (size_t i = 0; strcmp(name, "again") != 0 && (text = seen_text(seen, i)); i++) {
			option_word(options, name, text, word, sizeof(word));
			fm_quote_append(line, sizeof(line), word);
		}
	}
	fprintf(stderr, "repeating %s%s: %s\n", options->again.run_id,
		options->again.unfinished ? ", which was killed before its end" : "", line);
}

/* --again: the values anew, from the earlier run's options and the typed ones. */
static int options_again(struct pair_options *options, struct fm_error *error)
{
	const char *out = options->config.output.out, *which = options->config.where.again;
	const bool host_typed = options->host != NULL;
	json_t *texts = NULL;
	int code = fm_again_load(which, strcmp(out, "none") == 0 ? "fabmark-results" : out, &options->again, error);

	if (code)
		return code;
	texts = fm_again_options(&options->again, options->asked, host_typed, true);
	if (!fm_again_moved(options->asked, host_typed) && options->again.host[0])
		options->host = options->again.host;
	for (size_t i = 0; i < options->count && code == 0; i++)
		code = fm_options_defaults(options->sets[i], options->values[i], error);
	if (code == 0)
		code = options_take(options, texts, error);
	if (code)
		fm_error_prefix(error, "cannot repeat %s: ", options->again.run_id);
	else
		announce_again(options, texts);
	options->texts = texts;
	texts = fm_again_options(&options->again, options->asked, host_typed, false);
	json_object_del(texts, "again");
	json_decref(options->asked);
	options->asked = texts;
	return code;
}

/* A shell variable that is not set leaves an empty text, and to take it for nothing asked would measure elsewhere. */
static int options_filled(const struct pair_options *options, struct fm_error *error)
{
	static const struct {
		const char *name, *next;
	} places[] = {
		{"again", "give 'last', a run id, or the path of a run's folder"},
		{"ssh", "give the host's name as in 'ssh NAME', or leave --ssh out"},
		{"ssh-command", "give a command as in 'ssh -p 2222', or leave it out for ssh"},
		{"remote-program", "give its path on the other node, or leave it out"},
		{"rails", "give one, all, each or a list of devices"},
		{"device", "name a device that 'fabmark devices' lists, or leave it out"},
		{"data-address", "give a numeric address, or leave it out"},
		{"cpu", "give CPUs as in 2,4-7, or leave it out for a choice of ours"},
		{"token-file", "give the file's path, or leave it out"},
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const char *text = json_string_value(json_object_get(options->asked, places[i].name));

		if (text && !*text)
			return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "--%s is empty: %s", places[i].name,
					    places[i].next);
	}
	return 0;
}

/* From the command line to what is asked for, rules obeyed. */
static int options_read(struct pair_options *options, const struct fm_program *program, bool *given,
			struct fm_error *error)
{
	const struct fm_option_parser parser = {.command = "fabmark pair",
						.sets = options->sets,
						.values = options->values,
						.count = options->parsed,
						.aliases = fm_pair_aliases,
						.rules = fm_pair_rules,
						.positional_max = 1,
						.foreign = fm_pair_foreign};
	struct fm_option_log log = {saw_option, NULL};
	uint32_t positional = 0;
	int code;

	log.context = options->asked = json_object();
	code = fm_options_read(&parser, program->argc, program->argv, &options->host, &positional, &log, given, error);
	if (positional == 0)
		options->host = NULL;
	if (code == 0 && !options->config.help)
		code = options_filled(options, error);
	if (code == 0 && options->config.where.again[0] && !options->config.help)
		code = options_again(options, error);
	return code ? code : fm_options_rules(&parser, error);
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

static int compare_open(const struct pair_options *options, struct fm_compare **compare, struct fm_error *error)
{
	if (!options->again.document)
		return 0;
	*compare = calloc(1, sizeof(**compare));
	if (!*compare)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory to compare with");
	return fm_compare_open(*compare, options->again.run_id, options->again.folder, error);
}

/* The options of the end that measures on another node: how it is reached and where results go is ours to know. */
static json_t *words_for_remote(const struct pair_options *options)
{
	static const char *const ours[] = {"ssh", "ssh-command", "remote-program", "port", "token-file", "again", NULL};
	json_t *words = json_array(), *seen;
	char word[FM_TEXT_MAX + 64];
	const char *name, *text;

	json_object_foreach(options->texts ? options->texts : options->asked, name, seen)
	{
		const struct fm_option *row = options_row(options, name);
		const char *const *at = ours;

		while (*at && strcmp(*at, name) != 0)
			at++;
		if (*at || !row || (strcmp(row->group, "Results") == 0 && strcmp(name, "labels") != 0))
			continue;
		for (size_t i = 0; (text = seen_text(seen, i)); i++) {
			option_word(options, name, text, word, sizeof(word));
			json_array_append_new(words, json_string(word));
		}
	}
	return words;
}

/* --ssh A B: neither end is here. */
static int pair_relay(const struct fm_program *program, const struct pair_options *options, bool out_given,
		      struct fm_error *error)
{
	struct fm_relay *relay = calloc(1, sizeof(*relay));
	json_t *words = words_for_remote(options);
	int code;

	if (!relay || !words) {
		free(relay);
		json_decref(words);
		fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory to measure with");
		return FM_EXIT_UNMEASURED;
	}
	relay->config = &options->config;
	relay->second = options->host;
	relay->words = words;
	relay->arguments = arguments_document(program);
	relay->options = options->asked;
	relay->out_given = out_given;
	relay->signal_fd = program->signal_fd;
	code = compare_open(options, &relay->compare, error) ? fm_exit_code(error, 0) : fm_relay_run(relay, error);
	json_decref(relay->arguments);
	json_decref(words);
	fm_compare_free(relay->compare);
	free(relay);
	return code;
}

static int pair_measure(const struct fm_program *program, const struct pair_options *options, bool out_given,
			struct fm_error *error)
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
	pair->host = options->host;
	pair->arguments = arguments_document(program);
	pair->options = options->asked;
	pair->out_given = out_given;
	code = compare_open(options, &pair->compare, error);
	if (code == 0)
		code = fm_pair_run(pair, backends, program->signal_fd, error);
	signal = pair->run.session.signal;
	inconclusive = pair->rows_inconclusive;
	if (code == 0 && pair->rows_failed)
		code = -EIO;
	json_decref(pair->arguments);
	json_decref(backends);
	fm_compare_free(pair->compare);
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
	for (size_t i = 1; i < options->count && code == 0; i++)
		code = fm_backend_check(options->config.what.transport, options->sets[i], options->values[i], error);
	return code;
}

static int check_words(const struct fm_pair_config *config, const struct fm_registry *registry, const char *host,
		       struct fm_error *error)
{
	if (config->where.local && host)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "'%s' and --local: give a host, or measure this machine", host);
	if (config->where.ssh[0] && host && config->output.raw[0])
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "--raw: stamps stay on the node that measures; log in there and use --ssh with one "
				    "host");
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
	int code = given ? options_begin(&options, error)
			 : fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for options");

	if (code == 0)
		code = options_read(&options, program, given, error);
	/* Not for --help, which is the same everywhere. */
	if (code == 0 && !options.config.help) {
		fm_registry_load(program->registry);
		code = apply_transports(&options, program->registry, error);
	}
	if (code == 0 && !options.config.help)
		code = check_words(&options.config, program->registry, options.host, error);
	if (code)
		code = fm_exit_code(error, 0);
	else if (options.config.help)
		fm_command_help(command, options.sets, options.parsed);
	else if (!options.host && !options.config.where.local && !options.config.where.ssh[0])
		code = fm_serve_as_pair(&options.config, program, error);
	else if (options.host && options.config.where.ssh[0])
		code = pair_relay(program, &options, row_given("out", given), error);
	else
		code = pair_measure(program, &options, row_given("out", given), error);
	options_end(&options);
	free(given);
	return code;
}

const struct fm_command fm_command_pair = {
	.name = "pair",
	.help = "measure latency and bandwidth: here to HOST, or --local; bare: serve one client",
	.usage = "[HOST | --local | --ssh HOST | --again RUN] [OPTION...]",
	.options = &fm_pair_option_set,
	.run = pair_run,
};
