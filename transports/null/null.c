/*
 * null.c - no network at all: whatever was posted is done at the next poll. What a run over it takes is the program's
 * own cost, published as the harness floor; a drive's post and poll are therefore without branches.
 */
#include <errno.h>
#include <stdlib.h>

#include "transports/transport.h"

struct null_lane {
	uint64_t owed;	    /* operations that the next poll reports */
	uint64_t apart[15]; /* no two lanes in one pair of cache lines: their threads would slow each other */
};

struct fm_endpoint {
	enum fm_role role;
	struct null_lane lanes[];
};

static int null_post(void *self, uint32_t count)
{
	((struct null_lane *)self)->owed += count;
	return (int)count;
}

/* A drive never owes more than its depth. */
static int null_poll(void *self)
{
	int done = (int)((struct null_lane *)self)->owed;

	((struct null_lane *)self)->owed = 0;
	return done;
}

static int null_arrive(void *self)
{
	struct null_lane *lane = self;
	int arrived = lane->owed < INT32_MAX ? (int)lane->owed : INT32_MAX;

	lane->owed -= (uint64_t)arrived;
	return arrived;
}

static int null_clear(void *self, uint64_t operations, uint64_t incoming)
{
	(void)operations, (void)incoming;
	((struct null_lane *)self)->owed = 0;
	return 0;
}

/* The far end: all that is armed arrives at once, since arrivals that stay away would be a loss. */
static int null_expect(void *self, uint64_t operations, uint64_t incoming)
{
	(void)incoming;
	((struct null_lane *)self)->owed = operations;
	return 0;
}

static int null_reply(void *self, uint32_t count)
{
	(void)self;
	return (int)count;
}

static int null_explain(void *self, struct fm_error *error)
{
	(void)self;
	return fm_error_set(error, -EIO, FM_REASON_INTERNAL, "the null transport never fails");
}

static int null_query(const struct fm_place *place, const void *options, const struct fm_transport *const *transports,
		      struct fm_capabilities *capabilities, struct fm_error *error)
{
	(void)place, (void)options, (void)transports, (void)error;
	*capabilities = (struct fm_capabilities){.direct = true, .emulated = true};
	for (int i = 0; i < FM_TEST_COUNT; i++) {
		enum fm_completion completion = fm_tests[i].peer == FM_ECHO ? FM_REPLIED : FM_DELIVERED;

		capabilities->tests[i] = (struct fm_capability){
			.supported = true,
			.completion = completion,
			.variant = "",
			.size_min = 1,
			.size_max = INT64_MAX,
			.depth_max = INT32_MAX,
			.bidirectional = fm_tests[i].metric == FM_BANDWIDTH,
		};
	}
	return 0;
}

static int null_open(const struct fm_place *place, const struct fm_work *work, const struct fm_buffer *buffers,
		     uint32_t count, struct fm_endpoint **endpoint, struct fm_error *error)
{
	struct fm_endpoint *made = calloc(1, sizeof(*made) + work->streams * sizeof(made->lanes[0]));

	(void)place, (void)buffers, (void)count;
	if (!made)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for %u streams", work->streams);
	made->role = work->role;
	*endpoint = made;
	return 0;
}

static int null_connect(struct fm_endpoint *endpoint, const struct fm_blob *peer, struct fm_lane *lanes, uint32_t count,
			struct fm_error *error)
{
	static const struct fm_lane roles[] = {
		[FM_DRIVE] = {NULL, null_clear, null_post, null_poll, fm_settle_none, null_explain},
		[FM_ECHO] = {NULL, null_expect, null_reply, null_arrive, fm_settle_none, null_explain},
		[FM_SINK] = {NULL, null_expect, null_reply, null_arrive, fm_settle_none, null_explain},
		[FM_TARGET] = {NULL, null_clear, null_reply, null_poll, fm_settle_none, null_explain},
	};

	(void)peer, (void)error;
	for (uint32_t i = 0; i < count; i++) {
		lanes[i] = roles[endpoint->role];
		lanes[i].self = &endpoint->lanes[i];
	}
	return 0;
}

static void null_close(struct fm_endpoint *endpoint)
{
	free(endpoint);
}

const struct fm_transport fm_transport_null = {
	.abi = FM_TRANSPORT_ABI,
	.name = "null",
	.help = "no network: times the program itself",
	.default_latency = FM_WRITE_LAT,
	.default_bandwidth = FM_WRITE_BW,
	.options = &(const struct fm_option_set){.name = "null"},
	.probe = fm_probe_none,
	.query = null_query,
	.open = null_open,
	.address = fm_address_none,
	.connect = null_connect,
	.progress = fm_progress_none,
	.effective = fm_effective_none,
	.counters = fm_counters_none,
	.disconnect = fm_disconnect_none,
	.close = null_close,
};
