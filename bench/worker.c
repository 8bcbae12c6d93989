/*
 * worker.c - one thread, one job at a time.
 */
#include "bench/worker.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

#define IDLE_NS 1000000u

struct fm_worker {
	pthread_t thread;
	int wake_fd;
	pthread_mutex_t mutex;
	pthread_cond_t changed; /* CLOCK_MONOTONIC */
	bool busy, quit, gone;
	void (*job)(void *), (*idle)(void *);
	void *argument, *idle_argument;
};

static void cond_wait_ns(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t until_ns)
{
	const struct timespec at = {(time_t)(until_ns / 1000000000u), (long)(until_ns % 1000000000u)};

	pthread_cond_timedwait(cond, mutex, &at);
}

void fm_worker_wake(const struct fm_worker *worker)
{
	const uint64_t one = 1;
	ssize_t ignored = write(worker->wake_fd, &one, sizeof(one));

	/* The only failure left is a full counter, which wakes just as well. */
	(void)ignored;
}

/* Waits for a job with the mutex held; false to quit. */
static bool worker_next(struct fm_worker *worker)
{
	while (!worker->busy && !worker->quit) {
		if (worker->idle) {
			void (*idle)(void *) = worker->idle;
			void *argument = worker->idle_argument;

			pthread_mutex_unlock(&worker->mutex);
			idle(argument);
			pthread_mutex_lock(&worker->mutex);
			if (!worker->busy && !worker->quit)
				cond_wait_ns(&worker->changed, &worker->mutex, fm_now_ns() + IDLE_NS);
		} else {
			pthread_cond_wait(&worker->changed, &worker->mutex);
		}
	}
	return worker->busy;
}

static void *worker_main(void *argument)
{
	struct fm_worker *worker = argument;

	pthread_mutex_lock(&worker->mutex);
	while (worker_next(worker)) {
		pthread_mutex_unlock(&worker->mutex);
		worker->job(worker->argument);
		pthread_mutex_lock(&worker->mutex);
		worker->busy = false;
		pthread_cond_broadcast(&worker->changed);
		fm_worker_wake(worker);
	}
	worker->gone = true;
	pthread_cond_broadcast(&worker->changed);
	pthread_mutex_unlock(&worker->mutex);
	return NULL;
}

static void worker_free(struct fm_worker *worker)
{
	pthread_mutex_destroy(&worker->mutex);
	pthread_cond_destroy(&worker->changed);
	free(worker);
}

/* 0 or errno, as pthread functions have it. */
static int worker_launch(struct fm_worker *worker, int cpu)
{
	pthread_attr_t attributes;
	int code = pthread_attr_init(&attributes);

	if (code)
		return code;
	if (cpu >= 0) {
		cpu_set_t *set = CPU_ALLOC((size_t)cpu + 1);

		if (set) {
			CPU_ZERO_S(CPU_ALLOC_SIZE((size_t)cpu + 1), set);
			CPU_SET_S((size_t)cpu, CPU_ALLOC_SIZE((size_t)cpu + 1), set);
			code = pthread_attr_setaffinity_np(&attributes, CPU_ALLOC_SIZE((size_t)cpu + 1), set);
			CPU_FREE(set);
		} else {
			code = ENOMEM;
		}
	}
	if (code == 0)
		code = pthread_create(&worker->thread, &attributes, worker_main, worker);
	pthread_attr_destroy(&attributes);
	return code;
}

int fm_worker_start(int cpu, int wake_fd, struct fm_worker **worker, struct fm_error *error)
{
	struct fm_worker *made = calloc(1, sizeof(*made));
	pthread_condattr_t attributes;
	int code;

	if (!made)
		return fm_error_set(error, -ENOMEM, FM_REASON_OUT_OF_MEMORY, "no memory for a measuring thread");
	made->wake_fd = wake_fd;
	pthread_mutex_init(&made->mutex, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&made->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	code = worker_launch(made, cpu);
	if (code) {
		worker_free(made);
		if (code == EINVAL && cpu >= 0)
			return fm_error_set(error, -code, FM_REASON_PLACEMENT,
					    "cannot bind a measuring thread to CPU %d: it is offline or not ours; "
					    "choose others with --cpu",
					    cpu);
		return fm_error_set(error, -code, FM_REASON_ENVIRONMENT,
				    "cannot start a measuring thread: %s; see 'ulimit -u' and the cgroup's pids.max",
				    strerror(code));
	}
	*worker = made;
	return 0;
}

void fm_worker_submit(struct fm_worker *worker, void (*job)(void *), void *argument)
{
	pthread_mutex_lock(&worker->mutex);
	worker->job = job;
	worker->argument = argument;
	worker->busy = true;
	pthread_cond_broadcast(&worker->changed);
	pthread_mutex_unlock(&worker->mutex);
}

bool fm_worker_busy(struct fm_worker *worker)
{
	bool busy;

	pthread_mutex_lock(&worker->mutex);
	busy = worker->busy;
	pthread_mutex_unlock(&worker->mutex);
	return busy;
}

void fm_worker_idle(struct fm_worker *worker, void (*idle)(void *), void *argument)
{
	pthread_mutex_lock(&worker->mutex);
	worker->idle = idle;
	worker->idle_argument = argument;
	pthread_cond_broadcast(&worker->changed);
	pthread_mutex_unlock(&worker->mutex);
}

uint64_t fm_worker_cpu_ns(const struct fm_worker *worker)
{
	struct timespec time;
	clockid_t clock;

	if (pthread_getcpuclockid(worker->thread, &clock) || clock_gettime(clock, &time))
		return 0;
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

bool fm_worker_stop(struct fm_worker *worker, uint64_t deadline_ns)
{
	bool gone;

	if (!worker)
		return true;
	pthread_mutex_lock(&worker->mutex);
	worker->quit = true;
	pthread_cond_broadcast(&worker->changed);
	while (!worker->gone && fm_now_ns() < deadline_ns)
		cond_wait_ns(&worker->changed, &worker->mutex, deadline_ns);
	gone = worker->gone;
	pthread_mutex_unlock(&worker->mutex);
	if (!gone) {
		pthread_detach(worker->thread);
		return false;
	}
	pthread_join(worker->thread, NULL);
	worker_free(worker);
	return true;
}
