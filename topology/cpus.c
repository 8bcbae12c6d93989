/*
 * cpus.c - the CPUs that this process may use, and lists of CPUs as text.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "topology/cgroup.h"
#include "topology/placement.h"
#include "topology/sysfs.h"

/* The kernel refuses a mask smaller than its own, whatever it has; LIST_TEXT_MAX: every other CPU of FM_CPUS_MAX. */
enum { MASK_CPUS = 65536, LIST_TEXT_MAX = FM_CPUS_MAX * 3, NODES_MAX = 1023 };

/* "8" or "0-3", length characters: false where it is none, or outside 0..FM_CPUS_MAX - 1. */
static bool range_parse(const char *text, size_t length, long *first, long *last)
{
	char piece[24], *dash;

	if (length >= sizeof(piece))
		return false;
	memcpy(piece, text, length);
	piece[length] = '\0';
	dash = strchr(piece, '-');
	if (dash)
		*dash = '\0';
	if (!fm_integer_parse(piece, 0, FM_CPUS_MAX - 1, first))
		return false;
	*last = *first;
	return !dash || fm_integer_parse(dash + 1, *first, FM_CPUS_MAX - 1, last);
}

int fm_cpus_parse(const char *text, int *list, uint32_t capacity, uint32_t *count, struct fm_error *error)
{
	bool chosen[FM_CPUS_MAX] = {false};
	uint32_t used = 0;

	for (const char *at = text;; at++) {
		size_t length = strcspn(at, ",");
		long first, last;

		if (!range_parse(at, length, &first, &last))
			return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
					    "'%.*s' is no CPU: a list of numbers and ranges below %d is, such as 0-3,8",
					    (int)(length < 100 ? length : 100), at, FM_CPUS_MAX);
		for (long cpu = first; cpu <= last; cpu++) {
			used += !chosen[cpu];
			chosen[cpu] = true;
		}
		at += length;
		if (*at == '\0')
			break;
	}
	if (used > capacity)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "'%.100s' are %u CPUs, more than the %u there is room for", text, (unsigned)used,
				    (unsigned)capacity);
	used = 0;
	for (int cpu = 0; cpu < FM_CPUS_MAX; cpu++)
		if (chosen[cpu])
			list[used++] = cpu;
	*count = used;
	return 0;
}

const char *fm_cpus_format(const int *list, uint32_t count, char *text, size_t bytes)
{
	size_t used = 0;

	if (bytes > 0)
		text[0] = '\0';
	for (uint32_t i = 0, next; i < count; i = next) {
		const char *comma = i ? "," : "";
		char piece[40];
		int length;

		for (next = i + 1; next < count && list[next] == list[next - 1] + 1; next++)
			;
		if (next - i > 1)
			length = snprintf(piece, sizeof(piece), "%s%d-%d", comma, list[i], list[next - 1]);
		else
			length = snprintf(piece, sizeof(piece), "%s%d", comma, list[i]);
		/* A cut number is another number: the whole piece or none, and dots where they fit. */
		if (used + (size_t)length + (next < count ? 4 : 0) >= bytes) {
			snprintf(text + used, bytes - used, "%s", bytes - used <= 4 ? "" : i ? ",..." : "...");
			break;
		}
		memcpy(text + used, piece, (size_t)length + 1);
		used += (size_t)length;
	}
	return text;
}

/* A file that holds a list of CPUs; false where it holds none. */
static bool list_read(const char *directory, const char *file, int *list, uint32_t *count)
{
	char *text = malloc(LIST_TEXT_MAX);
	struct fm_error ignored;
	bool good = text && fm_sysfs_text(directory, file, text, LIST_TEXT_MAX) &&
		    fm_cpus_parse(text, list, FM_CPUS_MAX, count, &ignored) == 0;

	free(text);
	return good;
}

static int mask_read(struct fm_cpus *cpus, struct fm_error *error)
{
	size_t bytes = CPU_ALLOC_SIZE(MASK_CPUS);
	cpu_set_t *mask = CPU_ALLOC(MASK_CPUS);
	int result = 0;

	if (!mask)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for the list of CPUs");
	CPU_ZERO_S(bytes, mask);
	cpus->count = 0;
	if (sched_getaffinity(0, bytes, mask) < 0)
		result = fm_error_set(error, -errno, FM_REASON_ENVIRONMENT, "cannot read which CPUs may be used: %s",
				      strerror(errno));
	for (int cpu = 0; cpu < FM_CPUS_MAX; cpu++)
		if (CPU_ISSET_S(cpu, bytes, mask))
			cpus->list[cpus->count++] = cpu;
	if (result == 0 && cpus->count == 0)
		result = fm_error_set(error, -ENODEV, FM_REASON_ENVIRONMENT, "none of the first %d CPUs may be used",
				      FM_CPUS_MAX);
	CPU_FREE(mask);
	return result;
}

static void nodes_read(const char *sysfs, int *scratch, struct fm_cpus *cpus)
{
	char directory[PATH_MAX], node_directory[PATH_MAX + 24];
	struct dirent *entry;
	DIR *nodes = NULL;

	if (snprintf(directory, sizeof(directory), "%s/devices/system/node", sysfs) < PATH_MAX)
		nodes = opendir(directory);
	while (nodes && (entry = readdir(nodes))) {
		uint32_t count, at = 0;
		long node;

		if (strncmp(entry->d_name, "node", 4) != 0 || !fm_integer_parse(entry->d_name + 4, 0, NODES_MAX, &node))
			continue;
		snprintf(node_directory, sizeof(node_directory), "%s/node%ld", directory, node);
		if (!list_read(node_directory, "cpulist", scratch, &count))
			continue;
		for (uint32_t i = 0; i < cpus->count; i++) {
			while (at < count && scratch[at] < cpus->list[i])
				at++;
			if (at < count && scratch[at] == cpus->list[i])
				cpus->numa_node[i] = (int)node;
		}
	}
	if (nodes)
		closedir(nodes);
}

static int core_read(const char *sysfs, int cpu, int *scratch)
{
	char directory[PATH_MAX];
	uint32_t count;

	if (snprintf(directory, sizeof(directory), "%s/devices/system/cpu/cpu%d/topology", sysfs, cpu) >= PATH_MAX)
		return cpu;
	/* The second name is the first one's since Linux 5.3; both are kept, not everywhere for ever. */
	if (!list_read(directory, "thread_siblings_list", scratch, &count) &&
	    !list_read(directory, "core_cpus_list", scratch, &count))
		return cpu;
	for (uint32_t i = 0; i < count; i++)
		if (scratch[i] == cpu)
			return scratch[0];
	return cpu;
}

int fm_cpus_read(const char *sysfs, struct fm_cpus *cpus, struct fm_error *error)
{
	struct fm_cpus *found = calloc(1, sizeof(*found));
	int *scratch = malloc(FM_CPUS_MAX * sizeof(*scratch));
	int result;

	if (!found || !scratch) {
		result = fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for the list of CPUs");
		goto out;
	}
	result = mask_read(found, error);
	if (result < 0)
		goto out;
	for (uint32_t i = 0; i < found->count; i++) {
		found->numa_node[i] = -1;
		found->core[i] = core_read(sysfs, found->list[i], scratch);
	}
	nodes_read(sysfs, scratch, found);
	found->quota = fm_cgroup_quota("/proc/self");
	memcpy(cpus, found, sizeof(*cpus));
out:
	free(scratch);
	free(found);
	return result;
}
