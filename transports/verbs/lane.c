/*
 * lane.c - arm, poll, settle and explain of a stream; receives posted ahead, and credits for them.
 *
 * A receiver of reliable messages writes how many receives it has posted into a word of the sender's, which sends no
 * more than that: no message ever meets a queue without a receive.
 */
#include "transports/verbs/lane.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "transports/verbs/status.h"

#define INLINE static inline __attribute__((always_inline))

enum {
	WAIT_MS = 10,
	NAP_MS = 1,
	NAPS = 16, /* between two looks at the device */
	CREDIT_NAP_NS = 20000,
	SETTLE_MS = 100,
	DRAIN_MAX = 16,
	IDLE_POLLS = 1024,
	EVENTS_MAX = 64,
	IDLE_DRAINS = 1 << 16, /* milliseconds: the look at the device that follows takes microseconds */
};

#define SEQUENCE_MASK ((1ull << FM_VERBS_ID_SEQUENCE_BITS) - 1)

int fm_verbs_lane_fail(struct fm_verbs_lane *lane, int code, const char *call)
{
	if (!lane->failure.code)
		lane->failure = (struct fm_verbs_failure){.code = code, .call = call};
	return lane->failure.code;
}

/* The first that says something wins over those that only follow from it. */
void fm_verbs_lane_blame(struct fm_verbs_lane *lane, const struct ibv_wc *entry)
{
	struct fm_verbs_failure *failure = &lane->failure;

	if (failure->code && (failure->call || !fm_verbs_status_secondary(failure->status)))
		return;
	*failure = (struct fm_verbs_failure){
		.code = -EIO,
		.status = entry->status,
		.vendor = entry->vendor_err,
		.kind = (enum fm_verbs_kind)(entry->wr_id >> FM_VERBS_ID_KIND_SHIFT),
	};
}

static inline void book(struct fm_verbs_thread *thread, const struct ibv_wc *entry)
{
	struct fm_verbs_lane *lane = &thread->lanes[entry->wr_id >> FM_VERBS_ID_LANE_SHIFT & UINT16_MAX];

	if (__builtin_expect(entry->status != IBV_WC_SUCCESS, 0)) {
		fm_verbs_lane_blame(lane, entry);
		return;
	}
	switch ((enum fm_verbs_kind)(entry->wr_id >> FM_VERBS_ID_KIND_SHIFT)) {
	case FM_VERBS_SENT:
		/* One completion says how far the queue is, where it keeps its order; else each is asked for. */
		lane->acked = lane->unordered ? lane->acked + 1 : entry->wr_id & SEQUENCE_MASK;
		break;
	case FM_VERBS_RECEIVED:
		lane->seen++;
		/* A straggler of an earlier repetition took a receive, and counts no further. */
		lane->arrived += !lane->lossy || entry->imm_data == lane->immediate;
		break;
	case FM_VERBS_GRANTED:
		lane->granting--;
		break;
	case FM_VERBS_FLUSHED:
		lane->flushing--;
		break;
	}
}

int fm_verbs_drain(struct fm_verbs_thread *thread)
{
	struct ibv_wc entries[DRAIN_MAX];
	int n;

	/* To its end: a lane whose own entries lie behind others' must not seem to have none. */
	do {
		n = ibv_poll_cq(thread->cq, DRAIN_MAX, entries);
		for (int i = 0; i < n; i++)
			book(thread, &entries[i]);
	} while (n == DRAIN_MAX);
	if (n > 0) {
		thread->idle = 0;
	} else if (++thread->idle >= IDLE_DRAINS) {
		thread->idle = 0;
		fm_verbs_watch(thread);
	}
	return n < 0 ? -EIO : 0;
}

/* ---- receives and credits ---- */

INLINE int receive(struct fm_verbs_lane *lane, uint32_t slack, const bool shared)
{
	uint64_t want = lane->looked + lane->ahead;

	if (want > lane->receive_end)
		want = lane->receive_end;
	if (want <= lane->receives || (want - lane->receives <= slack && want < lane->receive_end))
		return 0;
	while (lane->receives < want) {
		uint64_t missing = want - lane->receives;
		uint32_t n = missing < FM_VERBS_LIST_MAX ? (uint32_t)missing : FM_VERBS_LIST_MAX;
		struct ibv_recv_wr *bad;
		int code;

		for (uint32_t i = 0; i < n; i++) {
			lane->receive_entries[2 * i + 1].addr = lane->receiving.base + lane->receiving.at;
			lane->receiving.at += lane->receiving.stride;
			if (lane->receiving.at == lane->receiving.end)
				lane->receiving.at = 0;
		}
		lane->receive_list[n - 1].next = NULL;
		code = shared ? fm_verbs_shared_post(lane, n) : ibv_post_recv(lane->qp, lane->receive_list, &bad);
		if (n < FM_VERBS_LIST_MAX)
			lane->receive_list[n - 1].next = &lane->receive_list[n];
		if (__builtin_expect(code, 0))
			return fm_verbs_lane_fail(lane, -code, shared ? "ibv_post_srq_recv" : "ibv_post_recv");
		lane->receives += n;
	}
	return 0;
}

int fm_verbs_receive(struct fm_verbs_lane *lane, uint32_t slack)
{
	return receive(lane, slack, false);
}

/* Receives, then the credit for them where it is due. */
INLINE int lane_refill(struct fm_verbs_lane *lane, const bool shared)
{
	uint64_t owed;
	int code = shared ? receive(lane, lane->slack, true) : fm_verbs_receive(lane, lane->slack);

	if (__builtin_expect(code, 0) || !lane->grants_credit)
		return code;
	owed = lane->receives - lane->granted;
	if (owed == 0 || (owed < lane->grant_step && lane->receives < lane->receive_end) ||
	    lane->granting == lane->granting_max)
		return 0;
	return fm_verbs_grant(lane);
}

/* ---- poll ---- */

static inline int lane_report(struct fm_verbs_lane *lane)
{
	int n = (int)(*lane->counted - lane->reported);

	if (__builtin_expect(lane->failure.code, 0))
		return lane->failure.code;
	lane->reported += (uint32_t)n;
	lane->looked = lane->seen;
	return n;
}

static inline int lane_drain(struct fm_verbs_lane *lane)
{
	int code = fm_verbs_drain(lane->thread);

	return __builtin_expect(code, 0) ? fm_verbs_lane_fail(lane, code, "ibv_poll_cq") : 0;
}

/* Operations that are through the queue pair, or a target's nothing. */
static int poll_acked(void *self)
{
	struct fm_verbs_lane *lane = self;
	int code = lane_drain(lane);

	return code ? code : lane_report(lane);
}

/* The same, or arrivals, on a lane that receives. */
static int poll_received(void *self)
{
	struct fm_verbs_lane *lane = self;
	int code = lane_refill(lane, false);

	code = code ? code : lane_drain(lane);
	return code ? code : lane_report(lane);
}

/*
 * A target of one-sided operations: its device answers for it, so that polling would only take a CPU from whoever
 * shares it: a sibling thread, or a software device's own work. One lane of a thread naps for all.
 */
static int poll_target(void *self)
{
	struct fm_verbs_lane *lane = self;

	if (lane == lane->thread->lanes) {
		poll(NULL, 0, NAP_MS);
		if (++lane->idle % NAPS == 0)
			fm_verbs_watch(lane->thread);
	}
	return poll_acked(lane);
}

/* The same on a lane that shares receives. */
static int poll_shared(void *self)
{
	struct fm_verbs_lane *lane = self;
	int code = lane_refill(lane, true);

	code = code ? code : lane_drain(lane);
	if (code)
		return code;
	code = fm_verbs_shared_drain(lane->thread);
	return code ? fm_verbs_lane_fail(lane, code, "ibv_poll_cq") : lane_report(lane);
}

/* Of iWARP: the last operation is held back until the flush behind it was answered. */
static int poll_flushed(void *self)
{
	struct fm_verbs_lane *lane = self;
	int code = 0;

	if (lane->receives_messages || lane->shares_receives)
		code = lane_refill(lane, lane->shares_receives);
	code = code ? code : lane_drain(lane);
	if (code == 0 && lane->shares_receives)
		code = fm_verbs_shared_drain(lane->thread);
	if (code == 0 && lane->posted == lane->armed && lane->flush_due) {
		lane->flush_due = false;
		code = fm_verbs_flush(lane);
	}
	if (code)
		return code;
	if (!lane->flushing || lane->acked < lane->armed)
		return lane_report(lane);
	lane->acked--;
	code = lane_report(lane);
	lane->acked++;
	return code;
}

/* Receives before and after, as post.c has them for those of a lane's own. */
static int post_shared(void *self, uint32_t count)
{
	struct fm_verbs_lane *lane = self;
	int n = receive(lane, lane->slack, true), code;

	if (n == 0)
		n = lane->plain_post(lane, count);
	if (n <= 0)
		return n;
	code = receive(lane, lane->slack_after, true);
	return code < 0 ? code : n;
}

static int poll_memory(void *self)
{
	struct fm_verbs_lane *lane = self;
	const uint8_t *last = (const uint8_t *)(uintptr_t)(lane->incoming.base + lane->incoming.at) + lane->size - 1;

	if (__atomic_load_n(last, __ATOMIC_ACQUIRE) != lane->stamp_in) {
		/* Nobody waits for these completions, but a failure is told by them alone. */
		if (++lane->idle % IDLE_POLLS)
			return 0;
		/* Each of these looks counts: a removed device is to be seen as soon as by a lane that drains. */
		lane->thread->idle += IDLE_POLLS - 1;
		lane_drain(lane);
		return lane->failure.code;
	}
	lane->incoming.at += lane->incoming.stride;
	if (lane->incoming.at == lane->incoming.end) {
		lane->incoming.at = 0;
		lane->stamp_in = lane->stamp_in == UINT8_MAX ? 1 : (uint8_t)(lane->stamp_in + 1);
	}
	lane->arrived++;
	return 1;
}

/* Has another lane's poll booked something that its own lane has not told of yet? */
static bool thread_owes(const struct fm_verbs_thread *thread)
{
	for (uint32_t i = 0; i < thread->count; i++) {
		const struct fm_verbs_lane *lane = &thread->lanes[i];
		/* What a flush holds back is not owed before the flush is answered, which gives a completion. */
		bool held = lane->flushes && lane->flushing && lane->acked == lane->armed;

		if (*lane->counted != lane->reported + held || lane->failure.code)
			return true;
	}
	return false;
}

/* Does a lane wait for credit alone? That comes as a write into memory, and no completion tells of it. */
static bool thread_waits_for_credit(const struct fm_verbs_thread *thread)
{
	for (uint32_t i = 0; i < thread->count; i++) {
		const struct fm_verbs_lane *lane = &thread->lanes[i];

		if (lane->needs_credit && lane->posted < lane->armed && lane->acked == lane->posted)
			return true;
	}
	return false;
}

static int thread_wait(struct fm_verbs_thread *thread)
{
	struct pollfd wait = {.fd = thread->channel->fd, .events = POLLIN};
	struct ibv_cq *cq;
	void *context;

	if (poll(&wait, 1, WAIT_MS) <= 0) {
		fm_verbs_watch(thread);
		return 0;
	}
	if (ibv_get_cq_event(thread->channel, &cq, &context) != 0)
		return -errno;
	thread->notified = false;
	/* Of shared receives, whose queue is closed without a count of its own. */
	if (cq != thread->cq) {
		ibv_ack_cq_events(cq, 1);
		return 0;
	}
	if (++thread->unacknowledged == EVENTS_MAX) {
		ibv_ack_cq_events(cq, thread->unacknowledged);
		thread->unacknowledged = 0;
	}
	return 0;
}

static int poll_waiting(void *self)
{
	struct fm_verbs_lane *lane = self;
	struct fm_verbs_thread *thread = lane->thread;
	int n = lane->busy_poll(lane), code = 0;

	if (n)
		return n;
	if (!thread->notified) {
		code = ibv_req_notify_cq(thread->cq, 0);
		if (code == 0 && thread->shared)
			code = fm_verbs_shared_notify(thread);
		if (code)
			return fm_verbs_lane_fail(lane, -code, "ibv_req_notify_cq");
		thread->notified = true;
		/* What came before it was asked for gives no event. */
		n = lane->busy_poll(lane);
		if (n)
			return n;
	}
	if (thread_owes(thread))
		return 0;
	if (thread_waits_for_credit(thread)) {
		nanosleep(&(struct timespec){0, CREDIT_NAP_NS}, NULL);
		return lane->busy_poll(lane);
	}
	code = thread_wait(thread);
	return code ? fm_verbs_lane_fail(lane, code, "ibv_get_cq_event") : lane->busy_poll(lane);
}

/* ---- before and after ---- */

static void clear_stamps(const struct fm_verbs_lane *lane)
{
	for (uint64_t at = 0; at < lane->incoming.end; at += lane->incoming.stride)
		*((volatile uint8_t *)(uintptr_t)(lane->incoming.base + at) + lane->size - 1) = 0;
}

static int lane_arm(void *self, uint64_t operations, uint64_t incoming)
{
	struct fm_verbs_lane *lane = self;
	bool drives = lane->work->role == FM_DRIVE;
	int code;

	lane->outgoing += drives || lane->work->role == FM_ECHO ? operations : 0;
	lane->awaited += !drives || fm_tests[lane->work->test].peer == FM_ECHO ? operations : incoming;
	lane->sent_before += lane->posted;
	lane->armed = operations;
	lane->posted = lane->acked = lane->arrived = lane->reported = 0;
	lane->flush_due = lane->flushes;
	lane->signal_at = lane->signal_every < operations ? lane->signal_every : operations;
	lane->local.at = lane->incoming.at = 0;
	lane->stamp_out = lane->stamp_in = 1;
	lane->immediate = htonl(ntohl(lane->immediate) + 1);
	for (uint32_t i = 0; i < lane->list_max; i++)
		if (lane->opcode == IBV_WR_RDMA_WRITE_WITH_IMM || lane->opcode == IBV_WR_SEND_WITH_IMM)
			lane->list[i].imm_data = lane->immediate;
	if (lane->polled)
		clear_stamps(lane);
	lane->credit_first = lane->sent_before + (operations < lane->peer.ahead ? operations : lane->peer.ahead);
	if (!lane->receives_messages && !lane->shares_receives)
		return lane->failure.code;
	/* What was lost left its receive behind. */
	if (lane->receives == lane->seen)
		lane->receiving.at = 0;
	lane->looked = lane->seen;
	lane->receive_end = lane->lossy ? UINT64_MAX : lane->receives + (incoming ? incoming : operations);
	code = receive(lane, 0, lane->shares_receives);
	lane->granted = lane->receives;
	return code ? code : lane->failure.code;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int lane_settle(void *self)
{
	struct fm_verbs_lane *lane = self;
	uint64_t end = now_ms() + SETTLE_MS;
	int code = 0;

	do {
		code = lane_drain(lane);
		if (code || lane->failure.code)
			return lane->failure.code;
		if (lane->acked == lane->posted && !lane->granting)
			return 0;
	} while (now_ms() < end);
	return fm_verbs_lane_fail(lane, -ETIMEDOUT, "ibv_poll_cq");
}

int fm_verbs_lane_explain(void *self, struct fm_error *error)
{
	static const char *const kinds[] = {"an operation", "a receive", "a credit", "a flush"};
	struct fm_verbs_lane *lane = self;
	const struct fm_verbs_failure *failure = &lane->failure;
	struct fm_verbs_words words;

	/* What only follows from a failure of the device is told by that. */
	if (failure->call || fm_verbs_status_secondary(failure->status))
		fm_verbs_watch(lane->thread);
	if (failure->fatal) {
		*error = *failure->fatal;
		return fm_error_prefix(error, "stream %u: ", lane->stream);
	}
	if (failure->call && failure->code == -ETIMEDOUT)
		return fm_error_set(
			error, failure->code, FM_REASON_TRANSFER,
			"stream %u: the completions of what was sent did not come within %d ms: the device or "
			"its driver hangs; look into the kernel's log",
			lane->stream, SETTLE_MS);
	if (failure->call)
		return fm_error_set(error, failure->code, FM_REASON_TRANSFER,
				    "stream %u: %s failed: %s; where the device was removed, the kernel's log says so",
				    lane->stream, failure->call, strerror(-failure->code));
	words = lane->unordered ? fm_verbs_status_words_efa(failure->status) : fm_verbs_status_words(failure->status);
	return fm_error_set(error, failure->code,
			    failure->status == IBV_WC_RETRY_EXC_ERR ||
					    (lane->unordered && failure->status == IBV_WC_RESP_TIMEOUT_ERR)
				    ? FM_REASON_PEER_LOST
				    : FM_REASON_TRANSFER,
			    "stream %u: %s ended with '%s' (status %d, vendor error 0x%x): %s", lane->stream,
			    kinds[failure->kind <= FM_VERBS_FLUSHED ? failure->kind : 0], words.name, failure->status,
			    failure->vendor, words.cause);
}

/* ---- made and freed ---- */

static void list_fill(struct fm_verbs_lane *lane)
{
	for (uint32_t i = 0; i < lane->list_max; i++) {
		struct ibv_send_wr *request = &lane->list[i];

		lane->entries[i] = (struct ibv_sge){.length = lane->size, .lkey = lane->local_key};
		*request = (struct ibv_send_wr){
			.next = i + 1 < lane->list_max ? request + 1 : NULL,
			.sg_list = &lane->entries[i],
			.num_sge = 1,
			.opcode = lane->opcode,
		};
		if (lane->ah) {
			request->wr.ud.ah = lane->ah;
			request->wr.ud.remote_qpn = lane->peer.qp_number;
			request->wr.ud.remote_qkey = FM_VERBS_QKEY;
		} else if (lane->opcode == IBV_WR_ATOMIC_FETCH_AND_ADD || lane->opcode == IBV_WR_ATOMIC_CMP_AND_SWP) {
			request->wr.atomic.rkey = lane->remote_key;
			request->wr.atomic.compare_add = lane->opcode == IBV_WR_ATOMIC_FETCH_AND_ADD;
			request->wr.atomic.swap = 1;
		} else {
			request->wr.rdma.rkey = lane->remote_key;
		}
	}
}

static void receive_fill(struct fm_verbs_lane *lane)
{
	uint64_t id = (lane->id & ~SEQUENCE_MASK) | (uint64_t)FM_VERBS_RECEIVED << FM_VERBS_ID_KIND_SHIFT;
	bool placed = lane->opcode == IBV_WR_SEND || lane->opcode == IBV_WR_SEND_WITH_IMM;

	for (uint32_t i = 0; i < FM_VERBS_LIST_MAX; i++) {
		struct ibv_sge *entries = &lane->receive_entries[2 * (size_t)i];

		entries[0] = (struct ibv_sge){(uintptr_t)lane->control->header, FM_VERBS_GRH, lane->control_key};
		entries[1] = (struct ibv_sge){.length = lane->size, .lkey = lane->in_region->lkey};
		lane->receive_list[i] = (struct ibv_recv_wr){
			.wr_id = id,
			.next = i + 1 < FM_VERBS_LIST_MAX ? &lane->receive_list[i + 1] : NULL,
			/* A write's data has its place: the receive only tells of it. */
			.sg_list = placed ? lane->headers ? entries : entries + 1 : NULL,
			.num_sge = placed ? 1 + lane->headers : 0,
		};
		/* EFA makes nothing of a receive without an entry, and fills this one with nothing. */
		if (lane->unordered && !placed) {
			lane->receive_list[i].sg_list = entries;
			lane->receive_list[i].num_sge = 1;
		}
	}
}

int fm_verbs_lane_init(struct fm_verbs_lane *lane, struct fm_error *error)
{
	const struct fm_work *work = lane->work;
	bool fetches = lane->opcode == IBV_WR_RDMA_READ || lane->opcode == IBV_WR_ATOMIC_FETCH_AND_ADD ||
		       lane->opcode == IBV_WR_ATOMIC_CMP_AND_SWP;
	struct fm_verbs_walk walk = {.stride = work->stride_bytes, .end = work->stride_bytes * work->slots};

	lane->size = (uint32_t)work->size_bytes;
	lane->list = calloc(lane->list_max, sizeof(*lane->list));
	lane->entries = calloc(lane->list_max, sizeof(*lane->entries));
	lane->receive_list = calloc(FM_VERBS_LIST_MAX, sizeof(*lane->receive_list));
	lane->receive_entries = calloc(FM_VERBS_LIST_MAX, 2 * sizeof(*lane->receive_entries));
	if (!lane->list || !lane->entries || !lane->receive_list || !lane->receive_entries)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for %u streams: take fewer",
				    work->streams);
	lane->local = lane->incoming = lane->receiving = walk;
	lane->local.base = (uintptr_t)(fetches ? lane->in.base : lane->out.base);
	lane->local_key = fetches ? lane->in_region->lkey : lane->out_region->lkey;
	lane->incoming.base = lane->receiving.base = (uintptr_t)lane->in.base;
	lane->flags = !fetches && lane->size <= lane->inline_max ? IBV_SEND_INLINE : 0;
	/* EFA takes what is written from memory alone. */
	if (lane->unordered && lane->opcode != IBV_WR_SEND && lane->opcode != IBV_WR_SEND_WITH_IMM)
		lane->flags = 0;
	lane->counted = lane->role_reports_arrivals ? &lane->arrived : &lane->acked;
	return 0;
}

struct fm_lane fm_verbs_lane_specialise(struct fm_verbs_lane *lane)
{
	struct fm_lane made = {lane, lane_arm, fm_verbs_poster(lane), poll_acked, lane_settle, fm_verbs_lane_explain};
	bool reads = lane->opcode == IBV_WR_RDMA_READ;

	lane->remote = reads ? lane->peer.out : lane->peer.in;
	lane->remote_key = reads ? lane->peer.out_key : lane->peer.in_key;
	list_fill(lane);
	receive_fill(lane);
	if (lane->polled)
		made.poll = poll_memory;
	else if (lane->flushes)
		made.poll = poll_flushed;
	else if (lane->receives_messages)
		made.poll = poll_received;
	else if (lane->work->role == FM_TARGET && !lane->work->events)
		made.poll = poll_target;
	if (lane->shares_receives) {
		fm_verbs_shared_join(lane);
		lane->plain_post = made.post;
		made.post = post_shared;
		made.poll = lane->flushes ? poll_flushed : poll_shared;
	}
	if (lane->work->events) {
		lane->busy_poll = made.poll;
		made.poll = poll_waiting;
	}
	return made;
}

void fm_verbs_lane_free(struct fm_verbs_lane *lane)
{
	free(lane->list);
	free(lane->entries);
	free(lane->receive_list);
	free(lane->receive_entries);
}
