/*
 * options.c - the one option of the fault transport: what stands behind the colon of --transport fault:SCRIPT.
 */
#include "transports/fault/fault.h"

static const struct fm_option rows[] = {
	{.name = "fault",
	 .argument = "SCRIPT",
	 .value = "",
	 .group = "fault",
	 .help = "TRANSPORT,WHAT@WHEN, also behind --transport fault: fail, stall, lose, corrupt or delay=MS from "
		 "operation WHEN on; or open, connect, hang, linger, address=BYTE, deaf, change, share; then the "
		 "transport's own options as ,NAME=VALUE",
	 .kind = FM_OPTION_TEXT,
	 .offset = offsetof(struct fm_fault_options, script)},
};

const struct fm_option_set fm_fault_options = {.name = "fault",
					       .rows = rows,
					       .count = sizeof(rows) / sizeof(rows[0]),
					       .bytes = sizeof(struct fm_fault_options)};
