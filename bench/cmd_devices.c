/*
 * cmd_devices.c - fabmark devices: what can be measured here, what can't, and why.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "bench/command.h"
#include "bench/config.h"
#include "bench/node.h"
#include "common/memory/memory.h"
#include "topology/placement.h"
#include "topology/rdma.h"
#include "transports/registry.h"

enum { COLUMNS = 100 };

struct inventory {
	struct fm_nics nics;
	struct fm_rdma rdma;
	json_t *missing; /* for verbs: sentences */
	struct fm_cpus cpus;
};

static int inventory_read(struct inventory *inventory, struct fm_error *error)
{
	static const struct fm_rdma_roots roots = {"/sys", "/dev", "/"};
	int code = fm_nics_read_all("/sys", &inventory->nics, &inventory->rdma, error);

	if (code)
		return code;
	inventory->missing = fm_rdma_missing(&roots, &inventory->rdma, &inventory->nics);
	return fm_cpus_read("/sys", &inventory->cpus, error);
}

static void inventory_free(struct inventory *inventory)
{
	if (!inventory)
		return;
	fm_rdma_free(&inventory->rdma);
	json_decref(inventory->missing);
	free(inventory);
}

/* The addresses stand in the last column while they fit, one alone included; else in lines of their own. */
static void print_nic(const struct fm_nic *nic)
{
	char speed[32] = "-", numa[16] = "-", addresses[FM_NIC_ADDRESSES_MAX * (FM_ADDRESS_MAX + 8)] = "", line[128];
	int column;

	if (isfinite(nic->link_gbps))
		snprintf(speed, sizeof(speed), "%g Gb/s", nic->link_gbps);
	if (nic->numa_node >= 0)
		snprintf(numa, sizeof(numa), "%d", nic->numa_node);
	column = snprintf(line, sizeof(line), "  %-15s %-4s %-10s %-10s %6u %4s  %-13s", nic->name,
			  nic->up ? "up" : "down", nic->link_layer[0] ? nic->link_layer : "-", speed, nic->mtu, numa,
			  nic->pci[0] ? nic->pci : "-");
	for (uint32_t i = 0; i < nic->address_count; i++)
		snprintf(addresses + strlen(addresses), sizeof(addresses) - strlen(addresses), "%s%s/%u", i ? ", " : "",
			 nic->addresses[i].text, nic->addresses[i].prefix_bits);
	while (!addresses[0] && line[column - 1] == ' ')
		column--;
	printf("%.*s", column, line);
	if (!addresses[0]) {
		putchar('\n');
	} else if (column + 1 + (int)strcspn(addresses, " ") <= COLUMNS) {
		putchar(' ');
		fm_text_wrap(stdout, addresses, column + 1, nic->address_count > 1 ? 4 : column + 1, COLUMNS);
	} else {
		printf("\n    ");
		fm_text_wrap(stdout, addresses, 4, 4, COLUMNS);
	}
}

static void print_gids(const struct fm_rdma_port *port)
{
	char line[400];

	for (uint32_t i = 0; i < port->gid_count; i++) {
		const struct fm_rdma_gid *gid = &port->gids[i];
		bool chosen = (int)i == port->chosen;

		snprintf(line, sizeof(line), "GID %u: %s%s%s%s%s%s%s", gid->index, gid->text, gid->type[0] ? ", " : "",
			 gid->type, gid->net_device[0] ? ", " : "", gid->net_device,
			 chosen		? "; taken: "
			 : gid->refused ? "; not usable: "
					: "",
			 chosen		? port->reason
			 : gid->refused ? gid->refused
					: "");
		printf("    %c ", chosen ? '*' : ' ');
		fm_text_wrap(stdout, line, 6, 8, COLUMNS);
	}
	if (port->chosen < 0)
		printf("      no GID would be taken: %s\n", port->reason);
}

static void print_counters(const char *name, const struct fm_rdma_counters *counters)
{
	if (counters->count == 0)
		printf("%s none", name);
	else if (counters->readable == counters->count)
		printf("%s %u", name, counters->count);
	else
		printf("%s %u of %u, the others can't be read", name, counters->readable, counters->count);
}

static void print_port(const struct fm_rdma_port *port)
{
	char name[48], numa[16] = "-", state[48], line[256];

	snprintf(name, sizeof(name), "%s:%u", port->device, port->port);
	snprintf(state, sizeof(state), "%s/%s", port->state[0] ? port->state : "?",
		 port->physical_state[0] ? port->physical_state : "?");
	if (port->numa_node >= 0)
		snprintf(numa, sizeof(numa), "%d", port->numa_node);
	printf("  %-15s %-15s %-10s %-23s %4s  %-13s %s\n", name, state, port->link_layer[0] ? port->link_layer : "-",
	       port->rate[0] ? port->rate : "unknown", numa, port->pci[0] ? port->pci : "-",
	       port->net_device[0] ? port->net_device : "-");
	snprintf(line, sizeof(line), "%s%s%s%s%s%s%s%s", port->driver[0] ? port->driver : "driver unknown",
		 port->firmware[0] ? ", firmware " : "", port->firmware, port->board[0] ? " " : "", port->board,
		 port->pkeys[0] ? ", P_Key " : "", port->pkeys,
		 port->pci[0] ? "" : "; in software: the rate that it tells is made up");
	printf("      ");
	fm_text_wrap(stdout, line, 6, 8, COLUMNS);
	if (port->lid)
		printf("      LID %u, subnet manager's %u\n", port->lid, port->sm_lid);
	if (port->left_out)
		printf("      not among the NICs: %s\n", port->left_out);
	print_gids(port);
	printf("      readable: ");
	print_counters("counters", &port->counters);
	print_counters("; hw_counters", &port->hw_counters);
	putchar('\n');
}

static void print_rdma(const struct inventory *inventory)
{
	const char *sentence;
	json_t *entry;
	size_t i;

	printf("\nRDMA ports\n");
	if (inventory->rdma.count)
		printf("  %-15s %-15s %-10s %-23s %4s  %-13s net device\n", "name", "state", "link", "rate", "numa",
		       "pci");
	for (uint32_t at = 0; at < inventory->rdma.count; at++)
		print_port(&inventory->rdma.ports[at]);
	json_array_foreach(inventory->missing, i, entry)
	{
		sentence = json_string_value(entry);
		printf("  ");
		fm_text_wrap(stdout, sentence, 2, 4, COLUMNS);
	}
}

/* absent: why it cannot be used, or NULL. */
static void print_entry(const char *name, const char *absent, const char *help)
{
	char line[600];

	snprintf(line, sizeof(line), "%s%s", absent ? "absent: " : "", absent ? absent : help);
	printf("  %-10s ", name);
	fm_text_wrap(stdout, line, 13, 13, COLUMNS);
}

/* What --set takes for a transport that --help does not know. */
static void print_module(const struct fm_registered *entry)
{
	const struct fm_option_set *set = entry->table.options;

	if (!entry->outside)
		return;
	for (size_t i = 0; i < set->count; i++) {
		const struct fm_option *row = &set->rows[i];
		const char *argument = row->argument ? row->argument : row->choices ? row->choices : "true|false";

		if (row->hidden)
			continue;
		printf("  %-10s --set %s.%s=%s  %s%s%s%s\n", "", entry->name, row->name, argument, row->help,
		       *row->value ? " (default " : "", row->value, *row->value ? ")" : "");
	}
	if (!entry->table.absent)
		printf("  %-10s from %s\n", "", entry->file);
}

static void print_transports(const struct fm_registry *registry)
{
	printf("Transports\n");
	for (uint32_t i = 0; i < registry->count; i++) {
		const struct fm_registered *entry = &registry->entries[i];

		print_entry(entry->name, entry->table.absent, entry->table.help);
		print_module(entry);
	}
	if (registry->note_count)
		printf("\nModules that gave no transport\n");
	for (uint32_t i = 0; i < registry->note_count; i++)
		printf("  %s\n", registry->notes[i]);
}

static void print_text(const struct inventory *inventory, const struct fm_registry *registry)
{
	const struct fm_cpus *cpus = &inventory->cpus;
	char list[256];

	print_transports(registry);
	printf("\nMemory\n");
	for (const struct fm_memory_kind *const *at = fm_memory_kinds; *at; at++)
		print_entry((*at)->name, (*at)->absent, (*at)->help);
	printf("\nNICs\n  %-15s %-4s %-10s %-10s %6s %4s  %-13s addresses\n", "name", "", "link", "speed", "mtu",
	       "numa", "pci");
	for (uint32_t i = 0; i < inventory->nics.count; i++)
		print_nic(&inventory->nics.list[i]);
	print_rdma(inventory);
	printf("\nCPUs\n  %s", fm_cpus_format(cpus->list, cpus->count, list, sizeof(list)));
	if (isfinite(cpus->quota))
		printf(" (a cgroup grants the time of %g)", cpus->quota);
	putchar('\n');
}

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *options_json(const struct fm_option_set *set)
{
	json_t *options = json_array();

	for (size_t i = 0; i < set->count; i++)
		json_array_append_new(options, json_pack("{s:s, s:s, s:s}", "name", set->rows[i].name, "default",
							 set->rows[i].value, "help", set->rows[i].help));
	return options;
}

static json_t *transport_json(const struct fm_registered *entry)
{
	const struct fm_transport *table = &entry->table;

	return json_pack("{s:s, s:s, s:o, s:b, s:o, s:o}", "name", table->name, "help", table->help, "absent",
			 text_or_null(table->absent), "automatic", table->automatic, "module",
			 text_or_null(entry->file[0] ? entry->file : NULL), "options", options_json(table->options));
}

static int print_json(const struct inventory *inventory, const struct fm_registry *registry, struct fm_error *error)
{
	const struct fm_cpus *cpus = &inventory->cpus;
	json_t *transports = json_array(), *memory = json_array(), *list = json_array(), *notes = json_array(),
	       *document;

	for (uint32_t i = 0; i < registry->count; i++)
		json_array_append_new(transports, transport_json(&registry->entries[i]));
	for (uint32_t i = 0; i < registry->note_count; i++)
		json_array_append_new(notes, json_string(registry->notes[i]));
	for (const struct fm_memory_kind *const *at = fm_memory_kinds; *at; at++)
		json_array_append_new(memory, json_pack("{s:s, s:s, s:o}", "name", (*at)->name, "help", (*at)->help,
							"absent", text_or_null((*at)->absent)));
	for (uint32_t i = 0; i < cpus->count; i++)
		json_array_append_new(list, json_integer(cpus->list[i]));
	document = json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:O?, s:{s:o, s:o}}", "schema", 1, "node",
			     fm_node_facts(), "transports", transports, "module_notes", notes, "memory", memory, "nics",
			     fm_nics_to_json(&inventory->nics), "rdma_ports", fm_rdma_to_json(&inventory->rdma),
			     "rdma_missing", inventory->missing, "cpus", "usable", list, "quota",
			     isfinite(cpus->quota) ? json_real(cpus->quota) : json_null());
	if (!document || json_dumpf(document, stdout, JSON_INDENT(2)) != 0) {
		json_decref(document);
		return fm_error_set(error, -EIO, FM_REASON_RESULTS, "cannot write the inventory to stdout");
	}
	json_decref(document);
	putchar('\n');
	return 0;
}

static int devices_run(const struct fm_command *command, const struct fm_program *program, struct fm_error *error)
{
	const struct fm_option_set *sets[] = {&fm_devices_option_set};
	struct fm_devices_config config = {0};
	void *values[] = {&config};
	const struct fm_option_parser parser = {"fabmark devices", sets, values, 1, NULL, NULL, 0, NULL};
	struct inventory *inventory;
	uint32_t positional;
	int code = fm_options_defaults(sets[0], &config, error);

	if (code == 0)
		code = fm_options_parse(&parser, program->argc, program->argv, NULL, &positional, NULL, error);
	if (code)
		return fm_exit_code(error, 0);
	if (config.help) {
		fm_command_help(command, sets, 1);
		return FM_EXIT_OK;
	}
	inventory = calloc(1, sizeof(*inventory));
	code = inventory ? inventory_read(inventory, error)
			 : fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for the inventory");
	if (code == 0)
		fm_registry_load(program->registry);
	if (code == 0 && config.json)
		code = print_json(inventory, program->registry, error);
	else if (code == 0)
		print_text(inventory, program->registry);
	inventory_free(inventory);
	return code ? fm_exit_code(error, 0) : FM_EXIT_OK;
}

const struct fm_command fm_command_devices = {
	.name = "devices",
	.help = "what can be measured here; what can't, and why",
	.usage = "[--json]",
	.options = &fm_devices_option_set,
	.run = devices_run,
};
