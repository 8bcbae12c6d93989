/*
 * folder.c - run ids, the results folder and documents in it.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "results/folder.h"
#include "tests/unit/sample.h"

static int setup(void **state)
{
	char path[] = "/tmp/fabmark-folder-XXXXXX";

	*state = mkdtemp(path) ? strdup(path) : NULL;
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];
	int code;

	snprintf(command, sizeof(command), "rm -rf '%s'", (char *)*state);
	code = system(command);
	free(*state);
	return code;
}

static void test_run_id(void **state)
{
	char first[64], second[64], cut[12];

	(void)state;
	fm_run_id(first, sizeof(first));
	assert_int_equal(first[8], 'T');
	assert_int_equal(first[15], 'Z');
	assert_int_equal(first[16], '-');
	assert_true(strlen(first) >= 23 && strlen(first) < 64);
	for (const char *at = first; *at; at++)
		assert_true(isalnum((unsigned char)*at) || *at == '-');
	for (int i = 0; i < 8; i++)
		assert_true(isdigit((unsigned char)first[i]));
	fm_run_id(second, sizeof(second));
	if (strcmp(first, second) == 0)
		fm_run_id(second, sizeof(second));
	assert_string_not_equal(first, second);
	fm_run_id(cut, sizeof(cut));
	assert_int_equal(strlen(cut), sizeof(cut) - 1);
}

static void test_create(void **state)
{
	char parent[256], expected[512];
	struct fm_folder folder;
	struct fm_error error = {.code = 1};
	struct stat status;

	snprintf(parent, sizeof(parent), "%s/deep//er/still/", (char *)*state);
	snprintf(expected, sizeof(expected), "%s/run", parent);
	assert_int_equal(fm_folder_create(parent, "run", &folder, &error), 0);
	assert_string_equal(folder.path, expected);
	assert_int_equal(stat(folder.path, &status), 0);
	assert_true(S_ISDIR(status.st_mode));
	assert_int_equal(error.code, 1);
	/* A run never moves into another one's folder. */
	assert_int_equal(fm_folder_create(parent, "run", &folder, &error), -EEXIST);
	assert_int_equal(fm_folder_create(parent, "next", &folder, &error), 0);
	assert_int_equal(fm_folder_create("none", "run", &folder, &error), 0);
	assert_string_equal(folder.path, "");
}

static void test_obstacle(void **state)
{
	char file[256], expected[1024];
	struct fm_folder folder = {.path = "untouched"};
	struct fm_error error = {0};
	FILE *out;

	snprintf(file, sizeof(file), "%s/file", (char *)*state);
	out = fopen(file, "w");
	fclose(out);
	assert_int_equal(fm_folder_create(file, "run", &folder, &error), -ENOTDIR);
	snprintf(expected, sizeof(expected),
		 "cannot create results folder '%s/run': not a directory; choose another with --out DIR, or --out none",
		 file);
	assert_string_equal(error.text, expected);
	assert_int_equal(error.reason, FM_REASON_RESULTS);
	assert_string_equal(folder.path, "untouched");
	assert_int_equal(fm_folder_create("/proc/fabmark", "run", &folder, &error), -ENOENT);
}

/* Root may write anywhere, so somebody else tries. */
static void test_denied(void **state)
{
	struct fm_folder folder;
	struct fm_error error = {0};
	char expected[512];

	assert_int_equal(chmod(*state, 0555), 0);
	if (geteuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	snprintf(expected, sizeof(expected),
		 "cannot create results folder '%s/run': permission denied; choose another with --out DIR, or --out "
		 "none",
		 (char *)*state);
	assert_int_equal(fm_folder_create(*state, "run", &folder, &error), -EACCES);
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	assert_string_equal(error.text, expected);
}

static unsigned entries(const char *path)
{
	DIR *folder = opendir(path);
	unsigned count = 0;

	while (readdir(folder))
		count++;
	closedir(folder);
	return count - 2;
}

static void test_write(void **state)
{
	json_t *first = json_pack("{s:s}", "version", "1"), *second = json_pack("{s:s, s:i}", "version", "2", "b", 3);
	char path[sizeof(((struct fm_folder *)0)->path) + 32];
	struct fm_folder folder, none = {.path = ""}, gone;
	struct fm_error error = {0};
	json_t *read;

	assert_int_equal(fm_folder_create(*state, "run", &folder, &error), 0);
	assert_int_equal(fm_folder_write(&folder, "run.json", first, &error), 0);
	assert_int_equal(fm_folder_write(&folder, "run.json", second, &error), 0);
	snprintf(path, sizeof(path), "%s/run.json", folder.path);
	read = json_load_file(path, 0, NULL);
	assert_true(json_equal(read, second));
	assert_int_equal(entries(folder.path), 1);
	json_decref(read);

	assert_int_equal(fm_folder_write(&none, "run.json", first, &error), 0);
	snprintf(gone.path, sizeof(gone.path), "%s/gone", (char *)*state);
	assert_int_equal(fm_folder_write(&gone, "run.json", first, &error), -ENOENT);
	assert_non_null(strstr(error.text, "/gone/run.json': no such file or directory"));

	/* What cannot be dumped leaves the old document and no litter. */
	assert_true(fm_folder_write(&folder, "run.json", NULL, &error) < 0);
	read = json_load_file(path, 0, NULL);
	assert_true(json_equal(read, second));
	assert_int_equal(entries(folder.path), 1);
	json_decref(read);
	json_decref(first);
	json_decref(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run_id),
		cmocka_unit_test_setup_teardown(test_create, setup, teardown),
		cmocka_unit_test_setup_teardown(test_obstacle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_denied, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
