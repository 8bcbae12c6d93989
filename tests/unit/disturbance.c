/*
 * disturbance.c - two readings of a port around the measured window: what changed, and what others sent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bench/disturbance.h"

static struct fm_counters reading_of(const char *link, uint64_t sent, uint64_t own)
{
	struct fm_counters counters = {.sent = {sent, own}};

	fm_counters_state(&counters, "port x:1", "ACTIVE");
	fm_counters_state(&counters, "the link of x:1", "%s", link);
	return counters;
}

static struct fm_disturbance compared(const struct fm_counters *before, const struct fm_counters *after)
{
	struct fm_disturbance found = {.changed = ""};

	fm_disturbance_find("n1", before, after, &found);
	return found;
}

static void a_state_has_to_stay(void **state)
{
	struct fm_counters before = reading_of("100 Gb/sec (4X EDR)", 0, 0), after = before;
	struct fm_disturbance found = compared(&before, &after);

	(void)state;
	assert_string_equal(found.changed, "");
	after = reading_of("50 Gb/sec (2X EDR)", 0, 0);
	found = compared(&before, &after);
	assert_string_equal(
		found.changed,
		"while this was measured the link of x:1 on n1 went from '100 Gb/sec (4X EDR)' to '50 Gb/sec "
		"(2X EDR)': the figures are of both; measure again once that stays as it is");
	assert_string_equal(found.shared, "");
	after = (struct fm_counters){0};
	found = compared(&before, &after);
	assert_non_null(strstr(found.changed, "port x:1 on n1 went from 'ACTIVE' to 'cannot be read'"));
	/* What was not there before cannot have changed. */
	found = compared(&after, &before);
	assert_string_equal(found.changed, "");
}

static void others_are_noticed(void **state)
{
	const uint64_t before_port = 7000000, own = 100000000;
	struct fm_counters before = reading_of("l", before_port, 0);
	struct fm_counters after = reading_of("l", before_port + own, own);
	struct fm_disturbance found;

	(void)state;
	assert_string_equal(compared(&before, &after).shared, "");
	/* 5% more is the devices' own, and what is estimated. */
	after.sent.port = before_port + own * 105 / 100;
	assert_string_equal(compared(&before, &after).shared, "");
	after.sent.port = before_port + own * 106 / 100;
	found = compared(&before, &after);
	assert_string_equal(
		found.shared,
		"port shared with others: that of n1 sent 106 MB while this was measured, which accounts for "
		"100 MB of them at most; the figures are what was left of the port");
	assert_string_equal(found.changed, "");
	/* The other way. */
	after.received = after.sent;
	before.received = before.sent;
	after.sent.port = before_port + own;
	assert_non_null(strstr(compared(&before, &after).shared, "that of n1 received 106 MB"));
}

static void others_are_not_accused(void **state)
{
	struct fm_counters before = reading_of("l", 7, 0), after = reading_of("l", 900007, 1000);

	(void)state;
	/* Less than a megabyte: a control connection, name service. */
	assert_string_equal(compared(&before, &after).shared, "");
	after.sent.port = 7 + 2000000;
	assert_non_null(strstr(compared(&before, &after).shared, "port shared"));
	/* What was sent again counts at the port alone. */
	fm_counters_add(&before, "retransmit_count", 4);
	fm_counters_add(&after, "retransmit_count", 4);
	assert_non_null(strstr(compared(&before, &after).shared, "port shared"));
	after.items[0].value = 5;
	assert_string_equal(compared(&before, &after).shared, "");
	after.items[0].value = 4;
	/* Not known, or reset meanwhile. */
	before.sent.port = 0;
	assert_string_equal(compared(&before, &after).shared, "");
	before.sent.port = after.sent.port + 1;
	assert_string_equal(compared(&before, &after).shared, "");
}

static void it_goes_to_the_other_node(void **state)
{
	struct fm_disturbance found = {"the link went", ""}, none = {.changed = ""}, read = {"known already", ""};
	json_t *object = json_object();

	(void)state;
	fm_disturbance_to_json(&none, object);
	assert_int_equal(json_object_size(object), 0);
	fm_disturbance_to_json(&found, object);
	fm_disturbance_from_json(object, &none);
	assert_string_equal(none.changed, "the link went");
	assert_string_equal(none.shared, "");
	/* The first that was found stays. */
	fm_disturbance_from_json(object, &read);
	assert_string_equal(read.changed, "known already");
	json_object_set_new(object, "shared", json_integer(3));
	fm_disturbance_from_json(object, &read);
	assert_string_equal(read.shared, "");
	fm_disturbance_from_json(NULL, &read);
	json_decref(object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_state_has_to_stay),
		cmocka_unit_test(others_are_noticed),
		cmocka_unit_test(others_are_not_accused),
		cmocka_unit_test(it_goes_to_the_other_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
