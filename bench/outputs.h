/*
 * outputs.h - where the rows of a run go: the table, --csv, --json, and the results folder; and the stamps of --raw.
 */
#ifndef FM_OUTPUTS_H
#define FM_OUTPUTS_H

#include "bench/config.h"
#include "results/folder.h"
#include "results/writer.h"

enum { FM_WRITERS_MAX = 4 };

/* What is under the stream of --raw. Figures do not depend on stamps, so a failure waits here for close. */
struct fm_raw_file {
	int fd;
	int number; /* errno of the first failure, after which nothing more is written; 0: none */
	const char *path;
};

struct fm_outputs {
	struct fm_folder folder; /* path "" where none is kept */
	struct {
		const struct fm_writer_kind *kind;
		struct fm_writer *writer;
		const char *option; /* that asked for it */
	} writers[FM_WRITERS_MAX];
	uint32_t count;
	FILE *raw; /* NULL: none. Neither writing to it nor flushing it fails. */
	struct fm_raw_file raw_file;
	bool stream;	   /* rows go to another fabmark, which writes them */
	bool table;	   /* stdout has the table, so the closing sentence goes there too */
	char warning[512]; /* the default folder cannot be written: said once, and the run goes on */
};

/*
 * Opens all that config asks for, before anything is measured; config must outlive output, which must stay where it
 * is. Two places that are one file are an error (reason usage), a stdout that is closed and a file that cannot be
 * written too (reason results). out_given: --out stood on the command line, so that holds for the folder as well,
 * instead of a warning.
 */
int fm_outputs_open(struct fm_outputs *output, const struct fm_pair_output *config, bool out_given, const char *run_id,
		    struct fm_error *error);
/* Gives a row to every writer; the first failure is returned after all had it. */
int fm_outputs_row(struct fm_outputs *output, const struct fm_record *record, struct fm_error *error);
/* Closes all; the first failure, that of --raw while it was written included. */
int fm_outputs_close(struct fm_outputs *output, struct fm_error *error);

#endif
