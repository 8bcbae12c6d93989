/*
 * again.h - an earlier run: what it was asked for, where it measured, and its rows, so that it can be measured again.
 */
#ifndef FM_AGAIN_H
#define FM_AGAIN_H

#include <jansson.h>

#include "bench/config.h"

struct fm_again {
	char run_id[64];
	char folder[4096];	/* where it lies */
	json_t *document;	/* its run.json */
	json_t *options;	/* {name: text} of what it was asked for; of document */
	char host[FM_TEXT_MAX]; /* the HOST of its command line; "" none */
	bool unfinished;	/* it was killed: rows may be missing */
};

/*
 * Finds and reads it. which: a run id in the folder `results`, "last" for the newest, one that was killed included, or
 * a path to its folder or to its run.json. Errors, all of reason results: no such run (names the newest, and one that
 * is nearly called so), no run.json, one that is no JSON, of another schema or of another command. again is zeroed by
 * the caller and freed in any case.
 */
int fm_again_load(const char *which, const char *results, struct fm_again *again, struct fm_error *error);
void fm_again_free(struct fm_again *again);

/*
 * The options of the new run, a new reference: the earlier ones, those that are typed in their place, and the placement
 * and transport that were in force, as far as nothing typed decides over them. Options about results are not repeated:
 * where they went is full. host_typed: so the place is another one. pinned: false leaves placement and transport as
 * they were asked for.
 */
json_t *fm_again_options(const struct fm_again *again, const json_t *typed, bool host_typed, bool pinned);

/* Does what is typed (options, or a HOST) say where to measure? Then the earlier HOST is not taken. */
bool fm_again_moved(const json_t *typed, bool host_typed);

#endif
