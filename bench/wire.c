/*
 * wire.c - blobs, counters, effective values and places as JSON.
 */
#include "bench/wire.h"

#include <errno.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "bench/session.h"

json_t *fm_blob_to_json(const struct fm_blob *blob)
{
	unsigned char *text = malloc((size_t)(blob->bytes + 2) / 3 * 4 + 1);
	json_t *json;

	if (!text)
		return NULL;
	EVP_EncodeBlock(text, blob->data, (int)blob->bytes);
	json = json_string((const char *)text);
	free(text);
	return json;
}

int fm_blob_from_json(const json_t *json, struct fm_blob *blob)
{
	const char *text = json_string_value(json);
	size_t length = text ? strlen(text) : 0;
	uint8_t *bytes;
	int count;

	if (!text || length % 4 || length / 4 * 3 > FM_BLOB_MAX)
		return -EPROTO;
	bytes = malloc(length / 4 * 3 + 1);
	if (!bytes)
		return -ENOMEM;
	count = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)length);
	/* It counts the padding as bytes. */
	for (size_t i = length; count > 0 && i > 0 && text[i - 1] == '=' && length - i < 2; i--)
		count--;
	if (count >= 0) {
		blob->bytes = (uint32_t)count;
		memcpy(blob->data, bytes, (size_t)count);
	}
	free(bytes);
	return count >= 0 ? 0 : -EPROTO;
}

json_t *fm_effective_to_json(const struct fm_effective *effective)
{
	json_t *object = json_object();

	for (uint32_t i = 0; i < effective->count; i++)
		json_object_set_new(object, effective->items[i].key, json_string(effective->items[i].value));
	return object;
}

json_t *fm_counters_to_json(const struct fm_counters *counters)
{
	json_t *object = json_object();

	for (uint32_t i = 0; i < counters->count; i++)
		json_object_set_new(object, counters->items[i].key, json_integer((json_int_t)counters->items[i].value));
	return object;
}

void fm_counters_accumulate(struct fm_counters *sum, const char *key, uint64_t delta)
{
	for (uint32_t i = 0; i < sum->count; i++)
		if (strcmp(sum->items[i].key, key) == 0) {
			sum->items[i].value += delta;
			return;
		}
	fm_counters_add(sum, key, delta);
}

void fm_counters_delta(const struct fm_counters *before, const struct fm_counters *after, struct fm_counters *sum)
{
	for (uint32_t i = 0; i < after->count; i++)
		for (uint32_t j = 0; j < before->count; j++)
			if (strcmp(after->items[i].key, before->items[j].key) == 0)
				fm_counters_accumulate(sum, after->items[i].key,
						       after->items[i].value - before->items[j].value);
}

json_t *fm_place_to_json(const struct fm_place *place)
{
	json_t *rails = json_array();

	for (uint32_t i = 0; i < place->count; i++) {
		const struct fm_place_rail *rail = &place->rails[i];
		json_t *cpus = json_array();

		for (uint32_t j = 0; j < rail->cpu_count; j++)
			json_array_append_new(cpus, json_integer(rail->cpus[j]));
		json_array_append_new(
			rails, json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:o, s:i, s:i, s:i, s:b, s:s, s:o}",
					 "device", rail->device, "address", rail->address, "pci", rail->pci,
					 "link_layer", rail->link_layer, "rdma_device", rail->rdma_device, "rdma_port",
					 (int)rail->port, "gid_index", (int)rail->gid_index, "link_gbps",
					 isfinite(rail->link_gbps) ? json_real(rail->link_gbps) : json_null(), "mtu",
					 (int)rail->mtu, "gpu", rail->gpu, "numa_node", rail->numa_node, "shared_cpus",
					 rail->shared_cpus, "reason", rail->reason, "cpus", cpus));
	}
	return rails;
}

static void copy_text(char *field, size_t bytes, const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	fm_text_take(field, bytes, text ? text : "");
}

/* What is no number of that range is unknown. */
static json_int_t json_within(const json_t *object, const char *key, json_int_t low, json_int_t high,
			      json_int_t unknown)
{
	const json_t *value = json_object_get(object, key);
	json_int_t number = json_integer_value(value);

	return json_is_integer(value) && number >= low && number <= high ? number : unknown;
}

int fm_place_from_json(const json_t *json, struct fm_place *place)
{
	size_t i, j;
	json_t *object, *cpu;

	if (!json_is_array(json) || json_array_size(json) > FM_RAILS_MAX)
		return -EPROTO;
	*place = (struct fm_place){.count = (uint32_t)json_array_size(json)};
	json_array_foreach(json, i, object)
	{
		struct fm_place_rail *rail = &place->rails[i];
		json_t *speed = json_object_get(object, "link_gbps"), *cpus = json_object_get(object, "cpus");
		double gbps;

		copy_text(rail->device, sizeof(rail->device), object, "device");
		copy_text(rail->address, sizeof(rail->address), object, "address");
		copy_text(rail->pci, sizeof(rail->pci), object, "pci");
		copy_text(rail->link_layer, sizeof(rail->link_layer), object, "link_layer");
		copy_text(rail->rdma_device, sizeof(rail->rdma_device), object, "rdma_device");
		copy_text(rail->reason, sizeof(rail->reason), object, "reason");
		gbps = json_is_number(speed) ? json_number_value(speed) : NAN;
		rail->link_gbps = gbps > 0 && gbps < 1e6 ? gbps : NAN;
		rail->mtu = (uint32_t)json_within(object, "mtu", 0, 1 << 24, 0);
		rail->port = (uint32_t)json_within(object, "rdma_port", 0, 255, 0);
		rail->gid_index = (uint32_t)json_within(object, "gid_index", 0, UINT16_MAX, 0);
		rail->gpu = (int)json_within(object, "gpu", -1, 1023, -1);
		rail->numa_node = (int)json_within(object, "numa_node", -1, 4095, -1);
		rail->shared_cpus = json_is_true(json_object_get(object, "shared_cpus"));
		json_array_foreach(cpus, j, cpu) if (j < FM_THREADS_MAX) rail->cpus[rail->cpu_count++] =
			(int)json_integer_value(cpu);
	}
	return 0;
}
