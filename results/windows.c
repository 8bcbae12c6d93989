/*
 * windows.c - slides a window over the stamps of several streams.
 */
#include "results/windows.h"

#include <math.h>

/* Moves a cursor on to the segment of the trace that holds the time. */
static size_t trace_seek(const struct fm_window_trace *trace, size_t cursor, uint64_t at_ns)
{
	while (cursor + 2 < trace->count && trace->at_ns[cursor + 1] <= at_ns)
		cursor++;
	return cursor;
}

static double trace_done(const struct fm_window_trace *trace, size_t cursor, uint64_t at_ns)
{
	const uint64_t *at = trace->at_ns + cursor, *done = trace->done + cursor;

	/* Outside the trace; two stamps of one time never reach the division. */
	if (at_ns <= at[0])
		return (double)done[0];
	if (at_ns >= at[1])
		return (double)done[1];
	return (double)done[0] + (double)(done[1] - done[0]) * ((double)(at_ns - at[0]) / (double)(at[1] - at[0]));
}

/* Operations of all streams in the window that begins there. Begins must ascend from call to call. */
static double window_done(struct fm_window_trace *traces, size_t count, uint64_t begin_ns, uint64_t window_ns)
{
	double done = 0;

	for (size_t i = 0; i < count; i++) {
		struct fm_window_trace *trace = &traces[i];

		trace->left = trace_seek(trace, trace->left, begin_ns);
		trace->right = trace_seek(trace, trace->right, begin_ns + window_ns);
		done += trace_done(trace, trace->right, begin_ns + window_ns) -
			trace_done(trace, trace->left, begin_ns);
	}
	return done;
}

/* The next begin at which an end of the window meets a stamp; last_ns where none comes before. */
static uint64_t window_next(const struct fm_window_trace *traces, size_t count, uint64_t window_ns, uint64_t last_ns)
{
	uint64_t next = last_ns;

	for (size_t i = 0; i < count; i++) {
		uint64_t left = traces[i].at_ns[traces[i].left + 1];
		uint64_t right = traces[i].at_ns[traces[i].right + 1] - window_ns;

		if (left < next)
			next = left;
		if (right < next)
			next = right;
	}
	return next;
}

double fm_windows_done(struct fm_window_trace *traces, size_t count, uint64_t from_ns, uint64_t to_ns)
{
	if (count == 0 || from_ns >= to_ns)
		return NAN;
	for (size_t i = 0; i < count; i++) {
		if (traces[i].count < 2)
			return NAN;
		traces[i].left = traces[i].right = 0;
	}
	return window_done(traces, count, from_ns, to_ns - from_ns);
}

double fm_windows_worst_per_s(struct fm_window_trace *traces, size_t count, uint64_t window_ns)
{
	uint64_t begin = 0, end = UINT64_MAX;
	double least = INFINITY;

	for (size_t i = 0; i < count; i++) {
		if (traces[i].count < 2)
			return NAN;
		traces[i].left = traces[i].right = 0;
		if (traces[i].at_ns[0] > begin)
			begin = traces[i].at_ns[0];
		if (traces[i].at_ns[traces[i].count - 1] < end)
			end = traces[i].at_ns[traces[i].count - 1];
	}
	if (count == 0 || window_ns == 0 || end < begin || end - begin < window_ns)
		return NAN;

	for (;;) {
		least = fmin(least, window_done(traces, count, begin, window_ns));
		if (begin >= end - window_ns)
			return least / ((double)window_ns * 1e-9);
		begin = window_next(traces, count, window_ns, end - window_ns);
	}
}
