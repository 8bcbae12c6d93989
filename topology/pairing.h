/*
 * pairing.h - which NIC each GPU should send through. A pure function of the machine.
 */
#ifndef FM_PAIRING_H
#define FM_PAIRING_H

#include "topology/path.h"

struct fm_pairing {
	uint32_t gpu; /* index among gpus */
	int nic;      /* among nics; -1: there is none to take */
	struct fm_path path;
	char reason[192]; /* in words */
};

/*
 * One entry a GPU, in their order. Its NIC is the nearest by path class, then one on its memory node, then the fastest;
 * among equal ones they are spread, over cards first and then over their ports, so that none serves two GPUs while an
 * equal one idles. Left out are ports that are down and, by the rule of rails, ones a quarter as fast as the fastest or
 * slower, which are there to log in. Deterministic. -ENOMEM (out_of_memory).
 */
int fm_pairing_decide(const struct fm_machine *machine, struct fm_pairing *pairings, struct fm_error *error);

#endif
