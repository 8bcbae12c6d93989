/*
 * translate_ucx.c - the options of ucx_perftest 1.13, as its -h has them, in ours.
 */
#include <errno.h>
#include <inttypes.h>

#include "bench/translate_rows.h"

#define BOTH_FIGURES "latency and rate are two tests here"
#define UCT	     "that is UCX's lower layer, UCT; fabmark measures UCP, which applications use"

/* What -t names. */
static const struct {
	const char *name, *test, *note;
} tests[] = {
	{"tag_lat", "tag_lat", NULL},
	{"tag_bw", "tag_bw", NULL},
	{"tag_sync_lat", "tag_lat", "no synchronous tag send here: the line measures the usual one"},
	{"tag_sync_bw", "tag_bw", "no synchronous tag send here: the line measures the usual one"},
	{"ucp_put_lat", "write_lat", NULL},
	{"ucp_put_bw", "write_bw", "fabmark's clock stops when a flush has shown that the other node has the bytes"},
	{"ucp_get", "read_lat,read_bw", BOTH_FIGURES},
	{"ucp_add", "atomic_fadd_bw",
	 "an add that fetches nothing has no counterpart: the line measures fetch-and-add"},
	{"ucp_fadd", "atomic_fadd_lat,atomic_fadd_bw", BOTH_FIGURES},
	{"ucp_swap", "atomic_cas_lat,atomic_cas_bw", "no swap here: the line measures compare-and-swap"},
	{"ucp_cswap", "atomic_cas_lat,atomic_cas_bw", BOTH_FIGURES},
	{"stream_lat", "stream_lat", NULL},
	{"stream_bw", "stream_bw", NULL},
	{"ucp_am_lat", "am_lat", NULL},
	{"ucp_am_bw", "am_bw", NULL},
	{"am_lat", "am_lat", UCT},
	{"am_bw", "am_bw", UCT},
	{"put_lat", "write_lat", UCT},
	{"put_bw", "write_bw", UCT},
	{"get", "read_lat,read_bw", UCT "; " BOTH_FIGURES},
	{"add_lat", "atomic_fadd_lat", UCT "; an add that fetches nothing has no counterpart"},
	{"add_mr", "atomic_fadd_bw", UCT "; an add that fetches nothing has no counterpart"},
	{"fadd", "atomic_fadd_lat,atomic_fadd_bw", UCT "; " BOTH_FIGURES},
	{"swap", "atomic_cas_lat,atomic_cas_bw", UCT "; no swap here: the line measures compare-and-swap"},
	{"cswap", "atomic_cas_lat,atomic_cas_bw", UCT "; " BOTH_FIGURES},
};

static int convert_test(struct fm_translation *translation, const struct fm_foreign_option *row, const char *typed,
			const char *text, struct fm_error *error)
{
	const char *nearest = NULL;
	size_t least = fm_translation_reach(strlen(text));

	(void)row;
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		size_t distance = fm_options_distance(text, strlen(text), tests[i].name, strlen(tests[i].name));

		if (distance == 0) {
			if (tests[i].note)
				fm_translation_note(translation, typed, "%s", tests[i].note);
			fm_translation_want(translation, "test", tests[i].test, typed);
			return 0;
		}
		if (distance < least) {
			nearest = tests[i].name;
			least = distance;
		}
	}
	return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "%s: ucx_perftest has no such test%s%s", typed,
			    nearest ? "; the nearest is " : "; 'ucx_perftest -h' lists them", nearest ? nearest : "");
}

/* A list is the pieces of one message, not several messages. */
static int convert_size(struct fm_translation *translation, const struct fm_foreign_option *row, const char *typed,
			const char *text, struct fm_error *error)
{
	char piece[FM_TEXT_MAX], value[32];
	uint64_t sum = 0, bytes;

	(void)row;
	if (!strchr(text, ',')) {
		fm_translation_want(translation, "size", text, typed);
		return 0;
	}
	for (size_t length;; text += length + 1) {
		length = strcspn(text, ",");
		snprintf(piece, sizeof(piece), "%.*s", (int)length, text);
		if (fm_parse_count(piece, &bytes, error))
			return fm_error_prefix(error, "%s: ", typed);
		if (bytes > UINT64_MAX - sum)
			return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "%s: too large", typed);
		sum += bytes;
		if (!text[length])
			break;
	}
	snprintf(value, sizeof(value), "%" PRIu64, sum);
	fm_translation_note(translation, typed, "the pieces of one message there; here one message of their sum");
	fm_translation_want(translation, "size", value, typed);
	return 0;
}

/* SEND[,RECEIVE] of the process that it is given to; ours names the two nodes. */
static int convert_memory(struct fm_translation *translation, const struct fm_foreign_option *row, const char *typed,
			  const char *text, struct fm_error *error)
{
	char kind[FM_TEXT_MAX];

	(void)row, (void)error;
	snprintf(kind, sizeof(kind), "%s", text);
	kind[strcspn(kind, ",")] = '\0';
	if (strchr(text, ','))
		fm_translation_note(translation, typed, "one kind a node here: %s, for sending and receiving", kind);
	fm_translation_note(translation, typed, "for both nodes here; --memory LOCAL=REMOTE where they differ");
	fm_translation_want(translation, "memory", kind, typed);
	return 0;
}

static int convert_threads(struct fm_translation *translation, const struct fm_foreign_option *row, const char *typed,
			   const char *text, struct fm_error *error)
{
	(void)row, (void)error;
	fm_translation_note(translation, typed, "with as many streams, one for each thread");
	fm_translation_want(translation, "threads", text, typed);
	fm_translation_want(translation, "streams", text, typed);
	return 0;
}

static int convert_wait(struct fm_translation *translation, const struct fm_foreign_option *row, const char *typed,
			const char *text, struct fm_error *error)
{
	(void)row;
	if (strcmp(text, "sleep") == 0)
		fm_translation_want(translation, "events", "", typed);
	else if (strcmp(text, "poll") == 0)
		fm_translation_note(translation, typed, "not needed: fabmark polls unless --events is given");
	else
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "%s: it is poll or sleep", typed);
	return 0;
}

static const struct fm_foreign_option options[] = {
	CONVERTED('t', NULL, convert_test),
	CONVERTED('s', NULL, convert_size),
	CONVERTED('m', NULL, convert_memory),
	VALUE('n', NULL, "iterations", NULL,
	      "operations of one repetition, not of the whole test: fabmark repeats until the figure is sure to 1%; "
	      "--repetitions 1 measures once"),
	VALUE('w', NULL, NULL, NULL, NOT_NEEDED("fabmark warms up until the speed is steady")),
	VALUE('c', NULL, "cpu", "%=", "this node's; the other's are chosen, or --cpu LOCAL=REMOTE"),
	VALUE('O', NULL, "depth", NULL, NULL),
	VALUE('i', NULL, NULL, NULL, NO_COUNTERPART),
	FLAG('l', NULL, NULL, NULL,
	     "a process that talks to itself has no counterpart; --local measures between two processes"),
	FLAG('o', NULL, NULL, NULL, "no counterpart: the far end always makes progress"),
	FLAG('B', NULL, NULL, NULL, NO_COUNTERPART),
	VALUE('b', NULL, NULL, NULL, "no counterpart: give several --test and --size in one line"),
	VALUE('R', NULL, NULL, NULL, NOT_NEEDED("p50 to p99.99 stand in each row")),
	VALUE('p', NULL, "port", NULL, "the fabmark commands of both nodes need the same --port"),
	FLAG('6', NULL, NULL, NULL, "not needed: an IPv6 address as host says it"),
	FLAG('h', NULL, NULL, NULL, "'fabmark pair --help' lists our options"),
	FLAG('N', NULL, NULL, NULL, NO_COUNTERPART),
	FLAG('f', NULL, NULL, NULL, NOT_NEEDED("fabmark prints no figures in between")),
	FLAG('v', NULL, "csv", "-",
	     "fabmark's columns have other names; MB/s of ucx_perftest is MiB/s, fabmark's unit is Gb/s"),
	FLAG('I', NULL, NULL, NULL, NOT_NEEDED("run.json and the column effective say it")),
	VALUE('d', NULL, "device", NULL, NULL),
	VALUE('x', NULL, NULL, NULL, "choose UCX's transports by UCX_TLS in the environment of both nodes' fabmark"),
	VALUE('D', NULL, NULL, NULL, "no counterpart: messages are contiguous"),
	VALUE('W', NULL, NULL, NULL, NO_COUNTERPART),
	VALUE('H', NULL, NULL, NULL, NO_COUNTERPART),
	VALUE('A', NULL, NULL, NULL, NO_COUNTERPART),
	CONVERTED('T', NULL, convert_threads),
	VALUE('M', NULL, NULL, NULL, NOT_NEEDED("each thread has a worker of its own")),
	FLAG('C', NULL, NULL, NULL, NO_COUNTERPART),
	FLAG('U', NULL, NULL, NULL, NO_COUNTERPART),
	VALUE('r', NULL, NULL, NULL, NO_COUNTERPART),
	FLAG('e', NULL, NULL, NULL, NO_COUNTERPART),
	CONVERTED('E', NULL, convert_wait),
	FLAG('z', NULL, NULL, NULL, NOT_NEEDED("memory is registered before it is measured")),
	END,
};

static int ucx_end(struct fm_translation *translation, struct fm_error *error)
{
	const struct fm_wanted *size = fm_translation_wanted(translation, "size");
	const struct fm_wanted *test = fm_translation_wanted(translation, "test");

	if (!translation->host) {
		fm_translation_want(translation, "once", "", "");
		return 0;
	}
	if (!test)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "-t is missing: say what is measured, as in ucx_perftest -t tag_lat node7");
	if (size && !*size->typed)
		fm_translation_note(translation, "-s",
				    "ucx_perftest's default of 8 is in the line; fabmark's own is %s",
				    strstr(test->value, "_bw") ? "64K,1M for bandwidth" : "8 too");
	return 0;
}

const struct fm_foreign_tool fm_foreign_ucx = {options, NULL, ucx_end};
