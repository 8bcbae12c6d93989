/*
 * option_table.c - prints the table of pair's options as README.md has it.
 */
#include "bench/config.h"
#include "transports/registry.h"

int main(void)
{
	const struct fm_option_set *sets[1 + FM_BACKENDS_MAX] = {&fm_pair_option_set};
	size_t count = 1;

	for (const struct fm_transport *const *at = fm_transports; *at && count < 1 + FM_BACKENDS_MAX; at++)
		if ((*at)->options && (*at)->options->count)
			sets[count++] = (*at)->options;
	fm_options_markdown(sets, count, stdout);
	return fclose(stdout) == 0 ? 0 : 1;
}
