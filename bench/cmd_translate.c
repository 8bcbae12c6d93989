/*
 * cmd_translate.c - fabmark translate: the command line of perftest, ucx_perftest or iperf3 as ours.
 */
#include <errno.h>
#include <stdlib.h>

#include "bench/command.h"
#include "bench/config.h"
#include "bench/translate.h"
#include "transports/registry.h"

struct translate_config {
	bool quiet, help;
};

static const struct fm_option rows[] = {
	{.name = "quiet",
	 .value = "",
	 .group = "Options",
	 .help = "the line only, no notes",
	 .type = &fm_option_flag,
	 .offset = offsetof(struct translate_config, quiet)},
	{.name = "help",
	 .letter = 'h',
	 .value = "",
	 .group = "Options",
	 .help = "this text",
	 .type = &fm_option_flag,
	 .offset = offsetof(struct translate_config, help)},
};

static const struct fm_option_set option_set = {"", rows, sizeof(rows) / sizeof(rows[0]),
						sizeof(struct translate_config)};

static const char about[] = "Prints one line to paste: pair for a client's command, serve for a server's.\n"
			    "Notes on stderr say option by option what means something else here, what is not\n"
			    "needed and what has no counterpart. Nothing is run.\n"
			    "\n"
			    "  $ fabmark translate 'iperf3 -c node7 -P 4'\n"
			    "  fabmark pair node7 --transport tcp --test stream_bw --size 128K --streams 4\n";

static const char *const exits[] = {"0 printed", "2 the command is not understood", "3 not printed", NULL};

/* Our own options end at the first word that is none: those behind it are the other program's. */
static int own_words(const struct fm_program *program)
{
	int count = 1;

	while (count < program->argc && program->argv[count][0] == '-' && strcmp(program->argv[count], "--") != 0)
		count++;
	return count;
}

static int print_translation(const struct fm_translation *translation, bool quiet)
{
	printf("%s\n", translation->line);
	/* The line comes first, also where both streams are one terminal. */
	fflush(stdout);
	for (uint32_t i = 0; i < translation->note_count && !quiet; i++)
		fprintf(stderr, "%s\n", translation->notes[i]);
	return FM_EXIT_OK;
}

static int translate_words(int argc, char *const *argv, bool quiet, struct fm_error *error)
{
	const struct fm_option_set *sets[1 + FM_TRANSPORTS_MAX] = {&fm_pair_option_set};
	const struct fm_translate_rows ours = {sets, 1 + fm_backend_sets(sets + 1), &fm_serve_option_set,
					       fm_pair_rules};
	struct fm_translation *translation = malloc(sizeof(*translation));
	int code;

	code = translation ? fm_translate(&ours, argc, argv, translation, error)
			   : fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory to translate with");
	code = code ? fm_exit_code(error, 0) : print_translation(translation, quiet);
	free(translation);
	return code;
}

/* One word may hold the whole command. */
static int translate_text(const char *text, bool quiet, struct fm_error *error)
{
	char *bytes = malloc(strlen(text) + 1), *argv[FM_TRANSLATE_WORDS_MAX];
	int argc, code;

	if (!bytes) {
		fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory to translate with");
		return FM_EXIT_UNMEASURED;
	}
	argc = fm_shell_split(text, bytes, argv, FM_TRANSLATE_WORDS_MAX, error);
	code = argc < 0 ? fm_exit_code(error, 0) : translate_words(argc, argv, quiet, error);
	free(bytes);
	return code;
}

/* Ours behind the command: a word of the other program that has blanks, or one that only we know. */
static int check_order(int argc, char *const *argv, struct fm_error *error)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	bool whole = argc > 0 && strpbrk(slash ? slash : argv[0], " \t\n");

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--quiet") == 0 || (whole && argv[i][0] == '-'))
			return fm_error_set(
				error, -EINVAL, FM_REASON_USAGE,
				"'%.64s' stands behind the command; options of translate go in front of it: "
				"fabmark translate --quiet 'COMMAND...'",
				argv[i]);
	return 0;
}

static int translate_run(const struct fm_command *command, const struct fm_program *program, struct fm_error *error)
{
	const struct fm_option_set *sets[] = {&option_set};
	struct translate_config config = {false, false};
	void *values[] = {&config};
	const struct fm_option_parser parser = {"fabmark translate", sets, values, 1, NULL, NULL, 0, NULL};
	int own = own_words(program), code;
	int first = own < program->argc && strcmp(program->argv[own], "--") == 0 ? own + 1 : own;
	uint32_t positional;

	code = fm_options_parse(&parser, own, program->argv, NULL, &positional, NULL, error);
	if (code)
		return fm_exit_code(error, 0);
	if (config.help) {
		fm_command_help(command, sets, 1);
		return FM_EXIT_OK;
	}
	if (check_order(program->argc - first, program->argv + first, error))
		return fm_exit_code(error, 0);
	if (program->argc - first == 1)
		return translate_text(program->argv[first], config.quiet, error);
	return translate_words(program->argc - first, program->argv + first, config.quiet, error);
}

const struct fm_command fm_command_translate = {
	.name = "translate",
	.help = "what a perftest, ucx_perftest or iperf3 command line is in fabmark's words",
	.usage = "[OPTION...] 'COMMAND...' | -- COMMAND...",
	.about = about,
	.exits = exits,
	.options = &option_set,
	.run = translate_run,
};
