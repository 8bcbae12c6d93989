/*
 * compare.h - the rows of a run against those of the run that it repeats.
 */
#ifndef FM_COMPARE_H
#define FM_COMPARE_H

#include "results/reader.h"
#include "results/record.h"

enum { FM_COMPARE_MAX = 1024, FM_COMPARE_BYTES = 2048 };

/* One point, or one rail or direction of it. */
struct fm_comparison {
	uint64_t point_id, rail; /* rail: FM_EMPTY in a total */
	char what[64];		 /* "send_bw 64K" */
	double ratio;		 /* of the medians, new to earlier; NaN: one of them has none */
	const char *missing;	 /* then: which, in words */
	int apart;		 /* the 95% intervals do not overlap; -1: one of them has no interval */
};

struct fm_compare {
	char run_id[64]; /* the earlier run */
	struct fm_csv earlier;
	uint32_t count, more; /* more: rows beyond FM_COMPARE_MAX */
	bool elsewhere;	      /* some pair of rows has different environment ids */
	struct fm_comparison list[FM_COMPARE_MAX];
};

/* Reads results.csv of the earlier run's folder. compare: zeroed. Errors as fm_csv_read,
 * and -EINVAL for rows that this program did not write. */
int fm_compare_open(struct fm_compare *compare, const char *run_id, const char *folder, struct fm_error *error);
/* Takes in one row of the new run; a total takes the place of its rails. */
void fm_compare_row(struct fm_compare *compare, const struct fm_record *record);
/* All of it as one sentence; "" where there was no row. Returns text. */
const char *fm_compare_sentence(const struct fm_compare *compare, char text[FM_COMPARE_BYTES]);
/* Accepts NULL, and frees what it points to. */
void fm_compare_free(struct fm_compare *compare);

#endif
