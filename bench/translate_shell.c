/*
 * translate_shell.c - parts a command line into words as a POSIX shell does (IEEE Std 1003.1, XCU 2.2 Quoting).
 */
#include <errno.h>

#include "bench/translate.h"

struct split {
	const char *at;
	char *out;
	struct fm_error *error;
};

static int refuse(const struct split *split, const char *sentence)
{
	return fm_error_set(split->error, -EINVAL, FM_REASON_USAGE, "%s", sentence);
}

/* From the opening quote to behind the closing one. */
static int split_single(struct split *split)
{
	const char *end = strchr(split->at + 1, '\'');

	if (!end)
		return refuse(split, "a quote (') is not closed; close it");
	memcpy(split->out, split->at + 1, (size_t)(end - split->at - 1));
	split->out += end - split->at - 1;
	split->at = end + 1;
	return 0;
}

static int split_double(struct split *split)
{
	for (split->at++; *split->at != '"'; split->at++) {
		if (!*split->at)
			return refuse(split, "a quote (\") is not closed; close it");
		if (*split->at == '$' || *split->at == '`')
			return refuse(split,
				      "it has a shell variable or command in it ($ or `); write what it stands for");
		if (*split->at == '\\' && split->at[1] && strchr("$`\"\\", split->at[1]))
			split->at++;
		*split->out++ = *split->at;
	}
	split->at++;
	return 0;
}

/* A backslash before the end of a line joins it to the next one. */
static bool joins(const char *at)
{
	return at[0] == '\\' && at[1] == '\n';
}

/* Comments too: a word that begins with '#' hides the rest of its line. */
static void skip_blanks(struct split *split)
{
	while (joins(split->at) || (*split->at && strchr(" \t\n#", *split->at)))
		split->at += joins(split->at) ? 2 : *split->at == '#' ? strcspn(split->at, "\n") : 1;
}

/* One word, to the blank behind it. */
static int split_word(struct split *split)
{
	while (*split->at && !strchr(" \t\n", *split->at)) {
		int code = 0;

		if (joins(split->at)) {
			split->at += 2;
		} else if (*split->at == '\'') {
			code = split_single(split);
		} else if (*split->at == '"') {
			code = split_double(split);
		} else if (strchr("$`", *split->at)) {
			return refuse(split,
				      "it has a shell variable or command in it ($ or `); write what it stands for");
		} else if (strchr("|&;<>()", *split->at)) {
			return refuse(
				split,
				"it is more than one plain command (| & ; < > ( or )); give one, without redirections");
		} else {
			if (*split->at == '\\' && !*++split->at)
				return refuse(split, "it ends in a backslash; take it out");
			*split->out++ = *split->at++;
		}
		if (code)
			return code;
	}
	*split->out++ = '\0';
	return 0;
}

int fm_shell_split(const char *text, char *bytes, char **argv, int max, struct fm_error *error)
{
	struct split split = {.at = text, .error = error};
	int argc = 0;

	split.out = bytes;
	for (skip_blanks(&split); *split.at; skip_blanks(&split)) {
		int code;

		if (argc == max)
			return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
					    "more than %d words; a command line has fewer", max);
		argv[argc++] = split.out;
		code = split_word(&split);
		if (code)
			return code;
	}
	return argc;
}
