/*
 * progress.c - the live line.
 */
#include "bench/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "common/clock.h"

#define REFRESH_NS 100000000u

void fm_progress_begin(struct fm_progress *progress, bool quiet, uint32_t points)
{
	*progress = (struct fm_progress){.enabled = !quiet && isatty(STDERR_FILENO), .points = points};
}

void fm_progress_show(struct fm_progress *progress, const char *format, ...)
{
	uint64_t now = fm_now_ns();
	char text[160];
	va_list arguments;

	if (!progress->enabled || now - progress->last_ns < REFRESH_NS)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fprintf(stderr, "\r\033[K[%u/%u] %.100s", progress->point, progress->points, text);
	fflush(stderr);
	progress->last_ns = now;
	progress->shown = true;
}

void fm_progress_clear(struct fm_progress *progress)
{
	if (!progress->shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	progress->shown = false;
}
