/*
 * format.h - numbers and texts as results show them: the same on every machine, in every locale.
 */
#ifndef FM_FORMAT_H
#define FM_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * At most `digits` significant digits (1 to 17), trailing zeros dropped; an exponent only below 1e-7 and from 1e18 on.
 * "" for NaN and infinities. A valid JSON number otherwise. Returns text; 32 bytes suffice.
 */
const char *fm_format_real(double value, int digits, char *text, size_t bytes);

/*
 * So many decimals for a column of a table, fewer where they would not fit the width, an exponent where nothing else
 * fits; "-" for NaN and infinities. Returns text; 32 bytes suffice.
 */
const char *fm_format_decimals(double value, int decimals, int width, char *text, size_t bytes);

/* True, and the value, where the whole text is digits, or digits.digits, at most 15 of them and none in vain. */
bool fm_format_parse(const char *text, double *value);

/* Replaces each byte that is no part of valid UTF-8 (RFC 3629) by '?': the length stays. */
void fm_format_repair(char *text);

#endif
