/*
 * verbs_cm.c - queue pairs connected by rdma_cm, with a librdmacm and a device that are made up: who is taken for the
 * peer, what comes after each event, and what is said when one fails.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "transports/verbs/cm.h"

enum { STREAMS = 2, EVENTS_MAX = 16, IDS_MAX = 64 };

static const uint8_t ours[FM_VERBS_CM_NONCE] = "our own nonce..", theirs[FM_VERBS_CM_NONCE] = "the peer's one.";

/* The made-up library: one a test, found by the channel and by each id. */
struct stage {
	struct rdma_event_channel channel; /* first: the calls get it */
	struct ibv_device device;
	struct ibv_context context;
	struct rdma_cm_id ids[IDS_MAX];
	uint32_t made, destroyed, accepted, rejected, connected, established, states, posted;
	struct rdma_cm_event events[EVENTS_MAX];
	uint32_t events_count, events_taken;
	int connect_errno; /* of the next connect, once */
	uint32_t completions;
	uint64_t completion_id;

	struct fm_services services;
	struct fm_work work;
	struct fm_place_rail rail;
	struct ibv_qp qps[STREAMS];
	struct ibv_cq cq;
	struct ibv_mr region;
	struct fm_verbs_control control[STREAMS];
	struct fm_verbs_thread thread;
	struct fm_verbs_lane lanes[STREAMS];
	struct fm_endpoint endpoint;
	struct fm_error error;
};

static struct stage *stage_of(struct rdma_cm_id *id)
{
	return (struct stage *)id->channel;
}

static struct rdma_cm_id *id_make(struct stage *stage, void *context)
{
	struct rdma_cm_id *id = &stage->ids[stage->made++];

	assert_true(stage->made <= IDS_MAX);
	id->channel = &stage->channel;
	id->context = context;
	id->verbs = &stage->context;
	id->port_num = 1;
	return id;
}

static int fake_create_id(struct rdma_event_channel *channel, struct rdma_cm_id **id, void *context,
			  enum rdma_port_space space)
{
	assert_int_equal(space, RDMA_PS_TCP);
	*id = id_make((struct stage *)channel, context);
	return 0;
}

static int fake_destroy_id(struct rdma_cm_id *id)
{
	stage_of(id)->destroyed++;
	return 0;
}

static int fake_resolve_addr(struct rdma_cm_id *id, struct sockaddr *own, struct sockaddr *peer, int timeout_ms)
{
	assert_non_null(id);
	assert_int_equal(((struct sockaddr_in *)own)->sin_port, 0);
	assert_int_equal(ntohs(((struct sockaddr_in *)peer)->sin_port), 4711);
	assert_true(timeout_ms > 0);
	return 0;
}

static int fake_resolve_route(struct rdma_cm_id *id, int timeout_ms)
{
	assert_non_null(id);
	assert_true(timeout_ms > 0);
	return 0;
}

static int fake_connect(struct rdma_cm_id *id, struct rdma_conn_param *parameters)
{
	struct stage *stage = stage_of(id);
	uint32_t stream;

	if (stage->connect_errno) {
		errno = stage->connect_errno;
		stage->connect_errno = 0;
		return -1;
	}
	assert_true(
		fm_verbs_cm_greeted(parameters->private_data, parameters->private_data_len, theirs, STREAMS, &stream));
	assert_int_equal(parameters->qp_num, stage->qps[stream].qp_num);
	stage->connected++;
	return 0;
}

static int fake_accept(struct rdma_cm_id *id, struct rdma_conn_param *parameters)
{
	uint32_t stream;

	assert_true(
		fm_verbs_cm_greeted(parameters->private_data, parameters->private_data_len, theirs, STREAMS, &stream));
	assert_ptr_equal(id->context, &stage_of(id)->endpoint.cm->links[stream]);
	stage_of(id)->accepted++;
	return 0;
}

static int fake_reject(struct rdma_cm_id *id, const void *data, uint8_t bytes)
{
	assert_true(!data && !bytes);
	stage_of(id)->rejected++;
	return 0;
}

static int fake_establish(struct rdma_cm_id *id)
{
	stage_of(id)->established++;
	return 0;
}

static int fake_init_qp_attr(struct rdma_cm_id *id, struct ibv_qp_attr *attributes, int *mask)
{
	assert_non_null(id);
	*mask = IBV_QP_STATE;
	attributes->ah_attr.grh.traffic_class = 8;
	return 0;
}

static int fake_get_cm_event(struct rdma_event_channel *channel, struct rdma_cm_event **event)
{
	struct stage *stage = (struct stage *)channel;

	if (stage->events_taken == stage->events_count) {
		errno = EAGAIN;
		return -1;
	}
	*event = &stage->events[stage->events_taken++];
	return 0;
}

static int fake_ack_cm_event(struct rdma_cm_event *event)
{
	/* As the library does: what was in it is gone. */
	memset(event, 0xaa, sizeof(*event));
	return 0;
}

static int fake_set_option(struct rdma_cm_id *id, int level, int name, void *value, size_t bytes)
{
	assert_non_null(id);
	assert_true(level == RDMA_OPTION_ID && name == RDMA_OPTION_ID_TOS && bytes == 1 && *(uint8_t *)value == 96);
	return 0;
}

int __wrap_ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attributes, int mask);

int __wrap_ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attributes, int mask)
{
	struct stage *stage = (struct stage *)qp->qp_context;

	assert_true(mask & IBV_QP_STATE);
	if (attributes->qp_state == IBV_QPS_RTS)
		assert_true(attributes->timeout == 14 && attributes->retry_cnt == 6 && attributes->rnr_retry == 7);
	stage->states++;
	return 0;
}

static int fake_post_send(struct ibv_qp *qp, struct ibv_send_wr *request, struct ibv_send_wr **bad)
{
	struct stage *stage = (struct stage *)qp->qp_context;

	(void)bad;
	assert_int_equal(request->opcode, IBV_WR_RDMA_READ);
	stage->completion_id = request->wr_id;
	stage->posted++;
	return 0;
}

static int fake_poll_cq(struct ibv_cq *cq, int count, struct ibv_wc *entries)
{
	struct stage *stage = (struct stage *)cq->cq_context;
	int n = 0;

	for (; n < count && stage->completions; n++, stage->completions--)
		entries[n] = (struct ibv_wc){.wr_id = stage->completion_id, .status = IBV_WC_SUCCESS};
	return n;
}

/* Linked instead of the one that loads the library; cm_open is not what is tested here. */
int fm_verbs_cm_load(struct fm_verbs_cm_calls *calls, struct fm_error *error)
{
	(void)error;
	*calls = (struct fm_verbs_cm_calls){
		.create_id = fake_create_id,
		.destroy_id = fake_destroy_id,
		.resolve_addr = fake_resolve_addr,
		.resolve_route = fake_resolve_route,
		.connect = fake_connect,
		.accept = fake_accept,
		.reject = fake_reject,
		.establish = fake_establish,
		.init_qp_attr = fake_init_qp_attr,
		.get_cm_event = fake_get_cm_event,
		.ack_cm_event = fake_ack_cm_event,
		.set_option = fake_set_option,
	};
	return 0;
}

static bool never(void *context)
{
	(void)context;
	return false;
}

static void stage_endpoint(struct stage *stage)
{
	struct fm_endpoint *endpoint = &stage->endpoint;

	endpoint->work = &stage->work;
	endpoint->rail = &stage->rail;
	endpoint->lanes = stage->lanes;
	endpoint->threads = &stage->thread;
	endpoint->options =
		(struct fm_verbs_options){.qp_timeout = 14, .retry_count = 6, .rnr_retry = 7, .traffic_class = 96};
	endpoint->port = (struct fm_verbs_port){.device = "made0", .number = 1, .ethernet = true};
	endpoint->self.type = IBV_QPT_RC;
	endpoint->self.ethernet = endpoint->self.by_cm = true;
	endpoint->self.mtu = IBV_MTU_4096;
	endpoint->peer.cm_port = 4711;
	assert_true(fm_verbs_cm_address_read("10.0.0.1", endpoint->self.cm_address));
	assert_true(fm_verbs_cm_address_read("10.0.0.2", endpoint->peer.cm_address));
	memcpy(endpoint->self.cm_nonce, ours, sizeof(ours));
	memcpy(endpoint->peer.cm_nonce, theirs, sizeof(theirs));
	endpoint->cm = calloc(1, sizeof(*endpoint->cm));
	assert_non_null(endpoint->cm);
	endpoint->cm->links = calloc(STREAMS, sizeof(*endpoint->cm->links));
	assert_non_null(endpoint->cm->links);
	endpoint->cm->channel = &stage->channel;
	snprintf(endpoint->cm->own, sizeof(endpoint->cm->own), "10.0.0.1");
	fm_verbs_cm_load(&endpoint->cm->call, &stage->error);
}

static struct stage *stage_make(bool passive, bool iwarp)
{
	struct stage *stage = aligned_alloc(_Alignof(struct stage), sizeof(*stage));

	assert_non_null(stage);
	memset(stage, 0, sizeof(*stage));
	snprintf(stage->device.name, sizeof(stage->device.name), "made0");
	stage->context.device = &stage->device;
	stage->context.ops.post_send = fake_post_send;
	stage->context.ops.poll_cq = fake_poll_cq;
	stage->cq = (struct ibv_cq){.context = &stage->context, .cq_context = stage};
	stage->services.stopped = never;
	stage->work =
		(struct fm_work){.passive = passive, .streams = STREAMS, .threads = 1, .services = &stage->services};
	stage->thread = (struct fm_verbs_thread){.cq = &stage->cq, .lanes = stage->lanes, .count = STREAMS};
	for (uint32_t i = 0; i < STREAMS; i++) {
		stage->qps[i] = (struct ibv_qp){.context = &stage->context, .qp_context = stage, .qp_num = 17 + i};
		stage->lanes[i].qp = &stage->qps[i];
		stage->lanes[i].stream = i;
		stage->lanes[i].in_region = stage->lanes[i].out_region = &stage->region;
		stage->lanes[i].id = (uint64_t)i << FM_VERBS_ID_LANE_SHIFT;
		stage->lanes[i].control = &stage->control[i];
		stage->lanes[i].flush_max = iwarp ? FM_VERBS_FLUSHES : 0;
	}
	stage_endpoint(stage);
	stage->endpoint.port.iwarp = stage->endpoint.self.iwarp = iwarp;
	return stage;
}

static void stage_free(struct stage *stage)
{
	free(stage->endpoint.cm->links);
	free(stage->endpoint.cm);
	free(stage);
}

static void happens(struct stage *stage, struct rdma_cm_id *id, enum rdma_cm_event_type type, int status,
		    const uint8_t *greeting)
{
	assert_true(stage->events_count < EVENTS_MAX);
	stage->events[stage->events_count++] = (struct rdma_cm_event){
		.id = id,
		.event = type,
		.status = status,
		.param.conn = {.private_data = greeting, .private_data_len = greeting ? 56 : 0},
	};
}

static int step(struct stage *stage)
{
	return fm_verbs_cm_connect(&stage->endpoint, &stage->error);
}

/* ---- what needs no stage ---- */

static void greetings_are_told_apart(void **state)
{
	uint8_t greeting[56] = {0};
	uint32_t stream = 99;

	(void)state;
	fm_verbs_cm_greet(greeting, ours, 258);
	assert_true(fm_verbs_cm_greeted(greeting, sizeof(greeting), ours, 259, &stream));
	assert_int_equal(stream, 258);
	assert_true(fm_verbs_cm_greeted(greeting, FM_VERBS_CM_GREETING, ours, 259, &stream));
	stream = 99;
	assert_false(fm_verbs_cm_greeted(greeting, sizeof(greeting), ours, 258, &stream));
	assert_false(fm_verbs_cm_greeted(greeting, FM_VERBS_CM_GREETING - 1, ours, 259, &stream));
	assert_false(fm_verbs_cm_greeted(NULL, 0, ours, 259, &stream));
	assert_false(fm_verbs_cm_greeted(greeting, sizeof(greeting), theirs, 259, &stream));
	for (int i = 0; i < 4 + FM_VERBS_CM_NONCE; i++) {
		greeting[i] ^= 0x10;
		assert_false(fm_verbs_cm_greeted(greeting, sizeof(greeting), ours, 259, &stream));
		greeting[i] ^= 0x10;
	}
	assert_int_equal(stream, 99);
}

static void addresses_become_sockets(void **state)
{
	struct sockaddr_storage address;
	const struct sockaddr_in *four = (const struct sockaddr_in *)&address;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&address;
	uint8_t raw[16];

	(void)state;
	assert_true(fm_verbs_cm_address_read("10.0.0.9", raw));
	fm_verbs_cm_address(raw, "lo", 18520, &address);
	assert_int_equal(address.ss_family, AF_INET);
	assert_int_equal(ntohs(four->sin_port), 18520);
	assert_int_equal(ntohl(four->sin_addr.s_addr), 0x0a000009);
	assert_true(fm_verbs_cm_address_read("fd00::9", raw));
	fm_verbs_cm_address(raw, "lo", 7, &address);
	assert_int_equal(address.ss_family, AF_INET6);
	assert_int_equal(ntohs(six->sin6_port), 7);
	assert_memory_equal(&six->sin6_addr, raw, sizeof(raw));
	assert_int_equal(six->sin6_scope_id, 0);
	assert_true(fm_verbs_cm_address_read("fe80::9%lo", raw));
	fm_verbs_cm_address(raw, "lo", 7, &address);
	assert_int_equal(six->sin6_scope_id, 1);
}

static void ends_tell_each_other(void **state)
{
	struct stage *passive = stage_make(true, true), *active = stage_make(false, true);
	struct fm_blob *blob = calloc(1, sizeof(*blob));
	struct fm_verbs_end *self = &passive->endpoint.self, *peer = &active->endpoint.peer;

	(void)state;
	assert_non_null(blob);
	self->cm_port = 4711;
	memset(peer, 0, sizeof(*peer));
	assert_int_equal(fm_verbs_exchange_write(&passive->endpoint, blob, &passive->error), 0);
	assert_int_equal(fm_verbs_exchange_read(&active->endpoint, blob, &active->error), 0);
	assert_true(peer->by_cm && peer->iwarp && peer->cm_port == 4711);
	assert_memory_equal(peer->cm_nonce, ours, sizeof(ours));
	assert_memory_equal(peer->cm_address, self->cm_address, sizeof(self->cm_address));
	/* Both listen, or nobody does. */
	active->endpoint.self.cm_port = 4712;
	assert_int_equal(fm_verbs_exchange_read(&active->endpoint, blob, &active->error), -EPROTO);
	active->endpoint.self.cm_port = 0;
	active->endpoint.self.by_cm = false;
	assert_int_equal(fm_verbs_exchange_read(&active->endpoint, blob, &active->error), -EPROTO);
	active->endpoint.self.iwarp = false;
	assert_int_equal(fm_verbs_exchange_read(&active->endpoint, blob, &active->error), -EINVAL);
	assert_non_null(strstr(active->error.text, "one end's port is iWARP"));
	blob->bytes -= 8;
	assert_int_equal(fm_verbs_exchange_read(&active->endpoint, blob, &active->error), -EPROTO);
	free(blob);
	stage_free(passive);
	stage_free(active);
}

/* ---- the passive side ---- */

static void strangers_are_refused(void **state)
{
	struct stage *stage = stage_make(true, false);
	uint8_t good[56] = {0}, other[56] = {0}, far[56] = {0};

	(void)state;
	fm_verbs_cm_greet(good, ours, 1);
	fm_verbs_cm_greet(other, theirs, 0);
	fm_verbs_cm_greet(far, ours, STREAMS);
	happens(stage, id_make(stage, NULL), RDMA_CM_EVENT_CONNECT_REQUEST, 0, NULL);
	happens(stage, id_make(stage, NULL), RDMA_CM_EVENT_CONNECT_REQUEST, 0, other);
	happens(stage, id_make(stage, NULL), RDMA_CM_EVENT_CONNECT_REQUEST, 0, far);
	happens(stage, id_make(stage, NULL), RDMA_CM_EVENT_CONNECT_REQUEST, 0, good);
	/* The same again: it was overheard, or the peer is in disorder. */
	happens(stage, id_make(stage, NULL), RDMA_CM_EVENT_CONNECT_REQUEST, 0, good);
	assert_int_equal(step(stage), -EAGAIN);
	assert_int_equal(stage->rejected, 4);
	assert_int_equal(stage->destroyed, 4);
	assert_int_equal(stage->accepted, 1);
	assert_int_equal(stage->states, 3);
	assert_ptr_equal(stage->endpoint.cm->links[1].id, &stage->ids[3]);
	assert_non_null(strstr(stage->error.text, "connected 0 of 2 queue pairs"));
	happens(stage, &stage->ids[3], RDMA_CM_EVENT_ESTABLISHED, 0, NULL);
	assert_int_equal(step(stage), -EAGAIN);
	assert_int_equal(stage->endpoint.cm->done, 1);
	fm_verbs_cm_greet(good, ours, 0);
	happens(stage, id_make(stage, NULL), RDMA_CM_EVENT_CONNECT_REQUEST, 0, good);
	happens(stage, &stage->ids[5], RDMA_CM_EVENT_ESTABLISHED, 0, NULL);
	assert_int_equal(step(stage), 0);
	assert_int_equal(stage->endpoint.cm->refused, 4);
	stage_free(stage);
}

/* ---- the active side ---- */

/* Both streams up to where the peer must answer. */
static void dial(struct stage *stage)
{
	assert_int_equal(step(stage), -EAGAIN);
	assert_int_equal(stage->made, STREAMS);
	for (uint32_t i = 0; i < STREAMS; i++) {
		happens(stage, &stage->ids[i], RDMA_CM_EVENT_ADDR_RESOLVED, 0, NULL);
		happens(stage, &stage->ids[i], RDMA_CM_EVENT_ROUTE_RESOLVED, 0, NULL);
	}
	assert_int_equal(step(stage), -EAGAIN);
	assert_int_equal(stage->connected, STREAMS);
	assert_int_equal(stage->states, STREAMS);
}

static void the_peer_answers(void **state)
{
	struct stage *stage = stage_make(false, false);
	uint8_t answers[STREAMS][56] = {0};

	(void)state;
	dial(stage);
	for (uint32_t i = 0; i < STREAMS; i++) {
		fm_verbs_cm_greet(answers[i], ours, i);
		happens(stage, &stage->ids[i], RDMA_CM_EVENT_CONNECT_RESPONSE, 0, answers[i]);
	}
	assert_int_equal(step(stage), 0);
	assert_int_equal(stage->established, STREAMS);
	assert_int_equal(stage->states, 3 * STREAMS);
	/* Its leaving is not this transport's to tell. */
	happens(stage, &stage->ids[0], RDMA_CM_EVENT_DISCONNECTED, 0, NULL);
	assert_int_equal(step(stage), 0);
	stage_free(stage);
}

static void another_answers(void **state)
{
	struct stage *stage = stage_make(false, false);
	uint8_t answer[56] = {0};

	(void)state;
	dial(stage);
	fm_verbs_cm_greet(answer, theirs, 0);
	happens(stage, &stage->ids[0], RDMA_CM_EVENT_CONNECT_RESPONSE, 0, answer);
	assert_int_equal(step(stage), -EPROTO);
	assert_non_null(strstr(stage->error.text, "is not the peer of this measurement"));
	assert_int_equal(stage->established, 0);
	stage_free(stage);
}

static void refusals_have_words(void **state)
{
	static const struct {
		enum rdma_cm_event_type type;
		int status, code;
		const char *words;
	} cases[] = {
		{RDMA_CM_EVENT_REJECTED, 8, -ECONNREFUSED, "nobody listens there"},
		{RDMA_CM_EVENT_REJECTED, 28, -ECONNREFUSED, "does not take this end for its peer"},
		{RDMA_CM_EVENT_REJECTED, -ECONNREFUSED, -ECONNREFUSED, "nobody listens there"},
		{RDMA_CM_EVENT_REJECTED, 99, -ECONNREFUSED, "kernel's log"},
		{RDMA_CM_EVENT_UNREACHABLE, -ETIMEDOUT, -EHOSTUNREACH, "no answer"},
		{RDMA_CM_EVENT_CONNECT_ERROR, -EINVAL, -ECONNRESET, "broken off"},
		{RDMA_CM_EVENT_DISCONNECTED, 0, -ECONNRESET, "broken off"},
		{RDMA_CM_EVENT_DEVICE_REMOVAL, 0, -ECONNRESET, "broken off"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stage *stage = stage_make(false, false);

		dial(stage);
		happens(stage, &stage->ids[1], cases[i].type, cases[i].status, NULL);
		assert_int_equal(step(stage), cases[i].code);
		assert_non_null(strstr(stage->error.text, "between 10.0.0.1 and 10.0.0.2 port 4711"));
		if (!strstr(stage->error.text, cases[i].words))
			fail_msg("'%s' is not in: %s", cases[i].words, stage->error.text);
		stage_free(stage);
	}
}

/* The peer still knows the queue pair's number from before, or another socket has the port: once more. */
static void what_passes_is_tried_again(void **state)
{
	struct stage *stage = stage_make(false, false);

	(void)state;
	dial(stage);
	happens(stage, &stage->ids[0], RDMA_CM_EVENT_REJECTED, 10, NULL);
	assert_int_equal(step(stage), -EAGAIN);
	assert_int_equal(stage->destroyed, 1);
	stage->endpoint.cm->links[0].not_before_ms = 0;
	assert_int_equal(step(stage), -EAGAIN);
	assert_int_equal(stage->made, 3);
	for (uint32_t i = 0; i <= FM_VERBS_CM_TRIES; i++) {
		struct rdma_cm_id *id = stage->endpoint.cm->links[0].id;

		stage->events_count = stage->events_taken = 0;
		stage->connect_errno = EADDRINUSE;
		happens(stage, id, RDMA_CM_EVENT_ADDR_RESOLVED, 0, NULL);
		happens(stage, id, RDMA_CM_EVENT_ROUTE_RESOLVED, 0, NULL);
		assert_int_equal(step(stage), i < FM_VERBS_CM_TRIES ? -EAGAIN : -EADDRINUSE);
		if (i < FM_VERBS_CM_TRIES)
			assert_int_equal(step(stage), -EAGAIN);
	}
	stage_free(stage);
}

static void another_device_is_told(void **state)
{
	struct stage *stage = stage_make(false, false);

	(void)state;
	assert_int_equal(step(stage), -EAGAIN);
	snprintf(stage->endpoint.port.device, sizeof(stage->endpoint.port.device), "made1");
	happens(stage, &stage->ids[0], RDMA_CM_EVENT_ADDR_RESOLVED, 0, NULL);
	assert_int_equal(step(stage), -EXDEV);
	assert_non_null(strstr(stage->error.text, "takes RDMA device made0:1 for address 10.0.0.1, and made1:1"));
	stage_free(stage);
}

/* Of iWARP a stream is through when its first message was answered, be it the second that was sent. */
static void iwarp_sends_first(void **state)
{
	struct stage *stage = stage_make(false, true);
	uint8_t answers[STREAMS][56] = {0};

	(void)state;
	dial(stage);
	for (uint32_t i = 0; i < STREAMS; i++) {
		fm_verbs_cm_greet(answers[i], ours, i);
		happens(stage, &stage->ids[i], RDMA_CM_EVENT_ESTABLISHED, 0, answers[i]);
		assert_int_equal(step(stage), -EAGAIN);
		assert_int_equal(stage->posted, 3 * i + 1);
		assert_int_equal(stage->states, STREAMS);
		stage->endpoint.cm->links[i].not_before_ms = 0;
		assert_int_equal(step(stage), -EAGAIN);
		assert_int_equal(stage->posted, 3 * i + 2);
		stage->endpoint.cm->links[i].not_before_ms = 0;
		assert_int_equal(step(stage), -EAGAIN);
		assert_int_equal(stage->posted, 3 * i + 3);
		stage->completions = 2;
		assert_int_equal(step(stage), -EAGAIN);
		assert_int_equal(stage->endpoint.cm->done, i);
		stage->completions = 1;
		assert_int_equal(step(stage), i + 1 < STREAMS ? -EAGAIN : 0);
	}
	assert_int_equal(stage->posted, 3 * STREAMS);
	stage_free(stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greetings_are_told_apart), cmocka_unit_test(addresses_become_sockets),
		cmocka_unit_test(ends_tell_each_other),	    cmocka_unit_test(strangers_are_refused),
		cmocka_unit_test(the_peer_answers),	    cmocka_unit_test(another_answers),
		cmocka_unit_test(refusals_have_words),	    cmocka_unit_test(what_passes_is_tried_again),
		cmocka_unit_test(another_device_is_told),   cmocka_unit_test(iwarp_sends_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
