/*
 * watch.c - what befalls a device while it is in use: asynchronous events, its removal, and all that is read around the
 * measured window.
 *
 * A device that is removed tells so by an event where its driver can take it away from a process, as mlx5's; soft-RoCE
 * goes on working until the last process has closed it, and 'rdma link delete' waits for that. Of both the folder under
 * /sys goes at once.
 */
#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "transports/verbs/endpoint.h"
#include "transports/verbs/status.h"

void fm_verbs_watch_begin(struct fm_endpoint *endpoint)
{
	const char *path = endpoint->context->device->dev_path;

	endpoint->listed = path[0] && access(path, F_OK) == 0;
}

/* The lanes of the first thread, in which this runs: the others are stopped once one of these has failed. */
static void lanes_fail(const struct fm_endpoint *endpoint)
{
	const struct fm_verbs_thread *thread = &endpoint->threads[0];

	for (uint32_t i = 0; i < thread->count; i++) {
		struct fm_verbs_failure *failure = &thread->lanes[i].failure;

		/* What says more than that all ended stays. */
		if (!failure->code || failure->call || fm_verbs_status_secondary(failure->status))
			*failure = (struct fm_verbs_failure){.code = endpoint->fatal.code, .fatal = &endpoint->fatal};
	}
}

/* Is it of this device, but of another port than ours? */
static bool is_elsewhere(const struct fm_endpoint *endpoint, const struct ibv_async_event *event)
{
	return fm_verbs_event_of_port(event->event_type) && event->element.port_num != endpoint->port.number;
}

static void event_take(struct fm_endpoint *endpoint, enum ibv_event_type type)
{
	enum fm_verbs_weight weight;
	struct fm_verbs_words words = fm_verbs_event_words(type, &weight);

	if (weight == FM_VERBS_USUAL)
		return;
	snprintf(endpoint->event, sizeof(endpoint->event), "%s", words.name);
	endpoint->disturbances += weight == FM_VERBS_DISTURBS;
	if (weight == FM_VERBS_FATAL && !endpoint->fatal.code)
		fm_error_set(&endpoint->fatal, -EIO, FM_REASON_TRANSFER, "%s reports '%s' (event %d): %s",
			     endpoint->port.device, words.name, (int)type, words.cause);
}

int fm_verbs_events(struct fm_endpoint *endpoint, struct fm_error *error)
{
	struct pollfd wait = {.fd = endpoint->context->async_fd, .events = POLLIN};
	struct ibv_async_event event;

	while (!endpoint->fatal.code && poll(&wait, 1, 0) > 0 && ibv_get_async_event(endpoint->context, &event) == 0) {
		bool elsewhere = is_elsewhere(endpoint, &event);
		enum ibv_event_type type = event.event_type;

		ibv_ack_async_event(&event);
		if (!elsewhere)
			event_take(endpoint, type);
	}
	if (!endpoint->fatal.code && endpoint->listed && access(endpoint->context->device->dev_path, F_OK) != 0)
		fm_error_set(&endpoint->fatal, -ENODEV, FM_REASON_TRANSFER,
			     "RDMA device %s was removed while it was in use: 'rdma link' lists those that are left, "
			     "and the kernel's log may say why it went",
			     endpoint->port.device);
	if (!endpoint->fatal.code)
		return 0;
	lanes_fail(endpoint);
	*error = endpoint->fatal;
	return error->code;
}

void fm_verbs_watch(struct fm_verbs_thread *thread)
{
	struct fm_error ignored;

	/* Its lanes have it. */
	if (thread->watched)
		fm_verbs_events(thread->watched, &ignored);
}

/* ---- around the measured window ---- */

/* Messages so far. How often the peer wrote credits is not known here: each time a quarter of its receives was new. */
static void traffic_add(const struct fm_endpoint *endpoint, struct fm_counters *counters)
{
	const struct fm_verbs_lane *first = &endpoint->lanes[0];
	uint64_t step = endpoint->peer.ahead / 4 ? endpoint->peer.ahead / 4 : 1;
	struct fm_verbs_moved moved = {
		.size = endpoint->work->size_bytes,
		.mtu = 128u << endpoint->mtu,
		.fetches = first->opcode == IBV_WR_RDMA_READ || first->opcode == IBV_WR_ATOMIC_FETCH_AND_ADD ||
			   first->opcode == IBV_WR_ATOMIC_CMP_AND_SWP,
	};

	for (uint32_t i = 0; i < endpoint->work->streams; i++) {
		const struct fm_verbs_lane *lane = &endpoint->lanes[i];

		moved.outgoing += lane->outgoing;
		moved.incoming += lane->awaited;
		moved.grants += lane->grant_next;
		moved.granted += lane->needs_credit ? lane->outgoing / step : 0;
	}
	fm_verbs_own_traffic(&moved, counters);
	/* What one end sends the other receives at the same port, and neither knows all of it. */
	if (memcmp(endpoint->self.gid, endpoint->peer.gid, sizeof(endpoint->self.gid)) == 0)
		counters->sent = counters->received = (struct fm_traffic){0};
}

int fm_verbs_observe(struct fm_endpoint *endpoint, struct fm_counters *counters, struct fm_error *error)
{
	/* Twice: what is in the store may have been put there just before the last operation was counted. */
	const struct timespec wait = {0, 2000000L * fm_verbs_counters_age_ms(FM_VERBS_SYSFS, &endpoint->port)};
	int code = fm_verbs_events(endpoint, error);

	if (code)
		return code;
	nanosleep(&wait, NULL);
	fm_verbs_counters(FM_VERBS_SYSFS, &endpoint->port, counters);
	traffic_add(endpoint, counters);
	fm_verbs_states(FM_VERBS_SYSFS, &endpoint->port, counters);
	if (endpoint->disturbances)
		fm_counters_state(counters, "the events of its port", "%u, the last: %s", endpoint->disturbances,
				  endpoint->event);
	else
		fm_counters_state(counters, "the events of its port", "none");
	return 0;
}
