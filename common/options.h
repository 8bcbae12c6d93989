/*
 * options.h - one row per option; parsing, help, man page and the README's table come from the rows.
 *
 * A row's default is a string and goes through the same parser as argv. Rows live in const tables without code; a type
 * is a parser of one value into one field. Sets keep their values in a struct of their own, so that a backend owns its
 * options and this file knows none of them.
 */
#ifndef FM_OPTIONS_H
#define FM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/error.h"

enum { FM_TEXT_MAX = 256 };

struct fm_option;

/*
 * How one value is read. parse gets the whole text behind the option and the field to fill, which it leaves untouched
 * when it fails and overwrites otherwise: of a repeated option the last one wins. It returns 0 or -EINVAL with a
 * sentence that names neither the option nor its text (the caller prefixes "--size '1E': ").
 */
struct fm_option_type {
	const char *name;
	bool takes_value;
	size_t bytes; /* of the field */
	int (*parse)(const struct fm_option *row, const char *text, void *field, struct fm_error *error);
};

/*
 * The types that a transport's rows may have, by number: a row may lie in a module, which names no symbol of the
 * program.
 */
enum fm_option_kind {
	FM_OPTION_TYPED, /* none of these: the row's type says */
	FM_OPTION_FLAG,	 /* fm_option_flag, and so on */
	FM_OPTION_COUNT,
	FM_OPTION_SECONDS,
	FM_OPTION_TEXT,
	FM_OPTION_CHOICE,
	FM_OPTION_KINDS
};

/* bool; no value on the command line, "true" or "false" elsewhere */
extern const struct fm_option_type fm_option_flag;
/* uint64_t in [minimum, maximum]; suffixes K, M, G (1,024-based) */
extern const struct fm_option_type fm_option_count;
/* double in [minimum, maximum]: "3", "0.5", "500ms", "2m", "1h" */
extern const struct fm_option_type fm_option_seconds;
/* char[FM_TEXT_MAX] */
extern const struct fm_option_type fm_option_text;
/* char[FM_TEXT_MAX]: one of row->choices ("a|b|c") */
extern const struct fm_option_type fm_option_choice;

struct fm_option {
	const char *name;     /* without the dashes */
	char letter;	      /* perftest's where it has one; 0 none */
	const char *argument; /* shown in help: "N", "LIST", "FILE|-"; NULL for a flag, or to show the choices */
	const char *value;    /* the default, as it would be typed; "" leaves the field zeroed */
	const char *help;     /* one line, lower case, no full stop */
	const char *group;    /* heading in --help */
	enum fm_option_kind kind;
	const struct fm_option_type *type; /* NULL: that of kind; the program's own rows alone have one */
	size_t offset;			   /* of the field in the set's struct */
	double minimum, maximum;	   /* of counts and seconds; maximum 0: no upper bound */
	const char *choices;
	bool hidden; /* understood for the sake of other tools' users; not in help */
};

/* The type of a row, by whichever member tells it; NULL where neither does. */
const struct fm_option_type *fm_option_type_of(const struct fm_option *row);

struct fm_option_set {
	const char *name; /* "" for a command's own options; else the backend's name */
	const struct fm_option *rows;
	size_t count;
	size_t bytes; /* of the struct that the rows fill */
};

/* A rule across options: broken where the predicate holds. */
struct fm_option_rule {
	bool (*broken)(const void *values);
	const char *message;
};

/* An option that other tools have and we have under another name, or not at all. */
struct fm_option_alias {
	const char *name;    /* "--qp" or "-o", as typed */
	const char *instead; /* what follows "--qp: ": "use --queue-pairs" */
};

/* What one command understands. values[i] belongs to sets[i]; the first set is the command's own. */
struct fm_option_parser {
	const char *command; /* "fabmark pair", for messages */
	const struct fm_option_set *const *sets;
	void *const *values;
	size_t count;
	const struct fm_option_alias *aliases; /* NULL-name terminated, or NULL */
	const struct fm_option_rule *rules;    /* on values[0]; NULL-message terminated, or NULL */
	uint32_t positional_max;
	/* What to do about an option of another program, by its name without the dashes, which need not end there; NULL
	 * where no program is known to have it. May be NULL. */
	const char *(*foreign)(const char *name, size_t length);
};

/* Zeroes the struct, then fills in the defaults. One that does not parse is -EINVAL, reason internal. */
int fm_options_defaults(const struct fm_option_set *set, void *values, struct fm_error *error);

/*
 * Reads argv[1..argc) over what values hold, which is the defaults as a rule. Accepts --name value, --name=value,
 * -x value, -xvalue, bundled flags, and -- to end options; a separate value that starts with '-' is "-" or a number,
 * anything else must be written --name=-value, so that a forgotten value is noticed. Positional arguments go to
 * positional[0..*positional_count) in order (pointers into argv; positional_max entries). An unknown option names the
 * nearest known one; one in the alias table gets its sentence. A word that is not UTF-8 is refused before all else;
 * rules are asked last. -EINVAL with reason usage; values, positional and given are then undefined.
 * given, where not NULL, has one bool for each row of the first set: it was on the command line. Rows of one field are
 * names of one option; where given is not NULL, two of them that say different things are refused.
 */
int fm_options_parse(const struct fm_option_parser *parser, int argc, char *const *argv, const char **positional,
		     uint32_t *positional_count, bool *given, struct fm_error *error);

/* Told of each option as it is read: its row, and its text ("true" of a flag). */
struct fm_option_log {
	void (*saw)(void *context, const struct fm_option *row, const char *text);
	void *context;
};

/* The same without the rules, and with a log that may be NULL: for whoever adds to the values before they are final. */
int fm_options_read(const struct fm_option_parser *parser, int argc, char *const *argv, const char **positional,
		    uint32_t *positional_count, const struct fm_option_log *log, bool *given, struct fm_error *error);
/* The parser's rules alone, over what its values hold. -EINVAL with reason usage. */
int fm_options_rules(const struct fm_option_parser *parser, struct fm_error *error);

/*
 * Sets one value by name, as --set and a peer's plan do. -ENOENT where the set has no such row; a text that does not
 * parse is -EINVAL, and the field keeps its value.
 */
int fm_options_set(const struct fm_option_set *set, void *values, const char *name, const char *text,
		   struct fm_error *error);

/* The options of the sets as --help shows them (80 columns), grouped, defaults included. */
void fm_options_help(const struct fm_option_set *const *sets, size_t count, FILE *out);

/* The same as a Markdown table, for README.md. */
void fm_options_markdown(const struct fm_option_set *const *sets, size_t count, FILE *out);

/* The same as the section OPTIONS of a man page, without its heading. */
void fm_options_man(const struct fm_option_set *const *sets, size_t count, FILE *out);

/*
 * Walks a table as start-up and a test do: duplicate names or letters among the sets, a name that can't be typed, a
 * missing help text, group, argument or choice, an empty range, a default that does not parse, a field outside the
 * struct. 0, or -EINVAL with reason internal; -ENOMEM.
 */
int fm_options_check(const struct fm_option_set *const *sets, size_t count, struct fm_error *error);

/*
 * How many insertions, deletions, replacements and swaps of neighbours turn a into b, no letter touched twice (the
 * "optimal string alignment" distance: Boytsov, ACM JEA 16, 2011, section 2.2). SIZE_MAX where one is longer than a
 * name may be.
 */
size_t fm_options_distance(const char *a, size_t a_length, const char *b, size_t b_length);

/* The parsers that other types are built from. Both read the whole text; -EINVAL says why not. */
int fm_parse_count(const char *text, uint64_t *count, struct fm_error *error);	 /* "64K" = 65536 */
int fm_parse_seconds(const char *text, double *seconds, struct fm_error *error); /* "500ms" = 0.5 */

/* "64K" for 65536, "1000" for 1000: the shortest text that fm_parse_count reads back. */
void fm_format_count(uint64_t count, char *text, size_t bytes);

/* Breaks text at blanks into the columns from indent to columns, and ends the line; column: where the cursor stands. */
void fm_text_wrap(FILE *out, const char *text, int column, int indent, int columns);

#endif
