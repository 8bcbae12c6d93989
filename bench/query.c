/*
 * query.c - what a transport can do, asked once and with a deadline.
 */
#include "bench/query.h"

#include <errno.h>
#include <stdlib.h>

#include "bench/flow.h"
#include "bench/worker.h"
#include "common/clock.h"
#include "transports/registry.h"

struct fm_answers {
	struct fm_answers *next;
	const struct fm_transport *transport;
	uint32_t turn;
	int code;
	struct fm_error error;
	struct fm_capabilities capabilities;
};

/* All that the thread touches, so that it can be left behind with it. */
struct question {
	const struct fm_transport *transport, *const *list;
	struct fm_place place;
	void *values;
	int code;
	struct fm_error error;
	struct fm_capabilities capabilities;
};

static void question_ask(void *argument)
{
	struct question *question = argument;

	question->code = question->transport->query(&question->place, question->values, question->list,
						    &question->capabilities, &question->error);
}

static void question_free(struct question *question)
{
	if (question)
		free(question->values);
	free(question);
}

/* Fills the answer; the question is gone afterwards, freed or left behind. */
static void question_answer(struct question *question, struct fm_answers *answer)
{
	struct fm_worker *worker;

	answer->code = fm_worker_start(-1, -1, &worker, &answer->error);
	if (answer->code) {
		question_free(question);
		return;
	}
	fm_worker_submit(worker, question_ask, question);
	if (!fm_worker_stop(worker, fm_now_ns() + FM_QUERY_NS)) {
		answer->code = fm_error_set(&answer->error, -ETIMEDOUT, FM_REASON_TIMEOUT,
					    "%s did not say within %.1f s what it can do here: opening its device "
					    "hangs; look into the kernel's log, and restart the driver or the node",
					    answer->transport->name, FM_QUERY_NS / 1e9);
		return;
	}
	answer->code = question->code;
	answer->error = question->error;
	answer->capabilities = question->capabilities;
	question_free(question);
}

static struct question *question_new(const struct fm_transport *transport, const json_t *options,
				     const struct fm_place *place, const struct fm_transport *const *list,
				     struct fm_error *error)
{
	struct question *question = calloc(1, sizeof(*question));

	if (!question) {
		fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory to ask what %s can do",
			     transport->name);
		return NULL;
	}
	question->transport = transport;
	question->list = list;
	question->place = *place;
	question->values = fm_transport_values(transport, options, error);
	if (question->values)
		return question;
	question_free(question);
	return NULL;
}

static struct fm_answers *answer_find(struct fm_answers *answers, const struct fm_transport *transport, uint32_t turn)
{
	while (answers && (answers->transport != transport || answers->turn != turn))
		answers = answers->next;
	return answers;
}

int fm_query(struct fm_answers **answers, const struct fm_transport *transport, uint32_t turn, const json_t *options,
	     const struct fm_place *place, const struct fm_transport *const *list,
	     const struct fm_capabilities **capabilities, struct fm_error *error)
{
	struct fm_answers *answer = answer_find(*answers, transport, turn);

	if (!answer) {
		struct question *question = question_new(transport, options, place, list, error);

		if (!question)
			return error->code;
		answer = calloc(1, sizeof(*answer));
		if (!answer) {
			question_free(question);
			return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory to ask what %s can do",
					    transport->name);
		}
		*answer = (struct fm_answers){.next = *answers, .transport = transport, .turn = turn};
		*answers = answer;
		question_answer(question, answer);
	}
	if (answer->code) {
		*error = answer->error;
		return answer->code;
	}
	*capabilities = &answer->capabilities;
	return 0;
}

void fm_answers_free(struct fm_answers *answers)
{
	while (answers) {
		struct fm_answers *next = answers->next;

		free(answers);
		answers = next;
	}
}
