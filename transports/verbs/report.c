/*
 * report.c - what is in force.
 */
#include "transports/verbs/endpoint.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

/* Gb/s of the port, by the first number of "100 Gb/sec (4X EDR)". */
static bool port_rate(const struct fm_verbs_port *port, double *gbps)
{
	char path[PATH_MAX], text[64], *end;

	snprintf(path, sizeof(path), "%s/%s/ports/%u/rate", FM_VERBS_SYSFS, port->device, port->number);
	if (!fm_verbs_read_line(path, text, sizeof(text)))
		return false;
	*gbps = strtod(text, &end);
	return end != text && *gbps > 0;
}

static void provider_add(const struct fm_endpoint *endpoint, struct fm_effective *effective)
{
	char path[PATH_MAX], target[PATH_MAX] = "";

	snprintf(path, sizeof(path), "%s/%s/device/driver", FM_VERBS_SYSFS, endpoint->port.device);
	if (readlink(path, target, sizeof(target) - 1) > 0 && strrchr(target, '/'))
		fm_effective_add(effective, "provider", "%s", strrchr(target, '/') + 1);
	else
		/* Devices of software alone have no driver underneath; they are called after it. */
		fm_effective_add(effective, "provider", "%.*s", (int)strcspn(endpoint->port.device, "0123456789"),
				 endpoint->port.device);
	if (endpoint->device.fw_ver[0])
		fm_effective_add(effective, "firmware", "%s", endpoint->device.fw_ver);
}

static void numbers_add(const struct fm_endpoint *endpoint, struct fm_effective *effective)
{
	uint32_t streams = endpoint->work->streams;
	uint32_t first = endpoint->lanes[0].qp->qp_num, last = endpoint->lanes[streams - 1].qp->qp_num;

	if (streams == 1)
		fm_effective_add(effective, "qp_numbers", "0x%x", first);
	else
		fm_effective_add(effective, "qp_numbers", "0x%x-0x%x", first, last);
}

static const char *variant_of(const struct fm_endpoint *endpoint)
{
	const struct fm_work *work = endpoint->work;

	if (endpoint->lanes[0].polled)
		return fm_verbs_in_order(endpoint) ? "poll_guaranteed" : "poll_assumed";
	if (endpoint->options.relaxed_ordering)
		return "write_imm_relaxed_ordering";
	if (endpoint->self.type == IBV_QPT_DRIVER)
		return "write_imm_unordered";
	return work->events ? "write_imm_events" : "write_imm_verify";
}

static void queue_add(const struct fm_endpoint *endpoint, struct fm_effective *effective)
{
	const struct fm_verbs_lane *lane = &endpoint->lanes[0];
	const struct fm_verbs_options *options = &endpoint->options;

	fm_effective_add(effective, "queue_pairs", "%u", endpoint->work->streams);
	fm_effective_add(effective, "post_api", "%s", endpoint->extended ? "ibv_wr" : "ibv_post_send");
	fm_effective_add(effective, "inline_bytes", "%u", endpoint->inline_max);
	fm_effective_add(effective, "cq_moderation", "%llu", (unsigned long long)lane->signal_every);
	fm_effective_add(effective, "traffic_class", "%llu", (unsigned long long)endpoint->traffic_class);
	fm_effective_add(effective, "service_level", "%llu", (unsigned long long)endpoint->service_level);
	fm_effective_add(effective, "relaxed_ordering", "%s", options->relaxed_ordering ? "yes" : "no");
	fm_effective_add(effective, "post_list", "%u", lane->list_max);
	if (lane->receives_messages || lane->shares_receives)
		fm_effective_add(effective, "rx_depth", "%u", lane->ahead);
	if (lane->shares_receives)
		fm_effective_add(effective, "srq", "yes");
	if (endpoint->self.type == IBV_QPT_RC)
		fm_effective_add(effective, "max_rd_atomic", "%u",
				 endpoint->self.reads_out < endpoint->peer.reads_in ? endpoint->self.reads_out
										    : endpoint->peer.reads_in);
	if (lane->thread->td)
		fm_effective_add(effective, "thread_domain", "yes");
	if (endpoint->work->events)
		fm_effective_add(effective, "completion_vector", "%d", lane->thread->vector);
	fm_verbs_ece_report(endpoint, effective);
	/* Of iWARP these are TCP's. */
	if (endpoint->self.type == IBV_QPT_RC && !endpoint->port.iwarp) {
		fm_effective_add(effective, "qp_timeout", "%llu", (unsigned long long)endpoint->options.qp_timeout);
		fm_effective_add(effective, "retry_count", "%llu", (unsigned long long)endpoint->options.retry_count);
		fm_effective_add(effective, "rnr_retry", "%llu", (unsigned long long)endpoint->options.rnr_retry);
	}
	numbers_add(endpoint, effective);
}

static const char *type_name(enum ibv_qp_type type)
{
	switch (type) {
	case IBV_QPT_RC:
		return "RC";
	case IBV_QPT_UC:
		return "UC";
	case IBV_QPT_UD:
		return "UD";
	default:
		return "SRD";
	}
}

static void path_add(const struct fm_endpoint *endpoint, struct fm_effective *effective)
{
	char text[INET6_ADDRSTRLEN] = "";

	/* The packets of SRD are longer than any MTU that InfiniBand has a number for. */
	fm_effective_add(effective, "mtu", "%u",
			 endpoint->self.type == IBV_QPT_DRIVER ? endpoint->attributes.max_msg_sz
							       : 128u << endpoint->mtu);
	fm_effective_add(effective, "gid_index", "%d", endpoint->port.gid.index);
	inet_ntop(AF_INET6, endpoint->self.gid, text, sizeof(text));
	fm_effective_add(effective, "gid", "%s", text);
	fm_effective_add(effective, "gid_type", "%s", fm_verbs_gid_type_name(endpoint->self.gid_type));
	fm_effective_add(effective, "p_key", "0x%04x at %u", endpoint->self.pkeys[endpoint->pkey],
			 endpoint->pkey_places[endpoint->pkey]);
}

int fm_verbs_effective(struct fm_endpoint *endpoint, struct fm_effective *effective, struct fm_error *error)
{
	double gbps;
	int code = fm_verbs_events(endpoint, error);

	if (code)
		return code;
	fm_effective_add(effective, "connection", "%s", type_name(endpoint->self.type));
	fm_verbs_cm_progress(endpoint);
	fm_verbs_cm_effective(endpoint, effective);
	if (endpoint->work->test == FM_WRITE_LAT)
		fm_effective_add(effective, "variant", "%s", variant_of(endpoint));
	fm_effective_add(effective, "memory_path", "host");
	fm_effective_add(effective, "rdma_device", "%s:%u", endpoint->port.device, endpoint->port.number);
	if (endpoint->port.ethernet || endpoint->port.infiniband)
		fm_effective_add(effective, "link_layer", "%s", endpoint->port.ethernet ? "ethernet" : "infiniband");
	/* A device of software says 2.5 Gb/s, whatever is under it: the net device's own speed stays in the column. */
	if (endpoint->port.software)
		fm_effective_add(effective, "rdma_link", "unknown: a device in software makes its rate up");
	else if (port_rate(&endpoint->port, &gbps))
		fm_effective_add(effective, "link_gbps", "%g", gbps);
	/* Of iWARP the path is TCP's. */
	if (!endpoint->port.iwarp)
		path_add(endpoint, effective);
	queue_add(endpoint, effective);
	provider_add(endpoint, effective);
	fm_verbs_remark(endpoint, effective);
	if (endpoint->event[0])
		fm_effective_add(effective, "async_event", "%s", endpoint->event);
	return 0;
}
