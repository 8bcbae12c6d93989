/*
 * again.c - finds an earlier run and makes the options of its repetition.
 */
#include "bench/again.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "results/output.h"
#include "results/record.h"
#include "topology/placement.h"

enum { NEWEST = 3, ID_MAX = 63, STAMP = 16 /* 20261123T131500Z */, MISSPELT = 4 /* of so many letters, one */ };

/* ---- finding it ---- */

struct found {
	char id[ID_MAX + 1];
	struct timespec written;
};

struct listing {
	struct found newest[NEWEST]; /* the newest first */
	uint32_t count;		     /* of newest */
	char nearest[ID_MAX + 1];
	size_t distance;
};

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Levenshtein's distance of two run ids. */
static size_t id_distance(const char *a, const char *b)
{
	size_t row[ID_MAX + 2], a_length = strlen(a), b_length = strlen(b);

	if (a_length > ID_MAX || b_length > ID_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= b_length; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			size_t above = row[j];

			row[j] = least(least(above, row[j - 1]) + 1, corner + (a[i - 1] != b[j - 1]));
			corner = above;
		}
	}
	return row[b_length];
}

/* By the second in its name, which outlives copying; within one by its file. */
static bool found_newer(const struct found *x, const struct found *y)
{
	int order = strncmp(x->id, y->id, STAMP);

	if (order)
		return order > 0;
	return x->written.tv_sec != y->written.tv_sec ? x->written.tv_sec > y->written.tv_sec
						      : x->written.tv_nsec > y->written.tv_nsec;
}

static void listing_add(struct listing *listing, const struct found *found, const char *which)
{
	size_t distance = id_distance(found->id, which);
	uint32_t at = listing->count;

	if (distance < listing->distance) {
		listing->distance = distance;
		memcpy(listing->nearest, found->id, sizeof(listing->nearest));
	}
	while (at > 0 && found_newer(found, &listing->newest[at - 1]))
		at--;
	if (at == NEWEST)
		return;
	if (listing->count < NEWEST)
		listing->count++;
	for (uint32_t i = listing->count - 1; i > at; i--)
		listing->newest[i] = listing->newest[i - 1];
	listing->newest[at] = *found;
}

/* Runs of the folder that began to measure. */
static void listing_make(const char *results, const char *which, struct listing *listing)
{
	DIR *folder = opendir(results);
	const struct dirent *entry;

	*listing = (struct listing){.distance = SIZE_MAX};
	while (folder && (entry = readdir(folder))) {
		struct found found;
		struct stat status;
		char path[4096];

		if (entry->d_name[0] == '.' || strlen(entry->d_name) > ID_MAX ||
		    (size_t)snprintf(path, sizeof(path), "%s/%s/run.json", results, entry->d_name) >= sizeof(path) ||
		    stat(path, &status) != 0)
			continue;
		snprintf(found.id, sizeof(found.id), "%.*s", ID_MAX, entry->d_name);
		found.written = status.st_mtim;
		listing_add(listing, &found, which);
	}
	if (folder)
		closedir(folder);
}

static int listing_fail(const struct listing *listing, const char *which, const char *results, struct fm_error *error)
{
	char newest[NEWEST * (ID_MAX + 3)] = "";
	size_t used = 0;

	if (listing->count == 0)
		return fm_error_set(error, -ENOENT, FM_REASON_RESULTS,
				    "--again %.80s: there is no run in '%.150s'; name the results folder with "
				    "--out DIR, or give the path of the run's own folder",
				    which, results);
	for (uint32_t i = 0; i < listing->count; i++)
		used += (size_t)snprintf(newest + used, sizeof(newest) - used, "%s%s", i ? ", " : "",
					 listing->newest[i].id);
	/* A name that is mostly another's is no misspelling of it. */
	if (listing->distance <= strlen(which) / MISSPELT)
		return fm_error_set(error, -ENOENT, FM_REASON_RESULTS,
				    "--again: no run '%.80s' in '%.80s': the nearest is %s; the newest are %s", which,
				    results, listing->nearest, newest);
	return fm_error_set(error, -ENOENT, FM_REASON_RESULTS, "--again: no run '%.80s' in '%.80s': the newest are %s",
			    which, results, newest);
}

static bool is_folder(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* "runs/ID/run.json" is as good as "runs/ID": the folder, or "" where it is no such file. */
static void folder_of_file(const char *which, char *folder, size_t bytes)
{
	static const char *const files[] = {"run.json", "results.csv"};
	const char *slash = strrchr(which, '/');

	folder[0] = '\0';
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (strcmp(slash ? slash + 1 : which, files[i]) == 0 && access(which, F_OK) == 0)
			snprintf(folder, bytes, "%.*s", slash ? (int)(slash - which) : 1, slash ? which : ".");
}

static int again_find(const char *which, const char *results, struct fm_again *again, struct fm_error *error)
{
	struct listing listing;
	int length;

	folder_of_file(which, again->folder, sizeof(again->folder));
	if (again->folder[0])
		return 0;
	length = snprintf(again->folder, sizeof(again->folder), "%s/%s", results, which);
	if (!strchr(which, '/') && strcmp(which, "last") != 0 && strcmp(which, ".") != 0 && strcmp(which, "..") != 0) {
		if (length < (int)sizeof(again->folder) && is_folder(again->folder))
			return 0;
	} else if (strcmp(which, "last") != 0) {
		snprintf(again->folder, sizeof(again->folder), "%s", which);
		if (is_folder(which))
			return 0;
		return fm_error_set(error, -ENOENT, FM_REASON_RESULTS,
				    "--again: there is no folder '%.300s': give the folder of a run, or its run id",
				    which);
	}
	listing_make(results, which, &listing);
	if (listing.count == 0 || strcmp(which, "last") != 0)
		return listing_fail(&listing, which, results, error);
	snprintf(again->folder, sizeof(again->folder), "%.3900s/%s", results, listing.newest[0].id);
	return 0;
}

/* ---- reading it ---- */

static int again_damaged(const struct fm_again *again, const char *why, struct fm_error *error)
{
	return fm_error_set(error, -EINVAL, FM_REASON_RESULTS,
			    "--again: '%.200s/run.json' %.200s; repeat it by its command line", again->folder, why);
}

static bool all_texts(const json_t *object)
{
	const char *name;
	json_t *value, *text;
	size_t i;

	json_object_foreach((json_t *)object, name, value)
	{
		/* An option that was given several times, and whose texts add up. */
		json_array_foreach(value, i, text)
		{
			if (!json_is_string(text))
				return false;
		}
		if (!json_is_string(value) && !json_is_array(value))
			return false;
	}
	return json_is_object(object);
}

static int again_check(struct fm_again *again, struct fm_error *error)
{
	const json_t *document = again->document, *schema = json_object_get(document, "schema");
	const char *command = json_string_value(json_array_get(json_object_get(document, "arguments"), 0));
	const char *run_id = json_string_value(json_object_get(document, "run_id"));
	const char *host = json_string_value(json_object_get(document, "host"));
	char why[200];

	if (!json_is_integer(schema) || !run_id || !command || strlen(run_id) >= sizeof(again->run_id))
		return again_damaged(again, "is no description of a run", error);
	if (json_integer_value(schema) != FM_SCHEMA) {
		snprintf(why, sizeof(why), "is of schema %lld, and this version reads schema %d",
			 (long long)json_integer_value(schema), FM_SCHEMA);
		return again_damaged(again, why, error);
	}
	if (strcmp(command, "pair") != 0) {
		snprintf(why, sizeof(why), "is of 'fabmark %.40s', and only runs of 'fabmark pair' can be repeated",
			 command);
		return again_damaged(again, why, error);
	}
	again->options = json_object_get(document, "options");
	if (!all_texts(again->options) || (host && strlen(host) >= sizeof(again->host)))
		return again_damaged(again, "does not say what was asked for", error);
	again->unfinished = json_is_false(json_object_get(document, "finished"));
	snprintf(again->run_id, sizeof(again->run_id), "%s", run_id);
	snprintf(again->host, sizeof(again->host), "%s", host ? host : "");
	return 0;
}

/* The file's errno, in words that say what it means here. */
static int again_unreadable(const struct fm_again *again, int number, struct fm_error *error)
{
	char why[200], cause[128];

	if (number == ENOENT)
		return again_damaged(
			again, "is missing: this is no folder of a run, or the run ended before it measured", error);
	snprintf(why, sizeof(why), "cannot be read: %s", fm_output_cause(number, cause, sizeof(cause)));
	return again_damaged(again, why, error);
}

int fm_again_load(const char *which, const char *results, struct fm_again *again, struct fm_error *error)
{
	char path[sizeof(again->folder) + 16], why[300];
	json_error_t json_error;
	int code = again_find(which, results, again, error);
	FILE *file;

	if (code)
		return code;
	snprintf(path, sizeof(path), "%s/run.json", again->folder);
	file = fopen(path, "re");
	if (!file)
		return again_unreadable(again, errno, error);
	again->document = json_loadf(file, JSON_REJECT_DUPLICATES, &json_error);
	fclose(file);
	if (again->document)
		return again_check(again, error);
	snprintf(why, sizeof(why), "is damaged at line %d: %.150s", json_error.line, json_error.text);
	return again_damaged(again, why, error);
}

void fm_again_free(struct fm_again *again)
{
	json_decref(again->document);
	memset(again, 0, sizeof(*again));
}

/* ---- the options of the repetition ---- */

/* Of an option that is typed, the earlier ones that would contradict it. */
static const struct {
	const char *typed, *drops[4]; /* a NULL behind the last one */
} clashes[] = {
	{"full", {"test", "size", "all-sizes"}},
	{"test", {"full"}},
	{"size", {"full", "all-sizes"}},
	{"all-sizes", {"full", "size"}},
	{"streams", {"queue-pairs"}},
	{"queue-pairs", {"streams"}},
	{"rails", {"device", "data-address"}},
	{"device", {"rails"}},
	{"data-address", {"rails"}},
	{"ssh", {"token-file"}},
	{"token-file", {"ssh"}},
};

static const struct fm_option *row_named(const char *name)
{
	for (size_t i = 0; i < fm_pair_option_set.count; i++)
		if (strcmp(fm_pair_option_set.rows[i].name, name) == 0)
			return &fm_pair_option_set.rows[i];
	return NULL;
}

static bool repeated(const char *name)
{
	const struct fm_option *row = row_named(name);

	/* What is no row of pair's own is a backend's. */
	return !row || (strcmp(row->group, "Results") != 0 && strcmp(name, "again") != 0);
}

static bool typed_any(const json_t *typed, const char *const *names)
{
	for (; *names; names++)
		if (json_object_get(typed, *names))
			return true;
	return false;
}

bool fm_again_moved(const json_t *typed, bool host_typed)
{
	static const char *const places[] = {"local", "ssh", NULL};

	return host_typed || typed_any(typed, places);
}

/* "a=b,c=d" of the rails; false where one is known by its address only, or it grows too long. */
static bool rails_text(const json_t *document, char *text, size_t bytes)
{
	size_t used, i;
	json_t *rail;

	used = (size_t)snprintf(text, bytes, "%s",
				json_is_true(json_object_get(document, "rails_in_turn")) ? "each:" : "");
	json_array_foreach(json_object_get(document, "rails"), i, rail)
	{
		const char *a = json_string_value(json_object_get(rail, "device_a"));
		const char *b = json_string_value(json_object_get(rail, "device_b"));

		if (!a || !b || !*a || !*b || used >= bytes)
			return false;
		used += (size_t)snprintf(text + used, bytes - used, "%s%s=%s", i ? "," : "", a, b);
	}
	return i > 0 && used < bytes;
}

/* The CPUs of one end: "1,4-7"; "" where they are not known. */
static void cpus_text(const json_t *document, const char *place, char *text, size_t bytes)
{
	const json_t *rails = json_object_get(json_object_get(document, "environment"), place);
	bool used[FM_CPUS_MAX] = {false};
	int list[FM_CPUS_MAX] = {0};
	uint32_t count = 0;
	json_t *rail, *cpu;
	size_t i, j;

	text[0] = '\0';
	json_array_foreach(rails, i, rail)
	{
		json_array_foreach(json_object_get(rail, "cpus"), j, cpu)
		{
			json_int_t number = json_is_integer(cpu) ? json_integer_value(cpu) : -1;

			if (number >= 0 && number < FM_CPUS_MAX)
				used[number] = true;
		}
	}
	for (int number = 0; number < FM_CPUS_MAX; number++)
		if (used[number])
			list[count++] = number;
	if (count)
		fm_cpus_format(list, count, text, bytes);
}

static void pin_place(const struct fm_again *again, json_t *options)
{
	const size_t rails = json_array_size(json_object_get(again->document, "rails"));
	char text[FM_TEXT_MAX];

	/* Numeric addresses that were asked for are as exact as a device. */
	if (json_object_get(options, "data-address") || !rails_text(again->document, text, sizeof(text)))
		return;
	json_object_set_new(options, rails > 1 ? "rails" : "device", json_string(text));
	json_object_del(options, rails > 1 ? "device" : "rails");
}

/*
 * The CPUs of the one rail. Of several rails it could only be the set of all their CPUs, which --cpu deals out in an
 * order of its own, so that ends and rails might share what they did not share; what was chosen then is chosen again.
 */
static void pin_cpus(const struct fm_again *again, json_t *options)
{
	char a[FM_TEXT_MAX / 2], b[FM_TEXT_MAX / 2], text[FM_TEXT_MAX];

	if (json_array_size(json_object_get(again->document, "rails")) != 1)
		return;
	cpus_text(again->document, "place_a", a, sizeof(a));
	cpus_text(again->document, "place_b", b, sizeof(b));
	if (!a[0] || !b[0] || (size_t)snprintf(text, sizeof(text), "%s=%s", a, b) >= sizeof(text))
		return;
	json_object_set_new(options, "cpu", json_string(text));
}

/* Where it measured and over what, as far as nothing that is typed decides over it. */
static void pin(const struct fm_again *again, const json_t *typed, json_t *options)
{
	static const char *const rails[] = {"rails", "device", "data-address", NULL};
	static const char *const cpus[] = {"cpu", "threads", NULL};
	const char *transport = json_string_value(json_object_get(again->document, "transport"));

	if (!typed_any(typed, rails)) {
		pin_place(again, options);
		if (!typed_any(typed, cpus) && !json_object_get(options, "cpu"))
			pin_cpus(again, options);
	}
	if (transport && !json_object_get(options, "transport"))
		json_object_set_new(options, "transport", json_string(transport));
}

json_t *fm_again_options(const struct fm_again *again, const json_t *typed, bool host_typed, bool pinned)
{
	json_t *options = json_object(), *value;
	const char *name;

	json_object_foreach(again->options, name, value)
	{
		if (repeated(name))
			json_object_set(options, name, value);
	}
	if (fm_again_moved(typed, host_typed)) {
		json_object_del(options, "local");
		json_object_del(options, "ssh");
	} else if (pinned) {
		pin(again, typed, options);
	}
	for (size_t i = 0; i < sizeof(clashes) / sizeof(clashes[0]); i++)
		for (const char *const *drop = clashes[i].drops; *drop && json_object_get(typed, clashes[i].typed);
		     drop++)
			json_object_del(options, *drop);
	json_object_foreach((json_t *)typed, name, value)
	{
		json_object_set(options, name, value);
	}
	return options;
}
