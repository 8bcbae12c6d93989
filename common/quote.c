/*
 * quote.c - quotes words for a shell.
 */
#include "common/quote.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static int put(char *text, size_t bytes, size_t *used, const char *part)
{
	size_t length = strlen(part);

	if (*used + length >= bytes)
		return -ENOSPC;
	memcpy(text + *used, part, length + 1);
	*used += length;
	return 0;
}

int fm_quote_append(char *text, size_t bytes, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,@%+=";
	size_t before = strlen(text), used = before;
	bool quoted = !word[0] || strspn(word, plain) != strlen(word) || word[0] == '=' || word[0] == '%';
	int code = 0;

	if (strpbrk(word, "\r\n"))
		return -EINVAL;
	if (used)
		code = put(text, bytes, &used, " ");
	if (code == 0 && quoted)
		code = put(text, bytes, &used, "'");
	for (; *word && code == 0; word++) {
		const char one[] = {*word, '\0'};

		/* '!' is the C shell's even inside quotes, and a backslash is fish's. */
		if (*word == '\'')
			code = put(text, bytes, &used, "'\\''");
		else if (*word == '!')
			code = put(text, bytes, &used, "'\\!'");
		else if (*word == '\\')
			code = put(text, bytes, &used, "'\\\\'");
		else
			code = put(text, bytes, &used, one);
	}
	if (code == 0 && quoted)
		code = put(text, bytes, &used, "'");
	if (code)
		text[before] = '\0';
	return code;
}
