/*
 * place.c - gives every measuring thread of a node its CPU. Pure: the same inventories and request give the same place.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "topology/address.h"
#include "topology/placement.h"

enum { SHARES_MAX = 1024, NODES_MAX = 1024 };

/* The CPUs as they are dealt out, over all ends on this machine. */
struct deal {
	const struct fm_nics *nics;
	const struct fm_cpus *cpus;
	const struct fm_place_request *request;
	uint32_t uses[FM_CPUS_MAX];	 /* measuring threads on cpus->list[i] */
	uint32_t core_uses[FM_CPUS_MAX]; /* and on the core of this number */
	int home;			 /* memory node for devices that have none; -1 */
	int core_of_zero;		 /* -1: CPU 0 is not among them */
	uint32_t asked_count[2];	 /* --cpu of this and of the other end; 0: to be chosen */
	int asked[2][FM_CPUS_MAX];
	struct fm_place place;
};

static uint32_t cpu_index(const struct fm_cpus *cpus, int cpu)
{
	uint32_t i = 0;

	while (i < cpus->count && cpus->list[i] != cpu)
		i++;
	return i;
}

/* What makes one CPU worse than another, the weightiest reason in the highest bits. */
static uint64_t cpu_cost(const struct deal *deal, uint32_t i, int node)
{
	const struct fm_cpus *cpus = deal->cpus;
	uint64_t off_node = node >= 0 && cpus->numa_node[i] != node;
	uint64_t interrupts = cpus->list[i] == 0 ? 2 : cpus->core[i] == deal->core_of_zero;

	return (uint64_t)deal->uses[i] << 36 | (uint64_t)deal->core_uses[cpus->core[i]] << 4 | off_node << 3 |
	       interrupts;
}

static uint32_t cpu_choose(const struct deal *deal, int node)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < deal->cpus->count; i++)
		if (cpu_cost(deal, i, node) < cpu_cost(deal, best, node))
			best = i;
	return best;
}

static void cpu_take(struct deal *deal, uint32_t i)
{
	deal->uses[i]++;
	deal->core_uses[deal->cpus->core[i]]++;
}

/* The device of a rail's end, by name or address; NULL: only the address is known. */
static const struct fm_nic *rail_nic(const struct fm_nics *nics, const struct fm_rail *rail, bool side_b)
{
	const char *device = side_b ? rail->device_b : rail->device_a;

	return fm_nic_find(nics, device[0] ? device : side_b ? rail->address_b : rail->address_a);
}

/* CPUs of one rail of one end: those asked for in turn, else the cheapest; when one comes again, the rest repeats. */
static void rail_deal(struct deal *deal, uint32_t rail, bool side_b, const int *asked, uint32_t asked_count,
		      struct fm_place_rail *to)
{
	const struct fm_nic *nic = rail_nic(deal->nics, &deal->request->rails[rail], side_b);
	int node = nic && nic->numa_node >= 0 ? nic->numa_node : deal->home;
	uint32_t threads = deal->request->threads;
	int cpus[FM_THREADS_MAX];
	uint32_t count = 0;

	for (uint32_t thread = 0; thread < threads; thread++) {
		uint32_t seen = 0;
		uint32_t i = asked_count ? cpu_index(deal->cpus, asked[(rail * threads + thread) % asked_count])
					 : cpu_choose(deal, node);

		while (seen < count && cpus[seen] != deal->cpus->list[i])
			seen++;
		if (seen < count)
			break;
		cpus[count++] = deal->cpus->list[i];
		cpu_take(deal, i);
	}
	for (uint32_t thread = count; thread < threads; thread++)
		cpu_take(deal, cpu_index(deal->cpus, cpus[thread % count]));
	if (to) {
		memcpy(to->cpus, cpus, count * sizeof(cpus[0]));
		to->cpu_count = count;
	}
}

/* All ends on this machine in the same order on each of them; what was asked for goes first, so the rest avoids it. */
static void ends_deal(struct deal *deal)
{
	const struct fm_place_request *request = deal->request;

	for (int chosen = 0; chosen < 2; chosen++)
		for (uint32_t share = 0; share < request->shares; share++) {
			bool own = share == request->share;
			bool other_known = !own && request->shares == 2;
			uint32_t asked_count = own ? deal->asked_count[0] : other_known ? deal->asked_count[1] : 0;

			if ((asked_count == 0) != chosen)
				continue;
			for (uint32_t rail = 0; rail < request->rail_count; rail++)
				rail_deal(deal, rail, request->side_b != other_known, deal->asked[!own], asked_count,
					  own ? &deal->place.rails[rail] : NULL);
		}
}

/* The node with the most cores to use; the lowest of several. */
static int home_find(const struct fm_cpus *cpus)
{
	uint32_t cores[NODES_MAX] = {0};
	bool counted[FM_CPUS_MAX] = {false};
	int home = -1;

	for (uint32_t i = 0; i < cpus->count; i++) {
		int node = cpus->numa_node[i];

		if (node >= 0 && node < NODES_MAX && !counted[cpus->core[i]])
			cores[node]++;
		counted[cpus->core[i]] = true;
	}
	for (int node = 0; node < NODES_MAX; node++)
		if (cores[node] > (home < 0 ? 0 : cores[home]))
			home = node;
	return home;
}

static int asked_parse(struct deal *deal, struct fm_error *error)
{
	const struct fm_place_request *request = deal->request;
	const struct fm_cpus *cpus = deal->cpus;
	char allowed[160];
	uint32_t count;
	int result = fm_cpus_parse(request->cpus, deal->asked[0], FM_CPUS_MAX, &count, error);

	if (result < 0)
		return fm_error_prefix(error, "--cpu: ");
	for (uint32_t i = 0; i < count; i++)
		if (cpu_index(cpus, deal->asked[0][i]) == cpus->count)
			return fm_error_set(
				error, -EINVAL, FM_REASON_USAGE,
				"--cpu: CPU %d is not among those that this process may use: %s; name some of "
				"these, or widen its affinity or cpuset",
				deal->asked[0][i], fm_cpus_format(cpus->list, cpus->count, allowed, sizeof(allowed)));
	if (count < request->threads)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "--cpu: '%.100s' is %u CPU%s for %u threads: name one a thread, or lower --threads",
				    request->cpus, count, count == 1 ? "" : "s", request->threads);
	deal->asked_count[0] = count;
	return 0;
}

/* What the other end makes of a bad --cpu it says itself; here it only must not be trusted. */
static void other_parse(struct deal *deal)
{
	const char *text = deal->request->other_cpus;
	struct fm_error ignored;
	uint32_t count;

	if (!text || !text[0] || fm_cpus_parse(text, deal->asked[1], FM_CPUS_MAX, &count, &ignored) < 0)
		return;
	for (uint32_t i = 0; i < count; i++)
		if (cpu_index(deal->cpus, deal->asked[1][i]) == deal->cpus->count)
			return;
	deal->asked_count[1] = count;
}

static int request_check(const struct fm_cpus *cpus, const struct fm_place_request *request, struct fm_error *error)
{
	if (request->rail_count == 0 || request->rail_count > FM_RAILS_MAX)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "%u rails: there can be 1 to %d",
				    request->rail_count, FM_RAILS_MAX);
	if (request->threads == 0 || request->threads > FM_THREADS_MAX)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "%u threads a rail: there can be 1 to %d",
				    request->threads, FM_THREADS_MAX);
	if (request->shares == 0 || request->shares > SHARES_MAX || request->share >= request->shares)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "end %u of %u on this machine: there can be 1 to %d", request->share,
				    request->shares, SHARES_MAX);
	for (uint32_t i = 0; i < cpus->count; i++)
		if (cpus->core[i] < 0 || cpus->core[i] >= FM_CPUS_MAX)
			return fm_error_set(error, -EINVAL, FM_REASON_INTERNAL, "CPU %d has core %d", cpus->list[i],
					    cpus->core[i]);
	if (cpus->count == 0)
		return fm_error_set(error, -ENODEV, FM_REASON_PLACEMENT, "there is no CPU to measure on");
	return 0;
}

static void nic_describe(const struct fm_nic *nic, struct fm_place_rail *to)
{
	const char *name = fm_nic_is_port(nic) ? nic->rdma.device : nic->name; /* the port stands beside it */

	snprintf(to->device, sizeof(to->device), "%s", name);
	memcpy(to->pci, nic->pci, sizeof(to->pci));
	memcpy(to->link_layer, nic->link_layer, sizeof(to->link_layer));
	memcpy(to->rdma_device, nic->rdma.device, sizeof(to->rdma_device));
	to->port = nic->rdma.port;
	to->gid_index = nic->rdma.gid_index;
	to->link_gbps = nic->link_gbps;
	to->mtu = nic->mtu;
	to->numa_node = nic->numa_node;
}

/* Device and address of this end, as this node knows them: what a peer planned is checked here. */
static int rail_describe(const struct deal *deal, uint32_t index, struct fm_place_rail *to, struct fm_error *error)
{
	const struct fm_rail *rail = &deal->request->rails[index];
	bool side_b = deal->request->side_b;
	const char *device = side_b ? rail->device_b : rail->device_a;
	const char *address = side_b ? rail->address_b : rail->address_a;
	const struct fm_nic *nic = rail_nic(deal->nics, rail, side_b);
	struct fm_address parsed, own;

	to->link_gbps = NAN;
	to->gpu = to->numa_node = -1;
	if (!address[0] && nic && nic->rdma.device[0]) {
		nic_describe(nic, to);
		return 0;
	}
	if (!fm_address_parse(address, &parsed))
		return fm_error_set(error, -EINVAL, FM_REASON_PLACEMENT, "'%s' is no numeric address for data",
				    address);
	if (device[0] && !nic)
		return fm_error_set(error, -ENODEV, FM_REASON_PLACEMENT, "no net device '%s' on this node", device);
	fm_address_format(&parsed, to->address, sizeof(to->address));
	if (!nic)
		return 0;
	/* Every address of 127.0.0.0/8 is the loopback's, listed or not. */
	if (!fm_nic_has(nic, to->address) && !(nic->loopback && fm_address_loopback(&parsed)))
		return fm_error_set(error, -ENODEV, FM_REASON_PLACEMENT,
				    "net device '%s' on this node has no address %s", nic->name, to->address);
	if (parsed.family == AF_INET6 && fm_address_link_local(&parsed))
		snprintf(to->address + strlen(to->address), sizeof(to->address) - strlen(to->address), "%%%.15s",
			 nic->name);
	nic_describe(nic, to);
	for (uint32_t i = 0; i < nic->address_count; i++)
		if (nic->addresses[i].gid_index >= 0 && fm_address_parse(nic->addresses[i].text, &own) &&
		    fm_address_equal(&own, &parsed))
			to->gid_index = (uint32_t)nic->addresses[i].gid_index;
	return 0;
}

static int compare_int(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* The sentence behind a rail's CPUs, and whether they are shared. */
static void rail_explain(const struct deal *deal, uint32_t index, struct fm_place_rail *to)
{
	const struct fm_place_request *request = deal->request;
	uint32_t threads = request->threads * request->rail_count * request->shares, off = 0;
	bool starved = !isnan(deal->cpus->quota) && (double)threads > deal->cpus->quota;
	bool shared = false;
	int sorted[FM_THREADS_MAX];
	char list[40], where[48] = "", why[64] = "", cpus_half[sizeof(to->reason)];
	size_t kept;
	int length;

	for (uint32_t i = 0; i < to->cpu_count; i++) {
		uint32_t at = cpu_index(deal->cpus, to->cpus[i]);

		shared |= deal->uses[at] > 1;
		off += to->numa_node >= 0 && deal->cpus->numa_node[at] != to->numa_node;
	}
	to->shared_cpus = shared || starved;
	if (deal->asked_count[0])
		snprintf(where, sizeof(where), " asked for");
	if (to->numa_node >= 0 && off == 0)
		snprintf(where + strlen(where), sizeof(where) - strlen(where), " on the device's node %d",
			 to->numa_node);
	else if (off > 0)
		snprintf(where + strlen(where), sizeof(where) - strlen(where), ", %u off the device's node %d", off,
			 to->numa_node);
	if (starved)
		snprintf(why, sizeof(why), "; the cgroup grants %.4g CPUs for %u threads", deal->cpus->quota, threads);
	else if (shared && threads > deal->cpus->count)
		snprintf(why, sizeof(why), "; shared: %u threads on %u CPU%s", threads, deal->cpus->count,
			 deal->cpus->count > 1 ? "s" : "");
	else if (shared)
		snprintf(why, sizeof(why), "; shared with other measuring threads");
	memcpy(sorted, to->cpus, to->cpu_count * sizeof(sorted[0]));
	qsort(sorted, to->cpu_count, sizeof(sorted[0]), compare_int);
	fm_cpus_format(sorted, to->cpu_count, list, sizeof(list));
	/* The CPUs' half always fits; a long device's half gives way. */
	length = snprintf(cpus_half, sizeof(cpus_half), "%sCPU%s %s%s%s", request->rails[index].reason[0] ? "; " : "",
			  to->cpu_count > 1 ? "s" : "", list, where, why);
	kept = strnlen(request->rails[index].reason, sizeof(to->reason) - (size_t)length - 1);
	memcpy(to->reason, request->rails[index].reason, kept);
	memcpy(to->reason + kept, cpus_half, (size_t)length + 1);
}

int fm_place_decide(const struct fm_nics *nics, const struct fm_cpus *cpus, const struct fm_place_request *request,
		    struct fm_place *place, struct fm_error *error)
{
	struct deal *deal = NULL;
	uint32_t zero;
	int result = request_check(cpus, request, error);

	if (result < 0)
		return result;
	deal = calloc(1, sizeof(*deal));
	if (!deal)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory to place the measurement");
	deal->nics = nics;
	deal->cpus = cpus;
	deal->request = request;
	deal->home = home_find(cpus);
	zero = cpu_index(cpus, 0);
	deal->core_of_zero = zero < cpus->count ? cpus->core[zero] : -1;
	for (uint32_t i = 0; i < request->rail_count && result == 0; i++)
		result = rail_describe(deal, i, &deal->place.rails[i], error);
	if (result == 0 && request->cpus[0])
		result = asked_parse(deal, error);
	if (result < 0)
		goto out;
	other_parse(deal);
	ends_deal(deal);
	for (uint32_t i = 0; i < request->rail_count; i++)
		rail_explain(deal, i, &deal->place.rails[i]);
	deal->place.count = request->rail_count;
	memcpy(place, &deal->place, sizeof(*place));
out:
	free(deal);
	return result;
}
