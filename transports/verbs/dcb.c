/*
 * dcb.c - which priorities of a net device have priority flow control: the kernel's answer to an IEEE 802.1Qaz query
 * (linux/dcbnl.h), which needs no privilege.
 */
#include <errno.h>
#include <linux/dcbnl.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "transports/verbs/device.h"

enum { ANSWER_MS = 100, ANSWER_BYTES = 8192 };

/* The attribute of this type among `bytes` bytes of them; *payload bytes are its own. NULL where there is none. */
static const uint8_t *attribute_find(const uint8_t *at, size_t bytes, uint16_t type, size_t *payload)
{
	struct rtattr header;

	while (bytes >= sizeof(header)) {
		memcpy(&header, at, sizeof(header));
		if (header.rta_len < sizeof(header) || header.rta_len > bytes)
			return NULL;
		if ((header.rta_type & NLA_TYPE_MASK) == type) {
			*payload = header.rta_len - sizeof(header);
			return at + sizeof(header);
		}
		if (RTA_ALIGN(header.rta_len) >= bytes)
			return NULL;
		at += RTA_ALIGN(header.rta_len);
		bytes -= RTA_ALIGN(header.rta_len);
	}
	return NULL;
}

bool fm_verbs_pfc_parse(const void *answer, size_t bytes, uint8_t *priorities)
{
	const size_t head = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct dcbmsg));
	const uint8_t *at = answer;
	struct nlmsghdr header;

	if (bytes < head)
		return false;
	memcpy(&header, at, sizeof(header));
	if (header.nlmsg_type != RTM_GETDCB || header.nlmsg_len < head || header.nlmsg_len > bytes)
		return false;
	bytes = header.nlmsg_len - head;
	at = attribute_find(at + head, bytes, DCB_ATTR_IEEE, &bytes);
	at = at ? attribute_find(at, bytes, DCB_ATTR_IEEE_PFC, &bytes) : NULL;
	if (!at || bytes < offsetof(struct ieee_pfc, pfc_en) + 1)
		return false;
	*priorities = at[offsetof(struct ieee_pfc, pfc_en)];
	return true;
}

bool fm_verbs_pfc_read(const char *net_device, uint8_t *priorities)
{
	struct {
		struct nlmsghdr header;
		struct dcbmsg message;
		struct rtattr name;
		char text[32];
	} request = {
		.header = {.nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETDCB, .nlmsg_flags = NLM_F_REQUEST},
		.message = {.dcb_family = AF_UNSPEC, .cmd = DCB_CMD_IEEE_GET},
		.name = {.rta_len = sizeof(request.name) + sizeof(request.text), .rta_type = DCB_ATTR_IFNAME},
	};
	const struct timeval limit = {.tv_usec = ANSWER_MS * 1000L};
	uint8_t answer[ANSWER_BYTES];
	ssize_t got = -1;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0)
		return false;
	snprintf(request.text, sizeof(request.text), "%s", net_device);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0 &&
	    send(fd, &request, sizeof(request), 0) == (ssize_t)sizeof(request))
		got = recv(fd, answer, sizeof(answer), 0);
	close(fd);
	return got > 0 && fm_verbs_pfc_parse(answer, (size_t)got, priorities);
}
