/*
 * fault.c - wraps another transport and breaks it on cue, so that what fabmark makes of a failure can be seen and
 * tested:
 * --transport fault:tcp,stall@1000. Only the driving end breaks, save where the peer has to be the one that is not
 * ready; the other meets the consequences. Rows say "fault".
 */
#include "transports/fault/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "transports/transport.h"

enum fault_what {
	FAULT_NONE,
	FAULT_FAIL,    /* an operation fails */
	FAULT_STALL,   /* nothing is started any more */
	FAULT_LOSE,    /* one message is said to be sent and is not */
	FAULT_CORRUPT, /* one byte of one message is turned over */
	FAULT_DELAY,   /* each operation waits before it is started */
	FAULT_OPEN,    /* the device cannot be opened */
	FAULT_CONNECT, /* the peer is never reached */
	FAULT_HANG,    /* opening never returns, as a broken driver's */
	FAULT_LINGER,  /* closing never returns */
	FAULT_ADDRESS, /* one byte of the peer's address is turned over before we connect to it */
	FAULT_DEAF,    /* the peer's end awaits no message */
	FAULT_CHANGE,  /* what must stay as it is does not */
	FAULT_SHARE,   /* the port moves what was not ours */
	FAULT_COUNT
};

static const char *const fault_names[FAULT_COUNT] = {"none",	"fail", "stall",   "lose", "corrupt",
						     "delay",	"open", "connect", "hang", "linger",
						     "address", "deaf", "change",  "share"};

struct fault_script {
	const struct fm_transport *inner;
	enum fault_what what;
	uint64_t when; /* operations that go well, counted over all repetitions of a lane */
	uint64_t delay_ms;
	uint64_t byte;		   /* of the peer's address */
	char options[FM_TEXT_MAX]; /* of the transport inside: "NAME=VALUE,NAME=VALUE" */
};

struct fault_lane {
	struct fm_lane inner;
	const struct fault_script *script;
	const struct fm_work *work;
	struct fm_buffer outgoing;
	uint64_t posted, in_repetition;
	bool done;   /* what happens once has happened */
	bool failed; /* by us, not by the lane inside */
	struct fm_error error;
};

struct fm_endpoint {
	struct fm_endpoint *inner;
	struct fault_script script;
	struct fm_work work; /* for the transport inside */
	void *options;	     /* its own */
	struct fault_lane *lanes;
	struct fm_blob *peer; /* the address that we connect to instead */
	uint32_t looks;	      /* at counters */
};

/* ---- the script ---- */

static int script_refuse(struct fm_error *error, const char *script)
{
	return fm_error_set(
		error, -EINVAL, FM_REASON_USAGE,
		"'%.80s' is no fault: write TRANSPORT,WHAT@WHEN, as in tcp,stall@1000; WHAT is fail, stall, "
		"lose, corrupt or delay=MS; or TRANSPORT,WHAT with open, connect, hang, linger, address=BYTE, deaf, "
		"change or share; behind either the transport's own options as ,NAME=VALUE",
		script);
}

/* What a sign and a number behind WHAT are for; NULL where they are for nothing. */
static uint64_t *script_number(struct fault_script *script, char sign)
{
	if (sign == '@' && script->what < FAULT_OPEN)
		return &script->when;
	if (sign == '=' && script->what == FAULT_ADDRESS)
		return &script->byte;
	return sign == '=' && script->what == FAULT_DELAY ? &script->delay_ms : NULL;
}

/* "stall@1000", "delay=5@10", "delay@10=5", "open". */
static int script_parse_what(const char *text, struct fault_script *script)
{
	size_t length = strcspn(text, "@=");
	struct fm_error ignored;
	char number[32];

	for (int i = FAULT_FAIL; i < FAULT_COUNT; i++)
		if (strlen(fault_names[i]) == length && strncmp(text, fault_names[i], length) == 0)
			script->what = (enum fault_what)i;
	if (script->what == FAULT_NONE)
		return -EINVAL;
	while (*(text += length)) {
		uint64_t *value = script_number(script, *text);

		length = 1 + strcspn(text + 1, "@=");
		snprintf(number, sizeof(number), "%.*s", (int)length - 1, text + 1);
		/* Each once, and whole: what was cut no longer is what was typed. */
		if (!value || strchr(text + 1, *text) || length > sizeof(number) ||
		    fm_parse_count(number, value, &ignored))
			return -EINVAL;
	}
	return 0;
}

/* Whether a text is NAME=VALUE,...; which names there are, the transport inside knows. */
static bool options_shaped(const char *text)
{
	for (;;) {
		size_t name = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

		if (!name || text[name] != '=')
			return false;
		text += strcspn(text, ",");
		if (!*text++)
			return true;
	}
}

/* What is behind the transport's name and a comma. */
static int script_parse_rest(const char *text, struct fault_script *script)
{
	size_t length = strcspn(text, ",");
	char what[64];

	if (length >= sizeof(what) || (text[length] && !options_shaped(text + length + 1)))
		return -EINVAL;
	snprintf(what, sizeof(what), "%.*s", (int)length, text);
	if (text[length])
		snprintf(script->options, sizeof(script->options), "%s", text + length + 1);
	return script_parse_what(what, script);
}

/* Without a look at which transports there are; name: of the one inside. */
static int script_read(const char *text, char *name, size_t bytes, struct fault_script *script, struct fm_error *error)
{
	size_t length = strcspn(text, ",");

	*script = (struct fault_script){.delay_ms = 1};
	snprintf(name, bytes, "%.*s", (int)length, text);
	if (!*text)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "no script given: say what is to break and how, as in --transport "
				    "fault:tcp,stall@1000");
	if (strcmp(name, "fault") == 0)
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "'%.80s': fault cannot wrap itself; name the transport that is to break, as in "
				    "tcp,stall@1000",
				    text);
	if (!name[0] || (text[length] && script_parse_rest(text + length + 1, script)))
		return script_refuse(error, text);
	return 0;
}

int fm_fault_check(const struct fm_fault_options *options, bool chosen, struct fm_error *error)
{
	struct fault_script ignored;
	char name[32];

	if (chosen)
		return script_read(options->script, name, sizeof(name), &ignored, error)
			       ? fm_error_prefix(error, "--transport fault: ")
			       : 0;
	if (options->script[0])
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "--fault needs --transport fault, and nothing would break without it: write "
				    "--transport fault:%.80s, or leave --fault out",
				    options->script);
	return 0;
}

static int script_parse(const char *text, const struct fm_transport *const *transports, struct fault_script *script,
			struct fm_error *error)
{
	char name[32];
	int code = script_read(text, name, sizeof(name), script, error);

	if (code)
		return code;
	script->inner = fm_transport_among(transports, name);
	if (!script->inner)
		return fm_error_set(
			error, -ENODEV, FM_REASON_ABSENT,
			"no transport '%s' to break here: 'fabmark devices' lists those that there are, and "
			"FABMARK_TRANSPORT_PATH says where modules lie, on each node for itself",
			name);
	if (script->inner->absent)
		return fm_error_set(error, -ENODEV, FM_REASON_ABSENT, "%s cannot run here: %s", name,
				    script->inner->absent);
	return 0;
}

static int options_apply(const struct fault_script *script, void *values, struct fm_error *error)
{
	const struct fm_option_set *set = script->inner->options;
	char text[FM_TEXT_MAX], *save = NULL;
	int code = 0;

	snprintf(text, sizeof(text), "%s", script->options);
	for (char *name = strtok_r(text, ",", &save); name && code == 0; name = strtok_r(NULL, ",", &save)) {
		char *value = strchr(name, '=');

		*value++ = '\0';
		code = set ? fm_options_set(set, values, name, value, error) : -ENOENT;
		if (code == -ENOENT)
			fm_error_set(error, code, FM_REASON_USAGE, "transport %s has no option '%.60s'",
				     script->inner->name, name);
	}
	return code;
}

/* The options of the transport inside, as the script has them; NULL where that cannot be. */
static void *inner_options(const struct fault_script *script, struct fm_error *error)
{
	const struct fm_transport *inner = script->inner;
	void *values = calloc(1, inner->options && inner->options->bytes ? inner->options->bytes : 1);

	if (!values)
		fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for the options of %s", inner->name);
	else if ((inner->options && fm_options_defaults(inner->options, values, error)) ||
		 options_apply(script, values, error)) {
		free(values);
		values = NULL;
	}
	return values;
}

/* ---- lanes ---- */

static int fault_arm(void *self, uint64_t operations, uint64_t incoming)
{
	struct fault_lane *lane = self;

	lane->in_repetition = 0;
	if (lane->script->what == FAULT_DEAF && lane->work->passive)
		operations = incoming = 0;
	return lane->inner.arm(lane->inner.self, operations, incoming);
}

static int lane_corrupt(struct fault_lane *lane)
{
	const struct fm_memory_kind *kind = lane->outgoing.kind;
	size_t at = (size_t)(lane->in_repetition % lane->work->slots * lane->work->stride_bytes);
	uint8_t byte;
	int code = kind->copy_out(&lane->outgoing, at, &byte, 1, &lane->error);

	byte ^= 0xff;
	return code ? code : kind->copy_in(&lane->outgoing, at, &byte, 1, &lane->error);
}

static int fault_post(void *self, uint32_t count)
{
	struct fault_lane *lane = self;
	const struct fault_script *script = lane->script;
	const struct timespec delay = {(time_t)(script->delay_ms / 1000), (long)(script->delay_ms % 1000 * 1000000)};
	int n;

	if (lane->posted < script->when) {
		if (count > script->when - lane->posted)
			count = (uint32_t)(script->when - lane->posted);
	} else if (!lane->done) {
		count = 1;
		switch (script->what) {
		case FAULT_FAIL:
			lane->failed = true;
			return fm_error_set(&lane->error, -EIO, FM_REASON_TRANSFER,
					    "operation %" PRIu64 " failed on cue, as --transport fault was asked to do",
					    lane->posted);
		case FAULT_STALL:
			return 0;
		case FAULT_LOSE:
			lane->done = true;
			return 1;
		case FAULT_CORRUPT:
			lane->done = true;
			n = lane_corrupt(lane);
			if (n) {
				lane->failed = true;
				return n;
			}
			break;
		case FAULT_DELAY:
			nanosleep(&delay, NULL);
			break;
		default:
			break;
		}
	}
	n = lane->inner.post(lane->inner.self, count);
	if (n > 0) {
		lane->posted += (uint32_t)n;
		lane->in_repetition += (uint32_t)n;
	}
	return n;
}

static int fault_poll(void *self)
{
	struct fault_lane *lane = self;

	return lane->inner.poll(lane->inner.self);
}

static int fault_settle(void *self)
{
	struct fault_lane *lane = self;

	return lane->inner.settle(lane->inner.self);
}

static int fault_explain(void *self, struct fm_error *error)
{
	struct fault_lane *lane = self;

	if (!lane->failed)
		return lane->inner.explain(lane->inner.self, error);
	*error = lane->error;
	return error->code;
}

/* ---- the endpoint ---- */

static int fault_query(const struct fm_place *place, const void *options, const struct fm_transport *const *transports,
		       struct fm_capabilities *capabilities, struct fm_error *error)
{
	const struct fm_fault_options *asked = options;
	struct fault_script script;
	void *values;
	int code = script_parse(asked ? asked->script : "", transports, &script, error);

	if (code)
		return code;
	values = inner_options(&script, error);
	if (!values)
		return error->code;
	code = script.inner->query(place, values, transports, capabilities, error);
	free(values);
	for (int i = 0; i < FM_TEST_COUNT && code == 0; i++)
		capabilities->tests[i].variant = "fault_on_cue";
	return code;
}

/* Where a driver would hang: the program goes on without this thread. */
static void hang(void)
{
	for (;;)
		pause();
}

static void fault_close(struct fm_endpoint *endpoint)
{
	if (!endpoint)
		return;
	if (endpoint->script.inner)
		endpoint->script.inner->close(endpoint->inner);
	if (endpoint->script.what == FAULT_LINGER && !endpoint->work.passive)
		hang();
	free(endpoint->lanes);
	free(endpoint->options);
	free(endpoint->peer);
	free(endpoint);
}

static int endpoint_open(struct fm_endpoint *endpoint, const struct fm_place *place, const struct fm_work *work,
			 const struct fm_buffer *buffers, uint32_t count, struct fm_error *error)
{
	const struct fm_fault_options *asked = work->options;
	int code = script_parse(asked->script, work->services->transports, &endpoint->script, error);

	if (code)
		return code;
	endpoint->work = *work;
	endpoint->options = inner_options(&endpoint->script, error);
	if (!endpoint->options)
		return error->code;
	endpoint->lanes = calloc(work->streams, sizeof(*endpoint->lanes));
	if (!endpoint->lanes)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for %u streams", work->streams);
	endpoint->work.options = endpoint->options;
	for (uint32_t i = 0; i < work->streams; i++) {
		endpoint->lanes[i].script = &endpoint->script;
		endpoint->lanes[i].work = &endpoint->work;
		endpoint->lanes[i].outgoing = buffers[2 * (size_t)i];
	}
	if (endpoint->script.what == FAULT_OPEN && !work->passive)
		return fm_error_set(error, -EIO, FM_REASON_CONNECT,
				    "the device did not open on cue, as --transport fault was asked to do");
	if (endpoint->script.what == FAULT_HANG && !work->passive)
		hang();
	return endpoint->script.inner->open(place, &endpoint->work, buffers, count, &endpoint->inner, error);
}

static int fault_open(const struct fm_place *place, const struct fm_work *work, const struct fm_buffer *buffers,
		      uint32_t count, struct fm_endpoint **endpoint, struct fm_error *error)
{
	struct fm_endpoint *made = calloc(1, sizeof(*made));
	int code;

	if (!made)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for an endpoint");
	code = endpoint_open(made, place, work, buffers, count, error);
	if (code) {
		made->script.what = FAULT_NONE;
		fault_close(made);
		return code;
	}
	*endpoint = made;
	return 0;
}

static int fault_address(struct fm_endpoint *endpoint, struct fm_blob *blob, struct fm_error *error)
{
	return endpoint->script.inner->address(endpoint->inner, blob, error);
}

/* The peer's address with one byte turned over; NULL and an error where it has no such byte. */
static const struct fm_blob *address_spoil(struct fm_endpoint *endpoint, const struct fm_blob *peer,
					   struct fm_error *error)
{
	if (endpoint->script.byte >= peer->bytes) {
		fm_error_set(error, -EINVAL, FM_REASON_USAGE,
			     "the peer's address has no byte %" PRIu64 ": its %u bytes are counted from 0",
			     endpoint->script.byte, peer->bytes);
		return NULL;
	}
	if (!endpoint->peer)
		endpoint->peer = malloc(sizeof(*endpoint->peer));
	if (!endpoint->peer) {
		fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for an address");
		return NULL;
	}
	*endpoint->peer = *peer;
	endpoint->peer->data[endpoint->script.byte] ^= 0xff;
	return endpoint->peer;
}

static int fault_connect(struct fm_endpoint *endpoint, const struct fm_blob *peer, struct fm_lane *lanes,
			 uint32_t count, struct fm_error *error)
{
	bool breaks = endpoint->work.passive == (endpoint->script.what == FAULT_DEAF);
	int code;

	if (endpoint->script.what == FAULT_ADDRESS && !endpoint->work.passive)
		peer = address_spoil(endpoint, peer, error);
	if (!peer)
		return error->code;
	if (endpoint->script.what == FAULT_CONNECT && !endpoint->work.passive)
		return fm_error_set(error, -EAGAIN, FM_REASON_CONNECT,
				    "the peer was not reached on cue, as --transport fault was asked to do");
	code = endpoint->script.inner->connect(endpoint->inner, peer, lanes, count, error);
	for (uint32_t i = 0; i < count && code == 0 && breaks; i++) {
		endpoint->lanes[i].inner = lanes[i];
		lanes[i] = (struct fm_lane){&endpoint->lanes[i], fault_arm,    fault_post,
					    fault_poll,		 fault_settle, fault_explain};
	}
	return code;
}

static int fault_progress(struct fm_endpoint *endpoint, struct fm_error *error)
{
	return endpoint->script.inner->progress(endpoint->inner, error);
}

static int fault_effective(struct fm_endpoint *endpoint, struct fm_effective *effective, struct fm_error *error)
{
	fm_effective_add(effective, "fault", "%s over %s", fault_names[endpoint->script.what],
			 endpoint->script.inner->name);
	return endpoint->script.inner->effective(endpoint->inner, effective, error);
}

static int fault_counters(struct fm_endpoint *endpoint, struct fm_counters *counters, struct fm_error *error)
{
	int code = endpoint->script.inner->counters(endpoint->inner, counters, error);

	endpoint->looks++;
	if (endpoint->script.what == FAULT_CHANGE && !endpoint->work.passive)
		fm_counters_state(counters, "the link", "%u", endpoint->looks);
	if (endpoint->script.what == FAULT_SHARE && !endpoint->work.passive)
		counters->sent = (struct fm_traffic){1000000000ull * endpoint->looks, 1};
	return code;
}

static int fault_disconnect(struct fm_endpoint *endpoint, struct fm_error *error)
{
	return endpoint->script.inner->disconnect(endpoint->inner, error);
}

const struct fm_transport fm_transport_fault = {
	.abi = FM_TRANSPORT_ABI,
	.name = "fault",
	.help = "breaks another transport on cue: --transport fault:tcp,stall@1000",
	.default_latency = FM_SEND_LAT,
	.default_bandwidth = FM_SEND_BW,
	.options = &fm_fault_options,
	.probe = fm_probe_none,
	.query = fault_query,
	.open = fault_open,
	.address = fault_address,
	.connect = fault_connect,
	.progress = fault_progress,
	.effective = fault_effective,
	.counters = fault_counters,
	.disconnect = fault_disconnect,
	.close = fault_close,
};
