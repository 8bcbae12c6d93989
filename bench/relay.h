/*
 * relay.h - both ends on other nodes: the server on one, the measuring 'pair' on the other, and its results here.
 */
#ifndef FM_RELAY_H
#define FM_RELAY_H

#include "bench/compare.h"
#include "bench/outputs.h"
#include "bench/remote.h"

struct fm_relay {
	const struct fm_pair_config *config;
	const char *second;  /* NAME[=ADDRESS] of the host that serves; config->where.ssh measures */
	const json_t *words; /* the options that the measuring end gets, as they would be typed */
	json_t *arguments;   /* for run.json, as fm_pair has them */
	const json_t *options;
	struct fm_compare *compare; /* NULL: none */
	bool out_given;
	int signal_fd;

	/* While it runs. */
	struct fm_remote serve, drive;
	struct fm_outputs output;
	struct fm_record_copy row;
	char *line; /* what came of the line in hand */
	size_t used, capacity;
	char run_id[64], sentence[1024];
	bool opened; /* the outputs */
	json_t *due; /* {point_id: columns}: points without a row so far */
	int signal;
	uint64_t heard_ns;	 /* when the measuring end last said anything */
	bool heard, silent;	 /* it ever did; it no longer does */
	struct fm_error failure; /* of this end: code 0 none */
};

/*
 * Runs it all; relay is zeroed but for its first part. Returns the exit code; error has the sentence unless the
 * measuring end, whose errors go through to stderr, has said it.
 */
int fm_relay_run(struct fm_relay *relay, struct fm_error *error);

#endif
