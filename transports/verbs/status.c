/*
 * status.c - what the numbers of libibverbs mean. Names follow the InfiniBand specification, volume 1, 11.6.2.
 */
#include "transports/verbs/status.h"

#include <stddef.h>

#define UPDATE "look into the kernel's log, and update driver and firmware"
#define REREGION                                                                                                       \
	"the remote buffer's key or range is not valid there; the peer's own output says whether it closed early"

struct fm_verbs_words fm_verbs_status_words(enum ibv_wc_status status)
{
	static const struct fm_verbs_words table[] = {
		[IBV_WC_SUCCESS] = {"success", "it did not fail"},
		[IBV_WC_LOC_LEN_ERR] =
			{"local length error",
			 "a message was longer than its receive buffer or than the path MTU of a datagram"},
		[IBV_WC_LOC_QP_OP_ERR] = {"local queue pair operation error",
					  "the device refused the work request; " UPDATE},
		[IBV_WC_LOC_EEC_OP_ERR] = {"local end-to-end context error", UPDATE},
		[IBV_WC_LOC_PROT_ERR] =
			{"local protection error",
			 "the device could not reach the local buffer: of GPU memory look at ACS and the "
			 "IOMMU"},
		[IBV_WC_WR_FLUSH_ERR] = {"flushed",
					 "the queue pair failed before, and so did all that waited in it: the "
					 "peer's own output may say why"},
		[IBV_WC_MW_BIND_ERR] = {"memory window bind error", UPDATE},
		[IBV_WC_BAD_RESP_ERR] = {"bad response",
					 "the peer answered with a packet that makes no sense; " UPDATE},
		[IBV_WC_LOC_ACCESS_ERR] = {"local access error",
					   "a message arrived that the local buffer may not take"},
		[IBV_WC_REM_INV_REQ_ERR] = {"remote invalid request",
					    "the peer's device refused the operation: message too long, or one that it "
					    "does not support"},
		[IBV_WC_REM_ACCESS_ERR] = {"remote access error", REREGION},
		[IBV_WC_REM_OP_ERR] = {"remote operation error", "the peer's device failed; look at its kernel's log"},
		[IBV_WC_RETRY_EXC_ERR] =
			{"retry exceeded",
			 "the peer's device does not answer: link down, peer gone, wrong GID or VLAN, path "
			 "MTU beyond a switch's, or a path that drops without PFC; check with ping and "
			 "'ibv_devinfo', or raise --qp-timeout"},
		[IBV_WC_RNR_RETRY_EXC_ERR] =
			{"receiver not ready",
			 "the peer has posted no receive in time: its CPU is starved, or --rx-depth is "
			 "too small"},
		[IBV_WC_LOC_RDD_VIOL_ERR] = {"local RDD violation", UPDATE},
		[IBV_WC_REM_INV_RD_REQ_ERR] = {"remote invalid RD request", UPDATE},
		[IBV_WC_REM_ABORT_ERR] = {"remote abort",
					  "the peer's device gave the operation up; look at its kernel's log"},
		[IBV_WC_INV_EECN_ERR] = {"invalid end-to-end context", UPDATE},
		[IBV_WC_INV_EEC_STATE_ERR] = {"invalid end-to-end context state", UPDATE},
		[IBV_WC_FATAL_ERR] = {"fatal error", "the device failed; " UPDATE},
		[IBV_WC_RESP_TIMEOUT_ERR] = {"response timeout", "the device's firmware did not answer; " UPDATE},
		[IBV_WC_GENERAL_ERR] = {"general error", "the device says no more; " UPDATE},
	};
	const struct fm_verbs_words unknown = {"unknown status",
					       "this libibverbs has statuses that fabmark does not know"};

	if ((size_t)status >= sizeof(table) / sizeof(table[0]) || !table[status].name)
		return unknown;
	return table[status];
}

struct fm_verbs_words fm_verbs_event_words(enum ibv_event_type event, bool *fatal)
{
	static const struct {
		enum ibv_event_type event;
		bool fatal;
		struct fm_verbs_words words;
	} table[] = {
		{IBV_EVENT_CQ_ERR, true, {"completion queue error", "the queue overran, a defect in fabmark"}},
		{IBV_EVENT_QP_FATAL, true, {"queue pair error", UPDATE}},
		{IBV_EVENT_QP_REQ_ERR, true, {"invalid request", "the device refused what the peer sent; " UPDATE}},
		{IBV_EVENT_QP_ACCESS_ERR, true, {"access violation", "the peer reached for memory that it may not"}},
		{IBV_EVENT_PATH_MIG_ERR, true, {"path migration failed", "check the alternate path"}},
		{IBV_EVENT_DEVICE_FATAL,
		 true,
		 {"device failed", "the device was removed or its firmware failed; look into the kernel's log"}},
		{IBV_EVENT_PORT_ERR, false, {"port went down", "check the cable, the switch and 'rdma link'"}},
		{IBV_EVENT_PORT_ACTIVE, false, {"port came up", "the link was down before"}},
		{IBV_EVENT_LID_CHANGE, false, {"LID changed", "the subnet manager is at work: measure again later"}},
		{IBV_EVENT_PKEY_CHANGE, false, {"P_Key table changed", "measure again once the partition is settled"}},
		{IBV_EVENT_SM_CHANGE, false, {"subnet manager changed", "measure again later"}},
		{IBV_EVENT_GID_CHANGE, false, {"GID table changed", "an address came or went: measure again"}},
		{IBV_EVENT_CLIENT_REREGISTER, false, {"client reregistration", "the subnet manager restarted"}},
	};
	const struct fm_verbs_words unknown = {"other event", "see ibv_event_type of libibverbs"};

	*fatal = false;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].event != event)
			continue;
		*fatal = table[i].fatal;
		return table[i].words;
	}
	return unknown;
}
