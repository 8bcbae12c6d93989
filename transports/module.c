/*
 * module.c - shared objects that export fm_module. Nothing in one is called, and nothing behind its ABI number looked
 * at, before it is known to be what this program was built for; what is not becomes a sentence and never a failure.
 */
#include "transports/module.h"

#include <dirent.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/utf8.h"

#define SUFFIX	     ".so"
#define REBUILD	     "build it anew against the headers of fabmark " FM_VERSION
#define OPTIONS_MAX  64	    /* of one module */
#define VALUES_BYTES 65536u /* of their struct */

/* ---- what stands in for a transport that is not there ---- */

static int absent_query(const struct fm_place *place, const void *options, const struct fm_transport *const *transports,
			struct fm_capabilities *capabilities, struct fm_error *error)
{
	(void)place, (void)options, (void)transports, (void)capabilities;
	return fm_error_set(error, -ENODEV, FM_REASON_ABSENT, "this transport is absent: 'fabmark devices' says why");
}

static int absent_open(const struct fm_place *place, const struct fm_work *work, const struct fm_buffer *buffers,
		       uint32_t count, struct fm_endpoint **endpoint, struct fm_error *error)
{
	(void)work, (void)buffers, (void)count, (void)endpoint;
	return absent_query(place, NULL, NULL, NULL, error);
}

static int absent_connect(struct fm_endpoint *endpoint, const struct fm_blob *peer, struct fm_lane *lanes,
			  uint32_t count, struct fm_error *error)
{
	(void)endpoint, (void)peer, (void)lanes, (void)count;
	return absent_query(NULL, NULL, NULL, NULL, error);
}

static void absent_close(struct fm_endpoint *endpoint)
{
	(void)endpoint;
}

static const struct fm_option_set no_options = {.name = ""};

static const struct fm_transport stand_in = {
	.abi = FM_TRANSPORT_ABI,
	.help = "",
	.default_latency = FM_SEND_LAT,
	.default_bandwidth = FM_SEND_BW,
	.options = &no_options,
	.probe = fm_probe_none,
	.query = absent_query,
	.open = absent_open,
	.address = fm_address_none,
	.connect = absent_connect,
	.progress = fm_progress_none,
	.effective = fm_effective_none,
	.counters = fm_counters_none,
	.disconnect = fm_disconnect_none,
	.close = absent_close,
};

/* ---- the list ---- */

/* Whole UTF-8 without control characters, cut where it does not fit: it goes to terminals and into JSON. */
static void text_clean(char *to, size_t bytes, const char *from)
{
	size_t used = 0;

	while (*from) {
		size_t length = fm_utf8_sequence(from);
		bool plain = length > 1 || (length == 1 && (unsigned char)*from >= ' ' && *from != 0x7f);

		if (!plain)
			length = 1;
		if (used + length >= bytes)
			break;
		memcpy(to + used, plain ? from : "?", length);
		used += length;
		from += length;
	}
	to[used] = '\0';
}

static bool text_is_clean(const char *text, size_t most)
{
	char copy[512];

	text_clean(copy, most < sizeof(copy) ? most : sizeof(copy), text);
	return strcmp(copy, text) == 0;
}

/* Can be typed, and stands apart from what else --transport and --set take. */
static bool name_is_good(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz", all[] = "abcdefghijklmnopqrstuvwxyz0123456789_";

	return name && name[0] && strchr(letters, name[0]) && strspn(name, all) == strlen(name) &&
	       strlen(name) < FM_TRANSPORT_NAME_MAX && strcmp(name, "auto") != 0 && strcmp(name, "all") != 0;
}

static struct fm_registered *entry_find(struct fm_registry *registry, const char *name)
{
	for (uint32_t i = 0; i < registry->count; i++)
		if (strcmp(registry->entries[i].name, name) == 0)
			return &registry->entries[i];
	return NULL;
}

static void entry_fill(struct fm_registered *entry, const struct fm_transport *table)
{
	entry->table = *table;
	entry->table.name = entry->name;
	entry->table.absent = NULL;
}

/* A new entry, absent so far; NULL where the list is full. */
static struct fm_registered *entry_add(struct fm_registry *registry, const char *name)
{
	struct fm_registered *entry = &registry->entries[registry->count];

	if (registry->count == FM_TRANSPORTS_MAX)
		return NULL;
	registry->count++;
	*entry = (struct fm_registered){.outside = true};
	text_clean(entry->name, sizeof(entry->name), name);
	entry_fill(entry, &stand_in);
	entry->table.absent = entry->why;
	return entry;
}

static void note(struct fm_registry *registry, const char *sentence)
{
	if (registry->note_count < FM_REGISTRY_NOTES_MAX)
		text_clean(registry->notes[registry->note_count++], sizeof(registry->notes[0]), sentence);
}

void fm_module_expect(struct fm_registry *registry, const struct fm_backend *backend)
{
	struct fm_registered *entry = entry_add(registry, backend->table->name);
	struct fm_transport words;

	if (!entry)
		return;
	entry->outside = false;
	if (!backend->module) {
		entry_fill(entry, backend->table);
		return;
	}
	words = stand_in;
	words.help = backend->table->help;
	words.automatic = backend->table->automatic;
	words.default_latency = backend->table->default_latency;
	words.default_bandwidth = backend->table->default_bandwidth;
	words.options = backend->table->options;
	entry_fill(entry, &words);
	entry->table.absent = entry->why;
	snprintf(entry->why, sizeof(entry->why),
		 "its module %s" SUFFIX " is not installed: it comes with a build on a machine that has its library",
		 backend->table->name);
}

void fm_module_probe(struct fm_registered *entry)
{
	struct fm_error error = {0};
	int code = entry->table.absent ? 0 : entry->table.probe(&error);

	if (code == 0)
		return;
	error.text[sizeof(error.text) - 1] = '\0';
	text_clean(entry->why, sizeof(entry->why), error.text[0] ? error.text : strerror(abs(code)));
	entry->table.absent = entry->why;
}

/* ---- checking ---- */

static int broken(struct fm_error *error, const char *sentence)
{
	return fm_error_set(error, -EINVAL, FM_REASON_ABSENT, "%s", sentence);
}

/* The first slot that is empty; NULL where none is. */
static const char *empty_slot(const struct fm_transport *table)
{
	const struct {
		const char *name;
		bool filled;
	} slots[] = {
		{"probe", table->probe},	 {"query", table->query},	{"open", table->open},
		{"address", table->address},	 {"connect", table->connect},	{"progress", table->progress},
		{"effective", table->effective}, {"counters", table->counters}, {"disconnect", table->disconnect},
		{"close", table->close},
	};

	for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++)
		if (!slots[i].filled)
			return slots[i].name;
	return NULL;
}

static int check_options(const struct fm_option_set *set, const char *name, struct fm_error *error)
{
	if (!set || !set->name || strcmp(set->name, name) != 0)
		return broken(error, "it has no option set of its own name; one without rows will do");
	if (set->count > OPTIONS_MAX || set->bytes > VALUES_BYTES || (set->count && !set->rows))
		return fm_error_set(error, -EINVAL, FM_REASON_ABSENT,
				    "its option set claims %zu rows for %zu bytes; at most %d for %u can be",
				    set->count, set->bytes, OPTIONS_MAX, VALUES_BYTES);
	for (size_t i = 0; i < set->count; i++) {
		const struct fm_option *row = &set->rows[i];

		if (row->type)
			return fm_error_set(error, -EINVAL, FM_REASON_ABSENT,
					    "its option row %zu has a type of its own; rows of a transport say kind",
					    i);
		if (!row->help || !text_is_clean(row->help, 256))
			return fm_error_set(error, -EINVAL, FM_REASON_ABSENT,
					    "its option row %zu has no help of one line of UTF-8", i);
	}
	if (fm_options_check(&set, 1, error) == 0)
		return 0;
	error->reason = FM_REASON_ABSENT;
	return fm_error_prefix(error, "its options cannot be used: ");
}

static bool metric_is(enum fm_test_id id, enum fm_metric metric)
{
	return (unsigned)id < FM_TEST_COUNT && fm_tests[id].metric == metric;
}

int fm_transport_check(const struct fm_transport *table, struct fm_error *error)
{
	const char *slot = empty_slot(table);

	if (!name_is_good(table->name))
		return broken(error, "its name cannot be typed: it must be 1 to 31 of a-z, 0-9 and _, begin with a "
				     "letter, and be neither auto nor all");
	if (table->abi != FM_TRANSPORT_ABI)
		return broken(error, "its table says another ABI number than FM_TRANSPORT_ABI");
	if (slot)
		return fm_error_set(error, -EINVAL, FM_REASON_ABSENT,
				    "slot '%s' of its table is empty; transport.h has a function for each that has "
				    "nothing to do",
				    slot);
	if (!table->help || !table->help[0] || !text_is_clean(table->help, 256))
		return broken(error, "its help is not one line of UTF-8");
	if (!metric_is(table->default_latency, FM_LATENCY) || !metric_is(table->default_bandwidth, FM_BANDWIDTH))
		return broken(error, "its default tests are not one latency and one bandwidth");
	return check_options(table->options, table->name, error);
}

/* Is it this program's fm_module? As far as that can be told without believing it. */
static int check_head(const struct fm_module *module, struct fm_error *error)
{
	static const struct {
		const char *name;
		size_t bytes;
	} ours[] = {
#define ROW(name) {#name, sizeof(struct name)},
		FM_SHARED_STRUCTS(ROW)
#undef ROW
	};
	ElfW(Sym) *symbol = NULL;
	Dl_info info;

	/* Another program's fm_module may be a function, or shorter. */
	if (!dladdr1(module, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol ||
	    ELF64_ST_TYPE(symbol->st_info) != STT_OBJECT || symbol->st_size < offsetof(struct fm_module, sizes))
		return broken(error, "its symbol fm_module is not what FM_MODULE(table) of transport.h makes");
	if (module->abi != FM_TRANSPORT_ABI)
		return fm_error_set(error, -EINVAL, FM_REASON_ABSENT,
				    "it was built for transport ABI %u, and this program has %d; " REBUILD, module->abi,
				    FM_TRANSPORT_ABI);
	if (module->count != FM_MODULE_SIZES || symbol->st_size < sizeof(*module))
		return broken(error, "it was built against other headers; " REBUILD);
	for (size_t i = 0; i < FM_MODULE_SIZES; i++)
		if (module->sizes[i] != ours[i].bytes)
			return fm_error_set(error, -EINVAL, FM_REASON_ABSENT,
					    "it was built against other headers: its struct %s has %u bytes, this "
					    "program's %zu; " REBUILD,
					    ours[i].name, module->sizes[i], ours[i].bytes);
	return module->table ? 0 : broken(error, "its fm_module has no table");
}

/* The rows that help shows and the program fills must be those that the module reads. */
static bool same_options(const struct fm_option_set *a, const struct fm_option_set *b)
{
	if (a->count != b->count || a->bytes != b->bytes)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->rows[i].name, b->rows[i].name) != 0 || a->rows[i].kind != b->rows[i].kind ||
		    a->rows[i].offset != b->rows[i].offset)
			return false;
	return true;
}

/* ---- loading ---- */

/* One file on its way into the list. */
struct loading {
	struct fm_registry *registry;
	const char *file;
	char stem[FM_TRANSPORT_NAME_MAX]; /* of its name; "" where that is no transport's */
	struct fm_registered *expected;	  /* the backend of this tree whose module it is, or NULL */
};

/* Lists the transport as absent where its name is known and free; else the sentence becomes a note. */
static void refuse(const struct loading *loading, const char *name, const char *cause)
{
	struct fm_registry *registry = loading->registry;
	struct fm_registered *entry = loading->expected;
	char sentence[1200];

	snprintf(sentence, sizeof(sentence), "%s: %s", loading->file, cause);
	if (!entry && name_is_good(name) && !entry_find(registry, name))
		entry = entry_add(registry, name);
	if (!entry) {
		note(registry, sentence);
		return;
	}
	text_clean(entry->why, sizeof(entry->why), sentence);
	text_clean(entry->file, sizeof(entry->file), loading->file);
}

static void accept(const struct loading *loading, const struct fm_transport *table)
{
	struct fm_registered *entry = loading->expected, *taken = entry_find(loading->registry, table->name);
	char cause[700];

	if (entry) {
		if (entry != taken || !same_options(entry->table.options, table->options)) {
			refuse(loading, NULL,
			       "it is not of this version of fabmark: its name or its options differ; install both "
			       "from one build");
			return;
		}
	} else if (taken) {
		snprintf(cause, sizeof(cause), "its name '%s' is taken by %s; give it another one", taken->name,
			 taken->file[0] ? taken->file : "a transport of fabmark's own");
		refuse(loading, NULL, cause);
		return;
	} else {
		entry = entry_add(loading->registry, table->name);
		if (!entry) {
			snprintf(cause, sizeof(cause), "there are %d transports already, which is all that fit",
				 FM_TRANSPORTS_MAX);
			refuse(loading, NULL, cause);
			return;
		}
	}
	entry_fill(entry, table);
	text_clean(entry->file, sizeof(entry->file), loading->file);
}

/* What dlopen says, without the file that the sentence names anyway. */
static const char *load_cause(const char *file, char *text, size_t bytes)
{
	const char *cause = dlerror();
	size_t length = strlen(file);

	if (!cause)
		cause = "the dynamic linker does not say why";
	if (strncmp(cause, file, length) == 0 && strncmp(cause + length, ": ", 2) == 0)
		cause += length + 2;
	snprintf(text, bytes, "it cannot be loaded: %.400s; 'ldd -r' on it lists what it lacks", cause);
	return text;
}

static void load(struct loading *loading)
{
	const struct fm_module *module;
	struct fm_error error = {0};
	struct stat info;
	char cause[500];
	void *handle;

	/* The linker would wait in open for whoever writes to a pipe, and so would every command that lists transports.
	 */
	if (stat(loading->file, &info) == 0 && !S_ISREG(info.st_mode)) {
		refuse(loading, loading->stem, "it is no regular file, and only such a one can be a module");
		return;
	}
	/* Now: what it lacks is known here, and not in the middle of a measurement. Local: two modules may be alike. */
	handle = dlopen(loading->file, RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		refuse(loading, loading->stem, load_cause(loading->file, cause, sizeof(cause)));
		return;
	}
	/*
	 * Never closed, a refused one neither: libraries that it brought may have started threads or left handlers for
	 * the end of the process, and a thread that hangs in one may come back. The linker keeps its own list of what
	 * is loaded, so that nothing is lost to a leak checker.
	 */
	module = dlsym(handle, "fm_module");
	if (!module) {
		refuse(loading, loading->stem,
		       "it has no symbol fm_module: no transport, or one without FM_MODULE(table) of transport.h");
		return;
	}
	if (check_head(module, &error))
		refuse(loading, loading->stem, error.text);
	else if (fm_transport_check(module->table, &error))
		refuse(loading, name_is_good(module->table->name) ? module->table->name : loading->stem, error.text);
	else
		accept(loading, module->table);
}

static void load_file(struct fm_registry *registry, const char *file)
{
	const char *base = strrchr(file, '/') + 1, *dot = strrchr(base, '.');
	struct loading loading = {.registry = registry, .file = file};

	snprintf(loading.stem, sizeof(loading.stem), "%.*s", dot ? (int)(dot - base) : 0, base);
	if (!name_is_good(loading.stem))
		loading.stem[0] = '\0';
	/* Named twice, by a file and its folder. */
	for (uint32_t i = 0; i < registry->count; i++)
		if (strcmp(registry->entries[i].file, file) == 0)
			return;
	loading.expected = entry_find(registry, loading.stem);
	/* Ours, and found in a folder that comes first. */
	if (loading.expected && !loading.expected->outside && loading.expected->file[0])
		return;
	/* Linked in, or from outside: then it is a transport of its own, and its own name decides. */
	if (loading.expected && (loading.expected->outside || !loading.expected->table.absent))
		loading.expected = NULL;
	load(&loading);
}

static int is_module(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return length > strlen(SUFFIX) && strcmp(entry->d_name + length - strlen(SUFFIX), SUFFIX) == 0;
}

void fm_modules_find(struct fm_registry *registry, const char *place, bool named)
{
	char *whole = realpath(place, NULL), file[PATH_MAX + 256];
	struct dirent **found = NULL;
	struct stat info;
	int count;

	if (!whole || stat(whole, &info) != 0) {
		snprintf(file, sizeof(file), "FABMARK_TRANSPORT_PATH: '%.200s': %s", place, strerror(errno));
		if (named)
			note(registry, file);
	} else if (!S_ISDIR(info.st_mode)) {
		load_file(registry, whole);
	} else {
		count = scandir(whole, &found, is_module, alphasort);
		if (count < 0 && named) {
			snprintf(file, sizeof(file), "FABMARK_TRANSPORT_PATH: '%.200s': %s", place, strerror(errno));
			note(registry, file);
		}
		for (int i = 0; i < count; i++) {
			snprintf(file, sizeof(file), "%s/%s", whole, found[i]->d_name);
			load_file(registry, file);
			free(found[i]);
		}
		free(found);
	}
	free(whole);
}
