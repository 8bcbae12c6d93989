/*
 * schema.c - docs/schema.md from the field table and the list of reasons.
 */
#include <string.h>

#include "results/writer.h"

static const char *schema_type(const struct fm_field *field)
{
	switch (field->type) {
	case FM_FIELD_COUNT:
		return "count";
	case FM_FIELD_REAL:
		return "real";
	case FM_FIELD_PAIRS:
		return "pairs";
	case FM_FIELD_CONSTANT:
		return "constant";
	case FM_FIELD_ENUM:
		return "enumeration";
	case FM_FIELD_TEXT:
		return field->values ? "enumeration" : "text";
	}
	return "text";
}

/* "a b c" as `a` `b` `c`. */
static void schema_values(const char *values, FILE *out)
{
	if (!values)
		return;
	while (*values) {
		size_t word = strcspn(values, " ");

		fprintf(out, "`%.*s`", (int)word, values);
		values += word;
		values += strspn(values, " ");
		if (*values)
			putc(' ', out);
	}
}

static void schema_columns(FILE *out)
{
	fputs("## Columns\n\n"
	      "| column | type | meaning | values | empty when |\n"
	      "| --- | --- | --- | --- | --- |\n",
	      out);
	for (const struct fm_field *field = fm_fields; field->name; field++) {
		fprintf(out, "| `%s` | %s | %s | ", field->name, schema_type(field), field->help);
		if (strcmp(field->name, "reason_code") == 0)
			fputs("see below", out);
		else if (strcmp(field->name, "tool_version") == 0)
			fputs("as `fabmark --version` prints it", out);
		else
			schema_values(field->values, out);
		fprintf(out, " | %s |\n", field->empty ? field->empty : "never");
	}
}

static void schema_reasons(FILE *out)
{
	fputs("\n## Reason codes\n\n"
	      "| `reason_code` | meaning |\n"
	      "| --- | --- |\n",
	      out);
	for (int reason = FM_REASON_NONE + 1; reason < FM_REASON_COUNT; reason++)
		fprintf(out, "| `%s` | %s |\n", fm_reason_name((enum fm_reason)reason),
			fm_reason_meaning((enum fm_reason)reason));
}

void fm_schema_markdown(FILE *out)
{
	fprintf(out,
		"# What a row says\n\n"
		"Schema %d. This page is made from the table that the program writes rows by; a test keeps the two "
		"equal.\n\n"
		"Within a schema columns and reason codes are only appended, so read columns by name; the other "
		"enumerations\n"
		"are closed.\n"
		"The key of a row is `schema run_id point_id row_kind rail direction`. A is the side that typed the "
		"command.\n"
		"A row is written when it is measured, whole or not at all; after a kill the file holds the rows until "
		"then.\n"
		"A program that was killed in the midst of a write may leave one last line without an end: drop it.\n\n"
		"- **CSV** is RFC 4180 in UTF-8 with one header line. Lines end in LF, not CRLF: a CR would end up in "
		"the last\n"
		"  column of awk and of the shell, and whatever reads CSV takes both. A field with a comma, a quote or "
		"a line\n"
		"  break is quoted.\n"
		"- **JSON** is an array of flat objects with the same keys in the same order. Counts and reals are "
		"numbers, what is\n"
		"  empty is `null`, pairs are objects.\n"
		"- **Types**: a count is a whole number; a real has at most 6 significant digits and a decimal point "
		"in every\n"
		"  locale; pairs are `key=value;key=value`.\n"
		"- **Units** are in the names. Gb/s are decimal (10^9 bit/s) and count payload only. What the sample "
		"cannot\n"
		"  support is empty, and so is what is not known: 0 is a value that was read.\n\n",
		FM_SCHEMA);
	schema_columns(out);
	schema_reasons(out);
}
