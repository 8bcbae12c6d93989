/*
 * verbs.c - the module: RDMA between two nodes by libibverbs, a queue pair a stream.
 */
#include "transports/verbs/verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "transports/verbs/endpoint.h"
#include "transports/verbs/status.h"

enum {
	MESSAGE_MAX = 1 << 30,
	PING_PONG_ROOM = 64, /* of a send queue whose completions nobody waits for */
	PING_PONG_SIGNAL = 16,
	PING_PONG_AHEAD = 16,
	MODERATION_MAX = 64,
	AHEAD_MIN = 64,
	INLINE_WANTED = 220,
	ATOMIC_BYTES = 8,
};

#define NO_RECEIVES "--srq is for messages that take receives (--test send,write_imm)"

/* ---- what can be done ---- */

static int verbs_probe(struct fm_error *error)
{
	int count = 0;
	struct ibv_device **devices = ibv_get_device_list(&count);

	if (devices)
		ibv_free_device_list(devices);
	if (count > 0)
		return 0;
	if (access(FM_VERBS_SYSFS, F_OK) != 0)
		return fm_error_set(
			error, -ENODEV, FM_REASON_ABSENT,
			"this machine has no RDMA device: its kernel has no InfiniBand support, or the driver is "
			"not loaded (soft-RoCE: modprobe rdma_rxe)");
	return fm_error_set(
		error, -ENODEV, FM_REASON_ABSENT,
		"no RDMA device can be used: look at 'rdma link' for the device, at /dev/infiniband for the right "
		"to open it, and install the provider (package ibverbs-providers)");
}

int fm_verbs_device_open(const struct fm_verbs_port *port, struct ibv_context **context, struct ibv_device_attr *device,
			 struct ibv_port_attr *attributes, struct fm_error *error)
{
	struct ibv_device **devices = ibv_get_device_list(NULL);
	struct ibv_context *opened = NULL;
	bool listed = false;
	int code;

	for (int i = 0; devices && devices[i] && !listed; i++) {
		if (strcmp(ibv_get_device_name(devices[i]), port->device) != 0)
			continue;
		listed = true;
		opened = ibv_open_device(devices[i]);
	}
	code = errno ? -errno : -EIO;
	if (devices)
		ibv_free_device_list(devices);
	if (!opened)
		return fm_error_set(
			error, listed ? code : -ENODEV, FM_REASON_PLACEMENT, "RDMA device %s cannot be opened: %s",
			port->device,
			listed ? code == -EACCES || code == -EPERM
					 ? "no permission for /dev/infiniband/uverbs*: ask for it, or run as root"
					 : strerror(-code)
			       : "libibverbs has no provider for it: install ibverbs-providers");
	code = ibv_query_device(opened, device);
	code = code ? code : ibv_query_port(opened, port->number, attributes);
	if (code) {
		ibv_close_device(opened);
		return fm_error_set(error, -code, FM_REASON_PLACEMENT, "RDMA device %s does not tell its limits: %s",
				    port->device, strerror(code));
	}
	*context = opened;
	return 0;
}

static uint32_t mtu_bytes(enum ibv_mtu mtu)
{
	return 128u << mtu;
}

/* The number that an end's part of LOCAL[=REMOTE] says; -1 "auto"; -2 none of these. */
static int end_index(const char *text, bool remote)
{
	const char *equals = strchr(text, '='), *from = remote && equals ? equals + 1 : text;
	size_t length = equals && !(remote) ? (size_t)(equals - text) : strlen(from);
	char *end, part[32];
	long value;

	snprintf(part, sizeof(part), "%.*s", (int)(length < sizeof(part) ? length : 0), from);
	if (strcmp(part, "auto") == 0)
		return FM_VERBS_GID_AUTO;
	errno = 0;
	value = strtol(part, &end, 10);
	return !part[0] || *end || errno || value < 0 || value >= FM_VERBS_GIDS_MAX ? -2 : (int)value;
}

static int options_check(const struct fm_verbs_options *options, struct fm_error *error)
{
	uint64_t mtu = options->mtu;
	char *end;
	long value = strtol(options->inline_bytes, &end, 10);

	if (mtu && (mtu < 256 || mtu > 4096 || (mtu & (mtu - 1))))
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "--mtu %llu: must be 256, 512, 1024, 2048, 4096, or 0 for the largest",
				    (unsigned long long)mtu);
	if (strcmp(options->inline_bytes, "auto") != 0 &&
	    (*end || end == options->inline_bytes || value < 0 || value > 65536))
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "--inline '%s': must be auto or a number of bytes",
				    options->inline_bytes);
	if (end_index(options->gid_index, false) == -2 || end_index(options->gid_index, true) == -2)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "--gid-index '%s': must be auto or an index, LOCAL[=REMOTE]", options->gid_index);
	if (end_index(options->pkey_index, false) == -2 || end_index(options->pkey_index, true) == -2)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "--pkey-index '%s': must be auto or an index, LOCAL[=REMOTE]", options->pkey_index);
	return 0;
}

/* Of iWARP: neither writes with immediate data, nor atomics; what is polled cannot be compared or come in any order. */
static void iwarp_narrow(enum fm_test_id id, const struct fm_verbs_options *options, struct fm_capability *capability)
{
	const char *operation = fm_tests[id].operation;

	if (strcmp(operation, "write_imm") == 0 || strncmp(operation, "atomic", 6) == 0 ||
	    (id == FM_WRITE_LAT && options->relaxed_ordering))
		*capability = (struct fm_capability){0};
	else if (id == FM_WRITE_LAT)
		capability->verify = false;
}

/* A device and what it is driven by. */
struct limits {
	struct ibv_device_attr device;
	struct ibv_port_attr port;
	struct fm_verbs_efa efa;
	enum ibv_qp_type type;
};

/* What a test can do on one port; the tests of one operation differ in their metric alone. */
static void capability_fill(enum fm_test_id id, const struct limits *limits, struct fm_capability *capability)
{
	const struct fm_verbs_efa *efa = &limits->efa;
	const enum ibv_qp_type type = limits->type;
	const bool srd = type == IBV_QPT_DRIVER;
	const char *operation = fm_tests[id].operation;
	bool latency = fm_tests[id].metric == FM_LATENCY, reliable = fm_verbs_reliable(type);
	bool send = strcmp(operation, "send") == 0, read = strcmp(operation, "read") == 0;
	bool write = strncmp(operation, "write", 5) == 0, atomic = strncmp(operation, "atomic", 6) == 0;
	uint64_t depth = fm_verbs_queue_max(&limits->device, efa), most = limits->port.max_msg_sz;

	depth = depth > 2ull * FM_VERBS_GRANTS ? depth - 2ull * FM_VERBS_GRANTS : 1;
	if (!(send || (write && type != IBV_QPT_UD && (!srd || efa->writes)) ||
	      (read && reliable && (!srd || efa->reads)) ||
	      (atomic && type == IBV_QPT_RC && limits->device.atomic_cap != IBV_ATOMIC_NONE)))
		return;
	/* The port's limit is that of a message that is sent, one packet. */
	if (srd && !send)
		most = efa->rdma_max;
	*capability = (struct fm_capability){
		.supported = true,
		.may_lose = !reliable && !latency && fm_tests[id].peer == FM_SINK,
		.completion = latency && fm_tests[id].latency_divisor == 2 ? FM_REPLIED
			      : reliable				   ? FM_DELIVERED
									   : FM_BUFFERED,
		.variant = "",
		.size_min = atomic ? ATOMIC_BYTES : 1,
		.size_max = atomic		 ? ATOMIC_BYTES
			    : most < MESSAGE_MAX ? most
						 : MESSAGE_MAX,
		.depth_max = depth < 32768 ? (uint32_t)depth : 32768,
		.bidirectional = !latency && reliable,
		/* What may overtake what was sent before it does not lie where it is looked for. */
		.verify = !atomic && (type == IBV_QPT_RC || latency),
	};
	if (type == IBV_QPT_UD)
		capability->size_max = mtu_bytes(limits->port.active_mtu);
}

/* Those that always do: write_lat does with some options only. */
static bool takes_receives(enum fm_test_id id)
{
	return strcmp(fm_tests[id].operation, "send") == 0 || strcmp(fm_tests[id].operation, "write_imm") == 0;
}

static void capability_narrow(struct fm_capability *all, const struct fm_capability *rail)
{
	if (!rail->supported || !all->supported) {
		*all = (struct fm_capability){.why_not = rail->why_not};
		return;
	}
	if (rail->size_max < all->size_max)
		all->size_max = rail->size_max;
	if (rail->depth_max < all->depth_max)
		all->depth_max = rail->depth_max;
	if (rail->size_min > all->size_min)
		all->size_min = rail->size_min;
	all->verify &= rail->verify;
	all->bidirectional &= rail->bidirectional;
	all->may_lose |= rail->may_lose;
}

/* rdma_cm makes reliable connections; a device of EFA has none. */
static int cm_fits(const struct fm_verbs_options *options, const struct fm_verbs_port *port, enum ibv_qp_type type,
		   struct fm_error *error)
{
	if (!fm_verbs_by_cm(options, port) || type == IBV_QPT_RC)
		return 0;
	return fm_error_set(error, -EOPNOTSUPP, FM_REASON_UNSUPPORTED,
			    "%s is an EFA device, which rdma_cm does not connect: leave out --rdma-cm", port->device);
}

static int rail_query(const struct fm_place_rail *rail, const struct fm_verbs_options *options, bool first,
		      struct fm_capabilities *capabilities, struct fm_error *error)
{
	struct limits limits = {.type = IBV_QPT_RC};
	struct ibv_context *context;
	struct fm_verbs_port port;
	int code = fm_verbs_port_find(FM_VERBS_SYSFS, rail, FM_VERBS_GID_AUTO, &port, error);

	if (code == 0 && fm_verbs_by_cm(options, &port))
		code = fm_verbs_cm_check(options, &port, error);
	code = code ? code : fm_verbs_device_open(&port, &context, &limits.device, &limits.port, error);
	if (code)
		return code;
	code = fm_verbs_type_choose(options, &port, context, &limits.device, &limits.efa, &limits.type, error);
	ibv_close_device(context);
	code = code ? code : cm_fits(options, &port, limits.type, error);
	for (int i = 0; i < FM_TEST_COUNT && code == 0; i++) {
		struct fm_capability one = {0};

		capability_fill((enum fm_test_id)i, &limits, &one);
		if (options->srq && one.supported && !takes_receives((enum fm_test_id)i))
			one = (struct fm_capability){.why_not = NO_RECEIVES};
		if (one.supported && limits.type == IBV_QPT_UD && options->mtu && options->mtu < one.size_max)
			one.size_max = options->mtu;
		if (port.iwarp)
			iwarp_narrow((enum fm_test_id)i, options, &one);
		if (first)
			capabilities->tests[i] = one;
		else
			capability_narrow(&capabilities->tests[i], &one);
	}
	return code;
}

static int verbs_query(const struct fm_place *place, const void *options, const struct fm_transport *const *transports,
		       struct fm_capabilities *capabilities, struct fm_error *error)
{
	struct fm_capabilities made = {0};
	int code = options_check(options, error);

	(void)transports;
	for (uint32_t i = 0; i < place->count && code == 0; i++)
		code = rail_query(&place->rails[i], options, i == 0, &made, error);
	if (code == 0)
		*capabilities = made;
	return code;
}

/* ---- open ---- */

static int verbs_refuse(const struct fm_work *work, uint32_t buffers, struct fm_error *error)
{
	if (!work->streams || buffers != 2 * work->streams || !work->slots || !work->size_bytes ||
	    work->size_bytes > MESSAGE_MAX || work->stride_bytes < work->size_bytes)
		return fm_error_set(error, -EINVAL, FM_REASON_INTERNAL,
				    "%u buffers of %u slots do not fit %u streams of verbs", buffers, work->slots,
				    work->streams);
	return 0;
}

/* A message whose last byte is anything, may land in any order, or must wake somebody cannot be polled. */
static bool may_poll(const struct fm_endpoint *endpoint)
{
	const struct fm_work *work = endpoint->work;

	return work->test == FM_WRITE_LAT && !work->verify && !work->events && !endpoint->options.relaxed_ordering;
}

static enum ibv_wr_opcode opcode_of(const struct fm_endpoint *endpoint, bool *polled)
{
	const struct fm_work *work = endpoint->work;

	*polled = false;
	switch (work->test) {
	case FM_WRITE_LAT:
		*polled = may_poll(endpoint) && endpoint->self.type != IBV_QPT_DRIVER;
		return *polled ? IBV_WR_RDMA_WRITE : IBV_WR_RDMA_WRITE_WITH_IMM;
	case FM_WRITE_BW:
		return IBV_WR_RDMA_WRITE;
	case FM_WRITE_IMM_LAT:
	case FM_WRITE_IMM_BW:
		return IBV_WR_RDMA_WRITE_WITH_IMM;
	case FM_READ_LAT:
	case FM_READ_BW:
		return IBV_WR_RDMA_READ;
	case FM_ATOMIC_FADD_LAT:
	case FM_ATOMIC_FADD_BW:
		return IBV_WR_ATOMIC_FETCH_AND_ADD;
	case FM_ATOMIC_CAS_LAT:
	case FM_ATOMIC_CAS_BW:
		return IBV_WR_ATOMIC_CMP_AND_SWP;
	default:
		return fm_verbs_reliable(endpoint->self.type) ? IBV_WR_SEND : IBV_WR_SEND_WITH_IMM;
	}
}

static uint32_t ahead_of(const struct fm_endpoint *endpoint, bool ping_pong)
{
	const struct fm_work *work = endpoint->work;
	uint64_t ahead = endpoint->options.rx_depth, most = fm_verbs_queue_max(&endpoint->device, &endpoint->efa);

	/* A number that was asked for and does not fit is refused where the queue is made. */
	if (endpoint->options.srq)
		most = ahead ? ahead : fm_verbs_shared_most(endpoint);
	if (!ahead)
		ahead = ping_pong		      ? PING_PONG_AHEAD
			: 2 * work->depth < AHEAD_MIN ? AHEAD_MIN
						      : 2 * (uint64_t)work->depth;
	if (work->verify && ahead > work->slots)
		ahead = work->slots;
	return (uint32_t)(ahead < most ? ahead : most);
}

static void lane_plan(struct fm_endpoint *endpoint, uint32_t index, const struct fm_buffer *buffers)
{
	const struct fm_work *work = endpoint->work;
	struct fm_verbs_lane *lane = &endpoint->lanes[index];
	const struct fm_test *test = &fm_tests[work->test];
	bool ping_pong = test->metric == FM_LATENCY && test->latency_divisor == 2, comes_with_receive, receives;
	uint64_t moderation = endpoint->options.cq_moderation ? endpoint->options.cq_moderation : MODERATION_MAX;

	lane->work = work;
	lane->options = &endpoint->options;
	lane->stream = index;
	lane->out = buffers[2 * (size_t)index];
	lane->in = buffers[2 * (size_t)index + 1];
	lane->opcode = opcode_of(endpoint, &lane->polled);
	lane->lossy = !fm_verbs_reliable(endpoint->self.type);
	/* Its datagrams too: each asks for a completion, or is refused. */
	lane->unordered = endpoint->efa.present;
	lane->headers = endpoint->self.type == IBV_QPT_UD;
	comes_with_receive = lane->opcode == IBV_WR_SEND || lane->opcode == IBV_WR_SEND_WITH_IMM ||
			     lane->opcode == IBV_WR_RDMA_WRITE_WITH_IMM;
	receives = comes_with_receive && (ping_pong || work->bidirectional || work->role == FM_SINK);
	lane->receives_messages = receives && !endpoint->options.srq;
	lane->shares_receives = receives && endpoint->options.srq;
	lane->role_reports_arrivals = ping_pong || work->role == FM_SINK;
	lane->grants_credit = receives && !ping_pong && !lane->lossy && endpoint->self.writes;
	/* The word counts up: where a later one may be overtaken there is only one at a time. */
	lane->granting_max = lane->unordered ? 1 : FM_VERBS_GRANTS;
	lane->needs_credit = comes_with_receive && !ping_pong && !lane->lossy && work->role == FM_DRIVE;
	lane->flush_max = endpoint->port.iwarp ? FM_VERBS_FLUSHES : 0;
	lane->flushes = endpoint->port.iwarp && work->role == FM_DRIVE && test->metric == FM_BANDWIDTH &&
			lane->opcode != IBV_WR_RDMA_READ;
	lane->ahead = ahead_of(endpoint, ping_pong);
	lane->slack = work->verify ? 0 : lane->ahead / 2;
	lane->slack_after = ping_pong ? 0 : lane->slack;
	lane->grant_step = lane->ahead / 4 ? lane->ahead / 4 : 1;
	lane->room = ping_pong ? PING_PONG_ROOM : work->depth;
	lane->signal_every = moderation < work->depth / 2 ? moderation : work->depth / 2;
	if (ping_pong)
		lane->signal_every = moderation < PING_PONG_SIGNAL ? moderation : PING_PONG_SIGNAL;
	if (!lane->signal_every || lane->unordered)
		lane->signal_every = 1;
	lane->list_max =
		endpoint->options.post_list < lane->room ? (uint32_t)endpoint->options.post_list : (uint32_t)lane->room;
}

static int lanes_make(struct fm_endpoint *endpoint, const struct fm_buffer *buffers, struct fm_error *error)
{
	const struct fm_work *work = endpoint->work;
	size_t lanes = work->streams * sizeof(*endpoint->lanes);
	uint32_t each = work->streams / work->threads;

	endpoint->threads = calloc(work->threads, sizeof(*endpoint->threads));
	endpoint->lanes = aligned_alloc(_Alignof(struct fm_verbs_lane), lanes);
	if (!endpoint->lanes || !endpoint->threads)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for %u streams: take fewer",
				    work->streams);
	memset(endpoint->lanes, 0, lanes);
	for (uint32_t i = 0; i < work->streams; i++) {
		struct fm_verbs_lane *lane = &endpoint->lanes[i];
		uint32_t random = 0;
		int code = work->services->random(work->services->context, &random, sizeof(random));

		if (code)
			return fm_error_set(error, code, FM_REASON_ENVIRONMENT, "no random number: %s",
					    strerror(-code));
		lane_plan(endpoint, i, buffers);
		lane->psn = random & 0xffffff;
		lane->thread = &endpoint->threads[fm_work_thread(work, i)];
		lane->id = (uint64_t)(i % each) << FM_VERBS_ID_LANE_SHIFT;
	}
	for (uint32_t i = 0; i < work->threads; i++) {
		endpoint->threads[i].lanes = &endpoint->lanes[(size_t)i * each];
		endpoint->threads[i].count = each;
	}
	endpoint->threads[0].watched = endpoint;
	return 0;
}

static int self_fill(struct fm_endpoint *endpoint, struct fm_error *error)
{
	struct fm_verbs_end *self = &endpoint->self;
	const struct fm_verbs_options *options = &endpoint->options;

	self->ethernet = endpoint->port.ethernet;
	self->iwarp = endpoint->port.iwarp;
	self->gid_type = endpoint->port.gid.type;
	memcpy(self->gid, endpoint->port.gid.raw, sizeof(self->gid));
	self->lid = endpoint->attributes.lid;
	self->mtu = endpoint->attributes.active_mtu;
	while (options->mtu && mtu_bytes(self->mtu) > options->mtu && self->mtu > IBV_MTU_256)
		self->mtu--;
	if (options->mtu && mtu_bytes(self->mtu) != options->mtu)
		return fm_error_set(
			error, -EINVAL, FM_REASON_UNSUPPORTED,
			"--mtu %llu: port %u of %s has %u now; the net device's own MTU must be larger by the "
			"headers, 4200 for 4096",
			(unsigned long long)options->mtu, endpoint->port.number, endpoint->port.device,
			mtu_bytes(endpoint->attributes.active_mtu));
	self->writes = !endpoint->efa.present || endpoint->efa.writes;
	self->reads_out = (uint32_t)endpoint->device.max_qp_init_rd_atom;
	self->reads_in = (uint32_t)endpoint->device.max_qp_rd_atom;
	/* The device has told how long it is: halving would miss it. */
	if (strcmp(options->inline_bytes, "auto") == 0 && endpoint->efa.present &&
	    endpoint->efa.inline_max < endpoint->inline_max)
		endpoint->inline_max = endpoint->efa.inline_max;
	/* Partitions are InfiniBand's, and rdma_cm's choice where it connects. */
	if (self->iwarp)
		return 0;
	return fm_verbs_pkeys_read(endpoint, end_index(options->pkey_index, endpoint->work->passive), error);
}

static int verbs_fill(struct fm_endpoint *endpoint, const struct fm_buffer *buffers, struct fm_error *error)
{
	const struct fm_work *work = endpoint->work;
	int index = end_index(endpoint->options.gid_index, work->passive);
	int code = fm_verbs_port_find(FM_VERBS_SYSFS, endpoint->rail, index, &endpoint->port, error);

	if (code == 0 && endpoint->port.iwarp && work->test == FM_WRITE_LAT && work->events)
		code = fm_error_set(
			error, -EOPNOTSUPP, FM_REASON_UNSUPPORTED,
			"%s is an iWARP device, where no completion tells of a write: leave out --events, or "
			"take send_lat",
			endpoint->port.device);
	code = code ? code
		    : fm_verbs_device_open(&endpoint->port, &endpoint->context, &endpoint->device,
					   &endpoint->attributes, error);
	code = code ? code
		    : fm_verbs_type_choose(&endpoint->options, &endpoint->port, endpoint->context, &endpoint->device,
					   &endpoint->efa, &endpoint->self.type, error);
	code = code ? code : cm_fits(&endpoint->options, &endpoint->port, endpoint->self.type, error);
	code = code ? code : self_fill(endpoint, error);
	code = code ? code : lanes_make(endpoint, buffers, error);
	if (code)
		return code;
	fm_verbs_watch_begin(endpoint);
	endpoint->pd = ibv_alloc_pd(endpoint->context);
	if (!endpoint->pd)
		return fm_error_set(error, -errno, FM_REASON_CONNECT, "%s gives no protection domain: %s",
				    endpoint->port.device, strerror(errno));
	code = fm_verbs_memory_open(endpoint, error);
	if (code == 0 && fm_verbs_by_cm(&endpoint->options, &endpoint->port))
		code = fm_verbs_cm_open(endpoint, error);
	code = code ? code : fm_verbs_threads_open(endpoint, error);
	code = code ? code : fm_verbs_queues_open(endpoint, error);
	for (uint32_t i = 0; i < work->streams && code == 0; i++)
		code = fm_verbs_lane_init(&endpoint->lanes[i], error);
	if (code)
		return code;
	endpoint->self.in_order = endpoint->self.type == IBV_QPT_DRIVER && fm_verbs_in_order(endpoint);
	fm_verbs_ece_query(endpoint);
	if (endpoint->lanes->receives_messages || endpoint->lanes->shares_receives)
		endpoint->self.ahead = endpoint->lanes->ahead;
	endpoint->self.control = (uintptr_t)endpoint->control;
	endpoint->self.control_key = endpoint->control_region->rkey;
	return 0;
}

static void verbs_close(struct fm_endpoint *endpoint)
{
	if (!endpoint)
		return;
	fm_verbs_queues_close(endpoint);
	fm_verbs_cm_close(endpoint);
	fm_verbs_memory_close(endpoint);
	if (endpoint->pd)
		ibv_dealloc_pd(endpoint->pd);
	if (endpoint->context)
		ibv_close_device(endpoint->context);
	for (uint32_t i = 0; endpoint->lanes && i < endpoint->work->streams; i++)
		fm_verbs_lane_free(&endpoint->lanes[i]);
	free(endpoint->lanes);
	free(endpoint->threads);
	free(endpoint);
}

static int verbs_open(const struct fm_place *place, const struct fm_work *work, const struct fm_buffer *buffers,
		      uint32_t count, struct fm_endpoint **endpoint, struct fm_error *error)
{
	struct fm_endpoint *made;
	int code = verbs_refuse(work, count, error);

	if (code)
		return code;
	made = calloc(1, sizeof(*made));
	if (!made)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for an endpoint");
	made->work = work;
	made->options = *(const struct fm_verbs_options *)work->options;
	made->rail = &place->rails[work->rail];
	made->service_level = made->options.service_level;
	made->traffic_class = made->options.traffic_class;
	made->inline_max = strcmp(made->options.inline_bytes, "auto") == 0
				   ? INLINE_WANTED
				   : (uint32_t)strtoul(made->options.inline_bytes, NULL, 10);
	code = verbs_fill(made, buffers, error);
	if (code) {
		verbs_close(made);
		return code;
	}
	*endpoint = made;
	return 0;
}

/* ---- connected ---- */

static int verbs_address(struct fm_endpoint *endpoint, struct fm_blob *blob, struct fm_error *error)
{
	return fm_verbs_exchange_write(endpoint, blob, error);
}

/* What both ends' devices decide together, each of which has planned for the lesser one. */
static void lane_agree(struct fm_endpoint *endpoint, struct fm_verbs_lane *lane)
{
	const struct fm_verbs_end *self = &endpoint->self, *peer = &endpoint->peer;

	/* EFA of the first generations cannot be written to: there the device tries again until it can send. */
	lane->grants_credit &= peer->writes;
	lane->needs_credit &= self->writes && peer->writes;
	if (may_poll(endpoint) && self->in_order && peer->in_order) {
		lane->opcode = IBV_WR_RDMA_WRITE;
		lane->polled = true;
		lane->receives_messages = false;
	}
}

static int verbs_connect(struct fm_endpoint *endpoint, const struct fm_blob *peer, struct fm_lane *lanes,
			 uint32_t count, struct fm_error *error)
{
	int code = endpoint->exchanged ? 0 : fm_verbs_exchange_read(endpoint, peer, error);

	endpoint->exchanged = !code;
	code = code ? code : fm_verbs_queues_connect(endpoint, error);
	if (code)
		return code;
	for (uint32_t i = 0; i < count; i++) {
		lane_agree(endpoint, &endpoint->lanes[i]);
		lanes[i] = fm_verbs_lane_specialise(&endpoint->lanes[i]);
	}
	endpoint->connected = true;
	return 0;
}

/* A device that cannot go on shows again when lanes are armed; this one only looks often enough. */
static int verbs_progress(struct fm_endpoint *endpoint, struct fm_error *error)
{
	fm_verbs_cm_progress(endpoint);
	return fm_verbs_events(endpoint, error);
}

static int verbs_counters(struct fm_endpoint *endpoint, struct fm_counters *counters, struct fm_error *error)
{
	return fm_verbs_observe(endpoint, counters, error);
}

static const struct fm_transport table = {
	.abi = FM_TRANSPORT_ABI,
	.name = "verbs",
	.help = "RDMA by libibverbs: InfiniBand, RoCE, iWARP and EFA",
	.automatic = true,
	.rdma = true,
	.default_latency = FM_WRITE_LAT,
	.default_bandwidth = FM_WRITE_BW,
	.options = &fm_verbs_options,
	.probe = verbs_probe,
	.query = verbs_query,
	.open = verbs_open,
	.address = verbs_address,
	.connect = verbs_connect,
	.progress = verbs_progress,
	.effective = fm_verbs_effective,
	.counters = verbs_counters,
	.disconnect = fm_disconnect_none,
	.close = verbs_close,
};

FM_MODULE(table);
