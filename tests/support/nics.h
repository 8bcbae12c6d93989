/*
 * nics.h - two ends of the verbs transport over mocked devices, each on one of its own: their folder under /sys, their
 * places, and what was passed to the library for either end.
 */
#ifndef FM_TEST_NICS_H
#define FM_TEST_NICS_H

#include "tests/support/mock_verbs.h"
#include "tests/support/pair.h"
#include "transports/verbs/verbs.h"

/* How a device looks to the kernel, and how it behaves. */
struct nic {
	const char *name; /* of its kind */
	struct mock_device (*make)(const char *name);
	const char *layer, *gid_type; /* as files under /sys have them */
};

/* mlx5 over InfiniBand and over RoCE, EFA, irdma, bnxt_re. */
extern const struct nic nics[];
extern const size_t nic_count;
const struct nic *nic_named(const char *name);

/* A test's two ends, to be changed before they are opened. */
struct ends {
	struct mock_device devices[2];
	struct fm_place_rail rails[2];
	struct fm_verbs_options options;
	struct pair_request request;
	struct pair *pair;
};

extern const struct fm_module fm_module; /* of transports/verbs */

/* Makes an empty folder like / and goes there; leave removes it. */
int nics_enter(void **state);
int nics_leave(void **state);
/* A file under that folder's sys/class/. */
__attribute__((format(printf, 2, 3))) void nics_put(const char *text, const char *format, ...);
/* A device of each kind: dev0 is side 0's, dev1 side 1's. One stream of 8 bytes, all options at their defaults. */
void ends_make(struct ends *ends, const struct nic *a, const struct nic *b, enum fm_test_id test);
/* The same where the folder is as ends_make has left it for these two. */
void ends_set(struct ends *ends, const struct nic *a, const struct nic *b, enum fm_test_id test);
void ends_option(struct ends *ends, const char *name, const char *text);
/* What the transport says that it can do with one end's device. 0, or its code with the sentence in error. */
int ends_query(struct ends *ends, int side, struct fm_capabilities *capabilities, struct fm_error *error);
/* 0, or its code; the devices behave as ends->devices say from now on. */
int ends_open(struct ends *ends, struct fm_error *error);
/* Opens or fails the test. */
void ends_opened(struct ends *ends);
/* One repetition with settle on both ends: 0 or the first code. */
int ends_run(struct ends *ends, uint64_t operations);
/* Closes, and asserts that nothing lives on and that nothing was done that a program must not do. */
void ends_close(struct ends *ends);
/* An effective value of one end; NULL: it has none. Valid until the next call. */
const char *ends_effective(struct ends *ends, int side, const char *key);
/* The step of a side's first queue pair to this state. */
const struct mock_modify *ends_step(const struct ends *ends, int side, enum ibv_qp_state state);

#endif
