/* What POSIX and Windows name differently: threads, a mutex, a condition variable, calls made once, the clock. */
#ifndef CONGRU_PLATFORM_THREADS_H
#define CONGRU_PLATFORM_THREADS_H

#include <stdint.h>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>

#include <process.h>

typedef SRWLOCK platform_mutex;
typedef CONDITION_VARIABLE platform_condition;
typedef INIT_ONCE platform_once;
#define PLATFORM_MUTEX SRWLOCK_INIT
#define PLATFORM_CONDITION CONDITION_VARIABLE_INIT
#define PLATFORM_ONCE INIT_ONCE_STATIC_INIT

/* A function that a thread begins with; it ends with `return 0`. */
#define PLATFORM_THREAD(name, argument) unsigned __stdcall name(void *argument)
typedef unsigned(__stdcall *platform_start)(void *);

static inline void mutex_init(platform_mutex *mutex) { InitializeSRWLock(mutex); }
static inline void mutex_lock(platform_mutex *mutex) { AcquireSRWLockExclusive(mutex); }
static inline void mutex_unlock(platform_mutex *mutex) { ReleaseSRWLockExclusive(mutex); }
static inline void condition_init(platform_condition *condition) { InitializeConditionVariable(condition); }
static inline void condition_wait(platform_condition *condition, platform_mutex *mutex) {
  SleepConditionVariableSRW(condition, mutex, INFINITE, 0);
}
static inline void condition_wake_all(platform_condition *condition) { WakeAllConditionVariable(condition); }

static BOOL CALLBACK call_without_argument(INIT_ONCE *once, void *function, void **unused) {
  (void)once, (void)unused;
  ((void (*)(void))(uintptr_t)function)();
  return TRUE;
}
static inline void call_once_only(platform_once *once, void (*function)(void)) {
  InitOnceExecuteOnce(once, call_without_argument, (void *)(uintptr_t)function, NULL);
}

/* 0, or another number where none could be started. Nobody waits for its end. */
static inline int start_thread(platform_start start, void *argument) {
  uintptr_t handle = _beginthreadex(NULL, 0, start, argument, 0, NULL);
  if (handle) (void)CloseHandle((HANDLE)handle);
  return handle ? 0 : -1;
}
static inline void yield_core(void) { (void)SwitchToThread(); }
/* Windows has no fork. */
static inline void call_after_fork(void (*in_child)(void)) { (void)in_child; }

static inline int64_t now_ns(void) {
  LARGE_INTEGER frequency, now;
  QueryPerformanceFrequency(&frequency);
  QueryPerformanceCounter(&now);
  int64_t whole = now.QuadPart / frequency.QuadPart, rest = now.QuadPart % frequency.QuadPart;
  return whole * 1000000000 + rest * 1000000000 / frequency.QuadPart;
}

#else
#include <pthread.h>
#include <sched.h>
#include <time.h>

typedef pthread_mutex_t platform_mutex;
typedef pthread_cond_t platform_condition;
typedef pthread_once_t platform_once;
#define PLATFORM_MUTEX PTHREAD_MUTEX_INITIALIZER
#define PLATFORM_CONDITION PTHREAD_COND_INITIALIZER
#define PLATFORM_ONCE PTHREAD_ONCE_INIT

#define PLATFORM_THREAD(name, argument) void *name(void *argument)
typedef void *(*platform_start)(void *);

static inline void mutex_init(platform_mutex *mutex) { pthread_mutex_init(mutex, NULL); }
static inline void mutex_lock(platform_mutex *mutex) { pthread_mutex_lock(mutex); }
static inline void mutex_unlock(platform_mutex *mutex) { pthread_mutex_unlock(mutex); }
static inline void condition_init(platform_condition *condition) { pthread_cond_init(condition, NULL); }
static inline void condition_wait(platform_condition *condition, platform_mutex *mutex) { pthread_cond_wait(condition, mutex); }
static inline void condition_wake_all(platform_condition *condition) { pthread_cond_broadcast(condition); }
static inline void call_once_only(platform_once *once, void (*function)(void)) { pthread_once(once, function); }

static inline int start_thread(platform_start start, void *argument) {
  pthread_t thread;
  int failed = pthread_create(&thread, NULL, start, argument);
  if (!failed) pthread_detach(thread);
  return failed;
}
static inline void yield_core(void) { sched_yield(); }
static inline void call_after_fork(void (*in_child)(void)) { pthread_atfork(NULL, NULL, in_child); }

static inline int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
#endif

#endif
