/*
 * memory.h - the table of memory kinds.
 */
#ifndef FM_MEMORY_H
#define FM_MEMORY_H

#include "common/buffer.h"

/* All kinds, those that cannot be had here included; NULL-terminated. */
extern const struct fm_memory_kind *const fm_memory_kinds[];

/* The kind that other kinds stage through, and its sister on huge pages. */
extern const struct fm_memory_kind fm_memory_host, fm_memory_hugepage;

/* The kind of this name (the part before ':' in "cuda:1"), or NULL. */
const struct fm_memory_kind *fm_memory_find(const char *name);

#endif
