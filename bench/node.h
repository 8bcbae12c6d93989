/*
 * node.h - what is true of this node and may explain a figure: for run.json and the environment id.
 */
#ifndef FM_NODE_H
#define FM_NODE_H

#include <jansson.h>
#include <stddef.h>

#include "common/clock.h"
#include "topology/place.h"

/* The node's name as the user knows it: SLURMD_NODENAME, else the host name. */
void fm_node_name(char *text, size_t bytes);
/* The running kernel's own id: two ends that have the same are one machine, whatever their names. "" unknown. */
void fm_node_boot_id(char *text, size_t bytes);
/* The job that this runs in (Slurm, PBS, LSF, GitHub, GitLab); "" none. */
void fm_node_job_id(char *text, size_t bytes);
/* RFC 3339 with ms and Z. */
void fm_time_utc(char *text, size_t bytes);

/* Kernel, CPU model, memory, libraries: what stays while the run lasts. A new reference, or NULL. */
json_t *fm_node_facts(void);
/*
 * What disturbs: load, context switches of this process, times and interrupts of the place's CPUs as counters,
 * governor, clock source, transparent hugepages. Read before and after a run. A new reference.
 */
json_t *fm_node_noise(const struct fm_place *place);

/* Bytes that may still be had: of the machine, and of the control group that a job or a pod runs in. */
double fm_node_memory_left(void);

/* 16 hex digits over a document: rows with the same id are comparable. */
void fm_environment_id(const json_t *environment, char *text, size_t bytes);

/*
 * The harness's own cost: ns of one turn of the loop over the null transport, at depth 1 with a clock reading each
 * (what every latency sample contains) and at depth 128 without.
 */
struct fm_floor {
	double latency_ns, rate_ns;
};
void fm_floor_measure(const struct fm_clock *clock, struct fm_floor *floor);

#endif
