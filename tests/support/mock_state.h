/*
 * mock_state.h - what the parts of the mock of libibverbs share: its objects, behind their public halves.
 */
#ifndef FM_TEST_MOCK_STATE_H
#define FM_TEST_MOCK_STATE_H

#include <pthread.h>
#include <stddef.h>

#include "tests/support/mock_verbs.h"

enum {
	MOCK_PENDING_MAX = 512,
	MOCK_BUILDING_MAX = 64,
	MOCK_RECEIVES_MAX = 1024,
	MOCK_INLINE_MAX = 512,
	MOCK_ENTRIES_MAX = 2
};

struct mock_context {
	struct mock_device *device;
	uint32_t users;	    /* objects made with it */
	uint32_t addresses; /* that it has made */
	struct verbs_context verbs;
};

struct mock_td {
	struct ibv_td td;
	uint32_t users;
};

struct mock_domain {
	struct ibv_pd pd;
	uint32_t users;
	struct mock_domain *parent; /* of a parent domain: what it stands upon */
	struct mock_td *td;
};

struct mock_region {
	struct ibv_mr mr;
	int access;
	struct mock_region *next;
};

/* A completion, and whose and which it is. */
struct mock_entry {
	struct ibv_wc wc;
	uint64_t sequence; /* of a send queue; 0: of a receive */
};

struct mock_cq {
	struct ibv_cq cq;
	uint32_t users, events_given, events_acknowledged;
	bool armed;
	uint64_t put, taken;
	struct mock_entry ring[];
};

struct mock_channel {
	struct ibv_comp_channel channel;
	uint32_t users;
	struct mock_cq *rung;
};

struct mock_ah {
	struct ibv_ah ah;
	struct ibv_ah_attr attributes;
};

struct mock_request {
	uint64_t id, sequence;
	enum ibv_wr_opcode opcode;
	unsigned flags;
	uint32_t immediate, remote_key, length, local_key, number, qkey;
	uint64_t local, remote, compare, swap;
	const struct mock_ah *ah;
	uint8_t data[MOCK_INLINE_MAX]; /* of an inline one */
};

struct mock_receive {
	uint64_t id;
	int count;
	struct ibv_sge entries[MOCK_ENTRIES_MAX];
};

struct mock_qp {
	struct ibv_qp_ex ex; /* must be first */
	struct mock_qp *next;
	struct ibv_qp_init_attr_ex asked;
	bool extended;
	uint32_t qkey, peer;
	uint16_t pkey;
	int access;
	/* Work requests on their way: of an unordered device until they are polled for. */
	uint64_t sequence, freed; /* posted; of these known to be through */
	uint32_t pending_count, building_count;
	struct mock_request pending[MOCK_PENDING_MAX], building[MOCK_BUILDING_MAX];
	uint64_t receives_put, receives_taken;
	struct mock_receive receives[MOCK_RECEIVES_MAX];
};

struct mock_state {
	pthread_mutex_t mutex;
	uint32_t device_count;
	struct mock_device devices[MOCK_DEVICES_MAX];
	struct ibv_device handles[MOCK_DEVICES_MAX];
	struct mock_log log;
	uint32_t alive, calls, fail_at, next_number;
	uint64_t random;
	struct mock_region *regions;
	struct mock_qp *queues;
};

extern struct mock_state mock;

/* Is this call the one that fails? errno is then set. */
bool mock_fails(void);
/* Zeroed memory of an object that lives from now on, and its end; users: objects that still need it. */
void *mock_made(size_t bytes);
void mock_gone(void *object, uint32_t users, const char *what);

/* Notes the first thing that a program must not do. */
void mock_violate(const char *what);

static inline struct mock_context *mock_context_of(struct ibv_context *context)
{
	return (struct mock_context *)((char *)context - offsetof(struct mock_context, verbs.context));
}

/* ---- mock_verbs.c, for the functions that go by pointer ---- */

int mock_query_port(struct ibv_context *context, uint8_t number, struct ibv_port_attr *attributes, size_t bytes);
struct ibv_td *mock_alloc_td(struct ibv_context *context, struct ibv_td_init_attr *attributes);
int mock_dealloc_td(struct ibv_td *td);
struct ibv_pd *mock_alloc_parent_domain(struct ibv_context *context, struct ibv_parent_domain_init_attr *attributes);

/* ---- mock_queues.c ---- */

/* by_efa: through libefa. NULL, and errno says why. */
struct ibv_qp *mock_queue_make(struct ibv_context *context, const struct ibv_qp_init_attr_ex *asked, bool by_efa);
struct ibv_qp *mock_create_qp_ex(struct ibv_context *context, struct ibv_qp_init_attr_ex *asked);

/* ---- mock_traffic.c ---- */

void mock_context_fill(struct mock_context *context);
void mock_queue_fill(struct mock_qp *qp);

#endif
