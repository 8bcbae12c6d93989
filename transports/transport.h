/*
 * transport.h - what a backend gives and all that the rest of the program knows of it.
 *
 * A transport opens an endpoint for one rail of one point (a test at one size), exchanges an opaque address with its
 * peer and then hands out lanes, one a stream. A measuring loop sees lanes only. This header and those that it includes
 * are installed; a module outside the tree needs nothing else, and no symbol of the program: helpers are inline, or in
 * struct fm_services. docs/writing-a-transport.md tells how one is written, built and loaded.
 *
 * Threads: query runs in a thread of its own, bound to no CPU, once for each place that is measured at; one that does
 * not come back by 2.5 s is left behind and counts as a failure. The session calls every endpoint function of one
 * endpoint from one thread, the rail's first worker, which is bound to its CPU before open. A lane's functions are
 * called by the one thread that owns the lane, which is fm_work_thread() of its stream; while lanes run, no endpoint
 * function is called. What threads must not share (a completion queue, a thread domain, a UCX worker) can therefore be
 * made one a thread in open, and lanes of one thread may share it without a lock; but the first worker makes them and
 * enters them through progress, so they must stand being used by two threads in turn (UCX: thread mode serialized). The
 * control thread never enters a transport, so one that hangs costs a point and not the program.
 *
 * Life of an endpoint: query, open, address, connect until it is done; for each repetition, warm-up too, arm on every
 * lane of both ends, then the loops, then settle on every lane of both ends; effective; disconnect until it is done;
 * close. After a failure close comes next, from anywhere.
 */
#ifndef FM_TRANSPORT_H
#define FM_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/blob.h"
#include "common/buffer.h"
#include "common/error.h"
#include "common/options.h"
#include "topology/place.h"
#include "transports/test.h"

enum { FM_TRANSPORT_ABI = 1, FM_EFFECTIVE_MAX = 48, FM_COUNTERS_MAX = 32, FM_STATES_MAX = 8 };

/*
 * All that a loop ever sees; one per stream, owned by one thread. post and poll alternate between arm and settle.
 * Neither allocates, locks or prints save what the stack under it does.
 */
struct fm_lane {
	void *self;
	/*
	 * Cold, before each repetition; on both ends before either posts. So many operations will be posted or awaited
	 * until settle; the last one is thereby known. incoming: how many the peer's drive will send to a bidirectional
	 * lane, else 0. Receives are posted, what is polled in memory is cleared,
	 * counters are zeroed. Nothing of the repetition before is on its way, save where a test may lose: there each
	 * message says which repetition it belongs to (an immediate value), and stragglers do not count. 0 or -errno.
	 */
	int (*arm)(void *self, uint64_t operations, uint64_t incoming);
	/*
	 * Starts up to count operations, count >= 1: how many (0: no room or no credit, poll first), or -errno. Never
	 * blocks. Some started before one failed: how many, the failure next time. drive: messages; echo: replies, one
	 * an arrival. Not called on sink and target.
	 */
	int (*post)(void *self, uint32_t count);
	/*
	 * Progress, then how many more are done, or -errno. drive: operations done in the test's sense; when they add
	 * up to the armed count everything is done, so a final flush, an unsignalled tail, a last receipt are the
	 * lane's business: it holds the last operation back until then. echo, sink: arrivals. target: 0. An echo, sink
	 * or target is polled on until the drive is through, which is when it sends what it still owes; so is a
	 * bidirectional drive that is through, until its peer is (it then gives 0). Completions found for another lane
	 * of the thread are booked there, failures too: each lane reports its own. With fm_work.events it may block, at
	 * most 10 ms, on what wakes it for any lane of its thread, and never with completions of its own unreported. A
	 * target whose device answers by itself may nap, at most 1 ms a thread: nothing waits for it.
	 */
	int (*poll)(void *self);
	/*
	 * Cold, after each repetition that ended well, once both ends' loops have: reaps completions that nobody waited
	 * for and gives back receives; all that was sent then lies in the peer's buffers. May wait for its own
	 * completions, at most 100 ms. 0 or -errno.
	 */
	int (*settle)(void *self);
	/* Cold: after any of the others failed, the cause in words; returns error->code. */
	int (*explain)(void *self, struct fm_error *error);
};

struct fm_transport;

/* What the program does for a transport; valid until close. */
struct fm_services {
	uint32_t bytes; /* sizeof(struct fm_services) of the program: later members may be missing */
	void *context;
	/*
	 * Passive side: the socket that arrived on the program's one port with this cookie, connected and non-blocking;
	 * the caller owns it. -EAGAIN while it has not come.
	 */
	int (*claim)(void *context, const uint8_t cookie[16], int *fd);
	/* Passive side: data sockets with this cookie are welcome from now on. 0 or -errno. */
	int (*expect)(void *context, const uint8_t cookie[16]);
	/* Fills bytes from the system's random source. 0 or -errno. */
	int (*random)(void *context, void *bytes, size_t count);
	/* True once the point is given up: a connect that loops inside must return -ECANCELED. */
	bool (*stopped)(void *context);
	uint16_t port; /* passive side: the port that data sockets come in by */
	/* Every transport that there is, NULL-terminated: for one that wraps another (fm_transport_among). */
	const struct fm_transport *const *transports;
};

/* One endpoint's task: the same on both ends save role and passive. */
struct fm_work {
	enum fm_test_id test;
	enum fm_role role;
	bool passive;	       /* this end is the server: it waits for connections, its peer opens them */
	bool bidirectional;    /* both ends drive; a lane also receives what its peer's drive sends */
	bool events;	       /* block for completions instead of busy polling */
	bool verify;	       /* each message is another one and is looked at; then slots >= depth */
	uint64_t size_bytes;   /* of one message */
	uint64_t stride_bytes; /* from one message slot of a buffer to the next; >= size_bytes */
	/*
	 * In each buffer: operation i uses slot i % slots, at both ends. Without verify outstanding operations, and
	 * receives posted ahead, may share a slot; with it a receive is posted again only when its slot has been looked
	 * at, so no more than slots are ahead. Only the message lies in a slot: headers that a stack delivers in front
	 * of it (the 40 bytes of a datagram's GRH) go to memory of the transport's own, by a scatter entry of their
	 * own.
	 */
	uint32_t slots;
	uint32_t depth;		   /* operations outstanding on a lane, both ends' lanes alike; 1 for latency */
	uint32_t rail;		   /* this endpoint's rail: place->rails[rail] */
	uint32_t streams, threads; /* of this rail; streams is a multiple of threads */
	const void *options;	   /* the transport's own, as fm_transport.options describes them */
	const struct fm_services *services;
};

/* The thread of the rail, from 0, that owns the lane of this stream: equal runs in order; 0 is the first worker. */
static inline uint32_t fm_work_thread(const struct fm_work *work, uint32_t stream)
{
	return stream / (work->streams / work->threads);
}

/* What a transport can do of one test. The session takes what both ends can: the larger minimum, smaller maxima. */
struct fm_capability {
	bool supported;
	const char *why_not; /* of a test that an option rules out, half a sentence that names the option; else NULL */
	/*
	 * Arrivals may be fewer than operations, and that is no error: the sink's trace, not the drive's, is the rate.
	 * Such a test is measured in one direction at a time.
	 */
	bool may_lose;
	enum fm_completion completion;
	const char *variant;	     /* column variant; "" the plain one; an effective value of that name wins */
	uint64_t size_min, size_max; /* bytes */
	uint32_t depth_max;
	bool bidirectional; /* takes fm_work.bidirectional; bandwidth tests only */
	bool verify;	    /* takes fm_work.verify: what arrives is what was sent, all of it */
};

struct fm_capabilities {
	struct fm_capability tests[FM_TEST_COUNT];
	bool staged;   /* takes memory that the CPU can't touch, by copies through host memory */
	bool direct;   /* takes memory that the CPU can't touch, without a copy */
	bool emulated; /* no network at all: times the program itself */
};

/* Effective values: key=value, for the columns of the same name and, where there is none, the column effective. */
struct fm_effective {
	uint32_t count;
	struct {
		char key[32];
		char value[96];
	} items[FM_EFFECTIVE_MAX];
};

/*
 * Bytes that a port has moved one way since any moment, as it counts them, and how many of these can be this endpoint's
 * own at the very most: headers, acknowledgements and all. port 0: not known.
 */
struct fm_traffic {
	uint64_t port, own;
};

/* What the session reads before and after the measured window. */
struct fm_counters {
	/* Monotonic: the row has the difference. */
	uint32_t count;
	struct {
		char key[48]; /* a counter column's name, or the counter's own for the column counters */
		uint64_t value;
	} items[FM_COUNTERS_MAX];
	/*
	 * What has to stay as it is, or the figures are of two things: the link's speed, the port's state and address,
	 * what was heard of it meanwhile. Where a value differs afterwards the row is inconclusive, and says so in
	 * these words.
	 */
	uint32_t state_count;
	struct {
		char name[48]; /* "the link of rxe0:1" */
		char value[96];
	} states[FM_STATES_MAX];
	/* Where the port moved much more than its own the row says that others use it, too. */
	struct fm_traffic sent, received;
};

struct fm_endpoint; /* the transport's own */

/*
 * A backend. Functions return 0 or a negative errno with the sentence in error, outputs then untouched; each may block
 * only as its library does, for no one waits inside on the peer: connect does so by -EAGAIN. Every slot is filled.
 */
struct fm_transport {
	uint32_t abi; /* FM_TRANSPORT_ABI */
	const char *name;
	const char *help;   /* one line for devices and --help */
	const char *absent; /* the program's: NULL, or why it cannot run here */
	bool automatic;	    /* may be taken by auto and all; null and fault are not */
	bool rdma;	    /* goes from RDMA port to RDMA port: placement prefers them */
	enum fm_test_id default_latency, default_bandwidth; /* what a run without --test measures */
	const struct fm_option_set *options;

	/*
	 * Whether it can run on this machine at all: 0, or -errno and a sentence, which then stands in absent. Called
	 * once, in the control thread, when the program first needs to know its transports: it lists what there is (no
	 * RDMA device) and opens nothing.
	 */
	int (*probe)(struct fm_error *error);
	/*
	 * What can be done with every rail of this place under these options, which are the transport's own (a
	 * connection type decides which tests there are and how long a message may be). Called on both ends before
	 * anything is opened. transports as in fm_services. capabilities comes zeroed.
	 */
	int (*query)(const struct fm_place *place, const void *options, const struct fm_transport *const *transports,
		     struct fm_capabilities *capabilities, struct fm_error *error);
	/*
	 * buffers: two a stream, outgoing at [2 * stream], incoming at [2 * stream + 1], each of slots * stride_bytes;
	 * they outlive the endpoint, their content at first is anything, and one-sided operations go from the driver's
	 * outgoing to the peer's incoming (write) or the other way (read), atomics to the peer's incoming. Each may be
	 * of another kind: what query could not know, a kind that this test or device cannot take, is refused here with
	 * reason unsupported. place and work are valid until close; the endpoint copies what it needs of options.
	 */
	int (*open)(const struct fm_place *place, const struct fm_work *work, const struct fm_buffer *buffers,
		    uint32_t count, struct fm_endpoint **endpoint, struct fm_error *error);
	/* What the peer must know to connect: addresses, keys. Before connect on either end. blob comes zeroed. */
	int (*address)(struct fm_endpoint *endpoint, struct fm_blob *blob, struct fm_error *error);
	/*
	 * Fills lanes[0..count), count == work->streams. -EAGAIN: call again soon with the same arguments; error then
	 * says what is awaited, for the message at the deadline. 0 when this end could send and receive on every lane,
	 * so that no repetition pays for wiring up: a stack that connects on the first message exchanges one here. The
	 * peer may still need this end then, and gets it through progress.
	 */
	int (*connect)(struct fm_endpoint *endpoint, const struct fm_blob *peer, struct fm_lane *lanes, uint32_t count,
		       struct fm_error *error);
	/* Called at least every ms while the session waits between phases. 0 or -errno. */
	int (*progress)(struct fm_endpoint *endpoint, struct fm_error *error);
	/* Values in force, once connected; called after the last settle. */
	int (*effective)(struct fm_endpoint *endpoint, struct fm_effective *effective, struct fm_error *error);
	/*
	 * Counters and states now; called around the measured window, between two repetitions. counters comes zeroed.
	 * What cannot be read is left out.
	 */
	int (*counters)(struct fm_endpoint *endpoint, struct fm_counters *counters, struct fm_error *error);
	/*
	 * Takes leave of the peer: on both ends, when both are quiet and nothing has failed. -EAGAIN: call again soon;
	 * the session does, until a deadline, and then calls progress until the peer is done too. Most have nothing to
	 * do: it is for stacks whose closing needs the other end's progress (UCX).
	 */
	int (*disconnect)(struct fm_endpoint *endpoint, struct fm_error *error);
	/*
	 * Accepts NULL and half-open. Waits for nothing that only the peer can give: where disconnect did not get
	 * through, what the library cannot free safely is left behind.
	 */
	void (*close)(struct fm_endpoint *endpoint);
};

/* For a transport that has nothing to say or do at a slot: every slot is filled, and no caller asks. */
static inline int fm_settle_none(void *self)
{
	(void)self;
	return 0;
}

static inline int fm_probe_none(struct fm_error *error)
{
	(void)error;
	return 0;
}

static inline int fm_address_none(struct fm_endpoint *endpoint, struct fm_blob *blob, struct fm_error *error)
{
	(void)endpoint, (void)blob, (void)error;
	return 0;
}

static inline int fm_progress_none(struct fm_endpoint *endpoint, struct fm_error *error)
{
	(void)endpoint, (void)error;
	return 0;
}

static inline int fm_effective_none(struct fm_endpoint *endpoint, struct fm_effective *effective,
				    struct fm_error *error)
{
	(void)endpoint, (void)effective, (void)error;
	return 0;
}

static inline int fm_counters_none(struct fm_endpoint *endpoint, struct fm_counters *counters, struct fm_error *error)
{
	(void)endpoint, (void)counters, (void)error;
	return 0;
}

static inline int fm_disconnect_none(struct fm_endpoint *endpoint, struct fm_error *error)
{
	(void)endpoint, (void)error;
	return 0;
}

/* Appends key=value; a full list or an overlong text is cut, never an error. */
__attribute__((format(printf, 3, 4))) static inline void fm_effective_add(struct fm_effective *effective,
									  const char *key, const char *format, ...)
{
	va_list arguments;

	if (effective->count == FM_EFFECTIVE_MAX)
		return;
	snprintf(effective->items[effective->count].key, sizeof(effective->items[0].key), "%s", key);
	va_start(arguments, format);
	vsnprintf(effective->items[effective->count].value, sizeof(effective->items[0].value), format, arguments);
	va_end(arguments);
	effective->count++;
}

static inline void fm_counters_add(struct fm_counters *counters, const char *key, uint64_t value)
{
	if (counters->count == FM_COUNTERS_MAX)
		return;
	snprintf(counters->items[counters->count].key, sizeof(counters->items[0].key), "%s", key);
	counters->items[counters->count++].value = value;
}

__attribute__((format(printf, 3, 4))) static inline void fm_counters_state(struct fm_counters *counters,
									   const char *name, const char *format, ...)
{
	va_list arguments;

	if (counters->state_count == FM_STATES_MAX)
		return;
	snprintf(counters->states[counters->state_count].name, sizeof(counters->states[0].name), "%s", name);
	va_start(arguments, format);
	vsnprintf(counters->states[counters->state_count].value, sizeof(counters->states[0].value), format, arguments);
	va_end(arguments);
	counters->state_count++;
}

/* The one of this name, absent or not; NULL where there is none. */
static inline const struct fm_transport *fm_transport_among(const struct fm_transport *const *transports,
							    const char *name)
{
	for (; *transports; transports++)
		if (strcmp((*transports)->name, name) == 0)
			return *transports;
	return NULL;
}

/*
 * ---- a transport as a loadable module ----
 *
 * A module exports one symbol, fm_module. What stands in front of its sizes never changes, whatever the ABI: a program
 * reads abi first and looks no further where it is not its own. The ABI number changes when a member changes its
 * meaning; that one was added or moved is told by the sizes. fm_services is not among them: it may grow, and says how
 * far by its member bytes.
 */
#define FM_SHARED_STRUCTS(X)                                                                                           \
	X(fm_transport)                                                                                                \
	X(fm_lane)                                                                                                     \
	X(fm_work)                                                                                                     \
	X(fm_capabilities)                                                                                             \
	X(fm_effective)                                                                                                \
	X(fm_counters)                                                                                                 \
	X(fm_place)                                                                                                    \
	X(fm_place_rail)                                                                                               \
	X(fm_buffer)                                                                                                   \
	X(fm_memory_kind)                                                                                              \
	X(fm_blob)                                                                                                     \
	X(fm_error)                                                                                                    \
	X(fm_option_set)                                                                                               \
	X(fm_option)

enum {
#define FM_SHARED_COUNT(name) FM_SHARED_##name,
	FM_SHARED_STRUCTS(FM_SHARED_COUNT)
#undef FM_SHARED_COUNT
		FM_MODULE_SIZES
};

struct fm_module {
	uint32_t abi;	/* FM_TRANSPORT_ABI */
	uint32_t count; /* FM_MODULE_SIZES */
	const struct fm_transport *table;
	uint32_t sizes[FM_MODULE_SIZES]; /* of the structs above, in their order */
};

#define FM_MODULE_SIZE(name) sizeof(struct name),
/* At the end of a module's source: FM_MODULE(my_table); the table is const struct fm_transport. */
#define FM_MODULE(table_)                                                                                              \
	extern const struct fm_module fm_module;                                                                       \
	__attribute__((visibility("default"))) const struct fm_module fm_module = {                                    \
		FM_TRANSPORT_ABI, FM_MODULE_SIZES, &(table_), {FM_SHARED_STRUCTS(FM_MODULE_SIZE)}}

#endif
