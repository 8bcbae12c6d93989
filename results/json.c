/*
 * json.c - rows as an array of flat objects, keys in column order.
 *
 * Numbers are written as the CSV has them, not by the JSON library: 17 digits of a double would say more than was
 * measured, and the two files would differ.
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "results/format.h"
#include "results/output.h"

enum { DUMP_STYLE = JSON_COMPACT | JSON_ENCODE_ANY };

/* Dumps and releases; false on lack of memory. */
static bool json_put(FILE *out, json_t *value)
{
	bool done = value && json_dumpf(value, out, DUMP_STYLE | JSON_REAL_PRECISION(15)) == 0;

	json_decref(value);
	return done;
}

/* What looks like a number is one, save where a reader would alter it: 007, 1e3, 16 digits. */
static json_t *json_pair_value(const char *text)
{
	double value;

	if (!fm_format_parse(text, &value))
		return json_string(text);
	return strchr(text, '.') ? json_real(value) : json_integer((json_int_t)value);
}

/* "key=value;..." to an object; a part without '=' gets "". */
static json_t *json_pairs(char *text)
{
	json_t *pairs = json_object();
	char *rest = text, *part;

	while (pairs && (part = strsep(&rest, ";"))) {
		char *value = strchr(part, '=');

		if (!part[0])
			continue;
		if (value)
			*value++ = '\0';
		if (json_object_set_new(pairs, part, json_pair_value(value ? value : "")) != 0) {
			json_decref(pairs);
			return NULL;
		}
	}
	return pairs;
}

static bool json_field(FILE *out, const struct fm_field *field, const struct fm_record *record)
{
	char text[FM_FIELD_BYTES];
	double number;

	fprintf(out, "%s\"%s\":", field == fm_fields ? "" : ",", field->name);
	fm_field_format(field, record, text, sizeof(text));
	if (!text[0]) {
		fputs("null", out);
		return true;
	}
	switch (field->type) {
	case FM_FIELD_COUNT:
	case FM_FIELD_REAL:
		fputs(text, out);
		return true;
	case FM_FIELD_CONSTANT:
		return json_put(out,
				fm_format_parse(text, &number) ? json_integer((json_int_t)number) : json_string(text));
	case FM_FIELD_PAIRS:
		return json_put(out, json_pairs(text));
	case FM_FIELD_TEXT:
	case FM_FIELD_ENUM:
		break;
	}
	return json_put(out, json_string(text));
}

static int json_open(const char *path, struct fm_writer **writer, struct fm_error *error)
{
	return fm_output_open(path, "[", "\n]\n", writer, error);
}

static int json_row(struct fm_writer *writer, const struct fm_record *record, struct fm_error *error)
{
	FILE *out = fm_output_begin(writer, error);
	bool whole = true;

	if (!out)
		return error->code;
	fputs(writer->rows ? ",\n{" : "\n{", out);
	for (const struct fm_field *field = fm_fields; field->name && whole; field++)
		whole = json_field(out, field, record);
	putc('}', out);
	if (!whole)
		return fm_output_discard(writer, error);
	return fm_output_commit(writer, error);
}

const struct fm_writer_kind fm_writer_json = {
	.name = "json",
	.open = json_open,
	.row = json_row,
	.close = fm_output_close,
};
