/*
 * quote.h - words for a shell.
 */
#ifndef FM_QUOTE_H
#define FM_QUOTE_H

#include <stddef.h>

/*
 * Appends a word to a command line, after a blank where there is something before, so that any shell of the Bourne, C
 * and fish families reads exactly this word: as it is where it has letters, digits and the like only, else in single
 * quotes. 0; -ENOSPC: no room, and the text is as it was; -EINVAL: a line break, which the C shell would stumble over.
 */
int fm_quote_append(char *text, size_t bytes, const char *word);

#endif
