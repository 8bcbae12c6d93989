/*
 * options.c - the rows of the tcp transport.
 */
#include "transports/tcp/tcp.h"

#define GROUP "tcp"

static const struct fm_option rows[] = {
	{
		.name = "socket-buffer",
		.argument = "BYTES",
		.value = "0",
		.help = "send and receive buffer of data sockets; 0 lets the kernel tune them",
		.group = GROUP,
		.kind = FM_OPTION_COUNT,
		.offset = offsetof(struct fm_tcp_options, socket_buffer),
		.maximum = 1 << 30,
	},
	{
		.name = "congestion",
		.argument = "NAME",
		.value = "",
		.help = "congestion control of data sockets, such as cubic or bbr",
		.group = GROUP,
		.kind = FM_OPTION_TEXT,
		.offset = offsetof(struct fm_tcp_options, congestion),
	},
	{
		.name = "mss",
		.argument = "BYTES",
		.value = "0",
		.help = "largest segment of data sockets; 0 takes what the path allows",
		.group = GROUP,
		.kind = FM_OPTION_COUNT,
		.offset = offsetof(struct fm_tcp_options, mss),
		.maximum = 32767, /* MAX_TCP_WINDOW in the kernel's include/net/tcp.h */
	},
};

const struct fm_option_set fm_tcp_options = {
	.name = "tcp",
	.rows = rows,
	.count = sizeof(rows) / sizeof(rows[0]),
	.bytes = sizeof(struct fm_tcp_options),
};
