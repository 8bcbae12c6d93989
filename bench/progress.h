/*
 * progress.h - one line on a terminal's stderr that says what is being measured; nothing anywhere else.
 */
#ifndef FM_PROGRESS_H
#define FM_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct fm_progress {
	bool enabled;
	bool shown;
	uint32_t point, points;
	uint64_t last_ns;
};

/* enabled where stderr is a terminal and quiet is not asked for. */
void fm_progress_begin(struct fm_progress *progress, bool quiet, uint32_t points);
/* Shows a line, at most ten times a second. */
__attribute__((format(printf, 2, 3))) void fm_progress_show(struct fm_progress *progress, const char *format, ...);
/* Removes the line, so that something else can be printed. */
void fm_progress_clear(struct fm_progress *progress);

#endif
