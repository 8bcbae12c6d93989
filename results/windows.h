/*
 * windows.h - the slowest stretch of a repetition, from the stamps that the measuring loop took.
 *
 * A median rate hides a stall of a tenth of a second; the lowest rate over any window of that length shows it.
 */
#ifndef FM_WINDOWS_H
#define FM_WINDOWS_H

#include <stddef.h>
#include <stdint.h>

/* One stream: at at_ns[i], done[i] operations were done. Both ascend; stamps of all streams are of one clock. */
struct fm_window_trace {
	const uint64_t *at_ns, *done;
	size_t count;
	size_t left, right; /* the function's own */
};

/*
 * The lowest rate in operations per second, all streams together, over any window of that length that lies wholly
 * within each of the traces: the time before the last stream began and after the first one ended is no stall. NaN where
 * the traces share no such window; a stream with fewer than two stamps shares none.
 *
 * Between two stamps operations are taken as evenly spread. So each end of a window is off by at most the operations
 * that a stream did between two stamps, per stream: stamp ten times per window or more. A stall is one long interval
 * between two stamps, and its rate is the few operations of that interval over all of its time.
 *
 * Within that reading the result is exact, not the best of a grid: the work in a window, as a function of where it
 * begins, is piecewise linear and bends only where either end meets a stamp, so its minimum lies at one of those.
 * Time: all stamps times streams; 64 streams of 1,000 stamps take 60 ms, of 10,000 half a second.
 */
double fm_windows_worst_per_s(struct fm_window_trace *traces, size_t count, uint64_t window_ns);

/*
 * Operations of all streams between two times; NaN where from_ns is not before to_ns or a stream has fewer than two
 * stamps. Before its first and after its last stamp a stream does nothing; between two operations are evenly spread.
 */
double fm_windows_done(struct fm_window_trace *traces, size_t count, uint64_t from_ns, uint64_t to_ns);

#endif
