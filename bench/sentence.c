/*
 * sentence.c - the closing sentence of a run, from its rows.
 */
#include <math.h>

#include "bench/pair.h"
#include "common/options.h"
#include "results/format.h"

enum { DECIMALS = 3, NUMBER_WIDTH = 12 };

/* As the table writes it. */
static const char *number(double value, char *text, size_t bytes)
{
	return fm_format_decimals(value, DECIMALS, NUMBER_WIDTH, text, bytes);
}

/* " (95% 11.901 to 12.407)", or "" where the sample supports no interval. */
static const char *interval(double low, double high, char *text, size_t bytes)
{
	char from[32], to[32];

	text[0] = '\0';
	if (isfinite(low) && isfinite(high))
		snprintf(text, bytes, " (95%% %s to %s)", number(low, from, sizeof(from)),
			 number(high, to, sizeof(to)));
	return text;
}

/* "8 B", "64K": a suffix speaks for itself. */
static void size_text(uint64_t bytes, char *text, size_t capacity)
{
	size_t length;

	fm_format_count(bytes, text, capacity);
	length = strlen(text);
	if (text[length - 1] >= '0' && text[length - 1] <= '9')
		snprintf(text + length, capacity - length, " B");
}

/* " by eth1": which of the rails it was, where they take turns. */
static const char *by_text(const struct fm_pair *pair, const struct fm_record *record, char *text, size_t bytes)
{
	text[0] = '\0';
	if (pair->run.plan.in_turn)
		snprintf(text, bytes, " by %s", record->a.device);
	return text;
}

static void note_latency(struct fm_pair *pair, const struct fm_record *record)
{
	struct fm_pair_notes *notes = &pair->notes;
	char size[32], spread[64], value[32], by[80];

	size_text(record->work.size_bytes, size, sizeof(size));
	interval(record->latency.p50_low_us, record->latency.p50_high_us, spread, sizeof(spread));
	snprintf(notes->latency, sizeof(notes->latency), "%s %s over %s%s takes %s us %s%s", record->work.test, size,
		 record->work.transport, by_text(pair, record, by, sizeof(by)),
		 number(record->latency.p50_us, value, sizeof(value)),
		 strcmp(record->latency.definition, "half_rtt") == 0 ? "one way (half a round trip)" : "a round trip",
		 spread);
	notes->latency_size = record->work.size_bytes;
}

static void note_rate(struct fm_pair *pair, const struct fm_record *record)
{
	struct fm_pair_notes *notes = &pair->notes;
	char size[32], spread[64], value[32], by[80];

	size_text(record->work.size_bytes, size, sizeof(size));
	interval(record->rate.low_gbps, record->rate.high_gbps, spread, sizeof(spread));
	snprintf(notes->rate, sizeof(notes->rate), "%s %s over %s%s reaches %s Gb/s%s%s", record->work.test, size,
		 record->work.transport, by_text(pair, record, by, sizeof(by)),
		 number(record->rate.bw_gbps, value, sizeof(value)),
		 strcmp(record->key.direction, "both") == 0 ? " in both directions together" : "", spread);
	notes->best_gbps = record->rate.bw_gbps;
	snprintf(notes->limit, sizeof(notes->limit), "%s", record->rate.limiter);
}

static void sentence_write(struct fm_pair *pair)
{
	const struct fm_pair_notes *notes = &pair->notes;
	uint32_t rows = pair->rows_ok + pair->rows_failed + pair->rows_skipped + pair->rows_inconclusive;
	size_t used = 0;
	char *text = pair->sentence;
	const size_t bytes = sizeof(pair->sentence);

	text[0] = '\0';
	used += (size_t)snprintf(text, bytes, "%s to %s: ", pair->run.node_a, pair->run.node_b);
	if (notes->latency[0] || notes->rate[0])
		used += (size_t)snprintf(text + used, bytes - used, "%s%s%s", notes->latency,
					 notes->latency[0] && notes->rate[0] ? "; " : "", notes->rate);
	else
		used += (size_t)snprintf(text + used, bytes - used, "nothing was measured to its end");
	if (notes->retransmits)
		used += (size_t)snprintf(text + used, bytes - used, "; %llu TCP segments were sent again",
					 (unsigned long long)notes->retransmits);
	if (notes->limit[0])
		used += (size_t)snprintf(text + used, bytes - used, "; %s limits it", notes->limit);
	else if (notes->rate[0] && pair->run.plan.shares == 2)
		used += (size_t)snprintf(text + used, bytes - used,
					 "; both ends are this machine, so its CPUs and memory limit it, no link");
	else if (notes->rate[0] && !isfinite(pair->run.place_a.rails[0].link_gbps))
		used += (size_t)snprintf(text + used, bytes - used,
					 "; what limits it is not known: the device tells no link speed, so there is "
					 "no ceiling to compare with");
	if (pair->rows_failed)
		used += (size_t)snprintf(text + used, bytes - used, "; %u of %u rows failed", pair->rows_failed, rows);
	if (pair->rows_skipped)
		used += (size_t)snprintf(text + used, bytes - used, "%s %u skipped", pair->rows_failed ? "," : ";",
					 pair->rows_skipped);
	if (pair->rows_inconclusive)
		used += (size_t)snprintf(text + used, bytes - used, "; %u of %u rows are inconclusive",
					 pair->rows_inconclusive, rows);
	snprintf(text + used, bytes - used, ".");
}

void fm_pair_note(struct fm_pair *pair, const struct fm_record *record)
{
	struct fm_pair_notes *notes = &pair->notes;

	/* Where there are several rails, their total is what counts. */
	bool counts =
		pair->run.plan.rail_count == 1 || pair->run.plan.in_turn || strcmp(record->key.row_kind, "total") == 0;
	/* The sum of both directions, and what moved on the way is the point's and stands in each of its rows. */
	bool part = strcmp(record->key.load, "bidirectional") == 0 && strcmp(record->key.direction, "both") != 0;

	counts = counts && !part;

	if (counts &&
	    (strcmp(record->verdict.status, "ok") == 0 || strcmp(record->verdict.status, "inconclusive") == 0)) {
		if (record->latency.definition[0] &&
		    (!notes->latency[0] || record->work.size_bytes < notes->latency_size))
			note_latency(pair, record);
		if (isfinite(record->rate.bw_gbps) && (!notes->rate[0] || record->rate.bw_gbps > notes->best_gbps))
			note_rate(pair, record);
	}
	if (!part && record->counters.retransmit != FM_EMPTY && strcmp(record->key.row_kind, "flow") == 0)
		notes->retransmits += record->counters.retransmit;
	sentence_write(pair);
}
