/*
 * reader.c - CSV read back: what is right, what is cut, and what is refused with its line.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "results/reader.h"
#include "results/writer.h"
#include "tests/unit/sample.h"

static int parse(const char *text, struct fm_csv *csv, struct fm_error *error)
{
	/* An exact copy, so that a byte read past the end is seen. */
	size_t length = strlen(text);
	char *bytes = malloc(length ? length : 1);
	int code;

	memcpy(bytes, text, length);
	memset(csv, 0, sizeof(*csv));
	code = fm_csv_parse(bytes, length, csv, error);
	free(bytes);
	return code;
}

static void test_good(void **state)
{
	static const char *const texts[] = {
		"x,name\n1,\"a,\"\"b\"\"\nc\"\n,\n",
		"x,name\r\n1,\"a,\"\"b\"\"\nc\"\r\n\"\",\r\n",
		"\xef\xbb\xbfx,name\n1,\"a,\"\"b\"\"\nc\"\n,\"\"\n",
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct fm_error error;
		struct fm_csv csv;

		assert_int_equal(parse(texts[i], &csv, &error), 0);
		assert_int_equal(csv.columns, 2);
		assert_int_equal(csv.rows, 2);
		assert_false(csv.truncated);
		assert_int_equal(fm_csv_column(&csv, "x"), 0);
		assert_int_equal(fm_csv_column(&csv, "none"), csv.columns);
		assert_string_equal(fm_csv_cell(&csv, 0, 0), "1");
		assert_string_equal(fm_csv_cell(&csv, 0, fm_csv_column(&csv, "name")), "a,\"b\"\nc");
		assert_string_equal(fm_csv_cell(&csv, 1, 1), "");
		assert_string_equal(fm_csv_cell(&csv, 1, 2), "");
		assert_string_equal(fm_csv_cell(&csv, 2, 0), "");
		fm_csv_free(&csv);
	}
}

/* Cut anywhere behind the header, the whole rows before are there and nothing else. */
static void test_cut(void **state)
{
	static const char text[] = "a,b\n1,2\n\"3,\n\"\"\",4\r\n5,6\n";

	(void)state;
	for (size_t length = 4; length < sizeof(text); length++) {
		size_t rows = (length >= 8) + (length >= 19) + (length >= 23);
		struct fm_csv csv = {0};
		struct fm_error error;

		assert_int_equal(fm_csv_parse(text, length, &csv, &error), 0);
		assert_int_equal(csv.rows, rows);
		assert_int_equal(csv.truncated, length != 4 && length != 8 && length != 19 && length != 23);
		fm_csv_free(&csv);
	}
}

static void test_refused(void **state)
{
	static const char *const cases[][2] = {
		{"", "line 1: no header"},
		{"a,b", "line 1: no header"},
		{"a,a\n", "line 1: column 'a' comes twice"},
		{"a,\n", "line 1: column 2 has no name"},
		{"a,b\n1,2\n1\n", "line 3: 1 columns where the header has 2"},
		{"a,b\n1,2,3\n", "line 2: 3 columns"},
		{"a,b\n\"x\ny\",2\n1,x\"y\n", "line 4: a quote"},
		{"a,b\n\"x\"y,2\n", "line 2: byte 0x79"},
		{"a,b\n1\r2,3\n", "line 2: byte 0x0d"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fm_error error = {0};
		struct fm_csv csv;

		assert_int_equal(parse(cases[i][0], &csv, &error), -EINVAL);
		assert_int_equal(error.reason, FM_REASON_RESULTS);
		if (!strstr(error.text, cases[i][1]))
			fail_msg("'%s' lacks '%s'", error.text, cases[i][1]);
		assert_null(csv.text);
	}
}

static void test_limits(void **state)
{
	size_t length = FM_CSV_FIELD_MAX + 16;
	struct fm_csv csv = {0};
	struct fm_error error = {0};
	char *text = malloc(length);

	(void)state;
	memset(text, 'x', length);
	memcpy(text, "a\n\"", 3);
	memcpy(text + length - 2, "\"\n", 2);
	assert_int_equal(fm_csv_parse(text, length, &csv, &error), -EINVAL);
	assert_non_null(strstr(error.text, "line 2: a field of more than 65536 bytes"));
	memset(text, ',', length);
	assert_int_equal(fm_csv_parse(text, length, &csv, &error), -EINVAL);
	assert_non_null(strstr(error.text, "line 1: more than 1024 columns"));
	assert_int_equal(fm_csv_parse("a\n\0\n", 4, &csv, &error), -EINVAL);
	assert_non_null(strstr(error.text, "line 2: a NUL byte"));
	free(text);
	assert_int_equal(fm_csv_read("/nonexistent/results.csv", &csv, &error), -ENOENT);
	assert_string_equal(error.text, "cannot read results '/nonexistent/results.csv': no such file or directory");
	assert_int_equal(fm_csv_read("/", &csv, &error), -EISDIR);
}

/* Nothing that comes in makes it read or write where it must not; the sanitizers watch. */
static void test_noise(void **state)
{
	static const char letters[] = "\",\n\r\0a\xff ";
	uint64_t seed = 42;

	(void)state;
	for (int round = 0; round < 50000; round++) {
		size_t length = (size_t)(seed >> 33) % 40;
		char *bytes = malloc(length ? length : 1);
		struct fm_csv csv = {0};
		struct fm_error error;

		for (size_t i = 0; i < length; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			bytes[i] = letters[(seed >> 40) % (sizeof(letters) - 1)];
		}
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		if (fm_csv_parse(bytes, length, &csv, &error) == 0)
			for (size_t row = 0; row < csv.rows; row++)
				for (size_t column = 0; column < csv.columns; column++)
					assert_true(strlen(fm_csv_cell(&csv, row, column)) < length);
		fm_csv_free(&csv);
		free(bytes);
	}
}

static void test_round_trip(void **state)
{
	static const char *const nasty[] = {"plain",	  "a,b",      "\"",	      "\"\"", "line\nbreak",
					    "cr\rlf\r\n", " spaces ", "\xc3\xa9\xff", "=1+1", ",",
					    "\n",	  "'",	      "a;b=c",	      "tab\t"};
	size_t count = sizeof(nasty) / sizeof(nasty[0]);
	char path[] = "/tmp/fabmark-reader-XXXXXX", expected[FM_FIELD_BYTES];
	struct fm_writer *writer;
	struct fm_record record;
	struct fm_error error;
	struct fm_csv csv;

	(void)state;
	close(mkstemp(path));
	assert_int_equal(fm_writer_csv.open(path, &writer, &error), 0);
	for (size_t i = 0; i < count; i++) {
		sample_row(&record, i, "send_bw", 8);
		SET(record.verdict.reason, nasty[i]);
		SET(record.environment_id, nasty[i]);
		assert_int_equal(fm_writer_csv.row(writer, &record, &error), 0);
	}
	assert_int_equal(fm_writer_csv.close(writer, &error), 0);
	assert_int_equal(fm_csv_read(path, &csv, &error), 0);
	assert_int_equal(csv.rows, count);
	for (size_t i = 0; i < count; i++) {
		sample_row(&record, i, "send_bw", 8);
		SET(record.verdict.reason, nasty[i]);
		SET(record.environment_id, nasty[i]);
		for (const struct fm_field *field = fm_fields; field->name; field++)
			assert_string_equal(fm_csv_cell(&csv, i, fm_csv_column(&csv, field->name)),
					    fm_field_format(field, &record, expected, sizeof(expected)));
	}
	fm_csv_free(&csv);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),   cmocka_unit_test(test_cut),   cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits), cmocka_unit_test(test_noise), cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
