/*
 * message.c - fuzzes what a control connection brings: the body of a message and, where it is a plan, the plan in it.
 */
#include "bench/plan.h"
#include "common/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	struct fm_plan plan = {0};
	struct fm_error error = {0};
	json_t *message = NULL;
	bool more;

	if (fm_message_decode(bytes, count, &message, &error) == 0) {
		/* It may come in parts; a second one must not trip over the first. */
		if (fm_plan_receive(&plan, message, &more, &error) == 0)
			fm_plan_receive(&plan, message, &more, &error);
		json_decref(message);
	} else if (!error.text[0] || error.code >= 0) {
		__builtin_trap();
	}
	fm_plan_free(&plan);
	return 0;
}
