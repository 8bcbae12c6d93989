/*
 * hang.c - preloaded where a test wants a call of libibverbs that never returns, as in a broken driver: the one that
 * FABMARK_HANG names.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The real one; does not return where it is to hang. */
static int call(const char *name, void *argument)
{
	union {
		void *symbol;
		int (*call)(void *argument);
	} next = {.symbol = dlsym(RTLD_NEXT, name)};
	const char *hangs = getenv("FABMARK_HANG");

	while (hangs && strcmp(hangs, name) == 0)
		pause();
	/* Whoever opened the library as a module has it out of this one's sight. */
	if (!next.symbol)
		next.symbol = dlsym(dlopen("libibverbs.so.1", RTLD_NOW | RTLD_NOLOAD), name);
	return next.call(argument);
}

/* As call, for a function that returns a pointer. */
static void *call_for_pointer(const char *name, void *argument)
{
	union {
		void *symbol;
		void *(*call)(void *argument);
	} next = {.symbol = dlsym(RTLD_NEXT, name)};
	const char *hangs = getenv("FABMARK_HANG");

	while (hangs && strcmp(hangs, name) == 0)
		pause();
	if (!next.symbol)
		next.symbol = dlsym(dlopen("libibverbs.so.1", RTLD_NOW | RTLD_NOLOAD), name);
	return next.call(argument);
}

void *ibv_open_device(void *device);
__attribute__((visibility("default"))) void *ibv_open_device(void *device)
{
	return call_for_pointer("ibv_open_device", device);
}

int ibv_destroy_qp(void *qp);
__attribute__((visibility("default"))) int ibv_destroy_qp(void *qp)
{
	return call("ibv_destroy_qp", qp);
}

int ibv_dereg_mr(void *region);
__attribute__((visibility("default"))) int ibv_dereg_mr(void *region)
{
	return call("ibv_dereg_mr", region);
}
