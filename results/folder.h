/*
 * folder.h - the results folder of a run: results.csv and run.json.
 */
#ifndef FM_FOLDER_H
#define FM_FOLDER_H

#include <stdbool.h>

#include "common/error.h"

#include <jansson.h>

struct fm_folder {
	char path[4096]; /* "" where no folder is kept */
};

/* A run id that sorts by time and differs between nodes and runs: 20261123T131500Z-host-4f2a. 64 bytes suffice. */
void fm_run_id(char *text, size_t bytes);

/*
 * Makes DIR/<run_id>/ (parents too), which must not be there yet (-EEXIST). parent "none" keeps none. Where it cannot
 * be made: -errno with the sentence; the caller decides whether that is a warning (the default folder) or exit 3 (an
 * explicit --out).
 */
int fm_folder_create(const char *parent, const char *run_id, struct fm_folder *folder, struct fm_error *error);

/* Writes a document to NAME in the folder, whole or not at all: a temporary file, fsync, rename. Without a folder: 0.
 */
int fm_folder_write(const struct fm_folder *folder, const char *name, const json_t *document, struct fm_error *error);

#endif
