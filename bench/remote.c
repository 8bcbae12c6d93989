/*
 * remote.c - starts fabmark over ssh and says why that failed.
 */
#include "bench/remote.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/quote.h"

enum { WORDS_MAX = 64, COMMAND_MAX = 16384, GREETING_LINES = 200 };

#define MARK	   "fabmark-remote"
#define MISSING	   "fabmark-missing"
#define RESOLVE_NS 10000000000ull /* ssh -G */
#define START_S	   20		  /* beyond ssh's own connect timeout */
#define ASK_S	   120		  /* on a terminal, where a passphrase may be asked for */
#define GRACE_NS   3000000000ull  /* to end by itself */
#define EXPLAIN_NS 3000000000ull
#define IDLE_S	   30 /* a server that nobody comes to, beyond the connect timeout */

/*
 * What the other node's shell runs, whichever shell that is: sh, which says that it is there (a login script may have
 * printed before), then the program's version, then becomes the program. No quotes, line breaks or exclamation marks.
 */
#define FIND_ANY   "p=$1; shift; [ -x \"$p\" ] || p=fabmark; "
#define FIND_GIVEN "p=$1; shift; "
#define RUN                                                                                                            \
	"echo " MARK "; command -v \"$p\" >/dev/null 2>&1 || { echo " MISSING "; exit 127; }; "                        \
	"\"$p\" --version </dev/null; exec \"$p\" \"$@\""

/* argv of ssh; texts that are made lie in room. */
struct command {
	const char *words[WORDS_MAX + 1];
	uint32_t count;
	bool full; /* there were more */
	char room[4 * FM_TEXT_MAX];
	size_t used;
};

static void add(struct command *command, const char *word)
{
	if (command->count < WORDS_MAX)
		command->words[command->count++] = word;
	else
		command->full = true;
}

/* The words of --ssh-command. Is it OpenSSH's, by its name? */
static bool add_launcher(struct command *command, const char *text)
{
	const char *base;
	char *rest, *word;

	command->used = (size_t)snprintf(command->room, sizeof(command->room), "%s", text) + 1;
	for (word = strtok_r(command->room, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest))
		add(command, word);
	base = command->count ? strrchr(command->words[0], '/') : NULL;
	base = base ? base + 1 : command->count ? command->words[0] : "";
	return strcmp(base, "ssh") == 0;
}

static void add_options(struct command *command, const struct fm_remote_way *way)
{
	char *timeout = command->room + command->used;

	snprintf(timeout, sizeof(command->room) - command->used, "ConnectTimeout=%.0f",
		 fmax(1, ceil(way->connect_timeout_s)));
	/* Of an option that comes twice ssh takes the first: what --ssh-command says wins. */
	add(command, "-T");
	add(command, "-x");
	add(command, "-o");
	add(command, timeout);
	add(command, "-o");
	add(command, "ServerAliveInterval=5");
	add(command, "-o");
	add(command, "ServerAliveCountMax=3");
	if (isatty(STDIN_FILENO))
		return;
	add(command, "-o");
	add(command, "BatchMode=yes");
}

/* ---- names ---- */

static void host_resolve(const struct fm_remote_way *way, struct fm_remote_host *host)
{
	struct command command = {.count = 0};
	struct fm_process process;
	struct fm_error ignored;
	const char *user = strrchr(host->name, '@');
	uint64_t deadline_ns = fm_now_ns() + RESOLVE_NS;
	char line[FM_TEXT_MAX + 32];

	snprintf(host->address, sizeof(host->address), "%s", user ? user + 1 : host->name);
	if (!add_launcher(&command, way->command))
		return;
	add(&command, "-G");
	add(&command, host->name);
	if (fm_process_start(command.words, false, &process, &ignored))
		return;
	while (fm_process_line(&process, deadline_ns, way->interrupt_fd, line, sizeof(line)) == 0)
		if (strncmp(line, "hostname ", 9) == 0)
			snprintf(host->address, sizeof(host->address), "%.255s", line + 9);
	fm_process_stop(&process, 0);
}

int fm_remote_host(const char *text, const struct fm_remote_way *way, struct fm_remote_host *host,
		   struct fm_error *error)
{
	size_t length = strcspn(text, "=");

	if (length == 0 || text[0] == '-' || length >= sizeof(host->name) || (text[length] && !text[length + 1]))
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "--ssh: '%.100s' is no host: give NAME or NAME=ADDRESS, as in 'ssh NAME'", text);
	memcpy(host->name, text, length);
	host->name[length] = '\0';
	if (text[length])
		snprintf(host->address, sizeof(host->address), "%s", text + length + 1);
	else
		host_resolve(way, host);
	return 0;
}

/* ---- why it failed ---- */

/* What ssh says last, and what to do about it. */
static const struct {
	const char *part;
	enum fm_reason reason;
	const char *next;
} complaints[] = {
	{"Could not resolve", FM_REASON_UNREACHABLE, "check the name, or give it a HostName in ~/.ssh/config"},
	{"Name or service not known", FM_REASON_UNREACHABLE, "check the name"},
	{"Permission denied", FM_REASON_ENVIRONMENT,
	 "load a key that it accepts (ssh-add), or give one with --ssh-command 'ssh -i KEY'"},
	{"Too many authentication", FM_REASON_ENVIRONMENT, "name the key with --ssh-command 'ssh -i KEY'"},
	{"Host key verification failed", FM_REASON_ENVIRONMENT,
	 "log in once by hand with ssh, and check the host key that it shows"},
	{"Connection refused", FM_REASON_REFUSED, "no sshd listens there; is it up, and the port right?"},
	{"timed out", FM_REASON_UNREACHABLE, "is the node up, and does a firewall let ssh through?"},
	{"No route", FM_REASON_UNREACHABLE, "is the node up, and the network to it?"},
	{"unreachable", FM_REASON_UNREACHABLE, "is the node up, and the network to it?"},
};

static int explain_ssh(const struct fm_remote *remote, const char *said, struct fm_error *error)
{
	for (size_t i = 0; i < sizeof(complaints) / sizeof(complaints[0]); i++)
		if (strstr(said, complaints[i].part))
			return fm_error_set(error, -EHOSTUNREACH, complaints[i].reason,
					    "ssh to %.80s failed: %.200s; %s", remote->name, said, complaints[i].next);
	return fm_error_set(error, -EHOSTUNREACH, FM_REASON_UNREACHABLE,
			    "ssh to %.80s failed: %.160s; try '%.120s %.80s true' by hand", remote->name,
			    said[0] ? said : "it gave no cause", remote->command, remote->name);
}

int fm_remote_explain(struct fm_remote *remote, struct fm_error *error)
{
	static const char own[] = "fabmark: ", ssh[] = "ssh: ";
	struct fm_process *process = &remote->process;
	bool gone = fm_process_ended(process, EXPLAIN_NS);
	int status = process->status;
	char said[256];

	fm_process_complaint(process, said, sizeof(said));
	/* A sentence of ours goes on behind it. */
	for (size_t end = strlen(said); end > 0 && said[end - 1] == '.'; end--)
		said[end - 1] = '\0';
	if (strncmp(said, ssh, strlen(ssh)) == 0)
		memmove(said, said + strlen(ssh), strlen(said + strlen(ssh)) + 1);
	if (!gone)
		return fm_error_set(
			error, -EPIPE, FM_REASON_PEER_FAILED,
			"fabmark on %.80s closed its output without a word; try '%.120s %.80s fabmark devices' by "
			"hand",
			remote->name, remote->command, remote->name);
	if (status != -1 && WIFSIGNALED(status))
		return fm_error_set(error, -ECHILD, FM_REASON_ENVIRONMENT, "ssh to %.80s was killed by signal %d",
				    remote->name, WTERMSIG(status));
	if (!remote->ours && status != -1 && WEXITSTATUS(status) == 255)
		return explain_ssh(remote, said, error);
	if (!remote->ours)
		return fm_error_set(error, -ENOEXEC, FM_REASON_ENVIRONMENT,
				    "the shell on %.80s does not run commands: %.160s; try '%.120s %.80s true' by hand",
				    remote->name, said[0] ? said : "it ended at once", remote->command, remote->name);
	return fm_error_set(error, -EREMOTEIO, FM_REASON_PEER_FAILED, "fabmark on %.80s ended (exit code %d): %.300s",
			    remote->name, status != -1 ? WEXITSTATUS(status) : -1,
			    said[0] ? said + (strncmp(said, own, strlen(own)) == 0 ? strlen(own) : 0)
				    : "it gave no cause");
}

/* ---- starting ---- */

static int line_failed(struct fm_remote *remote, int code, double seconds, struct fm_error *error)
{
	if (code == -EINTR)
		return fm_error_set(error, code, FM_REASON_INTERRUPTED, "interrupted while starting fabmark on %.80s",
				    remote->name);
	if (code == -ETIMEDOUT)
		return fm_error_set(error, code, FM_REASON_TIMEOUT,
				    "fabmark on %.80s did not start within %.0f s; is the node overloaded, or its file "
				    "system? Try '%.120s %.80s fabmark --version' by hand",
				    remote->name, seconds, remote->command, remote->name);
	return fm_remote_explain(remote, error);
}

/* The mark, past whatever a login script prints, then the version. */
static int greeting_read(struct fm_remote *remote, const struct fm_remote_way *way, double seconds,
			 struct fm_error *error)
{
	uint64_t deadline_ns = fm_now_ns() + (uint64_t)(seconds * 1e9);
	char line[256] = "";
	int code = 0;

	for (int i = 0; i < GREETING_LINES && code == 0 && strcmp(line, MARK) != 0; i++)
		code = fm_process_line(&remote->process, deadline_ns, way->interrupt_fd, line, sizeof(line));
	if (code == 0 && strcmp(line, MARK) != 0)
		return fm_error_set(
			error, -EPROTO, FM_REASON_ENVIRONMENT,
			"the login script on %.80s prints more than %d lines before fabmark begins: let it print "
			"nothing where its shell is not interactive",
			remote->name, GREETING_LINES);
	remote->ours = code == 0;
	if (code == 0)
		code = fm_process_line(&remote->process, deadline_ns, way->interrupt_fd, line, sizeof(line));
	if (code)
		return line_failed(remote, code, seconds, error);
	if (strcmp(line, MISSING) == 0 && way->program[0])
		return fm_error_set(error, -ENOENT, FM_REASON_ENVIRONMENT,
				    "there is no program '%.150s' on %.80s: check --remote-program", way->program,
				    remote->name);
	if (strcmp(line, MISSING) == 0)
		return fm_error_set(error, -ENOENT, FM_REASON_ENVIRONMENT,
				    "there is no fabmark on %.80s, neither at this program's path nor in the PATH of a "
				    "shell that ssh starts: install it there, or name it with --remote-program PATH",
				    remote->name);
	if (strcmp(line, "fabmark " FM_VERSION) != 0)
		return fm_error_set(error, -EPROTONOSUPPORT, FM_REASON_VERSION,
				    "the program on %.80s is '%.60s', and this is 'fabmark " FM_VERSION
				    "': install the same version there, or name it with --remote-program PATH",
				    remote->name, line);
	return 0;
}

/* The whole line for the other node's shell. */
static int remote_line(const struct fm_remote_way *way, const char *const *arguments, char line[COMMAND_MAX],
		       struct fm_error *error)
{
	char own[FM_TEXT_MAX * 4] = "";
	ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);
	const char *const head[] = {"exec", "sh",
				    "-c",   way->program[0] ? FIND_GIVEN RUN : FIND_ANY RUN,
				    "sh",   way->program[0] ? way->program : own};
	int code = 0;

	own[length > 0 ? length : 0] = '\0';
	line[0] = '\0';
	for (size_t i = 0; i < sizeof(head) / sizeof(head[0]) && code == 0; i++)
		code = fm_quote_append(line, COMMAND_MAX, head[i]);
	for (; *arguments && code == 0; arguments++)
		code = fm_quote_append(line, COMMAND_MAX, *arguments);
	if (code)
		return fm_error_set(error, code, FM_REASON_USAGE, "the command line for the other node %s",
				    code == -EINVAL ? "has a line break in it: leave it out" : "is too long");
	return 0;
}

int fm_remote_start(const char *name, const struct fm_remote_way *way, const char *const *arguments, bool live,
		    const struct fm_token *token, struct fm_remote *remote, struct fm_error *error)
{
	const double seconds = isatty(STDIN_FILENO) ? ASK_S : way->connect_timeout_s + START_S;
	struct command command = {.count = 0};
	char line[COMMAND_MAX], secret[FM_TOKEN_MAX + 2];
	int code = remote_line(way, arguments, line, error);
	bool openssh;

	*remote = (struct fm_remote){.process = {.in = -1, .out = -1, .err = -1}};
	snprintf(remote->name, sizeof(remote->name), "%s", name);
	remote->command = way->command;
	if (code)
		return code;
	openssh = add_launcher(&command, way->command);
	if (!command.count)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "--ssh-command is empty");
	if (openssh)
		add_options(&command, way);
	add(&command, name);
	add(&command, line);
	if (command.full)
		return fm_error_set(
			error, -EINVAL, FM_REASON_USAGE,
			"--ssh-command has more words than the %d that there is room for: put them in a script, "
			"or in ~/.ssh/config",
			WORDS_MAX);
	code = fm_process_start(command.words, live, &remote->process, error);
	if (code)
		return fm_error_prefix(error, "--ssh-command: ");
	/* Far below a pipe's capacity, so this cannot block; a program that is gone is noticed by what it does not say.
	 */
	snprintf(secret, sizeof(secret), "%s\n", token->text);
	(void)!write(remote->process.in, secret, strlen(secret));
	explicit_bzero(secret, sizeof(secret));
	code = greeting_read(remote, way, seconds, error);
	if (code)
		fm_process_stop(&remote->process, 0);
	return code;
}

int fm_remote_serve(const char *name, const struct fm_remote_way *way, uint64_t wish, const struct fm_token *token,
		    struct fm_remote *remote, uint16_t *port, struct fm_error *error)
{
	char port_text[32], idle_text[32], line[64];
	const char *const arguments[] = {"serve",      "--once", "--quiet", "--token-file", "-", "--exit-on-eof",
					 "--any-port", "--port", port_text, "--ready-fd",   "1", "--idle-timeout",
					 idle_text,    NULL};
	unsigned long number;
	int code;

	snprintf(port_text, sizeof(port_text), "%llu", (unsigned long long)wish);
	snprintf(idle_text, sizeof(idle_text), "%.0f", ceil(way->connect_timeout_s) + IDLE_S);
	code = fm_remote_start(name, way, arguments, false, token, remote, error);
	if (code)
		return code;
	code = fm_process_line(&remote->process, fm_now_ns() + START_S * 1000000000ull, way->interrupt_fd, line,
			       sizeof(line));
	number = code ? 0 : strtoul(line, NULL, 10);
	if (code)
		line_failed(remote, code, START_S, error);
	else if (number < 1 || number > 65535)
		code = fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "fabmark on %.80s told no port but '%.40s'",
				    name, line);
	if (code) {
		fm_process_stop(&remote->process, 0);
		return code;
	}
	*port = (uint16_t)number;
	return 0;
}

void fm_remote_stop(struct fm_remote *remote, bool now)
{
	if (remote->name[0])
		fm_process_stop(&remote->process, now ? 0 : GRACE_NS);
}
