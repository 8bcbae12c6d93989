/*
 * registry.h - every backend of this tree in one visible array, in the order in which auto prefers them, and the list
 * of all transports that this process can use: those and what was found as modules.
 */
#ifndef FM_REGISTRY_H
#define FM_REGISTRY_H

#include "transports/transport.h"

enum { FM_TRANSPORT_NAME_MAX = 32, FM_TRANSPORTS_MAX = 24, FM_REGISTRY_NOTES_MAX = 8 };

/*
 * A backend of this tree. One that needs a library is a module beside the program, NAME.so: its table here has the
 * words only (name, help, automatic, default tests, options), from files that need no library, so that --help and man
 * pages are the same on every machine; the slots, NULL here, are the module's.
 */
struct fm_backend {
	const struct fm_transport *table;
	bool module;
};

/* Ended by a NULL table. */
extern const struct fm_backend fm_backends[];

/* The one whose operations cost nothing: what is left is the cost of the program itself. */
extern const struct fm_transport *const fm_transport_floor;

/* The backend of this tree with this name, or NULL; its slots are NULL where it is a module. */
const struct fm_transport *fm_transport_find(const char *name);

/* Appends the option sets of this tree's backends that have rows, FM_TRANSPORTS_MAX at most; how many. */
size_t fm_backend_sets(const struct fm_option_set **sets);

/*
 * Do a backend's option values go with the transport that was asked for? Before anything starts. set, values: of any
 * transport. -EINVAL, a usage error.
 */
int fm_backend_check(const char *transport, const struct fm_option_set *set, const void *values,
		     struct fm_error *error);

/* One transport of the list. */
struct fm_registered {
	struct fm_transport table; /* a copy, whose absent is filled; every slot is, too, absent or not */
	char name[FM_TRANSPORT_NAME_MAX];
	char why[480];	/* what absent points at */
	char file[512]; /* of a module; "" linked in, or not found */
	bool outside;	/* none of this tree's: its options are --set NAME.KEY=VALUE */
};

/*
 * All transports of this process. It is filled once and must then neither be moved nor freed: a thread that hangs in a
 * transport is left behind, and may come back to it. For the same reason no module is ever unloaded.
 */
struct fm_registry {
	uint32_t count, note_count;
	struct fm_registered entries[FM_TRANSPORTS_MAX]; /* ours in the order of auto, then modules from outside */
	const struct fm_transport *list[FM_TRANSPORTS_MAX + 1]; /* the entries' tables, NULL-terminated */
	/* Files that gave no transport that could be listed, and why: a sentence each. */
	char notes[FM_REGISTRY_NOTES_MAX][768];
};

/*
 * Lists this tree's backends and every module that path and beside name. path: folders and files, parted by colons,
 * which are looked at first and must be there. beside: folders that may be missing, ended by NULL. Both may be NULL.
 * What can't be used is listed as absent or noted, and is no error: the program runs without it.
 */
void fm_registry_fill(struct fm_registry *registry, const struct fm_backend *backends, const char *path,
		      const char *const *beside);

/*
 * The same with fm_backends, FABMARK_TRANSPORT_PATH, and the folders beside the program: modules/ (a build tree), and
 * the installed one. Does nothing where it was done.
 */
void fm_registry_load(struct fm_registry *registry);

/* The transport of this name, absent or not; NULL where there is none. */
const struct fm_registered *fm_registry_find(const struct fm_registry *registry, const char *name);

#endif
