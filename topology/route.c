/*
 * route.c - asks the kernel by which device packets leave (rtnetlink(7), RTM_GETROUTE).
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "topology/address.h"
#include "topology/placement.h"
#include "topology/sysfs.h"

enum {
	ROUTE_PORT = 9 /* discard: nothing is sent, a connected datagram socket only looks the route up */
};

struct route_request {
	struct nlmsghdr header;
	struct rtmsg route;
	char attributes[128];
};

static void attribute_add(struct route_request *request, unsigned short type, const void *data, size_t bytes)
{
	struct rtattr *attribute = (void *)((char *)request + NLMSG_ALIGN(request->header.nlmsg_len));

	attribute->rta_type = type;
	attribute->rta_len = (unsigned short)RTA_LENGTH(bytes);
	memcpy(RTA_DATA(attribute), data, bytes);
	request->header.nlmsg_len = NLMSG_ALIGN(request->header.nlmsg_len) + (uint32_t)RTA_ALIGN(attribute->rta_len);
}

/* 0 and the device's index and whether the destination is this machine; or -errno, -EPROTO where the answer is none. */
static int answer_parse(struct nlmsghdr *header, size_t bytes, unsigned *index, bool *local)
{
	const struct rtmsg *route = NLMSG_DATA(header);
	struct rtattr *attribute = RTM_RTA(route);
	int left;

	if (!NLMSG_OK(header, bytes))
		return -EPROTO;
	if (header->nlmsg_type == NLMSG_ERROR && header->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr)))
		return ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
	if (header->nlmsg_type != RTM_NEWROUTE || header->nlmsg_len < NLMSG_LENGTH(sizeof(*route)))
		return -EPROTO;
	*index = 0;
	*local = route->rtm_type == RTN_LOCAL;
	left = (int)RTM_PAYLOAD(header);
	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left))
		if (attribute->rta_type == RTA_OIF && RTA_PAYLOAD(attribute) == sizeof(*index))
			memcpy(index, RTA_DATA(attribute), sizeof(*index));
	return *index ? 0 : -EPROTO;
}

static int route_ask(const struct fm_address *from, const struct fm_address *to, unsigned scope_id, unsigned *index,
		     bool *local)
{
	uint32_t bits = fm_address_bits(to->family);
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct timeval patience = {.tv_sec = 1};
	struct route_request request;
	union {
		struct nlmsghdr header;
		char bytes[4096];
	} answer;
	int result = -EPROTO, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t got;

	if (fd < 0)
		return -errno;
	memset(&request, 0, sizeof(request));
	request.header.nlmsg_len = NLMSG_LENGTH(sizeof(request.route));
	request.header.nlmsg_type = RTM_GETROUTE;
	request.header.nlmsg_flags = NLM_F_REQUEST;
	request.route.rtm_family = (unsigned char)to->family;
	request.route.rtm_dst_len = request.route.rtm_src_len = (unsigned char)bits;
	attribute_add(&request, RTA_DST, to->bytes, bits / 8);
	attribute_add(&request, RTA_SRC, from->bytes, bits / 8);
	if (scope_id)
		attribute_add(&request, RTA_OIF, &scope_id, sizeof(scope_id));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (sendto(fd, &request, request.header.nlmsg_len, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) > 0) {
		got = recv(fd, answer.bytes, sizeof(answer.bytes), 0);
		if (got >= (ssize_t)sizeof(answer.header))
			result = answer_parse(&answer.header, (size_t)got, index, local);
	}
	close(fd);
	return result;
}

/* A socket bound as a transport binds its own: does the address exist here, and is there a route at all? */
static int socket_try(const struct fm_address *from, const struct fm_address *to, unsigned scope_id,
		      const char *from_text, const char *to_text, struct fm_error *error)
{
	struct sockaddr_storage address;
	socklen_t length = fm_address_to_socket(from, 0, fm_address_link_local(from) ? scope_id : 0, &address);
	int result = 0, fd = socket(from->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return fm_error_set(error, -errno, FM_REASON_ENVIRONMENT, "cannot check the route to %s: %s", to_text,
				    strerror(errno));
	if (bind(fd, (const struct sockaddr *)&address, length) < 0) {
		result = fm_error_set(error, -EADDRNOTAVAIL, FM_REASON_PLACEMENT, "%s is no address of this node: %s",
				      from_text, strerror(errno));
		goto out;
	}
	length = fm_address_to_socket(to, ROUTE_PORT, fm_address_link_local(to) ? scope_id : 0, &address);
	if (connect(fd, (const struct sockaddr *)&address, length) < 0)
		result = fm_error_set(error, -ENETUNREACH, FM_REASON_PLACEMENT,
				      "no route from %s to %s: %s; look at 'ip route get %s from %s'", from_text,
				      to_text, strerror(errno), to_text, from_text);
out:
	close(fd);
	return result;
}

static unsigned scope_find(const struct fm_address *from, const struct fm_address *to, const char *device)
{
	const char *name = device[0] ? device : from->scope[0] ? from->scope : to->scope;
	long number;

	if (to->family != AF_INET6 || !(fm_address_link_local(to) || fm_address_link_local(from)))
		return 0;
	if (fm_integer_parse(name, 1, INT_MAX, &number))
		return (unsigned)number;
	return if_nametoindex(name);
}

int fm_route_check(const char *from, const char *to, const char *device, struct fm_error *error)
{
	struct fm_address source, target;
	char leaves_by[IF_NAMESIZE] = "";
	unsigned scope_id, index = 0;
	bool local = false;
	int result;

	if (!fm_address_parse(from, &source) || !fm_address_parse(to, &target) || source.family != target.family)
		return fm_error_set(error, -EINVAL, FM_REASON_PLACEMENT,
				    "'%s' and '%s' are no two numeric addresses of one family", from, to);
	scope_id = scope_find(&source, &target, device);
	result = socket_try(&source, &target, scope_id, from, to, error);
	if (result < 0 || device[0] == '\0')
		return result;
	if (route_ask(&source, &target, scope_id, &index, &local) < 0 || local)
		return 0;
	if (!if_indextoname(index, leaves_by) || strcmp(leaves_by, device) == 0)
		return 0;
	return fm_error_set(
		error, -EXDEV, FM_REASON_PLACEMENT,
		"packets from %s to %s leave by %s, not %s: tie the address to its device with 'ip rule add from "
		"%s table 100' and 'ip route add %s dev %s table 100'",
		from, to, leaves_by, device, from, to, device);
}
