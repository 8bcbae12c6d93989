/*
 * output.h - the file or stream under a writer: rows go out whole or not at all.
 */
#ifndef FM_OUTPUT_H
#define FM_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "results/writer.h"

enum { FM_LEGEND_RAILS = 64 };

/* What all writers are made of. The tail is what ends the output: always in place in a file, at close on a stream. */
struct fm_writer {
	int fd;
	bool owned; /* opened here, so nobody else writes it; stdout is not */
	bool regular;
	off_t end; /* owned regular file: end of the last whole row, where the tail begins */
	const char *tail;
	char *name;  /* for messages */
	FILE *draft; /* the row being formatted */
	char *text;
	size_t bytes;
	uint64_t rows;			  /* written so far */
	char section[1024];		  /* text: the heading in force */
	uint64_t legend[FM_LEGEND_RAILS]; /* text: hash of what was last said of each rail */
	char reason[1024];		  /* text: what stands below the row before, and holds for the next one too */
	bool again_told;		  /* text: what the mark for that means */
};

/* Opens path, "-" for stdout, and writes head and tail. tail: a literal. Causes as open(2), and as commit. */
int fm_output_open(const char *path, const char *head, const char *tail, struct fm_writer **writer,
		   struct fm_error *error);
/* A stream in memory for the next row; NULL on lack of memory. */
FILE *fm_output_begin(struct fm_writer *writer, struct fm_error *error);
/* Writes what was put there, whole or not at all, over the tail and with a new one; counts a row. */
int fm_output_commit(struct fm_writer *writer, struct fm_error *error);
/* Throws it away for lack of memory: -ENOMEM. */
int fm_output_discard(struct fm_writer *writer, struct fm_error *error);
/* The close of every writer. */
int fm_output_close(struct fm_writer *writer, struct fm_error *error);

/*
 * What is under a writer, for streams that are none. create: a new or emptied file, its descriptor; a named pipe that
 * nobody reads is -ENXIO at once. stdout: its descriptor, -EBADF where it is closed or cannot be written.
 */
int fm_output_create(const char *path, struct fm_error *error);
int fm_output_stdout(struct fm_error *error);
/* at < 0: wherever the stream is. Returns how much went out; errno says why not all. May block. */
size_t fm_output_put(int fd, const char *bytes, size_t count, off_t at);

/* The system's words for an errno as they stand inside a sentence: "no space left on device". Returns text. */
const char *fm_output_cause(int number, char *text, size_t bytes);

#endif
