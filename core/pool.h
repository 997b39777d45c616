/* The core's own threads: a few workers that sleep between calls, and a spin barrier for the calls that split hidden units. */
#ifndef CONGRU_POOL_H
#define CONGRU_POOL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Work of one thread, 0 <= thread < threads. */
typedef void congru_work(void *job, int64_t thread);

/* Claim the pool for `want` threads (the caller is one of them). Returns how many there are: 1 when the pool serves another
 * call just now or workers cannot be started. A claim is ended by congru_pool_run. */
int64_t congru_pool_claim(int64_t want);
/* Returns whether it ran: a team that was set may have fewer threads than were claimed. One thread always runs. */
int congru_pool_run(int64_t threads, congru_work *work, void *job);
void congru_pool_give_up(int64_t threads); /* ends a claim that is not run */

/* Workspace of a call, aligned to a cache line, in large pages where it is large; NULL: no memory. */
void *congru_memory_get(size_t bytes);
void congru_memory_put(void *workspace);
/* Hint: an array of a caller that is about to be written. Beyond the largest block that allocators keep it is fresh memory in
 * every call, and its first touch costs a fraction in large pages. */
void congru_memory_is_fresh(void *array, int64_t bytes);

/* Whether a call is to end early: its first thread asks, all of them see it. */
typedef struct {
  atomic_int now;
  int64_t work, asked_ns; /* of the first thread */
} congru_stop;

/* Count multiply-adds of the first thread; now and then ask whether to stop. */
void congru_ask(congru_stop *stop, int64_t work);

/* Meets every step. Where other programs want the cores, a spinning thread waits for one that is not running: then the barrier
 * gives up, at the same step for all members, and never waits again. */
typedef struct {
  _Alignas(64) atomic_int arrived;
  _Alignas(64) atomic_int turn;
  atomic_llong wasted_ns; /* by waits beyond the patience */
  int may_give_up, given_up, stopped;
  congru_stop *stop;
  int64_t members, patient_spins, began_ns;
} congru_barrier;

/* `step_ns`: about how long a member works between two waits; -1: never give up. */
void congru_barrier_init(congru_barrier *barrier, int64_t members, int64_t step_ns, congru_stop *stop);
/* Whether to stop, as all members of a barrier (NULL: this thread alone) see it between the same two waits. */
int congru_stopped(const congru_barrier *barrier, const congru_stop *stop);
/* Wait for all members (NULL: for nobody); returns whether the barrier has given up, to all of them from the same wait on. */
int congru_barrier_wait(congru_barrier *barrier);
/* Whether barriers gave up lately: a call had better not meet every step. Counts the calls that ask. */
int congru_barriers_give_up(void);

#endif
