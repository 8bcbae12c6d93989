/*
 * command.h - the commands of the program, and what main gives them.
 */
#ifndef FM_COMMAND_H
#define FM_COMMAND_H

#include "common/options.h"
#include "transports/registry.h"

/* Exit codes, the same for every command. */
enum fm_exit {
	FM_EXIT_OK = 0,
	FM_EXIT_VERDICT = 1, /* a verdict failed */
	FM_EXIT_USAGE = 2,
	FM_EXIT_UNMEASURED = 3, /* environment, peer lost, any failed row */
	FM_EXIT_INCONCLUSIVE = 4
};

/* What main prepared: signals are blocked and come by signal_fd. */
struct fm_program {
	int argc; /* of the command: argv[0] is its name */
	char **argv;
	int signal_fd;
	struct fm_registry *registry; /* empty until a command that needs it has called fm_registry_load */
};

struct fm_command {
	const char *name, *help; /* help: one line for 'fabmark --help' */
	const char *usage;	 /* "[HOST | --local] [OPTION...]" */
	const char *about;	 /* what --help and the man page say below that, in lines of 80 columns; NULL nothing */
	const char *const *exits; /* "CODE MEANING" each, the last NULL; NULL: those of a measurement */
	const struct fm_option_set *options;
	/* Returns the exit code; a failure's sentence is in error, reason usage means exit code 2. */
	int (*run)(const struct fm_command *command, const struct fm_program *program, struct fm_error *error);
};

extern const struct fm_command fm_command_pair, fm_command_serve, fm_command_devices, fm_command_translate;
extern const struct fm_command *const fm_commands[]; /* NULL-terminated */

/* usage, what it does, the options of the sets: what --help prints on stdout. */
void fm_command_help(const struct fm_command *command, const struct fm_option_set *const *sets, size_t count);

/* The exit code that this error leads to; 128 + signal for an interruption. */
int fm_exit_code(const struct fm_error *error, int signal);

#endif
