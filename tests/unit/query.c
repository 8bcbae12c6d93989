/*
 * query.c - transports are asked once a place, and one that hangs is left behind.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/query.h"
#include "common/clock.h"

/* As many bytes as there are rails. */
static int well(const struct fm_place *place, const void *options, const struct fm_transport *const *transports,
		struct fm_capabilities *capabilities, struct fm_error *error)
{
	(void)options;
	(void)transports;
	if (place->count == 0)
		return fm_error_set(error, -ENODEV, FM_REASON_PLACEMENT, "there is no rail");
	capabilities->tests[FM_SEND_LAT] = (struct fm_capability){.supported = true, .size_max = place->count};
	return 0;
}

static int hanging(const struct fm_place *place, const void *options, const struct fm_transport *const *transports,
		   struct fm_capabilities *capabilities, struct fm_error *error)
{
	(void)place;
	(void)options;
	(void)transports;
	(void)capabilities;
	(void)error;
	while (pause())
		;
	return 0;
}

static const struct fm_option_set no_options = {.name = "test"};
static const struct fm_transport good = {.name = "good", .options = &no_options, .query = well};
static const struct fm_transport stuck = {.name = "stuck", .options = &no_options, .query = hanging};

static void test_remembered(void **state)
{
	const struct fm_place two = {.count = 2}, three = {.count = 3};
	const struct fm_capabilities *first, *again, *other;
	struct fm_answers *answers = NULL;
	struct fm_error error;

	(void)state;
	assert_int_equal(fm_query(&answers, &good, 0, NULL, &two, NULL, &first, &error), 0);
	assert_int_equal(first->tests[FM_SEND_LAT].size_max, 2);
	assert_false(first->tests[FM_SEND_BW].supported);
	/* Not asked anew: the place would show. */
	assert_int_equal(fm_query(&answers, &good, 0, NULL, &three, NULL, &again, &error), 0);
	assert_ptr_equal(again, first);
	assert_int_equal(fm_query(&answers, &good, 1, NULL, &three, NULL, &other, &error), 0);
	assert_int_equal(other->tests[FM_SEND_LAT].size_max, 3);
	assert_int_equal(first->tests[FM_SEND_LAT].size_max, 2);
	fm_answers_free(answers);
}

static void test_refused(void **state)
{
	const struct fm_place none = {.count = 0};
	const struct fm_capabilities *capabilities = NULL;
	struct fm_answers *answers = NULL;
	struct fm_error error;

	(void)state;
	for (int i = 0; i < 2; i++) {
		memset(&error, 0, sizeof(error));
		assert_int_equal(fm_query(&answers, &good, 0, NULL, &none, NULL, &capabilities, &error), -ENODEV);
		assert_int_equal(error.reason, FM_REASON_PLACEMENT);
		assert_string_equal(error.text, "there is no rail");
		assert_null(capabilities);
	}
	fm_answers_free(answers);
	fm_answers_free(NULL);
}

static void test_left_behind(void **state)
{
	const struct fm_place one = {.count = 1};
	const struct fm_capabilities *capabilities = NULL;
	struct fm_answers *answers = NULL;
	struct fm_error error;
	uint64_t begin, again;

	(void)state;
	begin = fm_now_ns();
	assert_int_equal(fm_query(&answers, &stuck, 0, NULL, &one, NULL, &capabilities, &error), -ETIMEDOUT);
	assert_int_equal(error.reason, FM_REASON_TIMEOUT);
	assert_non_null(strstr(error.text, "stuck did not say within 2.5 s"));
	again = fm_now_ns();
	assert_true(again - begin >= FM_QUERY_NS);
	/* Nor does anybody wait for it twice. */
	assert_int_equal(fm_query(&answers, &stuck, 0, NULL, &one, NULL, &capabilities, &error), -ETIMEDOUT);
	assert_true(fm_now_ns() - again < FM_QUERY_NS);
	fm_answers_free(answers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_remembered),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_left_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
