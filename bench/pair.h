/*
 * pair.h - the initiator's whole run: connect, agree, measure each point, write rows, say the closing sentence.
 */
#ifndef FM_PAIR_H
#define FM_PAIR_H

#include "bench/compare.h"
#include "bench/outputs.h"
#include "bench/run.h"

/* The same test at the same size on rails that take turns. */
struct fm_pair_turns {
	char transport[32], test[24], slowest[64]; /* slowest: its device */
	uint64_t size_bytes;
	uint32_t rails;
	double low, high;
};

/* What the closing sentence will say of the rows so far. */
struct fm_pair_notes {
	struct fm_pair_turns latency_turns, rate_turns; /* those of the rows in hand */
	char unverified[80];				/* with --verify: the first that cannot be */
	uint32_t verified;				/* rows */
	char latency[256], rate[256], limit[128];
	char latency_test[24];
	uint64_t latency_size, retransmits;
	double best_gbps;
};

struct fm_pair {
	struct fm_run run;
	const char *host; /* NULL: --local */
	struct fm_outputs output;
	struct fm_node_pair {
		json_t *facts_a, *facts_b, *noise_before_a, *noise_before_b;
	} nodes;
	struct fm_rails_left rails_left;
	json_t *arguments, *points; /* for run.json: as typed; what was in force in each */
	const json_t *options;	    /* {name: text} of what was asked for, also by --again */
	struct fm_compare *compare; /* with the run that is repeated; NULL: none is */
	bool out_given;
	bool lost; /* the session ended before its time */
	bool met;  /* the far end answered: it will notice when we go */
	uint32_t rows_ok, rows_failed, rows_skipped, rows_inconclusive;
	struct fm_pair_notes notes;
	char sentence[1024]; /* the closing one */
};

/*
 * Runs it all. 0: every row asked for is ok; else error has the first cause and the exit code follows from it. Rows
 * that were measured are written in any case.
 */
int fm_pair_run(struct fm_pair *pair, const json_t *transport_options, int signal_fd, struct fm_error *error);

/* One sentence over the rows so far: what was measured, how sure, what limits it. */
void fm_pair_note(struct fm_pair *pair, const struct fm_record *record);

#endif
