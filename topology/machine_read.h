/*
 * machine_read.h - where a machine's device tree comes from.
 *
 * Errors name the file and, of XML, the line: -ENOENT, -EACCES, -EIO (environment) it cannot be read; -EINVAL (usage)
 * it is none of the formats, damaged, of another version or contradicts itself; -E2BIG (usage) it is larger than
 * FM_MACHINE_FILE_MAX or has more than machine.h's limits; -ENOMEM (out_of_memory).
 */
#ifndef FM_MACHINE_READ_H
#define FM_MACHINE_READ_H

#include <stddef.h>

#include "topology/machine.h"

enum { FM_MACHINE_FILE_MAX = 8 << 20 };

/*
 * This machine, through hwloc and /sys. Where NCCL_TOPO_FILE names a file, it says how the bridges and memory nodes
 * above the devices really are, as a virtual machine's own tree does not; what it lists and is not here is left out.
 */
int fm_machine_read_live(struct fm_machine **machine, struct fm_error *error);

/*
 * What is named by a user: a folder with a recorded machine's sys (and proc) in it, an hwloc XML file, or an NCCL
 * topology file, told apart by what is in them.
 */
int fm_machine_read(const char *input, struct fm_machine **machine, struct fm_error *error);

/* The same of bytes in memory; name stands in errors and in source. Readers take no entities and no network. */
int fm_machine_parse_nccl(const char *xml, size_t bytes, const char *name, struct fm_machine **machine,
			  struct fm_error *error);
int fm_machine_parse_hwloc(const char *xml, size_t bytes, const char *name, struct fm_machine **machine,
			   struct fm_error *error);

/* Puts the file's bridges, memory nodes and NVLinks above the devices that live has, too. */
int fm_machine_overlay(struct fm_machine *live, const struct fm_machine *file, struct fm_error *error);

#endif
