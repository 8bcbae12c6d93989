/*
 * flow_steps.h - the steps of a flow as its workers run them; started and awaited by flow.c alone.
 *
 * The first group belongs to the rail's first worker, for it calls the endpoint; the second runs in every thread of the
 * flow, over the thread's own lanes. Each leaves its result in thread->code and thread->error.
 */
#ifndef FM_FLOW_STEPS_H
#define FM_FLOW_STEPS_H

#include "bench/flow.h"

#define FM_NAP_NS 50000 /* between two looks at something that takes its time */

/* Each takes a struct fm_flow_thread. */
void fm_step_prepare(void *argument);
void fm_step_connect(void *argument);
void fm_step_disconnect(void *argument);
void fm_step_progress(void *argument); /* between steps */
void fm_step_before(void *argument);   /* counters */
void fm_step_after(void *argument);    /* counters, and effective values */
void fm_step_close(void *argument);

void fm_step_arm(struct fm_flow_thread *thread);
void fm_step_run(struct fm_flow_thread *thread);
void fm_step_serve(struct fm_flow_thread *thread); /* arm and run in one; passive roles */
void fm_step_settle(struct fm_flow_thread *thread);

#endif
