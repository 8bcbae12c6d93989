/*
 * process.c - another program: its lines, its complaints, its end, and what it inherits.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/process.h"

#define SOON (fm_now_ns() + 20000000000ull)

static void start(const char *script, bool live, struct fm_process *process)
{
	const char *const argv[] = {"sh", "-c", script, NULL};
	struct fm_error error = {0};

	assert_int_equal(fm_process_start(argv, live, process, &error), 0);
}

static void lines_come_one_by_one(void **state)
{
	struct fm_process process;
	char line[8];

	(void)state;
	start("read word; echo $word; echo longer than that; echo; printf cut", false, &process);
	assert_int_equal(write(process.in, "token\n", 6), 6);
	assert_int_equal(fm_process_line(&process, SOON, -1, line, sizeof(line)), 0);
	assert_string_equal(line, "token");
	assert_int_equal(fm_process_line(&process, SOON, -1, line, sizeof(line)), 0);
	assert_string_equal(line, "longer ");
	assert_int_equal(fm_process_line(&process, SOON, -1, line, sizeof(line)), 0);
	assert_string_equal(line, "");
	assert_int_equal(fm_process_line(&process, SOON, -1, line, sizeof(line)), -EPIPE);
	assert_true(fm_process_ended(&process, 20000000000ull));
	assert_true(WIFEXITED(process.status));
	fm_process_stop(&process, 0);
}

static void waiting_has_a_deadline_and_may_be_interrupted(void **state)
{
	struct fm_process process;
	char line[8];
	int fds[2];

	(void)state;
	start("exec sleep 60", false, &process);
	assert_int_equal(fm_process_line(&process, fm_now_ns() + 50000000, -1, line, sizeof(line)), -ETIMEDOUT);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(fm_process_line(&process, SOON, fds[0], line, sizeof(line)), -EINTR);
	assert_false(fm_process_ended(&process, 0));
	fm_process_stop(&process, 0);
	assert_int_equal(process.pid, 0);
	assert_int_equal(WTERMSIG(process.status), SIGTERM);
	close(fds[0]);
	close(fds[1]);
}

static void what_ignores_all_is_killed(void **state)
{
	struct fm_process process;
	char line[8];

	(void)state;
	start("trap '' TERM; echo on; while :; do sleep 1; done", false, &process);
	assert_int_equal(fm_process_line(&process, SOON, -1, line, sizeof(line)), 0);
	fm_process_stop(&process, 0);
	assert_int_equal(WTERMSIG(process.status), SIGKILL);
}

static void the_end_of_its_input_is_enough(void **state)
{
	struct fm_process process;

	(void)state;
	start("cat >/dev/null; exit 7", false, &process);
	fm_process_stop(&process, 20000000000ull);
	assert_int_equal(WEXITSTATUS(process.status), 7);
}

static void the_last_complaint_counts(void **state)
{
	const char *const script = "echo first >&2; printf 'the \\033last\\r\\n\\n' >&2";
	struct fm_process process;
	char said[64];

	(void)state;
	for (int live = 0; live < 2; live++) {
		start(script, live, &process);
		assert_true(fm_process_ended(&process, 20000000000ull));
		assert_string_equal(fm_process_complaint(&process, said, sizeof(said)), "the ?last");
		fm_process_stop(&process, 0);
	}
	start("exit 3", false, &process);
	assert_true(fm_process_ended(&process, 20000000000ull));
	assert_string_equal(fm_process_complaint(&process, said, sizeof(said)), "");
	fm_process_stop(&process, 0);
}

/* More than any pipe holds, and nobody reads: it must not block. */
static void complaints_never_block(void **state)
{
	struct fm_process process;

	(void)state;
	start("head -c 4000000 /dev/zero >&2", false, &process);
	assert_true(fm_process_ended(&process, 20000000000ull));
	assert_int_equal(WEXITSTATUS(process.status), 0);
	fm_process_stop(&process, 0);
}

static void it_inherits_no_descriptor_and_no_blocked_sigterm(void **state)
{
	/* Not by a shell, which would clean up. */
	static const char *const status[] = {"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", NULL};
	static const char *const descriptors[] = {"ls", "-l", "/proc/self/fd", NULL};
	struct fm_process process, first;
	struct fm_error error = {0};
	char line[256], pipe_name[64];
	struct stat status_of;
	sigset_t set, before;
	int lines = 0;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &before);
	signal(SIGPIPE, SIG_IGN);
	/* SigBlk: HUP and INT alone; SigIgn: not PIPE. */
	assert_int_equal(fm_process_start(status, false, &process, &error), 0);
	sigprocmask(SIG_SETMASK, &before, NULL);
	assert_int_equal(fm_process_line(&process, SOON, -1, line, sizeof(line)), 0);
	assert_string_equal(line, "SigBlk:\t0000000000000003");
	assert_int_equal(fm_process_line(&process, SOON, -1, line, sizeof(line)), 0);
	assert_null(strstr(line, "1000"));
	fm_process_stop(&process, 1000000000);
	/* A second one that held the first one's input would keep it from ending. */
	start("exec sleep 60", false, &first);
	assert_int_equal(fstat(first.in, &status_of), 0);
	snprintf(pipe_name, sizeof(pipe_name), "pipe:[%llu]", (unsigned long long)status_of.st_ino);
	assert_int_equal(fm_process_start(descriptors, false, &process, &error), 0);
	while (fm_process_line(&process, SOON, -1, line, sizeof(line)) == 0) {
		assert_null(strstr(line, pipe_name));
		lines++;
	}
	assert_in_range(lines, 4, 1000);
	fm_process_stop(&process, 1000000000);
	fm_process_stop(&first, 0);
}

static void what_is_not_there_is_named(void **state)
{
	const char *const argv[] = {"no-such-program-anywhere", NULL};
	struct fm_process process;
	struct fm_error error = {0};

	(void)state;
	assert_int_equal(fm_process_start(argv, false, &process, &error), -ENOENT);
	assert_non_null(strstr(error.text, "no-such-program-anywhere"));
	fm_process_stop(&process, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_come_one_by_one),
		cmocka_unit_test(waiting_has_a_deadline_and_may_be_interrupted),
		cmocka_unit_test(what_ignores_all_is_killed),
		cmocka_unit_test(the_end_of_its_input_is_enough),
		cmocka_unit_test(the_last_complaint_counts),
		cmocka_unit_test(complaints_never_block),
		cmocka_unit_test(it_inherits_no_descriptor_and_no_blocked_sigterm),
		cmocka_unit_test(what_is_not_there_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
