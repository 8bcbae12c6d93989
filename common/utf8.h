/*
 * utf8.h - which bytes are UTF-8 (RFC 3629, section 4).
 */
#ifndef FM_UTF8_H
#define FM_UTF8_H

#include <stddef.h>

/* Length in bytes of the character that text begins with; 0 where that is not valid UTF-8. The final NUL has 1. */
size_t fm_utf8_sequence(const char *text);

#endif
