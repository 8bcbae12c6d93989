/*
 * cm.c - queue pairs connected by rdma_cm: the passive side listens, the active side opens a connection a stream, and
 * neither waits inside: events are taken as they come, each time that connect or progress is called.
 */
#include "transports/verbs/cm.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>

/* ---- open, connect, close ---- */

int fm_verbs_cm_check(const struct fm_verbs_options *options, const struct fm_verbs_port *port, struct fm_error *error)
{
	struct fm_verbs_cm_calls calls;
	int code;

	if (strcmp(options->connection, "rc") != 0 && strcmp(options->connection, "auto") != 0)
		return fm_error_set(error, -EOPNOTSUPP, FM_REASON_UNSUPPORTED,
				    port->iwarp ? "%s is an iWARP device, which has reliable connections alone: leave "
						  "out --connection"
						: "%s: rdma_cm connects reliable queue pairs here: leave out "
						  "--connection or --rdma-cm",
				    port->device);
	if (strcmp(options->gid_index, "auto") != 0 || strcmp(options->pkey_index, "auto") != 0)
		return fm_error_set(error, -EINVAL, FM_REASON_UNSUPPORTED,
				    "%s: rdma_cm takes GID and P_Key of the data address: choose that with "
				    "--data-address, and leave out --gid-index and --pkey-index",
				    port->device);
	if (port->iwarp && options->mtu)
		return fm_error_set(error, -EINVAL, FM_REASON_UNSUPPORTED,
				    "%s is an iWARP device, whose segments are TCP's: set the net device's MTU, and "
				    "leave out --mtu",
				    port->device);
	code = fm_verbs_cm_load(&calls, error);
	/* Nobody asked for it: then auto may take another transport. */
	if (code && !options->rdma_cm)
		error->reason = FM_REASON_UNSUPPORTED;
	return code;
}

/* A port that rdma_cm takes for free may be a TCP socket's, which iWARP finds out when it listens. */
static int listen_try(struct fm_endpoint *endpoint, struct fm_error *error)
{
	struct fm_verbs_cm *cm = endpoint->cm;
	int backlog = 2 * (int)endpoint->work->streams + FM_VERBS_CM_PENDING, code;
	struct sockaddr_storage own;

	fm_verbs_cm_address(endpoint->self.cm_address, endpoint->rail->device, 0, &own);
	if (cm->call.create_id(cm->channel, &cm->listener, NULL, RDMA_PS_TCP)) {
		cm->listener = NULL;
		return fm_verbs_cm_failed(endpoint, "create_id", -errno, error);
	}
	if (cm->call.bind_addr(cm->listener, (struct sockaddr *)&own))
		return fm_verbs_cm_failed(endpoint, "bind_addr", -errno, error);
	code = fm_verbs_cm_device_check(endpoint, cm->listener, error);
	if (code)
		return code;
	if (cm->call.listen(cm->listener, backlog))
		return fm_verbs_cm_failed(endpoint, "listen", -errno, error);
	endpoint->self.cm_port = ntohs(cm->call.get_src_port(cm->listener));
	return 0;
}

static int listen_start(struct fm_endpoint *endpoint, struct fm_error *error)
{
	int code = -EADDRINUSE;

	for (int i = 0; i < FM_VERBS_CM_TRIES && code == -EADDRINUSE; i++) {
		if (endpoint->cm->listener)
			endpoint->cm->call.destroy_id(endpoint->cm->listener);
		endpoint->cm->listener = NULL;
		code = listen_try(endpoint, error);
	}
	return code;
}

int fm_verbs_cm_open(struct fm_endpoint *endpoint, struct fm_error *error)
{
	const struct fm_work *work = endpoint->work;
	struct fm_verbs_end *self = &endpoint->self;
	struct fm_verbs_cm *cm = calloc(1, sizeof(*cm));
	int code;

	endpoint->cm = cm;
	if (cm)
		cm->links = calloc(work->streams, sizeof(*cm->links));
	if (!cm || !cm->links)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for %u streams: take fewer",
				    work->streams);
	self->by_cm = true;
	if (endpoint->port.iwarp)
		endpoint->service_level = 0; /* InfiniBand's */
	snprintf(cm->own, sizeof(cm->own), "%.*s", (int)sizeof(cm->own) - 1, endpoint->rail->address);
	if (!fm_verbs_cm_address_read(endpoint->rail->address, self->cm_address))
		return fm_error_set(error, -EADDRNOTAVAIL, FM_REASON_PLACEMENT,
				    "%s has no IP address, which rdma_cm needs: give its net device one (of InfiniBand "
				    "IPoIB), or choose with --data-address",
				    endpoint->port.device);
	code = work->services->random(work->services->context, self->cm_nonce, sizeof(self->cm_nonce));
	if (code)
		return fm_error_set(error, code, FM_REASON_ENVIRONMENT, "no random number: %s", strerror(-code));
	code = fm_verbs_cm_load(&cm->call, error);
	if (code)
		return code;
	cm->channel = cm->call.create_event_channel();
	if (!cm->channel)
		return fm_verbs_cm_failed(endpoint, "create_event_channel", errno ? -errno : -EIO, error);
	if (fcntl(cm->channel->fd, F_SETFL, O_NONBLOCK))
		return fm_verbs_cm_failed(endpoint, "create_event_channel", -errno, error);
	return work->passive ? listen_start(endpoint, error) : 0;
}

int fm_verbs_cm_connect(struct fm_endpoint *endpoint, struct fm_error *error)
{
	const struct fm_work *work = endpoint->work;
	struct fm_verbs_cm *cm = endpoint->cm;
	int code = 0;

	if (!cm->peer[0]) {
		bool four = IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)endpoint->peer.cm_address);

		inet_ntop(four ? AF_INET : AF_INET6, endpoint->peer.cm_address + (four ? 12 : 0), cm->peer,
			  sizeof(cm->peer));
	}
	if (work->services->stopped(work->services->context))
		return fm_error_set(error, -ECANCELED, FM_REASON_CONNECT, "given up before %s was connected", cm->peer);
	if (!work->passive)
		code = fm_verbs_cm_links_start(endpoint, error);
	code = code ? code : fm_verbs_cm_events_take(endpoint, error);
	if (code == 0 && endpoint->port.iwarp && !work->passive)
		code = fm_verbs_cm_first_reads_take(endpoint, error);
	if (code || cm->done == work->streams)
		return code;
	return fm_error_set(
		error, -EAGAIN, FM_REASON_CONNECT,
		"rdma_cm has connected %u of %u queue pairs between %s and %s, and waits for %s at %s port %u: "
		"try ping between the two, and look for a firewall that keeps %s out",
		cm->done, work->streams, cm->own, cm->peer, work->passive ? "connections" : "an answer",
		work->passive ? cm->own : cm->peer, work->passive ? endpoint->self.cm_port : endpoint->peer.cm_port,
		endpoint->port.iwarp	  ? "this TCP port"
		: endpoint->port.ethernet ? "UDP port 4791"
					  : "connection management");
}

void fm_verbs_cm_progress(struct fm_endpoint *endpoint)
{
	struct fm_error ignored;

	/* Strangers are refused and farewells taken; a failure was the stranger's. */
	if (endpoint->cm && endpoint->connected)
		fm_verbs_cm_events_take(endpoint, &ignored);
}

void fm_verbs_cm_effective(const struct fm_endpoint *endpoint, struct fm_effective *effective)
{
	if (!endpoint->cm)
		return;
	fm_effective_add(effective, "connection_by", "rdma_cm");
	if (endpoint->cm->refused)
		fm_effective_add(effective, "refused_connections", "%u", endpoint->cm->refused);
}

void fm_verbs_cm_close(struct fm_endpoint *endpoint)
{
	struct fm_verbs_cm *cm = endpoint->cm;

	if (!cm)
		return;
	for (uint32_t i = 0; cm->links && i < endpoint->work->streams; i++)
		if (cm->links[i].id)
			cm->call.destroy_id(cm->links[i].id);
	if (cm->listener)
		cm->call.destroy_id(cm->listener);
	if (cm->channel)
		cm->call.destroy_event_channel(cm->channel);
	free(cm->links);
	free(cm);
}
