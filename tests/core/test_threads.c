/* Several threads call at once, and a child made by fork() computes on: the results are those of a caller who was alone. */
#include <pthread.h>
#include <string.h>
#if !defined(_WIN32)
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "cases.h"

enum { CALLERS = 4, ROUNDS = 20 };

typedef struct {
  spec spec;
  uint64_t seed;
  const problem *expected;
} caller;

static void compare(const problem *found, const problem *expected) {
  const congru_call *a = &found->call, *b = &expected->call;
  int64_t steps = a->B * a->T * a->H, weights = num_gates(a->cell) * a->H * a->H;
  CHECK(!memcmp(a->y, b->y, (size_t)steps * 4) && !memcmp(a->h, b->h, (size_t)(a->B * a->H) * 4), "%s", name_of(&found->spec));
  for (int64_t i = 0; i < weights; i++) {
    double one = value_at(a->dU, 0, i), other = value_at(b->dU, 0, i), difference = one - other;
    CHECK(difference * difference < 1e-6, "dU[%d] is %g, expected %g: %s", (int)i, one, other, name_of(&found->spec));
  }
}

static void *call_again_and_again(void *argument) {
  const caller *own = argument;
  problem p = make_problem(&own->spec, own->seed);
  congru_stepper *stepper = make_stepper(&p.call);
  for (int round = 0; round < ROUNDS; round++) {
    CHECK(congru_forward(&p.call) == 0 && congru_backward(&p.call) == 0, "no memory");
    compare(&p, own->expected);
    congru_stepper_step(stepper, p.call.x, NULL);
    congru_set_threads(1 + round % 3);
  }
  congru_stepper_free(stepper);
  free_problem(&p);
  return NULL;
}

static problem alone(spec s, uint64_t seed) {
  s.threads = 1;
  problem p = make_problem(&s, seed);
  CHECK(congru_forward(&p.call) == 0 && congru_backward(&p.call) == 0, "no memory");
  return p;
}

/* threads: 0 as set by congru_set_threads, -2 and -3 exactly so many where the pool is free. B = 1 splits hidden units. */
static void check_concurrent_callers(unsigned options) {
  pthread_t thread[CALLERS];
  caller own[CALLERS];
  problem expected[CALLERS];
  for (int i = 0; i < CALLERS; i++) {
    spec s = {.cell = i, .B = i % 2 ? 12 : 1, .T = 30, .I = 6, .H = 50, .threads = i == 3 ? 0 : -2 - i % 2, .options = options};
    own[i] = (caller){s, (uint64_t)i, NULL};
    expected[i] = alone(s, own[i].seed);
    own[i].expected = &expected[i];
  }
  for (int i = 0; i < CALLERS; i++) CHECK(!pthread_create(&thread[i], NULL, call_again_and_again, &own[i]), "no thread");
  for (int i = 0; i < CALLERS; i++) pthread_join(thread[i], NULL);
  for (int i = 0; i < CALLERS; i++) free_problem(&expected[i]);
}

#if !defined(_WIN32)
/* The parent's workers do not exist in the child: it starts its own. */
static void check_fork(void) {
  caller own = {{.cell = CONGRU_GRU, .B = 12, .T = 30, .I = 6, .H = 50, .threads = -2}, 7, NULL};
  problem expected = alone(own.spec, own.seed);
  own.expected = &expected;
  (void)call_again_and_again(&own);
  for (int children = 0; children < 3; children++) {
    pid_t child = fork();
    CHECK(child >= 0, "no process");
    if (!child) {
      alarm(60);
      (void)call_again_and_again(&own);
      _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with %d", status);
  }
  (void)call_again_and_again(&own);
  free_problem(&expected);
}
#endif

/* One packed layer and one dense layer, stepped, copied and run by all threads at once, and freed by whoever is last. */
typedef struct {
  congru_packed *packed;
  congru_dense *dense;
  const problem *inputs;
  float y[50], out[50];
} sharer;

static void *step_shared(void *argument) {
  sharer *own = argument;
  congru_stepper *stepper = congru_stepper_new(own->packed, 1);
  CHECK(stepper, "no memory");
  congru_packed_free(own->packed);
  for (int t = 0; t < 200; t++) {
    congru_stepper *copy = congru_stepper_copy(stepper);
    CHECK(copy && congru_stepper_step(copy, own->inputs->call.x, own->y) == 0, "no memory");
    congru_stepper_free(stepper);
    stepper = copy;
    congru_dense_run(own->dense, 1, 1, own->y, (congru_strides){0, 0}, own->out);
  }
  congru_stepper_free(stepper), congru_dense_free(own->dense);
  return NULL;
}

static void check_shared_weights(void) {
  spec s = {.cell = CONGRU_LSTM, .B = 1, .T = 1, .I = 6, .H = 50, .threads = 1};
  problem p = make_problem(&s, 3);
  congru_packed *packed = congru_packed_new(&p.call);
  congru_dense *dense = congru_dense_new(0, 50, 50, p.call.U, NULL);
  CHECK(packed && dense, "no memory");
  pthread_t thread[CALLERS];
  sharer own[CALLERS];
  for (int i = 0; i < CALLERS; i++) own[i] = (sharer){.packed = congru_packed_keep(packed), .dense = congru_dense_keep(dense), .inputs = &p};
  for (int i = 0; i < CALLERS; i++) CHECK(!pthread_create(&thread[i], NULL, step_shared, &own[i]), "no thread");
  congru_packed_free(packed), congru_dense_free(dense);
  for (int i = 0; i < CALLERS; i++) pthread_join(thread[i], NULL);
  for (int i = 1; i < CALLERS; i++) {
    CHECK(!memcmp(own[i].y, own[0].y, sizeof own[0].y), "thread %d stepped to another state", i);
    CHECK(!memcmp(own[i].out, own[0].out, sizeof own[0].out), "thread %d computed another dense layer", i);
  }
  free_problem(&p);
}

int main(void) {
  const unsigned options[] = {0, NORM | ZONEOUT, DREAMER};
  for (int i = 0; i < 3; i++) check_concurrent_callers(options[i]);
  check_shared_weights();
#if !defined(_WIN32)
  check_fork();
#endif
}
