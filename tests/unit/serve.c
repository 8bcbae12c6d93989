/*
 * serve.c - the responder against clients that break the rules: another version, garbage in each phase, numbers that no
 * machine has. It must answer in words, survive, and never hang.
 */
#include "bench/serve.h"

#include "tests/unit/loopback.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>

struct served {
	pthread_t thread;
	struct fm_server server;
	struct fm_control *client;
	int code;
	struct fm_error error;
};

/* Without modules: the same on every machine. Filled by main, and only read then. */
static struct fm_registry *const registry = &(struct fm_registry){.count = 0};

static void mute(void *context, const char *sentence)
{
	(void)context;
	(void)sentence;
}

static void *serve_run(void *argument)
{
	struct served *served = argument;
	struct fm_session *session = &served->server.session;

	while (fm_door_next(session->door, &session->control) != 0) {
		struct pollfd fds[FM_DOOR_POLL_MAX];

		poll(fds, fm_door_pollfds(session->door, fds), 50);
		fm_door_work(session->door);
	}
	served->code = fm_server_client(&served->server, &served->error);
	return NULL;
}

/* A server in a thread, with signals from this descriptor, and a client that has shaken hands with it. */
static struct served *served_start_with(int signal_fd)
{
	struct fm_token token = token_of(TOKEN);
	struct served *served = calloc(1, sizeof(*served));
	struct fm_error error;

	assert_non_null(served);
	served->server.session.signal_fd = signal_fd;
	served->server.say = mute;
	served->server.registry = registry;
	fm_clock_calibrate(&served->server.clock);
	snprintf(served->server.node, sizeof(served->server.node), "served");
	assert_int_equal(fm_door_open("127.0.0.1", 0, &token, &served->server.session.door, &error), 0);
	assert_int_equal(fm_session_begin(&served->server.session, &error), 0);
	assert_int_equal(pthread_create(&served->thread, NULL, serve_run, served), 0);
	assert_int_equal(fm_control_connect("127.0.0.1", fm_door_port(served->server.session.door), &token,
					    in_ms(20000), -1, &served->client, &error),
			 0);
	return served;
}

static struct served *served_start(void)
{
	return served_start_with(-1);
}

/* Joins the server; its result must be this. */
static void served_end(struct served *served, int code)
{
	fm_control_close(served->client);
	pthread_join(served->thread, NULL);
	if (served->code != code)
		fail_msg("%d '%s', not %d", served->code, served->error.text, code);
	fm_session_end(&served->server.session);
	fm_door_close(served->server.session.door);
	free(served);
}

static void say(struct served *served, json_t *message)
{
	struct fm_error error;

	assert_non_null(message);
	assert_int_equal(fm_control_send(served->client, message, in_ms(20000), &error), 0);
	json_decref(message);
}

/* The next message that is no heartbeat; must be of this type. The caller drops it. */
static json_t *hear(struct served *served, const char *type)
{
	json_t *message = NULL;
	struct fm_error error = {0};

	do {
		json_decref(message);
		if (receive_wait(served->client, &message, &error))
			fail_msg("waiting for '%s': %s", type, error.text);
	} while (fm_message_is(message, "alive"));
	if (!fm_message_is(message, type))
		fail_msg("%s", json_dumps(message, 0));
	return message;
}

static void hear_failed(struct served *served, const char *reason, const char *part)
{
	json_t *message = hear(served, "failed");

	assert_string_equal(json_string_value(json_object_get(message, "reason")), reason);
	if (!strstr(json_string_value(json_object_get(message, "text")), part))
		fail_msg("%s", json_string_value(json_object_get(message, "text")));
	json_decref(message);
}

static json_t *hello(int protocol)
{
	return json_pack("{s:s, s:i, s:s, s:s, s:f}", "type", "hello", "protocol", protocol, "version", "9.9.9", "node",
			 "client", "peer_timeout_s", 3.5);
}

static void greet(struct served *served)
{
	say(served, hello(FM_PROTOCOL));
	json_decref(hear(served, "hello"));
	say(served, json_pack("{s:s}", "type", "offer"));
	json_decref(hear(served, "offer"));
}

static json_t *plan(json_t *points)
{
	return json_pack("{s:s, s:s, s:s, s:i, s:[{s:s, s:s, s:s, s:s, s:s}], s:o, s:b}", "type", "plan", "cpus_a", "",
			 "cpus_b", "", "shares", 1, "rails", "device_a", "lo", "device_b", "lo", "address_a",
			 "127.0.0.1", "address_b", "127.0.0.1", "reason", "of the test", "points", points, "more", 0);
}

static json_t *point(json_int_t size, json_int_t stride, int slots, int streams, int threads)
{
	return json_pack("[i, s, s, I, I, i, i, i, i, b, b, s, s]", 1, "tcp", "send_bw", size, stride, slots, 1,
			 streams, threads, 0, 0, "host", "host");
}

static void another_protocol(void **state)
{
	struct served *served = served_start();

	(void)state;
	say(served, hello(FM_PROTOCOL + 1));
	hear_failed(served, "version", "9.9.9");
	served_end(served, -EPROTONOSUPPORT);
}

static void another_version_of_the_same_protocol(void **state)
{
	struct served *served = served_start();

	(void)state;
	greet(served);
	say(served, json_pack("{s:s}", "type", "bye"));
	served_end(served, 0);
}

static void messages_out_of_place(void **state)
{
	static const char *const types[] = {"arm", "close", "quiet", "point", "planned", "nonsense"};

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct served *served = served_start();

		say(served, json_pack("{s:s}", "type", types[i]));
		served_end(served, -EPROTO);
	}
}

static void plans_that_no_machine_can_do(void **state)
{
	const struct {
		json_int_t size, stride;
		int slots, streams, threads;
	} bad[] = {
		{0, 64, 1, 1, 1}, {-1, 64, 1, 1, 1},	  {8, 4, 1, 1, 1},  {INT64_MAX, INT64_MAX, 1, 1, 1},
		{8, 64, 0, 1, 1}, {8, 64, 1 << 30, 1, 1}, {8, 64, 1, 0, 1}, {8, 64, 1, 100000, 1},
		{8, 64, 1, 1, 0}, {8, 64, 1, 1, 1000},	  {8, 64, 1, 3, 2}, {8, INT64_MAX, 65536, 1024, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct served *served = served_start();

		greet(served);
		say(served, plan(json_pack("[o]", point(bad[i].size, bad[i].stride, bad[i].slots, bad[i].streams,
							bad[i].threads))));
		hear_failed(served, "protocol", "plan");
		served_end(served, -EPROTO);
	}
}

/* A latency has no other direction. */
static void plans_with_a_ping_pong_both_ways(void **state)
{
	struct served *served = served_start();

	(void)state;
	greet(served);
	say(served, plan(json_pack("[[i, s, s, i, i, i, i, i, i, b, b, s, s]]", 1, "tcp", "send_lat", 8, 64, 1, 1, 1, 1,
				   0, 1, "host", "host")));
	hear_failed(served, "protocol", "plan");
	served_end(served, -EPROTO);
}

static void plan_of_more_memory_than_there_is(void **state)
{
	struct served *served = served_start();
	json_t *answer, *refused;

	(void)state;
	greet(served);
	say(served, plan(json_pack("[o]", point(1 << 30, 1 << 30, 65536, 1024, 1))));
	answer = hear(served, "planned");
	refused = json_array_get(json_object_get(answer, "refused"), 0);
	assert_string_equal(json_string_value(json_array_get(refused, 1)), "out_of_memory");
	json_decref(answer);
	say(served, json_pack("{s:s}", "type", "bye"));
	served_end(served, 0);
}

static void plan_agreed(struct served *served)
{
	json_t *answer;

	greet(served);
	say(served, plan(json_pack("[o]", point(8, 64, 1, 1, 1))));
	answer = hear(served, "planned");
	assert_int_equal(json_array_size(json_object_get(answer, "refused")), 0);
	json_decref(answer);
}

static void options_that_are_no_texts(void **state)
{
	static const char *const options[] = {"{\"tcp\": {\"mss\": 5}}", "{\"tcp\": {\"congestion\": null}}",
					      "{\"tcp\": 3}", "[]"};

	(void)state;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		struct served *served = served_start();
		json_t *message = plan(json_pack("[o]", point(8, 64, 1, 1, 1)));

		greet(served);
		json_object_set_new(message, "options", json_loads(options[i], 0, NULL));
		say(served, message);
		hear_failed(served, "protocol", "plan");
		served_end(served, -EPROTO);
	}
}

/* More operations than any plan asks for: refused before a stamp is allocated for them. */
static void operations_without_measure(void **state)
{
	static const json_int_t counts[] = {0, -1, 1ll << 61, INT64_MAX};
	struct served *served = served_start();
	json_t *null_point = point(8, 64, 1, 1, 1);

	(void)state;
	json_array_set_new(null_point, 1, json_string("null"));
	greet(served);
	say(served, plan(json_pack("[o]", null_point)));
	json_decref(hear(served, "planned"));
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		say(served, json_pack("{s:s, s:i, s:[s]}", "type", "point", "id", 1, "blobs", ""));
		json_decref(hear(served, "addresses"));
		json_decref(hear(served, "connected"));
		say(served, json_pack("{s:s, s:[I], s:b}", "type", "arm", "operations", counts[i], "first", 1));
		hear_failed(served, "protocol", "operations");
		say(served, json_pack("{s:s, s:s, s:s}", "type", "abort", "reason", "protocol", "text", "given up"));
		json_decref(hear(served, "closed"));
	}
	say(served, json_pack("{s:s}", "type", "bye"));
	served_end(served, 0);
}

static void *flood(void *argument)
{
	struct served *served = argument;
	json_t *alive = json_pack("{s:s}", "type", "alive");
	struct fm_error error;

	while (fm_control_send(served->client, alive, in_ms(2000), &error) == 0)
		;
	json_decref(alive);
	return NULL;
}

/* A client that sends heartbeats without end does not keep the server from a signal. */
static void flood_of_heartbeats(void **state)
{
	struct signalfd_siginfo info = {.ssi_signo = SIGTERM};
	struct served *served;
	uint64_t begin;
	pthread_t thread;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
	served = served_start_with(ends[0]);
	plan_agreed(served);
	assert_int_equal(pthread_create(&thread, NULL, flood, served), 0);
	usleep(300000);
	begin = fm_now_ns();
	assert_int_equal(write(ends[1], &info, sizeof(info)), sizeof(info));
	pthread_join(served->thread, NULL);
	assert_true(fm_now_ns() - begin < 2000000000u);
	assert_int_equal(served->code, -EINTR);
	pthread_join(thread, NULL);
	fm_control_close(served->client);
	fm_session_end(&served->server.session);
	fm_door_close(served->server.session.door);
	close(ends[0]);
	close(ends[1]);
	free(served);
}

static void points_that_are_not_planned(void **state)
{
	struct served *served = served_start();

	(void)state;
	plan_agreed(served);
	say(served, json_pack("{s:s, s:i, s:[]}", "type", "point", "id", 7, "blobs"));
	served_end(served, -EPROTO);
}

/* The point fails in words, is given up, and the session goes on. */
static void addresses_that_are_none(void **state)
{
	static const char *const blobs[] = {"", "====", "not base64 at all", "AAAAAAAAAAA="};
	struct served *served = served_start();

	(void)state;
	plan_agreed(served);
	for (size_t i = 0; i < sizeof(blobs) / sizeof(blobs[0]); i++) {
		json_t *message = NULL;

		say(served, json_pack("{s:s, s:i, s:[s]}", "type", "point", "id", 1, "blobs", blobs[i]));
		/* A blob that is base64 is for the transport to refuse, after our own address went out. */
		for (;;) {
			struct fm_error error;

			assert_int_equal(receive_wait(served->client, &message, &error), 0);
			if (fm_message_is(message, "failed"))
				break;
			json_decref(message);
		}
		assert_string_equal(json_string_value(json_object_get(message, "reason")), "protocol");
		json_decref(message);
		say(served, json_pack("{s:s, s:s, s:s}", "type", "abort", "reason", "protocol", "text", "given up"));
		json_decref(hear(served, "closed"));
	}
	say(served, json_pack("{s:s}", "type", "bye"));
	served_end(served, 0);
}

static void client_gone_in_each_phase(void **state)
{
	(void)state;
	for (int phase = 0; phase < 4; phase++) {
		struct served *served = served_start();

		if (phase == 1)
			say(served, hello(FM_PROTOCOL));
		if (phase == 2)
			greet(served);
		if (phase == 3)
			plan_agreed(served);
		fm_control_close(served->client);
		served->client = NULL;
		pthread_join(served->thread, NULL);
		assert_int_not_equal(served->code, 0);
		assert_int_equal(served->error.reason, FM_REASON_PEER_LOST);
		fm_session_end(&served->server.session);
		fm_door_close(served->server.session.door);
		free(served);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_protocol),
		cmocka_unit_test(another_version_of_the_same_protocol),
		cmocka_unit_test(messages_out_of_place),
		cmocka_unit_test(plans_that_no_machine_can_do),
		cmocka_unit_test(plans_with_a_ping_pong_both_ways),
		cmocka_unit_test(plan_of_more_memory_than_there_is),
		cmocka_unit_test(options_that_are_no_texts),
		cmocka_unit_test(operations_without_measure),
		cmocka_unit_test(flood_of_heartbeats),
		cmocka_unit_test(points_that_are_not_planned),
		cmocka_unit_test(addresses_that_are_none),
		cmocka_unit_test(client_gone_in_each_phase),
	};

	fm_registry_fill(registry, fm_backends, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
