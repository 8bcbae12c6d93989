/*
 * verbs_figures.c - what is asked of the library for devices with the manners of real ones: types, masks, attributes,
 * access, limits; and what a row says of it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/nics.h"

#define INIT_RC	 (IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS)
#define INIT_UD	 (IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_QKEY)
#define RTR_UC	 (IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN)
#define RTR_RC	 (RTR_UC | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER)
#define RTS_UD	 (IBV_QP_STATE | IBV_QP_SQ_PSN)
#define RTS_RC	 (RTS_UD | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC)
#define WRITABLE (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)
#define READABLE (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ)

static void open_two(struct ends *ends, const char *a, const char *b, enum fm_test_id test)
{
	ends_make(ends, nic_named(a), nic_named(b), test);
	ends_opened(ends);
}

static void assert_refused(struct ends *ends, int code, const char *words)
{
	struct fm_error error = {0};

	assert_int_equal(ends_open(ends, &error), code);
	if (!strstr(error.text, words))
		fail_msg("'%s' is not in: %s", words, error.text);
	ends_close(ends);
}

static void assert_effective(struct ends *ends, int side, const char *key, const char *expected)
{
	const char *value = ends_effective(ends, side, key);

	if (!value || !expected)
		assert_true(!value && !expected);
	else
		assert_string_equal(value, expected);
}

/* ---- types, masks and attributes ---- */

static void reliable_connections(void **state)
{
	const struct mock_modify *init, *receive, *send;
	const struct ibv_qp_attr *path;
	struct ends ends;

	(void)state;
	ends_make(&ends, nic_named("mlx5 RoCE"), nic_named("bnxt_re"), FM_WRITE_BW);
	ends_option(&ends, "traffic-class", "106");
	ends_option(&ends, "service-level", "3");
	ends_opened(&ends);
	init = ends_step(&ends, 0, IBV_QPS_INIT);
	receive = ends_step(&ends, 0, IBV_QPS_RTR);
	send = ends_step(&ends, 0, IBV_QPS_RTS);
	path = &receive->attributes;
	assert_int_equal(mock_log()->queues[0].asked.qp_type, IBV_QPT_RC);
	assert_int_equal(init->mask, INIT_RC);
	assert_int_equal(receive->mask, RTR_RC);
	assert_int_equal(send->mask, RTS_RC);
	assert_int_equal(init->attributes.port_num, 1);
	assert_int_equal(init->attributes.qp_access_flags,
			 WRITABLE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC);
	/* The smaller of 4096 and 1024, RoCE by GID, all that was asked for. */
	assert_int_equal(path->path_mtu, IBV_MTU_1024);
	assert_int_equal(path->ah_attr.is_global, 1);
	assert_int_equal(path->ah_attr.grh.dgid.raw[15], 2);
	assert_int_equal(path->ah_attr.grh.sgid_index, 0);
	assert_int_equal(path->ah_attr.grh.hop_limit, 64);
	assert_int_equal(path->ah_attr.grh.traffic_class, 106);
	assert_int_equal(path->ah_attr.sl, 3);
	assert_int_equal(path->dest_qp_num, mock_log()->queues[1].number);
	assert_int_equal(path->rq_psn, ends_step(&ends, 1, IBV_QPS_RTS)->attributes.sq_psn);
	assert_int_equal(send->attributes.timeout, 14);
	assert_int_equal(send->attributes.retry_cnt, 6);
	assert_int_equal(send->attributes.rnr_retry, 7);
	assert_effective(&ends, 0, "connection", "RC");
	assert_effective(&ends, 0, "mtu", "1024");
	assert_effective(&ends, 0, "link_gbps", "100");
	assert_effective(&ends, 0, "traffic_class_remark", NULL);
	ends_close(&ends);
}

/* max_rd_atomic = min(own initiator, peer's responder), each way. */
static void reads_on_their_way(void **state)
{
	struct ends ends;

	(void)state;
	open_two(&ends, "irdma", "mlx5 RoCE", FM_READ_BW);
	assert_int_equal(ends_step(&ends, 0, IBV_QPS_RTS)->attributes.max_rd_atomic, 4);
	assert_int_equal(ends_step(&ends, 0, IBV_QPS_RTR)->attributes.max_dest_rd_atomic, 16);
	assert_int_equal(ends_step(&ends, 1, IBV_QPS_RTS)->attributes.max_rd_atomic, 16);
	assert_int_equal(ends_step(&ends, 1, IBV_QPS_RTR)->attributes.max_dest_rd_atomic, 4);
	assert_effective(&ends, 0, "max_rd_atomic", "4");
	assert_effective(&ends, 1, "max_rd_atomic", "16");
	ends_close(&ends);
}

static void unreliable_connections(void **state)
{
	struct ends ends;

	(void)state;
	ends_make(&ends, nic_named("mlx5 InfiniBand"), nic_named("mlx5 InfiniBand"), FM_WRITE_BW);
	ends_option(&ends, "connection", "uc");
	ends_opened(&ends);
	assert_int_equal(mock_log()->queues[0].asked.qp_type, IBV_QPT_UC);
	assert_int_equal(ends_step(&ends, 0, IBV_QPS_INIT)->mask, INIT_RC);
	assert_int_equal(ends_step(&ends, 0, IBV_QPS_INIT)->attributes.qp_access_flags, WRITABLE);
	assert_int_equal(ends_step(&ends, 0, IBV_QPS_RTR)->mask, RTR_UC);
	assert_int_equal(ends_step(&ends, 0, IBV_QPS_RTS)->mask, RTS_UD);
	ends_close(&ends);
	ends_make(&ends, nic_named("bnxt_re"), nic_named("irdma"), FM_SEND_BW);
	ends_option(&ends, "connection", "ud");
	ends_opened(&ends);
	assert_int_equal(mock_log()->queues[0].asked.qp_type, IBV_QPT_UD);
	assert_int_equal(mock_log()->queues[1].asked.cap.max_recv_sge, 2);
	assert_int_equal(ends_step(&ends, 0, IBV_QPS_INIT)->mask, INIT_UD);
	assert_int_equal(ends_step(&ends, 0, IBV_QPS_RTR)->mask, IBV_QP_STATE);
	assert_int_equal(ends_step(&ends, 0, IBV_QPS_RTS)->mask, RTS_UD);
	assert_int_equal(mock_log()->address_count, 2);
	assert_int_equal(mock_log()->addresses[0].is_global, 1);
	ends_close(&ends);
}

/* Within a subnet LIDs are enough; between two of them, or where the port says so, there is a global header. */
static void global_headers(void **state)
{
	struct ends ends;

	(void)state;
	open_two(&ends, "mlx5 InfiniBand", "mlx5 InfiniBand", FM_WRITE_BW);
	assert_int_equal(ends_step(&ends, 0, IBV_QPS_RTR)->attributes.ah_attr.is_global, 0);
	assert_int_equal(ends_step(&ends, 0, IBV_QPS_RTR)->attributes.ah_attr.dlid, 7);
	assert_effective(&ends, 0, "link_layer", "infiniband");
	ends_close(&ends);
	ends_make(&ends, nic_named("mlx5 InfiniBand"), nic_named("mlx5 InfiniBand"), FM_WRITE_BW);
	nics_put("fec0:0000:0000:0001:0000:00ff:fe00:0002", "infiniband/dev1/ports/1/gids/0");
	ends_opened(&ends);
	for (int side = 0; side < 2; side++)
		assert_int_equal(ends_step(&ends, side, IBV_QPS_RTR)->attributes.ah_attr.is_global, 1);
	assert_int_equal(ends_step(&ends, 0, IBV_QPS_RTR)->attributes.ah_attr.grh.dgid.raw[7], 1);
	ends_close(&ends);
	ends_make(&ends, nic_named("mlx5 InfiniBand"), nic_named("mlx5 InfiniBand"), FM_WRITE_BW);
	ends.devices[0].port.flags = IBV_QPF_GRH_REQUIRED;
	ends_opened(&ends);
	assert_int_equal(ends_step(&ends, 0, IBV_QPS_RTR)->attributes.ah_attr.is_global, 1);
	assert_int_equal(ends_step(&ends, 1, IBV_QPS_RTR)->attributes.ah_attr.is_global, 0);
	ends_close(&ends);
}

/* ---- P_Keys ---- */

static void assert_pkeys(const uint16_t a[4], const uint16_t b[4], int at_a, int at_b)
{
	struct ends ends;

	ends_make(&ends, nic_named("mlx5 InfiniBand"), nic_named("mlx5 InfiniBand"), FM_WRITE_BW);
	memcpy(ends.devices[0].pkeys, a, 4 * sizeof(a[0]));
	memcpy(ends.devices[1].pkeys, b, 4 * sizeof(b[0]));
	ends_opened(&ends);
	assert_int_equal(ends_step(&ends, 0, IBV_QPS_INIT)->attributes.pkey_index, at_a);
	assert_int_equal(ends_step(&ends, 1, IBV_QPS_INIT)->attributes.pkey_index, at_b);
	assert_int_equal(ends_run(&ends, 10), 0);
	ends_close(&ends);
}

static void partitions(void **state)
{
	struct ends ends;

	(void)state;
	/* The same place, other places, a hole before it. */
	assert_pkeys((const uint16_t[4]){0xffff}, (const uint16_t[4]){0xffff}, 0, 0);
	assert_pkeys((const uint16_t[4]){0, 0x8001, 0xffff}, (const uint16_t[4]){0xffff, 0, 0, 0x8001}, 1, 3);
	/* Full members before limited ones, and the own full entry of a partition before the limited one. */
	assert_pkeys((const uint16_t[4]){0x0001, 0x8002}, (const uint16_t[4]){0x8001, 0x8002}, 1, 1);
	assert_pkeys((const uint16_t[4]){0x7fff, 0xffff}, (const uint16_t[4]){0xffff}, 1, 0);
	assert_pkeys((const uint16_t[4]){0x8003, 0x0001}, (const uint16_t[4]){0x8001}, 1, 0);
	ends_make(&ends, nic_named("mlx5 InfiniBand"), nic_named("mlx5 InfiniBand"), FM_WRITE_BW);
	ends.devices[0].pkeys[0] = ends.devices[1].pkeys[0] = 0x0001;
	assert_refused(&ends, -EINVAL, "P_Key 0x0001 here and 0x0001 there do not match");
	/* What is asked for is taken or refused, and each end may have another place. */
	ends_make(&ends, nic_named("mlx5 InfiniBand"), nic_named("mlx5 InfiniBand"), FM_WRITE_BW);
	ends.devices[0].pkeys[2] = ends.devices[1].pkeys[3] = 0x8005;
	ends_option(&ends, "pkey-index", "2=3");
	ends_opened(&ends);
	assert_effective(&ends, 0, "p_key", "0x8005 at 2");
	assert_effective(&ends, 1, "p_key", "0x8005 at 3");
	ends_close(&ends);
	ends_option(&ends, "pkey-index", "7");
	assert_refused(&ends, -EINVAL, "--pkey-index 7: port 1 of dev0 has no P_Key there");
	ends_option(&ends, "pkey-index", "full");
	assert_refused(&ends, -EINVAL, "--pkey-index 'full'");
}

/* ---- memory, work requests ---- */

/* The control words, then each stream's outgoing and incoming buffer. */
static void assert_access(struct ends *ends, int control, int out, int in)
{
	ends_opened(ends);
	assert_int_equal(mock_log()->region_count, 6);
	assert_int_equal(mock_log()->region_access[0], control);
	assert_int_equal(mock_log()->region_access[1], out);
	assert_int_equal(mock_log()->region_access[2], in);
	ends_close(ends);
}

static void access_flags(void **state)
{
	const int relaxed = IBV_ACCESS_RELAXED_ORDERING;
	struct ends ends;

	(void)state;
	ends_make(&ends, nic_named("mlx5 RoCE"), nic_named("mlx5 RoCE"), FM_WRITE_BW);
	assert_access(&ends, WRITABLE, READABLE, WRITABLE | IBV_ACCESS_REMOTE_ATOMIC);
	ends_option(&ends, "relaxed-ordering", "true");
	assert_access(&ends, WRITABLE, READABLE | relaxed, WRITABLE | IBV_ACCESS_REMOTE_ATOMIC | relaxed);
	/* Intel has no atomics, and EFA refuses flags of what it has not. */
	ends_make(&ends, nic_named("irdma"), nic_named("irdma"), FM_WRITE_BW);
	assert_access(&ends, WRITABLE, READABLE, WRITABLE);
	ends_make(&ends, nic_named("efa"), nic_named("efa"), FM_SEND_BW);
	assert_access(&ends, WRITABLE, READABLE, WRITABLE);
	ends.devices[0].efa.writes = ends.devices[0].efa.reads = false;
	assert_access(&ends, IBV_ACCESS_LOCAL_WRITE, IBV_ACCESS_LOCAL_WRITE, IBV_ACCESS_LOCAL_WRITE);
}

static void assert_inline(const char *nic, const char *asked, const char *expected)
{
	struct ends ends;

	ends_make(&ends, nic_named(nic), nic_named(nic), FM_SEND_BW);
	ends_option(&ends, "inline", asked);
	ends_opened(&ends);
	assert_effective(&ends, 0, "inline_bytes", expected);
	assert_int_equal(mock_log()->queues[0].asked.cap.max_inline_data, atoi(expected));
	ends_close(&ends);
}

/* 220 or, where that is refused, half of it and so on; EFA tells its own. */
static void inline_sizes(void **state)
{
	struct ends ends;

	(void)state;
	assert_inline("mlx5 RoCE", "auto", "220");
	assert_inline("irdma", "auto", "55");
	assert_inline("bnxt_re", "auto", "55");
	assert_inline("bnxt_re", "96", "96");
	assert_inline("efa", "auto", "32");
	assert_inline("mlx5 RoCE", "0", "0");
	ends_make(&ends, nic_named("bnxt_re"), nic_named("bnxt_re"), FM_SEND_BW);
	ends_option(&ends, "inline", "97");
	assert_refused(&ends, -EINVAL, "no queue pair with what is asked of it");
}

static void posting_interfaces(void **state)
{
	struct ends ends;

	(void)state;
	open_two(&ends, "mlx5 RoCE", "irdma", FM_WRITE_BW);
	assert_effective(&ends, 0, "post_api", "ibv_wr");
	assert_effective(&ends, 1, "post_api", "ibv_post_send");
	assert_true(mock_log()->queues[0].extended && !mock_log()->queues[1].extended);
	/* A thread domain where there is one. */
	assert_true(mock_log()->queues[0].parent_domain && !mock_log()->queues[1].parent_domain);
	assert_effective(&ends, 0, "thread_domain", "yes");
	assert_effective(&ends, 1, "thread_domain", NULL);
	ends_close(&ends);
	ends_make(&ends, nic_named("bnxt_re"), nic_named("bnxt_re"), FM_WRITE_BW);
	ends_option(&ends, "post-api", "extended");
	assert_refused(&ends, -EOPNOTSUPP, "no queue pair with ibv_wr_* and what is asked of it");
	ends_make(&ends, nic_named("efa"), nic_named("efa"), FM_WRITE_BW);
	ends_option(&ends, "post-api", "classic");
	assert_refused(&ends, -EOPNOTSUPP, "--post-api classic");
}

static void moderation(void **state)
{
	const struct mock_log *log = mock_log();
	struct ends ends;

	(void)state;
	ends_make(&ends, nic_named("mlx5 RoCE"), nic_named("bnxt_re"), FM_WRITE_BW);
	ends.request.depth = 128;
	ends_opened(&ends);
	assert_int_equal(ends_run(&ends, 200), 0);
	/* Each 64th and the last. */
	assert_int_equal(log->posted[IBV_WR_RDMA_WRITE], 200);
	assert_int_equal(log->signalled[IBV_WR_RDMA_WRITE], 4);
	assert_int_equal(log->inlined[IBV_WR_RDMA_WRITE], 200);
	ends_close(&ends);
	ends_make(&ends, nic_named("irdma"), nic_named("bnxt_re"), FM_READ_BW);
	ends_option(&ends, "cq-moderation", "5");
	ends_opened(&ends);
	assert_int_equal(ends_run(&ends, 200), 0);
	assert_int_equal(log->signalled[IBV_WR_RDMA_READ], 40);
	assert_int_equal(log->inlined[IBV_WR_RDMA_READ], 0);
	ends_close(&ends);
}

static void assert_variant(const char *nic, int a, int b, uint64_t size, const char *expected)
{
	struct ends ends;

	ends_make(&ends, nic_named(nic), nic_named(nic), FM_WRITE_LAT);
	ends.devices[0].in_order = a;
	ends.devices[1].in_order = b;
	ends.request.size = ends.request.stride = size;
	ends_opened(&ends);
	assert_int_equal(ends_run(&ends, 50), 0);
	assert_effective(&ends, 0, "variant", expected);
	ends_close(&ends);
}

static void variants_of_write_lat(void **state)
{
	(void)state;
	assert_variant("mlx5 InfiniBand", 1, 1, 4096, "poll_guaranteed");
	assert_variant("mlx5 InfiniBand", 2, 2, 4096, "poll_assumed");
	assert_variant("mlx5 RoCE", 0, 0, 64, "poll_assumed");
	assert_variant("bnxt_re", -1, -1, 64, "poll_assumed");
	/* EFA lands aligned blocks of 128 bytes whole, where it says so: both ends must, and the message must lie in
	 * one. */
	assert_variant("efa", 0, 0, 64, "write_imm_unordered");
	assert_variant("efa", 2, 2, 64, "poll_guaranteed");
	assert_variant("efa", 2, 2, 128, "poll_guaranteed");
	assert_variant("efa", 2, 2, 96, "write_imm_unordered");
	assert_variant("efa", 2, 2, 256, "write_imm_unordered");
	assert_variant("efa", 2, 0, 64, "write_imm_unordered");
	assert_variant("efa", 0, 2, 64, "write_imm_unordered");
}

/* With events the queue's interrupt is that of the thread's own CPU; without, it does not matter. */
static void completion_vectors(void **state)
{
	struct ends ends;

	(void)state;
	for (int events = 0; events < 2; events++) {
		ends_make(&ends, nic_named("irdma"), nic_named("irdma"), FM_SEND_BW);
		ends.request.events = events;
		ends.request.streams = ends.request.threads = 2;
		ends.rails[0].cpu_count = 2;
		ends.rails[0].cpus[0] = 3;
		ends.rails[0].cpus[1] = 1;
		ends_opened(&ends);
		assert_int_equal(mock_log()->vectors[0], events ? 3 : 0);
		assert_int_equal(mock_log()->vectors[1], events ? 1 : 0);
		assert_effective(&ends, 0, "completion_vector", events ? "3" : NULL);
		ends_close(&ends);
	}
}

/* ---- EFA ---- */

static void efa_is_srd(void **state)
{
	const struct ibv_qp_init_attr_ex *asked;
	struct ends ends;

	(void)state;
	open_two(&ends, "efa", "efa", FM_SEND_BW);
	asked = &mock_log()->queues[0].asked;
	assert_int_equal(asked->qp_type, IBV_QPT_DRIVER);
	assert_int_equal(asked->send_ops_flags & ~(uint64_t)(IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_RDMA_WRITE), 0);
	assert_int_equal(ends_step(&ends, 0, IBV_QPS_INIT)->mask, INIT_UD);
	assert_int_equal(ends_step(&ends, 0, IBV_QPS_RTR)->mask, IBV_QP_STATE);
	assert_int_equal(ends_step(&ends, 0, IBV_QPS_RTS)->mask, RTS_UD | IBV_QP_RNR_RETRY);
	assert_int_equal(ends_step(&ends, 0, IBV_QPS_RTS)->attributes.rnr_retry, 7);
	/* Both ends have an address of the other: its device takes RDMA from nobody else. */
	assert_int_equal(mock_log()->address_count, 2);
	assert_int_equal(mock_log()->addresses[0].is_global, 1);
	assert_effective(&ends, 0, "connection", "SRD");
	assert_effective(&ends, 0, "cq_moderation", "1");
	assert_effective(&ends, 0, "mtu", "8928");
	assert_effective(&ends, 0, "link_layer", NULL);
	ends_close(&ends);
	ends.devices[0].efa.rnr_retry = false;
	ends_opened(&ends);
	assert_int_equal(ends_step(&ends, 0, IBV_QPS_RTS)->mask, RTS_UD);
	ends_close(&ends);
}

static void efa_can(void **state)
{
	struct fm_capabilities can;
	struct fm_error error = {0};
	struct ends ends;

	(void)state;
	ends_make(&ends, nic_named("efa"), nic_named("efa"), FM_SEND_BW);
	ends.devices[0].efa.rdma_max = 1u << 20;
	assert_int_equal(ends_query(&ends, 0, &can, &error), 0);
	assert_true(can.tests[FM_SEND_BW].supported && !can.tests[FM_SEND_BW].may_lose);
	assert_int_equal(can.tests[FM_SEND_BW].size_max, 8928);
	assert_int_equal(can.tests[FM_SEND_BW].completion, FM_DELIVERED);
	assert_int_equal(can.tests[FM_WRITE_BW].size_max, 1 << 20);
	assert_int_equal(can.tests[FM_READ_LAT].size_max, 1 << 20);
	assert_true(can.tests[FM_WRITE_LAT].supported && can.tests[FM_WRITE_IMM_BW].supported);
	assert_false(can.tests[FM_ATOMIC_CAS_LAT].supported);
	/* What may overtake what was sent before it is compared one by one only. */
	assert_true(can.tests[FM_SEND_LAT].verify && !can.tests[FM_SEND_BW].verify && !can.tests[FM_READ_BW].verify);
	ends.devices[0].efa.writes = false;
	assert_int_equal(ends_query(&ends, 0, &can, &error), 0);
	assert_false(can.tests[FM_WRITE_LAT].supported || can.tests[FM_WRITE_IMM_BW].supported);
	assert_true(can.tests[FM_SEND_LAT].supported && can.tests[FM_READ_BW].supported);
	ends_option(&ends, "connection", "ud");
	assert_int_equal(ends_query(&ends, 0, &can, &error), 0);
	assert_int_equal(can.tests[FM_SEND_BW].size_max, 4096);
	assert_false(can.tests[FM_READ_BW].supported);
	ends_close(&ends);
}

static void connections_that_are_none(void **state)
{
	struct ends ends;

	(void)state;
	ends_make(&ends, nic_named("efa"), nic_named("efa"), FM_SEND_BW);
	ends_option(&ends, "connection", "rc");
	assert_refused(&ends, -EOPNOTSUPP, "dev0 is an EFA device, which has srd and ud alone");
	ends_option(&ends, "connection", "auto");
	ends_option(&ends, "mtu", "1024");
	assert_refused(&ends, -EOPNOTSUPP, "--mtu 1024: SRD has its port's own packets");
	ends_option(&ends, "mtu", "0");
	ends.devices[0].library_lacks_efa = true;
	assert_refused(&ends, -EOPNOTSUPP, "needs libefa.so.1");
	/* Datagrams are plain verbs there. */
	ends_option(&ends, "connection", "ud");
	ends_opened(&ends);
	assert_int_equal(ends_run(&ends, 100), 0);
	ends_close(&ends);
	ends_make(&ends, nic_named("mlx5 RoCE"), nic_named("mlx5 RoCE"), FM_SEND_BW);
	ends_option(&ends, "connection", "srd");
	assert_refused(&ends, -EOPNOTSUPP, "dev0 is no EFA device");
	ends_make(&ends, nic_named("efa"), nic_named("mlx5 InfiniBand"), FM_SEND_BW);
	assert_refused(&ends, -EPROTO, "different connection types");
	ends_make(&ends, nic_named("mlx5 RoCE"), nic_named("mlx5 InfiniBand"), FM_SEND_BW);
	assert_refused(&ends, -EINVAL, "one end's port is Ethernet");
}

/* ---- ports that must not be taken, and remarks ---- */

static void ports_and_gids(void **state)
{
	struct ends ends;

	(void)state;
	ends_make(&ends, nic_named("mlx5 RoCE"), nic_named("mlx5 RoCE"), FM_WRITE_BW);
	nics_put("1: DOWN", "infiniband/dev0/ports/1/state");
	assert_refused(&ends, -ENETDOWN, "port 1 of RDMA device dev0 is not active");
	ends_make(&ends, nic_named("mlx5 RoCE"), nic_named("mlx5 RoCE"), FM_WRITE_BW);
	nics_put("of-a-pod", "infiniband/dev1/ports/1/gid_attrs/ndevs/0");
	assert_refused(&ends, -ENODEV, "a net device of another network namespace");
	ends_make(&ends, nic_named("mlx5 RoCE"), nic_named("mlx5 RoCE"), FM_WRITE_BW);
	nics_put("IB/RoCE v1", "infiniband/dev1/ports/1/gid_attrs/types/0");
	assert_refused(&ends, -EINVAL, "choose two of one type");
	/* The data address's index differs from end to end. */
	ends_make(&ends, nic_named("mlx5 RoCE"), nic_named("mlx5 RoCE"), FM_WRITE_BW);
	nics_put("0000:0000:0000:0000:0000:ffff:0a00:0009", "infiniband/dev1/ports/1/gids/5");
	nics_put("RoCE v2", "infiniband/dev1/ports/1/gid_attrs/types/5");
	nics_put("lo", "infiniband/dev1/ports/1/gid_attrs/ndevs/5");
	ends.rails[1].gid_index = 5;
	ends_opened(&ends);
	assert_int_equal(ends_step(&ends, 0, IBV_QPS_RTR)->attributes.ah_attr.grh.dgid.raw[15], 9);
	assert_int_equal(ends_step(&ends, 1, IBV_QPS_RTR)->attributes.ah_attr.grh.sgid_index, 5);
	assert_effective(&ends, 1, "gid_index", "5");
	ends_close(&ends);
}

static void remarks(void **state)
{
	struct ends ends;

	(void)state;
	ends_make(&ends, nic_named("mlx5 RoCE"), nic_named("mlx5 RoCE"), FM_WRITE_BW);
	nics_put("eth-a eth-b", "net/lo/bonding/slaves");
	nics_put("0", "net/eth-a/ecn/roce_np/enable/0");
	nics_put("1", "net/eth-a/ecn/roce_np/enable/3");
	ends_opened(&ends);
	assert_effective(&ends, 0, "bond_ports", "2");
	assert_effective(&ends, 0, "bond_remark", "1 queue pairs may leave a port idle: --streams 4 or more");
	assert_effective(&ends, 0, "traffic_class_remark", "ECN is on for priority 3 only: set --traffic-class");
	ends_close(&ends);
	ends.request.streams = 4;
	ends_option(&ends, "traffic-class", "106");
	ends_opened(&ends);
	assert_effective(&ends, 0, "bond_ports", "2");
	assert_effective(&ends, 0, "bond_remark", NULL);
	assert_effective(&ends, 0, "traffic_class_remark", NULL);
	ends_close(&ends);
	/* In software there is no such class, and the rate is made up. */
	ends_make(&ends, nic_named("bnxt_re"), nic_named("bnxt_re"), FM_WRITE_BW);
	assert_int_equal(system("rm -r sys/class/infiniband/dev0/device"), 0);
	nics_put("1", "net/lo/ecn/roce_np/enable/3");
	ends_opened(&ends);
	assert_effective(&ends, 0, "link_gbps", NULL);
	assert_effective(&ends, 0, "rdma_link", "unknown: a device in software makes its rate up");
	assert_effective(&ends, 0, "traffic_class_remark", NULL);
	assert_effective(&ends, 1, "link_gbps", "100");
	ends_close(&ends);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reliable_connections),
		cmocka_unit_test(reads_on_their_way),
		cmocka_unit_test(unreliable_connections),
		cmocka_unit_test(global_headers),
		cmocka_unit_test(partitions),
		cmocka_unit_test(access_flags),
		cmocka_unit_test(inline_sizes),
		cmocka_unit_test(posting_interfaces),
		cmocka_unit_test(moderation),
		cmocka_unit_test(variants_of_write_lat),
		cmocka_unit_test(completion_vectors),
		cmocka_unit_test(efa_is_srd),
		cmocka_unit_test(efa_can),
		cmocka_unit_test(connections_that_are_none),
		cmocka_unit_test(ports_and_gids),
		cmocka_unit_test(remarks),
	};

	return cmocka_run_group_tests(tests, nics_enter, nics_leave);
}
