/*
 * lane.h - one stream of verbs: a queue pair, and what the measuring loops drive.
 *
 * A work request's id says of whom it is, of what kind, and how many operations the lane had posted with it: a
 * completion in error gives nothing else that can be believed.
 */
#ifndef FM_VERBS_LANE_H
#define FM_VERBS_LANE_H

#include <infiniband/verbs.h>

#include "transports/verbs/verbs.h"

enum {
	FM_VERBS_GRANTS = 16, /* credits on their way at once */
	FM_VERBS_GRH = 40,    /* bytes in front of a datagram */
	FM_VERBS_LIST_MAX = 64,
	FM_VERBS_FLUSHES = 4, /* at once */
};

#define FM_VERBS_QKEY 0x11111111u

enum fm_verbs_kind { FM_VERBS_SENT, FM_VERBS_RECEIVED, FM_VERBS_GRANTED, FM_VERBS_FLUSHED };

#define FM_VERBS_ID_SEQUENCE_BITS 40
#define FM_VERBS_ID_LANE_SHIFT	  FM_VERBS_ID_SEQUENCE_BITS
#define FM_VERBS_ID_KIND_SHIFT	  (FM_VERBS_ID_LANE_SHIFT + 16)

/* What the device reads and writes beside messages; one a lane, registered. */
struct fm_verbs_control {
	_Alignas(
		64) volatile uint64_t credit; /* written by the peer: receives that it has posted since it was opened */
	_Alignas(64) uint64_t grants[FM_VERBS_GRANTS]; /* what is written to the peer's credit */
	uint8_t header[64];			       /* datagrams' GRH */
};

/* The first failure of a lane that says something. */
struct fm_verbs_failure {
	int code;	  /* 0: none */
	const char *call; /* the call that failed; NULL: a completion did */
	enum ibv_wc_status status;
	uint32_t vendor;
	enum fm_verbs_kind kind;
	const struct fm_error *fatal; /* the device failed, in these words; else NULL */
};

struct fm_verbs_lane;
struct fm_verbs_shared;
struct fm_endpoint;

/* What the lanes of one thread share. */
struct fm_verbs_thread {
	struct ibv_td *td;		  /* NULL where the device has no thread domains */
	struct ibv_pd *pd;		  /* a parent domain with td, or the endpoint's */
	struct ibv_comp_channel *channel; /* with events */
	struct ibv_cq *cq;
	int vector;			/* of the queue's interrupt */
	struct fm_verbs_shared *shared; /* with --srq, where messages come with receives: theirs; else NULL */
	struct fm_verbs_lane *lanes;
	uint32_t count, first;	     /* lanes; the first one's stream */
	uint32_t unacknowledged;     /* events of the channel */
	bool notified;		     /* the queue was asked for an event that has not come */
	uint32_t idle;		     /* drains in a row that found nothing */
	struct fm_endpoint *watched; /* whose events it looks at when idle for long; NULL: another thread does */
};

/* Where messages go from or to: slots walked round and round. */
struct fm_verbs_walk {
	uint64_t base, at, stride, end; /* at: offset of the next */
};

struct fm_verbs_peer {
	uint32_t qp_number, psn;
	uint64_t in, out, credit; /* addresses: its incoming and outgoing buffer, its word of ours */
	uint32_t in_key, out_key, credit_key;
	uint32_t ahead; /* receives that it posts when it arms */
};

/* Lanes of two threads share no cache line. */
struct fm_verbs_lane {
	/* Read and written in the loop. */
	_Alignas(128) struct ibv_qp *qp;
	struct ibv_qp_ex *qpx; /* NULL: classic posting */
	struct fm_verbs_thread *thread;
	uint64_t id;		 /* the lane's part of a work request's */
	uint64_t armed;		 /* operations of this repetition */
	uint64_t posted, acked;	 /* operations handed over, and known to be through the queue pair */
	uint64_t arrived;	 /* messages of this repetition that have come */
	uint64_t reported;	 /* of acked or arrived, whichever the lane tells of */
	const uint64_t *counted; /* acked or arrived */
	uint64_t room;		 /* operations that the send queue takes */
	uint64_t signal_every, signal_at;
	struct fm_verbs_walk local;
	uint64_t remote;
	uint32_t size, local_key, remote_key;
	uint32_t immediate;    /* network order: which repetition a message is of */
	unsigned flags;	       /* of each work request: inline or none */
	bool lossy, unordered; /* unordered: completions and arrivals come in any order (EFA) */
	/* write_lat: the last byte of each slot says which message it is. */
	uint8_t stamp_out, stamp_in;
	uint32_t idle;
	struct fm_verbs_walk incoming;
	/* Receives; counts since the lane was opened. */
	uint64_t receives, seen, looked; /* posted; come; of these given to the loop */
	uint64_t receive_end;		 /* no more are posted in this repetition */
	uint32_t ahead, slack;		 /* receives kept posted; how many may be missing, */
	uint32_t slack_after;		 /* and once an operation was posted */
	struct fm_verbs_walk receiving;
	struct ibv_recv_wr *receive_list;
	struct ibv_sge *receive_entries;
	/* Credits. */
	bool grants_credit, needs_credit;
	uint32_t granting, granting_max, grant_step;
	uint64_t granted, grant_next;
	uint64_t sent_before, credit_first; /* messages of earlier repetitions; what the peer posts when it arms */
	/* iWARP: operations are done when they are sent; a flush behind the last says that all are there. */
	bool flushes, flush_due;
	uint32_t flush_max, flushing; /* that the queues have room for; that are on their way */
	uint64_t outgoing, awaited;   /* messages armed for so far, this way and the other */
	/* Work requests, filled once save what differs. */
	struct ibv_send_wr *list;
	struct ibv_sge *entries;
	uint32_t list_max;

	/* The endpoint's. */
	const struct fm_work *work;
	const struct fm_verbs_options *options;
	enum ibv_wr_opcode opcode;
	struct ibv_ah *ah;
	struct ibv_mr *out_region, *in_region;
	struct fm_buffer out, in;
	struct fm_verbs_control *control;
	uint32_t control_key;
	struct fm_verbs_peer peer;
	uint32_t psn, stream, inline_max;
	bool receives_messages, polled; /* messages come with receives of its own; the last byte is polled */
	bool shares_receives;		/* they come with those of the thread's shared queue */
	bool headers;			/* each message comes behind FM_VERBS_GRH bytes */
	bool role_reports_arrivals;	/* else what is through the queue pair */
	int (*busy_poll)(void *self);
	struct fm_verbs_failure failure;
	int (*plain_post)(void *self, uint32_t count); /* of a lane that shares receives: post without them */
};

/* Lays out the lane's lists once size and queue lengths are known. -ENOMEM. */
int fm_verbs_lane_init(struct fm_verbs_lane *lane, struct fm_error *error);
/* Once the peer is known: the functions that its test needs. */
struct fm_lane fm_verbs_lane_specialise(struct fm_verbs_lane *lane);
void fm_verbs_lane_free(struct fm_verbs_lane *lane);

/* Takes what is in the thread's queue and books it. 0, or -errno where the queue itself failed. */
int fm_verbs_drain(struct fm_verbs_thread *thread);
int fm_verbs_lane_fail(struct fm_verbs_lane *lane, int code, const char *call);
/* The same for a completion in error. */
void fm_verbs_lane_blame(struct fm_verbs_lane *lane, const struct ibv_wc *entry);

/* ---- shared.c ---- */

/* Takes the completions of shared receives and books them on the lanes whose messages took them. 0 or -errno. */
int fm_verbs_shared_drain(const struct fm_verbs_thread *thread);
/* Posts the first so many of the lane's list of receives. 0 or the errno. */
int fm_verbs_shared_post(struct fm_verbs_lane *lane, uint32_t count);
/* Asks for an event of the next completion. 0 or the errno. */
int fm_verbs_shared_notify(const struct fm_verbs_thread *thread);
/* From now on the lane's messages are known by its queue pair. */
void fm_verbs_shared_join(struct fm_verbs_lane *lane);

/* ---- lane.c ---- */
/* watch.c: a look at the device of a thread that has been idle for long; what is wrong with it fails its lanes. */
void fm_verbs_watch(struct fm_verbs_thread *thread);

/* Posts receives until as many are ahead as should be, unless no more than slack are missing. 0 or -errno. */
int fm_verbs_receive(struct fm_verbs_lane *lane, uint32_t slack);

/* Of what went wrong first, in words; returns error->code. */
int fm_verbs_lane_explain(void *self, struct fm_error *error);

/* ---- flush.c ---- */

/* Posts a read of one byte; when what was posted before it is there it is answered, and flushing counts it no more. */
int fm_verbs_flush(struct fm_verbs_lane *lane);

/* ---- post.c ---- */

/* The lane's post: one of many, chosen by operation and interface. */
int (*fm_verbs_poster(const struct fm_verbs_lane *lane))(void *self, uint32_t count);
/* Writes the number of receives posted into the peer's word. At most granting_max are on their way. 0 or -errno. */
int fm_verbs_grant(struct fm_verbs_lane *lane);

#endif
