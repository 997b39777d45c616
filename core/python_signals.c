/* Long calls and the interpreter: its lock is given up, and signals (Ctrl-C) are handled in the middle of a call.
 *
 * Python handles signals in its main thread, and only where that holds the lock. The core asks between two steps whether to go on
 * (congru_set_question); the answer takes the lock for a moment, lets handlers run, and ends the call where one has raised.
 */
#if defined(__linux__)
#define _GNU_SOURCE
#include <sys/syscall.h>
#elif defined(__APPLE__)
#include <pthread.h>
#endif
#if !defined(_WIN32)
#include <unistd.h>
#endif

#include "python.h"

/* The state of this thread while it runs without the lock, in a call of the core. */
static _Thread_local PyThreadState *unlocked;

void give_up_lock(void) { unlocked = PyEval_SaveThread(); }

int take_lock_back(int status) {
  PyThreadState *own = unlocked;
  unlocked = NULL;
  PyEval_RestoreThread(own);
  return finish_call(status);
}

int finish_call(int status) {
  if (status < 0) PyErr_NoMemory();
  return status ? -1 : 0;
}

/* Also in a child forked by another thread, whose only thread has the number of the process. */
static int is_main_thread(void) {
#if defined(__linux__)
  return getpid() == (pid_t)syscall(SYS_gettid);
#elif defined(__APPLE__)
  return pthread_main_np();
#else
  return 1; /* elsewhere Python looks itself */
#endif
}

/* Whether a handler of a signal has raised. */
static int is_interrupted(void) {
  PyThreadState *own = unlocked;
  if (!own || !is_main_thread()) return 0;
  unlocked = NULL; /* a handler may call the core */
  PyEval_RestoreThread(own);
  int raised = PyErr_CheckSignals() != 0;
  unlocked = PyEval_SaveThread();
  return raised;
}

void listen_to_signals(void) { congru_set_question(is_interrupted); }
