/*
 * restore.c - a row that is told to another process is the same row there.
 */
#include "tests/unit/sample.h"

#include <errno.h>
#include <math.h>

#include "results/writer.h"

/* The line's object of a row, as the stream writer makes it. */
static json_t *told(const struct fm_record *record)
{
	json_t *columns = json_object();
	char text[FM_FIELD_BYTES];

	for (const struct fm_field *field = fm_fields; field->name; field++)
		if (fm_field_format(field, record, text, sizeof(text))[0])
			json_object_set_new(columns, field->name, json_string(text));
	return columns;
}

static void assert_same(const struct fm_record *record)
{
	struct fm_record_copy copy;
	struct fm_error error = {0};
	json_t *row = told(record);

	assert_int_equal(fm_stream_row(row, &copy, &error), 0);
	for (const struct fm_field *field = fm_fields; field->name; field++) {
		char text[FM_FIELD_BYTES], again[FM_FIELD_BYTES];

		fm_field_format(field, record, text, sizeof(text));
		fm_field_format(field, &copy.record, again, sizeof(again));
		assert_string_equal(text, again);
	}
	json_decref(row);
}

static void every_column_survives(void **state)
{
	struct fm_record record;

	(void)state;
	sample_row(&record, 1, "send_lat", 8);
	assert_same(&record);
	sample_latency(&record, 1, 8, 1.23456789);
	SET(record.key.labels, "tab=\there;quote=\"'");
	SET(record.effective, "a=1;b=x,y");
	record.counters.retransmit = 0;
	record.latency.max_us = 1e9 / 3;
	record.latency.min_us = 1e-7 / 3;
	assert_same(&record);
	record.key.row_kind = "total";
	record.key.rail = FM_EMPTY;
	record.key.direction = "both";
	record.key.load = "bidirectional";
	assert_same(&record);
}

static void empty_stays_empty(void **state)
{
	struct fm_record_copy copy;

	(void)state;
	fm_record_copy_init(&copy);
	assert_int_equal(fm_record_restore(&copy, "bw_gbps", ""), 0);
	assert_int_equal(fm_record_restore(&copy, "rail", ""), 0);
	assert_true(isnan(copy.record.rate.bw_gbps));
	assert_true(copy.record.key.rail == FM_EMPTY);
	assert_string_equal(copy.record.verdict.stop_reason, "");
}

static void what_cannot_be_is_refused(void **state)
{
	static const struct {
		const char *column, *text;
		int code;
	} cases[] = {{"no_such", "1", -ENOENT},
		     {"status", "splendid", -EINVAL},
		     {"schema", "2", -EINVAL},
		     {"tool_version", "9.9.9", -EINVAL},
		     {"point_id", "-1", -EINVAL},
		     {"point_id", "1x", -EINVAL},
		     {"bw_gbps", "fast", -EINVAL},
		     {"bw_gbps", "nan", -EINVAL},
		     {"bw_gbps", "inf", -EINVAL},
		     {"transport", "a name that is longer than the field", -EINVAL},
		     {"reason_code", "no_code", -EINVAL},
		     {"row_kind", "flow total", -EINVAL}};
	struct fm_record_copy copy;

	(void)state;
	fm_record_copy_init(&copy);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(fm_record_restore(&copy, cases[i].column, cases[i].text), cases[i].code);
	/* Room for closed texts ends; it is never overrun. */
	for (int i = 0; i < 2 * FM_CLOSED_MAX; i++)
		fm_record_restore(&copy, "status", "ok");
	assert_int_equal(fm_record_restore(&copy, "status", "ok"), -EINVAL);
	assert_string_equal(copy.record.verdict.status, "ok");
}

static void lines_that_are_no_row(void **state)
{
	struct fm_record_copy copy;
	struct fm_error error = {0};
	json_t *rows[] = {json_array(), json_string("x"), json_pack("{s:i}", "point_id", 1),
			  json_pack("{s:s}", "no_such", "x")};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(fm_stream_row(rows[i], &copy, &error), -EPROTO);
		json_decref(rows[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_column_survives),
		cmocka_unit_test(empty_stays_empty),
		cmocka_unit_test(what_cannot_be_is_refused),
		cmocka_unit_test(lines_that_are_no_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
