/*
 * rails.c - which device talks to which: on synthetic inventories, and against the kernel's routes in a namespace.
 */
#include <errno.h>
#include <math.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "topology/address.h"
#include "topology/placement.h"

enum { ROUTES_MISSING = 77 };

struct pair {
	struct fm_nics a, b;
	struct fm_rail rails[FM_RAILS_MAX];
	uint32_t count;
	struct fm_error error;
	bool rdma; /* for what goes by RDMA */
};

/* addresses: "10.0.0.1/24 fe80::1/64". */
static void nic_add(struct fm_nics *nics, const char *name, const char *pci, const char *addresses)
{
	struct fm_nic *nic = &nics->list[nics->count++];
	char text[256], *rest;

	memset(nic, 0, sizeof(*nic));
	snprintf(nic->name, sizeof(nic->name), "%s", name);
	snprintf(nic->pci, sizeof(nic->pci), "%s", pci);
	snprintf(text, sizeof(text), "%s", addresses);
	nic->up = true;
	nic->loopback = strcmp(name, "lo") == 0;
	nic->link_gbps = NAN;
	nic->numa_node = -1;
	for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		struct fm_nic_address *to = &nic->addresses[nic->address_count++];
		char *slash = strchr(word, '/');
		struct fm_address address;

		*slash = '\0';
		assert_true(fm_address_parse(word, &address));
		to->family = address.family;
		to->prefix_bits = (uint32_t)atoi(slash + 1);
		to->link_local = fm_address_link_local(&address);
		snprintf(to->text, sizeof(to->text),
			 to->link_local && to->family == AF_INET6 ? "%.40s%%%.15s" : "%.40s", word, name);
	}
}

/* Two nodes of a cluster: management, and four rails each in its own subnet, named and listed differently. */
static struct pair *pair_new(void)
{
	struct pair *pair = test_calloc(1, sizeof(*pair));

	nic_add(&pair->a, "eth0", "0000:01:00.0", "192.168.0.1/24 fe80::a0/64");
	nic_add(&pair->a, "lo", "", "127.0.0.1/8 ::1/128");
	nic_add(&pair->a, "rail0", "0000:3b:00.0", "10.0.0.1/24 fe80::a1/64");
	nic_add(&pair->a, "rail1", "0000:5e:00.0", "10.0.1.1/24 fe80::a2/64");
	nic_add(&pair->b, "ens1", "0000:5e:00.0", "10.0.1.2/24 fe80::b2/64");
	nic_add(&pair->b, "ens2", "0000:3b:00.0", "10.0.0.2/24 fe80::b1/64");
	nic_add(&pair->b, "eth0", "0000:01:00.0", "192.168.0.2/24 fe80::b0/64");
	nic_add(&pair->b, "lo", "", "127.0.0.1/8 ::1/128");
	return pair;
}

static int try(struct pair *pair, const char *rails, const char *device, const char *data_address,
	       const char *control_a, const char *control_b)
{
	const struct fm_rail_request request = {rails, device, data_address, control_a, control_b, pair->rdma};

	return fm_rails_pair(&pair->a, &pair->b, &request, pair->rails, FM_RAILS_MAX, &pair->count, &pair->error);
}

static void assert_rail(const struct pair *pair, uint32_t index, const char *a, const char *b, const char *reason)
{
	const struct fm_rail *rail = &pair->rails[index];
	char text[2 * (FM_RAIL_NAME_MAX + FM_ADDRESS_MAX)];

	assert_true(index < pair->count);
	snprintf(text, sizeof(text), "%.63s %.63s", rail->device_a, rail->address_a);
	assert_string_equal(text, a);
	snprintf(text, sizeof(text), "%.63s %.63s", rail->device_b, rail->address_b);
	assert_string_equal(text, b);
	assert_string_equal(rail->reason, reason);
}

static void assert_error(const struct pair *pair, int result, int code, const char *part)
{
	assert_int_equal(result, code);
	assert_int_equal(pair->error.code, code);
	if (!strstr(pair->error.text, part))
		fail_msg("\"%s\" does not say \"%s\"", pair->error.text, part);
}

static const char control_a[] = "192.168.0.1", control_b[] = "192.168.0.2";

static void nothing_asked_takes_the_control_addresses(void **state)
{
	struct pair *pair = pair_new();

	(void)state;
	assert_int_equal(try(pair, "", "", "", control_a, control_b), 0);
	assert_rail(pair, 0, "eth0 192.168.0.1", "eth0 192.168.0.2", "the control connection's addresses");
	assert_int_equal(try(pair, "one", "", "", "::ffff:10.0.0.1", "::ffff:10.0.0.2"), 0);
	assert_rail(pair, 0, "rail0 10.0.0.1", "ens2 10.0.0.2", "the control connection's addresses");
	assert_int_equal(try(pair, "one", "", "", "127.0.0.1", "127.0.0.1"), 0);
	assert_rail(pair, 0, "lo 127.0.0.1", "lo 127.0.0.1", "the control connection's addresses");
	assert_int_equal(try(pair, "one", "", "", "127.0.0.5", "127.0.0.1"), 0);
	assert_rail(pair, 0, "lo 127.0.0.5", "lo 127.0.0.1", "the control connection's addresses");
	assert_int_equal(try(pair, "", "", "", "::1", "::1"), 0);
	assert_rail(pair, 0, "lo ::1", "lo ::1", "the control connection's addresses");
	/* The peer's scope is our own interface: of B's devices it says nothing. */
	assert_int_equal(try(pair, "", "", "", "fe80::a1%rail0", "fe80::b1%rail0"), 0);
	assert_rail(pair, 0, "rail0 fe80::a1", "ens2 fe80::b1", "the control connection's addresses");
	assert_int_equal(try(pair, "", "", "", control_a, "203.0.113.7"), 0);
	assert_rail(pair, 0, "eth0 192.168.0.1", " 203.0.113.7",
		    "the control connection's addresses; 203.0.113.7 is on no listed device of its node, perhaps "
		    "translated "
		    "on the way");
	assert_error(pair, try(pair, "", "", "", control_a, "::1"), -EINVAL, "can't carry data");
	assert_error(pair, try(pair, "", "", "", "nodeA", "nodeB"), -EINVAL, "--device");
	test_free(pair);
}

static void remote_is_in_the_same_subnet(void **state)
{
	struct pair *pair = pair_new();

	(void)state;
	assert_int_equal(try(pair, "", "rail1", "", control_a, control_b), 0);
	assert_rail(pair, 0, "rail1 10.0.1.1", "ens1 10.0.1.2", "same subnet 10.0.1.0/24");
	assert_int_equal(try(pair, "", "5e:00.0", "", control_a, control_b), 0);
	assert_rail(pair, 0, "rail1 10.0.1.1", "ens1 10.0.1.2", "same subnet 10.0.1.0/24");
	assert_int_equal(try(pair, "", "0000:3B:00.0", "", "", ""), 0);
	assert_rail(pair, 0, "rail0 10.0.0.1", "ens2 10.0.0.2", "same subnet 10.0.0.0/24");
	assert_int_equal(try(pair, "", "::ffff:10.0.0.1", "", control_a, control_b), 0);
	assert_rail(pair, 0, "rail0 10.0.0.1", "ens2 10.0.0.2", "same subnet 10.0.0.0/24");
	assert_int_equal(try(pair, "", "", "10.0.1.1", control_a, control_b), 0);
	assert_rail(pair, 0, "rail1 10.0.1.1", "ens1 10.0.1.2", "same subnet 10.0.1.0/24");
	/* Never merely the same name: eth0 of B exists, but rail0 is ens2's neighbour. */
	snprintf(pair->b.list[2].name, 32, "rail0");
	assert_int_equal(try(pair, "", "rail0", "", control_a, control_b), 0);
	assert_string_equal(pair->rails[0].device_b, "ens2");
	test_free(pair);
}

static void flat_fabric_pairs_equal_ranks(void **state)
{
	struct pair *pair = test_calloc(1, sizeof(*pair));

	(void)state;
	nic_add(&pair->a, "m0", "0000:3b:00.0", "10.0.0.1/16");
	nic_add(&pair->a, "m1", "0000:5e:00.0", "10.0.0.2/16");
	nic_add(&pair->a, "m2", "0000:9a:00.0", "10.0.0.3/16");
	nic_add(&pair->b, "x0", "0000:9a:00.0", "10.0.1.3/16");
	nic_add(&pair->b, "x1", "0000:3b:00.0", "10.0.1.1/16");
	nic_add(&pair->b, "x2", "0000:5e:00.0", "10.0.1.2/16");
	assert_int_equal(try(pair, "m0,m1,m2", "", "", control_a, control_b), 0);
	assert_int_equal(pair->count, 3);
	assert_rail(pair, 0, "m0 10.0.0.1", "x1 10.0.1.1", "same subnet 10.0.0.0/16");
	assert_rail(pair, 1, "m1 10.0.0.2", "x2 10.0.1.2", "same subnet 10.0.0.0/16");
	assert_rail(pair, 2, "m2 10.0.0.3", "x0 10.0.1.3", "same subnet 10.0.0.0/16");
	/* With fewer devices there, two rails would meet in one. */
	pair->b.count = 2;
	assert_error(pair, try(pair, "m0,m1,m2", "", "", control_a, control_b), -EINVAL,
		     "rails 1 (m0=x1) and 3 (m2=x1) both use 'x1' on the other node");
	assert_int_equal(pair->count, 3);
	test_free(pair);
}

static void routed_fabric_pairs_equal_ordinals(void **state)
{
	struct pair *pair = test_calloc(1, sizeof(*pair));

	(void)state;
	nic_add(&pair->a, "br0", "", "172.17.0.1/16");
	nic_add(&pair->a, "m0", "0000:3b:00.0", "10.0.0.1/31");
	nic_add(&pair->a, "m1", "0000:5e:00.0", "10.0.0.3/31");
	nic_add(&pair->b, "br0", "", "172.17.0.1/16");
	nic_add(&pair->b, "x0", "0000:5e:00.0", "10.1.0.3/31");
	nic_add(&pair->b, "x1", "0000:3b:00.0", "10.1.0.1/31");
	assert_int_equal(try(pair, "m0,m1", "", "", control_a, control_b), 0);
	assert_rail(pair, 0, "m0 10.0.0.1", "x1 10.1.0.1", "same ordinal, device 1 of both nodes");
	assert_rail(pair, 1, "m1 10.0.0.3", "x0 10.1.0.3", "same ordinal, device 2 of both nodes");
	/* A device that is down is none of the order. */
	pair->a.list[1].up = false;
	assert_int_equal(try(pair, "", "m1", "", control_a, control_b), 0);
	assert_string_equal(pair->rails[0].device_b, "x1");
	assert_error(pair, try(pair, "", "m0", "", control_a, control_b), -ENETDOWN, "'m0' on this node is down");
	pair->a.list[1].up = true;
	/* docker0's address is the same on every node: that is no common subnet. */
	assert_int_equal(try(pair, "", "br0", "", control_a, control_b), 0);
	assert_string_equal(pair->rails[0].reason, "same ordinal, device 3 of both nodes");
	pair->b.count = 1;
	assert_error(pair, try(pair, "", "m1", "", control_a, control_b), -ENODEV, "it has br0; name one: m1=REMOTE");
	test_free(pair);
}

static void family_is_what_both_share(void **state)
{
	struct pair *pair = test_calloc(1, sizeof(*pair));

	(void)state;
	nic_add(&pair->a, "m0", "", "fe80::1/64 10.0.0.1/24 fd00:1::1/64");
	nic_add(&pair->a, "m1", "", "fe80::3/64");
	nic_add(&pair->b, "x0", "", "fe80::2/64 10.9.0.2/24 fd00:2::2/64");
	nic_add(&pair->b, "x1", "", "fe80::4/64 10.9.1.2/24");
	assert_int_equal(try(pair, "", "m0=x0", "", control_a, control_b), 0);
	assert_rail(pair, 0, "m0 10.0.0.1", "x0 10.9.0.2", "asked for");
	assert_int_equal(try(pair, "", "m0=x0", "", "fd00:9::1", "fd00:9::2"), 0);
	assert_rail(pair, 0, "m0 fd00:1::1", "x0 fd00:2::2", "asked for");
	assert_int_equal(try(pair, "", "m0=x0", "", "", ""), 0);
	assert_rail(pair, 0, "m0 10.0.0.1", "x0 10.9.0.2", "asked for");
	assert_int_equal(try(pair, "", "m0=x0", "fd00:1::1", control_a, control_b), 0);
	assert_rail(pair, 0, "m0 fd00:1::1", "x0 fd00:2::2", "asked for");
	/* Link-local only where there is nothing else; the scope stays at home. */
	assert_int_equal(try(pair, "", "m1=x1", "", control_a, control_b), 0);
	assert_rail(pair, 0, "m1 fe80::3", "x1 fe80::4", "asked for");
	assert_int_equal(try(pair, "", "m1", "", control_a, control_b), 0);
	assert_rail(pair, 0, "m1 fe80::3", "x1 fe80::4", "same ordinal, device 2 of both nodes");
	assert_int_equal(try(pair, "", "fe80::1%m0", "", control_a, control_b), 0);
	assert_rail(pair, 0, "m0 fe80::1", "x0 fe80::2", "same ordinal, device 1 of both nodes");
	assert_error(pair, try(pair, "", "m0=x0", "10.0.0.1=fd00:2::2", control_a, control_b), -EAFNOSUPPORT,
		     "share no address family");
	/* One subnet outweighs the control connection's family. */
	snprintf(pair->b.list[0].addresses[2].text, FM_ADDRESS_MAX, "fd00:1::2");
	assert_int_equal(try(pair, "", "m0=x0", "", control_a, control_b), 0);
	assert_rail(pair, 0, "m0 fd00:1::1", "x0 fd00:1::2", "asked for");
	test_free(pair);
}

static void what_is_asked_must_exist(void **state)
{
	struct pair *pair = pair_new();

	(void)state;
	assert_error(pair, try(pair, "", "eth7", "", control_a, control_b), -ENODEV,
		     "no net device 'eth7' on this node: it has eth0, lo, rail0, rail1");
	assert_error(pair, try(pair, "", "rail0=rail0", "", control_a, control_b), -ENODEV,
		     "no net device 'rail0' on the other node: it has ens1, ens2, eth0, lo");
	assert_error(pair, try(pair, "", "", "10.0.0.9", control_a, control_b), -ENODEV, "'10.0.0.9'");
	assert_error(pair, try(pair, "", "", "rail0", control_a, control_b), -EINVAL, "no numeric IP address");
	assert_error(pair, try(pair, "", "rail0", "10.0.1.1", control_a, control_b), -ENODEV,
		     "'rail0' on this node has no address 10.0.1.1");
	assert_error(pair, try(pair, "", "=ens1", "", control_a, control_b), -EINVAL, "--device '=ens1' is not LOCAL");
	assert_error(pair, try(pair, "", "rail0=", "", control_a, control_b), -EINVAL, "is not LOCAL or LOCAL=REMOTE");
	assert_error(pair, try(pair, "", "lo", "", control_a, control_b), -ENETUNREACH, "'lo' never leaves its node");
	assert_error(pair, try(pair, "", "rail0=lo", "", control_a, control_b), -ENETUNREACH, "'lo' never leaves");
	pair->a.list[2].address_count = 0;
	assert_error(pair, try(pair, "", "rail0", "", control_a, control_b), -EADDRNOTAVAIL, "has no IP address");
	pair->a.count = 0;
	assert_error(pair, try(pair, "", "eth0", "", control_a, control_b), -ENODEV, "it has none");
	assert_int_equal(pair->count, 0);
	test_free(pair);
}

static void one_machine_may_use_its_loopback(void **state)
{
	struct pair *pair = pair_new();

	(void)state;
	pair->b = pair->a;
	assert_int_equal(try(pair, "", "lo", "", "127.0.0.1", "127.0.0.1"), 0);
	assert_rail(pair, 0, "lo 127.0.0.1", "lo 127.0.0.1", "the loopback, both ends are on this machine");
	assert_int_equal(try(pair, "", "rail1", "", "127.0.0.1", "127.0.0.1"), 0);
	assert_rail(pair, 0, "rail1 10.0.1.1", "rail1 10.0.1.1", "same subnet 10.0.1.0/24");
	assert_int_equal(try(pair, "rail0=rail1,rail1=rail0", "", "", "127.0.0.1", "127.0.0.1"), 0);
	assert_rail(pair, 1, "rail1 10.0.1.1", "rail0 10.0.0.1", "asked for");
	test_free(pair);
}

static void lists_of_rails(void **state)
{
	struct pair *pair = pair_new();

	(void)state;
	assert_int_equal(try(pair, "10.0.1.1,0000:3b:00.0=ens2", "", "", control_a, control_b), 0);
	assert_int_equal(pair->count, 2);
	assert_rail(pair, 0, "rail1 10.0.1.1", "ens1 10.0.1.2", "same subnet 10.0.1.0/24");
	assert_rail(pair, 1, "rail0 10.0.0.1", "ens2 10.0.0.2", "asked for");
	assert_error(pair, try(pair, "rail0,10.0.0.1=ens1", "", "", control_a, control_b), -EINVAL,
		     "both use 'rail0' on this node");
	assert_error(pair, try(pair, "rail0=eth0,rail1=eth0", "", "", control_a, control_b), -EINVAL,
		     "both use 'eth0' on the other node");
	assert_error(pair, try(pair, "rail0,rail1", "rail0", "", control_a, control_b), -EINVAL, "leave out --device");
	assert_error(pair, try(pair, "rail0", "", "10.0.0.1", control_a, control_b), -EINVAL,
		     "leave out --data-address");
	assert_error(pair, try(pair, "rail0,", "", "", control_a, control_b), -EINVAL, "rail '' is not LOCAL");
	assert_error(pair, try(pair, ",rail0", "", "", control_a, control_b), -EINVAL, "rail '' is not LOCAL");
	assert_error(
		pair,
		try(pair,
		    "rail0,rail0,rail0,rail0,rail0,rail0,rail0,rail0,rail0,rail0,rail0,rail0,rail0,rail0,rail0,rail0,"
		    "rail0",
		    "", "", control_a, control_b),
		-EINVAL, "more than 16 rails");
	assert_int_equal(pair->count, 2);
	test_free(pair);
}

static int try_every(struct pair *pair, struct fm_rails_left *left, const char *from, const char *to)
{
	const struct fm_rail_request request = {"all", "", "", from, to, pair->rdma};

	return fm_rails_every(&pair->a, &pair->b, &request, pair->rails, FM_RAILS_MAX, &pair->count, left,
			      &pair->error);
}

static void every_rail_that_pairs(void **state)
{
	struct pair *pair = pair_new();
	struct fm_rails_left left;

	(void)state;
	assert_int_equal(try_every(pair, &left, control_a, control_b), 0);
	assert_int_equal(pair->count, 3);
	assert_rail(pair, 0, "eth0 192.168.0.1", "eth0 192.168.0.2", "same subnet 192.168.0.0/24");
	assert_rail(pair, 1, "rail0 10.0.0.1", "ens2 10.0.0.2", "same subnet 10.0.0.0/24");
	assert_rail(pair, 2, "rail1 10.0.1.1", "ens1 10.0.1.2", "same subnet 10.0.1.0/24");
	assert_int_equal(left.count, 0);
	assert_string_equal(left.text, "");
	test_free(pair);
}

static void rails_that_do_not_pair_are_named(void **state)
{
	struct pair *pair = pair_new();
	struct fm_rails_left left;

	(void)state;
	pair->b.list[0].up = false;
	nic_add(&pair->a, "docker0", "", "172.17.0.1/16");
	nic_add(&pair->b, "docker0", "", "172.17.0.1/16");
	nic_add(&pair->a, "ib7", "0000:70:00.0", "fe80::7/64");
	nic_add(&pair->a, "port8", "0000:80:00.0", "");
	nic_add(&pair->a, "veth9", "", "");
	assert_int_equal(try_every(pair, &left, control_a, control_b), 0);
	assert_int_equal(pair->count, 2);
	assert_rail(pair, 0, "eth0 192.168.0.1", "eth0 192.168.0.2", "same subnet 192.168.0.0/24");
	assert_rail(pair, 1, "rail0 10.0.0.1", "ens2 10.0.0.2", "same subnet 10.0.0.0/24");
	/* rail1's ordinal is docker0's over there, which is no hardware. */
	assert_non_null(strstr(left.text, "ens1 of the other node: down or without carrier"));
	assert_non_null(strstr(left.text, "ib7: link-local addresses only"));
	assert_non_null(strstr(left.text, "port8: no IP address"));
	assert_non_null(strstr(left.text, "docker0: "));
	assert_non_null(strstr(left.text, "rail1: "));
	assert_null(strstr(left.text, "veth9"));
	assert_null(strstr(left.text, "lo:"));
	test_free(pair);
}

/* Three here and two there in one subnet: the third has no partner of its own, whatever the names. */
static void no_device_is_in_two_rails(void **state)
{
	struct pair *pair = test_calloc(1, sizeof(*pair));
	struct fm_rails_left left;

	(void)state;
	nic_add(&pair->a, "a", "0000:03:00.0", "10.0.0.1/24");
	nic_add(&pair->a, "b", "0000:01:00.0", "10.0.0.2/24");
	nic_add(&pair->a, "c", "0000:02:00.0", "10.0.0.3/24");
	nic_add(&pair->b, "x", "0000:01:00.0", "10.0.0.11/24");
	nic_add(&pair->b, "y", "0000:02:00.0", "10.0.0.12/24");
	assert_int_equal(try_every(pair, &left, "10.0.0.2", "10.0.0.11"), 0);
	assert_int_equal(pair->count, 2);
	assert_rail(pair, 0, "b 10.0.0.2", "x 10.0.0.11", "same subnet 10.0.0.0/24");
	assert_rail(pair, 1, "c 10.0.0.3", "y 10.0.0.12", "same subnet 10.0.0.0/24");
	assert_int_equal(left.count, 1);
	assert_string_equal(left.text, "a: its partner x on the other node belongs to b");
	test_free(pair);
}

static void without_a_pair_it_is_one_rail(void **state)
{
	struct pair *pair = test_calloc(1, sizeof(*pair));
	struct fm_rails_left left;

	(void)state;
	nic_add(&pair->a, "eth0", "0000:01:00.0", "10.0.0.1/24");
	nic_add(&pair->a, "lo", "", "127.0.0.1/8");
	nic_add(&pair->b, "lo", "", "127.0.0.1/8");
	assert_int_equal(try_every(pair, &left, "10.0.0.1", "203.0.113.5"), 0);
	assert_int_equal(pair->count, 1);
	assert_string_equal(pair->rails[0].address_b, "203.0.113.5");
	/* Data between two ends of one machine never leaves it, whatever devices it has. */
	assert_int_equal(try_every(pair, &left, "127.0.0.1", "127.0.0.1"), 0);
	assert_int_equal(pair->count, 1);
	assert_string_equal(pair->rails[0].device_a, "lo");
	assert_int_equal(left.count, 0);
	test_free(pair);
}

/* An InfiniBand port, with no net device. */
static void port_add(struct fm_nics *nics, const char *device, const char *pci, const char *gid)
{
	struct fm_nic *nic = &nics->list[nics->count];
	char name[64];

	snprintf(name, sizeof(name), "%s:1", device);
	nic_add(nics, name, pci, "");
	snprintf(nic->link_layer, sizeof(nic->link_layer), "infiniband");
	nic->rdma = (struct fm_nic_rdma){.port = 1, .active = true};
	snprintf(nic->rdma.device, sizeof(nic->rdma.device), "%s", device);
	snprintf(nic->rdma.gid, sizeof(nic->rdma.gid), "%s", gid);
	snprintf(nic->rdma.gid_type, sizeof(nic->rdma.gid_type), "InfiniBand");
}

/* Two InfiniBand subnets, listed and named differently on the two nodes. */
static struct pair *pair_of_infiniband(void)
{
	struct pair *pair = test_calloc(1, sizeof(*pair));

	nic_add(&pair->a, "eth0", "0000:01:00.0", "192.168.0.1/24");
	nic_add(&pair->b, "eth0", "0000:01:00.0", "192.168.0.2/24");
	port_add(&pair->a, "mlx5_0", "0000:3b:00.0", "fe80::1");
	port_add(&pair->a, "mlx5_1", "0000:5e:00.0", "fe80::2");
	port_add(&pair->a, "mlx5_2", "0000:af:00.0", "fec0::1");
	port_add(&pair->b, "mlx5_7", "0000:af:00.0", "fe80::12");
	port_add(&pair->b, "mlx5_8", "0000:5e:00.0", "fe80::11");
	port_add(&pair->b, "mlx5_9", "0000:3b:00.0", "fec0::11");
	pair->rdma = true;
	return pair;
}

/* A port that is there for management is not meant, though it has RDMA and carries the control connection. */
static void slow_ports_are_passed_over(void **state)
{
	struct pair *pair = pair_of_infiniband();

	(void)state;
	for (int node = 0; node < 2; node++) {
		struct fm_nics *nics = node ? &pair->b : &pair->a;

		snprintf(nics->list[0].rdma.device, sizeof(nics->list[0].rdma.device), "bnxt_re0");
		snprintf(nics->list[0].link_layer, sizeof(nics->list[0].link_layer), "ethernet");
		nics->list[0].rdma.port = 1;
		nics->list[0].rdma.active = true;
		nics->list[0].link_gbps = 25;
	}
	/* As long as nobody says how fast the others are, it is one of several. */
	assert_int_equal(try(pair, "", "", "", control_a, control_b), 0);
	assert_rail(pair, 0, "eth0 192.168.0.1", "eth0 192.168.0.2", "the control connection's addresses");
	for (uint32_t i = 1; i < 4; i++)
		pair->a.list[i].link_gbps = pair->b.list[i].link_gbps = 50;
	assert_int_equal(try(pair, "", "", "", control_a, control_b), 0);
	assert_rail(pair, 0, "eth0 192.168.0.1", "eth0 192.168.0.2", "the control connection's addresses");
	pair->b.list[1].link_gbps = 400;
	assert_int_equal(try(pair, "", "", "", control_a, control_b), 0);
	assert_rail(pair, 0, "mlx5_1:1 ", "mlx5_7:1 ", "same InfiniBand subnet fe80::/64");
	/* Who names it gets it. */
	assert_int_equal(try(pair, "", "eth0", "", control_a, control_b), 0);
	assert_rail(pair, 0, "eth0 192.168.0.1", "eth0 192.168.0.2", "same subnet 192.168.0.0/24");
	test_free(pair);
}

static void ports_without_addresses(void **state)
{
	struct pair *pair = pair_of_infiniband();
	struct fm_rails_left left;
	struct fm_rail back[4];
	uint32_t count;
	json_t *json;

	(void)state;
	/* By subnet prefix, and in it by slot. */
	assert_int_equal(try(pair, "", "mlx5_0", "", control_a, control_b), 0);
	assert_rail(pair, 0, "mlx5_0:1 ", "mlx5_8:1 ", "same InfiniBand subnet fe80::/64");
	assert_int_equal(try(pair, "", "mlx5_1:1", "", control_a, control_b), 0);
	assert_rail(pair, 0, "mlx5_1:1 ", "mlx5_7:1 ", "same InfiniBand subnet fe80::/64");
	assert_int_equal(try(pair, "", "af:00.0", "", control_a, control_b), 0);
	assert_rail(pair, 0, "mlx5_2:1 ", "mlx5_9:1 ", "same InfiniBand subnet fec0::/64");
	assert_int_equal(try(pair, "", "mlx5_2=mlx5_7", "", control_a, control_b), 0);
	assert_rail(pair, 0, "mlx5_2:1 ", "mlx5_7:1 ", "asked for");
	/* Nothing asked for: the management network has no RDMA. */
	assert_int_equal(try(pair, "", "", "", control_a, control_b), 0);
	assert_rail(pair, 0, "mlx5_0:1 ", "mlx5_8:1 ", "same InfiniBand subnet fe80::/64");
	assert_int_equal(try_every(pair, &left, control_a, control_b), 0);
	assert_int_equal(pair->count, 4);
	assert_rail(pair, 0, "eth0 192.168.0.1", "eth0 192.168.0.2", "same subnet 192.168.0.0/24");
	json = fm_rails_to_json(pair->rails, pair->count);
	assert_int_equal(fm_rails_from_json(json, back, 4, &count, &pair->error), 0);
	assert_string_equal(back[1].device_b, "mlx5_8:1");
	assert_string_equal(back[1].address_b, "");
	json_decref(json);
	/* For what needs addresses they are no rails. */
	pair->rdma = false;
	assert_int_equal(try(pair, "", "", "", control_a, control_b), 0);
	assert_rail(pair, 0, "eth0 192.168.0.1", "eth0 192.168.0.2", "the control connection's addresses");
	assert_int_equal(try_every(pair, &left, control_a, control_b), 0);
	assert_int_equal(pair->count, 1);
	assert_int_equal(left.count, 6);
	/* A subnet that the other node is not in; a port that is down; a GPU. */
	snprintf(pair->a.list[3].rdma.gid, FM_ADDRESS_MAX, "fd00::1");
	assert_error(pair, try(pair, "", "mlx5_2", "", control_a, control_b), -ENODEV,
		     "no device of the other node belongs to 'mlx5_2:1'");
	pair->a.list[1].up = pair->a.list[1].rdma.active = false;
	assert_error(pair, try(pair, "", "mlx5_0", "", control_a, control_b), -ENETDOWN,
		     "port 1 of mlx5_0 on this node is not active");
	assert_error(pair, try(pair, "", "gpu:0", "", control_a, control_b), -ENODEV,
		     "this build places no GPUs; name the NIC itself");
	test_free(pair);
}

/* RoCE: the same rail by whatever name, and the control connection's own NIC where it has RDMA. */
static void roce_by_any_name(void **state)
{
	static const char *const names[] = {"rail1", "mlx5_1", "mlx5_1:1", "5e:00.0", "10.0.1.1"};
	struct pair *pair = pair_new();
	struct fm_nics *const nodes[] = {&pair->a, &pair->b};
	struct fm_rails_left left;

	(void)state;
	pair->rdma = true;
	for (int node = 0; node < 2; node++)
		for (uint32_t i = 0; i < nodes[node]->count; i++) {
			struct fm_nic *nic = &nodes[node]->list[i];

			if (strncmp(nic->name, "rail", 4) != 0 && strncmp(nic->name, "ens", 3) != 0)
				continue;
			nic->rdma = (struct fm_nic_rdma){.port = 1, .active = true};
			snprintf(nic->rdma.device, sizeof(nic->rdma.device), "mlx5_%u", node == 0 ? i - 2 : 7 + i);
		}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(try(pair, "", names[i], "", control_a, control_b), 0);
		assert_rail(pair, 0, "rail1 10.0.1.1", "ens1 10.0.1.2", "same subnet 10.0.1.0/24");
	}
	assert_int_equal(try(pair, "", "", "", control_a, control_b), 0);
	assert_rail(pair, 0, "rail0 10.0.0.1", "ens2 10.0.0.2", "same subnet 10.0.0.0/24");
	assert_int_equal(try(pair, "", "", "", "10.0.1.1", "10.0.1.2"), 0);
	assert_rail(pair, 0, "rail1 10.0.1.1", "ens1 10.0.1.2", "the control connection's addresses");
	pair->rdma = false;
	assert_int_equal(try(pair, "", "", "", control_a, control_b), 0);
	assert_rail(pair, 0, "eth0 192.168.0.1", "eth0 192.168.0.2", "the control connection's addresses");
	pair->rdma = true;
	/* The loopback has no RDMA: on one machine a port talks to itself. */
	pair->b = pair->a;
	assert_int_equal(try(pair, "", "", "", "127.0.0.1", "127.0.0.1"), 0);
	assert_rail(pair, 0, "rail0 10.0.0.1", "rail0 10.0.0.1", "same subnet 10.0.0.0/24");
	assert_int_equal(try_every(pair, &left, "127.0.0.1", "127.0.0.1"), 0);
	assert_rail(pair, 0, "rail0 10.0.0.1", "rail0 10.0.0.1", "same subnet 10.0.0.0/24");
	test_free(pair);
}

static void what_is_left_says_how_many(void **state)
{
	struct fm_rails_left left = {0};
	uint32_t shown;

	(void)state;
	for (int i = 0; i < 100; i++)
		fm_rails_leave(&left, "eth123", "no partner on the other node, number %d", i);
	assert_int_equal(left.count, 100);
	shown = left.shown;
	assert_in_range(shown, 10, 99);
	assert_non_null(strstr(left.text, "number 0"));
	fm_rails_leave(&left, "x", "y");
	assert_int_equal(left.shown, shown);
}

static void rails_cross_the_wire(void **state)
{
	static const char *const bad[] = {
		"{}",
		"[]",
		"[1]",
		"null",
		"[{}]",
		"[{'device_a':'','device_b':'','address_a':'1.2.3.4','address_b':'::1','reason':''}]",
		"[{'device_a':'','device_b':'','address_a':'fe80::1%eth0','address_b':'fe80::2','reason':''}]",
		"[{'device_a':'e 0','device_b':'','address_a':'1.2.3.4','address_b':'1.2.3.5','reason':''}]",
		"[{'device_a':'','device_b':'','address_a':'1.2.3.4','address_b':'1.2.3.5','reason':'\\u001b[2J'}]",
		"[{'device_a':'','device_b':'','address_a':'1.2.3.4','address_b':'1.2.3.5','reason':'','more':1}]",
		"[{'device_a':'','device_b':'','address_a':'','address_b':'1.2.3.5','reason':''}]",
		"[{'device_a':7,'device_b':'','address_a':'1.2.3.4','address_b':'1.2.3.5','reason':''}]",
	};
	struct pair *pair = pair_new();
	struct fm_rail back[2];
	uint32_t count = 9;
	json_t *json;

	(void)state;
	assert_int_equal(try(pair, "rail0,rail1", "", "", control_a, control_b), 0);
	json = fm_rails_to_json(pair->rails, pair->count);
	assert_int_equal(fm_rails_from_json(json, back, 1, &count, &pair->error), -EPROTO);
	assert_int_equal(fm_rails_from_json(json, back, 2, &count, &pair->error), 0);
	assert_int_equal(count, 2);
	for (uint32_t i = 0; i < count; i++) {
		assert_string_equal(back[i].device_b, pair->rails[i].device_b);
		assert_string_equal(back[i].address_a, pair->rails[i].address_a);
		assert_string_equal(back[i].reason, pair->rails[i].reason);
	}
	json_decref(json);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[256];

		snprintf(text, sizeof(text), "%s", bad[i]);
		for (char *at = text; (at = strchr(at, '\'')); at++)
			*at = '"';
		json = json_loads(text, JSON_DECODE_ANY, NULL);
		assert_non_null(json);
		assert_int_equal(fm_rails_from_json(json, back, 2, &count, &pair->error), -EPROTO);
		assert_int_equal(pair->error.reason, FM_REASON_PROTOCOL);
		assert_int_equal(count, 2);
		json_decref(json);
	}
	test_free(pair);
}

static void addresses_are_strict(void **state)
{
	static const char *const bad[] = {
		"",	      "10.0.0",	     "10.0.0.1%eth0", "fe80::1%",  "::1%averyveryverylongname",
		"[::1]",      "10.0.0.1/24", "nodeA",	      "1.2.3.4.5", ":::",
		"10.0.0.256", " 10.0.0.1"};
	struct fm_address a, b;
	char text[FM_ADDRESS_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(fm_address_parse(bad[i], &a));
	assert_true(fm_address_parse("::ffff:10.1.2.3", &a));
	assert_string_equal(fm_address_format(&a, text, sizeof(text)), "10.1.2.3");
	assert_true(fm_address_parse("FE80:0:0::1%eth0", &a));
	assert_string_equal(fm_address_format(&a, text, sizeof(text)), "fe80::1");
	assert_string_equal(a.scope, "eth0");
	assert_true(fm_address_parse("10.1.2.3", &a) && fm_address_parse("10.1.3.3", &b));
	assert_true(fm_address_same_prefix(&a, &b, 23));
	assert_false(fm_address_same_prefix(&a, &b, 24));
	assert_true(fm_address_same_prefix(&a, &b, 0));
	assert_false(fm_address_same_prefix(&a, &a, 33));
}

static void routes_of_this_machine(void **state)
{
	struct fm_error error = {0};

	(void)state;
	assert_int_equal(fm_route_check("127.0.0.1", "127.0.0.1", "lo", &error), 0);
	assert_int_equal(fm_route_check("127.0.0.1", "::ffff:127.0.0.1", "", &error), 0);
	assert_int_equal(fm_route_check("192.0.2.77", "127.0.0.1", "lo", &error), -EADDRNOTAVAIL);
	assert_non_null(strstr(error.text, "192.0.2.77 is no address of this node"));
	assert_int_equal(fm_route_check("127.0.0.1", "::1", "lo", &error), -EINVAL);
	assert_int_equal(fm_route_check("", "127.0.0.1", "", &error), -EINVAL);
}

static int shell(const char *command)
{
	return system(command) == 0 ? 0 : -1;
}

#define EXPECT(condition)                                                                                              \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                \
			return 1;                                                                                      \
		}                                                                                                      \
	} while (0)

/* Two devices in one subnet: without a rule all packets leave by the first one, whatever address they come from. */
static int routes_in_namespace(void)
{
	struct fm_error error = {0};

	if (unshare(CLONE_NEWNET) < 0 ||
	    shell("exec 2>/dev/null; ip link set lo up && ip link add x0 type veth peer name x1 && "
		  "ip link add y0 type veth peer name y1 && ip link set x0 up && ip link set x1 up && ip link set y0 "
		  "up && "
		  "ip link set y1 up && ip address add 10.9.0.1/24 dev x0 && ip address add 10.9.0.2/24 dev y0") < 0)
		return ROUTES_MISSING;
	EXPECT(fm_route_check("10.9.0.1", "10.9.0.9", "x0", &error) == 0);
	EXPECT(fm_route_check("10.9.0.2", "10.9.0.9", "y0", &error) == -EXDEV);
	EXPECT(strstr(error.text, "leave by x0, not y0"));
	EXPECT(strstr(error.text, "ip rule add from 10.9.0.2"));
	EXPECT(fm_route_check("10.9.0.2", "10.9.0.9", "", &error) == 0);
	EXPECT(fm_route_check("10.9.0.1", "10.9.0.2", "x0", &error) == 0);
	EXPECT(fm_route_check("10.9.0.1", "10.8.0.1", "x0", &error) == -ENETUNREACH);
	EXPECT(strstr(error.text, "no route from 10.9.0.1 to 10.8.0.1"));
	if (shell("exec 2>/dev/null; ip rule add from 10.9.0.2 table 100 && "
		  "ip route add 10.9.0.9 dev y0 table 100") == 0)
		EXPECT(fm_route_check("10.9.0.2", "10.9.0.9", "y0", &error) == 0);
	if (shell("exec 2>/dev/null; ip address add fe80::77/64 dev y0 nodad && "
		  "ip address add fd09::1/64 dev x0 nodad && ip address add fd09::2/64 dev y0 nodad") == 0) {
		EXPECT(fm_route_check("fe80::77%y0", "fe80::78", "y0", &error) == 0);
		EXPECT(fm_route_check("fe80::77%y0", "fe80::78", "", &error) == 0);
		EXPECT(fm_route_check("fd09::1", "fd09::9", "x0", &error) == 0);
		EXPECT(fm_route_check("fd09::1", "fd08::9", "x0", &error) == -ENETUNREACH);
	}
	return 0;
}

static void routes_of_two_devices_in_one_subnet(void **state)
{
	int status;
	pid_t child = fork();

	(void)state;
	if (child == 0)
		_exit(routes_in_namespace());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == ROUTES_MISSING) {
		printf("SKIP: routes_of_two_devices_in_one_subnet needs root, network namespaces and 'ip' with veth\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_asked_takes_the_control_addresses),
		cmocka_unit_test(remote_is_in_the_same_subnet),
		cmocka_unit_test(flat_fabric_pairs_equal_ranks),
		cmocka_unit_test(routed_fabric_pairs_equal_ordinals),
		cmocka_unit_test(family_is_what_both_share),
		cmocka_unit_test(what_is_asked_must_exist),
		cmocka_unit_test(one_machine_may_use_its_loopback),
		cmocka_unit_test(lists_of_rails),
		cmocka_unit_test(every_rail_that_pairs),
		cmocka_unit_test(rails_that_do_not_pair_are_named),
		cmocka_unit_test(no_device_is_in_two_rails),
		cmocka_unit_test(without_a_pair_it_is_one_rail),
		cmocka_unit_test(ports_without_addresses),
		cmocka_unit_test(slow_ports_are_passed_over),
		cmocka_unit_test(roce_by_any_name),
		cmocka_unit_test(what_is_left_says_how_many),
		cmocka_unit_test(rails_cross_the_wire),
		cmocka_unit_test(addresses_are_strict),
		cmocka_unit_test(routes_of_this_machine),
		cmocka_unit_test(routes_of_two_devices_in_one_subnet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
