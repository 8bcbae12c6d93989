/*
 * rails.c - decides which device of A talks to which of B, by which addresses. Pure: inventories and words in, rails
 * out.
 */
#include <errno.h>
#include <string.h>

#include "topology/address.h"
#include "topology/rails.h"

#define GPU_PREFIX "gpu:"

/* What the user asked of one end of one rail; "" nothing. */
struct wish {
	char device[FM_RAIL_NAME_MAX], address[FM_RAIL_NAME_MAX];
};

/* One end as far as it is decided. */
struct end {
	const struct fm_nic *nic;  /* NULL: not yet */
	bool fixed;		   /* this address and no other */
	struct fm_address address; /* of family 0: none, an RDMA port can do without */
};

struct pairing {
	const struct fm_nics *a, *b;
	int control_family; /* 0 unknown */
	bool same_machine;
};

/* Devices that could carry a rail, as indices into an inventory. */
struct candidates {
	uint32_t count;
	uint8_t index[FM_NICS_MAX];
};

/* Which devices are candidates: with a global (or any) address of the family and, where bits is not 0, in this subnet.
 */
struct filter {
	int family;
	bool link_local_too;
	const struct fm_address *subnet;
	uint32_t bits;
	bool other_than_itself; /* an address equal to *subnet is another network's, as docker0's on every node */
};

static const char *const node_names[2] = {"this node", "the other node"};

static bool address_passes(const struct fm_nic_address *at, const struct filter *filter)
{
	struct fm_address address;

	if (at->family != filter->family || (at->link_local && !filter->link_local_too) ||
	    !fm_address_parse(at->text, &address))
		return false;
	if (!filter->subnet)
		return true;
	if (filter->other_than_itself && fm_address_equal(&address, filter->subnet))
		return false;
	return fm_address_same_prefix(&address, filter->subnet,
				      at->prefix_bits > filter->bits ? at->prefix_bits : filter->bits);
}

static bool nic_passes(const struct fm_nic *nic, const struct filter *filter)
{
	if (!nic->up || nic->loopback)
		return false;
	for (uint32_t i = 0; i < nic->address_count; i++)
		if (address_passes(&nic->addresses[i], filter))
			return true;
	return false;
}

bool fm_nic_before(const struct fm_nic *x, const struct fm_nic *y)
{
	size_t x_length = strlen(x->pci), y_length = strlen(y->pci);

	if (!x_length || !y_length)
		return x_length != y_length ? x_length > 0 : strverscmp(x->name, y->name) < 0;
	if (x_length != y_length)
		return x_length < y_length;
	return strcmp(x->pci, y->pci) != 0 ? strcmp(x->pci, y->pci) < 0 : strverscmp(x->name, y->name) < 0;
}

static void candidates_list(const struct fm_nics *nics, const struct filter *filter, struct candidates *list)
{
	list->count = 0;
	for (uint32_t i = 0; i < nics->count; i++) {
		uint32_t at;

		if (!nic_passes(&nics->list[i], filter))
			continue;
		for (at = list->count; at > 0; at--) {
			if (fm_nic_before(&nics->list[list->index[at - 1]], &nics->list[i]))
				break;
			list->index[at] = list->index[at - 1];
		}
		list->index[at] = (uint8_t)i;
		list->count++;
	}
}

/* count where it is none of them. */
static uint32_t candidates_rank(const struct candidates *list, const struct fm_nics *nics, const struct fm_nic *nic)
{
	uint32_t rank = 0;

	while (rank < list->count && &nics->list[list->index[rank]] != nic)
		rank++;
	return rank;
}

/* "it has eth0, eth1", for an error that says what would be possible. */
static const char *nics_name(const struct fm_nics *nics, char *text, size_t bytes)
{
	size_t used = (size_t)snprintf(text, bytes, nics->count ? "it has " : "it has none");

	for (uint32_t i = 0; i < nics->count && used < bytes; i++) {
		const struct fm_nic *nic = &nics->list[i];
		bool apart = nic->rdma.device[0] && strncmp(nic->name, nic->rdma.device, strlen(nic->rdma.device)) != 0;

		used += (size_t)snprintf(text + used, bytes - used, apart ? "%s%s (%s)" : "%s%s", i ? ", " : "",
					 nic->name, nic->rdma.device);
	}
	return text;
}

/* Whether it can carry data at all, now that it is known. */
static int end_check(const struct end *end, const char *node, struct fm_error *error)
{
	const struct fm_nic *nic = end->nic;

	if (!nic->up && fm_nic_is_port(nic))
		return fm_error_set(error, -ENETDOWN, FM_REASON_PLACEMENT,
				    "port %u of %s on %s is not active: look at its cable, and on InfiniBand whether a "
				    "subnet manager runs",
				    nic->rdma.port, nic->rdma.device, node);
	if (!nic->up)
		return fm_error_set(
			error, -ENETDOWN, FM_REASON_PLACEMENT,
			"net device '%s' on %s is down or without carrier: 'ip link set %s up', then look at "
			"its cable",
			nic->name, node, nic->name);
	if (nic->address_count == 0 && !nic->rdma.active)
		return fm_error_set(error, -EADDRNOTAVAIL, FM_REASON_PLACEMENT,
				    "net device '%s' on %s has no IP address: give it one with 'ip address add'",
				    nic->name, node);
	return 0;
}

static int end_find(const struct fm_nics *nics, const struct wish *wish, const char *node, struct end *end,
		    struct fm_error *error)
{
	const char *name = wish->device[0] ? wish->device : wish->address;
	char has[200];

	if (wish->address[0] && !fm_address_parse(wish->address, &end->address))
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "data address '%s' is no numeric IP address: name a device with --device instead",
				    wish->address);
	if (strncmp(name, GPU_PREFIX, strlen(GPU_PREFIX)) == 0)
		return fm_error_set(
			error, -ENODEV, FM_REASON_PLACEMENT,
			"'%s' names no NIC yet: this build places no GPUs; name the NIC itself, as 'fabmark "
			"devices' lists them",
			name);
	end->nic = fm_nic_find(nics, name);
	if (!end->nic)
		return fm_error_set(error, -ENODEV, FM_REASON_PLACEMENT, "no net device '%s' on %s: %s", name, node,
				    nics_name(nics, has, sizeof(has)));
	end->fixed = fm_address_parse(wish->address[0] ? wish->address : name, &end->address);
	if (wish->address[0] && !fm_nic_has(end->nic, wish->address))
		return fm_error_set(error, -ENODEV, FM_REASON_PLACEMENT, "net device '%s' on %s has no address %s",
				    end->nic->name, node, wish->address);
	return end_check(end, node, error);
}

/* How good a pair of addresses is; -1: it can't be used. */
static int pair_score(const struct pairing *pairing, const struct fm_nic_address *at_a, const struct fm_address *a,
		      const struct fm_nic_address *at_b, const struct fm_address *b, bool asked)
{
	uint32_t bits = at_a->prefix_bits > at_b->prefix_bits ? at_a->prefix_bits : at_b->prefix_bits;
	int score = 0;

	/* A link-local and a global address meet only by luck; who types both gets them. */
	if (a->family != b->family || (at_a->link_local != at_b->link_local && !asked))
		return -1;
	score += 8 * (!at_a->link_local && !at_b->link_local);
	score += 4 * fm_address_same_prefix(a, b, bits);
	score += 2 * (a->family == pairing->control_family);
	return score + (a->family == AF_INET);
}

/* The best address pair of two devices: into both ends, and bits of the subnet they share, 0 none. False: none fits. */
static bool addresses_choose(const struct pairing *pairing, struct end *a, struct end *b, uint32_t *shared_bits)
{
	struct fm_address best_a = a->address, best_b = b->address;
	int best = -1;

	*shared_bits = 0;
	for (uint32_t i = 0; i < a->nic->address_count; i++) {
		const struct fm_nic_address *at_a = &a->nic->addresses[i];
		struct fm_address from, to;

		if (!fm_address_parse(at_a->text, &from) || (a->fixed && !fm_address_equal(&from, &a->address)))
			continue;
		for (uint32_t j = 0; j < b->nic->address_count; j++) {
			const struct fm_nic_address *at_b = &b->nic->addresses[j];
			uint32_t bits = at_a->prefix_bits > at_b->prefix_bits ? at_a->prefix_bits : at_b->prefix_bits;
			int score;

			if (!fm_address_parse(at_b->text, &to) || (b->fixed && !fm_address_equal(&to, &b->address)))
				continue;
			score = pair_score(pairing, at_a, &from, at_b, &to, a->fixed && b->fixed);
			if (score <= best)
				continue;
			best = score;
			best_a = from;
			best_b = to;
			*shared_bits = fm_address_same_prefix(&from, &to, bits) ? bits : 0;
		}
	}
	/* Between RDMA ports the addresses are the GIDs or the LIDs, which their transport exchanges. */
	if (best < 0 && !a->fixed && !b->fixed && fm_rail_over_rdma(a->nic) && fm_rail_over_rdma(b->nic))
		best_a.family = best_b.family = best = 0;
	a->address = best_a;
	b->address = best_b;
	return best >= 0;
}

/* B's device in a subnet of A's end, of the same rank among those there; NULL: no subnet is shared. */
static const struct fm_nic *remote_by_subnet(const struct pairing *pairing, const struct end *a)
{
	const struct fm_nic *found = NULL;
	int best = -1;

	for (uint32_t i = 0; i < a->nic->address_count; i++) {
		const struct fm_nic_address *at = &a->nic->addresses[i];
		struct filter filter = {.family = at->family, .bits = at->prefix_bits};
		int weight = 2 * (at->family == pairing->control_family) + (at->family == AF_INET);
		struct candidates here, there;
		struct fm_address address;

		if (weight <= best || at->link_local || !fm_address_parse(at->text, &address) ||
		    (a->fixed && !fm_address_equal(&address, &a->address)))
			continue;
		filter.subnet = &address;
		candidates_list(pairing->a, &filter, &here);
		filter.other_than_itself = !pairing->same_machine;
		candidates_list(pairing->b, &filter, &there);
		if (there.count == 0)
			continue;
		best = weight;
		found = &pairing->b->list[there.index[candidates_rank(&here, pairing->a, a->nic) % there.count]];
	}
	return found;
}

/* B's device of the same ordinal, global addresses first and the control connection's family first; NULL: none. */
static const struct fm_nic *remote_by_ordinal(const struct pairing *pairing, const struct end *a, uint32_t *ordinal)
{
	int first = a->fixed ? a->address.family : pairing->control_family ? pairing->control_family : AF_INET;

	for (int attempt = 0; attempt < 4; attempt++) {
		bool other = attempt & 1;
		struct filter filter = {.family = first, .link_local_too = attempt >= 2};
		struct candidates here, there;

		if (other && a->fixed)
			continue;
		if (other)
			filter.family = first == AF_INET ? AF_INET6 : AF_INET;
		candidates_list(pairing->a, &filter, &here);
		candidates_list(pairing->b, &filter, &there);
		*ordinal = candidates_rank(&here, pairing->a, a->nic);
		if (*ordinal < here.count && *ordinal < there.count)
			return &pairing->b->list[there.index[*ordinal]];
	}
	return NULL;
}

static const struct fm_nic *loopback_find(const struct fm_nics *nics)
{
	for (uint32_t i = 0; i < nics->count; i++)
		if (nics->list[i].loopback)
			return &nics->list[i];
	return NULL;
}

static int remote_choose(const struct pairing *pairing, const struct end *a, struct end *b, uint32_t *ordinal,
			 struct fm_error *error)
{
	char has[200];

	*ordinal = FM_NICS_MAX;
	if (a->nic->loopback) {
		b->nic = loopback_find(pairing->b);
	} else {
		b->nic = remote_by_subnet(pairing, a);
		if (!b->nic)
			b->nic = remote_by_ordinal(pairing, a, ordinal);
		if (!b->nic && !a->fixed)
			b->nic = fm_rail_rdma_remote(pairing->a, pairing->b, a->nic, ordinal);
	}
	if (b->nic)
		return 0;
	return fm_error_set(
		error, -ENODEV, FM_REASON_PLACEMENT,
		"no device of the other node belongs to '%s': none shares a subnet with it or has its place "
		"in the order; %s; name one: %s=REMOTE",
		a->nic->name, nics_name(pairing->b, has, sizeof(has)), a->nic->name);
}

static void subnet_format(const struct fm_address *address, uint32_t bits, char *text, size_t bytes)
{
	struct fm_address network = *address;
	char bare[FM_ADDRESS_MAX];

	for (uint32_t i = bits; i < fm_address_bits(network.family); i++)
		network.bytes[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
	snprintf(text, bytes, "%s/%u", fm_address_format(&network, bare, sizeof(bare)), (unsigned)bits);
}

static void rail_fill(const struct end *a, const struct end *b, struct fm_rail *rail)
{
	memset(rail, 0, sizeof(*rail));
	snprintf(rail->device_a, sizeof(rail->device_a), "%s", a->nic ? a->nic->name : "");
	snprintf(rail->device_b, sizeof(rail->device_b), "%s", b->nic ? b->nic->name : "");
	if (a->address.family == 0)
		return;
	fm_address_format(&a->address, rail->address_a, sizeof(rail->address_a));
	fm_address_format(&b->address, rail->address_b, sizeof(rail->address_b));
}

/* *ordinal: by which the remote device was found; FM_NICS_MAX where it was named, or found by its subnet. */
static int rail_asked(const struct pairing *pairing, const struct wish wishes[2], struct fm_rail *rail,
		      uint32_t *ordinal, struct fm_error *error)
{
	bool remote_asked = wishes[1].device[0] || wishes[1].address[0];
	struct end a = {.nic = NULL}, b = {.nic = NULL};
	uint32_t shared_bits;
	char subnet[FM_ADDRESS_MAX + 4];
	int result = end_find(pairing->a, &wishes[0], node_names[0], &a, error);

	*ordinal = FM_NICS_MAX;
	if (result == 0 && remote_asked)
		result = end_find(pairing->b, &wishes[1], node_names[1], &b, error);
	if (result)
		return result;
	if ((a.nic->loopback || (remote_asked && b.nic->loopback)) && !pairing->same_machine)
		return fm_error_set(error, -ENETUNREACH, FM_REASON_PLACEMENT,
				    "'%s' never leaves its node: name a device that leads to the other one",
				    a.nic->loopback ? a.nic->name : b.nic->name);
	if (!remote_asked) {
		result = remote_choose(pairing, &a, &b, ordinal, error);
		if (result < 0)
			return result;
	}
	if (!addresses_choose(pairing, &a, &b, &shared_bits))
		return fm_error_set(
			error, -EAFNOSUPPORT, FM_REASON_PLACEMENT,
			"'%s' on this node and '%s' on the other share no address family: both need IPv4 or "
			"both IPv6, and of one reach, link-local or global",
			a.nic->name, b.nic->name);
	rail_fill(&a, &b, rail);
	if (!remote_asked && a.address.family == 0) {
		fm_rail_rdma_reason(a.nic, *ordinal, rail->reason, sizeof(rail->reason));
		return 0;
	}
	subnet_format(&a.address, shared_bits, subnet, sizeof(subnet));
	if (remote_asked)
		snprintf(rail->reason, sizeof(rail->reason), "asked for");
	else if (a.nic->loopback)
		snprintf(rail->reason, sizeof(rail->reason), "the loopback, both ends are on this machine");
	else if (*ordinal < FM_NICS_MAX)
		snprintf(rail->reason, sizeof(rail->reason), "same ordinal, device %u of both nodes", *ordinal + 1);
	else
		snprintf(rail->reason, sizeof(rail->reason), "same subnet %s", subnet);
	return 0;
}

/* An end of the control connection. Loopback addresses are all of lo's, listed or not. */
static bool end_of_control(const struct fm_nics *nics, const char *text, bool remote, struct end *end)
{
	char bare[FM_ADDRESS_MAX];

	if (!fm_address_parse(text, &end->address))
		return false;
	/* The peer's scope, as our socket names it, is our own interface. */
	end->nic = fm_nic_find(nics, remote ? fm_address_format(&end->address, bare, sizeof(bare)) : text);
	if (!end->nic && fm_address_loopback(&end->address))
		end->nic = loopback_find(nics);
	return true;
}

static int rail_control(const struct pairing *pairing, const struct fm_rail_request *request, struct fm_rail *rail,
			struct fm_error *error)
{
	struct end a = {.nic = NULL}, b = {.nic = NULL};
	const char *lost;

	if (!end_of_control(pairing->a, request->control_a, false, &a) ||
	    !end_of_control(pairing->b, request->control_b, true, &b) || a.address.family != b.address.family)
		return fm_error_set(
			error, -EINVAL, FM_REASON_PLACEMENT,
			"the control connection's addresses '%s' and '%s' can't carry data: name a device with "
			"--device",
			request->control_a, request->control_b);
	rail_fill(&a, &b, rail);
	if (!a.nic && a.address.scope[0])
		snprintf(rail->device_a, sizeof(rail->device_a), "%s", a.address.scope);
	lost = !b.nic ? rail->address_b : !a.nic ? rail->address_a : "";
	snprintf(rail->reason, sizeof(rail->reason), "the control connection's addresses%s%s%s", lost[0] ? "; " : "",
		 lost, lost[0] ? " is on no listed device of its node, perhaps translated on the way" : "");
	return 0;
}

/*
 * Nothing was asked for: the control connection's own addresses, unless data goes by RDMA and their devices have none,
 * as on a cluster that is managed over an Ethernet of its own, or the loopback, or have a slow one for management.
 */
static int rail_default(const struct pairing *pairing, const struct fm_rail_request *request, struct fm_rail *rail,
			struct fm_error *error)
{
	int result = rail_control(pairing, request, rail, error);
	const struct fm_nic *a, *b;
	struct fm_rail over;

	if (!request->rdma)
		return result;
	a = fm_nic_find(pairing->a, rail->device_a);
	b = fm_nic_find(pairing->b, rail->device_b);
	if (result == 0 && fm_rail_over_rdma(a) && fm_rail_over_rdma(b) && !fm_rail_out_of_band(pairing->a, a) &&
	    !fm_rail_out_of_band(pairing->b, b))
		return 0;
	if (!fm_rail_rdma_first(pairing->a, pairing->b, request, &over))
		return result;
	*rail = over;
	return 0;
}

/* "LOCAL[=REMOTE]" of the given length; where: offset of the member of struct wish that takes them. */
static int wish_parse(const char *text, size_t length, const char *option, size_t where, struct wish wishes[2],
		      struct fm_error *error)
{
	const char *equals = memchr(text, '=', length);
	size_t local = equals ? (size_t)(equals - text) : length;
	size_t remote = equals ? length - local - 1 : 0;

	if (local == 0 || (equals && remote == 0) || local >= FM_RAIL_NAME_MAX || remote >= FM_RAIL_NAME_MAX)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "%s '%.*s' is not LOCAL or LOCAL=REMOTE", option,
				    (int)(length < 150 ? length : 150), text);
	memcpy((char *)&wishes[0] + where, text, local);
	if (equals)
		memcpy((char *)&wishes[1] + where, equals + 1, remote);
	return 0;
}

/* Two rails over one device measure each other. */
static int rails_check(const struct fm_rail *rails, uint32_t count, struct fm_error *error)
{
	for (uint32_t i = 1; i < count; i++)
		for (uint32_t j = 0; j < i; j++) {
			bool at_a = strcmp(rails[i].device_a, rails[j].device_a) == 0;

			if (at_a || strcmp(rails[i].device_b, rails[j].device_b) == 0)
				return fm_error_set(error, -EINVAL, FM_REASON_PLACEMENT,
						    "rails %u (%s=%s) and %u (%s=%s) both use '%s' on %s: name another "
						    "device with LOCAL=REMOTE",
						    j + 1, rails[j].device_a, rails[j].device_b, i + 1,
						    rails[i].device_a, rails[i].device_b,
						    at_a ? rails[i].device_a : rails[i].device_b, node_names[!at_a]);
		}
	return 0;
}

static int rails_list(const struct pairing *pairing, const char *text, struct fm_rail *rails, uint32_t capacity,
		      uint32_t *count, struct fm_error *error)
{
	struct fm_rail made[FM_RAILS_MAX];
	uint32_t used = 0, ordinal;
	int result = 0;

	for (const char *at = text; result == 0; at += strcspn(at, ",") + 1) {
		struct wish wishes[2];

		memset(wishes, 0, sizeof(wishes));
		if (used == FM_RAILS_MAX || used == capacity)
			return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "--rails names more than %u rails", used);
		result = wish_parse(at, strcspn(at, ","), "rail", offsetof(struct wish, device), wishes, error);
		if (result == 0)
			result = rail_asked(pairing, wishes, &made[used++], &ordinal, error);
		if (!strchr(at, ','))
			break;
	}
	if (result == 0)
		result = rails_check(made, used, error);
	if (result < 0)
		return result;
	memcpy(rails, made, used * sizeof(made[0]));
	*count = used;
	return 0;
}

static void pairing_start(const struct fm_nics *a, const struct fm_nics *b, const struct fm_rail_request *request,
			  struct pairing *pairing)
{
	struct fm_address from, to;

	*pairing = (struct pairing){.a = a, .b = b};
	if (!fm_address_parse(request->control_a, &from) || !fm_address_parse(request->control_b, &to))
		return;
	if (from.family == to.family)
		pairing->control_family = from.family;
	pairing->same_machine =
		(fm_address_loopback(&from) && fm_address_loopback(&to)) || fm_address_equal(&from, &to);
}

bool fm_rails_one_machine(const struct fm_nics *a, const struct fm_nics *b, const struct fm_rail_request *request)
{
	struct pairing pairing;

	pairing_start(a, b, request, &pairing);
	return pairing.same_machine;
}

int fm_rail_of_device(const struct fm_nics *a, const struct fm_nics *b, const struct fm_rail_request *request,
		      const char *device, struct fm_rail *rail, bool *by_ordinal, struct fm_error *error)
{
	struct pairing pairing;
	struct wish wishes[2];
	uint32_t ordinal;
	int result;

	pairing_start(a, b, request, &pairing);
	memset(wishes, 0, sizeof(wishes));
	snprintf(wishes[0].device, sizeof(wishes[0].device), "%s", device);
	result = rail_asked(&pairing, wishes, rail, &ordinal, error);
	*by_ordinal = ordinal < FM_NICS_MAX;
	return result;
}

int fm_rails_pair(const struct fm_nics *a, const struct fm_nics *b, const struct fm_rail_request *request,
		  struct fm_rail *rails, uint32_t capacity, uint32_t *count, struct fm_error *error)
{
	bool one = request->rails[0] == '\0' || strcmp(request->rails, "one") == 0;
	bool asked = request->device[0] || request->data_address[0];
	struct pairing pairing;
	struct wish wishes[2];
	struct fm_rail rail;
	uint32_t ordinal;
	int result = 0;

	pairing_start(a, b, request, &pairing);
	if (!one && asked)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "--rails names the devices already: leave out %s",
				    request->device[0] ? "--device" : "--data-address");
	if (!one)
		return rails_list(&pairing, request->rails, rails, capacity, count, error);
	memset(wishes, 0, sizeof(wishes));
	if (request->device[0])
		result = wish_parse(request->device, strlen(request->device), "--device", offsetof(struct wish, device),
				    wishes, error);
	if (result == 0 && request->data_address[0])
		result = wish_parse(request->data_address, strlen(request->data_address), "--data-address",
				    offsetof(struct wish, address), wishes, error);
	if (result == 0)
		result = asked ? rail_asked(&pairing, wishes, &rail, &ordinal, error)
			       : rail_default(&pairing, request, &rail, error);
	if (result < 0)
		return result;
	rails[0] = rail;
	*count = 1;
	return 0;
}
