/*
 * memory.c - the table of memory kinds.
 */
#include "common/memory/memory.h"

#ifdef FM_TEST_KINDS
extern const struct fm_memory_kind fm_memory_guarded;
#endif

const struct fm_memory_kind *const fm_memory_kinds[] = {
	&fm_memory_host,
	&fm_memory_hugepage,
#ifdef FM_TEST_KINDS
	&fm_memory_guarded,
#endif
	NULL,
};

const struct fm_memory_kind *fm_memory_find(const char *name)
{
	size_t length = strcspn(name, ":");

	for (const struct fm_memory_kind *const *at = fm_memory_kinds; *at; at++)
		if (strlen((*at)->name) == length && strncmp((*at)->name, name, length) == 0)
			return *at;
	return NULL;
}
