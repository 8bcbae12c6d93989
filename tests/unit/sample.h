/*
 * sample.h - rows as a run makes them, for the tests of results.
 */
#ifndef FM_SAMPLE_H
#define FM_SAMPLE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "results/record.h"

#define SET(field, text) snprintf(field, sizeof(field), "%s", text)

/* What all rows of a run share, and the reason that fm_record_check asks of one that failed. */
static inline void sample_row(struct fm_record *record, uint64_t point, const char *test, uint64_t size)
{
	fm_record_init(record);
	SET(record->key.run_id, "20261123T131500Z-node1-4f2a");
	record->key.point_id = point;
	record->key.row_kind = "flow";
	record->key.rail = 0;
	record->key.direction = "a_to_b";
	record->key.initiator = "a";
	record->key.load = "one_way";
	SET(record->a.node, "node1");
	SET(record->b.node, "node2");
	SET(record->work.transport, "verbs");
	SET(record->work.test, test);
	record->work.size_bytes = size;
	SET(record->a.memory, "host");
	SET(record->b.memory, "host");
	SET(record->work.memory_path, "host");
	SET(record->a.device, "mlx5_0:1");
	SET(record->b.device, "mlx5_0:1");
	SET(record->a.link_layer, "infiniband");
	SET(record->b.link_layer, "infiniband");
	record->a.link_gbps = record->b.link_gbps = 400;
	record->work.streams = 1;
	record->verdict.reason_code = "internal";
	SET(record->verdict.reason, "nobody finished this row");
}

static inline void sample_ok(struct fm_record *record)
{
	record->verdict.status = "ok";
	record->verdict.reason_code = "";
	record->verdict.reason[0] = '\0';
	record->verdict.stop_reason = "confidence";
	record->verdict.verified = "no";
	record->work.completion = "delivered";
	SET(record->key.time_utc, "2026-11-23T13:15:02.125Z");
}

static inline void sample_latency(struct fm_record *record, uint64_t point, uint64_t size, double p50_us)
{
	sample_row(record, point, "write_lat", size);
	sample_ok(record);
	record->latency.definition = "half_rtt";
	record->latency.samples = 1200000;
	record->latency.p50_us = p50_us;
	record->latency.p50_low_us = p50_us * 0.996;
	record->latency.p50_high_us = p50_us * 1.005;
	record->latency.p99_us = p50_us * 1.4;
	record->latency.p999_us = p50_us * 2.25;
	record->latency.max_us = p50_us * 20;
}

static inline void sample_rate(struct fm_record *record, uint64_t point, uint64_t size, uint64_t rail, double gbps)
{
	sample_row(record, point, "write_bw", size);
	sample_ok(record);
	record->key.rail = rail;
	record->key.row_kind = rail == FM_EMPTY ? "total" : "flow";
	if (rail == FM_EMPTY)
		record->a.device[0] = record->b.device[0] = '\0';
	else
		snprintf(record->b.device, sizeof(record->b.device), "mlx5_%u:1", (unsigned)rail % 64);
	SET(record->a.device, record->b.device);
	record->rate.bw_gbps = gbps;
	record->rate.low_gbps = gbps * 0.999;
	record->rate.high_gbps = gbps * 1.0005;
	record->rate.worst_gbps = gbps * 0.97;
	record->rate.msg_rate_per_s = gbps * 1e9 / 8 / (double)size;
	record->rate.ceiling_percent = rail == FM_EMPTY ? gbps / 8 : gbps / 4;
}

#endif
