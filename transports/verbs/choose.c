/*
 * choose.c - what is chosen between the options, the device and its port: connection type and P_Keys.
 */
#include <errno.h>

#include "transports/verbs/endpoint.h"

static int efa_refuse(const struct fm_verbs_port *port, const char *connection, struct fm_error *error)
{
	return fm_error_set(error, -EOPNOTSUPP, FM_REASON_UNSUPPORTED,
			    "--connection %s: %s is an EFA device, which has srd and ud alone: leave the option out",
			    connection, port->device);
}

int fm_verbs_type_choose(const struct fm_verbs_options *options, const struct fm_verbs_port *port,
			 struct ibv_context *context, const struct ibv_device_attr *device, struct fm_verbs_efa *efa,
			 enum ibv_qp_type *type, struct fm_error *error)
{
	const char *connection = options->connection;
	bool any = strcmp(connection, "auto") == 0, srd = strcmp(connection, "srd") == 0;
	bool ud = strcmp(connection, "ud") == 0, uc = strcmp(connection, "uc") == 0;
	struct fm_verbs_efa found = {0};
	int code = 0;

	if (device->vendor_id != FM_VERBS_VENDOR_AMAZON && srd)
		return fm_error_set(error, -EOPNOTSUPP, FM_REASON_UNSUPPORTED,
				    "--connection srd: %s is no EFA device, and no other has SRD: leave it out for RC",
				    port->device);
	if (device->vendor_id == FM_VERBS_VENDOR_AMAZON) {
		if (!any && !srd && !ud)
			return efa_refuse(port, connection, error);
		code = fm_verbs_efa_query(context, port->device, &found, error);
		/* Datagrams need none of its own calls; but then nothing is known of its RDMA, and none is taken. */
		if (code && !ud)
			return code;
		found.present = true;
		if (!ud && options->mtu)
			return fm_error_set(error, -EOPNOTSUPP, FM_REASON_UNSUPPORTED,
					    "--mtu %llu: SRD has its port's own packets, of %s; leave it out",
					    (unsigned long long)options->mtu, port->device);
	}
	*efa = found;
	*type = ud ? IBV_QPT_UD : uc ? IBV_QPT_UC : srd || found.present ? IBV_QPT_DRIVER : IBV_QPT_RC;
	return 0;
}

int fm_verbs_pkeys_read(struct fm_endpoint *endpoint, int index, struct fm_error *error)
{
	const struct fm_verbs_port *port = &endpoint->port;
	struct fm_verbs_end *self = &endpoint->self;
	int first = index == FM_VERBS_GID_AUTO ? 0 : index;
	int end = index == FM_VERBS_GID_AUTO ? endpoint->attributes.pkey_tbl_len : index + 1;

	for (int i = first; i < end && self->pkey_count < FM_VERBS_PKEYS_MAX; i++) {
		uint16_t pkey = 0;

		if (ibv_query_pkey(endpoint->context, port->number, i, &pkey) != 0 || !pkey)
			continue;
		endpoint->pkey_places[self->pkey_count] = (uint16_t)i;
		self->pkeys[self->pkey_count++] = be16toh(pkey);
	}
	if (self->pkey_count)
		return 0;
	if (index == FM_VERBS_GID_AUTO)
		return fm_error_set(error, -EINVAL, FM_REASON_UNSUPPORTED,
				    "port %u of %s has no P_Key: on InfiniBand the subnet manager gives it one",
				    port->number, port->device);
	return fm_error_set(error, -EINVAL, FM_REASON_UNSUPPORTED, "--pkey-index %d: port %u of %s has no P_Key there",
			    index, port->number, port->device);
}

uint32_t fm_verbs_queue_max(const struct ibv_device_attr *device, const struct fm_verbs_efa *efa)
{
	uint32_t most = device->max_qp_wr > 1 ? (uint32_t)device->max_qp_wr : 1;

	if (efa->send_queue_max && efa->send_queue_max < most)
		most = efa->send_queue_max;
	if (efa->receive_queue_max && efa->receive_queue_max < most)
		most = efa->receive_queue_max;
	return most;
}
