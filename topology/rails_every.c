/*
 * rails_every.c - every rail between two nodes, and what is left over and why. Pure, as rails.c is.
 */
#include <errno.h>
#include <string.h>

#include "topology/rails.h"

/* A device of A and what became of it. */
struct candidate {
	const struct fm_nic *nic;
	struct fm_rail rail;
	bool paired, by_ordinal, taken; /* taken: a rail of its own */
	struct fm_error error;
};

struct search {
	const struct fm_nics *a, *b;
	const struct fm_rail_request *request;
	struct fm_rails_left *left;
	struct candidate list[FM_NICS_MAX];
	uint32_t count;
};

void fm_rails_leave(struct fm_rails_left *left, const char *device, const char *why, ...)
{
	size_t used = strlen(left->text);
	char reason[300], line[400];
	va_list arguments;

	va_start(arguments, why);
	vsnprintf(reason, sizeof(reason), why, arguments);
	va_end(arguments);
	snprintf(line, sizeof(line), "%s%s: %s", left->count ? "; " : "", device, reason);
	/* Once one does not fit none is taken, so that those that are shown are the first ones. */
	if (left->shown == left->count && used + strlen(line) < sizeof(left->text)) {
		memcpy(left->text + used, line, strlen(line) + 1);
		left->shown++;
	}
	left->count++;
}

static bool nic_addressed(const struct fm_nic *nic)
{
	for (uint32_t i = 0; i < nic->address_count; i++)
		if (!nic->addresses[i].link_local)
			return true;
	return false;
}

/* Could it be a rail? Says why not of what somebody may miss. */
static bool nic_fits(const struct fm_nic *nic, const char *where, bool rdma, struct fm_rails_left *left)
{
	bool over_rdma = rdma && nic->rdma.active;
	char name[64];

	if (nic->loopback || (!nic->pci[0] && !nic->address_count && !nic->rdma.active))
		return false;
	snprintf(name, sizeof(name), "%s%s", nic->name, where);
	if (!nic->up)
		fm_rails_leave(left, name, "down or without carrier");
	else if (!over_rdma && nic->address_count == 0)
		fm_rails_leave(left, name, "no IP address");
	else if (!over_rdma && !nic_addressed(nic))
		fm_rails_leave(left, name, "link-local addresses only, which would pair by luck: name it in a list");
	else
		return true;
	return false;
}

static void candidates_add(struct search *search, const struct fm_nic *nic)
{
	struct candidate *list = search->list;
	uint32_t at;

	for (at = search->count; at > 0 && fm_nic_before(nic, list[at - 1].nic); at--)
		list[at] = list[at - 1];
	list[at] = (struct candidate){.nic = nic};
	search->count++;
}

/* By ordinal hardware pairs with hardware: a bridge of the other node's is nobody's partner by its place in a list. */
static bool partner_unlikely(const struct search *search, const struct candidate *candidate)
{
	const struct fm_nic *partner = fm_nic_find(search->b, candidate->rail.device_b);

	if (search->request->rdma && (!partner || !partner->rdma.active) && candidate->nic->rdma.active)
		return true;
	return candidate->by_ordinal && (!partner || !partner->pci[0] != !candidate->nic->pci[0]);
}

static void candidate_pair(struct search *search, struct candidate *candidate)
{
	struct fm_rail *rail = &candidate->rail;

	candidate->paired = fm_rail_of_device(search->a, search->b, search->request, candidate->nic->name, rail,
					      &candidate->by_ordinal, &candidate->error) == 0;
	/* docker0 is on every node, and each has one of its own. */
	if (candidate->paired && rail->address_a[0] && strcmp(rail->address_a, rail->address_b) == 0) {
		candidate->paired = false;
		fm_error_set(&candidate->error, -EADDRINUSE, FM_REASON_PLACEMENT,
			     "both nodes have its address %s, so it is a network of each one's own", rail->address_a);
	} else if (!candidate->paired || partner_unlikely(search, candidate)) {
		candidate->paired = false;
		fm_error_set(&candidate->error, -ENODEV, FM_REASON_PLACEMENT, "no partner on the other node");
	}
}

/* The rail that has this device of B, or NULL. */
static const struct candidate *candidate_holding(const struct search *search, const char *device_b)
{
	for (uint32_t i = 0; i < search->count; i++)
		if (search->list[i].taken && strcmp(search->list[i].rail.device_b, device_b) == 0)
			return &search->list[i];
	return NULL;
}

/* A shared subnet is known to be a link; a common ordinal is only likely to be one, so it chooses last. */
static void candidates_take(struct search *search, bool by_ordinal)
{
	for (uint32_t i = 0; i < search->count; i++) {
		struct candidate *candidate = &search->list[i];
		const struct candidate *holder;

		if (!candidate->paired || candidate->by_ordinal != by_ordinal)
			continue;
		holder = candidate_holding(search, candidate->rail.device_b);
		if (!holder)
			candidate->taken = true;
		else
			fm_error_set(&candidate->error, -EBUSY, FM_REASON_PLACEMENT,
				     "its partner %s on the other node belongs to %s", candidate->rail.device_b,
				     holder->nic->name);
	}
}

static void peers_left(const struct search *search)
{
	for (uint32_t i = 0; i < search->b->count; i++) {
		const struct fm_nic *nic = &search->b->list[i];

		if (nic_fits(nic, " of the other node", search->request->rdma, search->left) &&
		    !candidate_holding(search, nic->name)) {
			char name[64];

			snprintf(name, sizeof(name), "%s of the other node", nic->name);
			fm_rails_leave(search->left, name, "no partner here");
		}
	}
}

int fm_rails_every(const struct fm_nics *a, const struct fm_nics *b, const struct fm_rail_request *request,
		   struct fm_rail *rails, uint32_t capacity, uint32_t *count, struct fm_rails_left *left,
		   struct fm_error *error)
{
	const struct fm_rail_request one = {"one", "", "", request->control_a, request->control_b, request->rdma};
	struct search search = {.a = a, .b = b, .request = &one, .left = left};
	uint32_t used = 0;

	memset(left, 0, sizeof(*left));
	if (request->device[0] || request->data_address[0])
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "--rails %s takes every device: leave out %s",
				    request->rails, request->device[0] ? "--device" : "--data-address");
	if (fm_rails_one_machine(a, b, request))
		return fm_rails_pair(a, b, &one, rails, capacity, count, error);
	for (uint32_t i = 0; i < a->count; i++)
		if (nic_fits(&a->list[i], "", request->rdma, left))
			candidates_add(&search, &a->list[i]);
	for (uint32_t i = 0; i < search.count; i++)
		candidate_pair(&search, &search.list[i]);
	candidates_take(&search, false);
	candidates_take(&search, true);
	for (uint32_t i = 0; i < search.count; i++) {
		struct candidate *candidate = &search.list[i];

		if (!candidate->taken)
			fm_rails_leave(left, candidate->nic->name, "%s", candidate->error.text);
		else if (used == FM_RAILS_MAX || used == capacity)
			fm_rails_leave(left, candidate->nic->name, "beyond the %u rails of one run", used);
		else
			rails[used++] = candidate->rail;
	}
	peers_left(&search);
	if (used == 0)
		return fm_rails_pair(a, b, &one, rails, capacity, count, error);
	*count = used;
	return 0;
}
