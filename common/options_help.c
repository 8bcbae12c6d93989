/*
 * options_help.c - what the option rows say to people: --help, the README's table, the man page.
 *
 * One walk visits the rows group by group, whichever set they stand in; each form of output is a pair of functions.
 */
#include "common/options.h"

enum { HELP_COLUMNS = 80, HELP_INDENT_MAX = 30, HELP_LABEL_MAX = 256, HELP_NOTES_MAX = 768 };

/* The sets as one list, and the column at which help texts begin. */
struct listing {
	const struct fm_option_set *const *sets;
	size_t count;
	int indent;
};

struct form {
	void (*group)(FILE *out, const char *group, bool first);
	void (*row)(FILE *out, const struct fm_option *row, int indent);
};

/* The visible row at a place in the list, NULL where it is hidden; *end is set behind the last one. */
static const struct fm_option *row_at(const struct listing *listing, size_t place, bool *end)
{
	for (size_t i = 0; i < listing->count; i++) {
		const struct fm_option_set *set = listing->sets[i];

		if (place < set->count)
			return set->rows[place].hidden ? NULL : &set->rows[place];
		place -= set->count;
	}
	*end = true;
	return NULL;
}

/* The next visible row of a group from *place on, or of any group where that is NULL; NULL behind the last. */
static const struct fm_option *next_row(const struct listing *listing, size_t *place, const char *group)
{
	bool end = false;

	while (!end) {
		const struct fm_option *row = row_at(listing, (*place)++, &end);

		if (row && (!group || strcmp(row->group, group) == 0))
			return row;
	}
	return NULL;
}

/* Groups come in the order of their first rows. */
static void write_listing(const struct listing *listing, const struct form *form, FILE *out)
{
	const struct fm_option *head, *row;
	size_t place = 0;
	bool first = true;

	while ((head = next_row(listing, &place, NULL)) != NULL) {
		size_t from = 0;

		if (next_row(listing, &from, head->group) != head)
			continue;
		form->group(out, head->group, first);
		first = false;
		for (from = 0; (row = next_row(listing, &from, head->group)) != NULL;)
			form->row(out, row, listing->indent);
	}
}

static const char *argument_of(const struct fm_option *row)
{
	return row->argument ? row->argument : row->choices ? row->choices : "";
}

/* What stands behind the help text: " (default 8)", with the choices before it where the argument does not list them.
 */
static void format_notes(const struct fm_option *row, char *text, size_t bytes)
{
	const char *choices = row->argument && row->choices ? row->choices : "";

	snprintf(text, bytes, "%s%s%s%s%s%s", *choices || *row->value ? " (" : "", choices,
		 *choices && *row->value ? "; " : "", *row->value ? "default " : "", row->value,
		 *choices || *row->value ? ")" : "");
}

/* "  -s, --size LIST"; how long it is. */
static int format_label(const struct fm_option *row, char *text, size_t bytes)
{
	const char *argument = argument_of(row);
	char letter[] = "    ";

	if (row->letter)
		snprintf(letter, sizeof(letter), "-%c, ", row->letter);
	return snprintf(text, bytes, "  %s--%s%s%s", letter, row->name, *argument ? " " : "", argument);
}

void fm_text_wrap(FILE *out, const char *text, int column, int indent, int columns)
{
	bool fresh = true;

	while (*text) {
		int length = (int)strcspn(text, " ");

		if (!fresh && column + 1 + length > columns) {
			fprintf(out, "\n%*s", indent, "");
			column = indent;
			fresh = true;
		}
		fprintf(out, "%s%.*s", fresh ? "" : " ", length, text);
		column += length + !fresh;
		fresh = false;
		text += length;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

static void help_group(FILE *out, const char *group, bool first)
{
	fprintf(out, "%s%s:\n", first ? "" : "\n", group);
}

static void help_row(FILE *out, const struct fm_option *row, int indent)
{
	char label[HELP_LABEL_MAX], notes[HELP_NOTES_MAX], text[2 * HELP_NOTES_MAX];
	int column = format_label(row, label, sizeof(label));

	format_notes(row, notes, sizeof(notes));
	snprintf(text, sizeof(text), "%.*s%s", HELP_NOTES_MAX - 1, row->help, notes);
	if (column > indent - 2)
		fprintf(out, "%s\n%*s", label, indent, "");
	else
		fprintf(out, "%-*s", indent, label);
	fm_text_wrap(out, text, indent, indent, HELP_COLUMNS);
}

/* Where help texts begin: two blanks behind the longest label that leaves them room. */
static int help_indent(const struct listing *listing)
{
	const struct fm_option *row;
	int widest = 0;
	size_t place = 0;

	while ((row = next_row(listing, &place, NULL)) != NULL) {
		char label[HELP_LABEL_MAX];
		int column = format_label(row, label, sizeof(label)) + 2;

		if (column > widest && column <= HELP_INDENT_MAX)
			widest = column;
	}
	return widest ? widest : HELP_INDENT_MAX;
}

/* A bar ends a cell, in code spans too (GitHub Flavored Markdown, 4.10). */
static void write_escaped(FILE *out, const char *text)
{
	for (; *text; text++)
		fprintf(out, "%s%c", *text == '|' ? "\\" : "", *text);
}

static void markdown_group(FILE *out, const char *group, bool first)
{
	if (first)
		fputs("| option | default | meaning |\n| --- | --- | --- |\n", out);
	fputs("| **", out);
	write_escaped(out, group);
	fputs("** | | |\n", out);
}

static void markdown_row(FILE *out, const struct fm_option *row, int indent)
{
	const char *argument = argument_of(row);

	(void)indent;
	fputs("| ", out);
	if (row->letter)
		fprintf(out, "`-%c`, ", row->letter);
	fprintf(out, "`--%s%s", row->name, *argument ? " " : "");
	write_escaped(out, argument);
	fputs("` | ", out);
	if (*row->value) {
		fputc('`', out);
		write_escaped(out, row->value);
		fputs("` ", out);
	}
	fputs("| ", out);
	write_escaped(out, row->help);
	if (row->argument && row->choices) {
		fputs(" (`", out);
		write_escaped(out, row->choices);
		fputs("`)", out);
	}
	fputs(" |\n", out);
}

/* Backslashes are roff's own, and an unmarked '-' prints as a hyphen that can't be pasted into a shell. */
static void write_roff(FILE *out, const char *text)
{
	for (; *text; text++)
		if (*text == '\\')
			fputs("\\e", out);
		else
			fprintf(out, "%s%c", *text == '-' ? "\\" : "", *text);
}

static void man_group(FILE *out, const char *group, bool first)
{
	(void)first;
	fputs(".SS ", out);
	write_roff(out, group);
	fputc('\n', out);
}

static void man_row(FILE *out, const struct fm_option *row, int indent)
{
	char notes[HELP_NOTES_MAX];

	(void)indent;
	fputs(".TP\n", out);
	if (row->letter)
		fprintf(out, "\\fB\\-%c\\fR, ", row->letter);
	fputs("\\fB\\-\\-", out);
	write_roff(out, row->name);
	fputs("\\fR", out);
	if (*argument_of(row)) {
		fputs(" \\fI", out);
		write_roff(out, argument_of(row));
		fputs("\\fR", out);
	}
	/* \& keeps a line that begins with a point or an apostrophe from being read as a request. */
	fputs("\n\\&", out);
	write_roff(out, row->help);
	format_notes(row, notes, sizeof(notes));
	write_roff(out, notes);
	fputc('\n', out);
}

void fm_options_help(const struct fm_option_set *const *sets, size_t count, FILE *out)
{
	static const struct form form = {help_group, help_row};
	struct listing listing = {sets, count, 0};

	listing.indent = help_indent(&listing);
	write_listing(&listing, &form, out);
}

void fm_options_markdown(const struct fm_option_set *const *sets, size_t count, FILE *out)
{
	static const struct form form = {markdown_group, markdown_row};

	write_listing(&(struct listing){sets, count, 0}, &form, out);
}

void fm_options_man(const struct fm_option_set *const *sets, size_t count, FILE *out)
{
	static const struct form form = {man_group, man_row};

	write_listing(&(struct listing){sets, count, 0}, &form, out);
}
