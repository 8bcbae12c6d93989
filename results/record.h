/*
 * record.h - one row: everything that is said of one flow or total of one point.
 *
 * A record is plain values grouped by what they describe. results/fields.c lists every column once and knows where it
 * lies; writers go by that table. Empty: "" for text, NaN for reals, FM_EMPTY for counts.
 */
#ifndef FM_RECORD_H
#define FM_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum { FM_SCHEMA = 1 };
#define FM_EMPTY UINT64_MAX /* a count that is not known or does not apply */

/* Which row this is. A const char * is a static string of the closed list in fields.c. */
struct fm_record_key {
	char run_id[64];
	uint64_t point_id;
	char time_utc[32];     /* RFC 3339, ms, Z: start of the measured window */
	const char *row_kind;  /* flow total */
	uint64_t rail;	       /* FM_EMPTY in a total */
	const char *direction; /* a_to_b b_to_a both */
	const char *initiator; /* a */
	const char *load;      /* one_way bidirectional */
	char job_id[64], labels[256];
};

struct fm_record_verdict {
	const char *status;	 /* ok failed skipped inconclusive */
	char reason[512];	 /* for people */
	const char *reason_code; /* for programs: fm_reason_name() */
	const char *stop_reason; /* confidence time fixed failed interrupted; "" where nothing ran */
	const char *verified;	 /* no yes failed unsupported */
};

/* One end: columns with _a and _b. */
struct fm_record_end {
	char node[128], memory[32], device[64], link_layer[16];
	double link_gbps;
	uint64_t gid_index;
	char gpu[16], gpu_pci[16], cpu[64], numa[16], path_class[8];
};

/* What was run, as it was in force. */
struct fm_record_work {
	char transport[32], test[24], variant[32];
	uint64_t size_bytes;
	char memory_path[16];
	uint64_t mtu;
	char connection[16], placement[512];
	uint64_t threads, streams, queue_pairs, depth;
	const char *completion; /* buffered delivered replied */
	char post_api[16];
	uint64_t inline_bytes, cq_moderation, traffic_class, service_level;
	char relaxed_ordering[8];	  /* no yes */
	uint64_t operations, repetitions; /* operations: of one repetition, all streams together */
	double duration_s;		  /* measured, repetitions only */
};

struct fm_record_latency {
	const char *definition; /* half_rtt full_rtt; "" where the test is a rate */
	uint64_t samples;
	double min_us, p50_us, p50_low_us, p50_high_us, p90_us, p99_us, p999_us, p9999_us, max_us, mean_us, stdev_us;
};

struct fm_record_rate {
	double bw_gbps, low_gbps, high_gbps, worst_gbps, stream_min_gbps, stream_max_gbps, msg_rate_per_s;
	double ceiling_gbps, ceiling_percent;
	char limiter[128];
};

struct fm_record_counters {
	uint64_t retransmit, rnr, out_of_sequence, cnp, pause, port_error;
	char raw[1024]; /* key=value;... of those without a column that moved */
	uint64_t lost_operations;
};

struct fm_record {
	struct fm_record_key key;
	struct fm_record_verdict verdict;
	struct fm_record_end a, b;
	struct fm_record_work work;
	struct fm_record_latency latency;
	struct fm_record_rate rate;
	struct fm_record_counters counters;
	char effective[2048]; /* key=value;... */
	char environment_id[32];
};

/* Everything empty; status "failed", so that a row nobody finished never says ok. */
void fm_record_init(struct fm_record *record);

/*
 * Sets the column of this name from text where it is one that a backend may fill (mtu, connection, queue_pairs, ...).
 * 0; -ENOENT: no such column, or none of a backend's: the pair belongs into effective; -EINVAL: the text is no value of
 * the column, which keeps what it had.
 */
int fm_record_set(struct fm_record *record, const char *column, const char *text);

/*
 * The same for what one end, 'a' or 'b', says of itself: "gid_index" goes to gid_index_a or gid_index_b, and a column
 * that has no ends is set as it is. A backend thus never knows which end it is.
 */
int fm_record_set_end(struct fm_record *record, char end, const char *column, const char *text);

/*
 * Appends key=value to a ;-separated text field of that size. A ';' inside either and a '=' inside the key become '_'.
 * -ENOSPC: no room, and the field is as it was.
 */
int fm_record_append(char *field, size_t bytes, const char *key, const char *value);

/*
 * What every row must keep, for tests and debug builds: closed lists, texts that end, no empty column that must not be,
 * no rail in a total and one in a flow, a reason and its code where a point failed or was skipped, no code where it is
 * ok. -EINVAL, reason internal.
 */
int fm_record_check(const struct fm_record *record, struct fm_error *error);

enum fm_field_type { FM_FIELD_TEXT, FM_FIELD_ENUM, FM_FIELD_COUNT, FM_FIELD_REAL, FM_FIELD_CONSTANT, FM_FIELD_PAIRS };

enum { FM_CLOSED_MAX = 16, FM_CLOSED_BYTES = 32 };

/* A record with texts of its own where others point to static ones. Must stay where it is. */
struct fm_record_copy {
	struct fm_record record;
	char closed[FM_CLOSED_MAX][FM_CLOSED_BYTES];
	uint32_t used;
};

/* Everything empty. */
void fm_record_copy_init(struct fm_record_copy *copy);
/*
 * Any column from its text as fm_field_format writes it; "" leaves it empty. -ENOENT: no such column; -EINVAL: no value
 * of the column, or a constant that is another one here.
 */
int fm_record_restore(struct fm_record_copy *copy, const char *column, const char *text);

enum { FM_FIELD_BYTES = 2048 }; /* holds the text of any column */

/* One column. */
struct fm_field {
	const char *name;
	enum fm_field_type type;
	size_t offset;	    /* in struct fm_record */
	size_t bytes;	    /* of a text field */
	int digits;	    /* significant digits of a real */
	const char *values; /* the closed list of an enumeration or a text, "a b c"; a constant's text */
	const char *empty;  /* when the column is empty; NULL: never */
	const char *help;   /* unit and meaning */
	bool settable;	    /* fm_record_set may fill it */
};

/* In the order of the CSV header, terminated by a NULL name. */
extern const struct fm_field fm_fields[];

/* The column of this name; NULL where there is none. */
const struct fm_field *fm_field_find(const char *name);
/* FM_EMPTY for a column that is no count; NaN for one that is no real. */
uint64_t fm_field_count(const struct fm_field *field, const struct fm_record *record);
double fm_field_real(const struct fm_field *field, const struct fm_record *record);
/*
 * The column's text as CSV and tables show it (no quoting), UTF-8 whatever the record holds; "" where empty. Cut where
 * bytes is under FM_FIELD_BYTES. Returns text.
 */
const char *fm_field_format(const struct fm_field *field, const struct fm_record *record, char *text, size_t bytes);

#endif
