/* Threads, barriers and memory of the core.
 *
 * Threads are those of a team that was set (congru_set_team), else of one pool for the process. A caller claims the pool with
 * one atomic exchange; whoever comes while it is claimed runs alone. Workers sleep on a condition variable between calls.
 * After fork() the child starts its own.
 */
#define _GNU_SOURCE
#include "pool.h"

#include <stdlib.h>
#if !defined(_WIN32)
#include <sys/mman.h>
#endif
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "kernels.h"
#include "platform.h"
#include "platform_threads.h"

static struct {
  atomic_int claimed;
  platform_mutex mutex;
  platform_condition wake;
  int64_t workers;    /* started */
  int64_t turn;       /* counts calls, under mutex */
  int64_t threads;    /* of the current call */
  congru_work *work;
  void *job;
  atomic_int running; /* workers that have not finished the current call */
  int64_t born[CONGRU_MAX_THREADS]; /* the turn at which each worker was started: it serves later ones */
} pool = {.mutex = PLATFORM_MUTEX, .wake = PLATFORM_CONDITION};

/* Pauses before a waiting thread offers its core to others (some microseconds), and how long one takes at most. */
#define SPINS 250
#define SPIN_NS 40

static void relax(int64_t *spins, int64_t patience) {
  if (++*spins > patience) {
    yield_core();
    return;
  }
#if defined(__SSE2__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* The processor's switch for denormals, with the bits that make them zeros set or not; its state before. */
static unsigned switch_denormals(int to_zero) {
#if defined(__SSE2__)
  unsigned state = _mm_getcsr();
  _mm_setcsr(to_zero ? state | 0x8040u : state & ~0x8040u); /* of results, and of operands */
  return state;
#elif defined(__aarch64__)
  uint64_t state;
  __asm__ volatile("mrs %0, fpcr" : "=r"(state));
  uint64_t after = to_zero ? state | 1u << 24 : state & ~(uint64_t)(1u << 24);
  __asm__ volatile("msr fpcr, %0" : : "r"(after));
  return (unsigned)state;
#else
  (void)to_zero;
  return 0;
#endif
}

unsigned congru_flush_denormals(void) { return switch_denormals(1); }

/* What a function that is asked in the middle of a call expects. */
static unsigned keep_denormals(void) { return switch_denormals(0); }

void congru_restore_denormals(unsigned state) {
#if defined(__SSE2__)
  _mm_setcsr(state);
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)state));
#else
  (void)state;
#endif
}

static void run_one(congru_work *work, void *job, int64_t thread) {
  unsigned state = congru_flush_denormals();
  work(job, thread);
  congru_restore_denormals(state);
}

static PLATFORM_THREAD(worker, argument) {
  int64_t me = (int64_t)(intptr_t)argument;
  mutex_lock(&pool.mutex);
  int64_t seen = pool.born[me];
  for (;;) {
    while (pool.turn == seen || me >= pool.threads) {
      seen = pool.turn;
      condition_wait(&pool.wake, &pool.mutex);
    }
    seen = pool.turn;
    congru_work *work = pool.work;
    void *job = pool.job;
    mutex_unlock(&pool.mutex);
    run_one(work, job, me);
    atomic_fetch_sub_explicit(&pool.running, 1, memory_order_release);
    mutex_lock(&pool.mutex);
  }
  return 0;
}

static congru_team team;

static void in_child(void) {
  team.parallel = NULL; /* its threads did not come along */
  pool.claimed = 0;
  pool.workers = 0;
  pool.threads = 0;
  mutex_init(&pool.mutex);
  condition_init(&pool.wake);
}

static void watch_forks(void) { call_after_fork(in_child); }

static platform_once forks_watched = PLATFORM_ONCE;

void congru_set_team(const congru_team *other) {
  call_once_only(&forks_watched, watch_forks);
  team = *other;
}

/* Start workers until there are want - 1; returns how many threads that makes. */
static int64_t start_workers(int64_t want) {
  call_once_only(&forks_watched, watch_forks);
  while (pool.workers < want - 1) {
    mutex_lock(&pool.mutex);
    pool.born[pool.workers + 1] = pool.turn;
    mutex_unlock(&pool.mutex);
    if (start_thread(worker, (void *)(intptr_t)(pool.workers + 1))) break;
    pool.workers++;
  }
  return pool.workers + 1 < want ? pool.workers + 1 : want;
}

static int team_is_free(void) { return team.parallel && !team.in_parallel(); }

typedef struct {
  congru_work *work;
  void *job;
  int64_t threads;
  int too_few; /* the runtime gave fewer threads than the job was planned for: nobody works */
} team_job;

static void run_member(void *data) {
  team_job *member = data;
  if (team.get_num_threads() == member->threads)
    run_one(member->work, member->job, team.get_thread_num());
  else if (team.get_thread_num() == 0)
    member->too_few = 1;
}

int64_t congru_pool_claim(int64_t want) {
  if (want > CONGRU_MAX_THREADS) want = CONGRU_MAX_THREADS;
  if (want <= 1) return 1;
  if (team_is_free()) return want;
  if (atomic_exchange_explicit(&pool.claimed, 1, memory_order_acquire)) return 1;
  int64_t threads = start_workers(want);
  if (threads == 1) atomic_store_explicit(&pool.claimed, 0, memory_order_release);
  return threads;
}

int congru_pool_run(int64_t threads, congru_work *work, void *job) {
  if (threads <= 1) {
    run_one(work, job, 0);
    return 1;
  }
  if (team_is_free()) {
    team_job member = {work, job, threads, 0};
    team.parallel(run_member, &member, (unsigned)threads, 0);
    return !member.too_few;
  }
  mutex_lock(&pool.mutex);
  pool.work = work, pool.job = job, pool.threads = threads;
  atomic_store_explicit(&pool.running, (int)threads - 1, memory_order_relaxed);
  pool.turn++;
  condition_wake_all(&pool.wake);
  mutex_unlock(&pool.mutex);
  run_one(work, job, 0);
  for (int64_t spins = 0; atomic_load_explicit(&pool.running, memory_order_acquire);) relax(&spins, SPINS);
  atomic_store_explicit(&pool.claimed, 0, memory_order_release);
  return 1;
}

void congru_pool_give_up(int64_t threads) {
  if (threads > 1 && !team_is_free()) atomic_store_explicit(&pool.claimed, 0, memory_order_release);
}

/* A barrier gives up when waits beyond its patience have cost more than this and a share of the call's time: an interrupt or two
 * are forgiven. */
#define FORGIVEN_NS 200000
#define FORGIVEN_SHARE 4
/* Calls that do without a barrier after one gave up: twice as many each time the next try fails too. */
#define FEWEST_ALONE 2
#define MOST_ALONE 64

static atomic_int calls_alone, calls_since;
static atomic_int next_alone = FEWEST_ALONE;

int congru_barriers_give_up(void) {
  int left = atomic_load_explicit(&calls_alone, memory_order_relaxed);
  if (left > 0)
    atomic_store_explicit(&calls_alone, left - 1, memory_order_relaxed);
  else
    atomic_fetch_add_explicit(&calls_since, 1, memory_order_relaxed);
  return left > 0;
}

static void remember_giving_up(void) {
  int again = atomic_exchange_explicit(&calls_since, 0, memory_order_relaxed) <= 1;
  int alone = again ? 2 * atomic_load_explicit(&next_alone, memory_order_relaxed) : FEWEST_ALONE;
  if (alone > MOST_ALONE) alone = MOST_ALONE;
  atomic_store_explicit(&next_alone, alone, memory_order_relaxed);
  atomic_store_explicit(&calls_alone, alone, memory_order_relaxed);
}

/* Multiply-adds from one look at the clock to the next, and time from one question to the next. */
#define WORK_OF_A_LOOK 4000000
#define QUESTION_NS 20000000

static int (*question)(void);

void congru_set_question(int (*should_stop)(void)) { question = should_stop; }

void congru_ask(congru_stop *stop, int64_t work) {
  if (!question || (stop->work += work) < WORK_OF_A_LOOK) return;
  int64_t now = now_ns();
  stop->work = 0;
  if (!stop->asked_ns) stop->asked_ns = now;
  if (now - stop->asked_ns < QUESTION_NS) return;
  unsigned state = keep_denormals();
  if (question()) atomic_store_explicit(&stop->now, 1, memory_order_relaxed);
  congru_restore_denormals(state);
  stop->asked_ns = now_ns();
}

int congru_stopped(const congru_barrier *barrier, const congru_stop *stop) {
  if (barrier && barrier->members > 1) return barrier->stopped;
  return atomic_load_explicit(&stop->now, memory_order_relaxed);
}

void congru_barrier_init(congru_barrier *barrier, int64_t members, int64_t step_ns, congru_stop *stop) {
  atomic_init(&barrier->arrived, 0);
  atomic_init(&barrier->turn, 0);
  atomic_init(&barrier->wasted_ns, 0);
  barrier->given_up = barrier->stopped = 0;
  barrier->stop = stop;
  barrier->members = members;
  barrier->may_give_up = step_ns >= 0;
  barrier->patient_spins = SPINS + step_ns / SPIN_NS;
  barrier->began_ns = now_ns();
}

static int is_hopeless(const congru_barrier *barrier) {
  int64_t wasted = atomic_load_explicit(&barrier->wasted_ns, memory_order_relaxed);
  return barrier->may_give_up && wasted > FORGIVEN_NS &&
         wasted > FORGIVEN_NS + (now_ns() - barrier->began_ns) / FORGIVEN_SHARE;
}

int congru_barrier_wait(congru_barrier *barrier) {
  if (!barrier || barrier->members <= 1) return 0;
  int turn = atomic_load_explicit(&barrier->turn, memory_order_relaxed);
  if (atomic_fetch_add_explicit(&barrier->arrived, 1, memory_order_acq_rel) + 1 == barrier->members) {
    atomic_store_explicit(&barrier->arrived, 0, memory_order_relaxed);
    barrier->stopped = atomic_load_explicit(&barrier->stop->now, memory_order_relaxed);
    if (!barrier->given_up && is_hopeless(barrier)) {
      barrier->given_up = 1;
      remember_giving_up();
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
    int64_t wait = now_ns() - start + barrier->patient_spins * SPIN_NS / 2;
    atomic_fetch_add_explicit(&barrier->wasted_ns, wait, memory_order_relaxed);
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
  free_aligned(block);
  size_t unit = bytes >= HUGE_FROM ? HUGE_PAGE : HEADER, size = (bytes + HEADER + unit - 1) & ~(unit - 1);
  block = aligned_memory(unit, size);
  if (!block) return NULL;
#if defined(MADV_HUGEPAGE)
  if (unit == HUGE_PAGE) (void)madvise(block, size, MADV_HUGEPAGE);
#endif
  *block = size - HEADER;
  return (char *)block + HEADER;
}

void congru_memory_is_fresh(void *array, int64_t bytes) {
#if defined(MADV_HUGEPAGE)
  const uintptr_t page = 4096, begin = ((uintptr_t)array + page - 1) & ~(page - 1);
  const uintptr_t end = ((uintptr_t)array + (uintptr_t)bytes) & ~(page - 1);
  if (array && bytes > (int64_t)KEEP_UP_TO) (void)madvise((void *)begin, end - begin, MADV_HUGEPAGE);
#else
  (void)array, (void)bytes;
#endif
}

void congru_memory_put(void *workspace) {
  size_t *block = (size_t *)(void *)((char *)workspace - HEADER);
  free_aligned(*block <= KEEP_UP_TO ? atomic_exchange(&spare, block) : block);
}
