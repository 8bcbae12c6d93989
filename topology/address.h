/*
 * address.h - numeric IP addresses, as inventories, rails and routes compare them.
 *
 * ::ffff:10.0.0.1 is 10.0.0.1 here: a socket that takes both families names its IPv4 peers like that, and two ends that
 * speak IPv4 must find the same device for either spelling.
 */
#ifndef FM_ADDRESS_H
#define FM_ADDRESS_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct fm_address {
	int family;		 /* AF_INET or AF_INET6 */
	uint8_t bytes[16];	 /* network order; the first 4 for IPv4 */
	char scope[IF_NAMESIZE]; /* what follows the %: an interface's name or number on one node; "" none */
};

/* "10.0.0.1", "fd00::1", "fe80::1%eth0". False where it is no such text; *address is then untouched. */
bool fm_address_parse(const char *text, struct fm_address *address);
/* Canonical text without the scope, which means nothing on another node. Returns text. bytes >= FM_ADDRESS_MAX. */
const char *fm_address_format(const struct fm_address *address, char *text, size_t bytes);
/* Scopes are not compared. */
bool fm_address_equal(const struct fm_address *a, const struct fm_address *b);
/* Of one family, and the same in the first `bits` bits. */
bool fm_address_same_prefix(const struct fm_address *a, const struct fm_address *b, uint32_t bits);
/* Bits of the family: 32 or 128. */
uint32_t fm_address_bits(int family);
/* 169.254.0.0/16 (RFC 3927) and fe80::/10 (RFC 4291). */
bool fm_address_link_local(const struct fm_address *address);
/* 127.0.0.0/8 and ::1. */
bool fm_address_loopback(const struct fm_address *address);

/* For sockets; port in host order. scope_id: 0 but for IPv6 link-local. Returns the length. */
socklen_t fm_address_to_socket(const struct fm_address *address, uint16_t port, uint32_t scope_id,
			       struct sockaddr_storage *socket_address);
/* False for other families than the two. */
bool fm_address_from_socket(const struct sockaddr *socket_address, struct fm_address *address);

#endif
