/*
 * registry.c - every backend, in the order in which auto prefers them, and the list that modules are added to.
 */
#include "transports/registry.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "transports/fault/fault.h"
#include "transports/module.h"

extern const struct fm_transport fm_transport_verbs, fm_transport_tcp, fm_transport_null, fm_transport_fault;

const struct fm_backend fm_backends[] = {{&fm_transport_verbs, true},
					 {&fm_transport_tcp, false},
					 {&fm_transport_null, false},
					 {&fm_transport_fault, false},
					 {NULL, false}};
const struct fm_transport *const fm_transport_floor = &fm_transport_null;

const struct fm_transport *fm_transport_find(const char *name)
{
	for (const struct fm_backend *at = fm_backends; at->table; at++)
		if (strcmp(at->table->name, name) == 0)
			return at->table;
	return NULL;
}

size_t fm_backend_sets(const struct fm_option_set **sets)
{
	size_t count = 0;

	for (const struct fm_backend *at = fm_backends; at->table && count < FM_TRANSPORTS_MAX; at++)
		if (at->table->options->count)
			sets[count++] = at->table->options;
	return count;
}

int fm_backend_check(const char *transport, const struct fm_option_set *set, const void *values, struct fm_error *error)
{
	if (set != &fm_fault_options)
		return 0;
	return fm_fault_check(values, strcmp(transport, set->name) == 0, error);
}

const struct fm_registered *fm_registry_find(const struct fm_registry *registry, const char *name)
{
	for (uint32_t i = 0; i < registry->count; i++)
		if (strcmp(registry->entries[i].name, name) == 0)
			return &registry->entries[i];
	return NULL;
}

/* Each piece of a list that is parted by colons; an empty one is none, and not the working folder. */
static void find_each(struct fm_registry *registry, const char *path)
{
	while (*path) {
		char place[PATH_MAX];
		size_t length = strcspn(path, ":");

		snprintf(place, sizeof(place), "%.*s", (int)(length < PATH_MAX ? length : 0), path);
		if (place[0])
			fm_modules_find(registry, place, true);
		path += length + (path[length] == ':');
	}
}

void fm_registry_fill(struct fm_registry *registry, const struct fm_backend *backends, const char *path,
		      const char *const *beside)
{
	registry->count = registry->note_count = 0;
	/* Ours first, so that auto prefers them and no module takes their names. */
	for (const struct fm_backend *at = backends; at->table; at++)
		fm_module_expect(registry, at);
	if (path)
		find_each(registry, path);
	for (; beside && *beside; beside++)
		fm_modules_find(registry, *beside, false);
	for (uint32_t i = 0; i < registry->count; i++) {
		fm_module_probe(&registry->entries[i]);
		registry->list[i] = &registry->entries[i].table;
	}
	registry->list[registry->count] = NULL;
}

void fm_registry_load(struct fm_registry *registry)
{
	char program[PATH_MAX] = "", *slash, built[PATH_MAX + 64], installed[PATH_MAX + 64];
	const char *const beside[] = {built, installed, NULL};

	if (registry->count)
		return;
	if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
		program[0] = '\0';
	slash = strrchr(program, '/');
	if (slash)
		*slash = '\0';
	/* Relative to the program, so that a tree that was installed elsewhere than configured finds its own. */
	snprintf(built, sizeof(built), "%s/modules", program);
	snprintf(installed, sizeof(installed), "%s/%s", program, FM_MODULE_FOLDER);
	fm_registry_fill(registry, fm_backends, secure_getenv("FABMARK_TRANSPORT_PATH"), slash ? beside : NULL);
}
