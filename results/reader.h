/*
 * reader.h - reads CSV as RFC 4180 has it, lines ending in LF or CRLF: results of this program, and what others make.
 */
#ifndef FM_READER_H
#define FM_READER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"

#define FM_CSV_BYTES_MAX ((size_t)256 << 20) /* of a file */
enum { FM_CSV_COLUMNS_MAX = 1024, FM_CSV_FIELD_MAX = 65536 };

/* Zeroed, it is empty and may be freed. */
struct fm_csv {
	size_t columns, rows; /* the header line not counted */
	bool truncated;	      /* the last line had no end, as after a kill: it is not among the rows */
	char *text;
	const char **cells; /* (rows + 1) * columns, the header first */
};

/*
 * Reads a whole file from memory. -EINVAL (results) with the line number: an empty file, a column that comes twice or
 * has no name, a row with more or fewer columns than the header, a stray quote, CR or NUL, a field or header beyond the
 * limits. -EFBIG, -ENOMEM.
 */
int fm_csv_parse(const char *bytes, size_t length, struct fm_csv *csv, struct fm_error *error);
/* The same from a file; causes as open(2) and read(2) too. */
int fm_csv_read(const char *path, struct fm_csv *csv, struct fm_error *error);
/* Where the column of this name stands; csv->columns where there is none. */
size_t fm_csv_column(const struct fm_csv *csv, const char *name);
/* "" where there is no such row or column. Valid until free. */
const char *fm_csv_cell(const struct fm_csv *csv, size_t row, size_t column);
/* Accepts a zeroed one; zeroes it. */
void fm_csv_free(struct fm_csv *csv);

#endif
