/*
 * test.h - the tests that a pair can run: an operation, what is measured of it, and what the far end does meanwhile.
 */
#ifndef FM_TEST_H
#define FM_TEST_H

#include <stdint.h>

enum fm_test_id {
	FM_WRITE_LAT,
	FM_WRITE_BW,
	FM_WRITE_IMM_LAT,
	FM_WRITE_IMM_BW,
	FM_READ_LAT,
	FM_READ_BW,
	FM_SEND_LAT,
	FM_SEND_BW,
	FM_ATOMIC_FADD_LAT,
	FM_ATOMIC_FADD_BW,
	FM_ATOMIC_CAS_LAT,
	FM_ATOMIC_CAS_BW,
	FM_TAG_LAT,
	FM_TAG_BW,
	FM_AM_LAT,
	FM_AM_BW,
	FM_STREAM_LAT,
	FM_STREAM_BW,
	FM_TEST_COUNT
};

enum fm_metric { FM_LATENCY, FM_BANDWIDTH };

/* What an end does in a test. A drives; its peer does one of the others. */
enum fm_role {
	FM_DRIVE, /* posts operations and polls for their completion */
	FM_ECHO,  /* answers each arrival with one of its own */
	FM_SINK,  /* counts arrivals */
	FM_TARGET /* only keeps progress going: one-sided operations, read and written behind its back */
};

/* What "done" means for an operation: the column completion. */
enum fm_completion {
	FM_BUFFERED,  /* the local stack took it */
	FM_DELIVERED, /* the peer's memory has it */
	FM_REPLIED    /* the peer answered */
};

struct fm_test {
	const char *name;      /* as --test and the column have it */
	const char *operation; /* the family: write, write_imm, read, send, atomic_fadd, atomic_cas, tag, am, stream */
	enum fm_metric metric;
	enum fm_role peer;	  /* what the far end does */
	uint32_t latency_divisor; /* 2: half_rtt; 1: full_rtt; 0: no latency */
};

#define FM_TEST_LATENCY(operation, peer, divisor)                                                                      \
	{                                                                                                              \
		operation "_lat", operation, FM_LATENCY, peer, divisor                                                 \
	}
#define FM_TEST_BANDWIDTH(operation, peer)                                                                             \
	{                                                                                                              \
		operation "_bw", operation, FM_BANDWIDTH, peer, 0                                                      \
	}

/*
 * One row per fm_test_id, in its order; here, since a module has no symbol of the program. Latency of write and send is
 * half a round trip, of read and atomics a whole one, as perftest defines them, so that figures compare.
 */
static const struct fm_test fm_tests[FM_TEST_COUNT] __attribute__((unused)) = {
	[FM_WRITE_LAT] = FM_TEST_LATENCY("write", FM_ECHO, 2),
	[FM_WRITE_BW] = FM_TEST_BANDWIDTH("write", FM_TARGET),
	[FM_WRITE_IMM_LAT] = FM_TEST_LATENCY("write_imm", FM_ECHO, 2),
	[FM_WRITE_IMM_BW] = FM_TEST_BANDWIDTH("write_imm", FM_SINK),
	[FM_READ_LAT] = FM_TEST_LATENCY("read", FM_TARGET, 1),
	[FM_READ_BW] = FM_TEST_BANDWIDTH("read", FM_TARGET),
	[FM_SEND_LAT] = FM_TEST_LATENCY("send", FM_ECHO, 2),
	[FM_SEND_BW] = FM_TEST_BANDWIDTH("send", FM_SINK),
	[FM_ATOMIC_FADD_LAT] = FM_TEST_LATENCY("atomic_fadd", FM_TARGET, 1),
	[FM_ATOMIC_FADD_BW] = FM_TEST_BANDWIDTH("atomic_fadd", FM_TARGET),
	[FM_ATOMIC_CAS_LAT] = FM_TEST_LATENCY("atomic_cas", FM_TARGET, 1),
	[FM_ATOMIC_CAS_BW] = FM_TEST_BANDWIDTH("atomic_cas", FM_TARGET),
	[FM_TAG_LAT] = FM_TEST_LATENCY("tag", FM_ECHO, 2),
	[FM_TAG_BW] = FM_TEST_BANDWIDTH("tag", FM_SINK),
	[FM_AM_LAT] = FM_TEST_LATENCY("am", FM_ECHO, 2),
	[FM_AM_BW] = FM_TEST_BANDWIDTH("am", FM_SINK),
	[FM_STREAM_LAT] = FM_TEST_LATENCY("stream", FM_ECHO, 2),
	[FM_STREAM_BW] = FM_TEST_BANDWIDTH("stream", FM_SINK),
};

#undef FM_TEST_LATENCY
#undef FM_TEST_BANDWIDTH

/* The test of this name; FM_TEST_COUNT where there is none. */
enum fm_test_id fm_test_find(const char *name);

/* "buffered", "delivered", "replied". */
const char *fm_completion_name(enum fm_completion completion);

#endif
