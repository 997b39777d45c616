/* What POSIX and Windows name differently: memory that is aligned. Threads and the clock are in platform_threads.h. */
#ifndef CONGRU_PLATFORM_H
#define CONGRU_PLATFORM_H

#include <stdlib.h>
#if defined(_WIN32)
#include <malloc.h>
#endif

/* `bytes` is a multiple of `unit`, a power of two. NULL: no memory. Ended by free_aligned, not by free. */
static inline void *aligned_memory(size_t unit, size_t bytes) {
#if defined(_WIN32)
  return _aligned_malloc(bytes, unit);
#else
  return aligned_alloc(unit, bytes);
#endif
}

static inline void free_aligned(void *memory) {
#if defined(_WIN32)
  _aligned_free(memory);
#else
  free(memory);
#endif
}

#endif
