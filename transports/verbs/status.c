/*
 * status.c - what the numbers of libibverbs mean. Names follow the InfiniBand specification, volume 1, 11.6.2.
 */
#include "transports/verbs/status.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { PAGE_BYTES = 4096 }; /* a buffer's first and last page may be shared with others */

#define LOG    "look into the kernel's log, and update driver and firmware"
#define OURS   "a defect in fabmark, unless the device lies: report it with the options of this run"
#define UNUSED "fabmark uses nothing that gives this: " LOG

struct fm_verbs_words fm_verbs_status_words(enum ibv_wc_status status)
{
	static const struct fm_verbs_words table[] = {
		[IBV_WC_SUCCESS] = {"success", "it did not fail: " OURS},
		[IBV_WC_LOC_LEN_ERR] = {"local length error", "a message was longer than its receive buffer or, of a "
							      "datagram, than the path MTU: compare the "
							      "two ports' MTU, and take a smaller --size"},
		[IBV_WC_LOC_QP_OP_ERR] =
			{"local queue pair operation error",
			 "the device refused the work request: try --post-api classic and --inline 0, then " LOG},
		[IBV_WC_LOC_EEC_OP_ERR] = {"local end-to-end context error", UNUSED},
		[IBV_WC_LOC_PROT_ERR] =
			{"local protection error",
			 "the device could not reach the local buffer: look at the IOMMU's faults in the kernel's log; "
			 "of GPU memory also at ACS, which must be off between GPU and NIC"},
		[IBV_WC_WR_FLUSH_ERR] = {"flushed", "the queue pair failed before, and so did all that waited in it: "
						    "the peer's own output may say "
						    "why"},
		[IBV_WC_MW_BIND_ERR] = {"memory window bind error", UNUSED},
		[IBV_WC_BAD_RESP_ERR] = {"bad response", "the peer answered with a packet that makes no sense: update "
							 "driver and firmware of both ends"},
		[IBV_WC_LOC_ACCESS_ERR] = {"local access error",
					   "a message arrived that the local buffer may not take: " OURS},
		[IBV_WC_REM_INV_REQ_ERR] = {"remote invalid request",
					    "the peer's device refused the operation: message too long for it, or an "
					    "operation that it does "
					    "not do; 'ibv_devinfo -v' there lists its limits"},
		[IBV_WC_REM_ACCESS_ERR] =
			{"remote access error",
			 "the remote buffer's key or range is not valid there: the peer's own output says whether it "
			 "closed early; else " OURS},
		[IBV_WC_REM_OP_ERR] = {"remote operation error",
				       "the peer's device could not finish it: look into the kernel's log there"},
		[IBV_WC_RETRY_EXC_ERR] =
			{"retry exceeded",
			 "the peer's device does not answer: link down, peer gone, wrong GID or VLAN, path "
			 "MTU beyond a switch's, or a path that drops without PFC; check with ping and "
			 "'ibv_devinfo', or raise --qp-timeout"},
		[IBV_WC_RNR_RETRY_EXC_ERR] =
			{"receiver not ready",
			 "the peer had posted no receive in time: its CPU is starved, or --rx-depth is too small; "
			 "--rnr-retry 7 waits for ever"},
		[IBV_WC_LOC_RDD_VIOL_ERR] = {"local RDD violation", UNUSED},
		[IBV_WC_REM_INV_RD_REQ_ERR] = {"remote invalid RD request", UNUSED},
		[IBV_WC_REM_ABORT_ERR] = {"remote abort",
					  "the peer's device gave the operation up: look into the kernel's log there"},
		[IBV_WC_INV_EECN_ERR] = {"invalid end-to-end context", UNUSED},
		[IBV_WC_INV_EEC_STATE_ERR] = {"invalid end-to-end context state", UNUSED},
		[IBV_WC_FATAL_ERR] = {"fatal error", "the device failed: " LOG},
		[IBV_WC_RESP_TIMEOUT_ERR] = {"response timeout", "the device's firmware did not answer: " LOG},
		[IBV_WC_GENERAL_ERR] = {"general error", "the device says no more: " LOG},
		[IBV_WC_TM_ERR] = {"tag matching error", UNUSED},
		[IBV_WC_TM_RNDV_INCOMPLETE] = {"tag matching rendezvous incomplete", UNUSED},
	};
	const struct fm_verbs_words unknown = {
		"unknown status", "this libibverbs has statuses that fabmark does not know: see ibv_wc_status there"};

	if ((size_t)status >= sizeof(table) / sizeof(table[0]) || !table[status].name)
		return unknown;
	return table[status];
}

struct fm_verbs_words fm_verbs_status_words_efa(enum ibv_wc_status status)
{
	/* What libefa makes of the device's own statuses (rdma-core, providers/efa/verbs.c). */
	if (status == IBV_WC_RESP_TIMEOUT_ERR)
		return (struct fm_verbs_words){
			"no response", "the peer does not answer: it is gone, or a security group does not allow all "
				       "traffic between the two nodes, both ways"};
	if (status == IBV_WC_REM_INV_RD_REQ_ERR)
		return (struct fm_verbs_words){
			"bad destination",
			"the peer's queue pair is gone: its own output says whether it closed early"};
	return fm_verbs_status_words(status);
}

struct fm_verbs_words fm_verbs_event_words(enum ibv_event_type event, enum fm_verbs_weight *weight)
{
	static const struct {
		enum fm_verbs_weight weight;
		struct fm_verbs_words words;
	} table[] = {
		[IBV_EVENT_CQ_ERR] = {FM_VERBS_FATAL, {"completion queue error", "the queue overran: " OURS}},
		[IBV_EVENT_QP_FATAL] = {FM_VERBS_FATAL, {"queue pair error", "the device gave it up: " LOG}},
		[IBV_EVENT_QP_REQ_ERR] = {FM_VERBS_FATAL,
					  {"invalid request", "the device refused what the peer sent: " LOG}},
		[IBV_EVENT_QP_ACCESS_ERR] =
			{FM_VERBS_FATAL,
			 {"access violation",
			  "the peer reached for memory that it may not: its own output may say why; else " OURS}},
		[IBV_EVENT_COMM_EST] = {FM_VERBS_USUAL,
					{"communication established", "the first message came: nothing to do"}},
		[IBV_EVENT_SQ_DRAINED] = {FM_VERBS_USUAL, {"send queue drained", "nothing to do"}},
		[IBV_EVENT_PATH_MIG] = {FM_VERBS_DISTURBS,
					{"path migrated", "packets go another way now: check the first one's link"}},
		[IBV_EVENT_PATH_MIG_ERR] = {FM_VERBS_FATAL,
					    {"path migration failed", "check the link of the alternate path"}},
		[IBV_EVENT_DEVICE_FATAL] =
			{FM_VERBS_FATAL,
			 {"device failed",
			  "it was removed, reset, or its firmware failed: look into the kernel's log"}},
		[IBV_EVENT_PORT_ACTIVE] = {FM_VERBS_DISTURBS,
					   {"port came up",
					    "it was down before: look for the cause in the kernel's log"}},
		[IBV_EVENT_PORT_ERR] = {FM_VERBS_DISTURBS,
					{"port went down", "check the cable, the switch and 'rdma link'"}},
		[IBV_EVENT_LID_CHANGE] = {FM_VERBS_DISTURBS,
					  {"LID changed", "the subnet manager is at work: measure again later"}},
		[IBV_EVENT_PKEY_CHANGE] = {FM_VERBS_DISTURBS,
					   {"P_Key table changed", "measure again once the partition is settled"}},
		[IBV_EVENT_SM_CHANGE] = {FM_VERBS_DISTURBS,
					 {"subnet manager changed", "routes may be new: measure again later"}},
		[IBV_EVENT_SRQ_ERR] = {FM_VERBS_FATAL,
				       {"shared receive queue error", "the device gave the queue up: " LOG}},
		[IBV_EVENT_SRQ_LIMIT_REACHED] = {FM_VERBS_USUAL,
						 {"shared receive queue runs low",
						  "raise --rx-depth if messages wait"}},
		[IBV_EVENT_QP_LAST_WQE_REACHED] = {FM_VERBS_USUAL, {"last receive taken", "nothing to do"}},
		[IBV_EVENT_CLIENT_REREGISTER] = {FM_VERBS_DISTURBS,
						 {"client reregistration",
						  "the subnet manager restarted: measure again later"}},
		[IBV_EVENT_GID_CHANGE] = {FM_VERBS_DISTURBS,
					  {"GID table changed", "an address came or went: measure again"}},
		[IBV_EVENT_WQ_FATAL] = {FM_VERBS_FATAL, {"work queue error", "the device gave it up: " LOG}},
	};
	const struct fm_verbs_words unknown = {
		"other event", "this libibverbs has events that fabmark does not know: see ibv_event_type "
			       "there"};

	*weight = FM_VERBS_TOLD;
	if ((size_t)event >= sizeof(table) / sizeof(table[0]) || !table[event].words.name)
		return unknown;
	*weight = table[event].weight;
	return table[event].words;
}

bool fm_verbs_event_of_port(enum ibv_event_type event)
{
	switch (event) {
	case IBV_EVENT_PORT_ACTIVE:
	case IBV_EVENT_PORT_ERR:
	case IBV_EVENT_LID_CHANGE:
	case IBV_EVENT_PKEY_CHANGE:
	case IBV_EVENT_SM_CHANGE:
	case IBV_EVENT_CLIENT_REREGISTER:
	case IBV_EVENT_GID_CHANGE:
		return true;
	default:
		return false;
	}
}

/* ---- registration ---- */

void fm_verbs_region_limits(struct fm_verbs_region *region)
{
	FILE *file = fopen("/proc/self/status", "re");
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
	char line[256];

	getrlimit(RLIMIT_MEMLOCK, &limit);
	region->lock_limit = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
	region->locked = 0;
	while (file && fgets(line, sizeof(line), file))
		/* Pages of registered memory; mlock(2)'s are counted apart. */
		if (strncmp(line, "VmPin:", 6) == 0)
			region->locked = 1024 * strtoull(line + 6, NULL, 10);
	if (file)
		fclose(file);
}

static const char *region_cause(const struct fm_verbs_region *region, int code)
{
	if (!region->cpu_access)
		switch (code) {
		case -ENOMEM:
			return "the GPU has no room left to show it to the device (BAR1 in 'nvidia-smi -q -d MEMORY'), "
			       "or "
			       "the device's own tables are full: take a smaller --size or fewer --streams";
		case -EFAULT:
		case -EINVAL:
			return "nothing makes this GPU's memory known to the device: load nvidia-peermem, or take a "
			       "driver and kernel with dma-buf";
		default:
			return "take --memory host";
		}
	switch (code) {
	case -ENOMEM:
		return "memory or the device's own tables for it are full: take a smaller --size or fewer --streams, "
		       "or "
		       "end what else uses the device";
	case -EFAULT:
		return "its pages cannot be locked, as of a file or of another device: take --memory host";
	case -EINVAL:
		return region->access & IBV_ACCESS_REMOTE_ATOMIC || region->access & IBV_ACCESS_RELAXED_ORDERING
			       ? "the device refuses this access to it: leave out --relaxed-ordering, and update its "
				 "driver"
			       : "the device refuses its size or address: take a smaller --size";
	case -EAGAIN:
		return "this control group may have no more of the device: raise rdma.max";
	case -EPERM:
	case -EACCES:
		return "this user may not: ask for the right to /dev/infiniband/uverbs*, or run as root";
	case -EIO:
	case -ENODEV:
		return "the device was removed or failed: look into the kernel's log";
	default:
		return "take a smaller --size or fewer --streams, or look into the kernel's log";
	}
}

int fm_verbs_region_words(const struct fm_verbs_region *region, int code, struct fm_error *error)
{
	bool memory = code == -ENOMEM;

	/* ib_umem_get of the kernel gives ENOMEM alone; memory of a dma-buf is not counted. */
	if (memory && region->cpu_access && region->lock_limit < region->locked + region->bytes + 2ull * PAGE_BYTES)
		return fm_error_set(
			error, code, FM_REASON_OUT_OF_MEMORY,
			"%s cannot register %llu bytes of %s memory: the memlock limit is %llu bytes, of which %llu "
			"are "
			"in use; raise it ('ulimit -l unlimited', memlock in /etc/security/limits.conf), or take a "
			"smaller --size or fewer --streams",
			region->device, (unsigned long long)region->bytes, region->kind,
			(unsigned long long)region->lock_limit, (unsigned long long)region->locked);
	return fm_error_set(error, code, memory ? FM_REASON_OUT_OF_MEMORY : FM_REASON_UNSUPPORTED,
			    "%s cannot register %llu bytes of %s memory: %s: %s", region->device,
			    (unsigned long long)region->bytes, region->kind, strerror(-code),
			    region_cause(region, code));
}
