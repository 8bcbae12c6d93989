/*
 * document.h - run.json: what was asked for and what was in force, so that a run can be judged and repeated.
 */
#ifndef FM_DOCUMENT_H
#define FM_DOCUMENT_H

#include "bench/pair.h"

/* What must match for rows to be comparable. A new reference. */
json_t *fm_pair_environment(const struct fm_pair *pair);

/*
 * Writes it, to the results folder or the stream; without either: 0. begin: what is known before the first point, with
 * "finished": false, which is all that there is after a kill. end: in its place all of it. cause: what went wrong
 * first, code 0: nothing.
 */
int fm_pair_document_begin(struct fm_pair *pair, struct fm_error *error);
int fm_pair_document_end(struct fm_pair *pair, json_t *noise_after_b, const struct fm_error *cause,
			 struct fm_error *error);

#endif
