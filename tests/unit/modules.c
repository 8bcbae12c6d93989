/*
 * modules.c - what becomes of a module that is not what this program was built for: never a crash, always a sentence,
 * and a name in the list where it has one. FM_TEST_MODULES is the folder of tests/module, built.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "transports/module.h"

#define AT(folder) FM_TEST_MODULES "/" folder

struct kept_values {
	uint64_t first, second;
};

/* What registry.c has of a backend that is a module: words, and rows that need no library. */
static const struct fm_option kept_rows[] = {{.name = "first",
					      .argument = "N",
					      .value = "1",
					      .help = "the first",
					      .group = "kept",
					      .kind = FM_OPTION_COUNT,
					      .offset = offsetof(struct kept_values, first)}};
static const struct fm_option_set kept_options = {"kept", kept_rows, 1, sizeof(struct kept_values)};
static const struct fm_transport kept_words = {.abi = FM_TRANSPORT_ABI,
					       .name = "kept",
					       .help = "a backend that is a module",
					       .automatic = true,
					       .default_latency = FM_WRITE_LAT,
					       .default_bandwidth = FM_WRITE_BW,
					       .options = &kept_options};

static struct fm_registry *fill(const char *path, const char *beside)
{
	const struct fm_backend backends[] = {{&kept_words, true}, {fm_transport_find("null"), false}, {NULL, false}};
	const char *const folders[] = {beside, NULL};
	struct fm_registry *registry = calloc(1, sizeof(*registry));

	assert_non_null(registry);
	fm_registry_fill(registry, backends, path, folders);
	return registry;
}

/* The list is whole whatever came: names, slots and reasons. */
static void assert_whole(const struct fm_registry *registry)
{
	for (uint32_t i = 0; i < registry->count; i++) {
		const struct fm_registered *entry = &registry->entries[i];
		struct fm_error error = {0};

		assert_ptr_equal(registry->list[i], &entry->table);
		assert_ptr_equal(entry->table.name, entry->name);
		assert_ptr_equal(fm_registry_find(registry, entry->name), entry);
		if (!entry->table.absent) {
			assert_int_equal(fm_transport_check(&entry->table, &error), 0);
			continue;
		}
		assert_true(entry->table.absent[0] != '\0');
		assert_null(strchr(entry->table.absent, '\n'));
		/* Nobody should call it, and nothing happens to who does. */
		assert_true(entry->table.open(NULL, NULL, NULL, 0, NULL, &error) < 0);
		assert_true(error.text[0] != '\0');
		entry->table.close(NULL);
	}
	assert_null(registry->list[registry->count]);
}

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' does not say '%s'", text, part);
}

/* A module in the path is listed under this name as absent, and the reason names the file and this. */
static void refused_as(const char *file, const char *name, const char *part)
{
	struct fm_registry *registry = fill(file, NULL);
	const struct fm_registered *found = fm_registry_find(registry, name);

	assert_whole(registry);
	if (!found || !found->table.absent) {
		fail_msg("%s is not listed as '%s', absent", file, name);
		return;
	}
	assert_true(found->outside);
	assert_has(found->table.absent, strrchr(file, '/') + 1);
	assert_has(found->table.absent, part);
	assert_int_equal(registry->note_count, 0);
	assert_int_equal(registry->count, 3);
	free(registry);
}

/* It gives no transport at all, and a note that says so. */
static void noted(const char *path, const char *part)
{
	struct fm_registry *registry = fill(path, NULL);

	assert_whole(registry);
	assert_int_equal(registry->count, 2);
	assert_int_equal(registry->note_count, 1);
	assert_has(registry->notes[0], part);
	free(registry);
}

static void refused(void **state)
{
	(void)state;
	/* Of what cannot be read the file's name is the transport's. */
	refused_as(AT("abi/abi.so"), "abi", "ABI 2, and this program has 1");
	refused_as(AT("size/size.so"), "size", "its struct fm_work has ");
	refused_as(AT("count/count.so"), "count", "other headers");
	refused_as(AT("no_table/no_table.so"), "no_table", "has no table");
	refused_as(AT("symbol/symbol.so"), "symbol", "no symbol fm_module");
	refused_as(AT("function/function.so"), "function", "is not what FM_MODULE");
	refused_as(AT("lacking/lacking.so"), "lacking", "undefined symbol: fm_transport_null");
	refused_as(AT("library/library.so"), "library", "libgone.so");
	/* Of what can be read its own. */
	refused_as(AT("slot/slot.so"), "sound", "slot 'counters'");
	refused_as(AT("options/options.so"), "sound", "--second");
	refused_as(AT("typed/typed.so"), "sound", "say kind");
	refused_as(AT("metric/metric.so"), "sound", "one latency and one bandwidth");
	refused_as(AT("name/name.so"), "name", "cannot be typed");
	noted(AT("taken/taken.so"), "its name 'null' is taken by a transport of fabmark's own");
	noted("/nowhere/to/be/found", "'/nowhere/to/be/found': No such file");
}

static void absent_by_its_own_word(void **state)
{
	struct fm_registry *registry = fill(AT("probe"), NULL);
	const struct fm_registered *found = fm_registry_find(registry, "sound");

	(void)state;
	assert_whole(registry);
	assert_non_null(found);
	assert_string_equal(found->table.absent, "no such device?is in this machine");
	free(registry);
}

/* Whatever bytes a file has: the linker looks at them, not we. */
static void garbage(void **state)
{
	char folder[] = "/tmp/fabmark-modules-XXXXXX", file[64];
	static const char *const contents[] = {"", "no shared object", "\177ELF", "\177ELF\2\1\1\0garbage"};

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/garbage.so", folder);
	for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
		FILE *out = fopen(file, "w");

		assert_non_null(out);
		fputs(contents[i], out);
		fclose(out);
		refused_as(file, "garbage", "cannot be loaded");
	}
	unlink(file);
	/* A name that is none of a transport's: there is nothing to list it under. */
	snprintf(file, sizeof(file), "%s/Not-A-Name.so", folder);
	fclose(fopen(file, "w"));
	noted(folder, "Not-A-Name.so: it cannot be loaded");
	unlink(file);
	rmdir(folder);
}

static void path_is_a_list(void **state)
{
	struct fm_registry *registry =
		fill("::" AT("kept") "/../good:" AT("good/unix.so") ":" AT("good") ":/none:", AT("slot"));
	const struct fm_registered *found = fm_registry_find(registry, "unix");

	(void)state;
	assert_whole(registry);
	assert_non_null(found);
	assert_null(found->table.absent);
	assert_true(found->outside);
	assert_string_equal(found->file, AT("good/unix.so"));
	/* The same file by three ways is one transport; what is not there is said, what is not needed is not. */
	assert_int_equal(registry->count, 4);
	assert_int_equal(registry->note_count, 1);
	assert_has(registry->notes[0], "/none");
	/* Ours come first, whatever the path has. */
	assert_string_equal(registry->list[0]->name, "kept");
	assert_string_equal(registry->list[1]->name, "null");
	free(registry);
}

/* Two files of one name: the first stays, the second is told whose name it has. */
static void duplicate(void **state)
{
	struct fm_registry *registry = fill(AT("probe") ":" AT("metric") ":" AT("slot"), NULL);

	(void)state;
	assert_whole(registry);
	assert_int_equal(registry->count, 3);
	assert_int_equal(registry->note_count, 2);
	assert_has(fm_registry_find(registry, "sound")->file, "probe.so");
	free(registry);
}

static void more_than_fit(void **state)
{
	char folder[] = "/tmp/fabmark-modules-XXXXXX", file[64];
	struct fm_registry *registry;

	(void)state;
	assert_non_null(mkdtemp(folder));
	for (int i = 0; i < FM_TRANSPORTS_MAX + 2 * FM_REGISTRY_NOTES_MAX; i++) {
		snprintf(file, sizeof(file), "%s/m%d.so", folder, i);
		fclose(fopen(file, "w"));
	}
	registry = fill(folder, NULL);
	assert_whole(registry);
	assert_int_equal(registry->count, FM_TRANSPORTS_MAX);
	assert_int_equal(registry->note_count, FM_REGISTRY_NOTES_MAX);
	free(registry);
	for (int i = 0; i < FM_TRANSPORTS_MAX + 2 * FM_REGISTRY_NOTES_MAX; i++) {
		snprintf(file, sizeof(file), "%s/m%d.so", folder, i);
		unlink(file);
	}
	rmdir(folder);
}

static const struct fm_registered *kept_of(const char *path, const char *beside, struct fm_registry **registry)
{
	*registry = fill(path, beside);
	assert_whole(*registry);
	assert_int_equal((*registry)->note_count, 0);
	/* A row of this tree, there or not: its words and its place are the same. */
	assert_string_equal((*registry)->entries[0].name, "kept");
	assert_false((*registry)->entries[0].outside);
	assert_int_equal((*registry)->entries[0].table.options->count, 1);
	assert_true((*registry)->entries[0].table.automatic);
	return &(*registry)->entries[0];
}

/* A backend of this tree whose slots are in a module beside the program. */
static void ours(void **state)
{
	struct fm_registry *registry;
	const struct fm_registered *kept = kept_of(NULL, AT("kept"), &registry);

	(void)state;
	assert_null(kept->table.absent);
	assert_string_equal(kept->file, AT("kept/kept.so"));
	free(registry);
	kept = kept_of(NULL, "/nowhere/to/be/found", &registry);
	assert_has(kept->table.absent, "kept.so is not installed");
	assert_string_equal(kept->table.help, "a backend that is a module");
	assert_int_equal(kept->table.default_latency, FM_WRITE_LAT);
	free(registry);
	/* The path comes before what lies beside, and one of another version is not believed. */
	kept = kept_of(AT("changed"), AT("kept"), &registry);
	assert_has(kept->table.absent, "changed/kept.so: it is not of this version");
	free(registry);
	kept = kept_of(AT("kept"), AT("changed"), &registry);
	assert_null(kept->table.absent);
	free(registry);
}

/* Its library is not on this machine: it stays listed, with what the linker said. */
static void ours_without_its_library(void **state)
{
	char folder[] = "/tmp/fabmark-modules-XXXXXX", file[64];
	struct fm_registry *registry;
	const struct fm_registered *kept;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/kept.so", folder);
	assert_int_equal(symlink(AT("library/library.so"), file), 0);
	kept = kept_of(NULL, folder, &registry);
	assert_has(kept->table.absent, "kept.so: it cannot be loaded: libgone.so");
	free(registry);
	unlink(file);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused),   cmocka_unit_test(absent_by_its_own_word),
		cmocka_unit_test(garbage),   cmocka_unit_test(path_is_a_list),
		cmocka_unit_test(duplicate), cmocka_unit_test(more_than_fit),
		cmocka_unit_test(ours),	     cmocka_unit_test(ours_without_its_library),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
