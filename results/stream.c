/*
 * stream.c - rows as lines of JSON, for another process of this program, and reading them there.
 */
#include <errno.h>
#include <string.h>

#include "results/output.h"

void fm_stream_put(const char *kind, json_t *value)
{
	json_t *line = json_pack("{s:O}", kind, value);

	/* In a buffer of stdio's, where rows are not: it must not hold anything when the next row goes out. */
	if (line && json_dumpf(line, stdout, JSON_COMPACT) == 0)
		putchar('\n');
	fflush(stdout);
	json_decref(line);
}

void fm_stream_put_text(const char *kind, const char *text)
{
	json_t *value = json_string(text);

	if (value)
		fm_stream_put(kind, value);
	json_decref(value);
}

/* The columns that are not empty; a new reference. */
static json_t *stream_columns(const struct fm_record *record)
{
	json_t *columns = json_object();
	char text[FM_FIELD_BYTES];

	for (const struct fm_field *field = fm_fields; field->name; field++)
		if (fm_field_format(field, record, text, sizeof(text))[0])
			json_object_set_new(columns, field->name, json_string(text));
	return columns;
}

void fm_stream_put_due(const struct fm_record *record)
{
	json_t *columns = stream_columns(record);

	if (columns)
		fm_stream_put("due", columns);
	json_decref(columns);
}

void fm_stream_alive(void)
{
	fm_stream_put("alive", json_true());
}

static int stream_open(const char *path, struct fm_writer **writer, struct fm_error *error)
{
	return fm_output_open(path, "", "", writer, error);
}

static int stream_row(struct fm_writer *writer, const struct fm_record *record, struct fm_error *error)
{
	FILE *out = fm_output_begin(writer, error);
	json_t *line;
	bool whole;

	if (!out)
		return error->code;
	line = json_pack("{s:o}", "row", stream_columns(record));
	whole = line && json_dumpf(line, out, JSON_COMPACT) == 0 && putc('\n', out) != EOF;
	json_decref(line);
	return whole ? fm_output_commit(writer, error) : fm_output_discard(writer, error);
}

int fm_stream_row(const json_t *row, struct fm_record_copy *copy, struct fm_error *error)
{
	const char *column;
	json_t *text;

	fm_record_copy_init(copy);
	if (!json_is_object(row))
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "a row came that is none");
	json_object_foreach((json_t *)row, column, text)
	{
		const char *value = json_string_value(text);

		if (!value || fm_record_restore(copy, column, value))
			return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL,
					    "a row came with a column '%.40s' that cannot be: '%.80s'", column,
					    value ? value : "no text");
	}
	return 0;
}

const struct fm_writer_kind fm_writer_stream = {
	.name = "stream",
	.open = stream_open,
	.row = stream_row,
	.close = fm_output_close,
};
