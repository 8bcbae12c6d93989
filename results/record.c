/*
 * record.c - fills, reads and checks a row by the field table.
 */
#include "results/record.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "results/format.h"

static void *field_at(const struct fm_field *field, struct fm_record *record)
{
	return (char *)record + field->offset;
}

static const void *field_of(const struct fm_field *field, const struct fm_record *record)
{
	return (const char *)record + field->offset;
}

static const char *field_enum(const struct fm_field *field, const struct fm_record *record)
{
	const char *value;

	memcpy(&value, field_of(field, record), sizeof(value));
	return value;
}

uint64_t fm_field_count(const struct fm_field *field, const struct fm_record *record)
{
	return field->type == FM_FIELD_COUNT ? *(const uint64_t *)field_of(field, record) : FM_EMPTY;
}

double fm_field_real(const struct fm_field *field, const struct fm_record *record)
{
	return field->type == FM_FIELD_REAL ? *(const double *)field_of(field, record) : (double)NAN;
}

const char *fm_field_format(const struct fm_field *field, const struct fm_record *record, char *text, size_t bytes)
{
	uint64_t count;
	const char *value;

	text[0] = '\0';
	switch (field->type) {
	case FM_FIELD_TEXT:
	case FM_FIELD_PAIRS:
		snprintf(text, bytes, "%.*s", (int)field->bytes, (const char *)field_of(field, record));
		fm_format_repair(text);
		break;
	case FM_FIELD_ENUM:
		value = field_enum(field, record);
		snprintf(text, bytes, "%s", value ? value : "");
		break;
	case FM_FIELD_CONSTANT:
		snprintf(text, bytes, "%s", field->values);
		break;
	case FM_FIELD_COUNT:
		count = fm_field_count(field, record);
		if (count != FM_EMPTY)
			snprintf(text, bytes, "%" PRIu64, count);
		break;
	case FM_FIELD_REAL:
		fm_format_real(fm_field_real(field, record), field->digits, text, bytes);
		break;
	}
	return text;
}

void fm_record_init(struct fm_record *record)
{
	memset(record, 0, sizeof(*record));
	for (const struct fm_field *field = fm_fields; field->name; field++) {
		if (field->type == FM_FIELD_ENUM)
			*(const char **)field_at(field, record) = "";
		else if (field->type == FM_FIELD_COUNT)
			*(uint64_t *)field_at(field, record) = FM_EMPTY;
		else if (field->type == FM_FIELD_REAL)
			*(double *)field_at(field, record) = (double)NAN;
	}
	record->verdict.status = "failed";
}

/* Is text one of the words of a closed list? */
static bool value_listed(const char *values, const char *text)
{
	size_t length = strlen(text);

	for (const char *at = values; *at;) {
		size_t word = strcspn(at, " ");

		if (word == length && strncmp(at, text, word) == 0)
			return length > 0;
		at += word;
		at += strspn(at, " ");
	}
	return false;
}

static int set_text(const struct fm_field *field, char *at, const char *text)
{
	size_t length = strlen(text);

	if (length >= field->bytes || (field->values && !value_listed(field->values, text)))
		return -EINVAL;
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return -EINVAL;
	memcpy(at, text, length + 1);
	return 0;
}

static int set_count(uint64_t *at, const char *text)
{
	uint64_t value = 0;

	for (const char *c = text; *c; c++) {
		unsigned digit = (unsigned)*c - '0';

		if (digit > 9 || value > (FM_EMPTY - 1 - digit) / 10)
			return -EINVAL;
		value = value * 10 + digit;
	}
	*at = value;
	return 0;
}

int fm_record_set(struct fm_record *record, const char *column, const char *text)
{
	const struct fm_field *field = fm_field_find(column);

	if (!field || !field->settable)
		return -ENOENT;
	if (!text[0])
		return -EINVAL;
	if (field->type == FM_FIELD_COUNT)
		return set_count(field_at(field, record), text);
	if (field->type == FM_FIELD_REAL)
		return fm_format_parse(text, field_at(field, record)) ? 0 : -EINVAL;
	return set_text(field, field_at(field, record), text);
}

int fm_record_set_end(struct fm_record *record, char end, const char *column, const char *text)
{
	char name[64];

	if ((size_t)snprintf(name, sizeof(name), "%s_%c", column, end) < sizeof(name) && fm_field_find(name))
		return fm_record_set(record, name, text);
	/* One end may not speak for the other. */
	if (fm_field_find(column) && strlen(column) > 2) {
		const char *tail = column + strlen(column) - 2;

		if (strcmp(tail, "_a") == 0 || strcmp(tail, "_b") == 0)
			return -ENOENT;
	}
	return fm_record_set(record, column, text);
}

int fm_record_append(char *field, size_t bytes, const char *key, const char *value)
{
	size_t used = strnlen(field, bytes), key_length = strlen(key), value_length = strlen(value);
	size_t separator = used > 0;
	char *at = field + used;

	/* separator, key, '=', value, end */
	if (key_length >= bytes || value_length >= bytes || used + separator + key_length + value_length + 2 > bytes)
		return -ENOSPC;
	if (separator)
		*at++ = ';';
	for (; *key; key++)
		*at++ = (char)(*key == ';' || *key == '=' ? '_' : *key);
	*at++ = '=';
	for (; *value; value++)
		*at++ = (char)(*value == ';' ? '_' : *value);
	*at = '\0';
	return 0;
}

void fm_record_copy_init(struct fm_record_copy *copy)
{
	memset(copy, 0, sizeof(*copy));
	fm_record_init(&copy->record);
}

static int restore_enum(struct fm_record_copy *copy, const struct fm_field *field, const char *text)
{
	char *own;

	if (copy->used >= FM_CLOSED_MAX || strlen(text) >= FM_CLOSED_BYTES || !value_listed(field->values, text))
		return -EINVAL;
	own = copy->closed[copy->used];
	memcpy(own, text, strlen(text) + 1);
	copy->used++;
	*(const char **)field_at(field, &copy->record) = own;
	return 0;
}

/* Whatever it holds: what a user typed is in some, and it was good enough for the record that it comes from. */
static int restore_text(const struct fm_field *field, char *at, const char *text)
{
	size_t length = strlen(text);

	if (length >= field->bytes || (field->values && !value_listed(field->values, text)))
		return -EINVAL;
	memcpy(at, text, length + 1);
	return 0;
}

int fm_record_restore(struct fm_record_copy *copy, const char *column, const char *text)
{
	const struct fm_field *field = fm_field_find(column);
	char *end;
	double value;

	if (!field)
		return -ENOENT;
	if (!text[0])
		return 0;
	switch (field->type) {
	case FM_FIELD_TEXT:
	case FM_FIELD_PAIRS:
		return restore_text(field, field_at(field, &copy->record), text);
	case FM_FIELD_ENUM:
		return restore_enum(copy, field, text);
	case FM_FIELD_CONSTANT:
		return strcmp(field->values, text) == 0 ? 0 : -EINVAL;
	case FM_FIELD_COUNT:
		return set_count(field_at(field, &copy->record), text);
	case FM_FIELD_REAL:
		value = strtod(text, &end);
		if (*end || !isfinite(value))
			return -EINVAL;
		*(double *)field_at(field, &copy->record) = value;
		return 0;
	}
	return -EINVAL;
}

static int check_broken(const struct fm_record *record, struct fm_error *error, const char *what, const char *column)
{
	return fm_error_set(error, -EINVAL, FM_REASON_INTERNAL,
			    "row of point %" PRIu64 ": %s: column %s; this is a defect", record->key.point_id, what,
			    column);
}

static int check_field(const struct fm_field *field, const struct fm_record *record, struct fm_error *error)
{
	char text[FM_FIELD_BYTES];
	bool is_text = field->type == FM_FIELD_TEXT || field->type == FM_FIELD_PAIRS;

	if (is_text && !memchr(field_of(field, record), '\0', field->bytes))
		return check_broken(record, error, "a text without an end", field->name);
	if (field->type == FM_FIELD_ENUM && !field_enum(field, record))
		return check_broken(record, error, "a null pointer", field->name);
	fm_field_format(field, record, text, sizeof(text));
	if (!text[0])
		return field->empty ? 0 : check_broken(record, error, "empty", field->name);
	if (field->values && field->type != FM_FIELD_CONSTANT && !value_listed(field->values, text))
		return check_broken(record, error, "a value outside the closed list", field->name);
	return 0;
}

int fm_record_check(const struct fm_record *record, struct fm_error *error)
{
	const struct fm_record_verdict *verdict = &record->verdict;
	bool total, without;

	for (const struct fm_field *field = fm_fields; field->name; field++) {
		int code = check_field(field, record, error);

		if (code)
			return code;
	}
	total = strcmp(record->key.row_kind, "total") == 0;
	if (total != (record->key.rail == FM_EMPTY))
		return check_broken(record, error, total ? "a total has no rail" : "a flow has one", "rail");
	without = strcmp(verdict->status, "failed") == 0 || strcmp(verdict->status, "skipped") == 0;
	if (without && !verdict->reason[0])
		return check_broken(record, error, "no result and no sentence", "reason");
	if (without && !verdict->reason_code[0])
		return check_broken(record, error, "no result and no code", "reason_code");
	if (strcmp(verdict->status, "ok") == 0 && verdict->reason_code[0])
		return check_broken(record, error, "a code although all is well", "reason_code");
	return 0;
}
