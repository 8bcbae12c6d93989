/*
 * srq.c - receives that the lanes of a thread share, over a device that is made up: whatever the order in which
 * messages arrive and lanes are polled, none finds the queue empty, and with --verify each lies where its lane looks
 * for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory/memory.h"
#include "random.h"
#include "transports/verbs/endpoint.h"

enum { LANES_MAX = 8, QUEUE_MAX = 4096, SIZE = 24, STRIDE = 64, SLOTS = 12, FIRST_NUMBER = 0x3f9 };

/* What the device keeps; a call finds it by the context that it is given. */
struct device {
	struct ibv_context context;
	struct ibv_srq srq;
	struct ibv_cq sends, arrivals;
	struct ibv_mr region;
	uint32_t receives_most, receives; /* posted and not taken; a ring */
	uint64_t receive_at;
	struct ibv_recv_wr taken[QUEUE_MAX];
	struct ibv_sge places[QUEUE_MAX];
	struct ibv_wc done[2][QUEUE_MAX]; /* rings of sends and arrivals */
	uint64_t done_in[2], done_out[2];
	struct ibv_qp qps[LANES_MAX];
	uint64_t credit[LANES_MAX];	   /* as the peer's word of each lane has it */
	uint64_t answers[LANES_MAX], owed; /* of all lanes: asked and not come */
};

/* ---- the made-up device's calls ---- */

static struct device *device_of(struct ibv_context *context)
{
	return (struct device *)context;
}

static int device_poll(struct ibv_cq *cq, int most, struct ibv_wc *entries)
{
	struct device *device = device_of(cq->context);
	int which = cq == &device->arrivals, n = 0;

	while (n < most && device->done_out[which] < device->done_in[which])
		entries[n++] = device->done[which][device->done_out[which]++ % QUEUE_MAX];
	return n;
}

static int device_post_receives(struct ibv_srq *srq, struct ibv_recv_wr *list, struct ibv_recv_wr **bad)
{
	struct device *device = device_of(srq->context);

	for (; list; list = list->next) {
		uint64_t at = (device->receive_at + device->receives++) % QUEUE_MAX;

		*bad = list;
		assert_true(device->receives <= device->receives_most);
		device->taken[at] = *list;
		device->places[at] = list->num_sge ? list->sg_list[list->num_sge - 1] : (struct ibv_sge){0};
	}
	return 0;
}

static void complete(struct device *device, int which, struct ibv_wc entry)
{
	assert_true(device->done_in[which] - device->done_out[which] < QUEUE_MAX);
	device->done[which][device->done_in[which]++ % QUEUE_MAX] = entry;
}

/* A write is a credit; a send a question, whose answer may come while it is still being posted. */
static int device_post_send(struct ibv_qp *qp, struct ibv_send_wr *list, struct ibv_send_wr **bad)
{
	struct device *device = device_of(qp->context);
	size_t lane = (size_t)(qp - device->qps);

	for (; list; list = list->next) {
		*bad = list;
		if (list->opcode == IBV_WR_RDMA_WRITE) {
			memcpy(&device->credit[lane], (const void *)(uintptr_t)list->sg_list->addr, sizeof(uint64_t));
		} else {
			device->answers[lane]++;
			assert_true(++device->owed <= device->receives);
		}
		if (list->send_flags & IBV_SEND_SIGNALED)
			complete(device, 0, (struct ibv_wc){.wr_id = list->wr_id, .qp_num = qp->qp_num});
	}
	return 0;
}

struct ibv_cq *ibv_create_cq(struct ibv_context *context, int cqe, void *cq_context, struct ibv_comp_channel *channel,
			     int comp_vector)
{
	struct device *device = device_of(context);

	(void)cq_context, (void)channel, (void)comp_vector;
	assert_true(cqe > 0 && cqe <= QUEUE_MAX);
	return &device->arrivals;
}

struct ibv_srq *ibv_create_srq(struct ibv_pd *pd, struct ibv_srq_init_attr *srq_init_attr)
{
	struct device *device = device_of(pd->context);

	device->receives_most = srq_init_attr->attr.max_wr;
	return &device->srq;
}

int ibv_destroy_srq(struct ibv_srq *srq)
{
	(void)srq;
	return 0;
}

int ibv_destroy_cq(struct ibv_cq *cq)
{
	(void)cq;
	return 0;
}

int ibv_dereg_mr(struct ibv_mr *mr)
{
	(void)mr;
	return 0;
}

/* This device is always well. */
void fm_verbs_watch(struct fm_verbs_thread *thread)
{
	(void)thread;
}

int fm_verbs_region_make(const struct fm_endpoint *endpoint, const struct fm_buffer *buffer, int access,
			 struct ibv_mr **region, struct fm_error *error)
{
	(void)buffer, (void)access, (void)error;
	*region = &device_of(endpoint->context)->region;
	return 0;
}

/* ---- an endpoint over it ---- */

struct kit {
	struct device device;
	struct fm_work work;
	struct fm_verbs_options options;
	struct ibv_pd pd;
	struct fm_endpoint endpoint;
	struct fm_verbs_thread thread;
	struct fm_verbs_lane lanes[LANES_MAX];
	struct fm_verbs_control control[LANES_MAX];
	uint8_t slots[LANES_MAX][2][SLOTS * STRIDE];
	struct fm_lane driven[LANES_MAX];
	uint64_t seen[LANES_MAX]; /* arrivals that the lane told of in this repetition */
	uint64_t sent[LANES_MAX]; /* messages that came to it */
	uint64_t sent_before;
	struct random_source random;
};

static void device_init(struct kit *kit)
{
	struct device *device = &kit->device;

	device->context.ops.poll_cq = device_poll;
	device->context.ops.post_srq_recv = device_post_receives;
	device->context.ops.post_send = device_post_send;
	device->srq.context = device->sends.context = device->arrivals.context = kit->pd.context = &device->context;
	/* Some of them meet in the table of numbers. */
	for (uint32_t i = 0; i < LANES_MAX; i++)
		device->qps[i] = (struct ibv_qp){.context = &device->context, .qp_num = FIRST_NUMBER + 5 * i};
}

static struct fm_buffer buffer_of(uint8_t *base)
{
	return (struct fm_buffer){
		.base = base, .bytes = SLOTS * STRIDE, .kind = &fm_memory_host, .device = -1, .cpu_access = true};
}

static void lane_init(struct kit *kit, uint32_t i, enum ibv_wr_opcode opcode, bool ping_pong)
{
	struct fm_verbs_lane *lane = &kit->lanes[i];
	const uint32_t ahead = (uint32_t)kit->options.rx_depth;

	*lane = (struct fm_verbs_lane){
		.work = &kit->work,
		.options = &kit->options,
		.stream = i,
		.thread = &kit->thread,
		.id = (uint64_t)i << FM_VERBS_ID_LANE_SHIFT,
		.qp = &kit->device.qps[i],
		.out = buffer_of(kit->slots[i][0]),
		.in = buffer_of(kit->slots[i][1]),
		.out_region = &kit->device.region,
		.in_region = &kit->device.region,
		.control = &kit->control[i],
		.opcode = opcode,
		.shares_receives = true,
		.role_reports_arrivals = true,
		.grants_credit = !ping_pong,
		.ahead = ahead,
		.slack = kit->work.verify ? 0 : ahead / 2,
		.slack_after = ping_pong || kit->work.verify ? 0 : ahead / 2,
		.grant_step = ahead / 4 ? ahead / 4 : 1,
		.granting_max = FM_VERBS_GRANTS,
		.room = 16,
		.signal_every = 4,
		.list_max = 1,
	};
}

static struct kit *kit_make(uint32_t lanes, uint32_t ahead, enum ibv_wr_opcode opcode, bool verify, bool ping_pong)
{
	struct kit *kit = calloc(1, sizeof(*kit));
	struct fm_error error;

	assert_non_null(kit);
	device_init(kit);
	kit->random.state = lanes * 1000 + ahead;
	kit->options.rx_depth = ahead;
	kit->work = (struct fm_work){.verify = verify,
				     .size_bytes = SIZE,
				     .stride_bytes = STRIDE,
				     .slots = SLOTS,
				     .depth = SLOTS,
				     .streams = lanes,
				     .threads = 1};
	kit->endpoint =
		(struct fm_endpoint){.work = &kit->work,
				     .context = &kit->device.context,
				     .device = {.max_srq = 1, .max_srq_wr = 1024, .max_srq_sge = 1, .max_cqe = 4096},
				     .self = {.type = IBV_QPT_RC}};
	kit->thread =
		(struct fm_verbs_thread){.pd = &kit->pd, .cq = &kit->device.sends, .lanes = kit->lanes, .count = lanes};
	for (uint32_t i = 0; i < lanes; i++)
		lane_init(kit, i, opcode, ping_pong);
	assert_int_equal(fm_verbs_shared_open(&kit->endpoint, &kit->thread, &error), 0);
	for (uint32_t i = 0; i < lanes; i++) {
		assert_int_equal(fm_verbs_lane_init(&kit->lanes[i], &error), 0);
		kit->driven[i] = fm_verbs_lane_specialise(&kit->lanes[i]);
	}
	return kit;
}

static void kit_free(struct kit *kit)
{
	for (uint32_t i = 0; i < kit->thread.count; i++)
		fm_verbs_lane_free(&kit->lanes[i]);
	fm_verbs_shared_close(&kit->thread);
	free(kit);
}

/* ---- messages ---- */

static uint64_t seed_of(uint32_t lane, uint64_t sequence)
{
	return (uint64_t)lane << 32 | sequence;
}

/* The next message to the lane takes a receive: there is one. */
static void arrive(struct kit *kit, uint32_t i)
{
	struct device *device = &kit->device;
	uint64_t at = device->receive_at % QUEUE_MAX, sequence = kit->sent[i]++;
	const struct ibv_sge *place = &device->places[at];
	uint8_t *slot = kit->slots[i][1] + sequence % SLOTS * STRIDE;

	assert_true(device->receives > 0);
	device->receives--;
	device->receive_at++;
	/* A write has its place, whatever the receive. */
	if (device->taken[at].num_sge) {
		assert_true(place->length >= SIZE);
		slot = (uint8_t *)(uintptr_t)place->addr;
	}
	fm_pattern_fill(slot, SIZE, seed_of(i, sequence));
	complete(device, 1, (struct ibv_wc){.wr_id = device->taken[at].wr_id, .qp_num = device->qps[i].qp_num});
}

static void look(struct kit *kit, uint32_t i)
{
	int n = kit->driven[i].poll(kit->driven[i].self);

	assert_true(n >= 0);
	for (; n > 0; n--) {
		uint64_t sequence = kit->seen[i]++;
		const uint8_t *slot = kit->slots[i][1] + sequence % SLOTS * STRIDE;

		if (kit->work.verify)
			assert_int_equal(fm_pattern_check(slot, SIZE, seed_of(i, sequence)), SIZE);
	}
	assert_true(kit->seen[i] <= kit->sent[i]);
}

static void arm_all(struct kit *kit, uint64_t operations)
{
	for (uint32_t i = 0; i < kit->thread.count; i++) {
		assert_int_equal(kit->driven[i].arm(kit->driven[i].self, operations, operations), 0);
		kit->seen[i] = kit->sent[i] = 0;
	}
}

/* May the peer's drive send another one to the lane? */
static bool may_send(const struct kit *kit, uint32_t i, uint64_t operations)
{
	uint64_t first = operations < kit->options.rx_depth ? operations : kit->options.rx_depth;
	uint64_t credit = kit->device.credit[i];

	if (credit < kit->sent_before + first)
		credit = kit->sent_before + first;
	return kit->sent[i] < operations && kit->sent_before + kit->sent[i] < credit;
}

static void sink_run(struct kit *kit, uint64_t operations)
{
	uint64_t left = operations * kit->thread.count, idle = 0;

	arm_all(kit, operations);
	while (left) {
		uint32_t i = (uint32_t)(random_u64(&kit->random) % kit->thread.count);

		/* One lane may send all that it can before another is served. */
		if (random_u64(&kit->random) % 3) {
			while (may_send(kit, i, operations) && random_u64(&kit->random) % 16) {
				arrive(kit, i);
				left--;
				idle = 0;
			}
		} else {
			look(kit, i);
		}
		assert_true(++idle < 100000);
	}
	for (int round = 0; round < 2; round++)
		for (uint32_t i = 0; i < kit->thread.count; i++)
			look(kit, i);
	for (uint32_t i = 0; i < kit->thread.count; i++) {
		assert_int_equal(kit->seen[i], operations);
		assert_int_equal(kit->driven[i].settle(kit->driven[i].self), 0);
	}
	/* What is posted is what comes: nothing stays behind. */
	assert_int_equal(kit->device.receives, 0);
	kit->sent_before += operations;
}

static void sinks_are_always_ready(void **state)
{
	static const struct {
		uint32_t lanes, ahead;
		enum ibv_wr_opcode opcode;
		bool verify;
	} cases[] = {
		{1, 8, IBV_WR_SEND, true},
		{8, SLOTS, IBV_WR_SEND, true},
		{8, 1, IBV_WR_SEND, true},
		{3, 5, IBV_WR_SEND, false},
		{8, SLOTS, IBV_WR_RDMA_WRITE_WITH_IMM, true},
		{8, 64, IBV_WR_RDMA_WRITE_WITH_IMM, false},
		{5, 3, IBV_WR_SEND, false},
	};
	static const uint64_t repetitions[] = {1, 500, 7, 3000};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kit *kit = kit_make(cases[i].lanes, cases[i].ahead, cases[i].opcode, cases[i].verify, false);

		for (size_t j = 0; j < sizeof(repetitions) / sizeof(repetitions[0]); j++)
			sink_run(kit, repetitions[j]);
		kit_free(kit);
	}
}

/* Each question is answered as soon as it was asked: the receive for the answer must be there before. */
static void ping_run(struct kit *kit, uint64_t operations)
{
	uint64_t left = operations * kit->thread.count;

	memset(kit->device.answers, 0, sizeof(kit->device.answers));
	arm_all(kit, operations);
	while (left) {
		uint32_t i = (uint32_t)(random_u64(&kit->random) % kit->thread.count);

		if (kit->seen[i] == kit->sent[i] && kit->sent[i] == kit->device.answers[i] && kit->seen[i] < operations)
			assert_int_equal(kit->driven[i].post(kit->driven[i].self, 1), 1);
		for (uint32_t j = 0; j < kit->thread.count; j++)
			if (kit->sent[j] < kit->device.answers[j] && random_u64(&kit->random) % 2) {
				arrive(kit, j);
				kit->device.owed--;
			}
		left += kit->seen[i];
		look(kit, i);
		left -= kit->seen[i];
	}
}

static void answers_find_receives(void **state)
{
	(void)state;
	for (uint32_t lanes = 1; lanes <= LANES_MAX; lanes += 7)
		for (uint32_t ahead = 1; ahead <= 8; ahead += 7)
			for (int verify = 0; verify < 2; verify++) {
				struct kit *kit = kit_make(lanes, ahead, IBV_WR_SEND, verify, true);

				for (uint64_t operations = 1; operations < 1000; operations *= 31)
					ping_run(kit, operations);
				kit_free(kit);
			}
}

static void assert_refused(struct kit *kit, struct ibv_device_attr device, const char *words)
{
	struct fm_verbs_thread thread = kit->thread;
	struct fm_error error = {0};

	thread.shared = NULL;
	kit->endpoint.device = device;
	assert_true(fm_verbs_shared_open(&kit->endpoint, &thread, &error) < 0);
	assert_int_equal(error.reason, FM_REASON_UNSUPPORTED);
	if (!strstr(error.text, words))
		fail_msg("'%s' is not in: %s", words, error.text);
	assert_null(thread.shared);
}

static void limits_are_told(void **state)
{
	struct kit *kit = kit_make(8, SLOTS, IBV_WR_SEND, false, false);
	const struct ibv_device_attr good = {.max_srq = 1, .max_srq_wr = 96, .max_srq_sge = 1, .max_cqe = 97};
	struct ibv_device_attr device = good;

	(void)state;
	device.max_srq = 0;
	assert_refused(kit, device, "has no shared receive queues: leave it out");
	device = good;
	device.max_srq_wr = 95;
	assert_refused(kit, device, "8 streams of a thread with 12 receives each share a queue of 96");
	device = good;
	device.max_cqe = 96;
	assert_refused(kit, device, "completion queues of 96");
	kit->work.threads = 2;
	assert_refused(kit, good, "a shared receive queue for each of 2 threads");
	kit->work.threads = 1;
	kit->endpoint.self.type = IBV_QPT_UD;
	assert_refused(kit, good, "for datagrams");
	kit->endpoint.device = good;
	assert_int_equal(fm_verbs_shared_most(&kit->endpoint), SLOTS);
	kit_free(kit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sinks_are_always_ready),
		cmocka_unit_test(answers_find_receives),
		cmocka_unit_test(limits_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
