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
#include "transports/registry.h"

struct inventory {
	struct fm_nics nics;
	struct fm_cpus cpus;
};

static int inventory_read(struct inventory *inventory, struct fm_error *error)
{
	int code = fm_nics_read("/sys", &inventory->nics, error);

	return code ? code : fm_cpus_read("/sys", &inventory->cpus, error);
}

static void print_nic(const struct fm_nic *nic)
{
	char speed[32] = "-", numa[16] = "-";

	if (isfinite(nic->link_gbps))
		snprintf(speed, sizeof(speed), "%g Gb/s", nic->link_gbps);
	if (nic->numa_node >= 0)
		snprintf(numa, sizeof(numa), "%d", nic->numa_node);
	printf("  %-15s %-4s %-10s %-10s %6u %4s  %-13s", nic->name, nic->up ? "up" : "down",
	       nic->link_layer[0] ? nic->link_layer : "-", speed, nic->mtu, numa, nic->pci[0] ? nic->pci : "-");
	for (uint32_t i = 0; i < nic->address_count; i++)
		printf("%s%s/%u", i ? ", " : " ", nic->addresses[i].text, nic->addresses[i].prefix_bits);
	putchar('\n');
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

		printf("  %-10s %s%s\n", entry->name, entry->table.absent ? "absent: " : "",
		       entry->table.absent ? entry->table.absent : entry->table.help);
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
		printf("  %-10s %s%s\n", (*at)->name, (*at)->absent ? "absent: " : "",
		       (*at)->absent ? (*at)->absent : (*at)->help);
	printf("\nNet devices\n  %-15s %-4s %-10s %-10s %6s %4s  %-13s addresses\n", "name", "", "link", "speed", "mtu",
	       "numa", "pci");
	for (uint32_t i = 0; i < inventory->nics.count; i++)
		print_nic(&inventory->nics.list[i]);
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
	document = json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o}}", "schema", 1, "node", fm_node_facts(),
			     "transports", transports, "module_notes", notes, "memory", memory, "nics",
			     fm_nics_to_json(&inventory->nics), "cpus", "usable", list, "quota",
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
	free(inventory);
	return code ? fm_exit_code(error, 0) : FM_EXIT_OK;
}

const struct fm_command fm_command_devices = {
	.name = "devices",
	.help = "what can be measured here; what can't, and why",
	.usage = "[--json]",
	.options = &fm_devices_option_set,
	.run = devices_run,
};
