/*
 * tables.c - walks the tables of transports, tests and memory kinds, and shows that the walk finds what is malformed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bench/flow.h"
#include "common/memory/memory.h"
#include "transports/registry.h"

/* Names become columns and arguments: lower case, digits and underscores. */
static bool named(const char *name)
{
	return name && name[0] && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
}

static bool metric_is(enum fm_test_id id, enum fm_metric metric)
{
	return (unsigned)id < FM_TEST_COUNT && fm_tests[id].metric == metric;
}

static const char *options_fault(const struct fm_option_set *set)
{
	if (!set || !named(set->name))
		return "no option set, or one without a name";
	for (size_t i = 0; i < set->count; i++) {
		const struct fm_option *row = &set->rows[i];

		if (!row->name || !row->name[0] || !row->help || !row->help[0] || !row->group || !row->value ||
		    !row->type)
			return "an option with an empty slot";
		if (row->offset >= set->bytes)
			return "an option outside its struct";
		for (size_t j = 0; j < i; j++)
			if (strcmp(row->name, set->rows[j].name) == 0)
				return "an option twice";
	}
	return NULL;
}

/* What is wrong with the table; NULL: nothing. */
static const char *transports_fault(const struct fm_transport *const *table)
{
	for (const struct fm_transport *const *at = table; *at; at++) {
		const struct fm_transport *one = *at;
		const char *fault = options_fault(one->options);

		if (one->abi != FM_TRANSPORT_ABI)
			return "a transport of another abi";
		if (!named(one->name) || !one->help || !one->help[0])
			return "a transport without name or help";
		for (const struct fm_transport *const *other = table; other != at; other++)
			if (strcmp((*other)->name, one->name) == 0)
				return "a transport twice";
		if (!one->query || !one->open || !one->address || !one->connect || !one->progress || !one->effective ||
		    !one->counters || !one->close)
			return "a transport with an empty slot";
		if (!metric_is(one->default_latency, FM_LATENCY) || !metric_is(one->default_bandwidth, FM_BANDWIDTH))
			return "a transport with default tests of the wrong metric";
		if (fault)
			return fault;
	}
	return NULL;
}

static const char *memory_fault(const struct fm_memory_kind *const *table)
{
	for (const struct fm_memory_kind *const *at = table; *at; at++) {
		const struct fm_memory_kind *one = *at;

		if (!named(one->name) || !one->help || !one->help[0])
			return "a kind without name or help";
		for (const struct fm_memory_kind *const *other = table; other != at; other++)
			if (strcmp((*other)->name, one->name) == 0)
				return "a kind twice";
		if (!one->allocate || !one->fill || !one->verify || !one->copy_in || !one->copy_out ||
		    !one->export_dmabuf || !one->free)
			return "a kind with an empty slot";
	}
	return NULL;
}

static const char *tests_fault(const struct fm_test *table, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *suffix = table[i].metric == FM_LATENCY ? "_lat" : "_bw";
		size_t family = table[i].operation ? strlen(table[i].operation) : 0;

		if (!named(table[i].name) || !named(table[i].operation))
			return "a test without name or operation";
		if (strncmp(table[i].name, table[i].operation, family) || strcmp(table[i].name + family, suffix))
			return "a test whose name is not its operation and metric";
		if (table[i].peer == FM_DRIVE || (table[i].peer == FM_ECHO && table[i].metric != FM_LATENCY))
			return "a test whose peer cannot be";
		if (table[i].latency_divisor > 2 || !table[i].latency_divisor != (table[i].metric == FM_BANDWIDTH))
			return "a test with the wrong divisor";
		for (size_t j = 0; j < i; j++)
			if (strcmp(table[i].name, table[j].name) == 0)
				return "a test twice";
	}
	return NULL;
}

static void ours_are_sound(void **state)
{
	const char *fault = transports_fault(fm_transports);

	(void)state;
	if (fault)
		fail_msg("%s", fault);
	fault = memory_fault(fm_memory_kinds);
	if (fault)
		fail_msg("%s", fault);
	fault = tests_fault(fm_tests, FM_TEST_COUNT);
	if (fault)
		fail_msg("%s", fault);
	assert_false(fm_transport_find("null")->automatic);
	assert_true(fm_transport_find("tcp")->automatic);
	assert_null(fm_transport_find("tc"));
	for (int i = 0; i < FM_TEST_COUNT; i++)
		assert_int_equal(fm_test_find(fm_tests[i].name), i);
	assert_int_equal(fm_test_find("write"), FM_TEST_COUNT);
}

/* Each walk against tables with one thing wrong. */
static void malformed_transports(void **state)
{
	const struct fm_transport good = *fm_transport_find("null");
	struct fm_option rows[2] = {{.name = "a", .help = "h", .group = "g", .value = "", .type = &fm_option_text},
				    {.name = "a", .help = "h", .group = "g", .value = "", .type = &fm_option_text}};
	struct fm_option_set set = {"bad", rows, 2, 1};
	struct fm_transport bad[9];
	const struct fm_transport *const twice[] = {&good, &good, NULL};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		bad[i] = good;
	bad[0].abi++;
	bad[1].name = NULL;
	bad[2].name = "Null";
	bad[3].help = "";
	bad[4].options = NULL;
	bad[5].options = &set;
	bad[6].default_latency = FM_WRITE_BW;
	bad[7].close = NULL;
	bad[8].counters = NULL;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct fm_transport *const table[] = {&bad[i], NULL};

		assert_non_null(transports_fault(table));
	}
	assert_non_null(transports_fault(twice));
	rows[1].name = "b";
	assert_null(options_fault(&set));
	rows[1].offset = 1;
	assert_non_null(options_fault(&set));
}

static void malformed_rest(void **state)
{
	const struct fm_memory_kind good = *fm_memory_find("host");
	const struct fm_memory_kind *const twice[] = {&good, &good, NULL};
	struct fm_memory_kind bad = good;
	const struct fm_memory_kind *const hole[] = {&bad, NULL};
	struct fm_test tests[FM_TEST_COUNT];

	(void)state;
	assert_non_null(memory_fault(twice));
	bad.verify = NULL;
	assert_non_null(memory_fault(hole));
	memcpy(tests, fm_tests, sizeof(tests));
	tests[FM_READ_LAT].latency_divisor = 0;
	assert_non_null(tests_fault(tests, FM_TEST_COUNT));
	memcpy(tests, fm_tests, sizeof(tests));
	tests[FM_READ_BW].name = "read";
	assert_non_null(tests_fault(tests, FM_TEST_COUNT));
	memcpy(tests, fm_tests, sizeof(tests));
	tests[FM_READ_BW] = tests[FM_WRITE_BW];
	assert_non_null(tests_fault(tests, FM_TEST_COUNT));
}

/* A capability says what it means, for each transport that can run here. */
static void capabilities_are_whole(void **state)
{
	struct fm_place place = {.count = 1};
	struct fm_capabilities capabilities;
	struct fm_error error = {0};
	void *values;

	(void)state;
	snprintf(place.rails[0].address, sizeof(place.rails[0].address), "127.0.0.1");
	for (const struct fm_transport *const *at = fm_transports; *at; at++) {
		if ((*at)->absent)
			continue;
		values = fm_transport_values(*at, NULL, &error);
		assert_non_null(values);
		memset(&capabilities, 0, sizeof(capabilities));
		if ((*at)->query(&place, values, &capabilities, &error)) {
			assert_true(error.text[0] != 0);
			free(values);
			continue;
		}
		free(values);
		for (int i = 0; i < FM_TEST_COUNT; i++) {
			const struct fm_capability *one = &capabilities.tests[i];

			if (!one->supported)
				continue;
			assert_non_null(one->variant);
			assert_non_null(fm_completion_name(one->completion));
			assert_true(one->size_min >= 1 && one->size_min <= one->size_max && one->depth_max >= 1);
		}
	}
	place.rails[0].address[0] = 0;
	assert_int_equal(fm_transport_find("tcp")->query(&place, NULL, &capabilities, &error), -EADDRNOTAVAIL);
	assert_int_equal(error.reason, FM_REASON_PLACEMENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ours_are_sound),
		cmocka_unit_test(malformed_transports),
		cmocka_unit_test(malformed_rest),
		cmocka_unit_test(capabilities_are_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
