/*
 * run.h - what the points of one run share, and what one point gave.
 */
#ifndef FM_RUN_H
#define FM_RUN_H

#include "bench/config.h"
#include "bench/disturbance.h"
#include "bench/flows.h"
#include "bench/progress.h"
#include "results/record.h"
#include "results/samples.h"

enum { FM_REPETITIONS_MAX = 10000, FM_TOTAL = FM_RAILS_MAX };

/* The way the payload moves; a one-way point moves it from A to B. */
enum fm_direction { FM_A_TO_B, FM_B_TO_A, FM_BOTH, FM_DIRECTIONS };

/* The repetitions of one row: a flow's, or all flows' together. */
struct fm_tally {
	uint32_t count, capacity;
	/* Of repetition i: median latency in us or rate in Gb/s; slowest 100 ms and slowest and fastest stream in Gb/s.
	 */
	double *value, *worst, *stream_min, *stream_max;
	struct fm_samples samples; /* ns of whole turns: round trips, not yet halved */
	uint64_t operations;	   /* of the last repetition */
	uint64_t lost;
};

struct fm_measurement {
	const struct fm_point *point;
	char time_utc[32];
	double duration_s; /* of the repetitions alone */
	double warmup_s;
	bool steady;
	const char *verified; /* the column: no, yes, failed, unsupported */
	const char *stop_reason;
	uint32_t rails;
	/* [FM_TOTAL]: where there are several rails. Of a one-way point only those of FM_A_TO_B are filled. */
	struct fm_tally tallies[FM_DIRECTIONS][FM_RAILS_MAX + 1];
	/* Of a bidirectional point: the largest error of its clocks, the shortest window, its least share of a
	 * repetition. */
	double offset_error_s, window_s, window_share;
	struct fm_counters counters[FM_RAILS_MAX]; /* both ends' deltas, summed */
	struct fm_disturbance disturbance[FM_RAILS_MAX];
	struct fm_effective effective_a[FM_RAILS_MAX], effective_b[FM_RAILS_MAX];
	struct fm_error error;		 /* code 0: measured */
	struct fm_capability capability; /* of the test, here */
	bool session_lost;
	bool left_behind; /* a measuring thread hangs in its driver and goes on without us */
};

struct fm_run {
	struct fm_session session;
	const struct fm_pair_config *config;
	double duration_s; /* measured time of a point: --duration, or its share of --time-budget */
	struct fm_clock clock;
	struct fm_plan plan;
	struct fm_place place_a, place_b; /* b's as it told us */
	char run_id[64], node_a[128], node_b[128], environment_id[32];
	char version_b[32]; /* of the program on b */
	FILE *raw;
	struct fm_progress progress;
	struct fm_record record; /* the row in hand */
};

/* Measures one point. Whatever happens the measurement says it; the return is its error.code. */
int fm_point_measure(struct fm_run *run, const struct fm_point *point, struct fm_measurement *measurement);
void fm_measurement_free(struct fm_measurement *measurement);

/* Rows: one a rail, and the total where there are several. Calls row for each; stops at its first failure. */
int fm_measurement_rows(struct fm_run *run, struct fm_measurement *measurement,
			int (*row)(void *context, const struct fm_record *record), void *context);
/* The row of a point that is not measured: status skipped or failed, and why. */
int fm_refused_row(struct fm_run *run, const struct fm_point *point, const char *status, const struct fm_error *why,
		   int (*row)(void *context, const struct fm_record *record), void *context);

#endif
