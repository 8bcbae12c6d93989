/*
 * writer.c - rows on their way out: whole or not at all, whatever is in them and whatever is in their way.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "results/reader.h"
#include "results/writer.h"
#include "tests/unit/sample.h"

static const struct fm_writer_kind *const kinds[] = {&fm_writer_csv, &fm_writer_json, &fm_writer_text};

struct fixture {
	char folder[64], path[96], script[96];
	bool python;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	SET(fixture->folder, "/tmp/fabmark-writer-XXXXXX");
	if (!mkdtemp(fixture->folder))
		return -1;
	snprintf(fixture->path, sizeof(fixture->path), "%s/rows", fixture->folder);
	snprintf(fixture->script, sizeof(fixture->script), "%s/script.py", fixture->folder);
	fixture->python = system("python3 -c '' 2>/dev/null") == 0;
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	char command[128];
	int code;

	umount2(fixture->folder, MNT_DETACH); /* what test_full_disk left, had it failed */
	snprintf(command, sizeof(command), "rm -rf '%s'", fixture->folder);
	code = system(command);
	free(fixture);
	return code;
}

static char *slurp(const char *path)
{
	size_t room = 1 << 20;
	char *text = calloc(1, room);
	FILE *in = fopen(path, "r");

	assert_non_null(text);
	assert_non_null(in);
	assert_true(fread(text, 1, room - 1, in) < room - 1);
	fclose(in);
	return text;
}

static json_t *array(const char *path, size_t rows)
{
	json_error_t error;
	json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &error);

	if (!json)
		fail_msg("%s: %s", path, error.text);
	assert_true(json_is_array(json));
	assert_int_equal(json_array_size(json), rows);
	return json;
}

static void check_file(const struct fm_writer_kind *kind, const char *path, size_t rows)
{
	struct fm_error error;
	struct fm_csv csv;

	if (kind == &fm_writer_json) {
		json_decref(array(path, rows));
	} else if (kind == &fm_writer_csv) {
		assert_int_equal(fm_csv_read(path, &csv, &error), 0);
		assert_int_equal(csv.rows, rows);
		assert_false(csv.truncated);
		fm_csv_free(&csv);
	}
}

/* A row of many shapes, all of which fm_record_check accepts. */
static void row_of(struct fm_record *record, unsigned i)
{
	struct fm_error error;

	if (i % 3 == 0)
		sample_latency(record, i, 8, 1.8234567 + i);
	else if (i % 3 == 1)
		sample_rate(record, i, 65536, i % 2 ? FM_EMPTY : 1, 197.2 + i);
	else
		sample_row(record, i, "read_bw", 1048576);
	snprintf(record->key.labels, sizeof(record->key.labels), "row=%u;rack=a,b", i);
	assert_int_equal(fm_record_check(record, &error), 0);
}

static void test_every_row(void **state)
{
	const struct fixture *fixture = *state;

	for (size_t k = 0; k < 3; k++) {
		struct fm_writer *writer;
		struct fm_record record;
		struct fm_error error = {.code = 1};

		assert_int_equal(kinds[k]->open(fixture->path, &writer, &error), 0);
		check_file(kinds[k], fixture->path, 0);
		for (unsigned i = 0; i < 12; i++) {
			row_of(&record, i);
			assert_int_equal(kinds[k]->row(writer, &record, &error), 0);
			check_file(kinds[k], fixture->path, i + 1);
		}
		assert_int_equal(kinds[k]->close(writer, &error), 0);
		check_file(kinds[k], fixture->path, 12);
		assert_int_equal(kinds[k]->close(NULL, &error), 0);
		assert_int_equal(error.code, 1);
	}
}

static void test_csv_bytes(void **state)
{
	static const char expected[] =
		"1," FM_VERSION ",20261123T131500Z-node1-4f2a,1,,flow,0,a_to_b,a,one_way,failed,"
		"\"a \"\"quoted\"\", "
		"broken\nsentence\",internal,,,node1,node2,verbs,write_bw,,64,host,host,host,mlx5_0:1,";
	const struct fixture *fixture = *state;
	struct fm_writer *writer;
	struct fm_record record;
	struct fm_error error;
	char *text, *line;

	sample_row(&record, 1, "write_bw", 64);
	SET(record.verdict.reason, "a \"quoted\", broken\nsentence");
	assert_int_equal(fm_writer_csv.open(fixture->path, &writer, &error), 0);
	assert_int_equal(fm_writer_csv.row(writer, &record, &error), 0);
	assert_int_equal(fm_writer_csv.close(writer, &error), 0);
	text = slurp(fixture->path);
	assert_int_equal(strncmp(text, "schema,tool_version,run_id,", 27), 0);
	line = strchr(text, '\n') + 1;
	assert_int_equal(strncmp(line, expected, sizeof(expected) - 1), 0);
	assert_null(strchr(text, '\r'));
	assert_int_equal(text[strlen(text) - 1], '\n');
	free(text);
}

static void nasty_row(struct fm_record *record)
{
	sample_latency(record, 1, 8, 1.5);
	SET(record->verdict.reason, "comma, \"quote\"\r\nline \xc3\xa9 broken \xff\xe2\x82 \t\x01 end");
	SET(record->key.labels, "rack=r1;n=17;f=0.25;zero=007;big=12345678901234567;exp=1e3;bare;n=18;=x;q=\"a,b\"");
	SET(record->effective, "bad=\xff;mtu=4096");
	record->latency.min_us = INFINITY;
}

static void test_json_values(void **state)
{
	const struct fixture *fixture = *state;
	struct fm_writer *writer;
	struct fm_record record;
	struct fm_error error;
	json_t *rows, *row, *labels;
	size_t at = 0;
	const char *key;
	json_t *value;

	nasty_row(&record);
	assert_int_equal(fm_writer_json.open(fixture->path, &writer, &error), 0);
	assert_int_equal(fm_writer_json.row(writer, &record, &error), 0);
	assert_int_equal(fm_writer_json.close(writer, &error), 0);
	rows = array(fixture->path, 1);
	row = json_array_get(rows, 0);
	json_object_foreach(row, key, value) assert_string_equal(key, fm_fields[at++].name);
	assert_null(fm_fields[at].name);
	assert_int_equal(json_integer_value(json_object_get(row, "schema")), 1);
	assert_string_equal(json_string_value(json_object_get(row, "tool_version")), FM_VERSION);
	assert_int_equal(json_integer_value(json_object_get(row, "size_bytes")), 8);
	assert_true(json_real_value(json_object_get(row, "lat_p50_us")) == 1.5);
	assert_true(json_is_null(json_object_get(row, "lat_min_us")));
	assert_true(json_is_null(json_object_get(row, "bw_gbps")));
	assert_true(json_is_null(json_object_get(row, "job_id")));
	assert_true(json_is_null(json_object_get(row, "counters")));
	assert_string_equal(json_string_value(json_object_get(row, "reason")),
			    "comma, \"quote\"\r\nline \xc3\xa9 broken ??? \t\x01 end");
	labels = json_object_get(row, "labels");
	assert_string_equal(json_string_value(json_object_get(labels, "rack")), "r1");
	assert_int_equal(json_integer_value(json_object_get(labels, "n")), 18);
	assert_true(json_real_value(json_object_get(labels, "f")) == 0.25);
	assert_string_equal(json_string_value(json_object_get(labels, "zero")), "007");
	assert_string_equal(json_string_value(json_object_get(labels, "big")), "12345678901234567");
	assert_string_equal(json_string_value(json_object_get(labels, "exp")), "1e3");
	assert_string_equal(json_string_value(json_object_get(labels, "bare")), "");
	assert_string_equal(json_string_value(json_object_get(labels, "q")), "\"a,b\"");
	assert_string_equal(json_string_value(json_object_get(json_object_get(row, "effective"), "bad")), "?");
	json_decref(rows);
}

/* Another reader's opinion. */
static void test_python(void **state)
{
	static const char script[] =
		"import csv, json, sys\n"
		"rows = list(csv.DictReader(open(sys.argv[1], newline='', encoding='utf-8'), strict=True))\n"
		"objects = json.load(open(sys.argv[2], encoding='utf-8'))\n"
		"assert len(rows) == len(objects) == 2, (len(rows), len(objects))\n"
		"for row, object in zip(rows, objects):\n"
		"    assert list(row) == list(object)\n"
		"    for key, text in row.items():\n"
		"        value = object[key]\n"
		"        if value is None: assert text == '', key\n"
		"        elif isinstance(value, str): assert text == value, key\n"
		"        elif isinstance(value, (int, float)): assert float(text) == value, key\n"
		"        else: assert isinstance(value, dict) and key in ('effective', 'counters', 'labels'), key\n"
		"assert rows[0]['reason'] == 'comma, \"quote\"\\r\\nline \\u00e9 broken ??? \\t\\x01 end', "
		"rows[0]['reason']\n";
	const struct fixture *fixture = *state;
	char command[512], path[2][112];
	FILE *out;

	if (!fixture->python) {
		print_message("skipped: python3 is not installed\n");
		skip();
	}
	for (size_t k = 0; k < 2; k++) {
		struct fm_writer *writer;
		struct fm_record record;
		struct fm_error error;

		snprintf(path[k], sizeof(path[k]), "%s.%s", fixture->path, kinds[k]->name);
		assert_int_equal(kinds[k]->open(path[k], &writer, &error), 0);
		nasty_row(&record);
		assert_int_equal(kinds[k]->row(writer, &record, &error), 0);
		row_of(&record, 4);
		assert_int_equal(kinds[k]->row(writer, &record, &error), 0);
		assert_int_equal(kinds[k]->close(writer, &error), 0);
	}
	out = fopen(fixture->script, "w");
	fputs(script, out);
	fclose(out);
	snprintf(command, sizeof(command), "python3 %s %s %s", fixture->script, path[0], path[1]);
	assert_int_equal(system(command), 0);
}

/* Rows that were told to be written are there after kill -9, and nothing else is. */
static void test_kill(void **state)
{
	const struct fixture *fixture = *state;

	for (size_t k = 0; k < 2; k++) {
		int ready[2], status;
		char byte;
		pid_t child;

		assert_int_equal(pipe(ready), 0);
		child = fork();
		if (child == 0) {
			struct fm_writer *writer;
			struct fm_record record;
			struct fm_error error;

			if (kinds[k]->open(fixture->path, &writer, &error) != 0)
				_exit(1);
			for (unsigned i = 0; i < 7; i++) {
				row_of(&record, i);
				if (kinds[k]->row(writer, &record, &error) != 0)
					_exit(1);
			}
			if (write(ready[1], "x", 1) == 1)
				for (;;)
					pause();
			_exit(1);
		}
		close(ready[1]);
		assert_int_equal(read(ready[0], &byte, 1), 1);
		close(ready[0]);
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		check_file(kinds[k], fixture->path, 7);
	}
}

/* Writes until it fails; returns how many rows went well. error has why not more. */
static unsigned fill(const struct fm_writer_kind *kind, struct fm_writer *writer, struct fm_error *error)
{
	struct fm_record record;
	unsigned rows = 0;

	for (;;) {
		row_of(&record, rows);
		memset(record.work.placement, 'p', sizeof(record.work.placement) - 1);
		if (kind->row(writer, &record, error) != 0)
			return rows;
		rows++;
		assert_true(rows < 10000);
	}
}

static void test_full_disk(void **state)
{
	const struct fixture *fixture = *state;

	if (mount("tmpfs", fixture->folder, "tmpfs", 0, "size=64k") != 0) {
		print_message("skipped: mounting a small tmpfs needs root\n");
		skip();
	}
	for (size_t k = 0; k < 2; k++) {
		struct fm_writer *writer;
		struct fm_error error = {0}, ignored;
		struct stat before, after;
		unsigned rows;

		assert_int_equal(kinds[k]->open(fixture->path, &writer, &error), 0);
		rows = fill(kinds[k], writer, &error);
		assert_true(rows > 5);
		assert_int_equal(error.code, -ENOSPC);
		assert_non_null(strstr(error.text, "no space left"));
		assert_non_null(strstr(error.text, fixture->path));
		check_file(kinds[k], fixture->path, rows);
		/* A second try fails as the first, and changes nothing. */
		stat(fixture->path, &before);
		assert_int_equal(fill(kinds[k], writer, &error), 0);
		stat(fixture->path, &after);
		assert_int_equal(before.st_size, after.st_size);
		kinds[k]->close(writer, &ignored);
		check_file(kinds[k], fixture->path, rows);
		unlink(fixture->path);
	}
	assert_int_equal(umount2(fixture->folder, MNT_DETACH), 0);
}

/* The same without root: a limit on the file's size cuts the write at that byte. */
static void test_file_limit(void **state)
{
	const struct fixture *fixture = *state;
	struct rlimit old, limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	for (size_t k = 0; k < 2; k++)
		for (rlim_t bytes = 20000; bytes < 20008; bytes++) {
			struct fm_writer *writer;
			struct fm_error error = {0}, ignored;
			unsigned rows;

			assert_int_equal(kinds[k]->open(fixture->path, &writer, &error), 0);
			limit = (struct rlimit){.rlim_cur = bytes, .rlim_max = old.rlim_max};
			assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
			rows = fill(kinds[k], writer, &error);
			assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
			assert_true(rows > 5);
			assert_int_equal(error.code, -EFBIG);
			check_file(kinds[k], fixture->path, rows);
			/* Once there is room again, it goes on. */
			{
				struct fm_record record;

				row_of(&record, rows);
				assert_int_equal(kinds[k]->row(writer, &record, &error), 0);
			}
			kinds[k]->close(writer, &ignored);
			check_file(kinds[k], fixture->path, rows + 1);
		}
}

static void test_open_fails(void **state)
{
	const struct fixture *fixture = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s/none/rows", fixture->folder);
	for (size_t k = 0; k < 3; k++) {
		struct fm_writer *writer = NULL;
		struct fm_error error = {0};

		assert_int_equal(kinds[k]->open(path, &writer, &error), -ENOENT);
		assert_null(writer);
		assert_int_equal(error.reason, FM_REASON_RESULTS);
		assert_non_null(strstr(error.text, "no such file or directory"));
		assert_int_equal(kinds[k]->open(fixture->folder, &writer, &error), -EISDIR);
	}
	/* A device that is always full. */
	for (size_t k = 0; k < 2; k++) {
		struct fm_writer *writer = NULL;
		struct fm_error error = {0};

		assert_int_equal(kinds[k]->open("/dev/full", &writer, &error), -ENOSPC);
		assert_non_null(strstr(error.text, "/dev/full: no space left on device"));
	}
}

/* Runs `rows` rows of a kind to "-", which is fd; returns the last error's code. */
static int to_stdout(const struct fm_writer_kind *kind, int fd, unsigned rows, struct fm_error *error)
{
	int kept = dup(STDOUT_FILENO), code;
	struct fm_writer *writer = NULL;
	struct fm_record record;

	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	code = kind->open("-", &writer, error);
	for (unsigned i = 0; i < rows && code == 0; i++) {
		row_of(&record, i);
		code = kind->row(writer, &record, error);
	}
	if (code == 0)
		code = kind->close(writer, error);
	else
		kind->close(writer, &(struct fm_error){0});
	dup2(kept, STDOUT_FILENO);
	close(kept);
	return code;
}

static void test_stdout(void **state)
{
	const struct fixture *fixture = *state;

	signal(SIGPIPE, SIG_IGN);
	for (size_t k = 0; k < 3; k++) {
		struct fm_error error = {0};
		int ends[2], fd = open(fixture->path, O_RDWR | O_CREAT | O_TRUNC, 0600);

		assert_int_equal(to_stdout(kinds[k], fd, 5, &error), 0);
		assert_true(lseek(fd, 0, SEEK_CUR) > 100);
		check_file(kinds[k], fixture->path, 5);
		assert_int_equal(ftruncate(fd, 0), 0);
		lseek(fd, 0, SEEK_SET);
		assert_int_equal(to_stdout(kinds[k], fd, 0, &error), 0);
		check_file(kinds[k], fixture->path, 0);
		close(fd);

		assert_int_equal(pipe(ends), 0);
		close(ends[0]);
		assert_int_equal(to_stdout(kinds[k], ends[1], 5, &error), -EPIPE);
		assert_string_equal(error.text,
				    "cannot write results to standard output: its reader has closed the pipe");
		close(ends[1]);
	}
}

/* stdout is a file and the file is full: what stood there before stays, and the rows are whole. */
static void test_stdout_limit(void **state)
{
	const struct fixture *fixture = *state;
	struct rlimit old, limit;
	struct fm_error error = {0};
	int fd = open(fixture->path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	char *text;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = (struct rlimit){.rlim_cur = 5000, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(to_stdout(&fm_writer_csv, fd, 100, &error), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	text = slurp(fixture->path);
	assert_int_equal(text[strlen(text) - 1], '\n');
	assert_int_equal(lseek(fd, 0, SEEK_CUR), strlen(text));
	free(text);
	close(fd);
}

/* clang-format off */
static const char table[] =
	"verbs latency, node1 -> node2, host memory\n"
	"  rail 0: mlx5_0:1 (infiniband 400 Gb/s) -> mlx5_0:1 (infiniband 400 Gb/s)\n"
	"test               size  rail dir    p50 us     95% interval   p99 us p99.9 us   max us status\n"
	"write_lat             8     0 a->b    1.823     1.816..1.833    2.553    4.103   36.469 ok\n"
	"write_lat            4K     0 a->b   12.500                -   17.500        -  250.000 ok\n"
	"\n"
	"verbs bandwidth, node1 -> node2, host memory\n"
	"test               size  rail dir      Gb/s     95% interval    worst     msg/s % max status\n"
	"write_bw            64K     0 a->b  381.250 380.869..381.441  369.813    727177  95.3 ok\n"
	"  rail 1: mlx5_1:1 (infiniband 400 Gb/s) -> mlx5_1:1 (infiniband 400 Gb/s)\n"
	"write_bw            64K     1 a->b  379.500 379.121..379.690  368.115    723839  94.9 ok\n"
	"  retransmit_count=12\n"
	"write_bw            64K total a->b  760.250 759.490..760.630  737.443   1450062  95.0 ok\n"
	"write_bw             1M     0 a->b  391.500 391.109..391.696  379.755     46670  97.9 ok\n"
	"write_bw             8M     0 a->b        -                -        -         -     - failed\n"
	"  out_of_memory: cannot register 64 MiB of cuda memory on mlx5_0: locked-memory limit is 8 MiB;\n"
	"    raise it with 'ulimit -l unlimited'\n";
/* clang-format on */

/* No line is wider than 100 columns. */
static void check_width(const char *text)
{
	unsigned column = 0;

	for (; *text; text++) {
		if (*text == '\n')
			column = 0;
		else
			column += ((unsigned char)*text & 0xc0) != 0x80;
		assert_true(column <= 100);
		assert_true(*text == '\n' || (unsigned char)*text >= ' ');
	}
	assert_int_equal(column, 0);
}

static void put(struct fm_writer *writer, const struct fm_record *record)
{
	struct fm_error error;

	assert_int_equal(fm_record_check(record, &error), 0);
	assert_int_equal(fm_writer_text.row(writer, record, &error), 0);
}

static void test_table(void **state)
{
	const struct fixture *fixture = *state;
	struct fm_writer *writer;
	struct fm_record record;
	struct fm_error error;
	char *text;

	assert_int_equal(fm_writer_text.open(fixture->path, &writer, &error), 0);
	sample_latency(&record, 1, 8, 1.8234567);
	put(writer, &record);
	sample_latency(&record, 2, 4096, 12.5);
	record.latency.p50_low_us = record.latency.p999_us = (double)NAN;
	put(writer, &record);
	sample_rate(&record, 3, 65536, 0, 381.25);
	put(writer, &record);
	sample_rate(&record, 3, 65536, 1, 379.5);
	record.counters.retransmit = 12;
	record.counters.rnr = 0;
	put(writer, &record);
	sample_rate(&record, 3, 65536, FM_EMPTY, 760.25);
	put(writer, &record);
	sample_rate(&record, 4, 1048576, 0, 391.5);
	put(writer, &record);
	sample_row(&record, 5, "write_bw", 8388608);
	record.verdict.reason_code = "out_of_memory";
	SET(record.verdict.reason, "cannot register 64 MiB of cuda memory on mlx5_0: locked-memory limit is 8 MiB; "
				   "raise it with 'ulimit -l unlimited'");
	put(writer, &record);
	assert_int_equal(fm_writer_text.close(writer, &error), 0);
	text = slurp(fixture->path);
	check_width(text);
	assert_string_equal(text, table);
	free(text);
}

/* Nothing that a row may hold makes a line too wide or lets a control character through. */
static void test_table_width(void **state)
{
	const struct fixture *fixture = *state;
	struct fm_writer *writer;
	struct fm_record record;
	struct fm_error error;
	char *text;

	assert_int_equal(fm_writer_text.open(fixture->path, &writer, &error), 0);
	for (unsigned i = 0; i < 8; i++) {
		double scale = pow(10, (int)i * 3 - 6);

		if (i % 2)
			sample_rate(&record, i, 123456789012 + i, i == 3 ? FM_EMPTY : 12345, 1.23456 * scale);
		else
			sample_latency(&record, i, 9999999, 1.23456 * scale);
		SET(record.work.test, i % 2 ? "atomic_fadd_bw" : "atomic_fadd_lat");
		record.verdict.status = "inconclusive";
		memset(record.a.node, 'n', sizeof(record.a.node) - 1);
		for (size_t at = 0; at + 2 < sizeof(record.b.node); at += 2)
			memcpy(record.b.node + at, "\xc3\xa9", 2);
		SET(record.verdict.reason, "escape \x1b[31m and\ttab and\nbreak \xff");
		memset(record.verdict.reason + 40, i % 2 ? 'w' : ' ', sizeof(record.verdict.reason) - 41);
		memset(record.a.device, 'd', sizeof(record.a.device) - 1);
		record.work.streams = FM_EMPTY - 1;
		record.counters.lost_operations = record.counters.retransmit = record.counters.rnr = FM_EMPTY - 1;
		record.counters.out_of_sequence = record.counters.cnp = record.counters.pause = FM_EMPTY - 1;
		put(writer, &record);
	}
	sample_row(&record, 9, "", 0);
	record.work.transport[0] = record.a.node[0] = record.a.memory[0] = '\0';
	record.work.size_bytes = FM_EMPTY;
	put(writer, &record);
	assert_int_equal(fm_writer_text.close(writer, &error), 0);
	text = slurp(fixture->path);
	check_width(text);
	assert_non_null(strstr(text, "escape [31m and tab and break ?"));
	free(text);
}

static void test_schema(void **state)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);

	(void)state;
	fm_schema_markdown(out);
	fclose(out);
	for (const struct fm_field *field = fm_fields; field->name; field++) {
		char row[128];

		snprintf(row, sizeof(row), "\n| `%s` | ", field->name);
		assert_non_null(strstr(text, row));
	}
	for (int i = FM_REASON_NONE + 1; i < FM_REASON_COUNT; i++)
		assert_non_null(strstr(text, fm_reason_meaning((enum fm_reason)i)));
	free(text);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FOLDER(test_every_row),	WITH_FOLDER(test_csv_bytes),  WITH_FOLDER(test_json_values),
		WITH_FOLDER(test_python),	WITH_FOLDER(test_kill),	      WITH_FOLDER(test_full_disk),
		WITH_FOLDER(test_file_limit),	WITH_FOLDER(test_open_fails), WITH_FOLDER(test_stdout),
		WITH_FOLDER(test_stdout_limit), WITH_FOLDER(test_table),      WITH_FOLDER(test_table_width),
		cmocka_unit_test(test_schema),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
