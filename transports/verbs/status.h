/*
 * status.h - completion statuses, asynchronous events and refused registrations in words: likely cause and next step.
 */
#ifndef FM_VERBS_STATUS_H
#define FM_VERBS_STATUS_H

#include <infiniband/verbs.h>
#include <stdbool.h>

#include "common/error.h"

struct fm_verbs_words {
	const char *name;  /* as the specification has it: "retry exceeded" */
	const char *cause; /* and what to do */
};

/* Of any status, known or not. */
struct fm_verbs_words fm_verbs_status_words(enum ibv_wc_status status);
/* The same of a device of EFA, which uses some of them for failures of its own. */
struct fm_verbs_words fm_verbs_status_words_efa(enum ibv_wc_status status);

/* A status that follows from another failure of the queue pair, and says nothing by itself. */
static inline bool fm_verbs_status_secondary(enum ibv_wc_status status)
{
	return status == IBV_WC_WR_FLUSH_ERR;
}

/* What an asynchronous event means for a measurement. */
enum fm_verbs_weight {
	FM_VERBS_USUAL,	   /* nothing: every queue pair gives some */
	FM_VERBS_TOLD,	   /* it stands in the row */
	FM_VERBS_DISTURBS, /* the path is not what it was: a figure taken across it is of neither */
	FM_VERBS_FATAL,	   /* the device, or what we have of it, cannot go on */
};

/* Of any event, known or not. */
struct fm_verbs_words fm_verbs_event_words(enum ibv_event_type event, enum fm_verbs_weight *weight);
/* Does its element name a port? */
bool fm_verbs_event_of_port(enum ibv_event_type event);

/* A registration that failed. */
struct fm_verbs_region {
	const char *device, *kind; /* kind of memory */
	uint64_t bytes;
	bool cpu_access;
	int access; /* enum ibv_access_flags */
	/* Bytes that this user may lock, UINT64_MAX: any number, and has locked already. */
	uint64_t lock_limit, locked;
};

/* Which limit it was and what to do: the errno alone tells nobody. code: negative; returns it. */
int fm_verbs_region_words(const struct fm_verbs_region *region, int code, struct fm_error *error);
/* lock_limit and locked of this process. */
void fm_verbs_region_limits(struct fm_verbs_region *region);

#endif
