/*
 * node.c - facts of this node, read where the kernel tells them.
 */
#include "bench/node.h"

#include <math.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench/loop.h"
#include "topology/cgroup.h"
#include "transports/registry.h"

void fm_node_name(char *text, size_t bytes)
{
	const char *slurm = getenv("SLURMD_NODENAME");

	if (slurm && *slurm) {
		snprintf(text, bytes, "%s", slurm);
		return;
	}
	if (gethostname(text, bytes) != 0)
		snprintf(text, bytes, "unnamed");
	text[bytes - 1] = '\0';
}

void fm_node_boot_id(char *text, size_t bytes)
{
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	text[0] = '\0';
	if (!file)
		return;
	if (fgets(text, (int)bytes, file))
		text[strcspn(text, "\n")] = '\0';
	fclose(file);
}

void fm_node_job_id(char *text, size_t bytes)
{
	static const char *const names[] = {"SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "GITHUB_RUN_ID", "CI_JOB_ID"};

	text[0] = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !text[0]; i++) {
		const char *value = getenv(names[i]);

		snprintf(text, bytes, "%s", value ? value : "");
	}
}

void fm_time_utc(char *text, size_t bytes)
{
	struct timespec now;
	struct tm parts;
	char date[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &parts);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(text, bytes, "%s.%03ldZ", date, now.tv_nsec / 1000000);
}

/* The first CPU's name as /proc/cpuinfo has it; "" on machines that tell none. */
static void cpu_model(char *text, size_t bytes)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[512];

	text[0] = '\0';
	while (file && !text[0] && fgets(line, sizeof(line), file)) {
		const char *value = strchr(line, ':');

		if (value && strncmp(line, "model name", 10) == 0)
			snprintf(text, bytes, "%.*s", (int)strcspn(value + 2, "\n"), value + 2);
	}
	if (file)
		fclose(file);
}

static void put_text(json_t *object, const char *key, const char *text)
{
	/* What the kernel does not tell is null, not an empty text. */
	json_object_set_new(object, key, text[0] ? json_string(text) : json_null());
}

json_t *fm_node_facts(void)
{
	json_t *facts = json_object();
	struct sysinfo info;
	struct utsname kernel;
	char text[256];

	fm_node_name(text, sizeof(text));
	put_text(facts, "name", text);
	if (uname(&kernel) == 0) {
		put_text(facts, "kernel", kernel.release);
		put_text(facts, "architecture", kernel.machine);
	}
	cpu_model(text, sizeof(text));
	put_text(facts, "cpu_model", text);
	json_object_set_new(facts, "cpus", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
	if (sysinfo(&info) == 0)
		json_object_set_new(facts, "memory_bytes", json_integer((json_int_t)info.totalram * info.mem_unit));
	put_text(facts, "openssl", OpenSSL_version(OPENSSL_VERSION));
	put_text(facts, "jansson", jansson_version_str());
	put_text(facts, "fabmark", FM_VERSION);
	return facts;
}

/* Without the words that say why a place was taken: one that was found and one that was named are the same place. */
static json_t *environment_facts(const json_t *environment)
{
	static const char *const places[] = {"place_a", "place_b"};
	json_t *facts = json_deep_copy(environment);

	for (size_t side = 0; side < sizeof(places) / sizeof(places[0]); side++) {
		const json_t *rails = json_object_get(facts, places[side]);

		for (size_t i = 0; i < json_array_size(rails); i++)
			json_object_del(json_array_get(rails, i), "reason");
	}
	return facts;
}

void fm_environment_id(const json_t *environment, char *text, size_t bytes)
{
	json_t *facts = environment_facts(environment);
	char *document = json_dumps(facts, JSON_SORT_KEYS | JSON_COMPACT);
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;

	text[0] = '\0';
	if (document && EVP_Digest(document, strlen(document), digest, &length, EVP_sha256(), NULL))
		for (unsigned i = 0; i < 8 && 2 * i + 2 < bytes; i++)
			snprintf(text + 2 * (size_t)i, 3, "%02x", digest[i]);
	free(document);
	json_decref(facts);
}

/* ---- the harness floor ---- */

#define FLOOR_OPERATIONS 200000u

static double floor_turn_ns(const struct fm_clock *clock, struct fm_loop *loop)
{
	const atomic_int stop = FM_RUN;
	const struct fm_loop_context context = {.clock = clock, .stop = &stop};
	double best = INFINITY;

	/* The least of five: what is left when nothing interrupts. */
	for (int i = 0; i < 5; i++) {
		const struct fm_trace *trace = &loop->trace;

		if (loop->lane->arm(loop->lane->self, loop->operations, 0) || fm_loop_run(FM_DRIVE, loop, 1, &context))
			return NAN;
		best = fmin(best, (double)(trace->ticks[trace->count - 1] - trace->ticks[0]) * clock->ns_per_tick /
					  (double)loop->operations);
	}
	return best;
}

void fm_floor_measure(const struct fm_clock *clock, struct fm_floor *floor)
{
	const struct fm_transport *null = fm_transport_floor;
	const struct fm_place place = {.count = 1};
	const struct fm_work work = {.test = FM_SEND_LAT,
				     .role = FM_DRIVE,
				     .size_bytes = 8,
				     .stride_bytes = 64,
				     .slots = 1,
				     .depth = 128,
				     .streams = 1,
				     .threads = 1};
	const struct fm_buffer buffers[2] = {{0}};
	struct fm_endpoint *endpoint = NULL;
	struct fm_blob *blob = calloc(1, sizeof(*blob));
	struct fm_lane lane;
	struct fm_error error;
	struct fm_loop loop = {.lane = &lane, .operations = FLOOR_OPERATIONS};

	*floor = (struct fm_floor){NAN, NAN};
	loop.trace.capacity = FLOOR_OPERATIONS + 2;
	loop.trace.ticks = calloc(loop.trace.capacity, sizeof(*loop.trace.ticks));
	loop.trace.done = calloc(loop.trace.capacity, sizeof(*loop.trace.done));
	if (blob && loop.trace.ticks && loop.trace.done &&
	    null->open(&place, &work, buffers, 2, &endpoint, &error) == 0 &&
	    null->connect(endpoint, blob, &lane, 1, &error) == 0) {
		loop.batch = loop.depth = 1;
		floor->latency_ns = floor_turn_ns(clock, &loop);
		loop.batch = FLOOR_OPERATIONS / 20;
		loop.depth = work.depth;
		floor->rate_ns = floor_turn_ns(clock, &loop);
	}
	null->close(endpoint);
	free(loop.trace.ticks);
	free(loop.trace.done);
	free(blob);
}

/* Bytes that can be had without swapping: MemAvailable of proc(5), or all there is on kernels that do not tell. */
static double memory_available(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	struct sysinfo info;
	char line[128];

	while (file && kib == 0 && fgets(line, sizeof(line), file))
		if (strncmp(line, "MemAvailable:", 13) == 0)
			kib = strtoull(line + 13, NULL, 10);
	if (file)
		fclose(file);
	if (kib)
		return (double)kib * 1024;
	return sysinfo(&info) == 0 ? (double)info.totalram * info.mem_unit : INFINITY;
}

/* What may still be had: of the machine, and of the control group that a job or a pod runs in. */
double fm_node_memory_left(void)
{
	double machine = memory_available(), group = fm_cgroup_memory_left("/proc/self");

	return group < machine ? group : machine;
}
