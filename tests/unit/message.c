/*
 * message.c - what the decoder of messages refuses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>

#include "common/control.h"

static void test_decode(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"null",
		"[]",
		"\"type\"",
		"{\"type\":1}",
		"{\"type\":null}",
		"{\"kind\":\"go\"}",
		"{\"type\":\"go\",\"type\":\"go\"}",
		"{\"type\":\"go\"} x",
		"{\"type\":\"\xff\"}",
		"{\"type\":\"a\\u0000b\"}",
		"{\"type\":\"go\",\"n\":99999999999999999999}",
		"{'type':'go'}",
	};
	char deep[FM_MESSAGE_MAX + 1];
	struct fm_error error;
	json_t *message = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(fm_message_decode(bad[i], strlen(bad[i]), &message, &error), -EPROTO);
		assert_int_equal(error.reason, FM_REASON_PROTOCOL);
		assert_null(message);
	}
	assert_int_equal(fm_message_decode("{\"type\":\"go\"}\0", 14, &message, &error), -EPROTO);
	memset(deep, '[', sizeof(deep));
	assert_int_equal(fm_message_decode(deep, FM_MESSAGE_MAX, &message, &error), -EPROTO);
	assert_non_null(strstr(error.text, "nested deeper"));
	assert_int_equal(fm_message_decode(deep, FM_MESSAGE_MAX + 1, &message, &error), -EPROTO);
	assert_non_null(strstr(error.text, "over the limit"));
	/* Brackets in a string are no depth. */
	snprintf(deep, sizeof(deep), "{\"type\":\"\\\"%s\"}", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[");
	assert_int_equal(fm_message_decode(deep, strlen(deep), &message, &error), 0);
	json_decref(message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
