/*
 * rdma_json.c - the RDMA ports for `devices --json`. Numbers that are unknown are null, texts empty.
 */
#include <math.h>

#include "topology/rdma.h"

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

/* The kernel passes on what firmware wrote; what is no UTF-8 has no place in JSON. */
static json_t *text(const char *bytes)
{
	json_t *string = json_string(bytes);

	return string ? string : json_string("");
}

static json_t *gids_to_json(const struct fm_rdma_port *port)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < port->gid_count; i++) {
		const struct fm_rdma_gid *gid = &port->gids[i];

		json_array_append_new(list, json_pack("{s:i, s:s, s:o, s:o, s:o}", "index", (int)gid->index, "gid",
						      gid->text, "type", text(gid->type), "net_device",
						      text(gid->net_device), "refused", text_or_null(gid->refused)));
	}
	return list;
}

static json_t *counters_to_json(const struct fm_rdma_counters *counters)
{
	return json_pack("{s:i, s:i}", "count", (int)counters->count, "readable", (int)counters->readable);
}

static json_t *port_to_json(const struct fm_rdma_port *port)
{
	json_t *object = json_pack("{s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:i}", "device", text(port->device),
				   "port", (int)port->port, "node_type", text(port->node_type), "description",
				   text(port->description), "firmware", text(port->firmware), "board",
				   text(port->board), "node_guid", text(port->node_guid), "driver", text(port->driver),
				   "pci", port->pci, "numa", port->numa_node);
	json_t *link = json_pack("{s:o, s:o, s:o, s:b, s:o, s:o, s:I, s:I, s:I, s:o}", "link_layer",
				 text(port->link_layer), "state", text(port->state), "physical_state",
				 text(port->physical_state), "active", port->active, "rate", text(port->rate), "gbps",
				 isnan(port->link_gbps) ? json_null() : json_real(port->link_gbps), "lid",
				 (json_int_t)port->lid, "sm_lid", (json_int_t)port->sm_lid, "capability_mask",
				 (json_int_t)port->capabilities, "pkeys", text(port->pkeys));
	json_t *use = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "uverbs", text(port->uverbs), "counters",
				counters_to_json(&port->counters), "hw_counters", counters_to_json(&port->hw_counters),
				"net_device", text(port->net_device), "left_out", text_or_null(port->left_out), "gids",
				gids_to_json(port), "gid_index",
				port->chosen < 0 ? json_null() : json_integer(port->gids[port->chosen].index),
				"gid_reason", text(port->reason));

	if (!object || json_object_update(object, link) < 0 || json_object_update(object, use) < 0) {
		json_decref(object);
		object = NULL;
	}
	json_decref(link);
	json_decref(use);
	return object;
}

json_t *fm_rdma_to_json(const struct fm_rdma *rdma)
{
	json_t *list = json_array();

	for (uint32_t i = 0; list && i < rdma->count; i++)
		if (json_array_append_new(list, port_to_json(&rdma->ports[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}
