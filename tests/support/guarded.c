/*
 * guarded.c - a memory kind for tests: its base faults when the CPU touches it, as a GPU's may, and the bytes live in
 * host memory beside it. What passes over it is fit for GPU memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/memory/memory.h"

extern const struct fm_memory_kind fm_memory_guarded;

static struct fm_buffer *bytes_of(const struct fm_buffer *buffer)
{
	return buffer->self;
}

static int guarded_allocate(int numa_node, int device, size_t bytes, struct fm_buffer *buffer, struct fm_error *error)
{
	struct fm_buffer *inner = calloc(1, sizeof(*inner));
	void *base;
	int code;

	(void)device;
	if (!inner)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for a guarded buffer");
	code = fm_memory_host.allocate(numa_node, -1, bytes, inner, error);
	if (code) {
		free(inner);
		return code;
	}
	base = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED) {
		fm_memory_host.free(inner);
		free(inner);
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no address space for a guarded buffer");
	}
	*buffer = (struct fm_buffer){base, bytes, &fm_memory_guarded, inner, 0, false};
	return 0;
}

static int guarded_fill(struct fm_buffer *buffer, size_t offset, size_t bytes, uint64_t seed, struct fm_error *error)
{
	return fm_memory_host.fill(bytes_of(buffer), offset, bytes, seed, error);
}

static int guarded_verify(const struct fm_buffer *buffer, size_t offset, size_t bytes, uint64_t seed,
			  struct fm_error *error)
{
	return fm_memory_host.verify(bytes_of(buffer), offset, bytes, seed, error);
}

static int guarded_copy_in(struct fm_buffer *buffer, size_t offset, const void *host, size_t bytes,
			   struct fm_error *error)
{
	return fm_memory_host.copy_in(bytes_of(buffer), offset, host, bytes, error);
}

static int guarded_copy_out(const struct fm_buffer *buffer, size_t offset, void *host, size_t bytes,
			    struct fm_error *error)
{
	return fm_memory_host.copy_out(bytes_of(buffer), offset, host, bytes, error);
}

static int guarded_export_dmabuf(const struct fm_buffer *buffer, uint32_t flags, int *fd, uint64_t *offset,
				 struct fm_error *error)
{
	return fm_memory_host.export_dmabuf(bytes_of(buffer), flags, fd, offset, error);
}

static void guarded_free(struct fm_buffer *buffer)
{
	if (buffer->base) {
		munmap(buffer->base, buffer->bytes);
		fm_memory_host.free(bytes_of(buffer));
		free(buffer->self);
	}
	*buffer = (struct fm_buffer){0};
}

const struct fm_memory_kind fm_memory_guarded = {
	.name = "guarded",
	.help = "for tests: memory that the CPU cannot touch",
	.allocate = guarded_allocate,
	.fill = guarded_fill,
	.verify = guarded_verify,
	.copy_in = guarded_copy_in,
	.copy_out = guarded_copy_out,
	.export_dmabuf = guarded_export_dmabuf,
	.free = guarded_free,
};
