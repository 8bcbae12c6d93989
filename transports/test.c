/*
 * test.c - the table of tests. Latency of write and send is half a round trip, of read and atomics a whole one, as
 * perftest defines them, so that figures compare.
 */
#include "transports/test.h"

#include <string.h>

#define LATENCY(operation, peer, divisor)                                                                              \
	{                                                                                                              \
		operation "_lat", operation, FM_LATENCY, peer, divisor                                                 \
	}
#define BANDWIDTH(operation, peer)                                                                                     \
	{                                                                                                              \
		operation "_bw", operation, FM_BANDWIDTH, peer, 0                                                      \
	}

const struct fm_test fm_tests[FM_TEST_COUNT] = {
	[FM_WRITE_LAT] = LATENCY("write", FM_ECHO, 2),
	[FM_WRITE_BW] = BANDWIDTH("write", FM_TARGET),
	[FM_WRITE_IMM_LAT] = LATENCY("write_imm", FM_ECHO, 2),
	[FM_WRITE_IMM_BW] = BANDWIDTH("write_imm", FM_SINK),
	[FM_READ_LAT] = LATENCY("read", FM_TARGET, 1),
	[FM_READ_BW] = BANDWIDTH("read", FM_TARGET),
	[FM_SEND_LAT] = LATENCY("send", FM_ECHO, 2),
	[FM_SEND_BW] = BANDWIDTH("send", FM_SINK),
	[FM_ATOMIC_FADD_LAT] = LATENCY("atomic_fadd", FM_TARGET, 1),
	[FM_ATOMIC_FADD_BW] = BANDWIDTH("atomic_fadd", FM_TARGET),
	[FM_ATOMIC_CAS_LAT] = LATENCY("atomic_cas", FM_TARGET, 1),
	[FM_ATOMIC_CAS_BW] = BANDWIDTH("atomic_cas", FM_TARGET),
	[FM_TAG_LAT] = LATENCY("tag", FM_ECHO, 2),
	[FM_TAG_BW] = BANDWIDTH("tag", FM_SINK),
	[FM_AM_LAT] = LATENCY("am", FM_ECHO, 2),
	[FM_AM_BW] = BANDWIDTH("am", FM_SINK),
	[FM_STREAM_LAT] = LATENCY("stream", FM_ECHO, 2),
	[FM_STREAM_BW] = BANDWIDTH("stream", FM_SINK),
};

enum fm_test_id fm_test_find(const char *name)
{
	for (int i = 0; i < FM_TEST_COUNT; i++)
		if (strcmp(fm_tests[i].name, name) == 0)
			return (enum fm_test_id)i;
	return FM_TEST_COUNT;
}

const char *fm_completion_name(enum fm_completion completion)
{
	static const char *const names[] = {"buffered", "delivered", "replied"};

	return names[completion];
}
