/*
 * csv.c - fuzzes the reader of result files.
 */
#include <stdint.h>

#include "results/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	struct fm_error error = {0};
	struct fm_csv csv = {0};

	if (fm_csv_parse((const char *)bytes, count, &csv, &error)) {
		if (!error.text[0] || error.code >= 0)
			__builtin_trap();
		return 0;
	}
	for (size_t row = 0; row < csv.rows; row++)
		for (size_t column = 0; column < csv.columns; column++)
			if (!fm_csv_cell(&csv, row, column))
				__builtin_trap();
	fm_csv_free(&csv);
	return 0;
}
