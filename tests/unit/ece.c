/*
 * ece.c - what two ends' devices can do beyond the standard: asked, carried over, and set where both have it; the calls
 * of the library are made up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>

#include "transports/verbs/endpoint.h"

enum { VENDOR = 0x15b3, OTHER_VENDOR = 0x14e4 };

/* What a queue pair keeps; a call finds it by the queue pair that it is given. */
struct pair {
	struct ibv_qp qp;
	struct ibv_ece own, given;
	bool set;
};

static int pair_query(struct ibv_qp *qp, struct ibv_ece *ece)
{
	struct pair *pair = (struct pair *)qp;

	*ece = pair->set ? pair->given : pair->own;
	return pair->own.vendor_id ? 0 : EOPNOTSUPP;
}

/* As devices do: what they lack themselves is left out. */
static int pair_set(struct ibv_qp *qp, struct ibv_ece *ece)
{
	struct pair *pair = (struct pair *)qp;

	pair->set = true;
	pair->given = *ece;
	pair->given.options &= pair->own.options;
	return 0;
}

void *__wrap_dlvsym(void *handle, const char *name, const char *version);

void *__wrap_dlvsym(void *handle, const char *name, const char *version)
{
	union {
		int (*call)(struct ibv_qp *qp, struct ibv_ece *ece);
		void *symbol;
	} found = {NULL};

	(void)handle;
	assert_string_equal(version, "IBVERBS_1.10");
	if (mock_type(int))
		found.call = strcmp(name, "ibv_query_ece") == 0 ? pair_query : pair_set;
	return found.symbol;
}

/* ---- two ends ---- */

struct end {
	struct pair pair;
	struct fm_work work;
	struct fm_verbs_lane lane;
	struct ibv_mr region;
	struct fm_endpoint endpoint;
};

static struct end *end_make(enum ibv_qp_type type, struct ibv_ece own)
{
	struct end *end = aligned_alloc(_Alignof(struct end), sizeof(*end));

	assert_non_null(end);
	memset(end, 0, sizeof(*end));
	end->pair.own = own;
	end->work.streams = 1;
	end->lane.qp = &end->pair.qp;
	end->lane.in_region = end->lane.out_region = &end->region;
	end->endpoint.work = &end->work;
	end->endpoint.lanes = &end->lane;
	end->endpoint.self = (struct fm_verbs_end){
		.type = type, .pkeys = {0xffff}, .pkey_count = 1, .mtu = IBV_MTU_1024, .ahead = 64};
	return end;
}

static void exchange(struct end *from, struct end *to)
{
	struct fm_blob blob = {0};
	struct fm_error error = {0};

	assert_int_equal(fm_verbs_exchange_write(&from->endpoint, &blob, &error), 0);
	if (fm_verbs_exchange_read(&to->endpoint, &blob, &error))
		fail_msg("%s", error.text);
	assert_int_equal(to->endpoint.peer.ahead, 64);
	assert_int_equal(to->endpoint.peer.ece_vendor, from->endpoint.self.ece_vendor);
	assert_int_equal(to->endpoint.peer.ece_options, from->endpoint.self.ece_options);
}

/* expected: what is in force at a's end once both were told of each other; "" none. calls: the library has them. */
static void agree(enum ibv_qp_type type, bool calls, struct ibv_ece a, struct ibv_ece b, const char *expected)
{
	struct end *ends[] = {end_make(type, a), end_make(type, b)};
	struct fm_effective effective = {0};

	will_return_always(__wrap_dlvsym, calls);
	for (int i = 0; i < 2; i++)
		fm_verbs_ece_query(&ends[i]->endpoint);
	exchange(ends[0], ends[1]);
	exchange(ends[1], ends[0]);
	for (int i = 0; i < 2; i++)
		fm_verbs_ece_set(&ends[i]->endpoint, &ends[i]->lane);
	assert_int_equal(ends[0]->pair.set, ends[1]->pair.set);
	assert_int_equal(ends[0]->pair.set, *expected != '\0');
	assert_int_equal(ends[0]->pair.given.options, ends[1]->pair.given.options);
	fm_verbs_ece_report(&ends[0]->endpoint, &effective);
	assert_string_equal(effective.count ? effective.items[0].value : "", expected);
	free(ends[0]);
	free(ends[1]);
}

static void both_ends_get_what_both_have(void **state)
{
	(void)state;
	agree(IBV_QPT_RC, true, (struct ibv_ece){VENDOR, 0x7, 0}, (struct ibv_ece){VENDOR, 0x13, 0}, "0x15b3:0x3");
}

static void no_vendor_in_common(void **state)
{
	(void)state;
	agree(IBV_QPT_RC, true, (struct ibv_ece){VENDOR, 0x7, 0}, (struct ibv_ece){OTHER_VENDOR, 0x7, 0}, "");
}

static void one_end_has_none(void **state)
{
	(void)state;
	agree(IBV_QPT_RC, true, (struct ibv_ece){VENDOR, 0x7, 0}, (struct ibv_ece){0, 0, 0}, "");
}

static void datagrams_have_none(void **state)
{
	(void)state;
	agree(IBV_QPT_UD, true, (struct ibv_ece){VENDOR, 0x7, 0}, (struct ibv_ece){VENDOR, 0x7, 0}, "");
}

static void an_old_library_has_none(void **state)
{
	(void)state;
	agree(IBV_QPT_RC, false, (struct ibv_ece){VENDOR, 0x7, 0}, (struct ibv_ece){VENDOR, 0x7, 0}, "");
}

static void every_byte_is_needed(void **state)
{
	struct end *end = end_make(IBV_QPT_RC, (struct ibv_ece){0, 0, 0});
	struct fm_blob whole = {0}, blob;
	struct fm_error error = {0};

	(void)state;
	assert_int_equal(fm_verbs_exchange_write(&end->endpoint, &whole, &error), 0);
	for (blob = whole; blob.bytes-- > 0;)
		assert_int_equal(fm_verbs_exchange_read(&end->endpoint, &blob, &error), -EPROTO);
	assert_int_equal(fm_verbs_exchange_read(&end->endpoint, &whole, &error), 0);
	free(end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ends_get_what_both_have),
		cmocka_unit_test(no_vendor_in_common),
		cmocka_unit_test(one_end_has_none),
		cmocka_unit_test(datagrams_have_none),
		cmocka_unit_test(an_old_library_has_none),
		cmocka_unit_test(every_byte_is_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
