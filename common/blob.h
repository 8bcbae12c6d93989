/*
 * blob.h - a bounded run of bytes that one endpoint writes and its peer reads; the control channel carries it unread.
 *
 * Numbers inside are little-endian whatever the machine. The readers never run past the end: they fail and stay failed,
 * so a caller checks once, at the end.
 */
#ifndef FM_BLOB_H
#define FM_BLOB_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { FM_BLOB_MAX = 49152 }; /* base64 of it fits a control message of 64 KiB */

struct fm_blob {
	uint32_t bytes;
	uint8_t data[FM_BLOB_MAX];
};

/* Appends; -ENOSPC where it would not fit. */
static inline int fm_blob_put(struct fm_blob *blob, const void *bytes, uint32_t count)
{
	if (count > FM_BLOB_MAX - blob->bytes)
		return -ENOSPC;
	memcpy(blob->data + blob->bytes, bytes, count);
	blob->bytes += count;
	return 0;
}

static inline int fm_blob_put_u64(struct fm_blob *blob, uint64_t value)
{
	uint8_t bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	return fm_blob_put(blob, bytes, sizeof(bytes));
}

struct fm_blob_reader {
	const struct fm_blob *blob;
	uint32_t at;
	bool failed;
};

/* Copies count bytes out; zeroes instead, and fails, where the blob is too short. */
static inline void fm_blob_get(struct fm_blob_reader *reader, void *bytes, uint32_t count)
{
	if (reader->failed || count > reader->blob->bytes - reader->at) {
		reader->failed = true;
		memset(bytes, 0, count);
		return;
	}
	memcpy(bytes, reader->blob->data + reader->at, count);
	reader->at += count;
}

static inline uint64_t fm_blob_get_u64(struct fm_blob_reader *reader)
{
	uint8_t bytes[8];
	uint64_t value = 0;

	fm_blob_get(reader, bytes, sizeof(bytes));
	for (int i = 0; i < 8; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	return value;
}

#endif
