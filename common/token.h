/*
 * token.h - the shared secret of two nodes: where it comes from, and the key made of it.
 *
 * Order: --token-file, FABMARK_TOKEN (empty counts as unset), fabmark/token in the user's config folder
 * ($XDG_CONFIG_HOME or ~/.config), then a prompt on a terminal. One line of at least 16 characters, white space behind
 * it left out; never an argument, never in an output.
 */
#ifndef FM_TOKEN_H
#define FM_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

enum { FM_TOKEN_MIN = 16, FM_TOKEN_MAX = 256, FM_KEY_BYTES = 32 };

struct fm_token {
	char text[FM_TOKEN_MAX + 1];
	char source[512]; /* where it came from, for messages: "/root/.config/fabmark/token" */
};

/*
 * Finds the token. file: --token-file, or NULL; a pipe will do, and "-" is the first line of standard input. create:
 * make the config file with 128 random bits (mode 0600, folder 0700) where nothing else gives one, as serve does; of
 * several that do so at once on a shared home, all end with the same token. The first source that exists counts, good
 * or bad. Errors, all of reason token: -ENOENT none found, with the three ways to give one; -EPERM others may read or
 * change the file, with the chmod to type; -EINVAL too short, too long, not one line of text; the errno of reading or
 * creating. -EINTR, interrupted: a signal came at the prompt.
 */
int fm_token_find(const char *file, bool create, struct fm_token *token, struct fm_error *error);

/* 128 random bits in hex: for pair --local and the config file. */
int fm_token_random(struct fm_token *token, struct fm_error *error);

/* HKDF-SHA256(token, no salt, info "fabmark control 1") to 32 bytes (RFC 5869). */
int fm_token_key(const struct fm_token *token, uint8_t key[FM_KEY_BYTES], struct fm_error *error);

/* Overwrites the secret. Accepts NULL. */
void fm_token_wipe(struct fm_token *token);

#endif
