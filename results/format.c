/*
 * format.c - numbers and texts as results show them.
 *
 * printf's decimal point follows the locale, which any library may set; so only digits are taken from it.
 */
#include "results/format.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

/* The significant digits of |value| and the power of ten of the first one. */
static int real_digits(double value, int digits, char figures[32], int *exponent)
{
	char scientific[64];
	int count = 0;

	snprintf(scientific, sizeof(scientific), "%.*e", digits - 1, fabs(value));
	for (const char *at = scientific; *at != 'e'; at++)
		if (*at >= '0' && *at <= '9')
			figures[count++] = *at;
	while (count > 1 && figures[count - 1] == '0')
		count--;
	figures[count] = '\0';
	*exponent = (int)strtol(strchr(scientific, 'e') + 1, NULL, 10);
	return count;
}

const char *fm_format_real(double value, int digits, char *text, size_t bytes)
{
	char figures[32];
	const char *sign = value < 0 ? "-" : "";
	int exponent, count;

	if (!isfinite(value)) {
		snprintf(text, bytes, "%s", "");
		return text;
	}
	count = real_digits(value, digits < 1 ? 1 : digits > 17 ? 17 : digits, figures, &exponent);
	if (exponent < -7 || exponent > 17)
		snprintf(text, bytes, "%s%c%s%se%d", sign, figures[0], count > 1 ? "." : "", figures + 1, exponent);
	else if (exponent < 0)
		snprintf(text, bytes, "%s0.%.*s%s", sign, -exponent - 1, "0000000", figures);
	else if (count <= exponent + 1)
		snprintf(text, bytes, "%s%s%.*s", sign, figures, exponent + 1 - count, "00000000000000000");
	else
		snprintf(text, bytes, "%s%.*s.%s", sign, exponent + 1, figures, figures + exponent + 1);
	return text;
}

const char *fm_format_decimals(double value, int decimals, int width, char *text, size_t bytes)
{
	char figures[32] = "";
	int exponent;

	if (!isfinite(value)) {
		snprintf(text, bytes, "-");
		return text;
	}
	for (; decimals >= 0 && fabs(value) < 1e12; decimals--) {
		unsigned long long scale = 1, scaled;
		int length;

		for (int i = 0; i < decimals; i++)
			scale *= 10;
		scaled = (unsigned long long)llround(fabs(value) * (double)scale);
		length = snprintf(text, bytes, "%s%llu", value < 0 && scaled ? "-" : "", scaled / scale);
		if (decimals)
			length += snprintf(text + length, bytes - (size_t)length, ".%0*llu", decimals, scaled % scale);
		if (length <= width)
			return text;
	}
	real_digits(value, 2, figures, &exponent);
	snprintf(text, bytes, "%s%c.%ce%d", value < 0 ? "-" : "", figures[0], figures[1] ? figures[1] : '0', exponent);
	return text;
}

bool fm_format_parse(const char *text, double *value)
{
	size_t whole = strspn(text, "0123456789"), part = 0;
	double scale = 1;
	uint64_t figures = 0;

	if (text[whole] == '.')
		part = strspn(text + whole + 1, "0123456789");
	if (!whole || whole + part > 15 || text[whole + part + (text[whole] == '.')])
		return false;
	if ((text[whole] == '.' && !part) || (whole > 1 && text[0] == '0'))
		return false;
	for (const char *at = text; *at; at++)
		if (*at != '.')
			figures = figures * 10 + (uint64_t)(*at - '0');
	while (part--)
		scale *= 10;
	/* Both are exact below 2^53, so the one division rounds as strtod would. */
	*value = (double)figures / scale;
	return true;
}

void fm_format_repair(char *text)
{
	while (*text) {
		size_t length = fm_utf8_sequence(text);

		if (!length)
			*text = '?';
		text += length ? length : 1;
	}
}
