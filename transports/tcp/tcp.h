/*
 * tcp.h - the options of the tcp transport.
 */
#ifndef FM_TCP_H
#define FM_TCP_H

#include "common/options.h"

struct fm_tcp_options {
	uint64_t socket_buffer;	      /* bytes, SO_SNDBUF and SO_RCVBUF; 0: the kernel tunes them */
	uint64_t mss;		      /* bytes, TCP_MAXSEG; 0: the kernel's */
	char congestion[FM_TEXT_MAX]; /* TCP_CONGESTION; "": the system's default */
};

extern const struct fm_option_set fm_tcp_options;

#endif
