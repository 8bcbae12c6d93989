/*
 * verbs.h - what the program links of the verbs transport: its words and its options. No library is needed for them;
 * the rest is the module verbs.so.
 */
#ifndef FM_VERBS_H
#define FM_VERBS_H

#include "transports/transport.h"

struct fm_verbs_options {
	char connection[FM_TEXT_MAX];	/* "auto", "rc", "uc", "ud", "srd" */
	char inline_bytes[FM_TEXT_MAX]; /* "auto" or a count */
	char gid_index[FM_TEXT_MAX];	/* "auto" or an index, LOCAL[=REMOTE] */
	char pkey_index[FM_TEXT_MAX];	/* "auto" or an index, LOCAL[=REMOTE] */
	char post_api[FM_TEXT_MAX];	/* "auto", "extended", "classic" */
	uint64_t cq_moderation;		/* operations a completion; 0: chosen */
	uint64_t post_list;		/* work requests handed over at once */
	uint64_t rx_depth;		/* receives posted ahead on a stream; 0: chosen */
	uint64_t mtu;			/* bytes; 0: the largest of both ports */
	uint64_t service_level, traffic_class;
	uint64_t qp_timeout, retry_count, rnr_retry; /* as the queue pair takes them */
	bool relaxed_ordering;
	bool srq;     /* receives are shared by the streams of a thread */
	bool rdma_cm; /* queue pairs are connected by rdma_cm; of iWARP always */
};

/* The words only: name, help, default tests and options; every slot is NULL. */
extern const struct fm_transport fm_transport_verbs;
extern const struct fm_option_set fm_verbs_options;

#endif
