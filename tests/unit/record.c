/*
 * record.c - the field table, and rows filled, read and checked by it.
 */
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

#include "results/format.h"
#include "results/writer.h"
#include "tests/unit/sample.h"
#include "transports/test.h"

/* The contract: these columns, in this order. */
static const char header[] =
	"schema tool_version run_id point_id time_utc row_kind rail direction initiator load status reason reason_code "
	"job_id "
	"labels node_a node_b transport test variant size_bytes memory_a memory_b memory_path device_a device_b "
	"link_layer_a "
	"link_layer_b link_gbps_a link_gbps_b mtu gid_index_a gid_index_b connection gpu_a gpu_b gpu_pci_a gpu_pci_b "
	"cpu_a cpu_b "
	"numa_a numa_b path_class_a path_class_b placement threads streams queue_pairs depth completion post_api "
	"inline_bytes "
	"cq_moderation traffic_class service_level relaxed_ordering operations repetitions duration_s stop_reason "
	"lat_definition lat_min_us lat_p50_us samples lat_p50_low_us lat_p50_high_us lat_p90_us lat_p99_us lat_p999_us "
	"lat_p9999_us lat_max_us lat_mean_us lat_stdev_us bw_gbps bw_low_gbps bw_high_gbps bw_worst_gbps "
	"bw_stream_min_gbps "
	"bw_stream_max_gbps msg_rate_per_s ceiling_gbps ceiling_percent limiter verified retransmit_count rnr_count "
	"out_of_sequence_count cnp_count pause_count port_error_count counters lost_operations effective "
	"environment_id ";

static void test_header(void **state)
{
	char names[sizeof(header) * 2] = "";

	(void)state;
	for (const struct fm_field *field = fm_fields; field->name; field++) {
		strcat(names, field->name);
		strcat(names, " ");
	}
	assert_string_equal(names, header);
}

/* No two columns share bytes of the record, every byte-wise member has a column, and each says what it means. */
static void test_table(void **state)
{
	static unsigned char used[sizeof(struct fm_record)];
	size_t covered = 0;

	(void)state;
	memset(used, 0, sizeof(used));
	for (const struct fm_field *field = fm_fields; field->name; field++) {
		size_t bytes = field->type == FM_FIELD_CONSTANT ? 0 : field->bytes ? field->bytes : 8;

		assert_non_null(field->help);
		assert_true(strlen(field->help) > 5);
		assert_null(strpbrk(field->help, "|\n"));
		assert_true(field->offset + bytes <= sizeof(struct fm_record));
		assert_true(field->bytes <= FM_FIELD_BYTES);
		assert_true(field->type != FM_FIELD_ENUM || field->values);
		assert_true(field->type != FM_FIELD_REAL || (field->digits >= 4 && field->digits <= 17));
		for (size_t i = field->offset; i < field->offset + bytes; i++)
			assert_int_equal(used[i]++, 0);
		covered += bytes;
		assert_ptr_equal(fm_field_find(field->name), field);
	}
	/* Only padding is left over. */
	assert_true(sizeof(struct fm_record) - covered < 32);
	assert_int_equal(atoi(fm_field_find("schema")->values), FM_SCHEMA);
	assert_null(fm_field_find("no_such_column"));
}

/* The closed lists that other parts of the program own too. */
static void test_lists(void **state)
{
	char tests[1024] = "", reasons[1024] = "";

	(void)state;
	for (int i = 0; i < FM_TEST_COUNT; i++)
		sprintf(tests + strlen(tests), "%s%s", i ? " " : "", fm_tests[i].name);
	assert_int_equal(strlen(tests), strlen(fm_field_find("test")->values));
	for (int i = 0; i < FM_TEST_COUNT; i++)
		assert_non_null(strstr(fm_field_find("test")->values, fm_tests[i].name));
	for (int i = 0; i < FM_REASON_COUNT; i++)
		sprintf(reasons + strlen(reasons), "%s ", fm_reason_name((enum fm_reason)i));
	assert_string_equal(reasons, fm_field_find("reason_code")->values);
}

static void test_init(void **state)
{
	struct fm_record record;
	char text[FM_FIELD_BYTES];

	(void)state;
	memset(&record, 0xa5, sizeof(record));
	fm_record_init(&record);
	for (const struct fm_field *field = fm_fields; field->name; field++) {
		fm_field_format(field, &record, text, sizeof(text));
		if (strcmp(field->name, "status") == 0)
			assert_string_equal(text, "failed");
		else if (field->type == FM_FIELD_CONSTANT)
			assert_string_equal(text, field->values);
		else
			assert_string_equal(text, "");
	}
}

static const char *shown(const struct fm_record *record, const char *column)
{
	static char text[FM_FIELD_BYTES];

	return fm_field_format(fm_field_find(column), record, text, sizeof(text));
}

static void test_set(void **state)
{
	static const char *const bad_counts[] = {"",
						 "-1",
						 "+1",
						 " 1",
						 "1 ",
						 "0x10",
						 "4K",
						 "1.0",
						 "18446744073709551615",
						 "18446744073709551616",
						 "99999999999999999999999",
						 NULL};
	static const char *const bad_reals[] = {"", "-1", "nan", "inf", "1e3", "1.", ".5", "01", "1,5", "0x1p3", NULL};
	struct fm_record record;

	(void)state;
	fm_record_init(&record);
	assert_int_equal(fm_record_set(&record, "mtu", "4096"), 0);
	for (const char *const *text = bad_counts; *text; text++)
		assert_int_equal(fm_record_set(&record, "mtu", *text), -EINVAL);
	assert_int_equal(record.work.mtu, 4096);
	assert_int_equal(fm_record_set(&record, "mtu", "18446744073709551614"), 0);
	assert_true(record.work.mtu == FM_EMPTY - 1);
	assert_int_equal(fm_record_set(&record, "link_gbps_a", "53.125"), 0);
	for (const char *const *text = bad_reals; *text; text++)
		assert_int_equal(fm_record_set(&record, "link_gbps_a", *text), -EINVAL);
	assert_true(record.a.link_gbps == 53.125);
	assert_int_equal(fm_record_set(&record, "connection", "RC"), 0);
	assert_string_equal(record.work.connection, "RC");
	assert_int_equal(fm_record_set(&record, "connection", "longer than the column"), -EINVAL);
	assert_int_equal(fm_record_set(&record, "connection", "R\nC"), -EINVAL);
	assert_string_equal(record.work.connection, "RC");
	assert_int_equal(fm_record_set(&record, "memory_path", "dmabuf"), 0);
	assert_int_equal(fm_record_set(&record, "memory_path", "dma"), -EINVAL);
	assert_int_equal(fm_record_set(&record, "memory_path", "dmabuf peermem"), -EINVAL);
	/* Not a backend's to say. */
	assert_int_equal(fm_record_set(&record, "status", "ok"), -ENOENT);
	assert_int_equal(fm_record_set(&record, "bw_gbps", "1"), -ENOENT);
	assert_int_equal(fm_record_set(&record, "schema", "2"), -ENOENT);
	assert_int_equal(fm_record_set(&record, "qp_number", "2"), -ENOENT);
	assert_string_equal(record.verdict.status, "failed");
}

static void test_set_end(void **state)
{
	struct fm_record record;

	(void)state;
	fm_record_init(&record);
	assert_int_equal(fm_record_set_end(&record, 'a', "gid_index", "3"), 0);
	assert_int_equal(fm_record_set_end(&record, 'b', "gid_index", "1"), 0);
	assert_int_equal(fm_record_set_end(&record, 'b', "link_layer", "ethernet"), 0);
	assert_int_equal(fm_record_set_end(&record, 'b', "mtu", "1024"), 0);
	assert_int_equal(record.a.gid_index, 3);
	assert_int_equal(record.b.gid_index, 1);
	assert_int_equal(record.work.mtu, 1024);
	assert_string_equal(record.a.link_layer, "");
	assert_string_equal(record.b.link_layer, "ethernet");
	assert_int_equal(fm_record_set_end(&record, 'a', "gid_index_b", "9"), -ENOENT);
	assert_int_equal(fm_record_set_end(&record, 'a', "node", "x"), -ENOENT);
	assert_int_equal(record.b.gid_index, 1);
}

static void test_append(void **state)
{
	char field[24] = "";

	(void)state;
	assert_int_equal(fm_record_append(field, sizeof(field), "qp", "17"), 0);
	assert_int_equal(fm_record_append(field, sizeof(field), "a=b;c", "d=e;f"), 0);
	assert_string_equal(field, "qp=17;a_b_c=d=e_f");
	assert_int_equal(fm_record_append(field, sizeof(field), "k", "long"), -ENOSPC);
	assert_string_equal(field, "qp=17;a_b_c=d=e_f");
	assert_int_equal(fm_record_append(field, sizeof(field), "k", "abc"), 0);
	assert_int_equal(strlen(field), sizeof(field) - 1);
	assert_int_equal(fm_record_append(field, sizeof(field), "", ""), -ENOSPC);
}

static void refused(struct fm_record *record, const char *column)
{
	struct fm_error error = {0};

	assert_int_equal(fm_record_check(record, &error), -EINVAL);
	assert_non_null(strstr(error.text, column));
	assert_int_equal(error.reason, FM_REASON_INTERNAL);
	sample_latency(record, 1, 8, 1.5);
}

static void test_check(void **state)
{
	struct fm_error error = {.code = 1};
	struct fm_record record;

	(void)state;
	sample_row(&record, 1, "write_bw", 8);
	assert_int_equal(fm_record_check(&record, &error), 0);
	sample_latency(&record, 1, 8, 1.5);
	assert_int_equal(fm_record_check(&record, &error), 0);
	assert_int_equal(error.code, 1);
	record.verdict.status = "fine";
	refused(&record, "status");
	record.verdict.status = "";
	refused(&record, "status");
	record.key.direction = NULL;
	refused(&record, "direction");
	record.latency.definition = "half_rtt full_rtt";
	refused(&record, "lat_definition");
	record.work.completion = "deliver";
	refused(&record, "completion");
	SET(record.work.test, "write_latency");
	refused(&record, "test");
	SET(record.work.memory_path, "gdr");
	refused(&record, "memory_path");
	record.key.run_id[0] = '\0';
	refused(&record, "run_id");
	record.key.point_id = FM_EMPTY;
	refused(&record, "point_id");
	memset(record.effective, 'x', sizeof(record.effective));
	refused(&record, "effective");
	record.key.rail = FM_EMPTY;
	refused(&record, "rail");
	record.key.row_kind = "total";
	refused(&record, "rail");
	record.verdict.status = "failed";
	refused(&record, "reason");
	record.verdict.reason_code = "peer_lost";
	refused(&record, "reason_code");
	record.verdict.reason_code = "peer_went_away";
	refused(&record, "reason_code");
}

static void real(double value, int digits, const char *expected)
{
	char text[32];

	assert_string_equal(fm_format_real(value, digits, text, sizeof(text)), expected);
}

static void test_reals(void **state)
{
	(void)state;
	real(0, 6, "0");
	real(-0.0, 6, "0");
	real(1, 6, "1");
	real(1.5, 6, "1.5");
	real(-1.25, 6, "-1.25");
	real(0.1, 6, "0.1");
	real(197.2341234, 6, "197.234");
	real(999999.5, 6, "1000000");
	real(123456789, 6, "123457000");
	real(0.000123456789, 6, "0.000123457");
	real(1e-7, 6, "0.0000001");
	real(1.5e-8, 6, "1.5e-8");
	real(1e17, 6, "100000000000000000");
	real(1e18, 6, "1e18");
	real(1.0 / 3, 17, "0.33333333333333331");
	real(NAN, 6, "");
	real(INFINITY, 6, "");
	real(-INFINITY, 6, "");
	real(1.7976931348623157e308, 6, "1.79769e308");
	real(5e-324, 6, "4.94066e-324");
}

/* Six digits go in, the same six come out. */
static void test_reals_round_trip(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		char text[32], again[32];
		double value;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		value = ((double)(seed >> 11) / 9007199254740992.0 + 0.1) * pow(10, (int)(seed % 20) - 8);
		fm_format_real(value, 6, text, sizeof(text));
		assert_true(fabs(strtod(text, NULL) - value) <= fabs(value) * 0.5000001e-5);
		assert_string_equal(fm_format_real(strtod(text, NULL), 6, again, sizeof(again)), text);
		assert_true(strlen(text) < 20);
	}
}

static void test_decimals(void **state)
{
	static const struct {
		double value;
		int width;
		const char *expected;
	} cases[] = {
		{1.8234, 8, "1.823"},	 {12345.6789, 8, "12345.68"}, {1234567.8, 8, "1234568"},
		{0.0004, 8, "0.000"},	 {-0.0004, 8, "0.000"},	      {-2.5, 8, "-2.500"},
		{123456789, 8, "1.2e8"}, {9.9996, 8, "10.000"},	      {1.5e300, 8, "1.5e300"},
		{NAN, 8, "-"},		 {INFINITY, 8, "-"},	      {99999999.4, 8, "99999999"},
	};
	char text[32];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(fm_format_decimals(cases[i].value, 3, cases[i].width, text, sizeof(text)),
				    cases[i].expected);
}

static void test_locale(void **state)
{
	static const char *const commas[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE", NULL};
	const char *const *name = commas;
	char text[32];
	double value;

	(void)state;
	while (*name && !setlocale(LC_NUMERIC, *name))
		name++;
	if (!*name) {
		print_message("skipped: no locale with a decimal comma is installed\n");
		skip();
	}
	real(197.2341234, 6, "197.234");
	assert_string_equal(fm_format_decimals(1.5, 3, 8, text, sizeof(text)), "1.500");
	assert_true(fm_format_parse("53.125", &value) && value == 53.125);
	setlocale(LC_NUMERIC, "C");
}

static void test_repair(void **state)
{
	static const char *const cases[][2] = {
		{"plain", "plain"},
		{"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
		{"cut \xe2\x82", "cut ??"},
		{"\xff\xfe", "??"},
		{"\xc0\xaf", "??"},
		{"\xe0\x80\x80", "???"},
		{"\xed\xa0\x80", "???"},
		{"\xf4\x90\x80\x80", "????"},
		{"\x80 lone", "? lone"},
		{"\xc3", "?"},
		{"\xf0\x9f\x98", "???"},
	};
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		SET(text, cases[i][0]);
		fm_format_repair(text);
		assert_string_equal(text, cases[i][1]);
	}
}

static void test_show(void **state)
{
	struct fm_record record;

	(void)state;
	sample_latency(&record, 7, 65536, 1.8234567);
	assert_string_equal(shown(&record, "lat_p50_us"), "1.82346");
	assert_string_equal(shown(&record, "size_bytes"), "65536");
	assert_string_equal(shown(&record, "status"), "ok");
	SET(record.verdict.reason, "caf\xe9");
	assert_string_equal(shown(&record, "reason"), "caf?");
	record.key.direction = NULL;
	assert_string_equal(shown(&record, "direction"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),	 cmocka_unit_test(test_table),	cmocka_unit_test(test_lists),
		cmocka_unit_test(test_init),	 cmocka_unit_test(test_set),	cmocka_unit_test(test_set_end),
		cmocka_unit_test(test_append),	 cmocka_unit_test(test_check),	cmocka_unit_test(test_reals),
		cmocka_unit_test(test_decimals), cmocka_unit_test(test_locale), cmocka_unit_test(test_reals_round_trip),
		cmocka_unit_test(test_repair),	 cmocka_unit_test(test_show),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
