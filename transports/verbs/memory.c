/*
 * memory.c - registered memory: a region for each buffer, and one for all that the lanes keep beside messages.
 */
#include "transports/verbs/endpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

/* Which limit it was: the errno alone tells nobody what to do. */
static int region_failed(const struct fm_endpoint *endpoint, size_t bytes, int code, struct fm_error *error)
{
	struct rlimit limit = {0};

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (code == -ENOMEM && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < 4 * (uint64_t)bytes + (1 << 20))
		return fm_error_set(
			error, code, FM_REASON_OUT_OF_MEMORY,
			"%s cannot lock %zu bytes: this user may lock %llu bytes (ulimit -l); raise memlock in "
			"/etc/security/limits.conf, or take a smaller --size or fewer --streams",
			endpoint->port.device, bytes, (unsigned long long)limit.rlim_cur);
	return fm_error_set(error, code, code == -ENOMEM ? FM_REASON_OUT_OF_MEMORY : FM_REASON_UNSUPPORTED,
			    "%s cannot register %zu bytes: %s; take a smaller --size or fewer --streams",
			    endpoint->port.device, bytes, strerror(-code));
}

int fm_verbs_region_make(const struct fm_endpoint *endpoint, void *base, size_t bytes, int access,
			 struct ibv_mr **region, struct fm_error *error)
{
	struct ibv_mr *made;

	access = fm_verbs_access(endpoint, access);
	/* The plain call does not know optional flags. */
	made = access & IBV_ACCESS_RELAXED_ORDERING
		       ? ibv_reg_mr_iova2(endpoint->pd, base, bytes, (uintptr_t)base, (unsigned)access)
		       : (ibv_reg_mr)(endpoint->pd, base, bytes, access);
	if (!made)
		return region_failed(endpoint, bytes, errno ? -errno : -ENOMEM, error);
	*region = made;
	return 0;
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
	code = fm_verbs_region_make(endpoint, (void *)endpoint->control, control,
				    IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE, &endpoint->control_region, error);
	for (uint32_t i = 0; i < work->streams && code == 0; i++) {
		struct fm_verbs_lane *lane = &endpoint->lanes[i];

		lane->control = &endpoint->control[i];
		lane->control_key = endpoint->control_region->lkey;
		code = buffer_check(&lane->out, error);
		code = code ? code : buffer_check(&lane->in, error);
		code = code ? code
			    : fm_verbs_region_make(endpoint, lane->out.base, lane->out.bytes,
						   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | relaxed,
						   &lane->out_region, error);
		code = code ? code
			    : fm_verbs_region_make(endpoint, lane->in.base, lane->in.bytes,
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
