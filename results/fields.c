/*
 * fields.c - every column of a row, once: CSV header, JSON keys, text table and docs/schema.md go by this table.
 */
#include "results/record.h"

#include <string.h>

/* Where a member lies; does not compile for a member of another type. */
#define AT(member, type_) _Generic(((struct fm_record *)0)->member, type_ : offsetof(struct fm_record, member))
#define SIZE(member)	  sizeof(((struct fm_record *)0)->member)

#define CONSTANT(name_, text, help_) .name = name_, .type = FM_FIELD_CONSTANT, .values = text, .help = help_
#define TEXT(name_, member, empty_, help_)                                                                             \
	.name = name_, .type = FM_FIELD_TEXT, .offset = AT(member, char *), .bytes = SIZE(member), .empty = empty_,    \
	.help = help_
#define CLOSED(name_, member, values_, empty_, help_) TEXT(name_, member, empty_, help_), .values = values_
#define PAIRS(name_, member, empty_, help_)                                                                            \
	.name = name_, .type = FM_FIELD_PAIRS, .offset = AT(member, char *), .bytes = SIZE(member), .empty = empty_,   \
	.help = help_
#define ENUM(name_, member, values_, empty_, help_)                                                                    \
	.name = name_, .type = FM_FIELD_ENUM, .offset = AT(member, const char *), .values = values_, .empty = empty_,  \
	.help = help_
#define COUNT(name_, member, empty_, help_)                                                                            \
	.name = name_, .type = FM_FIELD_COUNT, .offset = AT(member, uint64_t), .empty = empty_, .help = help_
#define REAL(name_, member, empty_, help_)                                                                             \
	.name = name_, .type = FM_FIELD_REAL, .offset = AT(member, double), .digits = 6, .empty = empty_, .help = help_
#define SETTABLE .settable = true

#define REASON(constant, name, meaning) name " "
#define NEVER				NULL

/* When a group of columns is empty. */
#define UNSAID	    "the backend does not say, or it does not apply"
#define NOT_RUN	    "nothing was measured"
#define NO_LATENCY  "the test is a rate, or nothing was measured"
#define NO_RATE	    "the test is a latency, or nothing was measured"
#define NO_QUANTILE "the test is a rate, or the sample is too small to support it"
#define UNKNOWN	    "not known"
#define NO_GPU	    "host memory"
#define UNREADABLE  "not readable; 0 means read and unmoved"

/* clang-format off */
const struct fm_field fm_fields[] = {
	{CONSTANT("schema", "1", "version of this list of columns")},
	{CONSTANT("tool_version", FM_VERSION, "version of fabmark that wrote the row")},
	{TEXT("run_id", key.run_id, NEVER, "names the run: UTC start, node, random suffix")},
	{COUNT("point_id", key.point_id, NEVER,
		"ordinal of the point in the run: a test at one size with one set of parameters")},
	{TEXT("time_utc", key.time_utc, NOT_RUN, "RFC 3339 with ms and Z: start of the measured window")},
	{ENUM("row_kind", key.row_kind, "flow total", NEVER,
		"flow: one NIC pair; total: all NIC pairs of the point in one common window")},
	{COUNT("rail", key.rail, "in a total", "ordinal of the NIC pair, from 0")},
	{ENUM("direction", key.direction, "a_to_b b_to_a both", NEVER,
		"the way the payload moves; both: the sum over the common window")},
	{ENUM("initiator", key.initiator, "a", NEVER, "the side that typed the command")},
	{ENUM("load", key.load, "one_way bidirectional", NEVER,
		"a bidirectional point has three rows: a_to_b, b_to_a and both")},
	{ENUM("status", verdict.status, "ok failed skipped inconclusive", NEVER, "what became of the point")},
	{TEXT("reason", verdict.reason, "there is nothing to say",
		"a sentence for people; programs go by reason_code")},
	{ENUM("reason_code", verdict.reason_code, FM_REASONS(REASON), "status is ok",
		"why the point has no result; the meanings are listed below")},
	{TEXT("job_id", key.job_id, "no launcher or scheduler gives one", "the scheduler's job, as it names it")},
	{PAIRS("labels", key.labels, "none were given", "what the user attached to the run")},

	{TEXT("node_a", a.node, UNKNOWN, "host name of A, the side that typed the command")},
	{TEXT("node_b", b.node, UNKNOWN, "host name of B, the other side")},
	{TEXT("transport", work.transport, "the run failed before one was chosen",
		"tcp, verbs, ucx, null, or a module's name")},
	{CLOSED("test", work.test, "write_lat write_bw write_imm_lat write_imm_bw read_lat read_bw send_lat send_bw "
		"atomic_fadd_lat atomic_fadd_bw atomic_cas_lat atomic_cas_bw tag_lat tag_bw am_lat am_bw stream_lat "
		"stream_bw",
		"the run failed before one was chosen", "operation and what is measured of it: latency or bandwidth")},
	{TEXT("variant", work.variant, "the plain one",
		"how the backend does the operation, where it has several ways"), SETTABLE},
	{COUNT("size_bytes", work.size_bytes, "the run failed before a size was chosen", "bytes of one message")},
	{TEXT("memory_a", a.memory, UNKNOWN, "what A's messages live in: host, hugepage, cuda:N")},
	{TEXT("memory_b", b.memory, UNKNOWN, "what B's messages live in: host, hugepage, cuda:N")},
	{CLOSED("memory_path", work.memory_path, "host dmabuf peermem staged", UNSAID,
		"how the NIC reaches the memory: host memory; GPU memory by dma-buf or peer memory; or copies through "
		"host memory"), SETTABLE},
	{TEXT("device_a", a.device, "no device is bound", "A's device: RDMA name and port, or net device")},
	{TEXT("device_b", b.device, "no device is bound", "B's device: RDMA name and port, or net device")},
	{CLOSED("link_layer_a", a.link_layer, "ethernet infiniband loopback unspecified", UNKNOWN,
		"link layer of A's port"), SETTABLE},
	{CLOSED("link_layer_b", b.link_layer, "ethernet infiniband loopback unspecified", UNKNOWN,
		"link layer of B's port"), SETTABLE},
	{REAL("link_gbps_a", a.link_gbps, UNKNOWN, "Gb/s (10^9 bit/s) of A's link, as the port reports it"), SETTABLE},
	{REAL("link_gbps_b", b.link_gbps, UNKNOWN, "Gb/s (10^9 bit/s) of B's link, as the port reports it"), SETTABLE},
	{COUNT("mtu", work.mtu, UNSAID, "bytes of the path's MTU in force"), SETTABLE},
	{COUNT("gid_index_a", a.gid_index, UNSAID, "index in the GID table of A's port"), SETTABLE},
	{COUNT("gid_index_b", b.gid_index, UNSAID, "index in the GID table of B's port"), SETTABLE},
	{TEXT("connection", work.connection, UNSAID,
		"connection type: RC, UC, UD, DC, or as the backend names it"), SETTABLE},
	{TEXT("gpu_a", a.gpu, NO_GPU, "A's GPU, as CUDA numbers it")},
	{TEXT("gpu_b", b.gpu, NO_GPU, "B's GPU, as CUDA numbers it")},
	{TEXT("gpu_pci_a", a.gpu_pci, NO_GPU, "PCI address of A's GPU")},
	{TEXT("gpu_pci_b", b.gpu_pci, NO_GPU, "PCI address of B's GPU")},
	{TEXT("cpu_a", a.cpu, UNKNOWN, "CPUs that A's measuring threads are bound to: 0-3,8")},
	{TEXT("cpu_b", b.cpu, UNKNOWN, "CPUs that B's measuring threads are bound to: 0-3,8")},
	{TEXT("numa_a", a.numa, UNKNOWN, "memory node of A's CPUs")},
	{TEXT("numa_b", b.numa, UNKNOWN, "memory node of B's CPUs")},
	{TEXT("path_class_a", a.path_class, "host memory, or not known",
		"path from A's GPU to its NIC: PIX, PXB, PHB, NODE, SYS")},
	{TEXT("path_class_b", b.path_class, "host memory, or not known",
		"path from B's GPU to its NIC: PIX, PXB, PHB, NODE, SYS")},
	{TEXT("placement", work.placement, UNKNOWN, "why these devices and CPUs were taken")},
	{COUNT("threads", work.threads, UNKNOWN, "measuring threads of each side, all rails of the row together")},
	{COUNT("streams", work.streams, UNKNOWN, "independent connections, all rails of the row together")},
	{COUNT("queue_pairs", work.queue_pairs, UNSAID, "queue pairs of each side"), SETTABLE},
	{COUNT("depth", work.depth, UNKNOWN, "operations outstanding on a stream; 1 for latency")},
	{ENUM("completion", work.completion, "buffered delivered replied", UNKNOWN,
		"what done means: the local stack took it; the peer's memory has it; the peer answered")},
	{TEXT("post_api", work.post_api, UNSAID, "the library call that starts an operation"), SETTABLE},
	{COUNT("inline_bytes", work.inline_bytes, UNSAID,
		"bytes up to which the payload travels inside the work request"), SETTABLE},
	{COUNT("cq_moderation", work.cq_moderation, UNSAID,
		"operations for each completion that is signalled"), SETTABLE},
	{COUNT("traffic_class", work.traffic_class, UNSAID, "traffic class of the packets"), SETTABLE},
	{COUNT("service_level", work.service_level, UNSAID, "InfiniBand service level"), SETTABLE},
	{CLOSED("relaxed_ordering", work.relaxed_ordering, "no yes", UNSAID,
		"PCIe relaxed ordering of the registered memory"), SETTABLE},

	{COUNT("operations", work.operations, NOT_RUN, "operations of one repetition, all streams together")},
	{COUNT("repetitions", work.repetitions, NOT_RUN, "measured repetitions; medians and intervals are theirs")},
	{REAL("duration_s", work.duration_s, NOT_RUN, "seconds measured, repetitions only")},
	{ENUM("stop_reason", verdict.stop_reason, "confidence time fixed failed interrupted", NOT_RUN,
		"what ended the point: the interval was narrow enough; the time was up; the number of repetitions was "
		"given; a failure; a signal")},
	{ENUM("lat_definition", latency.definition, "half_rtt full_rtt", NO_LATENCY,
		"half a round trip (write, send) or a whole one (read, atomics)")},
	{REAL("lat_min_us", latency.min_us, NO_LATENCY, "us: the fastest sample")},
	{REAL("lat_p50_us", latency.p50_us, NO_LATENCY, "us: the median of the repetitions' medians")},
	{COUNT("samples", latency.samples, NO_LATENCY, "latencies that were taken, all repetitions together")},
	{REAL("lat_p50_low_us", latency.p50_low_us, "the test is a rate, or fewer than 6 repetitions",
		"us: lower end of the 95% interval of lat_p50_us")},
	{REAL("lat_p50_high_us", latency.p50_high_us, "the test is a rate, or fewer than 6 repetitions",
		"us: upper end of the 95% interval of lat_p50_us")},
	{REAL("lat_p90_us", latency.p90_us, NO_QUANTILE, "us: 90th percentile of all samples")},
	{REAL("lat_p99_us", latency.p99_us, NO_QUANTILE, "us: 99th percentile of all samples")},
	{REAL("lat_p999_us", latency.p999_us, NO_QUANTILE, "us: 99.9th percentile of all samples")},
	{REAL("lat_p9999_us", latency.p9999_us, NO_QUANTILE, "us: 99.99th percentile of all samples")},
	{REAL("lat_max_us", latency.max_us, NO_LATENCY, "us: the slowest sample")},
	{REAL("lat_mean_us", latency.mean_us, NO_LATENCY, "us: mean of all samples")},
	{REAL("lat_stdev_us", latency.stdev_us, "the test is a rate, or fewer than 2 samples",
		"us: standard deviation of all samples (n - 1)")},
	{REAL("bw_gbps", rate.bw_gbps, NO_RATE, "Gb/s (10^9 bit/s) of payload: the median of the repetitions' rates")},
	{REAL("bw_low_gbps", rate.low_gbps, "the test is a latency, or fewer than 6 repetitions",
		"Gb/s: lower end of the 95% interval of bw_gbps")},
	{REAL("bw_high_gbps", rate.high_gbps, "the test is a latency, or fewer than 6 repetitions",
		"Gb/s: upper end of the 95% interval of bw_gbps")},
	{REAL("bw_worst_gbps", rate.worst_gbps,
		"the test is a latency, the row sums both directions, or not every repetition lasted 100 ms",
		"Gb/s: the slowest 100 ms")},
	{REAL("bw_stream_min_gbps", rate.stream_min_gbps, NO_RATE, "Gb/s: the slowest stream")},
	{REAL("bw_stream_max_gbps", rate.stream_max_gbps, NO_RATE, "Gb/s: the fastest stream")},
	{REAL("msg_rate_per_s", rate.msg_rate_per_s, NO_RATE, "messages per second")},
	{REAL("ceiling_gbps", rate.ceiling_gbps, UNKNOWN, "Gb/s that this path can carry at most, as computed")},
	{REAL("ceiling_percent", rate.ceiling_percent, "the test is a latency, or the ceiling is not known",
		"bw_gbps in percent of ceiling_gbps")},
	{TEXT("limiter", rate.limiter, "the ceiling is not known", "what sets the ceiling")},
	{ENUM("verified", verdict.verified, "no yes failed unsupported", NOT_RUN,
		"whether the payload was compared: not asked for; right; wrong; this test cannot")},
	{COUNT("retransmit_count", counters.retransmit, UNREADABLE,
		"retransmissions in the measured window, both ends")},
	{COUNT("rnr_count", counters.rnr, UNREADABLE, "receiver-not-ready NAKs in the measured window, both ends")},
	{COUNT("out_of_sequence_count", counters.out_of_sequence, UNREADABLE,
		"packets out of sequence in the measured window, both ends")},
	{COUNT("cnp_count", counters.cnp, UNREADABLE,
		"congestion notification packets in the measured window, both ends")},
	{COUNT("pause_count", counters.pause, UNREADABLE, "pause frames in the measured window, both ends")},
	{COUNT("port_error_count", counters.port_error, UNREADABLE,
		"errors of the ports in the measured window, both ends")},
	{PAIRS("counters", counters.raw, "no other counter moved", "other counters that moved in the measured window")},
	{COUNT("lost_operations", counters.lost_operations, NOT_RUN, "operations that never arrived")},
	{PAIRS("effective", effective, "the backend says nothing more",
		"further values in force, as the backend names them")},
	{TEXT("environment_id", environment_id, UNKNOWN,
		"hash over what must match for two rows to be comparable; run.json has it in full")},
	{.name = NULL},
};
/* clang-format on */

const struct fm_field *fm_field_find(const char *name)
{
	for (const struct fm_field *field = fm_fields; field->name; field++)
		if (strcmp(field->name, name) == 0)
			return field;
	return NULL;
}
