/*
 * translate_programs.c - the programs whose command lines can be translated, what each measures by default, and how its
 * figure compares with ours.
 */
#include "bench/translate.h"

/* perftest's README, "Notes on Testing Methodology", and t_typical of its output; read and atomics wait for a reply. */
#define HALF "t_typical is the median of half round trips, as fabmark's p50 is"
#define FULL "the latency is that of whole operations, there and back, in both programs"
#define RATE "BW average is over all operations; fabmark's is the median of repetitions"

const struct fm_foreign_program fm_foreign_programs[] = {
	{"ib_write_lat", &fm_foreign_perftest, "write_lat", "2", HALF},
	{"ib_write_bw", &fm_foreign_perftest, "write_bw", "64K", RATE},
	{"ib_read_lat", &fm_foreign_perftest, "read_lat", "2", FULL},
	{"ib_read_bw", &fm_foreign_perftest, "read_bw", "64K", RATE},
	{"ib_send_lat", &fm_foreign_perftest, "send_lat", "2", HALF},
	{"ib_send_bw", &fm_foreign_perftest, "send_bw", "64K", RATE},
	{"ib_atomic_lat", &fm_foreign_perftest, "atomic_fadd_lat", NULL, FULL},
	{"ib_atomic_bw", &fm_foreign_perftest, "atomic_fadd_bw", NULL, RATE},
	{"ucx_perftest", &fm_foreign_ucx, NULL, "8",
	 "its latency is half a round trip in ping-pong tests, as ours; its MB/s are MiB/s (1,048,576 bytes)"},
	{"iperf3", &fm_foreign_iperf3, "stream_bw", "128K",
	 "fabmark's rate is what the receiver has, the median of repetitions; iperf3 prints both ends' averages"},
	{NULL, NULL, NULL, NULL, NULL},
};
