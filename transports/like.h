/*
 * like.h - which backend measures what another program measures.
 */
#ifndef FM_LIKE_H
#define FM_LIKE_H

/* The backend whose figures compare with those of this program (ib_write_bw, ucx_perftest, iperf3), or "auto". */
const char *fm_transport_like(const char *program);

#endif
