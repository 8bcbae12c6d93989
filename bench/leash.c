/*
 * leash.c - waits for the end of standard input in a thread of its own.
 */
#include "bench/leash.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "bench/command.h"

enum { LEAVE_S = 10 };

static void *leash_wait(void *unused)
{
	char dropped[256];
	ssize_t got;

	(void)unused;
	do
		got = read(STDIN_FILENO, dropped, sizeof(dropped));
	while (got > 0 || (got < 0 && errno == EINTR));
	/* The way out of an interrupted run is tested; this one is for what hangs on it. */
	kill(getpid(), SIGTERM);
	sleep(LEAVE_S);
	_exit(FM_EXIT_UNMEASURED);
}

int fm_leash_start(struct fm_error *error)
{
	pthread_t thread;
	int number = pthread_create(&thread, NULL, leash_wait, NULL);

	if (number)
		return fm_error_set(error, -number, FM_REASON_ENVIRONMENT, "cannot watch standard input: %s",
				    strerror(number));
	pthread_detach(thread);
	return 0;
}
