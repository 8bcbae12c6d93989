/*
 * counters.c - a port's counters under /sys, by what they mean. Every driver names its own; a column sums those that
 * count the same thing in different places.
 */
#include "transports/verbs/device.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>

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
}
