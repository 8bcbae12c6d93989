/*
 * broken.c - modules with one thing wrong each, chosen by BROKEN; built into one shared object a name of tests/module/
 * CMakeLists.txt, and loaded by unit/modules.c.
 */
#include <fabmark/transport.h>

#include <errno.h>

#define ABI	 1
#define SIZE	 2
#define COUNT	 3
#define NO_TABLE 4
#define SLOT	 5
#define NAME	 6
#define TAKEN	 7
#define OPTIONS	 8
#define SYMBOL	 9
#define FUNCTION 10
#define LACKING	 11 /* a symbol of the program */
#define LIBRARY	 12 /* a library that is gone */
#define PROBE	 13
#define METRIC	 14
#define KEPT	 15 /* nothing: the module of a row of the test */
#define CHANGED	 16 /* the same, of another version */
#define TYPED	 17

struct values {
	uint64_t first, second;
};

static int sound_query(const struct fm_place *place, const void *options, const struct fm_transport *const *transports,
		       struct fm_capabilities *capabilities, struct fm_error *error)
{
	(void)place, (void)options, (void)transports, (void)capabilities, (void)error;
	return 0;
}

static int sound_open(const struct fm_place *place, const struct fm_work *work, const struct fm_buffer *buffers,
		      uint32_t count, struct fm_endpoint **endpoint, struct fm_error *error)
{
	(void)place, (void)work, (void)buffers, (void)count, (void)endpoint;
	return fm_error_set(error, -EOPNOTSUPP, FM_REASON_UNSUPPORTED, "a module of the tests opens nothing");
}

static int sound_connect(struct fm_endpoint *endpoint, const struct fm_blob *peer, struct fm_lane *lanes,
			 uint32_t count, struct fm_error *error)
{
	(void)endpoint, (void)peer, (void)lanes, (void)count, (void)error;
	return -EOPNOTSUPP;
}

static void sound_close(struct fm_endpoint *endpoint)
{
	(void)endpoint;
}

#define MY_PROBE refuse
#if BROKEN == PROBE
static int refuse(struct fm_error *error)
{
	return fm_error_set(error, -ENODEV, FM_REASON_ABSENT, "no such device\nis in this machine");
}
#elif BROKEN == LACKING
extern const struct fm_transport fm_transport_null;
static int refuse(struct fm_error *error)
{
	return fm_error_set(error, -(int)fm_transport_null.abi, FM_REASON_ABSENT, "never called");
}
#elif BROKEN == LIBRARY
int gone(void);
static int refuse(struct fm_error *error)
{
	(void)error;
	return gone();
}
#else
#undef MY_PROBE
#define MY_PROBE fm_probe_none
#endif

#if BROKEN == KEPT || BROKEN == CHANGED
#define MY_NAME "kept"
#elif BROKEN == NAME
#define MY_NAME "my.name"
#elif BROKEN == TAKEN
#define MY_NAME "null"
#else
#define MY_NAME "sound"
#endif

#if BROKEN == TYPED
static const struct fm_option_type own_type = {"own", true, 8, NULL};
#endif

static const struct fm_option rows[] = {
	{
		.name = "first",
		.argument = "N",
		.value = "1",
		.help = "the first",
		.group = MY_NAME,
		.kind = FM_OPTION_COUNT,
#if BROKEN == TYPED
		.type = &own_type,
#endif
		.offset = offsetof(struct values, first),
	},
#if BROKEN == CHANGED || BROKEN == OPTIONS
	{
		.name = "second",
		.argument = "N",
		.value = BROKEN == OPTIONS ? "x" : "1",
		.help = "the second",
		.group = MY_NAME,
		.kind = FM_OPTION_COUNT,
		.offset = offsetof(struct values, second),
	},
#endif
};

static const struct fm_option_set options = {MY_NAME, rows, sizeof(rows) / sizeof(rows[0]), sizeof(struct values)};

#if BROKEN != SYMBOL
static
#endif
	const struct fm_transport table = {
		.abi = FM_TRANSPORT_ABI,
		.name = MY_NAME,
		.help = "of the tests",
		.automatic = true,
		.default_latency = BROKEN == METRIC ? FM_SEND_BW : FM_SEND_LAT,
		.default_bandwidth = FM_SEND_BW,
		.options = &options,
		.probe = MY_PROBE,
		.query = sound_query,
		.open = sound_open,
		.address = fm_address_none,
		.connect = sound_connect,
		.progress = fm_progress_none,
		.effective = fm_effective_none,
		.counters = BROKEN == SLOT ? NULL : fm_counters_none,
		.disconnect = fm_disconnect_none,
		.close = sound_close,
};

#if BROKEN == ABI || BROKEN == SIZE || BROKEN == COUNT || BROKEN == NO_TABLE
extern const struct fm_module fm_module;
__attribute__((visibility("default"))) const struct fm_module fm_module = {
	.abi = FM_TRANSPORT_ABI + (BROKEN == ABI),
	.count = FM_MODULE_SIZES - (BROKEN == COUNT),
	.table = BROKEN == NO_TABLE ? NULL : &table,
	/* Sizes are 0 of the ABI to come, which has them elsewhere; the others are right but for that of fm_work. */
	.sizes = {[FM_SHARED_fm_transport] = sizeof(struct fm_transport),
		  [FM_SHARED_fm_lane] = sizeof(struct fm_lane),
		  [FM_SHARED_fm_work] = sizeof(struct fm_work) + (BROKEN == SIZE ? 8 : 0),
		  [FM_SHARED_fm_capabilities] = sizeof(struct fm_capabilities),
		  [FM_SHARED_fm_effective] = sizeof(struct fm_effective),
		  [FM_SHARED_fm_counters] = sizeof(struct fm_counters),
		  [FM_SHARED_fm_place] = sizeof(struct fm_place),
		  [FM_SHARED_fm_place_rail] = sizeof(struct fm_place_rail),
		  [FM_SHARED_fm_buffer] = sizeof(struct fm_buffer),
		  [FM_SHARED_fm_memory_kind] = sizeof(struct fm_memory_kind),
		  [FM_SHARED_fm_blob] = sizeof(struct fm_blob),
		  [FM_SHARED_fm_error] = sizeof(struct fm_error),
		  [FM_SHARED_fm_option_set] = sizeof(struct fm_option_set),
		  [FM_SHARED_fm_option] = sizeof(struct fm_option)},
};
#elif BROKEN == FUNCTION
int fm_module(void);
__attribute__((visibility("default"))) int fm_module(void)
{
	return (int)table.abi;
}
#elif BROKEN != SYMBOL
FM_MODULE(table);
#endif
