/*
 * counters.c - a port's counters under /sys, by what they mean. Every driver names its own; a column sums those that
 * count the same thing in different places.
 */
#include "transports/verbs/device.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>

enum {
	WORD_BYTES = 4,
	AGE_MAX_MS = 50,
	/*
	 * Ethernet with a VLAN and FCS 22, IPv6 or GRH 40, UDP 8, BTH 12, AtomicETH 28, immediate 4, ICRC 4: more than
	 * any packet has, since what is estimated too low would accuse others.
	 */
	HEADERS_MAX = 120,
};

struct meaning {
	const char *counter, *column;
};

static const struct meaning meanings[] = {
	/* mlx5 */
	{"packet_seq_err", "retransmit_count"},
	{"local_ack_timeout_err", "retransmit_count"},
	{"implied_nak_seq_err", "retransmit_count"},
	{"out_of_sequence", "out_of_sequence_count"},
	{"rnr_nak_retry_err", "rnr_count"},
	{"out_of_buffer", "rnr_count"},
	{"np_cnp_sent", "cnp_count"},
	{"rp_cnp_handled", "cnp_count"},
	/* soft-RoCE */
	{"completer_retry_err", "retransmit_count"},
	{"out_of_seq_request", "out_of_sequence_count"},
	{"send_rnr_err", "rnr_count"},
	{"rcvd_rnr_err", "rnr_count"},
	/* bnxt_re, irdma, EFA */
	{"to_retransmits", "retransmit_count"},
	{"retransSegs", "retransmit_count"},
	{"retrans_pkts", "retransmit_count"},
	{"rx_cnp_pkts", "cnp_count"},
	{"tx_cnp_pkts", "cnp_count"},
	{"cnpSent", "cnp_count"},
	{"cnpHandled", "cnp_count"},
	/* every port */
	{"symbol_error", "port_error_count"},
	{"link_error_recovery", "port_error_count"},
	{"link_downed", "port_error_count"},
	{"port_rcv_errors", "port_error_count"},
	{"port_rcv_remote_physical_errors", "port_error_count"},
	{"local_link_integrity_errors", "port_error_count"},
	{"excessive_buffer_overrun_errors", "port_error_count"},
};

static const char *column_of(const char *counter)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (strcmp(meanings[i].counter, counter) == 0)
			return meanings[i].column;
	return NULL;
}

static void counter_add(struct fm_counters *counters, const char *key, uint64_t value)
{
	for (uint32_t i = 0; i < counters->count; i++) {
		if (strcmp(counters->items[i].key, key) != 0)
			continue;
		counters->items[i].value += value;
		return;
	}
	fm_counters_add(counters, key, value);
}

/* columns: those with a column; else the others, by their own names, as long as there is room. */
static void folder_read(const char *folder, bool columns, struct fm_counters *counters)
{
	struct dirent **names = NULL;
	int count = scandir(folder, &names, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		const char *name = names[i]->d_name, *column = column_of(name);
		char path[PATH_MAX], text[64], *end;
		unsigned long long value;

		snprintf(path, sizeof(path), "%s/%s", folder, name);
		if (name[0] != '.' && strcmp(name, "lifespan") != 0 && (column != NULL) == columns &&
		    fm_verbs_read_line(path, text, sizeof(text))) {
			value = strtoull(text, &end, 10);
			if (end != text)
				counter_add(counters, column ? column : name, value);
		}
		free(names[i]);
	}
	free(names);
}

static bool port_line(const char *sysfs, const struct fm_verbs_port *port, const char *file, char *text, size_t bytes)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s/ports/%u/%s", sysfs, port->device, port->number, file);
	return fm_verbs_read_line(path, text, bytes);
}

static uint64_t port_number(const char *sysfs, const struct fm_verbs_port *port, const char *file)
{
	char text[64];

	return port_line(sysfs, port, file, text, sizeof(text)) ? strtoull(text, NULL, 10) : 0;
}

uint32_t fm_verbs_counters_age_ms(const char *sysfs, const struct fm_verbs_port *port)
{
	uint64_t ms = port_number(sysfs, port, "hw_counters/lifespan");

	return ms < AGE_MAX_MS ? (uint32_t)ms : AGE_MAX_MS;
}

void fm_verbs_states(const char *sysfs, const struct fm_verbs_port *port, struct fm_counters *counters)
{
	char file[32], name[160], text[96];
	const char *colon;

	if (port_line(sysfs, port, "rate", text, sizeof(text))) {
		snprintf(name, sizeof(name), "the link of %s:%u", port->device, port->number);
		fm_counters_state(counters, name, "%s", text);
	}
	if (port_line(sysfs, port, "state", text, sizeof(text))) {
		/* "4: ACTIVE" */
		colon = strstr(text, ": ");
		snprintf(name, sizeof(name), "port %s:%u", port->device, port->number);
		fm_counters_state(counters, name, "%s", colon ? colon + 2 : text);
	}
	snprintf(file, sizeof(file), "gids/%d", port->gid.index);
	if (port_line(sysfs, port, file, text, sizeof(text))) {
		snprintf(name, sizeof(name), "GID %d of %s:%u", port->gid.index, port->device, port->number);
		fm_counters_state(counters, name, "%s", text);
	}
	if (!port->ethernet && port_line(sysfs, port, "lid", text, sizeof(text))) {
		snprintf(name, sizeof(name), "the LID of %s:%u", port->device, port->number);
		fm_counters_state(counters, name, "%s", text);
	}
}

void fm_verbs_own_traffic(const struct fm_verbs_moved *moved, struct fm_counters *counters)
{
	uint64_t packets = moved->size > moved->mtu ? (moved->size + moved->mtu - 1) / moved->mtu : 1;
	uint64_t bare = packets * HEADERS_MAX, whole = moved->size + bare;
	uint64_t with = moved->fetches ? bare : whole, against = moved->fetches ? whole : bare;
	uint64_t grant = sizeof(uint64_t) + HEADERS_MAX;

	counters->sent.own = moved->outgoing * with + moved->incoming * against + moved->grants * grant +
			     moved->granted * HEADERS_MAX;
	counters->received.own = moved->outgoing * against + moved->incoming * with + moved->granted * grant +
				 moved->grants * HEADERS_MAX;
}

void fm_verbs_counters(const char *sysfs, const struct fm_verbs_port *port, struct fm_counters *counters)
{
	static const char *const folders[] = {"hw_counters", "counters"};
	char folder[PATH_MAX - 256];

	for (int columns = 1; columns >= 0; columns--)
		for (int i = 0; i < 2; i++) {
			snprintf(folder, sizeof(folder), "%s/%s/ports/%u/%s", sysfs, port->device, port->number,
				 folders[i]);
			folder_read(folder, columns, counters);
		}
	/* InfiniBand Architecture Specification, volume 1, 16.1.3.5: in words of four bytes. */
	counters->sent.port = WORD_BYTES * port_number(sysfs, port, "counters/port_xmit_data");
	counters->received.port = WORD_BYTES * port_number(sysfs, port, "counters/port_rcv_data");
}
