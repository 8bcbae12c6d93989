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

/*
 * Where a kind lives on what was reserved for it: is there room for `count` buffers of so many bytes at once? 0, also
 * of the other kinds; -ENOMEM (out_of_memory) says how much the whole of it takes and how to reserve that.
 */
int fm_memory_reserved(const struct fm_memory_kind *kind, double bytes, double count, struct fm_error *error);

/* The kind of this name (the part before ':' in "cuda:1"), or NULL. */
const struct fm_memory_kind *fm_memory_find(const char *name);

#endif
