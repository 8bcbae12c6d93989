/*
 * csv.c - rows as RFC 4180 has them, save that lines end in LF.
 *
 * CRLF, which the RFC names, was rejected: awk, cut and a shell's read would leave the CR in the last column. What
 * reads CSV takes either.
 */
#include <errno.h>
#include <string.h>

#include "results/output.h"

static void csv_put(FILE *out, const char *text)
{
	if (!strpbrk(text, ",\"\r\n")) {
		fputs(text, out);
		return;
	}
	putc('"', out);
	for (; *text; text++) {
		if (*text == '"')
			putc('"', out);
		putc(*text, out);
	}
	putc('"', out);
}

static int csv_open(const char *path, struct fm_writer **writer, struct fm_error *error)
{
	char header[8192];
	size_t used = 0;

	for (const struct fm_field *field = fm_fields; field->name && used < sizeof(header); field++)
		used += (size_t)snprintf(header + used, sizeof(header) - used, "%s%c", field->name,
					 field[1].name ? ',' : '\n');
	if (used >= sizeof(header))
		return fm_error_set(error, -ENOBUFS, FM_REASON_INTERNAL, "the CSV header is longer than its buffer");
	return fm_output_open(path, header, "", writer, error);
}

static int csv_row(struct fm_writer *writer, const struct fm_record *record, struct fm_error *error)
{
	FILE *out = fm_output_begin(writer, error);
	char text[FM_FIELD_BYTES];

	if (!out)
		return error->code;
	for (const struct fm_field *field = fm_fields; field->name; field++) {
		if (field != fm_fields)
			putc(',', out);
		csv_put(out, fm_field_format(field, record, text, sizeof(text)));
	}
	putc('\n', out);
	return fm_output_commit(writer, error);
}

const struct fm_writer_kind fm_writer_csv = {
	.name = "csv",
	.open = csv_open,
	.row = csv_row,
	.close = fm_output_close,
};
