/*
 * socket.c - what tcp does with one socket: address it, tune it, open it, and read back what the kernel made of it.
 */
#include "transports/tcp/socket.h"

#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>

/* The kernel's header, not the C library's, whose struct tcp_info ends years earlier. */
#include <linux/tcp.h>

int fm_tcp_address_parse(const char *text, uint16_t port, const char *device, struct fm_tcp_address *address)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;

	if (getaddrinfo(text, NULL, &hints, &found))
		return -EINVAL;
	*address = (struct fm_tcp_address){.bytes = found->ai_addrlen};
	memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	if (address->storage.ss_family == AF_INET6) {
		struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address->storage;

		six->sin6_port = htons(port);
		if (IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr) && !six->sin6_scope_id)
			six->sin6_scope_id = if_nametoindex(device);
	} else {
		((struct sockaddr_in *)&address->storage)->sin_port = htons(port);
	}
	return 0;
}

int fm_tcp_socket_tune(const struct fm_tcp_options *options, int fd, struct fm_error *error)
{
	const int one = 1, buffer = (int)options->socket_buffer, mss = (int)options->mss;
	const struct {
		bool wanted;
		int level, name;
		const void *value;
		size_t bytes;
		const char *what, *advice;
	} rows[] = {
		{true, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one), "TCP_NODELAY", ""},
		{buffer > 0, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer), "--socket-buffer", ""},
		{buffer > 0, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer), "--socket-buffer", ""},
		{mss > 0, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss), "--mss", "; take 88 or more"},
		{options->congestion[0] != 0, IPPROTO_TCP, TCP_CONGESTION, options->congestion,
		 strlen(options->congestion), "--congestion",
		 "; /proc/sys/net/ipv4/tcp_allowed_congestion_control lists what may be taken"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].wanted &&
		    setsockopt(fd, rows[i].level, rows[i].name, rows[i].value, (socklen_t)rows[i].bytes))
			return fm_error_set(error, -errno, FM_REASON_ENVIRONMENT,
					    "the kernel refuses %s on a data socket: %s%s", rows[i].what,
					    strerror(errno), rows[i].advice);
	return 0;
}

int fm_tcp_socket_open(const struct fm_tcp_options *options, const struct fm_tcp_address *local, const char *text,
		       int *fd, struct fm_error *error)
{
	int made = socket(local->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	const int one = 1;
	int code;

	if (made < 0)
		return fm_error_set(error, -errno, FM_REASON_ENVIRONMENT,
				    "no socket for a data connection: %s; take fewer --streams or raise 'ulimit -n'",
				    strerror(errno));
	/* The port is chosen at connect, when the peer is known, so that streams to many peers can share one. */
	setsockopt(made, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	code = fm_tcp_socket_tune(options, made, error);
	if (!code && bind(made, (const struct sockaddr *)&local->storage, local->bytes))
		code = fm_error_set(
			error, -errno, FM_REASON_PLACEMENT,
			"cannot send from data address %s: %s; choose one of this node's with --data-address", text,
			strerror(errno));
	if (code)
		close(made);
	else
		*fd = made;
	return code;
}

static void socket_name(int fd, int (*ask)(int, struct sockaddr *, socklen_t *), char name[FM_TCP_NAME_MAX])
{
	struct sockaddr_storage address;
	socklen_t bytes = sizeof(address);
	char host[FM_TCP_NAME_MAX - 10], port[8];

	if (ask(fd, (struct sockaddr *)&address, &bytes) ||
	    getnameinfo((struct sockaddr *)&address, bytes, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV))
		snprintf(name, FM_TCP_NAME_MAX, "(unknown)");
	else if (address.ss_family == AF_INET6)
		snprintf(name, FM_TCP_NAME_MAX, "[%s]:%s", host, port);
	else
		snprintf(name, FM_TCP_NAME_MAX, "%s:%s", host, port);
}

void fm_tcp_socket_names(int fd, char local[FM_TCP_NAME_MAX], char peer[FM_TCP_NAME_MAX])
{
	socket_name(fd, getsockname, local);
	socket_name(fd, getpeername, peer);
}

void fm_tcp_socket_effective(int fd, struct fm_effective *effective)
{
	static const struct {
		const char *key;
		int level, name;
	} numbers[] = {
		{"send_buffer", SOL_SOCKET, SO_SNDBUF},
		{"receive_buffer", SOL_SOCKET, SO_RCVBUF},
		{"nodelay", IPPROTO_TCP, TCP_NODELAY},
		{"busy_poll_us", SOL_SOCKET, SO_BUSY_POLL},
	};
	char congestion[16 + 1] = ""; /* TCP_CA_NAME_MAX */
	struct tcp_info info = {0};
	socklen_t bytes;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		int value;

		bytes = sizeof(value);
		if (getsockopt(fd, numbers[i].level, numbers[i].name, &value, &bytes) == 0)
			fm_effective_add(effective, numbers[i].key, "%d", value);
	}
	bytes = sizeof(congestion) - 1;
	if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, &bytes) == 0)
		fm_effective_add(effective, "congestion", "%s", congestion);
	bytes = sizeof(info);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes))
		return;
	fm_effective_add(effective, "mtu", "%u", info.tcpi_pmtu);
	fm_effective_add(effective, "mss", "%u", info.tcpi_snd_mss);
	fm_effective_add(effective, "rtt_us", "%u", info.tcpi_rtt);
}

static void counter_add(struct fm_counters *counters, const char *key, uint64_t value)
{
	for (uint32_t i = 0; i < counters->count; i++)
		if (strcmp(counters->items[i].key, key) == 0) {
			counters->items[i].value += value;
			return;
		}
	fm_counters_add(counters, key, value);
}

void fm_tcp_socket_counters(int fd, struct fm_counters *counters)
{
#define ROW(key, member)                                                                                               \
	{                                                                                                              \
		key, offsetof(struct tcp_info, member), sizeof(((struct tcp_info *)0)->member)                         \
	}
	static const struct {
		const char *key;
		size_t offset, bytes;
	} rows[] = {
		ROW("retransmit_count", tcpi_total_retrans),
		ROW("out_of_sequence_count", tcpi_rcv_ooopack),
		ROW("tcp_segments_out", tcpi_segs_out),
		ROW("tcp_segments_in", tcpi_segs_in),
		ROW("tcp_delivered_ce", tcpi_delivered_ce),
		ROW("tcp_bytes_retransmitted", tcpi_bytes_retrans),
		ROW("tcp_duplicate_sacks", tcpi_dsack_dups),
		ROW("tcp_reorderings", tcpi_reord_seen),
		ROW("tcp_receive_window_limited_us", tcpi_rwnd_limited),
		ROW("tcp_send_buffer_limited_us", tcpi_sndbuf_limited),
	};
#undef ROW
	struct tcp_info info = {0};
	socklen_t bytes = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes))
		return;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *at = (const char *)&info + rows[i].offset;
		uint64_t wide = 0;
		uint32_t narrow = 0;

		/* An older kernel's struct is shorter. */
		if (rows[i].offset + rows[i].bytes > bytes)
			continue;
		if (rows[i].bytes == sizeof(wide))
			memcpy(&wide, at, sizeof(wide));
		else
			memcpy(&narrow, at, sizeof(narrow));
		counter_add(counters, rows[i].key, wide + narrow);
	}
}
