/*
 * fault.h - the options of the fault transport.
 */
#ifndef FM_FAULT_H
#define FM_FAULT_H

#include "common/options.h"

struct fm_fault_options {
	char script[FM_TEXT_MAX]; /* "tcp,stall@1000": the transport under it, then what goes wrong when */
};

extern const struct fm_option_set fm_fault_options;

/*
 * Is it a script, whatever transports there are? chosen: fault is the transport that was asked for; where it is not, a
 * script would break nothing. -EINVAL, a usage error.
 */
int fm_fault_check(const struct fm_fault_options *options, bool chosen, struct fm_error *error);

#endif
