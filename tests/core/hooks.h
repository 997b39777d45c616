/* Counts what touches the allocator or a lock: the linker (--wrap, see CMakeLists.txt) leads such calls here. For one file of a
 * program.
 */
#ifndef HOOKS_H
#define HOOKS_H

static _Atomic long num_memory, num_locks;

#if defined(CONGRU_UNHOOKED)
#define HOOKED 0 /* the linker leads no call here: nothing is counted */
#else
#define HOOKED 1
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#define HOOK(counter, result, function, parameters, arguments) \
  result __real_##function parameters;                         \
  result __wrap_##function parameters;                         \
  result __wrap_##function parameters {                        \
    counter++;                                                 \
    return __real_##function arguments;                        \
  }
HOOK(num_memory, void *, malloc, (size_t n), (n))
HOOK(num_memory, void *, calloc, (size_t n, size_t size), (n, size))
HOOK(num_memory, void *, realloc, (void *at, size_t n), (at, n))
HOOK(num_memory, void *, aligned_alloc, (size_t unit, size_t n), (unit, n))
HOOK(num_memory, int, posix_memalign, (void **at, size_t unit, size_t n), (at, unit, n))
HOOK(num_memory, void *, mmap, (void *at, size_t n, int protection, int flags, int file, off_t from),
     (at, n, protection, flags, file, from))
HOOK(num_locks, int, pthread_mutex_lock, (pthread_mutex_t *mutex), (mutex))
HOOK(num_locks, int, pthread_cond_wait, (pthread_cond_t *condition, pthread_mutex_t *mutex), (condition, mutex))
void __real_free(void *at);
void __wrap_free(void *at);
void __wrap_free(void *at) {
  num_memory++;
  __real_free(at);
}
#endif

#endif
