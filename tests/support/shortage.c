/*
 * shortage.c - preloaded into a program, it makes allocation SHORTAGE_AT fail, and SHORTAGE_LASTS of them in all,
 * whoever asks: the program or one of its libraries.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/* glibc's own, under the names by which a replacement reaches them. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);

static bool fails(void)
{
	static atomic_long asked;
	const char *at = getenv("SHORTAGE_AT");

	if (!at || atomic_fetch_add(&asked, 1) < atol(at))
		return false;
	errno = ENOMEM;
	return true;
}

__attribute__((visibility("default"))) void *malloc(size_t bytes)
{
	return fails() ? NULL : __libc_malloc(bytes);
}

__attribute__((visibility("default"))) void *calloc(size_t count, size_t bytes)
{
	return fails() ? NULL : __libc_calloc(count, bytes);
}

__attribute__((visibility("default"))) void *realloc(void *old, size_t bytes)
{
	return fails() ? NULL : __libc_realloc(old, bytes);
}
