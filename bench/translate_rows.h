/*
 * translate_rows.h - how the rows of the tables in translate_*.c are written. For those files only: the names are
 * short.
 */
#ifndef FM_TRANSLATE_ROWS_H
#define FM_TRANSLATE_ROWS_H

#include "bench/translate.h"

#define NOT_NEEDED(why) "not needed: " why
#define NO_COUNTERPART	"no counterpart"
#define NO_PACING	"no counterpart: fabmark sends as fast as it can"

#define FLAG(letter_, name_, target_, value_, note_)                                                                   \
	{                                                                                                              \
		letter_, name_, FM_FOREIGN_FLAG, target_, value_, note_, NULL                                          \
	}
#define VALUE(letter_, name_, target_, value_, note_)                                                                  \
	{                                                                                                              \
		letter_, name_, FM_FOREIGN_VALUE, target_, value_, note_, NULL                                         \
	}
/* --name or --name=VALUE, nothing of which has a counterpart. */
#define ATTACHED(letter_, name_, note_)                                                                                \
	{                                                                                                              \
		letter_, name_, FM_FOREIGN_ATTACHED, NULL, NULL, note_, NULL                                           \
	}
#define CONVERTED(letter_, name_, convert_)                                                                            \
	{                                                                                                              \
		letter_, name_, FM_FOREIGN_VALUE, NULL, NULL, NULL, convert_                                           \
	}
#define END                                                                                                            \
	{                                                                                                              \
		0, NULL, FM_FOREIGN_FLAG, NULL, NULL, NULL, NULL                                                       \
	}

#endif
