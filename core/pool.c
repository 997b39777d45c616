/* Threads, barriers and memory of the core.
 *
 * One pool for the process. A caller claims it with one atomic exchange; whoever comes while it is claimed runs alone. Workers
 * sleep on a condition variable between calls. After fork() the child starts its own.
 */
#define _GNU_SOURCE
#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "kernels.h"

static struct {
  atomic_int claimed;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  int64_t workers;    /* started */
  int64_t turn;       /* counts calls, under mutex */
  int64_t threads;    /* of the current call */
  congru_work *work;
  void *job;
  atomic_int running; /* workers that have not finished the current call */
  int64_t born[CONGRU_MAX_THREADS]; /* the turn at which each worker was started: it serves later ones */
} pool = {.mutex = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

/* Pauses before a waiting thread offers its core to others (some microseconds), and how long one takes at most. */
#define SPINS 250
#define SPIN_NS 40

static void relax(int64_t *spins, int64_t patience) {
  if (++*spins > patience) {
    sched_yield();
    return;
  }
#if defined(__SSE2__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

unsigned congru_flush_denormals(void) {
#if defined(__SSE2__)
  unsigned state = _mm_getcsr();
  _mm_setcsr(state | 0x8040u); /* flush to zero, denormals are zero */
  return state;
#else
  return 0;
#endif
}

void congru_restore_denormals(unsigned state) {
#if defined(__SSE2__)
  _mm_setcsr(state);
#else
  (void)state;
#endif
}

static void run_one(congru_work *work, void *job, int64_t thread) {
  unsigned state = congru_flush_denormals();
  work(job, thread);
  congru_restore_denormals(state);
}

static void *worker(void *argument) {
  int64_t me = (int64_t)(intptr_t)argument;
  pthread_mutex_lock(&pool.mutex);
  int64_t seen = pool.born[me];
  for (;;) {
    while (pool.turn == seen || me >= pool.threads) {
      seen = pool.turn;
      pthread_cond_wait(&pool.wake, &pool.mutex);
    }
    seen = pool.turn;
    congru_work *work = pool.work;
    void *job = pool.job;
    pthread_mutex_unlock(&pool.mutex);
    run_one(work, job, me);
    atomic_fetch_sub_explicit(&pool.running, 1, memory_order_release);
    pthread_mutex_lock(&pool.mutex);
  }
  return NULL;
}

static void in_child(void) {
  pool.claimed = 0;
  pool.workers = 0;
  pool.threads = 0;
  pthread_mutex_init(&pool.mutex, NULL);
  pthread_cond_init(&pool.wake, NULL);
}

static void watch_forks(void) { pthread_atfork(NULL, NULL, in_child); }

/* Start workers until there are want - 1; returns how many threads that makes. */
static int64_t start_workers(int64_t want) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, watch_forks);
  while (pool.workers < want - 1) {
    pthread_t thread;
    pthread_mutex_lock(&pool.mutex);
    pool.born[pool.workers + 1] = pool.turn;
    pthread_mutex_unlock(&pool.mutex);
    if (pthread_create(&thread, NULL, worker, (void *)(intptr_t)(pool.workers + 1))) break;
    pthread_detach(thread);
    pool.workers++;
  }
  return pool.workers + 1 < want ? pool.workers + 1 : want;
}

int64_t congru_pool_claim(int64_t want) {
  if (want > CONGRU_MAX_THREADS) want = CONGRU_MAX_THREADS;
  if (want <= 1) return 1;
  if (atomic_exchange_explicit(&pool.claimed, 1, memory_order_acquire)) return 1;
  int64_t threads = start_workers(want);
  if (threads == 1) atomic_store_explicit(&pool.claimed, 0, memory_order_release);
  return threads;
}

void congru_pool_run(int64_t threads, congru_work *work, void *job) {
  if (threads <= 1) {
    run_one(work, job, 0);
    return;
  }
  pthread_mutex_lock(&pool.mutex);
  pool.work = work, pool.job = job, pool.threads = threads;
  atomic_store_explicit(&pool.running, (int)threads - 1, memory_order_relaxed);
  pool.turn++;
  pthread_cond_broadcast(&pool.wake);
  pthread_mutex_unlock(&pool.mutex);
  run_one(work, job, 0);
  for (int64_t spins = 0; atomic_load_explicit(&pool.running, memory_order_acquire);) relax(&spins, SPINS);
  atomic_store_explicit(&pool.claimed, 0, memory_order_release);
}

void congru_pool_give_up(int64_t threads) {
  if (threads > 1) atomic_store_explicit(&pool.claimed, 0, memory_order_release);
}

/* A wait beyond the patience of a barrier counts one, a long one (the other thread lost its core) the limit at once. Some slow
 * waits are forgiven: one in TURNS_A_SLOW_WAIT, which is what interrupts cost. */
#define SLOW_LIMIT 8
#define TURNS_A_SLOW_WAIT 64
#define LONG_WAIT_NS 300000
/* Calls that do without a barrier after one gave up. */
#define CALLS_ALONE 32

static atomic_int calls_alone;

int congru_barriers_give_up(void) {
  int left = atomic_load_explicit(&calls_alone, memory_order_relaxed);
  if (left > 0) atomic_store_explicit(&calls_alone, left - 1, memory_order_relaxed);
  return left > 0;
}

void congru_barrier_init(congru_barrier *barrier, int64_t members, int64_t step_ns) {
  atomic_init(&barrier->arrived, 0);
  atomic_init(&barrier->turn, 0);
  atomic_init(&barrier->slow, 0);
  barrier->given_up = 0;
  barrier->members = members;
  barrier->may_give_up = step_ns >= 0;
  barrier->patient_spins = SPINS + step_ns / SPIN_NS;
  barrier->long_wait_ns = LONG_WAIT_NS + 4 * step_ns;
}

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int congru_barrier_wait(congru_barrier *barrier) {
  if (!barrier || barrier->members <= 1) return 0;
  int turn = atomic_load_explicit(&barrier->turn, memory_order_relaxed);
  if (atomic_fetch_add_explicit(&barrier->arrived, 1, memory_order_acq_rel) + 1 == barrier->members) {
    atomic_store_explicit(&barrier->arrived, 0, memory_order_relaxed);
    if (barrier->may_give_up &&
        atomic_load_explicit(&barrier->slow, memory_order_relaxed) >= SLOW_LIMIT + turn / TURNS_A_SLOW_WAIT) {
      barrier->given_up = 1;
      atomic_store_explicit(&calls_alone, CALLS_ALONE, memory_order_relaxed);
    }
    atomic_store_explicit(&barrier->turn, turn + 1, memory_order_release);
    return barrier->given_up;
  }
  int64_t start = 0;
  for (int64_t spins = 0; atomic_load_explicit(&barrier->turn, memory_order_acquire) == turn;) {
    if (spins == barrier->patient_spins) start = now_ns();
    relax(&spins, barrier->patient_spins);
  }
  if (start) {
    int cost = now_ns() - start > barrier->long_wait_ns ? SLOW_LIMIT : 1;
    atomic_fetch_add_explicit(&barrier->slow, cost, memory_order_relaxed);
  }
  return barrier->given_up;
}

/* Blocks begin with their size, a cache line before the workspace. The last one returned is kept for the next call, which
 * saves the page faults of a call that takes milliseconds. */
#define HUGE_PAGE ((size_t)2 << 20)
#define HUGE_FROM ((size_t)256 << 10)
#define KEEP_UP_TO ((size_t)32 << 20)
#define HEADER ((size_t)64)

static _Atomic(size_t *) spare;

void *congru_memory_get(size_t bytes) {
  size_t *block = atomic_exchange(&spare, NULL);
  if (block && *block >= bytes) return (char *)block + HEADER;
  free(block);
  size_t unit = bytes >= HUGE_FROM ? HUGE_PAGE : HEADER, size = (bytes + HEADER + unit - 1) & ~(unit - 1);
  block = aligned_alloc(unit, size);
  if (!block) return NULL;
#if defined(MADV_HUGEPAGE)
  if (unit == HUGE_PAGE) (void)madvise(block, size, MADV_HUGEPAGE);
#endif
  *block = size - HEADER;
  return (char *)block + HEADER;
}

void congru_memory_put(void *workspace) {
  size_t *block = (size_t *)(void *)((char *)workspace - HEADER);
  free(*block <= KEEP_UP_TO ? atomic_exchange(&spare, block) : block);
}
