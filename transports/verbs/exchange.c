/*
 * exchange.c - what two ends tell each other before their queue pairs are connected, checked when it is read.
 */
#include "transports/verbs/endpoint.h"

#include <errno.h>
#include <stddef.h>

enum { MARK = 0x32534256, PKEY_FULL = 0x8000 }; /* "VBS2"; the upper bit is the membership */

static uint64_t two(uint32_t high, uint32_t low)
{
	return (uint64_t)high << 32 | low;
}

int fm_verbs_exchange_write(const struct fm_endpoint *endpoint, struct fm_blob *blob, struct fm_error *error)
{
	const struct fm_verbs_end *self = &endpoint->self;
	uint32_t streams = endpoint->work->streams;
	int code = fm_blob_put_u64(blob, two(MARK, streams));

	code = code ? code
		    : fm_blob_put_u64(blob, two(self->type, (uint32_t)self->ethernet | (uint32_t)self->writes << 1 |
								    (uint32_t)self->in_order << 2));
	code = code ? code : fm_blob_put_u64(blob, two(self->gid_type, self->mtu));
	code = code ? code : fm_blob_put_u64(blob, two(self->lid, self->pkey_count));
	for (uint32_t i = 0; i < self->pkey_count; i++)
		code = code ? code : fm_blob_put_u64(blob, self->pkeys[i]);
	code = code ? code : fm_blob_put(blob, self->gid, sizeof(self->gid));
	code = code ? code : fm_blob_put_u64(blob, two(self->reads_out, self->reads_in));
	code = code ? code : fm_blob_put_u64(blob, two(self->ahead, self->control_key));
	code = code ? code : fm_blob_put_u64(blob, self->control);
	code = code ? code : fm_blob_put_u64(blob, two(self->ece_vendor, self->ece_options));
	code = code ? code : fm_blob_put_u64(blob, two((uint32_t)self->iwarp << 1 | self->by_cm, self->cm_port));
	code = code ? code : fm_blob_put(blob, self->cm_address, sizeof(self->cm_address));
	code = code ? code : fm_blob_put(blob, self->cm_nonce, sizeof(self->cm_nonce));
	for (uint32_t i = 0; i < streams && code == 0; i++) {
		const struct fm_verbs_lane *lane = &endpoint->lanes[i];

		code = fm_blob_put_u64(blob, two(lane->qp->qp_num, lane->psn));
		code = code ? code : fm_blob_put_u64(blob, (uintptr_t)lane->in.base);
		code = code ? code : fm_blob_put_u64(blob, (uintptr_t)lane->out.base);
		code = code ? code : fm_blob_put_u64(blob, two(lane->in_region->rkey, lane->out_region->rkey));
	}
	return code ? fm_error_set(error, code, FM_REASON_CONNECT,
				   "the addresses of %u streams do not fit one message: take fewer --streams", streams)
		    : 0;
}

static uint32_t get_two(struct fm_blob_reader *reader, uint32_t *low)
{
	uint64_t both = fm_blob_get_u64(reader);

	*low = (uint32_t)both;
	return (uint32_t)(both >> 32);
}

static void lane_read(struct fm_endpoint *endpoint, uint32_t i, struct fm_blob_reader *reader)
{
	struct fm_verbs_peer *peer = &endpoint->lanes[i].peer;

	peer->qp_number = get_two(reader, &peer->psn);
	peer->in = fm_blob_get_u64(reader);
	peer->out = fm_blob_get_u64(reader);
	peer->in_key = get_two(reader, &peer->out_key);
	peer->credit = endpoint->peer.control + i * sizeof(struct fm_verbs_control) +
		       offsetof(struct fm_verbs_control, credit);
	peer->credit_key = endpoint->peer.control_key;
	peer->ahead = endpoint->peer.ahead;
	reader->failed |= peer->qp_number >> 24 || peer->psn >> 24;
}

static int peer_check(const struct fm_verbs_end *self, const struct fm_verbs_end *peer, struct fm_error *error)
{
	if (peer->type != self->type)
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "the two ends have different connection types");
	if (peer->ethernet != self->ethernet)
		return fm_error_set(
			error, -EINVAL, FM_REASON_PLACEMENT,
			"one end's port is Ethernet and the other's InfiniBand: choose devices of one fabric with "
			"--device LOCAL=REMOTE");
	if (peer->iwarp != self->iwarp)
		return fm_error_set(
			error, -EINVAL, FM_REASON_PLACEMENT,
			"one end's port is iWARP and the other's is not: choose devices that speak one protocol with "
			"--device LOCAL=REMOTE");
	if (peer->by_cm != self->by_cm || (peer->by_cm && !self->cm_port == !peer->cm_port))
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL,
				    "the two ends do not agree on who connects the queue pairs");
	/* GIDs and P_Keys are rdma_cm's choice. */
	if (self->by_cm)
		return 0;
	if (peer->gid_type != self->gid_type)
		return fm_error_set(error, -EINVAL, FM_REASON_PLACEMENT,
				    "the GID here is %s and the peer's is %s: choose two of one type with --gid-index "
				    "LOCAL=REMOTE",
				    fm_verbs_gid_type_name(self->gid_type), fm_verbs_gid_type_name(peer->gid_type));
	return 0;
}

/* The table's entry that talks to a P_Key: of the same partition, a full member's before a limited one's; count none.
 */
static uint32_t pkey_find(const struct fm_verbs_end *end, uint16_t pkey)
{
	uint32_t found = end->pkey_count;

	for (uint32_t i = 0; i < end->pkey_count; i++) {
		if ((end->pkeys[i] & ~PKEY_FULL) != (pkey & ~PKEY_FULL))
			continue;
		if (end->pkeys[i] & PKEY_FULL)
			return i;
		if (found == end->pkey_count)
			found = i;
	}
	return found;
}

/*
 * The first partition of the initiator's table that both ends are full members of, or else that one of them is; two
 * limited members cannot talk. Both ends come to the same one, whatever the order of their own tables.
 */
static int pkey_choose(struct fm_endpoint *endpoint, struct fm_error *error)
{
	const struct fm_verbs_end *self = &endpoint->self, *peer = &endpoint->peer;
	const struct fm_verbs_end *first = endpoint->work->passive ? peer : self;

	for (int full = 1; full >= 0; full--)
		for (uint32_t i = 0; i < first->pkey_count; i++) {
			uint32_t own = pkey_find(self, first->pkeys[i]), theirs = pkey_find(peer, first->pkeys[i]);
			uint16_t both, any;

			if (own == self->pkey_count || theirs == peer->pkey_count)
				continue;
			both = self->pkeys[own] & peer->pkeys[theirs] & PKEY_FULL;
			any = (self->pkeys[own] | peer->pkeys[theirs]) & PKEY_FULL;
			if (!(full ? both : any))
				continue;
			endpoint->pkey = own;
			return 0;
		}
	return fm_error_set(
		error, -EINVAL, FM_REASON_PLACEMENT,
		"P_Key 0x%04x here and 0x%04x there do not match, nor do any others that the two ends have: choose "
		"with --pkey-index, or ask for a common partition",
		self->pkeys[0], peer->pkeys[0]);
}

int fm_verbs_exchange_read(struct fm_endpoint *endpoint, const struct fm_blob *blob, struct fm_error *error)
{
	struct fm_blob_reader reader = {.blob = blob};
	struct fm_verbs_end *peer = &endpoint->peer;
	uint32_t streams, low, type, ethernet, mtu, lid, port;
	int code;

	if (get_two(&reader, &streams) != MARK || streams != endpoint->work->streams)
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "the peer's queue pairs cannot be read");
	type = get_two(&reader, &ethernet);
	peer->type = (enum ibv_qp_type)type;
	peer->ethernet = ethernet & 1;
	peer->writes = ethernet & 2;
	peer->in_order = ethernet & 4;
	low = get_two(&reader, &mtu);
	peer->mtu = (enum ibv_mtu)mtu;
	reader.failed |= low > FM_VERBS_GID_ROCE_V2 || mtu < IBV_MTU_256 || mtu > IBV_MTU_4096;
	peer->gid_type = reader.failed ? FM_VERBS_GID_IB : (enum fm_verbs_gid_type)low;
	lid = get_two(&reader, &low);
	peer->lid = (uint16_t)lid;
	/* iWARP has none. */
	reader.failed |= low > FM_VERBS_PKEYS_MAX;
	peer->pkey_count = reader.failed ? 0 : low;
	for (uint32_t i = 0; i < peer->pkey_count; i++)
		peer->pkeys[i] = (uint16_t)fm_blob_get_u64(&reader);
	fm_blob_get(&reader, peer->gid, sizeof(peer->gid));
	peer->reads_out = get_two(&reader, &peer->reads_in);
	peer->ahead = get_two(&reader, &peer->control_key);
	peer->control = fm_blob_get_u64(&reader);
	peer->ece_vendor = get_two(&reader, &peer->ece_options);
	low = get_two(&reader, &port);
	peer->by_cm = low & 1;
	peer->iwarp = low >> 1 & 1;
	peer->cm_port = (uint16_t)port;
	reader.failed |= port > UINT16_MAX;
	fm_blob_get(&reader, peer->cm_address, sizeof(peer->cm_address));
	fm_blob_get(&reader, peer->cm_nonce, sizeof(peer->cm_nonce));
	for (uint32_t i = 0; i < streams && !reader.failed; i++)
		lane_read(endpoint, i, &reader);
	if (reader.failed || reader.at != blob->bytes)
		return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "the peer's queue pairs cannot be read");
	endpoint->mtu = peer->mtu < endpoint->self.mtu ? peer->mtu : endpoint->self.mtu;
	code = peer_check(&endpoint->self, peer, error);
	return code || endpoint->self.by_cm ? code : pkey_choose(endpoint, error);
}
