/*
 * config.h - what the command line asks for: the options of pair and serve, and the types of their values.
 */
#ifndef FM_CONFIG_H
#define FM_CONFIG_H

#include "common/options.h"
#include "transports/test.h"

enum { FM_SIZES_MAX = 128, FM_SETTINGS_MAX = 32 };

/* --size: in the order given, without repetition. count 0: none given. */
struct fm_size_list {
	uint32_t count;
	uint64_t bytes[FM_SIZES_MAX];
};

/* --test: in the order of the table. named: its own name stood in the list, not only its family's. */
struct fm_test_list {
	uint32_t count; /* chosen */
	bool chosen[FM_TEST_COUNT], named[FM_TEST_COUNT];
};

/* --cpu, --device and the like: LOCAL[=REMOTE]. */
struct fm_ends {
	char local[FM_TEXT_MAX], remote[FM_TEXT_MAX];
};

/* --set: NAME.KEY=VALUE, as often as it was given. */
struct fm_settings {
	uint32_t count;
	char text[FM_SETTINGS_MAX][FM_TEXT_MAX];
};

/* What is measured. */
struct fm_pair_what {
	char transport[FM_TEXT_MAX];
	struct fm_settings settings;
	struct fm_test_list tests;
	struct fm_size_list sizes;
	bool all_sizes;
	double duration_s;
	uint64_t iterations, repetitions; /* 0: found by calibration; by the stop rule */
	uint64_t streams, threads, depth; /* depth 0: the test's own */
	struct fm_ends memory;
	bool events;
	bool full;
	double time_budget_s; /* of the whole plan; 0: none */
	bool require_confidence;
	bool verify;
	bool bidirectional;
};

/* Where it is measured. */
struct fm_pair_where {
	bool local;
	uint64_t port;
	char token_file[FM_TEXT_MAX], rails[FM_TEXT_MAX], device[FM_TEXT_MAX], data_address[FM_TEXT_MAX];
	struct fm_ends cpu;
	double connect_timeout_s, peer_timeout_s;
	char ssh[FM_TEXT_MAX], ssh_command[FM_TEXT_MAX], remote_program[FM_TEXT_MAX];
	char again[FM_TEXT_MAX]; /* the run that is repeated; "" none */
};

/* Where the results go. */
struct fm_pair_output {
	char out[FM_TEXT_MAX], csv[FM_TEXT_MAX], json[FM_TEXT_MAX], raw[FM_TEXT_MAX], labels[FM_TEXT_MAX];
	bool quiet;
	bool stream; /* rows, run.json and all to the fabmark that started this one, by stdout; ends with stdin */
};

struct fm_pair_config {
	struct fm_pair_what what;
	struct fm_pair_where where;
	struct fm_pair_output output;
	bool help;
	char ignored[FM_TEXT_MAX]; /* perftest's options that change nothing here */
	bool ignored_flag;
};

struct fm_serve_config {
	uint64_t port;
	char address[FM_TEXT_MAX], token_file[FM_TEXT_MAX];
	bool once, quiet, help;
	bool any_port;	       /* where port is taken */
	bool exit_on_eof;      /* of standard input */
	uint64_t ready_fd;     /* told the port once listening; 0 none */
	double idle_timeout_s; /* give up when nobody came for so long; 0 never */
};

struct fm_devices_config {
	bool json, help;
};

extern const struct fm_option_set fm_pair_option_set, fm_serve_option_set, fm_devices_option_set;
extern const struct fm_option_alias fm_pair_aliases[];
extern const struct fm_option_rule fm_pair_rules[];
/* The foreign of pair's parser. */
const char *fm_pair_foreign(const char *name, size_t length);

/* Types of this file's fields, for tests and other tables. */
extern const struct fm_option_type fm_option_sizes, fm_option_tests, fm_option_ends, fm_option_settings;

#endif
