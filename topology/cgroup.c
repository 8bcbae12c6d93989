/*
 * cgroup.c - the CPU quota and the memory limit of this process, by cgroups(7) and the kernel's
 * admin-guide/cgroup-v2.rst.
 */
#include "topology/cgroup.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topology/sysfs.h"

enum { PROC_TEXT_MAX = 1 << 20, PERIOD_US_MAX = 10000000 };

/* What is asked: a controller, and how its limit is read in one group's directory; NaN: none there. */
struct question {
	const char *controller;
	double (*read)(const char *directory, bool unified);
};

/* What the parsers below share: the hierarchy, where it is mounted, and which part of it is seen there. */
struct hierarchy {
	const struct question *question;
	bool unified;
	char root[PATH_MAX], mount[PATH_MAX];
};

static double limit_tightest(double a, double b)
{
	return isnan(a) || b < a ? b : a;
}

static double quota_read(const char *directory, bool unified)
{
	long quota, period;
	char text[64];

	if (!unified) {
		if (!fm_sysfs_integer(directory, "cpu.cfs_quota_us", 1, LONG_MAX, &quota) ||
		    !fm_sysfs_integer(directory, "cpu.cfs_period_us", 1, PERIOD_US_MAX, &period))
			return NAN;
		return (double)quota / (double)period;
	}
	/* "max 100000" or "150000 100000". */
	if (!fm_sysfs_text(directory, "cpu.max", text, sizeof(text)) || !strchr(text, ' '))
		return NAN;
	*strchr(text, ' ') = '\0';
	if (!fm_integer_parse(text, 1, LONG_MAX, &quota) ||
	    !fm_integer_parse(text + strlen(text) + 1, 1, PERIOD_US_MAX, &period))
		return NAN;
	return (double)quota / (double)period;
}

static double memory_read(const char *directory, bool unified)
{
	long limit, usage;

	if (!fm_sysfs_integer(directory, unified ? "memory.max" : "memory.limit_in_bytes", 0, LONG_MAX, &limit) ||
	    !fm_sysfs_integer(directory, unified ? "memory.current" : "memory.usage_in_bytes", 0, LONG_MAX, &usage))
		return NAN;
	return limit > usage ? (double)(limit - usage) : 0;
}

/* From the process's group up to the mount. A container sees its part of the tree: root names what lies at mount. */
static double limit_climb(const struct hierarchy *hierarchy, const char *group)
{
	size_t root = strcmp(hierarchy->root, "/") == 0 ? 0 : strlen(hierarchy->root);
	size_t mount = strlen(hierarchy->mount);
	char directory[2 * PATH_MAX];
	double limit = NAN;

	/* "/../x" or a group beside the mounted part: of that path only the mount itself can be read. */
	if (strncmp(group, hierarchy->root, root) != 0 || (group[root] != '/' && group[root] != '\0') ||
	    strstr(group, "/.."))
		group = "";
	else
		group += root;
	snprintf(directory, sizeof(directory), "%s%s", hierarchy->mount, group);
	for (;;) {
		char *slash;

		limit = limit_tightest(limit, hierarchy->question->read(directory, hierarchy->unified));
		slash = strrchr(directory, '/');
		if (!slash || strlen(directory) <= mount)
			return limit;
		*slash = '\0';
	}
}

/* Is word one of the comma-separated? */
static bool list_has(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (;; list += strcspn(list, ",") + 1) {
		if (strcspn(list, ",") == length && strncmp(list, word, length) == 0)
			return true;
		if (!strchr(list, ','))
			return false;
	}
}

/* This hierarchy's group in the text of /proc/self/cgroup, lines of "ID:CONTROLLERS:PATH"; v2 has ID 0 and none. */
static bool group_find(const char *cgroup, const struct hierarchy *hierarchy, char group[PATH_MAX])
{
	const char *line = cgroup;
	char controllers[256];
	int id;

	while (line) {
		int at = 0;

		controllers[0] = '\0';
		/* NOLINTNEXTLINE(cert-err34-c): its width keeps the number in range */
		if (sscanf(line, "%9d:%n", &id, &at) == 1 && at > 0) {
			size_t length = strcspn(line + at, ":\n");

			snprintf(controllers, sizeof(controllers), "%.*s", (int)(length < 255 ? length : 255),
				 line + at);
			if (line[(size_t)at + length] == ':' &&
			    (hierarchy->unified ? id == 0 && length == 0
						: list_has(controllers, hierarchy->question->controller))) {
				const char *path = line + at + length + 1;

				return snprintf(group, PATH_MAX, "%.*s", (int)strcspn(path, "\n"), path) < PATH_MAX;
			}
		}
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return false;
}

/* "\040" and its like, as mountinfo writes blanks. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		if (from[0] == '\\' && strspn(from + 1, "01234567") >= 3) {
			*to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* A line of mountinfo (proc(5)): ID PARENT DEVICE ROOT MOUNT OPTIONS [TAGS...] - TYPE SOURCE SUPER-OPTIONS. */
static bool mount_parse(char *line, struct hierarchy *hierarchy)
{
	char *tail = strstr(line, " - "), *fields[5], *rest, *type, *options;

	if (!tail)
		return false;
	*tail = '\0';
	type = strtok_r(tail + 3, " ", &rest);
	if (!type || !strtok_r(NULL, " ", &rest))
		return false;
	options = strtok_r(NULL, " ", &rest);
	hierarchy->unified = strcmp(type, "cgroup2") == 0;
	if (!hierarchy->unified &&
	    (strcmp(type, "cgroup") != 0 || !options || !list_has(options, hierarchy->question->controller)))
		return false;
	for (int i = 0; i < 5; i++) {
		fields[i] = strtok_r(i ? NULL : line, " ", &rest);
		if (!fields[i] || strlen(fields[i]) >= PATH_MAX)
			return false;
	}
	unescape(fields[3]);
	unescape(fields[4]);
	memcpy(hierarchy->root, fields[3], strlen(fields[3]) + 1);
	memcpy(hierarchy->mount, fields[4], strlen(fields[4]) + 1);
	return true;
}

static double limit_of(const char *proc, const struct question *question)
{
	char *cgroup = malloc(PROC_TEXT_MAX), *mounts = malloc(PROC_TEXT_MAX), *rest = NULL;
	struct hierarchy *hierarchy = malloc(sizeof(*hierarchy));
	char group[PATH_MAX];
	double limit = NAN;

	if (!cgroup || !mounts || !hierarchy || !fm_sysfs_text(proc, "cgroup", cgroup, PROC_TEXT_MAX) ||
	    !fm_sysfs_text(proc, "mountinfo", mounts, PROC_TEXT_MAX))
		goto out;
	hierarchy->question = question;
	for (char *line = strtok_r(mounts, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (mount_parse(line, hierarchy) && group_find(cgroup, hierarchy, group))
			limit = limit_tightest(limit, limit_climb(hierarchy, group));
out:
	free(hierarchy);
	free(mounts);
	free(cgroup);
	return limit;
}

double fm_cgroup_quota(const char *proc)
{
	static const struct question cpu = {"cpu", quota_read};

	return limit_of(proc, &cpu);
}

double fm_cgroup_memory_left(const char *proc)
{
	static const struct question memory = {"memory", memory_read};

	return limit_of(proc, &memory);
}
