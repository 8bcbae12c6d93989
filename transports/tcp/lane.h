/*
 * lane.h - one stream of tcp: what the measuring loops drive.
 */
#ifndef FM_TCP_LANE_H
#define FM_TCP_LANE_H

#include <poll.h>

#include "transports/tcp/socket.h"

enum { FM_TCP_RECEIPT_BYTES = 8, FM_TCP_RECEIPTS_MAX = 64 };

/* Runs of contiguous bytes in a buffer, walked round and round: the message slots, or all of them as one. */
struct fm_tcp_cursor {
	struct fm_buffer buffer;
	size_t at, end;	    /* offsets: the next byte, and where its run ends */
	size_t run, stride; /* bytes of a run, and from one to the next */
	size_t bytes;	    /* of all */
};

/* Lanes of two threads share no cache line. */
struct fm_tcp_lane {
	/* Filled by the endpoint. */
	_Alignas(128) int fd; /* -1: none yet */
	const struct fm_work *work;
	enum fm_role role;
	struct fm_tcp_lane *waited; /* with events: the lanes whose sockets end a wait, this one or all, */
	struct pollfd *waits;	    /* and room for as many */
	uint32_t waits_count;

	/* The lane's own. */
	int failed;		  /* -errno of what ended it */
	const uint8_t *unsent_at; /* what the kernel has not taken yet of a message or a receipt */
	size_t unsent;
	size_t size; /* of a message */
	struct fm_tcp_cursor out, in;
	size_t partial; /* bytes of the message that is coming in */
	uint64_t armed, posted;
	uint64_t done;			    /* drive of bandwidth: messages; sink: arrivals */
	uint64_t receipt_due, receipt_step; /* sink: the next receipt goes out when done reaches due */
	size_t held;			    /* drive: bytes in receipts */
	uint8_t receipts[FM_TCP_RECEIPTS_MAX * FM_TCP_RECEIPT_BYTES]; /* as they come in; sink: the one going out */
	uint8_t *stage_out, *stage_in;				      /* NULL where the CPU can touch the buffer */
	size_t stage_in_bytes;
	int (*busy_poll)(void *self); /* what a poll with events, or of both directions, is wrapped around */
	char local[FM_TCP_NAME_MAX], peer[FM_TCP_NAME_MAX]; /* for messages: a broken socket forgets its peer */
	struct fm_error error;				    /* of a copy to or from staged memory */
};

/* Prepares a lane whose first group is filled over its outgoing and incoming buffer. -ENOMEM. */
int fm_tcp_lane_init(struct fm_tcp_lane *lane, const struct fm_buffer buffers[2], struct fm_error *error);
/* Once fd is connected: the functions for its role and memory, so that the loop finds no branch on either. */
struct fm_lane fm_tcp_lane_specialise(struct fm_tcp_lane *lane);
/* The same for a stream of both directions: two sockets, lanes[0] driving or lanes[1], the other one a sink. */
struct fm_lane fm_tcp_lane_specialise_both(struct fm_tcp_lane lanes[2]);
/* Accepts a zeroed lane whose fd is -1. */
void fm_tcp_lane_free(struct fm_tcp_lane *lane);

#endif
