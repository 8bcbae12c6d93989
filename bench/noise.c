/*
 * noise.c - what disturbs a measurement, as counters that only grow: the difference between two readings tells.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/node.h"

/* One line of a small file without its newline; "" where it cannot be read. */
static void first_line(const char *path, char *text, size_t bytes)
{
	FILE *file = fopen(path, "re");

	text[0] = '\0';
	if (!file)
		return;
	if (fgets(text, (int)bytes, file))
		text[strcspn(text, "\n")] = '\0';
	fclose(file);
}

static bool place_has_cpu(const struct fm_place *place, int cpu)
{
	for (uint32_t i = 0; i < place->count; i++)
		for (uint32_t j = 0; j < place->rails[i].cpu_count; j++)
			if (place->rails[i].cpus[j] == cpu)
				return true;
	return false;
}

/* /proc/stat of the measuring CPUs, in clock ticks of 1/100 s (proc(5)). */
static json_t *cpu_times(const struct fm_place *place)
{
	FILE *file = fopen("/proc/stat", "re");
	json_t *times = json_object();
	char line[512];

	while (file && fgets(line, sizeof(line), file)) {
		unsigned long long user, nice, system, idle, iowait, irq, softirq, steal;
		char name[16];
		int cpu;

		/* NOLINTNEXTLINE(cert-err34-c): the kernel wrote them, from these very types */
		if (sscanf(line, "cpu%d %llu %llu %llu %llu %llu %llu %llu %llu", &cpu, &user, &nice, &system, &idle,
			   &iowait, &irq, &softirq, &steal) != 9 ||
		    !place_has_cpu(place, cpu))
			continue;
		snprintf(name, sizeof(name), "%d", cpu);
		json_object_set_new(times, name,
				    json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "user", (json_int_t)(user + nice),
					      "system", (json_int_t)system, "idle", (json_int_t)(idle + iowait), "irq",
					      (json_int_t)irq, "softirq", (json_int_t)softirq, "steal",
					      (json_int_t)steal));
	}
	if (file)
		fclose(file);
	return times;
}

/* Which CPU stands in which column of /proc/interrupts: offline ones are left out there. */
static uint32_t interrupt_columns(char *header, int *cpus, uint32_t capacity)
{
	uint32_t count = 0;
	char *save = NULL;

	for (char *word = strtok_r(header, " \n", &save); word && count < capacity; word = strtok_r(NULL, " \n", &save))
		if (strncmp(word, "CPU", 3) == 0)
			cpus[count++] = (int)strtol(word + 3, NULL, 10);
	return count;
}

/* Interrupts of all sources that the measuring CPUs took. */
static json_t *interrupts(const struct fm_place *place)
{
	enum { COLUMNS_MAX = 4096 };
	FILE *file = fopen("/proc/interrupts", "re");
	json_t *sums = json_object();
	unsigned long long *taken = calloc(COLUMNS_MAX, sizeof(*taken));
	int *cpus = calloc(COLUMNS_MAX, sizeof(*cpus));
	uint32_t columns = 0;
	char *line = NULL;
	size_t capacity = 0;

	if (file && taken && cpus && getline(&line, &capacity, file) > 0)
		columns = interrupt_columns(line, cpus, COLUMNS_MAX);
	while (columns && getline(&line, &capacity, file) > 0) {
		char *at = strchr(line, ':'), *end;

		for (uint32_t i = 0; at && i < columns; i++, at = end - 1) {
			unsigned long long count = strtoull(at + 1, &end, 10);

			if (end == at + 1)
				break;
			taken[i] += count;
		}
	}
	for (uint32_t i = 0; i < columns; i++)
		if (place_has_cpu(place, cpus[i])) {
			char name[16];

			snprintf(name, sizeof(name), "%d", cpus[i]);
			json_object_set_new(sums, name, json_integer((json_int_t)taken[i]));
		}
	if (file)
		fclose(file);
	free(line);
	free(taken);
	free(cpus);
	return sums;
}

json_t *fm_node_noise(const struct fm_place *place)
{
	static const struct {
		const char *key, *path;
	} files[] = {
		{"load_average", "/proc/loadavg"},
		{"governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"},
		{"clock_source", "/sys/devices/system/clocksource/clocksource0/current_clocksource"},
		{"transparent_hugepage", "/sys/kernel/mm/transparent_hugepage/enabled"},
		{"numa_balancing", "/proc/sys/kernel/numa_balancing"},
		{"isolated_cpus", "/sys/devices/system/cpu/isolated"},
		{"nohz_full_cpus", "/sys/devices/system/cpu/nohz_full"},
	};
	json_t *noise = json_object();
	struct rusage usage;
	char text[256];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		first_line(files[i].path, text, sizeof(text));
		json_object_set_new(noise, files[i].key, text[0] ? json_string(text) : json_null());
	}
	json_object_set_new(noise, "cpu_times", cpu_times(place));
	json_object_set_new(noise, "interrupts", interrupts(place));
	if (getrusage(RUSAGE_SELF, &usage) == 0) {
		json_object_set_new(noise, "voluntary_switches", json_integer(usage.ru_nvcsw));
		json_object_set_new(noise, "involuntary_switches", json_integer(usage.ru_nivcsw));
	}
	return noise;
}
