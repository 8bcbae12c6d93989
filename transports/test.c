/*
 * test.c - names of tests and completions.
 */
#include "transports/test.h"

#include <string.h>

enum fm_test_id fm_test_find(const char *name)
{
	for (int i = 0; i < FM_TEST_COUNT; i++)
		if (strcmp(fm_tests[i].name, name) == 0)
			return (enum fm_test_id)i;
	return FM_TEST_COUNT;
}

const char *fm_completion_name(enum fm_completion completion)
{
	static const char *const names[] = {"buffered", "delivered", "replied"};

	return names[completion];
}
