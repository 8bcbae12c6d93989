/*
 * worker.h - a measuring thread: bound to one CPU, it runs one job at a time for the control thread.
 *
 * All that may block in a driver or a library runs here, so that the control thread always stays alive for heartbeats,
 * deadlines and signals. A worker that does not come back is left behind; what it uses must then be left alone, too.
 */
#ifndef FM_WORKER_H
#define FM_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct fm_worker;

/*
 * Starts a thread bound to cpu (-1: unbound). wake_fd: an eventfd that gets 1 whenever a job is done. idle, unless
 * NULL, is called about every ms between jobs. Errors: placement (the CPU cannot be bound), environment (no thread).
 */
int fm_worker_start(int cpu, int wake_fd, struct fm_worker **worker, struct fm_error *error);
/* Hands over a job; the worker must be idle. */
void fm_worker_submit(struct fm_worker *worker, void (*job)(void *), void *argument);
bool fm_worker_busy(struct fm_worker *worker);
/* Sets what runs about every ms between jobs (NULL: nothing). The worker must be idle. */
void fm_worker_idle(struct fm_worker *worker, void (*idle)(void *), void *argument);
/* Tells the control thread that something happened within a job that goes on. */
void fm_worker_wake(const struct fm_worker *worker);
/* CPU time that the thread has had so far, in ns; 0 where the system does not tell. */
uint64_t fm_worker_cpu_ns(const struct fm_worker *worker);
/* Ends the thread by deadline_ns (fm_now_ns()). True: gone and freed. False: it hangs in a job and was left behind. */
bool fm_worker_stop(struct fm_worker *worker, uint64_t deadline_ns);

#endif
