/*
 * quote.c - words for a shell: every shell that this machine has reads back what was quoted.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/quote.h"

static const char *const words[] = {"plain",	    "",		  "two words", "it's",	"$HOME `id` $(id)",
				    "a;b|c&d>e<f",  "*?[x]{a,b}", "~",	       "#no",	"back\\slash",
				    "\\",	    "'",	  "\"",	       "bang!", "!!",
				    "--size=8,64K", "=ls",	  "%1",	       "\ttab", "-",
				    "caf\xc3\xa9"};
enum { WORDS = sizeof(words) / sizeof(words[0]) };

/* What the shell makes of the line, a word a line. */
static void assert_shell(const char *shell, const char *line)
{
	char script[4096], expected[1024] = "", got[1024];
	int fds[2], status;
	ssize_t used = 0, n;
	pid_t pid;

	for (size_t i = 0; i < WORDS; i++) {
		size_t at = strlen(expected);

		snprintf(expected + at, sizeof(expected) - at, "%s\n", words[i]);
	}
	snprintf(script, sizeof(script), "/usr/bin/env printf '%%s\\n' %s", line);
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		execlp(shell, shell, "-c", script, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	while (used < (ssize_t)sizeof(got) - 1 && (n = read(fds[0], got + used, sizeof(got) - 1 - (size_t)used)) > 0)
		used += n;
	got[used] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127 && strcmp(shell, "sh") != 0) {
		print_message("%s is not installed\n", shell);
		return;
	}
	assert_string_equal(got, expected);
}

static void shells_read_back_what_was_quoted(void **state)
{
	static const char *const shells[] = {"sh", "bash", "dash", "zsh", "csh", "tcsh", "fish", "ksh"};
	char line[2048] = "";

	(void)state;
	for (size_t i = 0; i < WORDS; i++)
		assert_int_equal(fm_quote_append(line, sizeof(line), words[i]), 0);
	for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++)
		assert_shell(shells[i], line);
}

static void what_does_not_fit_leaves_the_line(void **state)
{
	char line[16] = "";

	(void)state;
	assert_int_equal(fm_quote_append(line, sizeof(line), "fabmark"), 0);
	assert_int_equal(fm_quote_append(line, sizeof(line), "12345678"), -ENOSPC);
	assert_string_equal(line, "fabmark");
	assert_int_equal(fm_quote_append(line, sizeof(line), "a b c d"), -ENOSPC);
	assert_string_equal(line, "fabmark");
	assert_int_equal(fm_quote_append(line, sizeof(line), "1234567"), 0);
	assert_string_equal(line, "fabmark 1234567");
	line[0] = '\0';
	assert_int_equal(fm_quote_append(line, sizeof(line), "a\nb"), -EINVAL);
	assert_string_equal(line, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shells_read_back_what_was_quoted),
		cmocka_unit_test(what_does_not_fit_leaves_the_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
