/*
 * compare.c - matches rows of two runs by what was measured, and says how the medians stand to each other.
 */
#include "bench/compare.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "common/options.h"

enum { SHOWN = 12 }; /* comparisons in the sentence; the others are counted */

#define HINT "; without them there is nothing to compare with: give the options by hand, without --again"

/* Median and 95% interval of a row, of whichever figure it has. */
struct figure {
	double median, low, high;
};

void fm_compare_free(struct fm_compare *compare)
{
	if (compare)
		fm_csv_free(&compare->earlier);
	free(compare);
}

static const char *cell(const struct fm_compare *compare, size_t row, const char *column)
{
	return fm_csv_cell(&compare->earlier, row, fm_csv_column(&compare->earlier, column));
}

static double cell_real(const struct fm_compare *compare, size_t row, const char *column)
{
	const char *text = cell(compare, row, column);
	char *end;
	double value = strtod(text, &end);

	return *text && !*end ? value : NAN;
}

/* What a row of ours must have to be compared with. A number that is none, or a column that is missing, is damage. */
static int earlier_check(const struct fm_compare *compare, const char *path, struct fm_error *error)
{
	static const char *const texts[] = {"row_kind", "direction", "load", "status"};
	static const char *const figures[] = {"size_bytes", "bw_gbps",	      "bw_low_gbps",	"bw_high_gbps",
					      "lat_p50_us", "lat_p50_low_us", "lat_p50_high_us"};
	const char *fault = NULL;
	size_t row = 0;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) && !fault; i++)
		if (fm_csv_column(&compare->earlier, texts[i]) == compare->earlier.columns)
			fault = texts[i];
	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]) && !fault; i++)
		if (fm_csv_column(&compare->earlier, figures[i]) == compare->earlier.columns)
			fault = figures[i];
	if (fault)
		return fm_error_set(error, -EINVAL, FM_REASON_RESULTS,
				    "the earlier rows in '%.200s' are damaged: there is no column '%s'" HINT, path,
				    fault);
	for (; row < compare->earlier.rows && !fault; row++) {
		for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) && !fault; i++)
			if (!*cell(compare, row, texts[i]))
				fault = texts[i];
		for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]) && !fault; i++)
			if (*cell(compare, row, figures[i]) && isnan(cell_real(compare, row, figures[i])))
				fault = figures[i];
	}
	return fault ? fm_error_set(error, -EINVAL, FM_REASON_RESULTS,
				    "the earlier rows in '%.200s' are damaged: row %zu has no sound '%s'" HINT, path,
				    row, fault)
		     : 0;
}

int fm_compare_open(struct fm_compare *compare, const char *run_id, const char *folder, struct fm_error *error)
{
	char path[4200];
	int code;

	snprintf(compare->run_id, sizeof(compare->run_id), "%s", run_id);
	snprintf(path, sizeof(path), "%.4100s/results.csv", folder);
	code = fm_csv_read(path, &compare->earlier, error);
	if (code == -EINVAL)
		fm_error_prefix(error, "the earlier rows are damaged: ");
	if (code) {
		strncat(error->text, HINT, sizeof(error->text) - strlen(error->text) - 1);
		return code;
	}
	return earlier_check(compare, path, error);
}

/* The same test of the same thing. Options that differ on purpose, such as streams, do not part two rows. */
static size_t row_find(const struct fm_compare *compare, const struct fm_record *record)
{
	static const char *const key[] = {"row_kind", "rail", "direction", "load", "transport", "test", "size_bytes"};
	size_t row, i = 0;

	for (row = 0; row < compare->earlier.rows; row++) {
		for (i = 0; i < sizeof(key) / sizeof(key[0]); i++) {
			char text[FM_FIELD_BYTES];

			fm_field_format(fm_field_find(key[i]), record, text, sizeof(text));
			if (strcmp(cell(compare, row, key[i]), text) != 0)
				break;
		}
		if (i == sizeof(key) / sizeof(key[0]))
			break;
	}
	return row;
}

static struct figure figure_new(const struct fm_record *record)
{
	if (isfinite(record->rate.bw_gbps))
		return (struct figure){record->rate.bw_gbps, record->rate.low_gbps, record->rate.high_gbps};
	return (struct figure){record->latency.p50_us, record->latency.p50_low_us, record->latency.p50_high_us};
}

static struct figure figure_earlier(const struct fm_compare *compare, size_t row)
{
	if (isfinite(cell_real(compare, row, "bw_gbps")))
		return (struct figure){cell_real(compare, row, "bw_gbps"), cell_real(compare, row, "bw_low_gbps"),
				       cell_real(compare, row, "bw_high_gbps")};
	return (struct figure){cell_real(compare, row, "lat_p50_us"), cell_real(compare, row, "lat_p50_low_us"),
			       cell_real(compare, row, "lat_p50_high_us")};
}

static void name_row(const struct fm_record *record, struct fm_comparison *one)
{
	char size[32];
	size_t length;

	fm_format_count(record->work.size_bytes, size, sizeof(size));
	length = strlen(size);
	snprintf(one->what, sizeof(one->what), "%s %s%s%s%s", record->work.test, size,
		 size[length - 1] >= '0' && size[length - 1] <= '9' ? " B" : "",
		 strcmp(record->key.direction, "a_to_b") == 0 ? "" : " ",
		 strcmp(record->key.direction, "a_to_b") == 0 ? "" : record->key.direction);
}

void fm_compare_row(struct fm_compare *compare, const struct fm_record *record)
{
	const size_t row = row_find(compare, record);
	const struct figure now = figure_new(record), then = figure_earlier(compare, row);
	struct fm_comparison one = {.point_id = record->key.point_id, .rail = record->key.rail, .apart = -1};
	const char *environment = cell(compare, row, "environment_id");

	/* The rails stand before their total. */
	while (one.rail == FM_EMPTY && compare->count && compare->list[compare->count - 1].point_id == one.point_id &&
	       compare->list[compare->count - 1].rail != FM_EMPTY)
		compare->count--;
	name_row(record, &one);
	one.ratio = now.median / then.median;
	one.missing = row == compare->earlier.rows ? "was not measured then"
		      : isnan(then.median)	   ? "has no figure from then"
						   : "has no figure now";
	if (isfinite(now.low) && isfinite(now.high) && isfinite(then.low) && isfinite(then.high))
		one.apart = now.low > then.high || now.high < then.low;
	compare->elsewhere |= row < compare->earlier.rows && strcmp(environment, record->environment_id) != 0;
	if (compare->count == FM_COMPARE_MAX)
		compare->more++;
	else
		compare->list[compare->count++] = one;
}

static size_t put_one(const struct fm_comparison *one, bool rails, char *text, size_t bytes)
{
	static const char *const intervals[] = {"an interval is missing", "the intervals overlap",
						"the intervals are apart"};
	char rail[32] = "";

	if (rails && one->rail != FM_EMPTY)
		snprintf(rail, sizeof(rail), " rail %llu", (unsigned long long)one->rail);
	if (!isfinite(one->ratio))
		return (size_t)snprintf(text, bytes, "%s%s %s", one->what, rail, one->missing);
	return (size_t)snprintf(text, bytes, "%s%s is %.3f times the earlier median (%s)", one->what, rail, one->ratio,
				intervals[one->apart + 1]);
}

const char *fm_compare_sentence(const struct fm_compare *compare, char text[FM_COMPARE_BYTES])
{
	const size_t bytes = FM_COMPARE_BYTES;
	uint32_t shown = compare->count < SHOWN ? compare->count : SHOWN, apart = 0;
	bool rails = false;
	size_t used;

	text[0] = '\0';
	if (!compare->count)
		return text;
	for (uint32_t i = 0; i < compare->count; i++) {
		rails |= compare->list[i].rail != FM_EMPTY && compare->list[i].rail > 0;
		apart += i >= shown && compare->list[i].apart == 1;
	}
	used = (size_t)snprintf(text, bytes, "against %s: ", compare->run_id);
	for (uint32_t i = 0; i < shown; i++) {
		used += (size_t)snprintf(text + used, bytes - used, "%s", i ? "; " : "");
		used += put_one(&compare->list[i], rails, text + used, bytes - used);
	}
	if (compare->count > shown)
		used += (size_t)snprintf(text + used, bytes - used,
					 "; of %u more the intervals of %u are apart (the two results.csv have them)",
					 compare->count - shown + compare->more, apart);
	if (compare->elsewhere)
		used += (size_t)snprintf(text + used, bytes - used,
					 "; the environments differ (placement, kernel or versions: see the two "
					 "run.json)");
	snprintf(text + used, bytes - used, ".");
	return text;
}
