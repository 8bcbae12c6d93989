/*
 * options.c - fuzzes command lines of pair: words parted by newlines.
 */
#include <stdlib.h>

#include "bench/config.h"

enum { WORDS_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	static const struct fm_option_set *const sets[] = {&fm_pair_option_set};
	struct fm_pair_config config;
	void *values[] = {&config};
	const struct fm_option_parser parser = {"fabmark pair",	 sets,		values, 1,
						fm_pair_aliases, fm_pair_rules, 1,	fm_pair_foreign};
	char *text = malloc(count + 1), *rest = NULL, *argv[WORDS_MAX + 1] = {"pair"};
	const char *positional[1];
	uint32_t positionals;
	struct fm_error error = {0};
	int argc = 1;

	if (!text)
		return 0;
	memcpy(text, bytes, count);
	text[count] = '\0';
	for (char *word = strtok_r(text, "\n", &rest); word && argc < WORDS_MAX; word = strtok_r(NULL, "\n", &rest))
		argv[argc++] = word;
	if (fm_options_defaults(sets[0], &config, &error))
		__builtin_trap();
	if (fm_options_parse(&parser, argc, argv, positional, &positionals, NULL, &error) &&
	    (!error.text[0] || error.reason != FM_REASON_USAGE))
		__builtin_trap();
	free(text);
	return 0;
}
