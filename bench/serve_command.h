/*
 * serve_command.h - serve, as its own command and as 'pair' without a host.
 */
#ifndef FM_SERVE_COMMAND_H
#define FM_SERVE_COMMAND_H

#include "bench/command.h"
#include "bench/config.h"

/* 'fabmark pair' without a host: serve --once with pair's port and token. Returns the exit code. */
int fm_serve_as_pair(const struct fm_pair_config *config, const struct fm_program *program, struct fm_error *error);

#endif
