/*
 * host.c - host memory: private pages, touched, on the wanted node, 2 MiB-aligned where they fill that much; and the
 * same on huge pages of 2 MiB, which spare the NIC and the CPU most of their address translations.
 */
#include <errno.h>
#include <linux/mempolicy.h>
#include <linux/mman.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/memory/memory.h"

#define ALIGNMENT ((size_t)2 << 20)

enum { NODES_MAX = 1024, LONG_BITS = 8 * sizeof(long) };

/*
 * Best effort by system call, to do without libnuma: it fails on a kernel without NUMA and in containers that forbid
 * it. Preferred rather than bound, since a bound mapping on a full node ends with the kernel killing somebody.
 */
static void pages_prefer(void *base, size_t bytes, int numa_node)
{
	unsigned long nodes[NODES_MAX / LONG_BITS] = {0};

	if (numa_node < 0 || numa_node >= NODES_MAX)
		return;
	nodes[numa_node / LONG_BITS] = 1ul << numa_node % LONG_BITS;
	syscall(SYS_mbind, base, bytes, MPOL_PREFERRED, nodes, (unsigned long)NODES_MAX, 0u);
}

/* An anonymous mapping of whole pages; one of 2 MiB and more is cut out of a larger one, aligned. NULL where refused.
 */
static void *pages_map(size_t bytes)
{
	size_t extra = bytes >= ALIGNMENT ? ALIGNMENT : 0, before;
	uint8_t *base = mmap(NULL, bytes + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED)
		return NULL;
	if (!extra)
		return base;
	before = (ALIGNMENT - (uintptr_t)base % ALIGNMENT) % ALIGNMENT;
	if (before)
		munmap(base, before);
	if (extra > before)
		munmap(base + before + bytes, extra - before);
	return base + before;
}

static int host_allocate(int numa_node, int device, size_t bytes, struct fm_buffer *buffer, struct fm_error *error)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t whole = (bytes + page - 1) / page * page;
	void *base = bytes && whole >= bytes && whole <= SIZE_MAX - ALIGNMENT ? pages_map(whole) : NULL;

	(void)device;
	if (!base)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY,
				    "cannot allocate %zu bytes of host memory: the system has no more to give; take a "
				    "smaller --size or --depth, or fewer --streams",
				    bytes);
	pages_prefer(base, whole, numa_node);
	/* No page fault may fall into a measurement. */
	memset(base, 0, whole);
	*buffer = (struct fm_buffer){base, bytes, &fm_memory_host, NULL, -1, true};
	return 0;
}

/* One of the kernel's counts of huge pages of 2 MiB; -1 where it has none of that size. */
static long huge_count(const char *path)
{
	FILE *file = fopen(path, "re");
	char text[32] = "";
	long count = -1;

	if (!file)
		return -1;
	if (fgets(text, sizeof(text), file))
		count = strtol(text, NULL, 10);
	fclose(file);
	return count;
}

/* Those that nobody has taken. */
static long huge_free(void)
{
	return huge_count("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
}

/* Those taken included: what the sysctl counts. */
static double huge_reserved(void)
{
	return (double)huge_count("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
}

/* "1 huge page of 2 MiB" */
static const char *huge_text(double pages, char text[48])
{
	snprintf(text, 48, "%.0f huge page%s of 2 MiB", pages, pages == 1 ? "" : "s");
	return text;
}

static int huge_fail(double pages, struct fm_error *error)
{
	long left = huge_free();
	char text[48];

	if (left < 0)
		return fm_error_set(error, -ENODEV, FM_REASON_ABSENT,
				    "this kernel has no huge pages of 2 MiB; take --memory host");
	return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY,
			    "this needs %s, and %ld %s free: as root, 'sysctl vm.nr_hugepages=%.0f', or take fewer "
			    "--streams, a smaller --size or --depth",
			    huge_text(pages, text), left, left == 1 ? "is" : "are",
			    huge_reserved() + pages - (double)left);
}

int fm_memory_reserved(const struct fm_memory_kind *kind, double bytes, double count, struct fm_error *error)
{
	double pages = count * ceil(bytes / (double)ALIGNMENT);

	if (kind != &fm_memory_hugepage || pages <= (double)huge_free())
		return 0;
	return huge_fail(pages, error);
}

static int huge_allocate(int numa_node, int device, size_t bytes, struct fm_buffer *buffer, struct fm_error *error)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 21 << MAP_HUGE_SHIFT;
	size_t whole = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	void *base = bytes && whole >= bytes ? mmap(NULL, whole, PROT_READ | PROT_WRITE, flags, -1, 0) : MAP_FAILED;

	(void)device;
	if (base == MAP_FAILED)
		return huge_fail((double)whole / (double)ALIGNMENT, error);
	pages_prefer(base, whole, numa_node);
	memset(base, 0, whole);
	*buffer = (struct fm_buffer){base, bytes, &fm_memory_hugepage, NULL, -1, true};
	return 0;
}

static int host_range(const struct fm_buffer *buffer, size_t offset, size_t bytes, struct fm_error *error)
{
	if (offset <= buffer->bytes && bytes <= buffer->bytes - offset)
		return 0;
	return fm_error_set(error, -ERANGE, FM_REASON_INTERNAL, "%zu bytes at %zu lie outside a host buffer of %zu",
			    bytes, offset, buffer->bytes);
}

static int host_fill(struct fm_buffer *buffer, size_t offset, size_t bytes, uint64_t seed, struct fm_error *error)
{
	int code = host_range(buffer, offset, bytes, error);

	if (!code)
		fm_pattern_fill((uint8_t *)buffer->base + offset, bytes, seed);
	return code;
}

static int host_verify(const struct fm_buffer *buffer, size_t offset, size_t bytes, uint64_t seed,
		       struct fm_error *error)
{
	int code = host_range(buffer, offset, bytes, error);
	const uint8_t *at = (const uint8_t *)buffer->base + offset;
	size_t same = code ? 0 : fm_pattern_check(at, bytes, seed);

	if (code || same == bytes)
		return code;
	return fm_error_set(error, -EBADMSG, FM_REASON_VERIFY, "byte %zu of %zu is 0x%02x and should be 0x%02x", same,
			    bytes, at[same], fm_pattern_byte(seed, same));
}

static int host_copy_in(struct fm_buffer *buffer, size_t offset, const void *host, size_t bytes, struct fm_error *error)
{
	int code = host_range(buffer, offset, bytes, error);

	if (!code)
		memcpy((uint8_t *)buffer->base + offset, host, bytes);
	return code;
}

static int host_copy_out(const struct fm_buffer *buffer, size_t offset, void *host, size_t bytes,
			 struct fm_error *error)
{
	int code = host_range(buffer, offset, bytes, error);

	if (!code)
		memcpy(host, (const uint8_t *)buffer->base + offset, bytes);
	return code;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the table gives the signature, and other kinds write to both */
static int host_export_dmabuf(const struct fm_buffer *buffer, uint32_t flags, int *fd, uint64_t *offset,
			      struct fm_error *error)
{
	(void)buffer, (void)flags, (void)fd, (void)offset;
	return fm_error_set(error, -EOPNOTSUPP, FM_REASON_UNSUPPORTED, "host memory has no dma-buf");
}

static void host_free(struct fm_buffer *buffer)
{
	if (buffer->base)
		munmap(buffer->base, buffer->bytes);
	*buffer = (struct fm_buffer){0};
}

/* A mapping of huge pages ends at one. */
static void huge_free_buffer(struct fm_buffer *buffer)
{
	if (buffer->base)
		munmap(buffer->base, (buffer->bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
	*buffer = (struct fm_buffer){0};
}

const struct fm_memory_kind fm_memory_hugepage = {
	.name = "hugepage",
	.help = "the same on huge pages of 2 MiB, which must have been reserved",
	.allocate = huge_allocate,
	.fill = host_fill,
	.verify = host_verify,
	.copy_in = host_copy_in,
	.copy_out = host_copy_out,
	.export_dmabuf = host_export_dmabuf,
	.free = huge_free_buffer,
};

const struct fm_memory_kind fm_memory_host = {
	.name = "host",
	.help = "plain memory of the node, on the memory node of the device",
	.allocate = host_allocate,
	.fill = host_fill,
	.verify = host_verify,
	.copy_in = host_copy_in,
	.copy_out = host_copy_out,
	.export_dmabuf = host_export_dmabuf,
	.free = host_free,
};
