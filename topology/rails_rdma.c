/*
 * rails_rdma.c - which RDMA port of B belongs to one of A, where addresses do not tell. Pure, as rails.c is.
 */
#include <stdio.h>
#include <string.h>

#include "topology/address.h"
#include "topology/rails.h"

enum {
	PREFIX_BITS = 64, /* of a GID: the subnet's */
	OUT_OF_BAND = 4,  /* a port so many times slower than another of its node is there for management */
};

bool fm_rail_over_rdma(const struct fm_nic *nic)
{
	return nic && nic->up && nic->rdma.active;
}

bool fm_rail_out_of_band(const struct fm_nics *nics, const struct fm_nic *nic)
{
	/* Comparisons with NaN are false: what is unknown is none. */
	for (uint32_t i = 0; i < nics->count; i++)
		if (fm_rail_over_rdma(&nics->list[i]) && nics->list[i].link_gbps >= OUT_OF_BAND * nic->link_gbps)
			return true;
	return false;
}

/* A port of the same link layer and, where prefix is given, in that subnet. */
static bool port_passes(const struct fm_nic *nic, const struct fm_nic *like, const struct fm_address *prefix)
{
	struct fm_address gid;

	if (!fm_rail_over_rdma(nic) || strcmp(nic->link_layer, like->link_layer) != 0)
		return false;
	return !prefix || (fm_address_parse(nic->rdma.gid, &gid) && fm_address_same_prefix(&gid, prefix, PREFIX_BITS));
}

/* The one of this rank among those that pass, in the order of slots; count: how many pass. */
static const struct fm_nic *port_of_rank(const struct fm_nics *nics, const struct fm_nic *like,
					 const struct fm_address *prefix, uint32_t rank, uint32_t *count)
{
	const struct fm_nic *found = NULL;

	*count = 0;
	for (uint32_t i = 0; i < nics->count; i++) {
		uint32_t before = 0;

		if (!port_passes(&nics->list[i], like, prefix))
			continue;
		(*count)++;
		for (uint32_t j = 0; j < nics->count; j++)
			before += j != i && port_passes(&nics->list[j], like, prefix) &&
				  fm_nic_before(&nics->list[j], &nics->list[i]);
		if (before == rank)
			found = &nics->list[i];
	}
	return found;
}

static uint32_t port_rank(const struct fm_nics *nics, const struct fm_nic *nic, const struct fm_address *prefix)
{
	uint32_t rank = 0;

	for (uint32_t i = 0; i < nics->count; i++)
		rank += &nics->list[i] != nic && port_passes(&nics->list[i], nic, prefix) &&
			fm_nic_before(&nics->list[i], nic);
	return rank;
}

const struct fm_nic *fm_rail_rdma_remote(const struct fm_nics *a, const struct fm_nics *b, const struct fm_nic *nic,
					 uint32_t *ordinal)
{
	/* Of RoCE the prefix is an IP address's, which has been tried already. */
	bool subnets = strcmp(nic->rdma.gid_type, "InfiniBand") == 0;
	const struct fm_nic *found;
	struct fm_address gid;
	uint32_t there;

	*ordinal = FM_NICS_MAX;
	if (!fm_rail_over_rdma(nic))
		return NULL;
	if (subnets && fm_address_parse(nic->rdma.gid, &gid)) {
		port_of_rank(b, nic, &gid, 0, &there);
		if (there > 0)
			return port_of_rank(b, nic, &gid, port_rank(a, nic, &gid) % there, &there);
	}
	*ordinal = port_rank(a, nic, NULL);
	found = port_of_rank(b, nic, NULL, *ordinal, &there);
	/* Two subnets that are known to differ do not reach each other without a router. */
	return subnets && there > 0 && found && found->rdma.gid[0] ? NULL : found;
}

void fm_rail_rdma_reason(const struct fm_nic *nic, uint32_t ordinal, char *text, size_t bytes)
{
	struct fm_address prefix;
	char bare[FM_ADDRESS_MAX];

	if (ordinal < FM_NICS_MAX) {
		snprintf(text, bytes, "same ordinal, RDMA port %u of both nodes", ordinal + 1);
		return;
	}
	if (!fm_address_parse(nic->rdma.gid, &prefix))
		memset(&prefix, 0, sizeof(prefix));
	memset(prefix.bytes + PREFIX_BITS / 8, 0, sizeof(prefix.bytes) - PREFIX_BITS / 8);
	snprintf(text, bytes, "same InfiniBand subnet %s/%d", fm_address_format(&prefix, bare, sizeof(bare)),
		 PREFIX_BITS);
}

bool fm_rail_rdma_first(const struct fm_nics *a, const struct fm_nics *b, const struct fm_rail_request *request,
			struct fm_rail *rail)
{
	const struct fm_nic *tried = NULL;
	struct fm_error ignored;
	bool by_ordinal;

	/* The slots in turn: the next one after the one that was tried. */
	for (;;) {
		const struct fm_nic *next = NULL, *remote;

		for (uint32_t i = 0; i < a->count; i++) {
			const struct fm_nic *nic = &a->list[i];

			if (fm_rail_over_rdma(nic) && !fm_rail_out_of_band(a, nic) &&
			    (!tried || fm_nic_before(tried, nic)) && (!next || fm_nic_before(nic, next)))
				next = nic;
		}
		if (!next)
			return false;
		tried = next;
		if (fm_rail_of_device(a, b, request, next->name, rail, &by_ordinal, &ignored) < 0)
			continue;
		remote = fm_nic_find(b, rail->device_b);
		if (fm_rail_over_rdma(remote) && !fm_rail_out_of_band(b, remote))
			return true;
	}
}
