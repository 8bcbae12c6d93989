/*
 * writer.h - where rows go: begin, row, end. Writers format; none computes.
 *
 * A row is written when it is measured, whole or not at all, in one write(2): after kill -9 the file holds every row
 * that was told to be written, and a JSON file is a valid array after each row. A write that fails half-way, as on a
 * full disk, is taken back. Only a kill in the midst of that one write can cut the row, which the reader tells.
 */
#ifndef FM_WRITER_H
#define FM_WRITER_H

#include <jansson.h>
#include <stdio.h>

#include "common/error.h"
#include "results/record.h"

struct fm_writer;

struct fm_writer_kind {
	const char *name; /* csv json text */
	/* path "-" is stdout; else the file is created or emptied, its folder must exist. Writes what stands before
	 * the first row. */
	int (*open)(const char *path, struct fm_writer **writer, struct fm_error *error);
	/* Errors: -ENOSPC, -EDQUOT, -EFBIG, -EIO, -EPIPE (the reader of a pipe is gone; SIGPIPE must be ignored),
	 * -ENOMEM. The rows before are whole, and a later row may be tried. */
	int (*row)(struct fm_writer *writer, const struct fm_record *record, struct fm_error *error);
	/* Finishes and frees; accepts NULL. The last chance for an error, such as a full disk at close. */
	int (*close)(struct fm_writer *writer, struct fm_error *error);
};

extern const struct fm_writer_kind fm_writer_csv, fm_writer_json, fm_writer_text;

/*
 * Rows for another process of this program: on each line of stdout an object with one member, which says what it is.
 * {"row": {column: text}} has the columns that are not empty, as CSV has them. put adds lines of other kinds: value's
 * reference is not taken; put_due a row that is yet to be measured, as it is until then; alive a sign of life. Errors
 * show at the next row.
 */
extern const struct fm_writer_kind fm_writer_stream;
void fm_stream_put(const char *kind, json_t *value);
void fm_stream_put_text(const char *kind, const char *text);
void fm_stream_put_due(const struct fm_record *record);
void fm_stream_alive(void);
/* The row of such a line, in copy->record; fills copy. -EPROTO (protocol) on what is no row of this version. */
int fm_stream_row(const json_t *row, struct fm_record_copy *copy, struct fm_error *error);

/* A blank line, and a text in lines as long as the table's. */
void fm_text_paragraph(FILE *out, const char *text);

/* docs/schema.md, from the field table and the list of reasons. */
void fm_schema_markdown(FILE *out);

#endif
