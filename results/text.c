/*
 * text.c - the table on stdout: rows as they come, at most 100 columns, under a heading for what they have in common.
 *
 * A latency and a rate have little in common, so each has its own columns; a heading is repeated when what it says
 * changes. What does not fit a line of figures (a reason, a counter that moved) stands below it.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "common/options.h"
#include "results/format.h"
#include "results/output.h"

enum { WIDTH = 100, DECIMALS = 3 };

#define AGAIN "^" /* behind the status of a row: for the reason of the row before */

enum shape { LABEL, SIZE, RAIL, DIRECTION, FIGURE, INTERVAL, WHOLE, PERCENT };

/* One column of the table. Numbers and their headings stand to the right, words to the left. */
struct column {
	const char *heading;
	int width; /* a blank in front not counted */
	enum shape shape;
	const char *field, *high; /* high: the upper end of an interval */
};

/* clang-format off */
static const struct column latency_columns[] = {
	{"test", 15, LABEL, "test", NULL},
	{"size", 7, SIZE, "size_bytes", NULL},
	{"rail", 5, RAIL, "rail", NULL},
	{"dir", 4, DIRECTION, "direction", NULL},
	{"p50 us", 8, FIGURE, "lat_p50_us", NULL},
	{"95% interval", 16, INTERVAL, "lat_p50_low_us", "lat_p50_high_us"},
	{"p99 us", 8, FIGURE, "lat_p99_us", NULL},
	{"p99.9 us", 8, FIGURE, "lat_p999_us", NULL},
	{"max us", 8, FIGURE, "lat_max_us", NULL},
	{"status", 12, LABEL, "status", NULL},
	{NULL, 0, LABEL, NULL, NULL},
};

static const struct column rate_columns[] = {
	{"test", 15, LABEL, "test", NULL},
	{"size", 7, SIZE, "size_bytes", NULL},
	{"rail", 5, RAIL, "rail", NULL},
	{"dir", 4, DIRECTION, "direction", NULL},
	{"Gb/s", 8, FIGURE, "bw_gbps", NULL},
	{"95% interval", 16, INTERVAL, "bw_low_gbps", "bw_high_gbps"},
	{"worst", 8, FIGURE, "bw_worst_gbps", NULL},
	{"msg/s", 9, WHOLE, "msg_rate_per_s", NULL},
	{"% max", 5, PERCENT, "ceiling_percent", NULL},
	{"status", 12, LABEL, "status", NULL},
	{NULL, 0, LABEL, NULL, NULL},
};
/* clang-format on */

/* Shown below a row where they are more than 0. */
static const char *const remarks[] = {
	"lost_operations", "retransmit_count", "rnr_count",	   "out_of_sequence_count",
	"cnp_count",	   "pause_count",      "port_error_count", NULL,
};

static const char *row_text(const struct fm_record *record, const char *name, char *text, size_t bytes)
{
	return fm_field_format(fm_field_find(name), record, text, bytes);
}

/* "low..high", both with as many decimals as the width has room for. */
static void cell_interval(double low, double high, int width, char *text, size_t bytes)
{
	char from[32], to[32];

	if (!isfinite(low) || !isfinite(high)) {
		snprintf(text, bytes, "-");
		return;
	}
	for (int decimals = DECIMALS; decimals >= 0; decimals--) {
		fm_format_decimals(low, decimals, width, from, sizeof(from));
		fm_format_decimals(high, decimals, width, to, sizeof(to));
		if (snprintf(text, bytes, "%s..%s", from, to) <= width)
			return;
	}
	snprintf(text, bytes, "%s..%s", fm_format_decimals(low, 0, width / 2 - 1, from, sizeof(from)),
		 fm_format_decimals(high, 0, width / 2 - 1, to, sizeof(to)));
}

/* As it would be typed; rounded where that is too long. */
static void cell_size(uint64_t size, int width, char *text, size_t bytes)
{
	bool giga = size >> 30;
	char figures[32];

	fm_format_count(size, text, bytes);
	if ((int)strlen(text) > width)
		snprintf(text, bytes, "%s%c",
			 fm_format_decimals((double)size / (giga ? 1073741824.0 : 1048576.0), DECIMALS, width - 1,
					    figures, sizeof(figures)),
			 giga ? 'G' : 'M');
}

static void cell_format(const struct column *column, const struct fm_record *record, char *text, size_t bytes)
{
	const struct fm_field *field = fm_field_find(column->field);
	double value = fm_field_real(field, record);
	uint64_t count = fm_field_count(field, record);

	row_text(record, column->field, text, bytes);
	switch (column->shape) {
	case LABEL:
		break;
	case SIZE:
		if (count != FM_EMPTY)
			cell_size(count, column->width, text, bytes);
		break;
	case RAIL:
		if (count == FM_EMPTY)
			row_text(record, "row_kind", text, bytes);
		break;
	case DIRECTION:
		if (strcmp(text, "both") != 0 && text[0])
			snprintf(text, bytes, strcmp(text, "a_to_b") == 0 ? "a->b" : "b->a");
		break;
	case FIGURE:
		fm_format_decimals(value, DECIMALS, column->width, text, bytes);
		break;
	case INTERVAL:
		cell_interval(value, fm_field_real(fm_field_find(column->high), record), column->width, text, bytes);
		break;
	case WHOLE:
		fm_format_decimals(value, 0, column->width, text, bytes);
		break;
	case PERCENT:
		fm_format_decimals(value, 1, column->width, text, bytes);
		break;
	}
	if (!text[0])
		snprintf(text, bytes, "-");
}

/* Words to the left and numbers to the right; the last column has no blanks behind it. */
static void cell_put(FILE *out, const struct column *column, const char *text)
{
	bool last = !column[1].heading;

	if (column->shape == LABEL || column->shape == DIRECTION)
		fprintf(out, "%-*.*s%s", last ? 0 : column->width, column->width, text, last ? "\n" : " ");
	else
		fprintf(out, "%*s ", column->width, text);
}

/* Columns that the character at `at` takes: 0 inside a UTF-8 sequence. */
static int glyph(char at)
{
	return ((unsigned char)at & 0xc0) != 0x80;
}

static int glyphs(const char *text, size_t bytes)
{
	int count = 0;

	for (size_t i = 0; i < bytes; i++)
		count += glyph(text[i]);
	return count;
}

static bool blank(char at)
{
	return at == ' ' || (unsigned char)at < ' ' || at == 0x7f;
}

/* A word that may be longer than a line; returns the column it ends at. */
static int wrap_word(FILE *out, const char *word, size_t bytes, int column, int indent)
{
	for (size_t i = 0; i < bytes; i++) {
		if (column == WIDTH && glyph(word[i])) {
			fprintf(out, "\n%*s", indent, "");
			column = indent;
		}
		putc(word[i], out);
		column += glyph(word[i]);
	}
	return column;
}

/* Lines of at most WIDTH, the first from column 0 and the others indented. Control characters count as blanks. */
static void wrap_put(FILE *out, const char *text, int first, int indent)
{
	int column = first;

	fprintf(out, "%*s", first, "");
	while (*text) {
		size_t bytes = 0;

		if (blank(*text)) {
			text++;
			continue;
		}
		while (text[bytes] && !blank(text[bytes]))
			bytes++;
		if (column > first && column + 1 + glyphs(text, bytes) > WIDTH) {
			fprintf(out, "\n%*s", indent, "");
			column = first = indent;
		} else if (column > first) {
			putc(' ', out);
			column++;
		}
		column = wrap_word(out, text, bytes, column, indent);
		text += bytes;
	}
	putc('\n', out);
}

void fm_text_paragraph(FILE *out, const char *text)
{
	putc('\n', out);
	wrap_put(out, text, 0, 0);
}

static bool row_is_latency(const struct fm_record *record)
{
	size_t length = strlen(record->work.test);

	return length > 4 && strcmp(record->work.test + length - 4, "_lat") == 0;
}

/* What the rows below a heading have in common. */
static void section_format(const struct fm_record *record, char *text, size_t bytes)
{
	const struct fm_record_work *work = &record->work;
	const char *memory_a = record->a.memory, *memory_b = record->b.memory;
	FILE *out = fmemopen(text, bytes, "w");

	text[0] = '\0';
	if (!out)
		return;
	fprintf(out, "%s %s", work->transport[0] ? work->transport : "no transport",
		row_is_latency(record) ? "latency" : "bandwidth");
	if (work->variant[0])
		fprintf(out, " (%s)", work->variant);
	fprintf(out, ", %s -> %s", record->a.node[0] ? record->a.node : "a", record->b.node[0] ? record->b.node : "b");
	if (strcmp(record->key.load, "bidirectional") == 0)
		fputs(", bidirectional", out);
	if (strcmp(memory_a, memory_b) != 0)
		fprintf(out, ", %s to %s memory", memory_a[0] ? memory_a : "?", memory_b[0] ? memory_b : "?");
	else if (memory_a[0])
		fprintf(out, ", %s memory", memory_a);
	if (work->memory_path[0] && strcmp(work->memory_path, "host") != 0)
		fprintf(out, " by %s", work->memory_path);
	if (work->streams != FM_EMPTY && work->streams > 1)
		fprintf(out, ", %" PRIu64 " streams", work->streams);
	fclose(out);
	text[bytes - 1] = '\0';
	fm_format_repair(text);
}

/* True where a new section begins. */
static bool section_put(FILE *out, struct fm_writer *writer, const struct fm_record *record)
{
	char section[sizeof(writer->section)] = "";

	section_format(record, section, sizeof(section));
	if (strcmp(section, writer->section) == 0)
		return false;
	if (writer->rows)
		putc('\n', out);
	memcpy(writer->section, section, sizeof(section));
	wrap_put(out, section, 0, 2);
	return true;
}

static void end_put(FILE *out, const struct fm_record_end *end)
{
	char gbps[32];

	fputs(end->device[0] ? end->device : "?", out);
	if (!isnan(end->link_gbps))
		fprintf(out, " (%s%s%s Gb/s)", end->link_layer, end->link_layer[0] ? " " : "",
			fm_format_real(end->link_gbps, 4, gbps, sizeof(gbps)));
}

/* Which devices a rail joins: said once, and again when it changes. */
static void legend_put(FILE *out, struct fm_writer *writer, const struct fm_record *record)
{
	uint64_t rail = record->key.rail, hash = 0xcbf29ce484222325u;
	char text[512] = "";
	FILE *legend;

	if (rail >= FM_LEGEND_RAILS || (!record->a.device[0] && !record->b.device[0]))
		return;
	legend = fmemopen(text, sizeof(text), "w");
	if (!legend)
		return;
	fprintf(legend, "rail %" PRIu64 ": ", rail);
	end_put(legend, &record->a);
	fputs(" -> ", legend);
	end_put(legend, &record->b);
	fclose(legend);
	text[sizeof(text) - 1] = '\0';
	fm_format_repair(text);
	/* FNV-1a of the line and the nodes: the same devices of another pair are other devices. */
	for (const char *at = text; *at; at++)
		hash = (hash ^ (unsigned char)*at) * 0x100000001b3u;
	for (const char *at = record->a.node; *at; at++)
		hash = (hash ^ (unsigned char)*at) * 0x100000001b3u;
	for (const char *at = record->b.node; *at; at++)
		hash = (hash ^ (unsigned char)*at) * 0x100000001b3u;
	if (writer->legend[rail] == hash)
		return;
	writer->legend[rail] = hash;
	wrap_put(out, text, 2, 4);
}

/* "unsupported: tcp has no tag_bw here", or "". */
static void reason_format(const struct fm_record *record, char *text, size_t bytes)
{
	char reason[FM_FIELD_BYTES];

	row_text(record, "reason", reason, sizeof(reason));
	snprintf(text, bytes, "%s%s%s", record->verdict.reason_code,
		 record->verdict.reason_code[0] && reason[0] ? ": " : "", reason);
}

/* They are the point's: said once, below its sum. */
static bool row_has_remarks(const struct fm_record *record)
{
	return strcmp(record->key.load, "bidirectional") != 0 || strcmp(record->key.direction, "both") == 0;
}

/* The reason of the row before? "inconclusive" leaves no room to say so. */
static bool reason_again(const struct fm_writer *writer, const char *reason, const struct fm_record *record)
{
	return reason[0] && strcmp(reason, writer->reason) == 0 && strcmp(record->verdict.status, "inconclusive") != 0;
}

/* again: the same as of the row before, so that its mark will do. */
static void reason_put(FILE *out, struct fm_writer *writer, const char *reason, bool again)
{
	if (reason[0] && !again)
		wrap_put(out, reason, 2, 4);
	if (again && !writer->again_told)
		wrap_put(out, AGAIN ": the reason above holds here too", 2, 4);
	writer->again_told |= again;
	snprintf(writer->reason, sizeof(writer->reason), "%s", reason);
}

static void counters_put(FILE *out, const struct fm_record *record)
{
	char line[FM_FIELD_BYTES] = "";
	size_t used = 0;

	for (const char *const *name = remarks; *name; name++) {
		uint64_t count = fm_field_count(fm_field_find(*name), record);

		if (count != FM_EMPTY && count > 0)
			used += (size_t)snprintf(line + used, sizeof(line) - used, "%s=%" PRIu64 " ", *name, count);
	}
	if (used)
		wrap_put(out, line, 2, 4);
}

static int text_open(const char *path, struct fm_writer **writer, struct fm_error *error)
{
	return fm_output_open(path, "", "", writer, error);
}

static int text_row(struct fm_writer *writer, const struct fm_record *record, struct fm_error *error)
{
	const struct column *columns = row_is_latency(record) ? latency_columns : rate_columns;
	FILE *out = fm_output_begin(writer, error);
	char text[FM_FIELD_BYTES], reason[sizeof(writer->reason)] = "";
	bool begins, again;

	if (!out)
		return error->code;
	begins = section_put(out, writer, record);
	legend_put(out, writer, record);
	for (const struct column *column = columns; begins && column->heading; column++)
		cell_put(out, column, column->heading);
	if (begins)
		writer->reason[0] = '\0';
	reason_format(record, reason, sizeof(reason));
	again = row_has_remarks(record) && reason_again(writer, reason, record);
	for (const struct column *column = columns; column->heading; column++) {
		cell_format(column, record, text, sizeof(text));
		if (again && !column[1].heading)
			snprintf(text, sizeof(text), "%s " AGAIN, record->verdict.status);
		cell_put(out, column, text);
	}
	if (row_has_remarks(record)) {
		reason_put(out, writer, reason, again);
		counters_put(out, record);
	}
	return fm_output_commit(writer, error);
}

const struct fm_writer_kind fm_writer_text = {
	.name = "text",
	.open = text_open,
	.row = text_row,
	.close = fm_output_close,
};
