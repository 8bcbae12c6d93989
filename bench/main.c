/*
 * main.c - finds the command, prepares signals, prints the error, exits.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "bench/command.h"
#include "results/output.h"

enum { STDOUT_BYTES = 65536 };

const struct fm_command *const fm_commands[] = {&fm_command_pair, &fm_command_serve, &fm_command_devices,
						&fm_command_translate, NULL};

int fm_exit_code(const struct fm_error *error, int signal)
{
	if (signal)
		return 128 + signal;
	return error->reason == FM_REASON_USAGE ? FM_EXIT_USAGE : FM_EXIT_UNMEASURED;
}

void fm_command_help(const struct fm_command *command, const struct fm_option_set *const *sets, size_t count)
{
	printf("usage: fabmark %s %s\n\n%s.\n\n", command->name, command->usage, command->help);
	if (command->about)
		printf("%s\n", command->about);
	fm_options_help(sets, count, stdout);
	if (command->exits) {
		printf("\nExit codes:");
		for (const char *const *at = command->exits; *at; at++)
			printf("%s %s", at == command->exits ? "" : ",", *at);
		printf(".\n");
		return;
	}
	printf("\nExit codes: 0 every row asked for is ok, 1 a verdict failed, 2 usage, 3 could not measure,\n"
	       "4 inconclusive, 130 or 143 interrupted (rows are kept).\n");
}

static void print_help(FILE *out)
{
	fprintf(out, "usage: fabmark COMMAND [OPTION...]\n\n"
		     "Measures what the network between the nodes of a GPU cluster really delivers.\n\nCommands:\n");
	for (const struct fm_command *const *at = fm_commands; *at; at++)
		fprintf(out, "  %-10s %s\n", (*at)->name, (*at)->help);
	fprintf(out, "\n'fabmark COMMAND --help' lists a command's options. 'fabmark --version' tells the version.\n"
		     "Start here: 'fabmark pair --local' on one machine; 'fabmark serve' on one node and\n"
		     "'fabmark pair NODE' on another.\n");
}

/*
 * A descriptor of the three that is closed would be the next file's or socket's, which prints would then go into.
 * stdout is opened for reading only, so that results for it still fail. The return is stdout's buffer.
 */
static char *stdio_open(void)
{
	char *buffer = malloc(STDOUT_BYTES);

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		/* open takes the lowest number that is free, which is this one. */
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) < 0)
			break;
	/* Room for all that a command prints: a write before close_stdout's would take its cause with it. */
	if (buffer && !isatty(STDOUT_FILENO))
		setvbuf(stdout, buffer, _IOFBF, STDOUT_BYTES);
	return buffer;
}

/*
 * Signals come through a descriptor that the control thread waits for; every other thread inherits the block. One that
 * nohup or a shell's & had ignored stays so: a descriptor would tell of it again.
 */
static int signals_open(void)
{
	static const int wanted[] = {SIGINT, SIGTERM, SIGHUP};
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		struct sigaction now;

		if (sigaction(wanted[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
			sigaddset(&set, wanted[i]);
	}
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static const struct fm_command *find_command(const char *name)
{
	for (const struct fm_command *const *at = fm_commands; *at; at++)
		if (strcmp((*at)->name, name) == 0)
			return *at;
	return NULL;
}

/*
 * stdout may be a full disk, a closed pipe or closed itself: what was printed must have arrived, and a file system far
 * away may say so only when the file is closed. said: the command has failed and told why, which may be just this.
 */
static int close_stdout(int code, bool said)
{
	const char *why = "an earlier part of what was printed is missing";
	char cause[128];
	bool missing = ferror(stdout);
	int number;

	errno = 0;
	number = fflush(stdout) == 0 ? 0 : errno;
	if (fclose(stdout) != 0 && !number)
		number = errno;
	if (number == 0 && !missing)
		return code;
	if (number)
		why = number == EBADF ? "it is closed" : fm_output_cause(number, cause, sizeof(cause));
	if (!said)
		fprintf(stderr, "fabmark: cannot write to stdout: %s\n", why);
	return code ? code : FM_EXIT_UNMEASURED;
}

/* said as in close_stdout. */
static int run(int argc, char **argv, bool *said)
{
	const char *name = argc > 1 ? argv[1] : "";
	const struct fm_command *command = find_command(name);
	struct fm_registry registry = {.count = 0};
	struct fm_program program = {.argc = argc - 1, .argv = argv + 1, .registry = &registry};
	struct fm_error error = {0};
	int code;

	if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
		printf("fabmark %s\n", FM_VERSION);
		return FM_EXIT_OK;
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		print_help(stdout);
		return FM_EXIT_OK;
	}
	if (!command) {
		if (*name)
			fprintf(stderr, "fabmark: no command '%s'; 'fabmark --help' lists them\n", name);
		else
			print_help(stderr);
		*said = true;
		return FM_EXIT_USAGE;
	}
	program.signal_fd = signals_open();
	code = command->run(command, &program, &error);
	if (code && error.code)
		fprintf(stderr, "fabmark: %s\n", error.text);
	*said = code && error.code;
	return code;
}

int main(int argc, char **argv)
{
	char *buffer = stdio_open();
	bool said = false;
	int code = run(argc, argv, &said);

	code = close_stdout(code, said);
	free(buffer);
	return code;
}
