/*
 * schema.c - prints docs/schema.md as it should be.
 */
#include "results/writer.h"

int main(void)
{
	fm_schema_markdown(stdout);
	return fclose(stdout) == 0 ? 0 : 1;
}
