/*
 * status.h - completion statuses and asynchronous events in words: likely cause and next step.
 */
#ifndef FM_VERBS_STATUS_H
#define FM_VERBS_STATUS_H

#include <infiniband/verbs.h>
#include <stdbool.h>

struct fm_verbs_words {
	const char *name;  /* as the specification has it: "retry exceeded" */
	const char *cause; /* and what to do */
};

/* Of any status, known or not. */
struct fm_verbs_words fm_verbs_status_words(enum ibv_wc_status status);

/* A status that follows from another failure of the queue pair, and says nothing by itself. */
static inline bool fm_verbs_status_secondary(enum ibv_wc_status status)
{
	return status == IBV_WC_WR_FLUSH_ERR;
}

/* Of any event; fatal: the device or the queue pair cannot go on. */
struct fm_verbs_words fm_verbs_event_words(enum ibv_event_type event, bool *fatal);

#endif
