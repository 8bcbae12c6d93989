/*
 * option_table.c - prints the table of pair's options as README.md has it.
 */
#include "bench/config.h"
#include "transports/registry.h"

int main(void)
{
	const struct fm_option_set *sets[1 + FM_TRANSPORTS_MAX] = {&fm_pair_option_set};
	size_t count = 1 + fm_backend_sets(sets + 1);

	fm_options_markdown(sets, count, stdout);
	return fclose(stdout) == 0 ? 0 : 1;
}
