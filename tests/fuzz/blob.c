/*
 * blob.c - fuzzes the address that a peer's endpoint sends: read by the passive side, which opens no connection.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/memory/memory.h"
#include "transports/registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static int claim_none(void *context, const uint8_t cookie[16], int *fd)
{
	(void)context, (void)cookie, (void)fd;
	return -EAGAIN;
}

static int expect_all(void *context, const uint8_t cookie[16])
{
	(void)context, (void)cookie;
	return 0;
}

static int random_zero(void *context, void *bytes, size_t count)
{
	(void)context;
	memset(bytes, 0, count);
	return 0;
}

static bool never_stopped(void *context)
{
	(void)context;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	const struct fm_services services = {.bytes = sizeof(services),
					     .claim = claim_none,
					     .expect = expect_all,
					     .random = random_zero,
					     .stopped = never_stopped,
					     .port = 18520};
	const struct fm_work work = {.test = FM_SEND_BW,
				     .role = FM_SINK,
				     .passive = true,
				     .size_bytes = 8,
				     .stride_bytes = 64,
				     .slots = 1,
				     .depth = 1,
				     .streams = 1,
				     .threads = 1,
				     .services = &services};
	const struct fm_transport *tcp = fm_transport_find("tcp");
	struct fm_place place = {.count = 1};
	struct fm_buffer buffers[2] = {{0}};
	struct fm_endpoint *endpoint = NULL;
	struct fm_blob *peer = calloc(1, sizeof(*peer)), *own = calloc(1, sizeof(*own));
	struct fm_lane lane;
	struct fm_error error = {0};

	if (!peer || !own || count > FM_BLOB_MAX)
		goto out;
	memcpy(peer->data, bytes, count);
	peer->bytes = (uint32_t)count;
	snprintf(place.rails[0].address, sizeof(place.rails[0].address), "127.0.0.1");
	for (int i = 0; i < 2; i++)
		if (fm_memory_host.allocate(-1, -1, 64, &buffers[i], &error))
			goto out;
	if (tcp->open(&place, &work, buffers, 2, &endpoint, &error) || tcp->address(endpoint, own, &error))
		__builtin_trap();
	/* No socket ever comes, so it can only wait or refuse, and either has a sentence. */
	if (tcp->connect(endpoint, peer, &lane, 1, &error) == 0 || !error.text[0])
		__builtin_trap();
out:
	tcp->close(endpoint);
	for (int i = 0; i < 2; i++)
		fm_memory_host.free(&buffers[i]);
	free(peer);
	free(own);
	return 0;
}
