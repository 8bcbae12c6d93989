/*
 * windows.c - planted stalls and slow stretches, and a slow search of the same windows.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "results/windows.h"
#include "tests/unit/random.h"

#define MS	((uint64_t)1000000)
#define WINDOW	(100 * MS)
#define STAMPS	2000
#define STREAMS 8

struct stream {
	uint64_t at_ns[STAMPS], done[STAMPS];
	size_t count;
};

static double worst(struct stream *streams, size_t count)
{
	struct fm_window_trace traces[STREAMS];

	for (size_t i = 0; i < count; i++)
		traces[i] = (struct fm_window_trace){.at_ns = streams[i].at_ns,
						     .done = streams[i].done,
						     .count = streams[i].count,
						     .left = 9,
						     .right = 9};
	return fm_windows_worst_per_s(traces, count, WINDOW);
}

/* One stamp per 1,000 operations at 1 operation per us: 1 ms apart, from begin_ms to end_ms. */
static void stream_make(struct stream *stream, uint64_t begin_ms, uint64_t end_ms)
{
	stream->count = 0;
	for (uint64_t ms = begin_ms; ms <= end_ms; ms++) {
		stream->at_ns[stream->count] = 5000000000 + ms * MS;
		stream->done[stream->count] = 1000 * stream->count;
		stream->count++;
	}
}

/* From this stamp on everything comes later. */
static void stream_delay(struct stream *stream, size_t from, uint64_t ns)
{
	for (size_t i = from; i < stream->count; i++)
		stream->at_ns[i] += ns;
}

static int near(double value, double want)
{
	return fabs(value - want) <= 1e-9 * fabs(want);
}

static void test_too_short(void **state)
{
	struct stream streams[2];

	(void)state;
	assert_true(isnan(worst(streams, 0)));
	stream_make(&streams[0], 0, 300);
	streams[0].count = 0;
	assert_true(isnan(worst(streams, 1)));
	streams[0].count = 1;
	assert_true(isnan(worst(streams, 1)));
	stream_make(&streams[0], 0, 99);
	assert_true(isnan(worst(streams, 1)));
	stream_make(&streams[0], 0, 100);
	assert_true(near(worst(streams, 1), 1e6));
	/* Each long enough, but the window that they share is not; then just. */
	stream_make(&streams[0], 0, 300);
	stream_make(&streams[1], 201, 500);
	assert_true(isnan(worst(streams, 2)));
	stream_make(&streams[1], 400, 700);
	assert_true(isnan(worst(streams, 2)));
	stream_make(&streams[1], 200, 500);
	assert_true(near(worst(streams, 2), 2e6));
}

static void test_steady(void **state)
{
	struct stream streams[STREAMS];

	(void)state;
	/* Ragged ends are no stall. */
	for (size_t i = 0; i < STREAMS; i++)
		stream_make(&streams[i], 3 * i, 300 + 17 * i);
	for (size_t i = 1; i <= STREAMS; i++)
		assert_true(near(worst(streams, i), 1e6 * (double)i));
}

static void test_stall(void **state)
{
	struct stream streams[3];

	(void)state;
	/* 100 ms without an operation: 101 ms pass between two stamps, and 1,000 operations are spread over them. */
	stream_make(&streams[0], 0, 300);
	stream_delay(&streams[0], 138, WINDOW);
	assert_true(near(worst(streams, 1), 1000 / 0.101));
	/* The same right at the begin and at the end. */
	stream_make(&streams[0], 0, 300);
	stream_delay(&streams[0], 1, WINDOW);
	assert_true(near(worst(streams, 1), 1000 / 0.101));
	stream_make(&streams[0], 0, 300);
	stream_delay(&streams[0], 300, WINDOW);
	assert_true(near(worst(streams, 1), 1000 / 0.101));

	/* One of three streams: the other two run on. */
	stream_make(&streams[1], 0, 400);
	stream_make(&streams[2], 0, 400);
	assert_true(near(worst(streams, 3), 2e6 + 1000 / 0.101));
	/* A stall of 40 ms lies in one window with 60 ms at full rate less the stretched interval. */
	stream_make(&streams[0], 0, 300);
	stream_delay(&streams[0], 138, 40 * MS);
	assert_true(near(worst(streams, 1), 60e3 / 0.1));
	/* Two stalls of 40 ms, in two streams: the window holds both, or one. */
	stream_make(&streams[1], 0, 300);
	stream_delay(&streams[1], 180, 40 * MS);
	assert_true(near(worst(streams, 2), 120e3 / 0.1));
	stream_make(&streams[1], 0, 300);
	stream_delay(&streams[1], 290, 40 * MS);
	assert_true(near(worst(streams, 2), 160e3 / 0.1));
}

static void test_slow_stretch(void **state)
{
	struct stream streams[3];

	(void)state;
	/* 150 ms at half the rate, in the first of three streams. */
	stream_make(&streams[0], 0, 500);
	for (size_t i = 200; i < 275; i++)
		stream_delay(&streams[0], i, MS);
	assert_true(near(worst(streams, 1), 0.5e6));
	stream_make(&streams[1], 0, 500);
	stream_make(&streams[2], 0, 500);
	assert_true(near(worst(streams, 3), 2.5e6));
	/* 50 ms of it: half of the window. */
	stream_make(&streams[0], 0, 500);
	for (size_t i = 200; i < 225; i++)
		stream_delay(&streams[0], i, MS);
	assert_true(near(worst(streams, 1), 0.75e6));
}

/* Two stamps of one time, as a coarse clock gives them. */
static void test_same_time(void **state)
{
	struct stream stream;

	(void)state;
	stream_make(&stream, 0, 300);
	for (size_t i = 50; i < 300; i += 7)
		stream.at_ns[i] = stream.at_ns[i - 1];
	assert_true(worst(&stream, 1) > 0.97e6);
	assert_true(worst(&stream, 1) < 1e6);
	for (size_t i = 0; i < stream.count; i++)
		stream.at_ns[i] = 7;
	assert_true(isnan(worst(&stream, 1)));
}

/* Work done by one stream at a time, by a search from the start. */
static double slow_done(const struct stream *stream, uint64_t at_ns)
{
	size_t i = 1;

	while (i + 1 < stream->count && stream->at_ns[i] < at_ns)
		i++;
	return (double)stream->done[i - 1] + (double)(stream->done[i] - stream->done[i - 1]) *
						     (double)(at_ns - stream->at_ns[i - 1]) /
						     (double)(stream->at_ns[i] - stream->at_ns[i - 1]);
}

static double slow_rate(const struct stream *streams, size_t count, uint64_t begin_ns)
{
	double done = 0;

	for (size_t i = 0; i < count; i++)
		done += slow_done(&streams[i], begin_ns + WINDOW) - slow_done(&streams[i], begin_ns);
	return done / (WINDOW / 1e9);
}

/* Random traces: no window of a 10 us grid is slower, and one of them is about as slow. */
static void test_search(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 30; seed++) {
		struct random_source source = {seed};
		size_t count = 1 + random_u64(&source) % 4;
		uint64_t begin = 0, end = UINT64_MAX;
		struct stream streams[4];
		double least = INFINITY, found;

		for (size_t i = 0; i < count; i++) {
			struct stream *stream = &streams[i];

			stream->at_ns[0] = random_u64(&source) % (10 * MS);
			stream->done[0] = 0;
			stream->count = 30 + random_u64(&source) % 100;
			for (size_t j = 1; j < stream->count; j++) {
				double gap = -log(random_uniform(&source)) * 5e6;

				stream->at_ns[j] = stream->at_ns[j - 1] + 1 + (uint64_t)gap;
				stream->done[j] = stream->done[j - 1] + 1 + random_u64(&source) % 1000;
			}
			begin = stream->at_ns[0] > begin ? stream->at_ns[0] : begin;
			end = stream->at_ns[stream->count - 1] < end ? stream->at_ns[stream->count - 1] : end;
		}
		found = worst(streams, count);
		if (end < begin + WINDOW) {
			assert_true(isnan(found));
			continue;
		}
		for (uint64_t at = begin; at + WINDOW <= end; at += 10000)
			least = fmin(least, slow_rate(streams, count, at));
		assert_true(found <= least * (1 + 1e-9));
		assert_true(found >= least * 0.99);
	}
}

static double done(struct stream *streams, size_t count, uint64_t from_ms, uint64_t to_ms)
{
	struct fm_window_trace traces[STREAMS];

	for (size_t i = 0; i < count; i++)
		traces[i] = (struct fm_window_trace){
			.at_ns = streams[i].at_ns, .done = streams[i].done, .count = streams[i].count, .left = 9};
	return fm_windows_done(traces, count, 5000000000 + from_ms * MS, 5000000000 + to_ms * MS);
}

static void test_done(void **state)
{
	struct stream streams[2];

	(void)state;
	stream_make(&streams[0], 10, 20);
	stream_make(&streams[1], 15, 40);
	assert_true(near(done(streams, 1, 10, 20), 10000));
	/* Before its first and after its last stamp a stream does nothing. */
	assert_true(near(done(streams, 1, 0, 15), 5000));
	assert_true(near(done(streams, 1, 19, 30), 1000));
	assert_true(near(done(streams, 2, 12, 18), 9000));
	/* Between two stamps a part of what they are apart. */
	stream_delay(&streams[0], 10, MS);
	assert_true(near(done(streams, 1, 19, 20), 500));
	assert_true(isnan(done(streams, 1, 15, 15)));
	assert_true(isnan(done(streams, 1, 16, 15)));
	assert_true(isnan(done(streams, 0, 10, 20)));
	streams[1].count = 1;
	assert_true(isnan(done(streams, 2, 10, 20)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_done),   cmocka_unit_test(test_too_short),    cmocka_unit_test(test_steady),
		cmocka_unit_test(test_stall),  cmocka_unit_test(test_slow_stretch), cmocka_unit_test(test_same_time),
		cmocka_unit_test(test_search),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
