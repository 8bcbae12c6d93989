/*
 * config_rows.c - the option rows of the commands, other tools' names for them, and the rules across them.
 */
#include "bench/config.h"

#include "common/control.h"

#define STAMPS_MAX (64ull << 20) /* of one repetition: 1 GiB on each end */

#define STRING_OF(x) #x
#define STRING(x)    STRING_OF(x)
#define AT(field)    offsetof(struct fm_pair_config, field)

static const struct fm_option pair_rows[] = {
	{.name = "transport",
	 .argument = "NAME",
	 .value = "auto",
	 .group = "What to measure",
	 .help = "a transport of 'fabmark devices'; auto: the best that both ends have; all: each of them",
	 .type = &fm_option_text,
	 .offset = AT(what.transport)},
	{.name = "set",
	 .argument = "NAME.KEY=VALUE",
	 .value = "",
	 .group = "What to measure",
	 .help = "an option of a transport, as in tcp.mss=1400: the only way for one that was loaded from outside; can "
		 "be repeated",
	 .type = &fm_option_settings,
	 .offset = AT(what.settings)},
	{.name = "test",
	 .argument = "LIST",
	 .value = "",
	 .group = "What to measure",
	 .help = "tests (send_lat, write_bw, ...), families (send, lat, bw, ...) or all; default: one latency and one "
		 "bandwidth",
	 .type = &fm_option_tests,
	 .offset = AT(what.tests)},
	{.name = "size",
	 .letter = 's',
	 .argument = "LIST",
	 .value = "",
	 .group = "What to measure",
	 .help = "message sizes in bytes: 8,64K,1M or ranges 1:8M:x2; default 8 for latency, 64K,1M for bandwidth",
	 .type = &fm_option_sizes,
	 .offset = AT(what.sizes)},
	{.name = "all-sizes",
	 .letter = 'a',
	 .value = "",
	 .group = "What to measure",
	 .help = "the same as --size 2:8M:x2",
	 .type = &fm_option_flag,
	 .offset = AT(what.all_sizes)},
	{.name = "duration",
	 .letter = 'D',
	 .argument = "S",
	 .value = "3.5",
	 .group = "What to measure",
	 .help = "most seconds measured per test and size, warm-up extra",
	 .type = &fm_option_seconds,
	 .offset = AT(what.duration_s),
	 .minimum = 0.01,
	 .maximum = 86400},
	{.name = "iterations",
	 .letter = 'n',
	 .argument = "N",
	 .value = "0",
	 .group = "What to measure",
	 .help = "operations of one repetition; 0: as many as fill 0.3 s",
	 .type = &fm_option_count,
	 .offset = AT(what.iterations),
	 .minimum = 0,
	 .maximum = 1e12},
	{.name = "repetitions",
	 .argument = "R",
	 .value = "0",
	 .group = "What to measure",
	 .help = "measure exactly so many repetitions; 0: until the figure is sure to 1%",
	 .type = &fm_option_count,
	 .offset = AT(what.repetitions),
	 .minimum = 0,
	 .maximum = 10000},
	{.name = "streams",
	 .argument = "N",
	 .value = "1",
	 .group = "What to measure",
	 .help = "connections that measure at once, on each rail",
	 .type = &fm_option_count,
	 .offset = AT(what.streams),
	 .minimum = 1,
	 .maximum = 1024},
	{.name = "threads",
	 .argument = "N",
	 .value = "1",
	 .group = "What to measure",
	 .help = "threads that share the streams of a rail, one CPU each",
	 .type = &fm_option_count,
	 .offset = AT(what.threads),
	 .minimum = 1,
	 .maximum = 64},
	{.name = "depth",
	 .letter = 't',
	 .argument = "N",
	 .value = "0",
	 .group = "What to measure",
	 .help = "operations outstanding per stream in a bandwidth test; 0: 128",
	 .type = &fm_option_count,
	 .offset = AT(what.depth),
	 .minimum = 0,
	 .maximum = 65536},
	{.name = "memory",
	 .argument = "KIND",
	 .value = "host",
	 .group = "What to measure",
	 .help = "where messages live, LOCAL[=REMOTE]; see 'fabmark devices'",
	 .type = &fm_option_ends,
	 .offset = AT(what.memory)},

	{.name = "events",
	 .letter = 'e',
	 .value = "",
	 .group = "What to measure",
	 .help = "wait for events instead of polling busily: slower, and kinder to the CPUs",
	 .type = &fm_option_flag,
	 .offset = AT(what.events)},
	{.name = "bidirectional",
	 .letter = 'b',
	 .value = "",
	 .group = "What to measure",
	 .help = "bandwidth in both directions at once: three rows, a_to_b, b_to_a and both",
	 .type = &fm_option_flag,
	 .offset = AT(what.bidirectional)},
	{.name = "verify",
	 .value = "",
	 .group = "What to measure",
	 .help = "compare what arrives with what was sent, in one more repetition per point that is not timed",
	 .type = &fm_option_flag,
	 .offset = AT(what.verify)},
	{.name = "full",
	 .value = "",
	 .group = "What to measure",
	 .help = "every test that the transport has, at every size from 1 to 8M",
	 .type = &fm_option_flag,
	 .offset = AT(what.full)},
	{.name = "time-budget",
	 .argument = "S",
	 .value = "0",
	 .group = "What to measure",
	 .help = "most seconds for all tests and sizes together: each gets its share; 0: no bound",
	 .type = &fm_option_seconds,
	 .offset = AT(what.time_budget_s),
	 .minimum = 0,
	 .maximum = 1e7},
	{.name = "require-confidence",
	 .value = "",
	 .group = "What to measure",
	 .help = "a figure whose 95% interval is wider than 1% either way is inconclusive: exit code 4",
	 .type = &fm_option_flag,
	 .offset = AT(what.require_confidence)},

	{.name = "local",
	 .value = "",
	 .group = "Where",
	 .help = "both ends on this machine",
	 .type = &fm_option_flag,
	 .offset = AT(where.local)},
	{.name = "ssh",
	 .argument = "HOST",
	 .value = "",
	 .group = "Where",
	 .help = "start the far end on HOST over ssh; with a second host, HOST measures to that one; each may be "
		 "NAME=ADDRESS where ssh's name for it is not the one to measure to",
	 .type = &fm_option_text,
	 .offset = AT(where.ssh)},
	{.name = "ssh-command",
	 .argument = "WORDS",
	 .value = "ssh",
	 .group = "Where",
	 .help = "what --ssh runs, words parted by blanks: 'ssh -p 2222 -i KEY'; options of ours are for a program "
		 "named "
		 "ssh only",
	 .type = &fm_option_text,
	 .offset = AT(where.ssh_command)},
	{.name = "remote-program",
	 .argument = "PATH",
	 .value = "",
	 .group = "Where",
	 .help = "fabmark on the hosts of --ssh; default: the path of this one where it is there too, then the one in "
		 "PATH",
	 .type = &fm_option_text,
	 .offset = AT(where.remote_program)},
	{.name = "port",
	 .letter = 'p',
	 .argument = "N",
	 .value = STRING(18520),
	 .group = "Where",
	 .help = "TCP port of the server, for control and tcp data",
	 .type = &fm_option_count,
	 .offset = AT(where.port),
	 .minimum = 1,
	 .maximum = 65535},
	{.name = "token-file",
	 .argument = "FILE",
	 .value = "",
	 .group = "Where",
	 .help = "the secret that both nodes share, - for the first line of standard input; default FABMARK_TOKEN, "
		 "then fabmark/token in the config folder",
	 .type = &fm_option_text,
	 .offset = AT(where.token_file)},
	{.name = "data-address",
	 .argument = "ADDR",
	 .value = "",
	 .group = "Where",
	 .help = "addresses that carry the data, LOCAL[=REMOTE]; default: those of the control connection",
	 .type = &fm_option_text,
	 .offset = AT(where.data_address)},
	{.name = "device",
	 .letter = 'd',
	 .argument = "DEV",
	 .value = "",
	 .group = "Where",
	 .help = "net or RDMA device, PCI address or IP that carries the data, LOCAL[=REMOTE]; default remote: the "
		 "same rail",
	 .type = &fm_option_text,
	 .offset = AT(where.device)},
	{.name = "rails",
	 .argument = "LIST",
	 .value = "one",
	 .group = "Where",
	 .help = "one; all: every rail at once; each: every rail in turn; or a list of devices, each LOCAL[=REMOTE], "
		 "that are measured at once, or in turn with each: in front",
	 .type = &fm_option_text,
	 .offset = AT(where.rails)},
	{.name = "cpu",
	 .argument = "LIST",
	 .value = "",
	 .group = "Where",
	 .help = "CPUs that measure, such as 2,4-7, LOCAL[=REMOTE]; default: chosen from those that we may use",
	 .type = &fm_option_ends,
	 .offset = AT(where.cpu)},
	{.name = "connect-timeout",
	 .argument = "S",
	 .value = "8",
	 .group = "Where",
	 .help = "seconds until a server that does not answer is given up",
	 .type = &fm_option_seconds,
	 .offset = AT(where.connect_timeout_s),
	 .minimum = 0.1,
	 .maximum = 600},
	{.name = "peer-timeout",
	 .argument = "S",
	 .value = "3.5",
	 .group = "Where",
	 .help = "seconds of silence after which the other node counts as lost",
	 .type = &fm_option_seconds,
	 .offset = AT(where.peer_timeout_s),
	 .minimum = 1.5,
	 .maximum = 3600},

	{.name = "again",
	 .argument = "RUN",
	 .value = "",
	 .group = "Where",
	 .help = "repeat an earlier run, 'last' or RUN_ID of the folder of --out, or its path: its options and "
		 "placement, "
		 "save what else is given here; ends with a comparison",
	 .type = &fm_option_text,
	 .offset = AT(where.again)},

	{.name = "out",
	 .argument = "DIR",
	 .value = "fabmark-results",
	 .group = "Results",
	 .help = "folder under which each run gets its own with results.csv and run.json; none: no folder",
	 .type = &fm_option_text,
	 .offset = AT(output.out)},
	{.name = "csv",
	 .argument = "FILE",
	 .value = "",
	 .group = "Results",
	 .help = "rows as CSV too; - for stdout, no table then",
	 .type = &fm_option_text,
	 .offset = AT(output.csv)},
	{.name = "json",
	 .argument = "FILE",
	 .value = "",
	 .group = "Results",
	 .help = "rows as a JSON array too; - for stdout, no table then",
	 .type = &fm_option_text,
	 .offset = AT(output.json)},
	{.name = "raw",
	 .argument = "FILE",
	 .value = "",
	 .group = "Results",
	 .help = "every stamp of every repetition as CSV, a line per latency or per batch of a bandwidth test; - for "
		 "stdout, no table then",
	 .type = &fm_option_text,
	 .offset = AT(output.raw)},
	{.name = "labels",
	 .argument = "LIST",
	 .value = "",
	 .group = "Results",
	 .help = "key=value;key=value for the column labels",
	 .type = &fm_option_text,
	 .offset = AT(output.labels)},
	{.name = "quiet",
	 .value = "",
	 .group = "Results",
	 .help = "nothing on stderr but errors",
	 .type = &fm_option_flag,
	 .offset = AT(output.quiet)},
	{.name = "stream",
	 .value = "",
	 .group = "Results",
	 .help = "everything as lines of JSON on stdout, for the fabmark that started this one; ends with stdin",
	 .type = &fm_option_flag,
	 .offset = AT(output.stream),
	 .hidden = true},
	{.name = "help",
	 .letter = 'h',
	 .value = "",
	 .group = "Results",
	 .help = "this text",
	 .type = &fm_option_flag,
	 .offset = AT(help)},

	/* perftest's: what they ask for is how fabmark works anyway. */
	{.name = "cpu-freq",
	 .letter = 'F',
	 .value = "",
	 .group = "Results",
	 .help = "perftest's; no effect",
	 .type = &fm_option_flag,
	 .offset = AT(ignored_flag),
	 .hidden = true},
	{.name = "report_gbits",
	 .value = "",
	 .group = "Results",
	 .help = "perftest's; no effect: Gb/s is what we report",
	 .type = &fm_option_flag,
	 .offset = AT(ignored_flag),
	 .hidden = true},
	{.name = "out_json_file",
	 .argument = "FILE",
	 .value = "",
	 .group = "Results",
	 .help = "perftest's name of --json",
	 .type = &fm_option_text,
	 .offset = AT(output.json),
	 .hidden = true},
};

#undef AT
#define AT(field) offsetof(struct fm_serve_config, field)

static const struct fm_option serve_rows[] = {
	{.name = "port",
	 .letter = 'p',
	 .argument = "N",
	 .value = STRING(18520),
	 .group = "Options",
	 .help = "TCP port for control and tcp data; 0: any free one",
	 .type = &fm_option_count,
	 .offset = AT(port),
	 .minimum = 0,
	 .maximum = 65535},
	{.name = "address",
	 .argument = "ADDR",
	 .value = "",
	 .group = "Options",
	 .help = "numeric address to listen on; default: all, IPv4 and IPv6",
	 .type = &fm_option_text,
	 .offset = AT(address)},
	{.name = "token-file",
	 .argument = "FILE",
	 .value = "",
	 .group = "Options",
	 .help = "the secret that both nodes share, - for the first line of standard input; default FABMARK_TOKEN, "
		 "then fabmark/token in the config folder, made if need be",
	 .type = &fm_option_text,
	 .offset = AT(token_file)},
	{.name = "any-port",
	 .value = "",
	 .group = "Options",
	 .help = "any free port where --port is taken",
	 .type = &fm_option_flag,
	 .offset = AT(any_port)},
	{.name = "once",
	 .value = "",
	 .group = "Options",
	 .help = "end after one client",
	 .type = &fm_option_flag,
	 .offset = AT(once)},
	{.name = "exit-on-eof",
	 .value = "",
	 .group = "Options",
	 .help = "end when standard input ends, as it does when whoever started us over ssh or a pipe is gone",
	 .type = &fm_option_flag,
	 .offset = AT(exit_on_eof)},
	{.name = "idle-timeout",
	 .argument = "S",
	 .value = "0",
	 .group = "Options",
	 .help = "end, with exit code 3, when nobody came for so many seconds; 0: never",
	 .type = &fm_option_seconds,
	 .offset = AT(idle_timeout_s),
	 .minimum = 0,
	 .maximum = 1e9},
	{.name = "quiet",
	 .value = "",
	 .group = "Options",
	 .help = "nothing on stderr but errors",
	 .type = &fm_option_flag,
	 .offset = AT(quiet)},
	{.name = "ready-fd",
	 .argument = "FD",
	 .value = "0",
	 .group = "Options",
	 .help = "file descriptor that gets the port, and a newline, once the server listens",
	 .type = &fm_option_count,
	 .offset = AT(ready_fd),
	 .minimum = 0,
	 .maximum = 1048576,
	 .hidden = true},
	{.name = "help",
	 .letter = 'h',
	 .value = "",
	 .group = "Options",
	 .help = "this text",
	 .type = &fm_option_flag,
	 .offset = AT(help)},
};

#undef AT
#define AT(field) offsetof(struct fm_devices_config, field)

static const struct fm_option devices_rows[] = {
	{.name = "json",
	 .value = "",
	 .group = "Options",
	 .help = "the same as JSON, for programs",
	 .type = &fm_option_flag,
	 .offset = AT(json)},
	{.name = "help",
	 .letter = 'h',
	 .value = "",
	 .group = "Options",
	 .help = "this text",
	 .type = &fm_option_flag,
	 .offset = AT(help)},
};

#define SET(rows_, type_)                                                                                              \
	{                                                                                                              \
		"", rows_, sizeof(rows_) / sizeof(rows_[0]), sizeof(type_)                                             \
	}

const struct fm_option_set fm_pair_option_set = SET(pair_rows, struct fm_pair_config);
const struct fm_option_set fm_serve_option_set = SET(serve_rows, struct fm_serve_config);
const struct fm_option_set fm_devices_option_set = SET(devices_rows, struct fm_devices_config);

const struct fm_option_alias fm_pair_aliases[] = {
	{"-q", "queue pairs belong to the verbs transport, which this build lacks; connections: --streams N"},
	{"--qp", "queue pairs belong to the verbs transport, which this build lacks; connections: --streams N"},
	{"-m", "the path MTU is an option of the verbs transport, which this build lacks"},
	{"-x", "the GID index is an option of the verbs transport, which this build lacks"},
	{"-c", "the connection type is an option of the verbs transport, which this build lacks"},
	{"-I", "inline data is an option of the verbs transport, which this build lacks"},
	{"-l", "the post list is an option of the verbs transport, which this build lacks"},
	{"-Q", "completion moderation is an option of the verbs transport, which this build lacks"},
	{"-r", "the receive depth is an option of the verbs transport, which this build lacks"},
	{"-R", "rdma_cm is an option of the verbs transport, which this build lacks"},
	{"-i", "name the port with the device: --device mlx5_0:1"},
	{"--iters", "use --iterations N"},
	{"--tx-depth", "use --depth N"},
	{"--all", "use --all-sizes, or --size 2:8M:x2"},
	{"--ib-dev", "use --device NAME"},
	{"--use_cuda", "GPU memory: --memory cuda:N, where 'fabmark devices' lists it"},
	{"-P", "parallel connections: use --streams N"},
	{"--parallel", "use --streams N"},
	{"--time", "use --duration S"},
	{"--token", "a token is never an argument, where every user of the machine could read it: use --token-file "
		    "FILE or FABMARK_TOKEN"},
	{NULL, NULL},
};

static bool more_threads_than_streams(const void *values)
{
	const struct fm_pair_config *config = values;

	return config->what.threads > config->what.streams;
}

static bool two_sizes(const void *values)
{
	const struct fm_pair_config *config = values;

	return config->what.all_sizes && config->what.sizes.count > 0;
}

static bool full_and_chosen(const void *values)
{
	const struct fm_pair_what *what = &((const struct fm_pair_config *)values)->what;

	return what->full && (what->tests.count > 0 || what->sizes.count > 0 || what->all_sizes);
}

static bool two_on_stdout(const void *values)
{
	const struct fm_pair_output *output = &((const struct fm_pair_config *)values)->output;

	return (strcmp(output->csv, "-") == 0) + (strcmp(output->json, "-") == 0) + (strcmp(output->raw, "-") == 0) > 1;
}

static bool ssh_and_local(const void *values)
{
	const struct fm_pair_where *where = &((const struct fm_pair_config *)values)->where;

	return where->ssh[0] && where->local;
}

static bool ssh_and_token(const void *values)
{
	const struct fm_pair_where *where = &((const struct fm_pair_config *)values)->where;

	return where->ssh[0] && where->token_file[0];
}

/* Each operation of a latency test leaves two numbers of 8 bytes, on each rail, whichever stream it is on. */
static bool too_many_stamps(const void *values)
{
	const struct fm_pair_config *config = values;
	const struct fm_pair_what *what = &config->what;
	bool latency = what->tests.count == 0;
	uint64_t rails = 1;

	for (int i = 0; i < FM_TEST_COUNT; i++)
		latency |= what->tests.chosen[i] && fm_tests[i].metric == FM_LATENCY;
	for (const char *at = config->where.rails; *at; at++)
		rails += *at == ',';
	return latency && what->iterations > STAMPS_MAX / rails;
}

static bool uneven_streams(const void *values)
{
	const struct fm_pair_config *config = values;

	return config->what.streams % config->what.threads != 0;
}

const struct fm_option_rule fm_pair_rules[] = {
	{more_threads_than_streams,
	 "--threads: more threads than --streams; a thread without a stream has nothing to do"},
	{uneven_streams, "--streams: must be a multiple of --threads, so that each thread has as many"},
	{too_many_stamps,
	 "--iterations: more than 64M, over all rails, do not fit memory in a latency test; take more --repetitions"},
	{full_and_chosen, "--full is every test and size: leave out --test and --size, or --full"},
	{two_sizes, "--size and --all-sizes both say which sizes: keep one"},
	{ssh_and_local, "--ssh and --local: the far end is either started over ssh or on this machine"},
	{ssh_and_token, "--ssh hands the other node a token of its own over ssh: leave out --token-file"},
	{two_on_stdout, "two of --csv -, --json - and --raw - would mix on stdout: send one to a file"},
	{NULL, NULL},
};
