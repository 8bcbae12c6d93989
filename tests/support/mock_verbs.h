/*
 * mock_verbs.h - libibverbs without a device: devices with the manners of real ones, which carry operations between
 * queue pairs of one process. It refuses what those refuse, keeps what it was asked for, and counts what still lives.
 *
 * One mutex guards all of it, so that both ends may run in threads of their own.
 */
#ifndef FM_TEST_MOCK_VERBS_H
#define FM_TEST_MOCK_VERBS_H

#include <infiniband/verbs.h>
#include <stdbool.h>

enum {
	MOCK_DEVICES_MAX = 4,
	MOCK_PKEYS_MAX = 8,
	MOCK_LOG_MAX = 256,
	MOCK_OPCODES = IBV_WR_DRIVER1 + 1,
};

/* EFA's own limits; absent: the device is none. */
struct mock_efa {
	bool present, reads, writes, rnr_retry;
	uint32_t rdma_max, inline_max;
};

/* How one device behaves: a test's to change before it is opened. */
struct mock_device {
	const char *name;
	struct ibv_device_attr attributes;
	struct ibv_port_attr port;
	uint16_t pkeys[MOCK_PKEYS_MAX]; /* host order; 0 a hole */
	uint32_t inline_max;		/* a queue pair that asks for more is refused */
	bool extended;			/* ibv_wr_* */
	bool thread_domains;
	/* ibv_query_qp_data_in_order: 1 whole messages, 2 aligned blocks of 128 bytes; -1: the library has no such call
	 */
	int in_order;
	int vectors;
	uint64_t posts_until_failure; /* 0: none fails */
	bool library_lacks_efa;	      /* no libefa.so.1 */
	struct mock_efa efa;
};

/* Devices as they answer: ConnectX by its port, EFA, and those that have classic posting only. */
struct mock_device mock_mlx5_infiniband(const char *name);
struct mock_device mock_mlx5_roce(const char *name);
struct mock_device mock_efa(const char *name);
struct mock_device mock_irdma(const char *name);
struct mock_device mock_bnxt(const char *name);

/* One ibv_modify_qp, one registration, one address, one creation: in the order in which they came. */
struct mock_modify {
	uint32_t qp_number;
	int mask;
	struct ibv_qp_attr attributes;
};

struct mock_queue {
	uint32_t number;
	bool extended, parent_domain;
	struct ibv_qp_init_attr_ex asked; /* pointers in it are not to be followed */
};

struct mock_log {
	uint32_t modify_count, queue_count, region_count, address_count, completion_queue_count;
	struct mock_modify modify[MOCK_LOG_MAX];
	struct mock_queue queues[MOCK_LOG_MAX];
	int region_access[MOCK_LOG_MAX];
	struct ibv_ah_attr addresses[MOCK_LOG_MAX];
	int vectors[MOCK_LOG_MAX], entries[MOCK_LOG_MAX]; /* of completion queues */
	/* Work requests by opcode; those of them that asked for a completion, and that were inline. */
	uint64_t posted[MOCK_OPCODES], signalled[MOCK_OPCODES], inlined[MOCK_OPCODES];
	uint64_t receives;
	uint64_t not_ready;	 /* messages that met no receive */
	uint64_t overtaken;	 /* operations that were carried out before an earlier one */
	uint32_t writes_at_once; /* of an unordered queue pair: RDMA writes on their way */
	char violation[160];	 /* the first thing that a program must not do; "" none */
};

/* Forgets all, and has these devices from now on. */
void mock_start(const struct mock_device *devices, uint32_t count);
/* The device, to be changed. */
struct mock_device *mock_device_named(const char *name);
const struct mock_log *mock_log(void);
/* Objects of the library that live now. */
uint32_t mock_alive(void);
/* The call that comes as the k-th of those that may fail, from 1, fails; 0 none does. Starts counting anew. */
void mock_fail_at(uint32_t k);
/* So many calls that may fail have come since then. */
uint32_t mock_calls(void);

#endif
