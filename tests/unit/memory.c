/*
 * memory.c - every memory kind through the same calls, and what is particular to one.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/memory/memory.h"

#define BYTES (((size_t)2 << 20) + 12345)

static void every_kind(void **state)
{
	static const size_t ranges[][2] = {{0, BYTES}, {0, 0}, {BYTES, 0}, {1, 1}, {3, 8}, {13, 4099}, {BYTES - 7, 7}};
	uint8_t *host = malloc(BYTES);

	(void)state;
	assert_non_null(host);
	for (const struct fm_memory_kind *const *kind = fm_memory_kinds; *kind; kind++) {
		struct fm_buffer buffer = {0}, before;
		struct fm_error error = {0};

		(*kind)->free(&buffer);
		if ((*kind)->absent)
			continue;
		/* Huge pages must have been reserved; tests/local reserves some where it may. */
		if (strcmp((*kind)->name, "hugepage") == 0 && (*kind)->allocate(-1, 0, BYTES, &buffer, &error)) {
			assert_true(error.text[0] != 0 && error.code < 0);
			print_message("not tried, %s: %s\n", (*kind)->name, error.text);
			continue;
		}
		if (!buffer.base)
			assert_int_equal((*kind)->allocate(-1, 0, BYTES, &buffer, &error), 0);
		before = buffer;
		assert_ptr_equal(buffer.kind, *kind);
		assert_int_equal(buffer.bytes, BYTES);
		for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
			size_t at = ranges[i][0], bytes = ranges[i][1];

			assert_int_equal((*kind)->fill(&buffer, at, bytes, i, &error), 0);
			assert_int_equal((*kind)->verify(&buffer, at, bytes, i, &error), 0);
			assert_int_equal((*kind)->copy_out(&buffer, at, host, bytes, &error), 0);
			assert_int_equal(fm_pattern_check(host, bytes, i), bytes);
			if (!bytes)
				continue;
			host[bytes - 1] ^= 0x10;
			assert_int_equal((*kind)->copy_in(&buffer, at, host, bytes, &error), 0);
			assert_int_equal((*kind)->verify(&buffer, at, bytes, i, &error), -EBADMSG);
			assert_int_equal(error.reason, FM_REASON_VERIFY);
		}
		assert_int_equal((*kind)->fill(&buffer, 1, BYTES, 0, &error), -ERANGE);
		assert_int_equal((*kind)->verify(&buffer, BYTES + 1, 0, 0, &error), -ERANGE);
		assert_int_equal((*kind)->copy_in(&buffer, SIZE_MAX, host, 2, &error), -ERANGE);
		assert_int_equal((*kind)->copy_out(&buffer, 2, host, SIZE_MAX, &error), -ERANGE);
		assert_memory_equal(&buffer, &before, sizeof(buffer));
		(*kind)->free(&buffer);
		assert_null(buffer.base);
	}
	free(host);
}

static void pattern_is_stable(void **state)
{
	uint8_t bytes[19];

	(void)state;
	/* splitmix64's first output for seed 0 is 0xe220a8397b1dcdaf: other machines must agree on the bytes. */
	assert_int_equal(fm_pattern_word(0, 0), 0xe220a8397b1dcdafu);
	assert_int_equal(fm_pattern_byte(0, 0), 0xaf);
	assert_int_equal(fm_pattern_byte(0, 7), 0xe2);
	for (size_t n = 0; n < sizeof(bytes); n++) {
		fm_pattern_fill(bytes, n, 77);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(bytes[i], fm_pattern_byte(77, i));
		assert_int_equal(fm_pattern_check(bytes, n, 77), n);
		for (size_t i = 0; i < n; i++) {
			bytes[i]++;
			assert_int_equal(fm_pattern_check(bytes, n, 77), i);
			bytes[i]--;
		}
	}
}

static void host_is_aligned_and_zeroed(void **state)
{
	static const size_t sizes[] = {1, 4096, 5000, 2 << 20, (2 << 20) + 1, 7 << 20};
	const struct fm_memory_kind *host = fm_memory_find("host");

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (int node = -1; node < 2; node++) {
			struct fm_buffer buffer;
			struct fm_error error;

			assert_int_equal(host->allocate(node, -1, sizes[i], &buffer, &error), 0);
			assert_true(buffer.cpu_access);
			assert_int_equal((uintptr_t)buffer.base % (sizes[i] < 2 << 20 ? 4096 : 2 << 20), 0);
			for (size_t byte = 0; byte < sizes[i]; byte++)
				assert_true(((uint8_t *)buffer.base)[byte] == 0);
			host->free(&buffer);
		}
}

static void host_says_when_there_is_none(void **state)
{
	const struct fm_memory_kind *host = fm_memory_find("host");
	struct fm_buffer buffer = {.device = 7};
	struct fm_error error = {0};

	(void)state;
	assert_int_equal(host->allocate(-1, -1, SIZE_MAX, &buffer, &error), -ENOMEM);
	assert_int_equal(host->allocate(-1, -1, (size_t)1 << 60, &buffer, &error), -ENOMEM);
	assert_int_equal(error.reason, FM_REASON_OUT_OF_MEMORY);
	assert_int_equal(buffer.device, 7);
}

/* What makes the kind worth having: a transport that touches base dies of it. */
static void guarded_faults(void **state)
{
	const struct fm_memory_kind *guarded = fm_memory_find("guarded");
	struct fm_buffer buffer;
	struct fm_error error;
	int status;
	pid_t child;

	(void)state;
	assert_non_null(guarded);
	assert_int_equal(guarded->allocate(-1, 0, 4096, &buffer, &error), 0);
	assert_false(buffer.cpu_access);
	child = fork();
	if (child == 0) {
		const struct rlimit no_core = {0, 0};

		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGSEGV, SIG_DFL);
		*(volatile char *)buffer.base = 1;
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	guarded->free(&buffer);
}

static void found_by_name(void **state)
{
	(void)state;
	assert_string_equal(fm_memory_find("host")->name, "host");
	assert_string_equal(fm_memory_find("host:1")->name, "host");
	assert_null(fm_memory_find("hos"));
	assert_null(fm_memory_find(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind),
		cmocka_unit_test(pattern_is_stable),
		cmocka_unit_test(host_is_aligned_and_zeroed),
		cmocka_unit_test(host_says_when_there_is_none),
		cmocka_unit_test(guarded_faults),
		cmocka_unit_test(found_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
