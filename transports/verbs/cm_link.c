/*
 * cm_link.c - a stream's connection by rdma_cm, event by event, and the states of its queue pair.
 */
#include <errno.h>
#include <netinet/in.h>
#include <time.h>

#include "transports/verbs/cm.h"

enum {
	EVENTS_MAX = 64, /* in one call, whoever sends them */
	RESOLVE_MS = 5000,
	FIRST_MS = 25,	 /* until an iWARP connection's first message is sent again; then 4 times that */
	FORGET_MS = 100, /* until the peer is asked again whether it has forgotten a queue pair's number */
	READS_MAX = 128, /* librdmacm reckons in bytes, and a device's 256 is none */
	IB_ATTRIBUTES = (1 << 21) - 1, /* of the mask; the kernel's own lie beyond */
};

/* An event, after it was acknowledged. */
struct happened {
	struct rdma_cm_id *id;
	enum rdma_cm_event_type type;
	int status;
	size_t bytes;
	uint8_t data[FM_VERBS_CM_GREETING];
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int fm_verbs_cm_failed(const struct fm_endpoint *endpoint, const char *call, int code, struct fm_error *error)
{
	const char *cause = code == -ENODEV || code == -EADDRNOTAVAIL
				    ? "the data address may belong to no RDMA device; choose with --device or "
				      "--data-address"
			    : code == -ENETUNREACH || code == -EHOSTUNREACH ? "there is no route between the data "
									      "addresses; choose with --data-address"
			    : code == -ECONNREFUSED || code == -ECONNRESET  ? fm_verbs_cm_refusal(code)
									    : "look into the kernel's log";

	return fm_error_set(error, code, FM_REASON_CONNECT, "rdma_%s from %s on %s failed: %s: %s", call,
			    endpoint->cm->own, endpoint->port.device, strerror(-code), cause);
}

/* ---- queue pairs' states ---- */

static uint8_t reads_at_once(uint32_t one, uint32_t other)
{
	uint32_t least = one < other ? one : other;

	return least > READS_MAX ? READS_MAX : (uint8_t)least;
}

static struct rdma_conn_param parameters_of(const struct fm_endpoint *endpoint, const struct fm_verbs_lane *lane,
					    const uint8_t greeting[FM_VERBS_CM_GREETING])
{
	const struct fm_verbs_end *self = &endpoint->self, *peer = &endpoint->peer;

	return (struct rdma_conn_param){
		.private_data = greeting,
		.private_data_len = FM_VERBS_CM_GREETING,
		.responder_resources = reads_at_once(self->reads_in, peer->reads_out),
		.initiator_depth = reads_at_once(self->reads_out, peer->reads_in),
		.flow_control = 1,
		.retry_count = (uint8_t)endpoint->options.retry_count,
		.rnr_retry_count = (uint8_t)endpoint->options.rnr_retry,
		.srq = lane->qp->srq != NULL,
		.qp_num = lane->qp->qp_num,
	};
}

/* Asks rdma_cm what the state needs, and leaves it to alter what was asked for. */
static int state_ask(const struct fm_endpoint *endpoint, const struct fm_verbs_cm_link *link, enum ibv_qp_state state,
		     struct ibv_qp_attr *attributes, int *mask, struct fm_error *error)
{
	*attributes = (struct ibv_qp_attr){.qp_state = state};
	if (endpoint->cm->call.init_qp_attr(link->id, attributes, mask))
		return fm_verbs_cm_failed(endpoint, "init_qp_attr", -errno, error);
	*mask &= IB_ATTRIBUTES;
	return 0;
}

static int state_enter(const struct fm_endpoint *endpoint, const struct fm_verbs_lane *lane, const char *state,
		       struct ibv_qp_attr *attributes, int mask, struct fm_error *error)
{
	int code = ibv_modify_qp(lane->qp, attributes, mask);

	return code ? fm_error_set(error, -code, FM_REASON_CONNECT,
				   "a queue pair of %s cannot become %s with what rdma_cm says: %s: look into the "
				   "kernel's log",
				   endpoint->port.device, state, strerror(code))
		    : 0;
}

static int queue_init(struct fm_endpoint *endpoint, const struct fm_verbs_lane *lane,
		      const struct fm_verbs_cm_link *link, struct fm_error *error)
{
	struct ibv_qp_attr attributes;
	uint16_t pkey = 0;
	int mask, code = state_ask(endpoint, link, IBV_QPS_INIT, &attributes, &mask, error);

	if (code)
		return code;
	mask |= IBV_QP_ACCESS_FLAGS;
	attributes.qp_access_flags = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
	if (endpoint->device.atomic_cap != IBV_ATOMIC_NONE)
		attributes.qp_access_flags |= IBV_ACCESS_REMOTE_ATOMIC;
	if (mask & IBV_QP_PKEY_INDEX &&
	    ibv_query_pkey(endpoint->context, endpoint->port.number, attributes.pkey_index, &pkey) == 0) {
		endpoint->pkey = 0;
		endpoint->self.pkeys[0] = be16toh(pkey);
		endpoint->pkey_places[0] = attributes.pkey_index;
	}
	return state_enter(endpoint, lane, "set up (INIT)", &attributes, mask, error);
}

/* What is in force, for the row: the same for every stream. */
static void path_note(struct fm_endpoint *endpoint, const struct ibv_ah_attr *path)
{
	struct fm_verbs_port port;
	struct fm_error ignored;

	if (endpoint->cm->known)
		return;
	endpoint->cm->known = true;
	endpoint->service_level = path->sl;
	endpoint->traffic_class = path->is_global ? path->grh.traffic_class : 0;
	if (!path->is_global || path->grh.sgid_index == endpoint->port.gid.index ||
	    fm_verbs_port_find(FM_VERBS_SYSFS, endpoint->rail, path->grh.sgid_index, &port, &ignored))
		return;
	endpoint->port.gid = port.gid;
	endpoint->self.gid_type = port.gid.type;
	memcpy(endpoint->self.gid, port.gid.raw, sizeof(endpoint->self.gid));
}

/* Of iWARP the driver does this when it connects. */
static int queue_ready(struct fm_endpoint *endpoint, const struct fm_verbs_lane *lane,
		       const struct fm_verbs_cm_link *link, struct fm_error *error)
{
	const struct fm_verbs_options *options = &endpoint->options;
	struct ibv_qp_attr attributes;
	int mask, code = state_ask(endpoint, link, IBV_QPS_RTR, &attributes, &mask, error);

	if (code)
		return code;
	/* The subnet manager may know of a switch in between. */
	if (attributes.path_mtu && attributes.path_mtu < endpoint->mtu)
		endpoint->mtu = attributes.path_mtu;
	attributes.path_mtu = endpoint->mtu;
	attributes.max_dest_rd_atomic = reads_at_once(endpoint->self.reads_in, endpoint->peer.reads_out);
	attributes.min_rnr_timer = FM_VERBS_RNR_TIMER;
	/* 0 is the default of these options: then those of the system are in force, as for others that use rdma_cm. */
	if (options->service_level)
		attributes.ah_attr.sl = (uint8_t)options->service_level;
	if (options->traffic_class)
		attributes.ah_attr.grh.traffic_class = (uint8_t)options->traffic_class;
	path_note(endpoint, &attributes.ah_attr);
	code = state_enter(endpoint, lane, "ready to receive", &attributes, mask, error);
	code = code ? code : state_ask(endpoint, link, IBV_QPS_RTS, &attributes, &mask, error);
	if (code)
		return code;
	attributes.timeout = (uint8_t)options->qp_timeout;
	attributes.retry_cnt = (uint8_t)options->retry_count;
	attributes.rnr_retry = (uint8_t)options->rnr_retry;
	attributes.max_rd_atomic = reads_at_once(endpoint->self.reads_out, endpoint->peer.reads_in);
	return state_enter(endpoint, lane, "ready to send", &attributes, mask, error);
}

/* ---- iWARP's first message ---- */

/*
 * Of an iWARP connection the end that opened it must send first, and the other may send when that is here (RFC 5044,
 * 7.1.2). Some drivers see to it themselves and some do not. A flush is answered, so this end knows that it has come.
 * siw's accepting end overlooks a message that comes before it listens for them (Linux 6.1, siw_accept), until another
 * comes: then there is a second.
 */
static int first_send(struct fm_verbs_lane *lane, struct fm_verbs_cm_link *link, struct fm_error *error)
{
	link->state = LINK_FIRST;
	link->not_before_ms = now_ms() + (FIRST_MS << 2 * lane->flushing);
	return fm_verbs_flush(lane) ? fm_verbs_lane_explain(lane, error) : 0;
}

static void link_through(struct fm_endpoint *endpoint, struct fm_verbs_cm_link *link)
{
	link->state = LINK_DONE;
	endpoint->cm->done++;
}

int fm_verbs_cm_first_reads_take(struct fm_endpoint *endpoint, struct fm_error *error)
{
	uint64_t now = now_ms();
	int code = 0;

	for (uint32_t i = 0; i < endpoint->work->threads; i++)
		if (fm_verbs_drain(&endpoint->threads[i]))
			return fm_error_set(error, -EIO, FM_REASON_CONNECT,
					    "a completion queue of %s cannot be polled: "
					    "look into the kernel's log",
					    endpoint->port.device);
	for (uint32_t i = 0; i < endpoint->work->streams && code == 0; i++) {
		struct fm_verbs_cm_link *link = &endpoint->cm->links[i];
		struct fm_verbs_lane *lane = &endpoint->lanes[i];

		if (lane->failure.code)
			return fm_verbs_lane_explain(lane, error);
		if (link->state != LINK_FIRST)
			continue;
		if (!lane->flushing)
			link_through(endpoint, link);
		else if (lane->flushing < lane->flush_max && link->not_before_ms <= now)
			code = first_send(lane, link, error);
	}
	return code;
}

/* ---- the active side ---- */

static int link_fails(struct fm_endpoint *endpoint, struct fm_verbs_cm_link *link, const char *call,
		      struct fm_error *error)
{
	int code = errno ? -errno : -EIO;

	/* rdma_cm chooses a port that no RDMA connection has; of iWARP a TCP socket may have it. */
	if ((code != -EADDRINUSE && code != -EADDRNOTAVAIL) || !link->id || ++link->tries > FM_VERBS_CM_TRIES)
		return fm_verbs_cm_failed(endpoint, call, code, error);
	endpoint->cm->call.destroy_id(link->id);
	link->id = NULL;
	link->state = LINK_NEW;
	return 0;
}

static int link_start(struct fm_endpoint *endpoint, struct fm_verbs_cm_link *link, struct fm_error *error)
{
	const struct fm_verbs_cm_calls *call = &endpoint->cm->call;
	struct sockaddr_storage own, peer;
	uint8_t tos = (uint8_t)endpoint->options.traffic_class;

	fm_verbs_cm_address(endpoint->self.cm_address, endpoint->rail->device, 0, &own);
	fm_verbs_cm_address(endpoint->peer.cm_address, endpoint->rail->device, endpoint->peer.cm_port, &peer);
	if (call->create_id(endpoint->cm->channel, &link->id, link, RDMA_PS_TCP)) {
		link->id = NULL;
		return fm_verbs_cm_failed(endpoint, "create_id", -errno, error);
	}
	if (tos && call->set_option(link->id, RDMA_OPTION_ID, RDMA_OPTION_ID_TOS, &tos, sizeof(tos)))
		return fm_verbs_cm_failed(endpoint, "set_option", -errno, error);
	link->state = LINK_RESOLVING;
	if (call->resolve_addr(link->id, (struct sockaddr *)&own, (struct sockaddr *)&peer, RESOLVE_MS))
		return link_fails(endpoint, link, "resolve_addr", error);
	return 0;
}

/* Two RDMA devices may share one net device, and rdma_cm has chosen by the address alone. */
int fm_verbs_cm_device_check(const struct fm_endpoint *endpoint, const struct rdma_cm_id *id, struct fm_error *error)
{
	const char *name = id->verbs ? ibv_get_device_name(id->verbs->device) : "none";

	if (strcmp(name, endpoint->port.device) == 0 && id->port_num == endpoint->port.number)
		return 0;
	return fm_error_set(
		error, -EXDEV, FM_REASON_PLACEMENT,
		"rdma_cm takes RDMA device %s:%u for address %s, and %s:%u is to be measured: give that one "
		"an address of its own, or choose another with --device or --data-address",
		name, id->port_num, endpoint->cm->own, endpoint->port.device, endpoint->port.number);
}

static int link_connect(struct fm_endpoint *endpoint, struct fm_verbs_cm_link *link, struct fm_error *error)
{
	const struct fm_verbs_lane *lane = &endpoint->lanes[link - endpoint->cm->links];
	uint8_t greeting[FM_VERBS_CM_GREETING];
	struct rdma_conn_param parameters;
	int code = queue_init(endpoint, lane, link, error);

	if (code)
		return code;
	fm_verbs_cm_greet(greeting, endpoint->peer.cm_nonce, lane->stream);
	parameters = parameters_of(endpoint, lane, greeting);
	link->state = LINK_CONNECTING;
	if (endpoint->cm->call.connect(link->id, &parameters))
		return link_fails(endpoint, link, "connect", error);
	return 0;
}

/* The answer must be the peer's: who else could listen on a port that was free a moment ago? */
static int answer_check(const struct fm_endpoint *endpoint, const struct fm_verbs_cm_link *link,
			const struct happened *event, struct fm_error *error)
{
	uint32_t stream = UINT32_MAX;

	if (fm_verbs_cm_greeted(event->data, event->bytes, endpoint->self.cm_nonce, endpoint->work->streams, &stream) &&
	    stream == (uint32_t)(link - endpoint->cm->links))
		return 0;
	return fm_error_set(
		error, -EPROTO, FM_REASON_CONNECT,
		"who answered at %s port %u is not the peer of this measurement: another node may have that "
		"address; choose with --data-address",
		endpoint->cm->peer, endpoint->peer.cm_port);
}

static int link_answered(struct fm_endpoint *endpoint, struct fm_verbs_cm_link *link, const struct happened *event,
			 struct fm_error *error)
{
	struct fm_verbs_lane *lane = &endpoint->lanes[link - endpoint->cm->links];
	int code = answer_check(endpoint, link, event, error);

	if (code == 0 && endpoint->port.iwarp)
		return first_send(lane, link, error);
	code = code ? code : queue_ready(endpoint, lane, link, error);
	if (code)
		return code;
	if (endpoint->cm->call.establish(link->id))
		return fm_verbs_cm_failed(endpoint, "establish", -errno, error);
	link_through(endpoint, link);
	return 0;
}

/* ---- the passive side ---- */

static void refuse(struct fm_verbs_cm *cm, struct rdma_cm_id *id)
{
	cm->refused++;
	cm->call.reject(id, NULL, 0);
	cm->call.destroy_id(id);
}

static int request_take(struct fm_endpoint *endpoint, const struct happened *event, struct fm_error *error)
{
	struct fm_verbs_cm *cm = endpoint->cm;
	uint8_t greeting[FM_VERBS_CM_GREETING];
	struct rdma_conn_param parameters;
	struct fm_verbs_lane *lane;
	struct fm_verbs_cm_link *link;
	uint32_t stream;
	int code;

	if (!fm_verbs_cm_greeted(event->data, event->bytes, endpoint->self.cm_nonce, endpoint->work->streams,
				 &stream) ||
	    cm->links[stream].id) {
		refuse(cm, event->id);
		return 0;
	}
	lane = &endpoint->lanes[stream];
	link = &cm->links[stream];
	link->id = event->id;
	link->id->context = link;
	code = queue_init(endpoint, lane, link, error);
	if (code == 0 && !endpoint->port.iwarp)
		code = queue_ready(endpoint, lane, link, error);
	if (code)
		return code;
	fm_verbs_cm_greet(greeting, endpoint->peer.cm_nonce, stream);
	parameters = parameters_of(endpoint, lane, greeting);
	link->state = LINK_ACCEPTED;
	return cm->call.accept(link->id, &parameters) ? fm_verbs_cm_failed(endpoint, "accept", -errno, error) : 0;
}

/* ---- events ---- */

static int link_broken(struct fm_endpoint *endpoint, struct fm_verbs_cm_link *link, const struct happened *event,
		       struct fm_error *error)
{
	const struct fm_verbs_cm *cm = endpoint->cm;
	bool unreachable = event->type == RDMA_CM_EVENT_UNREACHABLE || event->type == RDMA_CM_EVENT_ADDR_ERROR ||
			   event->type == RDMA_CM_EVENT_ROUTE_ERROR;

	if (event->type == RDMA_CM_EVENT_REJECTED && link->state == LINK_CONNECTING &&
	    fm_verbs_cm_passes(event->status)) {
		cm->call.destroy_id(link->id);
		*link = (struct fm_verbs_cm_link){.tries = link->tries, .not_before_ms = now_ms() + FORGET_MS};
		return 0;
	}
	return fm_error_set(error,
			    event->type == RDMA_CM_EVENT_REJECTED ? -ECONNREFUSED
			    : unreachable			  ? -EHOSTUNREACH
								  : -ECONNRESET,
			    FM_REASON_CONNECT, "no rdma_cm connection between %s and %s port %u: %s (status %d): %s",
			    cm->own, cm->peer,
			    endpoint->work->passive ? endpoint->self.cm_port : endpoint->peer.cm_port,
			    event->type == RDMA_CM_EVENT_ADDR_ERROR    ? "the address is not resolved"
			    : event->type == RDMA_CM_EVENT_ROUTE_ERROR ? "no route is found"
			    : event->type == RDMA_CM_EVENT_UNREACHABLE ? "no answer"
			    : event->type == RDMA_CM_EVENT_REJECTED    ? "refused"
								       : "broken off",
			    event->status,
			    event->type == RDMA_CM_EVENT_REJECTED ? fm_verbs_cm_refusal(event->status)
			    : unreachable ? "try ping between the two, and look for a firewall on the way"
					  : "the peer's output may say why");
}

static int event_handle(struct fm_endpoint *endpoint, const struct happened *event, struct fm_error *error)
{
	struct fm_verbs_cm_link *link = event->id->context;
	int code;

	if (event->type == RDMA_CM_EVENT_CONNECT_REQUEST)
		return request_take(endpoint, event, error);
	/* Once it stands the peer's leaving, early or not, is told by the control connection. */
	if (!link || link->state == LINK_DONE)
		return 0;
	switch (event->type) {
	case RDMA_CM_EVENT_ADDR_RESOLVED:
		code = fm_verbs_cm_device_check(endpoint, link->id, error);
		link->state = LINK_ROUTING;
		if (code == 0 && endpoint->cm->call.resolve_route(link->id, RESOLVE_MS))
			code = link_fails(endpoint, link, "resolve_route", error);
		return code;
	case RDMA_CM_EVENT_ROUTE_RESOLVED:
		return link_connect(endpoint, link, error);
	case RDMA_CM_EVENT_CONNECT_RESPONSE:
		return link_answered(endpoint, link, event, error);
	case RDMA_CM_EVENT_ESTABLISHED:
		if (link->state == LINK_CONNECTING)
			return link_answered(endpoint, link, event, error);
		if (link->state == LINK_ACCEPTED)
			link_through(endpoint, link);
		return 0;
	case RDMA_CM_EVENT_ADDR_CHANGE:
	case RDMA_CM_EVENT_TIMEWAIT_EXIT:
		return 0;
	default:
		return link_broken(endpoint, link, event, error);
	}
}

int fm_verbs_cm_events_take(struct fm_endpoint *endpoint, struct fm_error *error)
{
	struct fm_verbs_cm *cm = endpoint->cm;
	struct rdma_cm_event *event;
	int code = 0;

	for (int i = 0; i < EVENTS_MAX && code == 0; i++) {
		struct happened happened;

		if (cm->call.get_cm_event(cm->channel, &event))
			return errno == EAGAIN || errno == EINTR
				       ? 0
				       : fm_verbs_cm_failed(endpoint, "get_cm_event", -errno, error);
		happened = (struct happened){event->id, event->event, event->status, 0, {0}};
		happened.bytes = event->param.conn.private_data ? event->param.conn.private_data_len : 0;
		if (happened.bytes > sizeof(happened.data))
			happened.bytes = sizeof(happened.data);
		if (happened.bytes)
			memcpy(happened.data, event->param.conn.private_data, happened.bytes);
		/* First, for an id waits for its events when it is destroyed. */
		cm->call.ack_cm_event(event);
		code = event_handle(endpoint, &happened, error);
	}
	return code;
}

int fm_verbs_cm_links_start(struct fm_endpoint *endpoint, struct fm_error *error)
{
	struct fm_verbs_cm *cm = endpoint->cm;
	uint32_t pending = 0;
	uint64_t now = now_ms();
	int code = 0;

	for (uint32_t i = 0; i < endpoint->work->streams && pending < FM_VERBS_CM_PENDING && code == 0; i++) {
		struct fm_verbs_cm_link *link = &cm->links[i];

		if (link->state == LINK_NEW && link->not_before_ms <= now)
			code = link_start(endpoint, link, error);
		pending += link->state != LINK_DONE;
	}
	return code;
}
