/*
 * config_rules.c - other programs' names for the options of pair, and the rules across them.
 */
#include "bench/config.h"
#include "bench/translate.h"

#define STAMPS_MAX (64ull << 20) /* of one repetition: 1 GiB on each end */

const struct fm_option_alias fm_pair_aliases[] = {
	{"--qp", "use --queue-pairs N"},
	{"--tclass", "use --traffic-class N"},
	{"--sl", "use --service-level N"},
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

const char *fm_pair_foreign(const char *name, size_t length)
{
	static const struct {
		const struct fm_foreign_tool *tool;
		const char *instead;
	} tools[] = {
		{&fm_foreign_perftest,
		 "perftest has it; 'fabmark translate ib_write_bw OPTION...' says what it is here"},
		{&fm_foreign_ucx,
		 "ucx_perftest has it; 'fabmark translate ucx_perftest OPTION...' says what it is here"},
		{&fm_foreign_iperf3, "iperf3 has it; 'fabmark translate iperf3 OPTION...' says what it is here"},
	};

	for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++)
		for (const struct fm_foreign_option *row = tools[i].tool->options; row->letter || row->name; row++)
			if (row->name && strlen(row->name) == length && strncmp(row->name, name, length) == 0)
				return tools[i].instead;
	return NULL;
}

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

/* "each:" and nothing behind it. */
static bool no_rails(const void *values)
{
	const char *rails = ((const struct fm_pair_config *)values)->where.rails;
	const char *list = strchr(rails, ':');

	return !*rails || (list && !list[1] && strncmp(rails, "each:", 5) == 0);
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
	{no_rails,
	 "--rails: no device stands behind 'each:': name some, as in each:eth0,eth1, or take --rails each for all"},
	{too_many_stamps,
	 "--iterations: more than 64M, over all rails, do not fit memory in a latency test; take more --repetitions"},
	{full_and_chosen, "--full is every test and size: leave out --test and --size, or --full"},
	{two_sizes, "--size and --all-sizes both say which sizes: keep one"},
	{ssh_and_local, "--ssh and --local: the far end is either started over ssh or on this machine"},
	{ssh_and_token, "--ssh hands the other node a token of its own over ssh: leave out --token-file"},
	{two_on_stdout, "two of --csv -, --json - and --raw - would mix on stdout: send one to a file"},
	{NULL, NULL},
};
