/*
 * address.c - parses, prints and compares numeric IP addresses.
 */
#include "topology/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

bool fm_address_same_prefix(const struct fm_address *a, const struct fm_address *b, uint32_t bits)
{
	uint32_t whole = bits / 8, rest = bits % 8;

	if (a->family != b->family || bits > fm_address_bits(a->family))
		return false;
	if (memcmp(a->bytes, b->bytes, whole) != 0)
		return false;
	return rest == 0 || (a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest) == 0;
}

bool fm_address_equal(const struct fm_address *a, const struct fm_address *b)
{
	return fm_address_same_prefix(a, b, fm_address_bits(a->family));
}

uint32_t fm_address_bits(int family)
{
	return family == AF_INET ? 32 : 128;
}

bool fm_address_link_local(const struct fm_address *address)
{
	const uint8_t *at = address->bytes;

	return address->family == AF_INET ? at[0] == 169 && at[1] == 254 : at[0] == 0xfe && (at[1] & 0xc0) == 0x80;
}

bool fm_address_loopback(const struct fm_address *address)
{
	static const uint8_t one[16] = {[15] = 1};

	return address->family == AF_INET ? address->bytes[0] == 127 : memcmp(address->bytes, one, 16) == 0;
}

static void bytes_set(struct fm_address *address, int family, const void *bytes)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	const uint8_t *from = bytes;

	memset(address, 0, sizeof(*address));
	if (family == AF_INET6 && memcmp(from, mapped, sizeof(mapped)) == 0) {
		family = AF_INET;
		from += sizeof(mapped);
	}
	address->family = family;
	memcpy(address->bytes, from, fm_address_bits(family) / 8);
}

bool fm_address_parse(const char *text, struct fm_address *address)
{
	size_t length = strcspn(text, "%");
	const char *scope = text[length] ? text + length + 1 : NULL;
	char bare[INET6_ADDRSTRLEN];
	uint8_t bytes[16];
	int family;

	if (length >= sizeof(bare) || (scope && (scope[0] == '\0' || strlen(scope) >= sizeof(address->scope))))
		return false;
	memcpy(bare, text, length);
	bare[length] = '\0';
	family = strchr(bare, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(family, bare, bytes) != 1 || (scope && family == AF_INET))
		return false;
	bytes_set(address, family, bytes);
	if (scope)
		memcpy(address->scope, scope, strlen(scope) + 1);
	return true;
}

const char *fm_address_format(const struct fm_address *address, char *text, size_t bytes)
{
	if (!inet_ntop(address->family, address->bytes, text, (socklen_t)bytes))
		text[0] = '\0';
	return text;
}

socklen_t fm_address_to_socket(const struct fm_address *address, uint16_t port, uint32_t scope_id,
			       struct sockaddr_storage *socket_address)
{
	struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_scope_id = scope_id};

	memset(socket_address, 0, sizeof(*socket_address));
	if (address->family == AF_INET) {
		memcpy(&ipv4.sin_addr, address->bytes, sizeof(ipv4.sin_addr));
		memcpy(socket_address, &ipv4, sizeof(ipv4));
		return sizeof(ipv4);
	}
	memcpy(&ipv6.sin6_addr, address->bytes, sizeof(ipv6.sin6_addr));
	memcpy(socket_address, &ipv6, sizeof(ipv6));
	return sizeof(ipv6);
}

bool fm_address_from_socket(const struct sockaddr *socket_address, struct fm_address *address)
{
	if (socket_address->sa_family == AF_INET)
		bytes_set(address, AF_INET, &((const struct sockaddr_in *)(const void *)socket_address)->sin_addr);
	else if (socket_address->sa_family == AF_INET6)
		bytes_set(address, AF_INET6, &((const struct sockaddr_in6 *)(const void *)socket_address)->sin6_addr);
	else
		return false;
	return true;
}
