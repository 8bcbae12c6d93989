/*
 * cue.c - stops a program where a test wants it: FABMARK_CUE is a list of messages, ">arm" sent, "<arm" received; when
 * these have gone by in this order, others between them or not, the process stops itself (SIGSTOP) before the last one
 * is sent, or before what was received is looked at. The test then kills, signals or continues it. FABMARK_HELLO is a
 * JSON object that is laid over each "hello" that comes in: the peer is another version then. FABMARK_WALL: by so many
 * seconds the wall clock jumps to and fro between two looks at it.
 *
 * Linked with --wrap for what stands here under that name: the program itself has no such hook.
 */
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

size_t __real_json_dumpb(const json_t *json, char *buffer, size_t size, size_t flags);
size_t __wrap_json_dumpb(const json_t *json, char *buffer, size_t size, size_t flags);
json_t *__real_json_loadb(const char *buffer, size_t size, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *buffer, size_t size, size_t flags, json_error_t *error);
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

static void cue_seen(char direction, const json_t *message)
{
	/* How much of the list has gone by. Only the control thread speaks and hears. */
	static size_t used;
	const char *list = getenv("FABMARK_CUE"), *type = json_string_value(json_object_get(message, "type"));
	size_t length;

	if (!list || !type || strlen(list) <= used || list[used] != direction)
		return;
	length = strcspn(list + used + 1, " ");
	if (strlen(type) != length || strncmp(list + used + 1, type, length) != 0)
		return;
	used += 1 + length;
	while (list[used] == ' ')
		used++;
	if (!list[used])
		raise(SIGSTOP);
}

static void hello_forge(json_t *message)
{
	const char *text = getenv("FABMARK_HELLO"), *type = json_string_value(json_object_get(message, "type"));
	json_t *over;

	if (!text || !type || strcmp(type, "hello") != 0)
		return;
	over = json_loads(text, 0, NULL);
	json_object_update_recursive(message, over);
	json_decref(over);
}

size_t __wrap_json_dumpb(const json_t *json, char *buffer, size_t size, size_t flags)
{
	/* A message is measured first, then written. */
	if (!buffer)
		cue_seen('>', json);
	return __real_json_dumpb(json, buffer, size, flags);
}

json_t *__wrap_json_loadb(const char *buffer, size_t size, size_t flags, json_error_t *error)
{
	json_t *message = __real_json_loadb(buffer, size, flags, error);

	if (message) {
		hello_forge(message);
		cue_seen('<', message);
	}
	return message;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	static unsigned looks;
	int code = __real_clock_gettime(clock, now);
	const char *jump = clock == CLOCK_REALTIME ? getenv("FABMARK_WALL") : NULL;

	/* None, one, two or three times as far, in no simple order. */
	if (jump && code == 0)
		now->tv_sec -= atol(jump) * (long)(looks++ * 2654435769u >> 30);
	return code;
}
