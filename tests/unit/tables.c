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
#include "transports/module.h"

/* Names become columns and arguments: lower case, digits and underscores. */
static bool named(const char *name)
{
	return name && name[0] && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
}

/* What is wrong with the table; NULL: nothing. One of ours that is a module has words only, and no slots to look at. */
static const char *transports_fault(const struct fm_transport *const *table, struct fm_error *error)
{
	for (const struct fm_transport *const *at = table; *at; at++) {
		if (fm_transport_check(*at, error))
			return error->text;
		for (const struct fm_transport *const *other = table; other != at; other++)
			if (strcmp((*other)->name, (*at)->name) == 0)
				return "a transport twice";
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
	const struct fm_registry *registry = *state;
	struct fm_error error;
	const char *fault = transports_fault(registry->list, &error);

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

/* The walk against tables with one thing wrong. What is wrong with one table is modules.c's to try. */
static void malformed_transports(void **state)
{
	const struct fm_transport good = *fm_transport_find("null");
	const struct fm_transport *const twice[] = {&good, &good, NULL};
	struct fm_transport bad = good;
	const struct fm_transport *const hole[] = {&good, &bad, NULL};
	struct fm_error error;

	(void)state;
	assert_non_null(transports_fault(twice, &error));
	bad.name = "Null";
	assert_non_null(transports_fault(hole, &error));
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
	const struct fm_registry *registry = *state;
	struct fm_place place = {.count = 1};
	struct fm_capabilities capabilities;
	struct fm_error error = {0};
	void *values;

	snprintf(place.rails[0].address, sizeof(place.rails[0].address), "127.0.0.1");
	for (const struct fm_transport *const *at = registry->list; *at; at++) {
		if ((*at)->absent)
			continue;
		values = fm_transport_values(*at, NULL, &error);
		assert_non_null(values);
		memset(&capabilities, 0, sizeof(capabilities));
		if ((*at)->query(&place, values, registry->list, &capabilities, &error)) {
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
	assert_int_equal(fm_transport_find("tcp")->query(&place, NULL, registry->list, &capabilities, &error),
			 -EADDRNOTAVAIL);
	assert_int_equal(error.reason, FM_REASON_PLACEMENT);
}

static int fill(void **state)
{
	struct fm_registry *registry = calloc(1, sizeof(*registry));

	assert_non_null(registry);
	fm_registry_fill(registry, fm_backends, NULL, NULL);
	*state = registry;
	return 0;
}

static int empty(void **state)
{
	free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ours_are_sound),
		cmocka_unit_test(malformed_transports),
		cmocka_unit_test(malformed_rest),
		cmocka_unit_test(capabilities_are_whole),
	};

	return cmocka_run_group_tests(tests, fill, empty);
}
