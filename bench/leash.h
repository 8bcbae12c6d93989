/*
 * leash.h - a program that ends with whoever started it: over ssh or a pipe, standard input ends when they are gone.
 */
#ifndef FM_LEASH_H
#define FM_LEASH_H

#include "common/error.h"

/*
 * Watches standard input from now on, what comes is dropped; at its end this process gets SIGTERM, and is gone ten
 * seconds later whatever hangs. Signals must be blocked already, and taken by a descriptor.
 */
int fm_leash_start(struct fm_error *error);

#endif
