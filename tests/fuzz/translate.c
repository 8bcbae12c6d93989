/*
 * translate.c - fuzzes the translation of other programs' command lines.
 */
#include <stdlib.h>

#include "bench/config.h"
#include "bench/translate.h"
#include "transports/registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	const struct fm_option_set *sets[1 + FM_TRANSPORTS_MAX] = {&fm_pair_option_set};
	const struct fm_translate_rows rows = {sets, 1 + fm_backend_sets(sets + 1), &fm_serve_option_set,
					       fm_pair_rules};
	char *text = malloc(count + 1), *words = malloc(count + 1), *argv[FM_TRANSLATE_WORDS_MAX];
	struct fm_translation *translation = malloc(sizeof(*translation));
	struct fm_error error = {0};
	int argc, code;

	if (!text || !words || !translation)
		goto out;
	memcpy(text, bytes, count);
	text[count] = '\0';
	argc = fm_shell_split(text, words, argv, FM_TRANSLATE_WORDS_MAX, &error);
	code = argc < 0 ? argc : fm_translate(&rows, argc, argv, translation, &error);
	if (code ? !error.text[0] || error.reason != FM_REASON_USAGE
		 : strncmp(translation->line, "fabmark ", 8) != 0 || strchr(translation->line, '\n'))
		__builtin_trap();
out:
	free(translation);
	free(words);
	free(text);
	return 0;
}
