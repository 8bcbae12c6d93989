/*
 * reader.c - reads CSV: one copy of the file, unquoted in place, and an array of cells that point into it.
 */
#include "results/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "results/output.h"

struct parser {
	char *text; /* read at `at`, written at `out`, which never overtakes it */
	size_t at, out, length, line;
	const char **cells;
	size_t count, capacity;
	struct fm_error *error;
};

/* What stood behind a field. */
enum field_end { END_COMMA, END_LINE, END_INPUT };

#define REFUSE(parser, ...) fm_error_set((parser)->error, -EINVAL, FM_REASON_RESULTS, __VA_ARGS__)

/* Behind a field: a comma, an end of line or nothing. */
static int parse_end(struct parser *parser)
{
	size_t left = parser->length - parser->at;
	const char *at = parser->text + parser->at;

	if (left == 0 || (left == 1 && at[0] == '\r'))
		return END_INPUT;
	if (at[0] == ',') {
		parser->at++;
		return END_COMMA;
	}
	if (at[0] == '\n' || (at[0] == '\r' && at[1] == '\n')) {
		parser->at += at[0] == '\n' ? 1 : 2;
		parser->line++;
		return END_LINE;
	}
	return REFUSE(parser, "line %zu: byte 0x%02x where a comma or the end of the line must stand", parser->line,
		      (unsigned)(unsigned char)at[0]);
}

static int parse_quoted(struct parser *parser)
{
	parser->at++;
	for (; parser->at < parser->length; parser->at++) {
		char c = parser->text[parser->at];

		if (c == '"' && (++parser->at == parser->length || parser->text[parser->at] != '"'))
			return 0;
		if (c == '\0')
			return REFUSE(parser, "line %zu: a NUL byte: this is no CSV", parser->line);
		parser->line += c == '\n';
		parser->text[parser->out++] = c;
	}
	return 0;
}

static int parse_plain(struct parser *parser)
{
	for (; parser->at < parser->length; parser->at++) {
		char c = parser->text[parser->at];

		if (c == ',' || c == '\n' || c == '\r')
			return 0;
		if (c == '"' || c == '\0')
			return REFUSE(parser, "line %zu: a %s inside a field that is not quoted", parser->line,
				      c ? "quote" : "NUL byte");
		parser->text[parser->out++] = c;
	}
	return 0;
}

static int parse_keep(struct parser *parser, const char *cell)
{
	if (parser->count == parser->capacity) {
		size_t capacity = parser->capacity ? parser->capacity * 2 : 256;
		const char **cells = realloc(parser->cells, capacity * sizeof(*cells));

		if (!cells)
			return fm_error_set(parser->error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "out of memory");
		parser->cells = cells;
		parser->capacity = capacity;
	}
	parser->cells[parser->count++] = cell;
	return 0;
}

/* One field into a cell; enum field_end, or a negative errno. */
static int parse_field(struct parser *parser)
{
	size_t start = parser->out, line = parser->line;
	bool quoted = parser->at < parser->length && parser->text[parser->at] == '"';
	int code = quoted ? parse_quoted(parser) : parse_plain(parser);
	int end;

	if (code)
		return code;
	if (parser->out - start > FM_CSV_FIELD_MAX)
		return REFUSE(parser, "line %zu: a field of more than %d bytes: is a closing quote missing?", line,
			      FM_CSV_FIELD_MAX);
	/* A quoted field that was cut may look whole; what is cut is not kept. */
	end = parse_end(parser);
	if (end < 0)
		return end;
	if (end != END_INPUT)
		parser->text[parser->out++] = '\0';
	code = parse_keep(parser, parser->text + start);
	return code ? code : end;
}

/* One line: how many fields it has, 0 at the end of input, or a negative errno. */
static int parse_line(struct parser *parser, bool *cut)
{
	int fields = 0;

	if (parser->at == parser->length)
		return 0;
	for (;;) {
		int end = parse_field(parser);

		if (end < 0)
			return end;
		fields++;
		if (end == END_INPUT) {
			*cut = true;
			parser->count -= (size_t)fields;
			return 0;
		}
		if (end == END_LINE)
			return fields;
		if (fields == FM_CSV_COLUMNS_MAX)
			return REFUSE(parser, "line %zu: more than %d columns", parser->line, FM_CSV_COLUMNS_MAX);
	}
}

static int parse_header(struct parser *parser, struct fm_csv *csv)
{
	int columns = parse_line(parser, &csv->truncated);

	if (columns < 0)
		return columns;
	if (columns == 0)
		return REFUSE(parser, "line 1: no header line");
	for (int i = 0; i < columns; i++) {
		if (!parser->cells[i][0])
			return REFUSE(parser, "line 1: column %d has no name", i + 1);
		for (int j = 0; j < i; j++)
			if (strcmp(parser->cells[i], parser->cells[j]) == 0)
				return REFUSE(parser, "line 1: column '%.64s' comes twice", parser->cells[i]);
	}
	csv->columns = (size_t)columns;
	return 0;
}

static int parse_rows(struct parser *parser, struct fm_csv *csv)
{
	for (;;) {
		size_t line = parser->line;
		int fields = parse_line(parser, &csv->truncated);

		if (fields <= 0)
			return fields;
		if ((size_t)fields != csv->columns)
			return REFUSE(parser, "line %zu: %d columns where the header has %zu", line, fields,
				      csv->columns);
		csv->rows++;
	}
}

/* Takes over text, which has a byte to spare behind length. */
static int parse_owned(char *text, size_t length, struct fm_csv *csv, struct fm_error *error)
{
	struct parser parser = {.text = text, .length = length, .line = 1, .error = error};
	struct fm_csv made = {.text = text};
	int code;

	/* Spreadsheets put a byte order mark in front. */
	if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		parser.at = parser.out = 3;
	code = parse_header(&parser, &made);
	if (code == 0)
		code = parse_rows(&parser, &made);
	made.cells = parser.cells;
	if (code)
		fm_csv_free(&made);
	else
		*csv = made;
	return code;
}

static int csv_too_big(struct fm_error *error)
{
	return fm_error_set(error, -EFBIG, FM_REASON_RESULTS, "more than %zu MiB: split it", FM_CSV_BYTES_MAX >> 20);
}

int fm_csv_parse(const char *bytes, size_t length, struct fm_csv *csv, struct fm_error *error)
{
	char *text;

	if (length > FM_CSV_BYTES_MAX)
		return csv_too_big(error);
	text = malloc(length + 1);
	if (!text)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "out of memory");
	memcpy(text, bytes, length);
	return parse_owned(text, length, csv, error);
}

/* Everything that fd gives, so that a pipe will do: *text is the caller's. */
static int csv_slurp(int fd, char **text, size_t *length, struct fm_error *error)
{
	size_t capacity = 0;
	char cause[128];

	for (;;) {
		ssize_t n;

		if (*length == capacity) {
			char *grown = realloc(*text, (capacity = capacity ? capacity * 2 : 65536) + 1);

			if (!grown)
				return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "out of memory");
			*text = grown;
		}
		n = read(fd, *text + *length, capacity - *length);
		if (n == 0)
			return 0;
		if (n > 0)
			*length += (size_t)n;
		else if (errno != EINTR)
			return fm_error_set(error, -errno, FM_REASON_RESULTS, "%s",
					    fm_output_cause(errno, cause, sizeof(cause)));
		if (*length > FM_CSV_BYTES_MAX)
			return csv_too_big(error);
	}
}

int fm_csv_read(const char *path, struct fm_csv *csv, struct fm_error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), code;
	char *text = NULL, cause[128];
	size_t length = 0;

	if (fd < 0)
		code = fm_error_set(error, -errno, FM_REASON_RESULTS, "%s",
				    fm_output_cause(errno, cause, sizeof(cause)));
	else
		code = csv_slurp(fd, &text, &length, error);
	if (fd >= 0)
		close(fd);
	if (code)
		free(text);
	else
		code = parse_owned(text, length, csv, error);
	if (code)
		fm_error_prefix(error, "cannot read results '%.255s': ", path);
	return code;
}

size_t fm_csv_column(const struct fm_csv *csv, const char *name)
{
	size_t column = 0;

	while (column < csv->columns && strcmp(csv->cells[column], name) != 0)
		column++;
	return column;
}

const char *fm_csv_cell(const struct fm_csv *csv, size_t row, size_t column)
{
	return row < csv->rows && column < csv->columns ? csv->cells[(row + 1) * csv->columns + column] : "";
}

void fm_csv_free(struct fm_csv *csv)
{
	free(csv->text);
	free(csv->cells);
	memset(csv, 0, sizeof(*csv));
}
