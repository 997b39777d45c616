/* core/pool.h on one thread, for processors without threads: what bench/bits.py links for WebAssembly. */
#include "pool.h"

#include <stdlib.h>

#include "kernels.h"

int64_t congru_pool_claim(int64_t want) { return want < 1 ? want : 1; }
int congru_pool_run(int64_t threads, congru_work *work, void *job) {
  for (int64_t thread = 0; thread < threads; thread++) work(job, thread);
  return 1;
}
void congru_pool_give_up(int64_t threads) { (void)threads; }
void *congru_memory_get(size_t bytes) { return aligned_alloc(64, (bytes + 63) / 64 * 64); }
void congru_memory_put(void *workspace) { free(workspace); }
void congru_memory_is_fresh(void *array, int64_t bytes) { (void)array, (void)bytes; }
void congru_ask(congru_stop *stop, int64_t work) { (void)stop, (void)work; }
void congru_barrier_init(congru_barrier *barrier, int64_t members, int64_t step_ns, congru_stop *stop) {
  (void)step_ns, barrier->members = members, barrier->stop = stop;
}
int congru_stopped(const congru_barrier *barrier, const congru_stop *stop) { return (void)barrier, (void)stop, 0; }
int congru_barrier_wait(congru_barrier *barrier) { return (void)barrier, 0; }
int congru_barriers_give_up(void) { return 0; }
unsigned congru_flush_denormals(void) { return 0; }
void congru_restore_denormals(unsigned state) { (void)state; }
