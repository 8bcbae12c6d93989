/*
 * translate.h - other programs' command lines as ours: perftest's, ucx_perftest's and iperf3's.
 *
 * A tool is a table of its options, each with the option of ours that means the same, or a note that says why there is
 * none. What is emitted is looked up in our option rows, so a build that lacks an option says so and leaves it out.
 */
#ifndef FM_TRANSLATE_H
#define FM_TRANSLATE_H

#include "common/options.h"

enum {
	FM_TRANSLATE_WORDS_MAX = 128,
	FM_TRANSLATE_WANTED_MAX = 48,
	FM_TRANSLATE_NOTES_MAX = 96,
	FM_TRANSLATE_NOTE_BYTES = 400,
	FM_TRANSLATE_SHOWN_MAX = 64, /* characters of a word that a sentence quotes */
	FM_TRANSLATE_LINE_BYTES = 8192
};

enum fm_foreign_argument {
	FM_FOREIGN_FLAG,
	FM_FOREIGN_VALUE,   /* --name VALUE, --name=VALUE, -x VALUE, -xVALUE */
	FM_FOREIGN_ATTACHED /* --name, --name=VALUE */
};

struct fm_translation;
struct fm_foreign_option;

/*
 * Does what a row's target and value cannot say: calls fm_translation_want or fm_translation_note. typed is the option
 * as it was typed ("-s 8"), text its argument ("" for a flag). 0, or -EINVAL with reason usage.
 */
typedef int fm_foreign_convert(struct fm_translation *translation, const struct fm_foreign_option *row,
			       const char *typed, const char *text, struct fm_error *error);

struct fm_foreign_option {
	char letter;	  /* 0 none */
	const char *name; /* without the dashes; NULL none */
	enum fm_foreign_argument argument;
	const char *target; /* our option without the dashes; "@..." is for the tool's end; NULL: it has none */
	const char *value;  /* what the target gets, '%' stands for the argument; NULL: the argument */
	const char *note;   /* what a user must know, in our words; NULL: it means the same */
	fm_foreign_convert *convert; /* instead of the target; NULL none */
};

struct fm_foreign_tool {
	const struct fm_foreign_option *options; /* the last has neither letter nor name */
	const char *host_option;		 /* how the host is given where that is not by a bare word */
	/* Called when all options are read; 0 or -EINVAL with reason usage. */
	int (*end)(struct fm_translation *translation, struct fm_error *error);
};

struct fm_foreign_program {
	const char *name;
	const struct fm_foreign_tool *tool;
	const char *test, *size; /* what it measures unless an option says otherwise; NULL: see the tool's end */
	const char *note;	 /* how its figure compares with ours */
};

/* All programs; the last has no name. */
extern const struct fm_foreign_program fm_foreign_programs[];
extern const struct fm_foreign_tool fm_foreign_perftest, fm_foreign_ucx, fm_foreign_iperf3;

/* An option of the command line's contract that this build may lack. letter: perftest's, under which it may be found.
 */
struct fm_future_option {
	const char *name;
	char letter;
	const char *meanwhile; /* what to do without it; NULL nothing */
};

extern const struct fm_future_option fm_future_options[]; /* the last has no name */

/* The rows that the line is checked against. The first set of pair is the one that the rules are about. */
struct fm_translate_rows {
	const struct fm_option_set *const *pair;
	size_t pair_count;
	const struct fm_option_set *serve;
	const struct fm_option_rule *rules; /* of pair; NULL none */
};

/* An option of ours that the line is to have. typed: what it comes from, "" for a default of the other program. */
struct fm_wanted {
	char name[40], value[FM_TEXT_MAX], typed[FM_TEXT_MAX];
	bool used;
};

struct fm_translation {
	const struct fm_translate_rows *rows;
	const struct fm_foreign_program *program;
	const char *host; /* NULL: the server's half */
	uint32_t wanted_count, note_count;
	uint32_t read_notes; /* the first so many come from reading the line, the others from writing ours */
	struct fm_wanted wanted[FM_TRANSLATE_WANTED_MAX];
	char notes[FM_TRANSLATE_NOTES_MAX][FM_TRANSLATE_NOTE_BYTES];
	char line[FM_TRANSLATE_LINE_BYTES]; /* the command to paste, quoted for a POSIX shell, without a newline */
};

/*
 * Translates argv[0..argc), the other program's words, its name first (environment settings before it are understood).
 * translation is zeroed first. -EINVAL with reason usage: an unknown program or option (the nearest is named), a
 * control character, more than fits, or a line that our own parser would refuse.
 */
int fm_translate(const struct fm_translate_rows *rows, int argc, char *const *argv, struct fm_translation *translation,
		 struct fm_error *error);

/*
 * Splits text into words as a POSIX shell does (quotes and backslashes; nothing is expanded). The words lie in bytes,
 * which must have room for strlen(text) + 1; argv gets at most max. How many, or -EINVAL with reason usage: an open
 * quote, too many words, or what only a shell could carry out (pipes, redirections, variables).
 */
int fm_shell_split(const char *text, char *bytes, char **argv, int max, struct fm_error *error);

/* Asks for --name value; of a repeated one the last wins. Where there is no room left it is dropped with a note. */
void fm_translation_want(struct fm_translation *translation, const char *name, const char *value, const char *typed);
/* What was asked for under this name, or NULL. */
struct fm_wanted *fm_translation_wanted(struct fm_translation *translation, const char *name);
/* No longer asks for it. */
void fm_translation_drop(struct fm_translation *translation, const char *name);
/* Names within fewer letters than this of a mistyped one of that length are offered instead. */
size_t fm_translation_reach(size_t length);
/* Adds "typed: sentence"; the same note is told once. */
__attribute__((format(printf, 3, 4))) void fm_translation_note(struct fm_translation *translation, const char *typed,
							       const char *format, ...);
/* Takes back what the reading of the line has noted of this option: another sentence is about to say more of it. */
void fm_translation_drop_notes(struct fm_translation *translation, const char *typed);
/* The last note becomes the first. */
void fm_translation_raise_note(struct fm_translation *translation);

#endif
