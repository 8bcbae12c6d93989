/*
 * lane_verbs.c - turns of the drive loop over a lane of the verbs transport whose device is a stub in this file, for
 * counting instructions: lane_verbs TEST API OPERATIONS DEPTH SIGNAL INLINE, such as write_bw extended 1000 128 64 1.
 * The stub is a device that has finished an operation as soon as it is posted; its functions begin with stub_, so that
 * they can be left out of the count, as a provider's own work is.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/loop.h"
#include "transports/verbs/lane.h"

enum { STAMPS_MAX = 1 << 20, BATCH = 1024, SLOTS = 16, MESSAGE = 8, STRIDE = 64, REQUESTS_MAX = 65536 };

/* What was posted and asks for a completion, in order. */
struct stub {
	struct ibv_context context;
	struct ibv_qp_ex qpx;
	struct ibv_cq cq;
	struct fm_verbs_control control;
	uint8_t memory[SLOTS * STRIDE];
	uint64_t ids[REQUESTS_MAX];
	uint32_t head, tail;
};

static struct stub *stub_of(struct ibv_qp_ex *qpx)
{
	return (struct stub *)((char *)qpx - offsetof(struct stub, qpx));
}

static void stub_request(struct stub *stub, uint64_t id, unsigned flags)
{
	if (flags & IBV_SEND_SIGNALED)
		stub->ids[stub->tail++ % REQUESTS_MAX] = id;
}

static void stub_start(struct ibv_qp_ex *qpx)
{
	(void)qpx;
}

static int stub_complete(struct ibv_qp_ex *qpx)
{
	(void)qpx;
	return 0;
}

static void stub_write(struct ibv_qp_ex *qpx, uint32_t key, uint64_t address)
{
	(void)key, (void)address;
	stub_request(stub_of(qpx), qpx->wr_id, qpx->wr_flags);
}

static void stub_send(struct ibv_qp_ex *qpx)
{
	stub_request(stub_of(qpx), qpx->wr_id, qpx->wr_flags);
}

static void stub_sge(struct ibv_qp_ex *qpx, uint32_t key, uint64_t address, uint32_t length)
{
	(void)qpx, (void)key, (void)address, (void)length;
}

static void stub_inline(struct ibv_qp_ex *qpx, void *address, size_t length)
{
	(void)qpx, (void)address, (void)length;
}

static int stub_post(struct ibv_qp *qp, struct ibv_send_wr *list, struct ibv_send_wr **bad)
{
	struct stub *stub = (struct stub *)((char *)qp->context - offsetof(struct stub, context));

	(void)bad;
	for (; list; list = list->next)
		stub_request(stub, list->wr_id, list->send_flags);
	return 0;
}

static int stub_poll(struct ibv_cq *cq, int count, struct ibv_wc *entries)
{
	struct stub *stub = (struct stub *)((char *)cq - offsetof(struct stub, cq));
	int n = 0;

	for (; n < count && stub->head != stub->tail; n++) {
		entries[n].wr_id = stub->ids[stub->head++ % REQUESTS_MAX];
		entries[n].status = IBV_WC_SUCCESS;
	}
	return n;
}

/* This device is always well. */
void fm_verbs_watch(struct fm_verbs_thread *thread)
{
	(void)thread;
}

static void stub_fill(struct stub *stub)
{
	stub->context.ops.post_send = stub_post;
	stub->context.ops.poll_cq = stub_poll;
	stub->cq.context = &stub->context;
	stub->qpx.qp_base.context = &stub->context;
	stub->qpx.wr_start = stub_start;
	stub->qpx.wr_complete = stub_complete;
	stub->qpx.wr_rdma_write = stub->qpx.wr_rdma_read = stub_write;
	stub->qpx.wr_send = stub_send;
	stub->qpx.wr_set_sge = stub_sge;
	stub->qpx.wr_set_inline_data = stub_inline;
}

static int run(struct fm_verbs_lane *lane, uint64_t operations)
{
	struct fm_lane made = fm_verbs_lane_specialise(lane);
	struct fm_clock clock = {.counter = true, .source = "tsc", .ns_per_tick = 1};
	atomic_int stop = FM_RUN;
	struct fm_loop_context context = {.clock = &clock, .stop = &stop};
	struct fm_loop loop = {.lane = &made, .operations = operations, .batch = BATCH, .depth = lane->work->depth};
	int code;

	loop.trace.capacity = STAMPS_MAX;
	loop.trace.ticks = calloc(loop.trace.capacity, sizeof(uint64_t));
	loop.trace.done = calloc(loop.trace.capacity, sizeof(uint64_t));
	if (!loop.trace.ticks || !loop.trace.done)
		return -1;
	code = made.arm(made.self, operations, 0);
	code = code ? code : fm_loop_run(FM_DRIVE, &loop, 1, &context);
	printf("%" PRIu64 " operations\n", loop.done);
	free(loop.trace.ticks);
	free(loop.trace.done);
	return code || loop.done != operations;
}

static int lane_run(char **argv, const struct fm_work *work, struct stub *stub, uint64_t operations)
{
	struct ibv_mr region = {.lkey = 1, .rkey = 2};
	struct fm_verbs_thread thread = {.cq = &stub->cq, .count = 1};
	struct fm_verbs_options options = {.post_list = 1};
	struct fm_verbs_lane lane = {
		.thread = &thread,
		.work = work,
		.options = &options,
		.qp = &stub->qpx.qp_base,
		.qpx = strcmp(argv[2], "extended") == 0 ? &stub->qpx : NULL,
		.room = work->depth,
		.signal_every = strtoull(argv[5], NULL, 10),
		.list_max = 1,
		.out_region = &region,
		.in_region = &region,
		.out = {.base = stub->memory, .bytes = sizeof(stub->memory)},
		.in = {.base = stub->memory, .bytes = sizeof(stub->memory)},
		.control = &stub->control,
		.inline_max = strcmp(argv[6], "0") != 0 ? MESSAGE : 0,
	};
	struct fm_error error;
	int code;

	lane.opcode = strncmp(argv[1], "write", 5) == 0	 ? IBV_WR_RDMA_WRITE
		      : strncmp(argv[1], "read", 4) == 0 ? IBV_WR_RDMA_READ
							 : IBV_WR_SEND;
	thread.lanes = &lane;
	code = fm_verbs_lane_init(&lane, &error);
	code = code ? code : run(&lane, operations);
	fm_verbs_lane_free(&lane);
	return code;
}

int main(int argc, char **argv)
{
	struct fm_work work = {.test = FM_WRITE_BW, .role = FM_DRIVE, .streams = 1, .threads = 1, .slots = SLOTS};
	struct stub *stub = aligned_alloc(_Alignof(struct stub), sizeof(*stub));
	int code;

	if (argc != 7 || !stub) {
		fputs("usage: lane_verbs write_bw|read_bw|send_bw extended|classic OPERATIONS DEPTH SIGNAL INLINE\n",
		      stderr);
		return 2;
	}
	memset((void *)stub, 0, sizeof(*stub));
	work.depth = (uint32_t)strtoul(argv[4], NULL, 10);
	work.size_bytes = MESSAGE;
	work.stride_bytes = STRIDE;
	stub_fill(stub);
	code = lane_run(argv, &work, stub, strtoull(argv[3], NULL, 10));
	free(stub);
	return code ? 1 : 0;
}
