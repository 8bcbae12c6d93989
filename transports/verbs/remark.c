/*
 * remark.c - what of a port's surroundings spoils figures without an error: a bond whose second port stays idle,
 * packets in a class that has no flow control.
 */
#include <limits.h>

#include "transports/verbs/endpoint.h"

enum { EACH_PORT = 2 /* queue pairs, so that both ports of a bond are likely to get some */, PRIORITIES = 8 };

/* The net device's folder stands beside that of the RDMA devices. */
static bool net_line(const char *net_device, const char *file, char *text, size_t bytes)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/../net/%s/%s", FM_VERBS_SYSFS, net_device, file);
	return net_device[0] && fm_verbs_read_line(path, text, bytes);
}

/* Its ports, 0 where it is no bond; first: the name of one of them. */
static uint32_t bond_ports(const char *net_device, char *first, size_t bytes)
{
	char text[256], *rest;
	uint32_t count = 0;

	if (!net_line(net_device, "bonding/slaves", text, sizeof(text)))
		return 0;
	for (const char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		if (count++ == 0)
			snprintf(first, bytes, "%s", word);
	return count;
}

/* Congestion notification by priority, as far as the driver shows it: bits that are on. */
static uint8_t ecn_priorities(const char *net_device)
{
	char file[64], text[8];
	uint8_t on = 0;

	for (uint32_t i = 0; i < PRIORITIES; i++) {
		snprintf(file, sizeof(file), "ecn/roce_np/enable/%u", i);
		if (net_line(net_device, file, text, sizeof(text)) && text[0] == '1')
			on |= (uint8_t)(1u << i);
	}
	return on;
}

static const char *priorities_name(uint8_t bits, char text[24])
{
	size_t used = 0;

	for (uint32_t i = 0; i < PRIORITIES; i++)
		if (bits >> i & 1)
			used += (size_t)snprintf(text + used, 24 - used, "%s%u", used ? " " : "", i);
	return text;
}

/* A packet of DSCP 0 goes by priority 0, unless somebody has mapped it elsewhere, which cannot be read everywhere. */
static void class_remark(const char *net_device, struct fm_effective *effective)
{
	uint8_t pfc = 0, ecn = ecn_priorities(net_device);
	char text[24] = "";

	if (!fm_verbs_pfc_read(net_device, &pfc))
		pfc = 0;
	if (pfc && !(pfc & 1))
		fm_effective_add(effective, "traffic_class_remark",
				 "PFC is on for priority %s only: set --traffic-class", priorities_name(pfc, text));
	else if (ecn && !(ecn & 1))
		fm_effective_add(effective, "traffic_class_remark",
				 "ECN is on for priority %s only: set --traffic-class", priorities_name(ecn, text));
}

void fm_verbs_remark(const struct fm_endpoint *endpoint, struct fm_effective *effective)
{
	const struct fm_verbs_port *port = &endpoint->port;
	const char *net_device = port->gid.netdev[0] ? port->gid.netdev : endpoint->rail->device;
	uint32_t streams = endpoint->work->streams, ports;
	char first[32] = "";

	if (!port->ethernet || port->iwarp)
		return;
	ports = bond_ports(net_device, first, sizeof(first));
	if (ports)
		fm_effective_add(effective, "bond_ports", "%u", ports);
	if (ports > 1 && streams < EACH_PORT * ports)
		fm_effective_add(effective, "bond_remark", "%u queue pairs may leave a port idle: --streams %u or more",
				 streams, EACH_PORT * ports);
	if (endpoint->traffic_class >> 2 == 0 && !port->software)
		class_remark(ports ? first : net_device, effective);
}
