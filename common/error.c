/*
 * error.c - names and meanings of the closed list of reasons.
 */
#include "common/error.h"

static const struct {
	const char *name, *meaning;
} reasons[FM_REASON_COUNT] = {
#define FM_REASON_ROW(constant, name, meaning) [FM_REASON_##constant] = {name, meaning},
	FM_REASONS(FM_REASON_ROW)
#undef FM_REASON_ROW
};

const char *fm_reason_name(enum fm_reason reason)
{
	return (unsigned)reason < FM_REASON_COUNT ? reasons[reason].name : reasons[FM_REASON_INTERNAL].name;
}

const char *fm_reason_meaning(enum fm_reason reason)
{
	return (unsigned)reason < FM_REASON_COUNT ? reasons[reason].meaning : reasons[FM_REASON_INTERNAL].meaning;
}

enum fm_reason fm_reason_find(const char *name)
{
	for (int i = 0; i < FM_REASON_COUNT; i++)
		if (strcmp(reasons[i].name, name) == 0)
			return (enum fm_reason)i;
	return FM_REASON_INTERNAL;
}
