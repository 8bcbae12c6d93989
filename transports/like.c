/*
 * like.c - other programs and the backends that measure the same; a backend that this build lacks may be named.
 */
#include "transports/like.h"

#include <stddef.h>
#include <string.h>

static const struct {
	const char *begins, *backend;
} programs[] = {
	{"ib_", "verbs"},
	{"ucx_", "ucx"},
	{"iperf3", "tcp"},
};

const char *fm_transport_like(const char *program)
{
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		if (strncmp(program, programs[i].begins, strlen(programs[i].begins)) == 0)
			return programs[i].backend;
	return "auto";
}
