/*
 * cgroup.h - the CPU time and the memory that this process's control groups grant.
 */
#ifndef FM_CGROUP_H
#define FM_CGROUP_H

/*
 * CPUs' worth of time: the tightest limit of this process's groups and all above them, in cgroup v1 (cpu.cfs_quota_us)
 * and v2 (cpu.max); both may be mounted. NaN: no limit, or none that can be read. proc: "/proc/self", or a folder with
 * a recorded `cgroup` and `mountinfo`.
 */
double fm_cgroup_quota(const char *proc);

/*
 * Bytes that may still be used before the tightest memory limit of these groups is reached (memory.max less
 * memory.current; in v1 memory.limit_in_bytes less memory.usage_in_bytes). NaN as above.
 */
double fm_cgroup_memory_left(const char *proc);

#endif
