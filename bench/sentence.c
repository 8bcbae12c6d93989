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

/* " by eth1": which of the rails it was, where they take turns and only one has a figure so far. */
static const char *by_text(const struct fm_pair *pair, const struct fm_record *record, char *text, size_t bytes)
{
	text[0] = '\0';
	if (pair->run.plan.in_turn)
		snprintf(text, bytes, " by %s", record->a.device);
	return text;
}

/* One more rail of a test and size, or the first one of another. slow: a high figure is the worse one. */
static void turns_add(struct fm_pair_turns *turns, const struct fm_record *record, double value, bool slow)
{
	if (turns->size_bytes != record->work.size_bytes || strcmp(turns->test, record->work.test) != 0 ||
	    strcmp(turns->transport, record->work.transport) != 0) {
		*turns = (struct fm_pair_turns){
			.size_bytes = record->work.size_bytes, .low = INFINITY, .high = -INFINITY};
		snprintf(turns->test, sizeof(turns->test), "%s", record->work.test);
		snprintf(turns->transport, sizeof(turns->transport), "%s", record->work.transport);
	}
	if (slow ? value > turns->high : value < turns->low)
		snprintf(turns->slowest, sizeof(turns->slowest), "%s", record->a.device);
	turns->low = fmin(turns->low, value);
	turns->high = fmax(turns->high, value);
	turns->rails++;
}

/* "send_lat 8 B over tcp takes 6.8 to 11.4 us one way on 3 rails, slowest eth1" */
static void note_turns(const struct fm_pair_turns *turns, const char *verb, const char *unit, const char *way,
		       char *text, size_t bytes)
{
	char size[32], low[32], high[32];

	size_text(turns->size_bytes, size, sizeof(size));
	snprintf(text, bytes, "%s %s over %s %s %s to %s %s%s on %u rails, slowest %s", turns->test, size,
		 turns->transport, verb, number(turns->low, low, sizeof(low)), number(turns->high, high, sizeof(high)),
		 unit, way, turns->rails, turns->slowest);
}

static const char *latency_way(const struct fm_record *record)
{
	return strcmp(record->latency.definition, "half_rtt") == 0 ? "one way (half a round trip)" : "a round trip";
}

static const char *rate_way(const struct fm_record *record)
{
	return strcmp(record->key.direction, "both") == 0 ? " in both directions together" : "";
}

static void note_latency(struct fm_pair *pair, const struct fm_record *record)
{
	struct fm_pair_notes *notes = &pair->notes;
	char size[32], spread[64], value[32], by[80];

	size_text(record->work.size_bytes, size, sizeof(size));
	interval(record->latency.p50_low_us, record->latency.p50_high_us, spread, sizeof(spread));
	snprintf(notes->latency, sizeof(notes->latency), "%s %s over %s%s takes %s us %s%s", record->work.test, size,
		 record->work.transport, by_text(pair, record, by, sizeof(by)),
		 number(record->latency.p50_us, value, sizeof(value)), latency_way(record), spread);
	notes->latency_size = record->work.size_bytes;
	snprintf(notes->latency_test, sizeof(notes->latency_test), "%s", record->work.test);
}

static void note_rate(struct fm_pair *pair, const struct fm_record *record)
{
	struct fm_pair_notes *notes = &pair->notes;
	char size[32], spread[64], value[32], by[80];

	size_text(record->work.size_bytes, size, sizeof(size));
	interval(record->rate.low_gbps, record->rate.high_gbps, spread, sizeof(spread));
	snprintf(notes->rate, sizeof(notes->rate), "%s %s over %s%s reaches %s Gb/s%s%s", record->work.test, size,
		 record->work.transport, by_text(pair, record, by, sizeof(by)),
		 number(record->rate.bw_gbps, value, sizeof(value)), rate_way(record), spread);
	notes->best_gbps = record->rate.bw_gbps;
	snprintf(notes->limit, sizeof(notes->limit), "%s", record->rate.limiter);
}

/* The row that stands for a rail of several that take turns: their spread is of more use than one of them. */
static void note_in_turn(struct fm_pair *pair, const struct fm_record *record)
{
	struct fm_pair_notes *notes = &pair->notes;
	struct fm_pair_turns *latency = &notes->latency_turns, *rate = &notes->rate_turns;
	char way[64];

	if (record->latency.definition[0] && isfinite(record->latency.p50_us)) {
		turns_add(latency, record, record->latency.p50_us, true);
		snprintf(way, sizeof(way), " %s", latency_way(record));
		if (latency->rails > 1 && latency->size_bytes == notes->latency_size &&
		    strcmp(latency->test, notes->latency_test) == 0)
			note_turns(latency, "takes", "us", way, notes->latency, sizeof(notes->latency));
	} else if (isfinite(record->rate.bw_gbps)) {
		turns_add(rate, record, record->rate.bw_gbps, false);
		if (rate->rails > 1 && rate->high >= notes->best_gbps)
			note_turns(rate, "reaches", "Gb/s", rate_way(record), notes->rate, sizeof(notes->rate));
	}
}

/* --verify: what was compared, and what never can be. */
static void note_verified(struct fm_pair_notes *notes, const struct fm_record *record)
{
	notes->verified += strcmp(record->verdict.verified, "yes") == 0;
	if (strcmp(record->verdict.verified, "unsupported") == 0 && !notes->unverified[0])
		snprintf(notes->unverified, sizeof(notes->unverified), "%s over %s", record->work.test,
			 record->work.transport);
}

static size_t verified_write(const struct fm_pair_notes *notes, char *text, size_t bytes)
{
	size_t used = 0;

	if (notes->verified)
		used += (size_t)snprintf(text, bytes, "; payload verified");
	if (notes->unverified[0])
		used += (size_t)snprintf(text + used, bytes - used, "; %s: payload cannot be verified",
					 notes->unverified);
	return used;
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
	used += verified_write(notes, text + used, bytes - used);
	if (notes->retransmits)
		used += (size_t)snprintf(text + used, bytes - used, "; %llu retransmissions",
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
		if (pair->run.plan.in_turn)
			note_in_turn(pair, record);
		note_verified(notes, record);
	}
	if (!part && record->counters.retransmit != FM_EMPTY && strcmp(record->key.row_kind, "flow") == 0)
		notes->retransmits += record->counters.retransmit;
	sentence_write(pair);
}
