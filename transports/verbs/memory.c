/*
 * memory.c - registered memory: a region for each buffer, and one for all that the lanes keep beside messages.
 */
#include <errno.h>
#include <stdlib.h>

#include "transports/verbs/endpoint.h"
#include "transports/verbs/status.h"

int fm_verbs_region_make(const struct fm_endpoint *endpoint, const struct fm_buffer *buffer, int access,
			 struct ibv_mr **region, struct fm_error *error)
{
	struct fm_verbs_region failed = {.device = endpoint->port.device,
					 .kind = buffer->kind ? buffer->kind->name : "host",
					 .bytes = buffer->bytes,
					 .cpu_access = buffer->cpu_access,
					 .access = access};
	void *base = buffer->base;
	struct ibv_mr *made;
	int code;

	access = fm_verbs_access(endpoint, access);
	failed.access = access;
	/* The plain call does not know optional flags. */
	made = access & IBV_ACCESS_RELAXED_ORDERING
		       ? ibv_reg_mr_iova2(endpoint->pd, base, buffer->bytes, (uintptr_t)base, (unsigned)access)
		       : (ibv_reg_mr)(endpoint->pd, base, buffer->bytes, access);
	if (made) {
		*region = made;
		return 0;
	}
	code = errno ? -errno : -ENOMEM;
	fm_verbs_region_limits(&failed);
	return fm_verbs_region_words(&failed, code, error);
}

static int buffer_check(const struct fm_buffer *buffer, struct fm_error *error)
{
	if (buffer->cpu_access)
		return 0;
	return fm_error_set(error, -EOPNOTSUPP, FM_REASON_UNSUPPORTED,
			    "verbs takes memory that the CPU can touch, not %s: leave out --memory, or take another "
			    "transport",
			    buffer->kind->name);
}

int fm_verbs_memory_open(struct fm_endpoint *endpoint, struct fm_error *error)
{
	const struct fm_work *work = endpoint->work;
	size_t control = work->streams * sizeof(*endpoint->control);
	int relaxed = endpoint->options.relaxed_ordering ? IBV_ACCESS_RELAXED_ORDERING : 0;
	int code = 0;

	endpoint->control = aligned_alloc(_Alignof(struct fm_verbs_control), control);
	if (!endpoint->control)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for %u streams: take fewer",
				    work->streams);
	memset((void *)endpoint->control, 0, control);
	code = fm_verbs_region_make(
		endpoint, &(struct fm_buffer){.base = (void *)endpoint->control, .bytes = control, .cpu_access = true},
		IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE, &endpoint->control_region, error);
	for (uint32_t i = 0; i < work->streams && code == 0; i++) {
		struct fm_verbs_lane *lane = &endpoint->lanes[i];

		lane->control = &endpoint->control[i];
		lane->control_key = endpoint->control_region->lkey;
		code = buffer_check(&lane->out, error);
		code = code ? code : buffer_check(&lane->in, error);
		code = code ? code
			    : fm_verbs_region_make(endpoint, &lane->out,
						   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | relaxed,
						   &lane->out_region, error);
		code = code ? code
			    : fm_verbs_region_make(endpoint, &lane->in,
						   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE |
							   IBV_ACCESS_REMOTE_ATOMIC | relaxed,
						   &lane->in_region, error);
	}
	return code;
}

void fm_verbs_memory_close(struct fm_endpoint *endpoint)
{
	for (uint32_t i = 0; endpoint->lanes && i < endpoint->work->streams; i++) {
		if (endpoint->lanes[i].out_region)
			ibv_dereg_mr(endpoint->lanes[i].out_region);
		if (endpoint->lanes[i].in_region)
			ibv_dereg_mr(endpoint->lanes[i].in_region);
	}
	if (endpoint->control_region)
		ibv_dereg_mr(endpoint->control_region);
	free((void *)endpoint->control);
}
