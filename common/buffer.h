/*
 * buffer.h - memory that messages live in, of any kind: host, and later hugepages and GPU memory.
 *
 * Transports see memory as struct fm_buffer only. A kind whose cpu_access is false must not be touched through base by
 * the CPU: copy_in and copy_out move bytes, or the device does.
 */
#ifndef FM_BUFFER_H
#define FM_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct fm_memory_kind;

struct fm_buffer {
	void *base; /* as the device addresses it; 2 MiB-aligned where the kind allows */
	size_t bytes;
	const struct fm_memory_kind *kind;
	void *self;	 /* the kind's own; nobody else's business */
	int device;	 /* GPU ordinal; -1 for host memory */
	bool cpu_access; /* base may be read and written by the CPU */
};

/*
 * One row per kind. All calls are cold (never inside a measuring loop, save copy_in and copy_out by a transport that
 * stages), may block, return 0 or a negative errno with the sentence in error, and leave outputs untouched on failure.
 * Offsets and lengths are in bytes and within the buffer: a range outside is -ERANGE.
 */
struct fm_memory_kind {
	const char *name;
	const char *absent; /* NULL, or why this kind cannot be had here */
	const char *help;   /* one line for --help and devices */

	/* numa_node: where the pages should lie, -1 for wherever the calling thread runs. The caller frees. */
	int (*allocate)(int numa_node, int device, size_t bytes, struct fm_buffer *buffer, struct fm_error *error);
	/* Writes the pattern of seed to [offset, offset + bytes); it starts at offset, so that a message has it in any
	 * slot. */
	int (*fill)(struct fm_buffer *buffer, size_t offset, size_t bytes, uint64_t seed, struct fm_error *error);
	/* Compares with the same pattern; the first difference is -EBADMSG with its offset in words. */
	int (*verify)(const struct fm_buffer *buffer, size_t offset, size_t bytes, uint64_t seed,
		      struct fm_error *error);
	int (*copy_in)(struct fm_buffer *buffer, size_t offset, const void *host, size_t bytes, struct fm_error *error);
	int (*copy_out)(const struct fm_buffer *buffer, size_t offset, void *host, size_t bytes,
			struct fm_error *error);
	/* A dma-buf of the whole buffer; the caller closes fd. -EOPNOTSUPP where the kind has none. */
	int (*export_dmabuf)(const struct fm_buffer *buffer, uint32_t flags, int *fd, uint64_t *offset,
			     struct fm_error *error);
	/* Accepts a zeroed buffer; zeroes it. */
	void (*free)(struct fm_buffer *buffer);
};

/* Eight bytes of the pattern of seed, at 8 * word: the same on every machine and for every kind (splitmix64). */
static inline uint64_t fm_pattern_word(uint64_t seed, uint64_t word)
{
	uint64_t z = seed + (word + 1) * 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* Byte i of the pattern: words are little-endian. */
static inline uint8_t fm_pattern_byte(uint64_t seed, uint64_t i)
{
	return (uint8_t)(fm_pattern_word(seed, i / 8) >> (i % 8 * 8));
}

/* A word to or from little-endian; by hand, since <endian.h> is none of C11's. */
static inline uint64_t fm_pattern_le64(uint64_t word)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	return __builtin_bswap64(word);
#else
	return word;
#endif
}

/* For kinds: the first `bytes` bytes of the pattern, written to host memory of any alignment. */
static inline void fm_pattern_fill(void *at, size_t bytes, uint64_t seed)
{
	uint8_t *to = (uint8_t *)at;
	size_t i = 0;

	for (; i + 8 <= bytes; i += 8) {
		uint64_t word = fm_pattern_le64(fm_pattern_word(seed, i / 8));

		memcpy(to + i, &word, 8);
	}
	for (; i < bytes; i++)
		to[i] = fm_pattern_byte(seed, i);
}

/* The offset of the first byte that differs from the pattern; bytes where none does. */
static inline size_t fm_pattern_check(const void *at, size_t bytes, uint64_t seed)
{
	const uint8_t *from = (const uint8_t *)at;
	size_t i = 0;

	for (; i + 8 <= bytes; i += 8) {
		uint64_t word;

		memcpy(&word, from + i, 8);
		if (fm_pattern_le64(word) != fm_pattern_word(seed, i / 8))
			break;
	}
	while (i < bytes && from[i] == fm_pattern_byte(seed, i))
		i++;
	return i;
}

#endif
