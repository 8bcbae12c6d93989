/*
 * module.h - loads transports from shared objects and checks them before anything in them is called.
 */
#ifndef FM_MODULE_H
#define FM_MODULE_H

#include "transports/registry.h"

/* Adds a backend of this tree; where it is a module, as absent until fm_modules_find has found it. */
void fm_module_expect(struct fm_registry *registry, const struct fm_backend *backend);

/*
 * Loads what ends in .so in this folder, in the order of the names, or the file of this name. named: the user named it,
 * so one that is not there is noted. A file is called like its transport: NAME.so of a backend of this tree is that
 * backend's module, and one that cannot be read is listed under its own.
 */
void fm_modules_find(struct fm_registry *registry, const char *place, bool named);

/* Asks a transport whether it can run on this machine. */
void fm_module_probe(struct fm_registered *entry);

/*
 * What is wrong with a table, in words in error (-EINVAL, reason absent): a name that cannot be typed, an empty slot,
 * no help, default tests of the wrong metric, an option row that cannot be used.
 */
int fm_transport_check(const struct fm_transport *table, struct fm_error *error);

#endif
