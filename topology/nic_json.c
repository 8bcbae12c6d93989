/*
 * nic_json.c - inventories and rails as the JSON of the offer and the plan. What comes back is the peer's word: every
 * text is checked before it reaches a terminal, a file or a socket call.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "topology/address.h"
#include "topology/placement.h"
#include "topology/sysfs.h"

enum { JSON_MTU_MAX = 1 << 24, JSON_NODE_MAX = 1023, JSON_GBPS_MAX = 100000, JSON_PORT_MAX = 255 };

__attribute__((format(printf, 2, 3))) static int odd(struct fm_error *error, const char *format, ...)
{
	char what[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	return fm_error_set(error, -EPROTO, FM_REASON_PROTOCOL, "the peer's %s", what);
}

/* A name is printable ASCII without blanks and quotes; a sentence has these too, and UTF-8: no control characters. */
static bool is_name(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text > '~' || strchr("\"'\\`", *text))
			return false;
	return true;
}

static bool is_sentence(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			return false;
	return true;
}

static bool text_take(const char *from, bool (*is_good)(const char *), char *to, size_t bytes)
{
	size_t length = strlen(from);

	if (length >= bytes || !is_good(from))
		return false;
	memcpy(to, from, length + 1);
	return true;
}

static json_t *address_to_json(const struct fm_nic_address *address)
{
	return json_sprintf("%.*s/%u", (int)strcspn(address->text, "%"), address->text, (unsigned)address->prefix_bits);
}

static json_t *rdma_to_json(const struct fm_nic_rdma *rdma)
{
	return json_pack("{s:s, s:I, s:b, s:I, s:s, s:s}", "device", rdma->device, "port", (json_int_t)rdma->port,
			 "active", rdma->active, "gid_index", (json_int_t)rdma->gid_index, "gid", rdma->gid, "gid_type",
			 rdma->gid_type);
}

static json_t *nic_to_json(const struct fm_nic *nic)
{
	json_t *addresses = json_array();
	json_t *object;

	for (uint32_t i = 0; addresses && i < nic->address_count; i++)
		if (json_array_append_new(addresses, address_to_json(&nic->addresses[i])) < 0) {
			json_decref(addresses);
			return NULL;
		}
	object = json_pack("{s:s, s:s, s:s, s:s, s:I, s:i, s:b, s:b, s:o}", "name", nic->name, "pci", nic->pci,
			   "driver", nic->driver, "link_layer", nic->link_layer, "mtu", (json_int_t)nic->mtu, "numa",
			   nic->numa_node, "up", nic->up, "loopback", nic->loopback, "addresses", addresses);
	/* JSON has no NaN: an unknown rate is no member. */
	if (object && ((!isnan(nic->link_gbps) && json_object_set_new(object, "gbps", json_real(nic->link_gbps)) < 0) ||
		       (nic->rdma.device[0] && json_object_set_new(object, "rdma", rdma_to_json(&nic->rdma)) < 0))) {
		json_decref(object);
		return NULL;
	}
	return object;
}

json_t *fm_nics_to_json(const struct fm_nics *nics)
{
	json_t *list = json_array();

	for (uint32_t i = 0; list && i < nics->count; i++) {
		/* The kernel takes almost any byte in a name; such a device stays at home. */
		if (!is_name(nics->list[i].name) || !is_name(nics->list[i].rdma.device))
			continue;
		if (json_array_append_new(list, nic_to_json(&nics->list[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* "10.1.0.5/24". Family and link-locality follow from the text, so that they can't contradict it. */
static bool address_from_json(const json_t *json, const struct fm_nic *nic, struct fm_nic_address *to)
{
	const char *text = json_string_value(json);
	char bare[FM_ADDRESS_MAX - IF_NAMESIZE - 1];
	struct fm_address address;
	const char *slash = text ? strchr(text, '/') : NULL;
	long bits;

	if (!slash || (size_t)(slash - text) >= sizeof(bare))
		return false;
	memcpy(bare, text, (size_t)(slash - text));
	bare[slash - text] = '\0';
	if (!fm_address_parse(bare, &address) || address.scope[0] != '\0' ||
	    !fm_integer_parse(slash + 1, 0, (long)fm_address_bits(address.family), &bits))
		return false;
	to->gid_index = -1;
	to->family = address.family;
	to->prefix_bits = (uint32_t)bits;
	to->link_local = fm_address_link_local(&address);
	fm_address_format(&address, bare, sizeof(bare));
	snprintf(to->text, sizeof(to->text), to->link_local && to->family == AF_INET6 ? "%s%%%.15s" : "%s", bare,
		 nic->name);
	return true;
}

/* An RDMA port and its GID, which is an IPv6 address. */
static bool rdma_from_json(const json_t *json, struct fm_nic_rdma *rdma)
{
	const char *device, *gid, *gid_type;
	json_int_t port, gid_index;
	struct fm_address address;
	int active;

	if (json_unpack((json_t *)(uintptr_t)json, "{s:s, s:I, s:b, s:I, s:s, s:s !}", "device", &device, "port", &port,
			"active", &active, "gid_index", &gid_index, "gid", &gid, "gid_type", &gid_type) < 0)
		return false;
	if (port < 1 || port > JSON_PORT_MAX || gid_index < 0 || gid_index > UINT16_MAX || !device[0] ||
	    !text_take(device, is_name, rdma->device, sizeof(rdma->device)) ||
	    !text_take(gid_type, is_sentence, rdma->gid_type, sizeof(rdma->gid_type)) ||
	    !text_take(gid, is_name, rdma->gid, sizeof(rdma->gid)) ||
	    (gid[0] && (!fm_address_parse(gid, &address) || address.scope[0])))
		return false;
	rdma->port = (uint32_t)port;
	rdma->gid_index = (uint32_t)gid_index;
	rdma->active = active;
	return true;
}

/* A net device's name is short and has no colon; a port's is its RDMA device's, a colon and its number. */
static bool name_take(const char *name, struct fm_nic *nic)
{
	char port[sizeof(nic->name) + 16];

	snprintf(port, sizeof(port), "%s:%u", nic->rdma.device, nic->rdma.port);
	if (nic->rdma.device[0] && strcmp(name, port) == 0)
		return text_take(name, is_name, nic->name, sizeof(nic->name));
	return name[0] && !strchr(name, ':') && text_take(name, is_name, nic->name, IF_NAMESIZE);
}

static int nic_from_json(const json_t *json, struct fm_nic *nic, struct fm_error *error)
{
	const char *name, *pci, *driver, *link_layer;
	json_int_t mtu, node;
	int up, loopback;
	json_t *addresses, *rdma = NULL;
	json_error_t why;

	memset(nic, 0, sizeof(*nic));
	nic->link_gbps = NAN;
	if (json_unpack_ex((json_t *)(uintptr_t)json, &why, 0,
			   "{s:s, s:s, s:s, s:s, s?F, s:I, s:I, s:b, s:b, s:o, s?o !}", "name", &name, "pci", &pci,
			   "driver", &driver, "link_layer", &link_layer, "gbps", &nic->link_gbps, "mtu", &mtu, "numa",
			   &node, "up", &up, "loopback", &loopback, "addresses", &addresses, "rdma", &rdma) < 0)
		return odd(error, "net device makes no sense: %s", why.text);
	if (rdma && !rdma_from_json(rdma, &nic->rdma))
		return odd(error, "net device has an RDMA port that is none");
	if (!name_take(name, nic))
		return odd(error, "net device has no proper name");
	if (!text_take(pci, is_name, nic->pci, sizeof(nic->pci)) ||
	    !text_take(driver, is_sentence, nic->driver, sizeof(nic->driver)) ||
	    !text_take(link_layer, is_name, nic->link_layer, sizeof(nic->link_layer)))
		return odd(error, "net device %s has a text that is none", nic->name);
	if (mtu < 0 || mtu > JSON_MTU_MAX || node < -1 || node > JSON_NODE_MAX ||
	    (!isnan(nic->link_gbps) && !(nic->link_gbps > 0 && nic->link_gbps <= JSON_GBPS_MAX)))
		return odd(error, "net device %s has a number out of range", nic->name);
	if (!json_is_array(addresses) || json_array_size(addresses) > FM_NIC_ADDRESSES_MAX)
		return odd(error, "net device %s has no list of at most %d addresses", nic->name, FM_NIC_ADDRESSES_MAX);
	nic->mtu = (uint32_t)mtu;
	nic->numa_node = (int)node;
	nic->up = up;
	nic->loopback = loopback;
	nic->address_count = (uint32_t)json_array_size(addresses);
	for (uint32_t i = 0; i < nic->address_count; i++)
		if (!address_from_json(json_array_get(addresses, i), nic, &nic->addresses[i]))
			return odd(error, "net device %s has an address that is none", nic->name);
	return 0;
}

int fm_nics_from_json(const json_t *json, struct fm_nics *nics, struct fm_error *error)
{
	struct fm_nics *parsed;
	int result = 0;

	if (!json_is_array(json) || json_array_size(json) > FM_NICS_MAX)
		return odd(error, "inventory is no list of at most %d net devices", FM_NICS_MAX);
	parsed = malloc(sizeof(*parsed));
	if (!parsed)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for the peer's inventory");
	parsed->count = 0;
	for (size_t i = 0; i < json_array_size(json); i++) {
		struct fm_nic *nic = &parsed->list[i];

		result = nic_from_json(json_array_get(json, i), nic, error);
		if (result < 0)
			goto out;
		for (uint32_t j = 0; j < parsed->count; j++)
			if (strcmp(parsed->list[j].name, nic->name) == 0) {
				result = odd(error, "inventory lists %s twice", nic->name);
				goto out;
			}
		parsed->count++;
	}
	nics->count = parsed->count;
	memcpy(nics->list, parsed->list, parsed->count * sizeof(parsed->list[0]));
out:
	free(parsed);
	return result;
}

json_t *fm_rails_to_json(const struct fm_rail *rails, uint32_t count)
{
	json_t *list = json_array();

	for (uint32_t i = 0; list && i < count; i++) {
		const struct fm_rail *rail = &rails[i];
		json_t *object =
			json_pack("{s:s, s:s, s:s, s:s, s:s}", "device_a", rail->device_a, "device_b", rail->device_b,
				  "address_a", rail->address_a, "address_b", rail->address_b, "reason", rail->reason);

		if (json_array_append_new(list, object) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static int rail_from_json(const json_t *json, struct fm_rail *rail, struct fm_error *error)
{
	const char *device_a, *device_b, *address_a, *address_b, *reason;
	struct fm_address a, b;
	json_error_t why;

	memset(rail, 0, sizeof(*rail));
	if (json_unpack_ex((json_t *)(uintptr_t)json, &why, 0, "{s:s, s:s, s:s, s:s, s:s !}", "device_a", &device_a,
			   "device_b", &device_b, "address_a", &address_a, "address_b", &address_b, "reason",
			   &reason) < 0)
		return odd(error, "rail makes no sense: %s", why.text);
	if (!text_take(device_a, is_name, rail->device_a, sizeof(rail->device_a)) ||
	    !text_take(device_b, is_name, rail->device_b, sizeof(rail->device_b)) ||
	    !text_take(reason, is_sentence, rail->reason, sizeof(rail->reason)))
		return odd(error, "rail has a text that is none");
	/* Between RDMA ports, which are named, no address is needed. */
	if (!address_a[0] && !address_b[0] && device_a[0] && device_b[0])
		return 0;
	if (!fm_address_parse(address_a, &a) || !fm_address_parse(address_b, &b) || a.scope[0] || b.scope[0])
		return odd(error, "rail has an address that is none");
	if (a.family != b.family)
		return odd(error, "rail mixes IPv4 and IPv6");
	fm_address_format(&a, rail->address_a, sizeof(rail->address_a));
	fm_address_format(&b, rail->address_b, sizeof(rail->address_b));
	return 0;
}

int fm_rails_from_json(const json_t *json, struct fm_rail *rails, uint32_t capacity, uint32_t *count,
		       struct fm_error *error)
{
	size_t size = json_array_size(json);
	struct fm_rail *parsed;
	int result = 0;

	if (!json_is_array(json) || size == 0 || size > capacity || size > FM_RAILS_MAX)
		return odd(error, "plan has no list of 1 to %u rails",
			   capacity < FM_RAILS_MAX ? capacity : FM_RAILS_MAX);
	parsed = calloc(size, sizeof(*parsed));
	if (!parsed)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for the peer's rails");
	for (size_t i = 0; i < size && result == 0; i++)
		result = rail_from_json(json_array_get(json, i), &parsed[i], error);
	if (result == 0) {
		memcpy(rails, parsed, size * sizeof(*parsed));
		*count = (uint32_t)size;
	}
	free(parsed);
	return result;
}
