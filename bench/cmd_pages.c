/*
 * cmd_pages.c - prints the man pages and the shell completion from the option rows, at build time:
 * pages man [COMMAND], pages bash.
 */
#include <ctype.h>

#include "bench/command.h"
#include "bench/config.h"
#include "common/memory/memory.h"
#include "transports/registry.h"

static const struct fm_command *const commands[] = {&fm_command_pair, &fm_command_serve, &fm_command_devices,
						    &fm_command_translate, NULL};

/* The commands are linked for their tables; these two are main's, and no page calls them. */
int fm_exit_code(const struct fm_error *error, int signal)
{
	return error->code ? FM_EXIT_USAGE : signal;
}

void fm_command_help(const struct fm_command *command, const struct fm_option_set *const *sets, size_t count)
{
	puts(command->usage);
	fm_options_help(sets, count, stdout);
}

/* The command's own options and, for pair, those of every backend. */
static size_t sets_of(const struct fm_command *command, const struct fm_option_set **sets)
{
	sets[0] = command->options;
	return command == &fm_command_pair ? 1 + fm_backend_sets(sets + 1) : 1;
}

static void man_exit_status(const char *const *exits)
{
	puts(".SH EXIT STATUS");
	for (const char *const *at = exits; at && *at; at++) {
		int digits = (int)strcspn(*at, " ");

		printf(".TP\n.B %.*s\n%s\n", digits, *at, *at + digits + 1);
	}
	if (exits)
		return;
	puts(".TP\n.B 0\nevery row asked for is ok\n"
	     ".TP\n.B 1\na verdict failed\n"
	     ".TP\n.B 2\nusage\n"
	     ".TP\n.B 3\ncould not measure: environment, peer lost, or any failed row\n"
	     ".TP\n.B 4\ninconclusive\n"
	     ".TP\n.B 130, 143\ninterrupted; rows are kept");
}

static void man_overview(void)
{
	puts(".TH FABMARK 1 \"\" \"fabmark " FM_VERSION "\"\n"
	     ".SH NAME\nfabmark \\- measure what the network of a GPU cluster really delivers\n"
	     ".SH SYNOPSIS\n.B fabmark\n.I COMMAND\n[\\fIOPTION\\fR...]\n"
	     ".SH COMMANDS");
	for (const struct fm_command *const *at = commands; *at; at++)
		printf(".TP\n.BR fabmark-%s (1)\n%s\n", (*at)->name, (*at)->help);
	man_exit_status(NULL);
	puts(".SH FILES\n"
	     ".TP\n.I fabmark-results/<run-id>/results.csv\none row per point, written when it is measured\n"
	     ".TP\n.I fabmark-results/<run-id>/run.json\nwhat varies between runs\n"
	     ".TP\n.I ~/.config/fabmark/token\nthe secret that both nodes share, mode 0600\n"
	     ".SH ENVIRONMENT\n"
	     ".TP\n.B FABMARK_TOKEN\nthe secret, before the file\n"
	     ".TP\n.B FABMARK_TRANSPORT_PATH\nfolders and files, parted by colons, with transports that are loaded at "
	     "run time; on both nodes");
}

/* Text as it stands, for groff: blank-led and empty lines are its own business. */
static void man_text(const char *text)
{
	puts(".nf");
	for (const char *at = text; *at; at += strcspn(at, "\n"), at += *at == '\n') {
		/* A quote or a full stop at the beginning of a line would be a request. */
		fputs(*at == '\'' || *at == '.' ? "\\&" : "", stdout);
		for (const char *letter = at; *letter && *letter != '\n'; letter++) {
			/* A plain hyphen or quote would be printed as another sign. */
			if (*letter == '-')
				fputs("\\-", stdout);
			else if (*letter == '\'')
				fputs("\\(aq", stdout);
			else if (*letter == '\\')
				fputs("\\e", stdout);
			else
				putchar(*letter);
		}
		putchar('\n');
	}
	puts(".fi");
}

/* Man pages are named in capitals, whole. */
static void man_title(const struct fm_command *command)
{
	printf(".TH FABMARK-");
	for (const char *at = command->name; *at; at++)
		putchar(toupper((unsigned char)*at));
	puts(" 1 \"\" \"fabmark " FM_VERSION "\"");
}

static void man_command(const struct fm_command *command)
{
	const struct fm_option_set *sets[1 + FM_TRANSPORTS_MAX];
	size_t count = sets_of(command, sets);

	man_title(command);
	printf(".SH NAME\nfabmark-%s \\- %s\n", command->name, command->help);
	printf(".SH SYNOPSIS\n.B fabmark %s\n%s\n", command->name, command->usage);
	if (command->about) {
		puts(".SH DESCRIPTION");
		man_text(command->about);
	}
	puts(".SH OPTIONS");
	fm_options_man(sets, count, stdout);
	man_exit_status(command->exits);
	puts(".SH SEE ALSO\n.BR fabmark (1)");
}

static void bash_options(const struct fm_command *command)
{
	const struct fm_option_set *sets[1 + FM_TRANSPORTS_MAX];
	size_t count = sets_of(command, sets);

	printf("\t\t%s) words=\"", command->name);
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < sets[i]->count; j++)
			if (!sets[i]->rows[j].hidden)
				printf("--%s ", sets[i]->rows[j].name);
	puts("\" ;;");
}

static void bash_completion(void)
{
	puts("# bash completion of fabmark; made from its option rows\n"
	     "_fabmark() {\n"
	     "\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words= folder=fabmark-results "
	     "i\n"
	     "\tCOMPREPLY=()\n"
	     "\tif [ \"$COMP_CWORD\" -eq 1 ]; then");
	printf("\t\twords=\"--help --version");
	for (const struct fm_command *const *at = commands; *at; at++)
		printf(" %s", (*at)->name);
	puts("\"\n\telse\n\t\tcase ${COMP_WORDS[1]} in");
	for (const struct fm_command *const *at = commands; *at; at++)
		bash_options(*at);
	puts("\t\tesac\n\t\tcase $before in");
	printf("\t\t--transport) words=\"auto all");
	for (const struct fm_backend *at = fm_backends; at->table; at++)
		printf(" %s", at->table->name);
	printf("\" ;;\n\t\t--test) words=\"all lat bw");
	for (int i = 0; i < FM_TEST_COUNT; i++)
		printf(" %s", fm_tests[i].name);
	printf("\" ;;\n\t\t--memory) words=\"");
	for (const struct fm_memory_kind *const *at = fm_memory_kinds; *at; at++)
		printf("%s%s", at == fm_memory_kinds ? "" : " ", (*at)->name);
	puts("\" ;;\n"
	     "\t\t--rails) words=\"one all each\" ;;\n"
	     "\t\t--again)\n"
	     "\t\t\tfor ((i = 2; i < COMP_CWORD; i++)); do\n"
	     "\t\t\t\t[ \"${COMP_WORDS[i]}\" = --out ] && folder=${COMP_WORDS[i+1]}\n"
	     "\t\t\tdone\n"
	     "\t\t\twords=\"last $(compgen -d -- \"$folder/\" | sed 's|.*/||' | tr '\\n' ' ')\" ;;\n"
	     "\t\t--csv|--json|--raw|--token-file)\n"
	     "\t\t\tcompopt -o filenames 2>/dev/null # fails outside of a completion\n"
	     "\t\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$word\"); return ;;\n"
	     "\t\t--out)\n"
	     "\t\t\tcompopt -o filenames 2>/dev/null\n"
	     "\t\t\tmapfile -t COMPREPLY < <(compgen -d -- \"$word\"; compgen -W none -- \"$word\"); return ;;\n"
	     "\t\tesac\n\tfi\n"
	     "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
	     "}\n"
	     "complete -F _fabmark fabmark");
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "bash") == 0)
		bash_completion();
	else if (argc == 2 && strcmp(argv[1], "man") == 0)
		man_overview();
	else
		for (const struct fm_command *const *at = commands; *at && argc == 3; at++)
			if (strcmp(argv[2], (*at)->name) == 0)
				man_command(*at);
	return fclose(stdout) == 0 ? 0 : 1;
}
