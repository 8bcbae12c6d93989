/*
 * translate_iperf3.c - the options of iperf3 3.12, as its --help has them, in ours.
 */
#include <arpa/inet.h>
#include <errno.h>

#include "bench/translate_rows.h"

#define NO_LOGIN "no counterpart: a token that both nodes share guards fabmark serve"
#define TCP_ONLY "no counterpart: the line measures TCP"

/* Of fe80::1%eth0, what stands behind the '%' is part of the address. */
static bool is_link_local(const char *text)
{
	char address[FM_TEXT_MAX];
	struct in6_addr parsed;

	snprintf(address, sizeof(address), "%.*s", (int)strcspn(text, "%"), text);
	return inet_pton(AF_INET6, address, &parsed) == 1 && IN6_IS_ADDR_LINKLOCAL(&parsed);
}

/* HOST or HOST%DEVICE. */
static int convert_host(struct fm_translation *translation, const struct fm_foreign_option *row, const char *typed,
			const char *text, struct fm_error *error)
{
	char host[FM_TEXT_MAX];

	(void)row, (void)error;
	snprintf(host, sizeof(host), "%s", text);
	if (strchr(host, '%') && !is_link_local(host)) {
		fm_translation_want(translation, "device", strchr(host, '%') + 1, typed);
		*strchr(host, '%') = '\0';
	}
	fm_translation_want(translation, "@host", host, typed);
	return 0;
}

/* ADDRESS or ADDRESS%DEVICE, of this end. */
static int convert_bind(struct fm_translation *translation, const struct fm_foreign_option *row, const char *typed,
			const char *text, struct fm_error *error)
{
	char address[FM_TEXT_MAX];

	(void)row, (void)error;
	snprintf(address, sizeof(address), "%s", text);
	if (strchr(address, '%') && !is_link_local(address)) {
		fm_translation_want(translation, "device", strchr(address, '%') + 1, typed);
		return 0;
	}
	fm_translation_want(translation, "data-address", address, typed);
	fm_translation_want(translation, "address", address, typed);
	return 0;
}

/* "n" or "n,m": this end's CPU and the other's. */
static int convert_affinity(struct fm_translation *translation, const struct fm_foreign_option *row, const char *typed,
			    const char *text, struct fm_error *error)
{
	char value[FM_TEXT_MAX];
	int length = (int)strcspn(text, ",");

	(void)row, (void)error;
	snprintf(value, sizeof(value), "%.*s=%s", length, text, text[length] ? text + length + 1 : "");
	fm_translation_want(translation, "cpu", value, typed);
	return 0;
}

static const struct fm_foreign_option options[] = {
	FLAG('s', "server", "@serve", NULL, NULL),
	CONVERTED('c', "client", convert_host),
	VALUE('p', "port", "port", NULL,
	      "both nodes' fabmark needs it: an iperf3 that listens on that port is in its way"),
	VALUE('t', "time", "duration", NULL,
	      "the most that is measured; fabmark ends before when the figure is sure to 1% (--repetitions fixes it)"),
	VALUE('l', "length", "size", NULL, NULL),
	VALUE('P', "parallel", "streams", NULL, "one thread for all, as in iperf3 before 3.16; --threads for more"),
	FLAG('R', "reverse", NULL, NULL, "type the line on the other node: payload goes from where it is typed"),
	FLAG(0, "bidir", "bidirectional", NULL, NULL),
	CONVERTED('A', "affinity", convert_affinity),
	CONVERTED('B', "bind", convert_bind),
	VALUE(0, "bind-dev", "device", NULL, NULL),
	VALUE('C', "congestion", "congestion", NULL, NULL),
	VALUE(0, "linux-congestion", "congestion", NULL, NULL),
	VALUE('w', "window", "socket-buffer", NULL, NULL),
	VALUE('M', "set-mss", "mss", NULL, NULL),
	FLAG('N', "no-delay", NULL, NULL, NOT_NEEDED("fabmark always switches Nagle's algorithm off")),
	FLAG('4', "version4", NULL, NULL, NOT_NEEDED("an IPv4 address as host says it")),
	FLAG('6', "version6", NULL, NULL, NOT_NEEDED("an IPv6 address as host says it")),
	FLAG('J', "json", "json", "-", "fabmark's keys have other names (docs/schema.md)"),
	VALUE('n', "bytes", NULL, NULL,
	      "no counterpart: fabmark measures for a time; --iterations N counts operations"),
	VALUE('k', "blockcount", "iterations", NULL,
	      "operations of one repetition, on each stream; --repetitions 1 measures once"),
	VALUE('O', "omit", NULL, NULL, NOT_NEEDED("fabmark warms up before it measures")),
	VALUE('i', "interval", NULL, NULL, NOT_NEEDED("bw_worst_gbps is the slowest 100 ms")),
	VALUE('f', "format", NULL, NULL, NOT_NEEDED("fabmark reports decimal Gb/s, as iperf3's Gbits are")),
	FLAG('u', "udp", NULL, NULL, TCP_ONLY),
	FLAG(0, "sctp", NULL, NULL, TCP_ONLY),
	VALUE('X', "xbind", NULL, NULL, TCP_ONLY),
	VALUE(0, "nstreams", NULL, NULL, TCP_ONLY),
	VALUE('b', "bitrate", NULL, NULL, NO_PACING),
	VALUE(0, "bandwidth", NULL, NULL, NO_PACING),
	VALUE(0, "pacing-timer", NULL, NULL, NO_PACING),
	VALUE(0, "fq-rate", NULL, NULL, NO_PACING),
	FLAG('Z', "zerocopy", NULL, NULL, "no counterpart: fabmark sends from memory, by copy"),
	VALUE('S', "tos", NULL, NULL, NO_COUNTERPART),
	VALUE(0, "dscp", NULL, NULL, NO_COUNTERPART),
	VALUE('L', "flowlabel", NULL, NULL, NO_COUNTERPART),
	VALUE(0, "cport", NULL, NULL, NO_COUNTERPART),
	VALUE('F', "file", NULL, NULL, "no counterpart: fabmark sends from memory"),
	VALUE('T', "title", "labels", "title=%", NULL),
	VALUE(0, "extra-data", "labels", "extra=%", NULL),
	VALUE(0, "connect-timeout", "connect-timeout", "%ms", NULL),
	VALUE(0, "rcv-timeout", "peer-timeout", "%ms", NULL),
	VALUE(0, "snd-timeout", NULL, NULL, "no counterpart: --peer-timeout ends a run on which nothing moves"),
	FLAG('V', "verbose", NULL, NULL, NOT_NEEDED("run.json has what was in force")),
	ATTACHED('d', "debug", NO_COUNTERPART),
	VALUE(0, "logfile", NULL, NULL, "use the shell: > FILE; rows are in --out, --csv or --json anyway"),
	FLAG(0, "forceflush", NULL, NULL, NOT_NEEDED("a row is written when it is measured")),
	ATTACHED(0, "timestamps", NOT_NEEDED("time_utc stands in each row")),
	FLAG(0, "get-server-output", NULL, NULL, NOT_NEEDED("the figures are those of both ends")),
	FLAG(0, "udp-counters-64bit", NULL, NULL, TCP_ONLY),
	FLAG(0, "repeating-payload", NULL, NULL, NO_COUNTERPART),
	FLAG(0, "dont-fragment", NULL, NULL, TCP_ONLY),
	VALUE(0, "username", NULL, NULL, NO_LOGIN),
	VALUE(0, "rsa-public-key-path", NULL, NULL, NO_LOGIN),
	VALUE(0, "rsa-private-key-path", NULL, NULL, NO_LOGIN),
	VALUE(0, "authorized-users-path", NULL, NULL, NO_LOGIN),
	VALUE(0, "time-skew-threshold", NULL, NULL, NO_LOGIN),

	/* of the server */
	FLAG('1', "one-off", "once", NULL, NULL),
	FLAG('D', "daemon", NULL, NULL, "no counterpart: let the shell (&) or systemd put it into the background"),
	VALUE('I', "pidfile", NULL, NULL, NO_COUNTERPART),
	VALUE(0, "server-bitrate-limit", NULL, NULL, NO_PACING),
	VALUE(0, "idle-timeout", "idle-timeout", NULL, "fabmark serve ends then, where iperf3 starts anew"),
	FLAG('v', "version", NULL, NULL, "'fabmark --version' tells our version"),
	FLAG('h', "help", NULL, NULL, "'fabmark pair --help' lists our options"),
	END,
};

static int iperf3_end(struct fm_translation *translation, struct fm_error *error)
{
	const struct fm_wanted *host = fm_translation_wanted(translation, "@host");

	if (host && fm_translation_wanted(translation, "@serve"))
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE, "-s and -c: a server or a client, not both");
	if (!host && !fm_translation_wanted(translation, "@serve"))
		return fm_error_set(error, -EINVAL, FM_REASON_USAGE,
				    "neither -s nor -c HOST: say whether it is the server or the client");
	if (!host) {
		/* Of the server's own address nothing is to be said in the other node's line. */
		fm_translation_drop(translation, "data-address");
		return 0;
	}
	translation->host = host->value;
	fm_translation_drop(translation, "address");
	if (!fm_translation_wanted(translation, "duration") && !fm_translation_wanted(translation, "iterations"))
		fm_translation_note(translation, "-t",
				    "iperf3's default of 10 s is not in the line: fabmark measures at most 3.5 s");
	return 0;
}

const struct fm_foreign_tool fm_foreign_iperf3 = {options, "-c", iperf3_end};
