/*
 * cm_wire.c - what two ends tell each other by rdma_cm, and what its refusals mean. No device, no library.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>

#include "transports/verbs/cm.h"

enum { ADDRESS_BYTES = 16, MAGIC_BYTES = 4, STREAM_AT = MAGIC_BYTES + FM_VERBS_CM_NONCE };

static const uint8_t magic[MAGIC_BYTES] = {'F', 'M', 'C', '1'};

void fm_verbs_cm_greet(uint8_t greeting[FM_VERBS_CM_GREETING], const uint8_t nonce[FM_VERBS_CM_NONCE], uint32_t stream)
{
	memcpy(greeting, magic, MAGIC_BYTES);
	memcpy(greeting + MAGIC_BYTES, nonce, FM_VERBS_CM_NONCE);
	for (int i = 0; i < 4; i++)
		greeting[STREAM_AT + i] = (uint8_t)(stream >> (8 * i));
}

bool fm_verbs_cm_greeted(const void *data, size_t bytes, const uint8_t nonce[FM_VERBS_CM_NONCE], uint32_t streams,
			 uint32_t *stream)
{
	const uint8_t *greeting = data;
	uint8_t differs = 0;
	uint32_t number = 0;

	if (!data || bytes < FM_VERBS_CM_GREETING || memcmp(greeting, magic, MAGIC_BYTES) != 0)
		return false;
	/* As long for a nonce that is nearly right as for any other. */
	for (int i = 0; i < FM_VERBS_CM_NONCE; i++)
		differs |= greeting[MAGIC_BYTES + i] ^ nonce[i];
	for (int i = 0; i < 4; i++)
		number |= (uint32_t)greeting[STREAM_AT + i] << (8 * i);
	if (differs || number >= streams)
		return false;
	*stream = number;
	return true;
}

void fm_verbs_cm_address(const uint8_t raw[16], const char *device, uint16_t port, struct sockaddr_storage *address)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct sockaddr_in *four = (struct sockaddr_in *)address;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;

	memset(address, 0, sizeof(*address));
	if (memcmp(raw, mapped, sizeof(mapped)) == 0) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		memcpy(&four->sin_addr, raw + sizeof(mapped), sizeof(four->sin_addr));
		return;
	}
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(port);
	memcpy(&six->sin6_addr, raw, sizeof(six->sin6_addr));
	if (IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr))
		six->sin6_scope_id = if_nametoindex(device);
}

const char *fm_verbs_cm_refusal(int status)
{
	/* InfiniBand specification, volume 1, 12.6.7.2. */
	switch (status) {
	case -ECONNREFUSED:
	case 8:
		return "nobody listens there: the peer has given the point up, or another device has its address";
	case -ECONNRESET:
	case 28:
		return "who listens there does not take this end for its peer, or has given the point up: look at the "
		       "peer's output";
	case 1:
	case 3:
		return "the peer's device has no room for one more connection: take fewer --streams";
	default:
		return "look into the kernel's log on the other node";
	}
}

bool fm_verbs_cm_address_read(const char *address, uint8_t raw[ADDRESS_BYTES])
{
	char text[FM_ADDRESS_MAX];

	snprintf(text, sizeof(text), "%.*s", (int)strcspn(address, "%"), address);
	memset(raw, 0, ADDRESS_BYTES);
	if (inet_pton(AF_INET6, text, raw) == 1)
		return true;
	raw[10] = raw[11] = 0xff;
	return inet_pton(AF_INET, text, raw + 12) == 1;
}
