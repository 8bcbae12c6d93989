/*
 * translate_perftest.c - the options of perftest 4.5 (ib_write_bw and its sisters), as their --help has them, in ours.
 */
#include <errno.h>

#include "bench/translate_rows.h"

#define AS_IT_WORKS	  NOT_NEEDED("fabmark works that way anyway")
#define IN_EACH_ROW(what) NOT_NEEDED(what " stands in each row")

static const struct fm_foreign_option options[] = {
	VALUE('d', "ib-dev", "device", NULL, NULL),
	VALUE('i', "ib-port", "@ib-port", NULL, NULL),
	VALUE('x', "gid-index", "gid-index", NULL, NULL),
	VALUE('m', "mtu", "mtu", NULL, NULL),
	VALUE('c', "connection", "connection", NULL, NULL),
	VALUE('s', "size", "size", NULL, NULL),
	FLAG('a', "all", "all-sizes", NULL, NULL),
	VALUE('n', "iters", "iterations", NULL,
	      "operations of one repetition, not of the whole test: fabmark repeats until the figure is sure to 1%; "
	      "--repetitions 1 measures once"),
	VALUE('D', "duration", "duration", NULL,
	      "all of it is measured; perftest leaves 2 s at both ends out (-f), fabmark warms up before"),
	VALUE('f', "margin", NULL, NULL, NOT_NEEDED("the warm-up comes before the measured time")),
	VALUE('q', "qp", "queue-pairs", NULL, NULL),
	VALUE('t', "tx-depth", "depth", NULL, NULL),
	VALUE('r', "rx-depth", "receive-depth", NULL, NULL),
	FLAG('b', "bidirectional", "bidirectional", NULL,
	     "fabmark writes each direction and the sum over their common time; perftest adds both ends' averages"),
	VALUE('I', "inline_size", "inline", NULL, NULL),
	VALUE('l', "post_list", "post-list", NULL, NULL),
	VALUE(0, "recv_post_list", NULL, NULL, NO_COUNTERPART),
	VALUE('Q', "cq-mod", "cq-moderation", NULL, NULL),
	FLAG('e', "events", "events", NULL, NULL),
	VALUE('X', "vector", NULL, NULL, NO_COUNTERPART),
	VALUE('p', "port", "port", NULL, "the fabmark commands of both nodes need the same --port"),
	FLAG('R', "rdma_cm", "rdma-cm", NULL, NULL),
	FLAG('z', "com_rdma_cm", NULL, NULL,
	     NOT_NEEDED("fabmark exchanges addresses over a TCP connection of its own")),
	VALUE('S', "sl", "service-level", NULL, NULL),
	VALUE('T', "tos", "traffic-class", NULL, "a type of service there, with rdma_cm only"),
	VALUE(0, "tclass", "traffic-class", NULL, NULL),
	VALUE('A', "atomic_type", "@atomic", NULL, NULL),
	VALUE('o', "outs", NULL, NULL, NO_COUNTERPART ": reads outstanding are bounded by the device and by --depth"),
	VALUE('u', "qp-timeout", "qp-timeout", NULL, NULL),
	VALUE(0, "retry_count", "retry-count", NULL, NULL),
	VALUE('L', "hop_limit", NULL, NULL, NO_COUNTERPART),
	FLAG('g', "mcg", NULL, NULL, "no counterpart: fabmark measures pairs, not multicast groups"),
	VALUE('M', "MGID", NULL, NULL, "no counterpart: fabmark measures pairs, not multicast groups"),
	FLAG('O', "dualport", NULL, NULL, "use --rails DEVICE:1,DEVICE:2 for both ports at once"),

	/* memory */
	VALUE(0, "use_cuda", "memory", "cuda:%", NULL),
	VALUE(0, "use_cuda_bus_id", NULL, NULL, "use --memory cuda:N; 'fabmark devices' gives the GPU's number"),
	FLAG(0, "use_cuda_dmabuf", "memory-path", "dmabuf", NULL),
	VALUE(0, "use_rocm", NULL, NULL, "no counterpart: fabmark knows no ROCm memory"),
	FLAG(0, "use_hugepages", "memory", "hugepage", NULL),
	VALUE(0, "mmap", NULL, NULL, NO_COUNTERPART),
	VALUE(0, "mmap-offset", NULL, NULL, NO_COUNTERPART),
	FLAG(0, "odp", NULL, NULL, NO_COUNTERPART),
	FLAG(0, "mr_per_qp", NULL, NULL, NO_COUNTERPART),
	FLAG(0, "disable_pcie_relaxed", "relaxed-ordering", "no", NULL),
	VALUE(0, "inline_recv", NULL, NULL, NO_COUNTERPART),
	FLAG(0, "use-srq", "srq", NULL, NULL),

	/* what is reported */
	FLAG('F', "CPU-freq", NULL, NULL, NOT_NEEDED("fabmark's clock does not depend on the CPU's frequency")),
	FLAG(0, "report_gbits", "@gbits", NULL, NOT_NEEDED("decimal Gb/s is what fabmark reports")),
	FLAG('N', "noPeak", NULL, NULL, NOT_NEEDED("there is no peak; bw_worst_gbps is the slowest 100 ms")),
	FLAG('C', "report-cycles", NULL, NULL, "no counterpart: fabmark reports us"),
	FLAG('H', "report-histogram", NULL, NULL, "use --raw FILE for every latency; percentiles stand in each row"),
	FLAG('U', "report-unsorted", NULL, NULL, "use --raw FILE for every latency, in the order of time"),
	VALUE('W', "report-counters", NULL, NULL, IN_EACH_ROW("what the link's counters moved by")),
	FLAG(0, "out_json", "json", "perftest_out.json", NULL),
	VALUE(0, "out_json_file", "json", NULL, NULL),
	FLAG(0, "cpu_util", NULL, NULL, NO_COUNTERPART),
	VALUE(0, "output", NULL, NULL, NOT_NEEDED("--csv - prints every figure, by name")),
	FLAG(0, "report-both", NULL, NULL, IN_EACH_ROW("the direction")),
	FLAG(0, "report-per-port", NULL, NULL, NOT_NEEDED("each rail has a row")),
	VALUE('w', "limit_bw", NULL, NULL, "judge the results with fabmark check, where this build has it"),
	VALUE('y', "limit_msgrate", NULL, NULL, "judge the results with fabmark check, where this build has it"),

	/* how it runs */
	FLAG(0, "perform_warm_up", NULL, NULL, AS_IT_WORKS),
	FLAG(0, "dont_xchg_versions", NULL, NULL, NOT_NEEDED("fabmark checks that both ends fit each other")),
	FLAG(0, "use_old_post_send", "post-api", "classic", NULL),
	FLAG(0, "reversed", NULL, NULL, "type the line on the other node: payload goes from where it is typed"),
	FLAG(0, "run_infinitely", NULL, NULL, "no counterpart: repeat the line, or give a long --duration"),
	VALUE(0, "latency_gap", NULL, NULL, NO_COUNTERPART),
	VALUE(0, "source_ip", "data-address", NULL, NULL),
	VALUE(0, "bind_source_ip", "data-address", NULL, NULL),
	FLAG(0, "ipv6", NULL, NULL, NOT_NEEDED("the GID index, or the address of the data, says it")),
	VALUE(0, "force-link", NULL, NULL, NOT_NEEDED("the device says which link it has")),
	FLAG(0, "dlid", NULL, NULL, NO_COUNTERPART),
	VALUE(0, "pkey_index", "pkey-index", NULL, NULL),
	VALUE(0, "wait_destroy", NULL, NULL, NOT_NEEDED("both ends take leave of each other before they close")),
	VALUE(0, "burst_size", NULL, NULL, NO_PACING),
	VALUE(0, "typical_pkt_size", NULL, NULL, NO_PACING),
	VALUE(0, "rate_limit", NULL, NULL, NO_PACING),
	VALUE(0, "rate_units", NULL, NULL, NO_PACING),
	VALUE(0, "rate_limit_type", NULL, NULL, NO_PACING),
	VALUE(0, "log_dci_streams", NULL, NULL, NO_COUNTERPART),
	VALUE(0, "log_active_dci_streams", NULL, NULL, NO_COUNTERPART),
	FLAG(0, "aes_xts", NULL, NULL, "no counterpart: fabmark does not measure the NIC's encryption"),
	FLAG(0, "encrypt_on_tx", NULL, NULL, "no counterpart: fabmark does not measure the NIC's encryption"),
	FLAG(0, "sig_before", NULL, NULL, "no counterpart: fabmark does not measure the NIC's encryption"),
	VALUE(0, "aes_block_size", NULL, NULL, "no counterpart: fabmark does not measure the NIC's encryption"),
	VALUE(0, "data_enc_keys_number", NULL, NULL, "no counterpart: fabmark does not measure the NIC's encryption"),
	VALUE(0, "kek_path", NULL, NULL, "no counterpart: fabmark does not measure the NIC's encryption"),
	VALUE(0, "credentials_path", NULL, NULL, "no counterpart: fabmark does not measure the NIC's encryption"),
	VALUE(0, "data_enc_key_app_path", NULL, NULL, "no counterpart: fabmark does not measure the NIC's encryption"),
	FLAG('h', "help", NULL, NULL, "'fabmark pair --help' lists our options"),
	FLAG('V', "version", NULL, NULL, "'fabmark --version' tells our version"),
	END,
};

/* -i PORT belongs to the device. */
static void join_port(struct fm_translation *translation)
{
	const struct fm_wanted *port = fm_translation_wanted(translation, "@ib-port");
	const struct fm_wanted *device = fm_translation_wanted(translation, "device");
	char value[FM_TEXT_MAX], typed[FM_TEXT_MAX];

	if (!port)
		return;
	if (!device) {
		fm_translation_note(translation, port->typed,
				    "left out: a port is named with its device; add --device NAME:%s", port->value);
		return;
	}
	if (strchr(device->value, ':')) {
		if (strcmp(strchr(device->value, ':') + 1, port->value) != 0)
			fm_translation_note(translation, port->typed, "left out: %s names another port", device->typed);
		return;
	}
	snprintf(value, sizeof(value), "%.*s:%.*s", FM_TEXT_MAX / 2, device->value, FM_TEXT_MAX / 2 - 2, port->value);
	snprintf(typed, sizeof(typed), "%.*s %.*s", FM_TEXT_MAX / 2, device->typed, FM_TEXT_MAX / 2 - 2, port->typed);
	fm_translation_want(translation, "device", value, typed);
}

/* -A says which atomic operation; the program, whether its latency or its rate. */
static int choose_atomic(struct fm_translation *translation, struct fm_error *error)
{
	const struct fm_wanted *type = fm_translation_wanted(translation, "@atomic");
	bool swap = type && strcmp(type->value, "CMP_AND_SWAP") == 0;

	if (!type)
		return 0;
	if (!swap && strcmp(type->value, "FETCH_AND_ADD") != 0)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "%s: no such atomic operation; it is CMP_AND_SWAP or FETCH_AND_ADD", type->typed);
	if (strncmp(translation->program->test, "atomic_", 7) != 0)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "%s belongs to ib_atomic_lat and ib_atomic_bw",
				    type->typed);
	if (swap)
		fm_translation_want(translation, "test",
				    strstr(translation->program->test, "_lat") ? "atomic_cas_lat" : "atomic_cas_bw",
				    type->typed);
	return 0;
}

static int perftest_end(struct fm_translation *translation, struct fm_error *error)
{
	const struct fm_wanted *size;
	bool bandwidth = strstr(translation->program->test, "_bw") != NULL;
	int code = choose_atomic(translation, error);

	if (code)
		return code;
	join_port(translation);
	if (fm_translation_wanted(translation, "all-sizes"))
		fm_translation_drop(translation, "size");
	if (!translation->host) {
		/* perftest's server ends with its client. */
		fm_translation_want(translation, "once", "", "");
		return 0;
	}
	size = fm_translation_wanted(translation, "size");
	if (size && !*size->typed)
		fm_translation_note(translation, "-s", "%s's default of %s is in the line; fabmark's own is %s",
				    translation->program->name, size->value, bandwidth ? "64K,1M" : "8");
	if (bandwidth && !fm_translation_wanted(translation, "@gbits"))
		fm_translation_note(
			translation, "--report_gbits",
			"without it %s prints MiB/s (1,048,576 bytes a second); fabmark prints decimal Gb/s: 1000 "
			"MiB/s are 8.389 Gb/s",
			translation->program->name);
	return 0;
}

const struct fm_foreign_tool fm_foreign_perftest = {options, NULL, perftest_end};
