/* Nanoseconds of every single step of a stream, float32 and int8: `step_latency STEPS UNITS RUNS` prints
 * "name clock median p99 p99.9 most".
 *
 * Every run takes the same steps from the same state; each step has an input of its own, and its cost may not depend on it. What
 * the system does meanwhile is in the figures of the clocks too: "wall" is the clock on the wall, "cpu" the processor's time of this
 * thread, each of the run whose one in a thousand was smallest against its median. Interrupts lie in both. "alone" is, for every
 * step, the shortest of all runs by the wall: an interrupt would have to meet the same step in every run. The control is a chain of
 * multiplications as long as a float32 step, which touches no memory, so all its slow ones are the system's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "congru.h"

enum { FLOAT, INT8, CONTROL, KINDS, WARM_UP = 1000 };
static const char *const names[] = {"float32", "int8", "control"};

static uint64_t seed;
static int draw(int n) {
  seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
  return (int)(seed % (uint64_t)n);
}

static int64_t now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int by_size(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* n multiplications, each of the product before. */
static uint64_t chain(uint64_t n) {
  uint64_t product = 3;
  for (uint64_t k = 0; k < n; k++) product = product * 6364136223846793005u + k;
  return product;
}

typedef struct {
  long size, steps;
  congru_stepper *stepper;
  congru_int8 *net;
  float *x, *y;
  int16_t *h;
  char *scratch;
  uint64_t links; /* of the control */
  volatile uint64_t sink;
} streams;

static void make(streams *s) {
  long size = s->size;
  float *W = malloc(sizeof(float) * 3 * size * size), *b = malloc(sizeof(float) * 3 * size);
  int8_t *q = malloc(3 * size * size);
  int32_t *factors = malloc(sizeof(int32_t) * 3 * size), *bias = calloc(3 * size, sizeof(int32_t));
  int16_t table[353];
  seed = 88172645463325252u;
  for (long k = 0; k < 3 * size * size; k++) W[k] = (float)(draw(4001) - 2000) / 20000, q[k] = (int8_t)(draw(255) - 127);
  for (long k = 0; k < 3 * size; k++) b[k] = (float)(draw(4001) - 2000) / 4000, factors[k] = 1 << 30;
  for (int k = 0; k < 353; k++) table[k] = (int16_t)(32767 - 16383 * (352 - k) / 352 * (352 - k) / 352);
  s->stepper = congru_stepper_new(congru_packed_new(&(congru_call){.I = size, .H = size, .W = W, .U = W, .b_i = b, .b_h = b}), 1);
  s->net =
      congru_int8_new(&(congru_int8_weights){size, size, 0, q, q, factors, factors, 27, 29, bias, bias, table, 60.0f}, NULL);
  s->x = malloc(sizeof(float) * size), s->y = calloc(size, sizeof(float));
  s->h = malloc((size_t)congru_int8_state_size(s->net) * sizeof(int16_t));
  s->scratch = aligned_alloc(64, (congru_int8_scratch(s->net) + 63) / 64 * 64);
}

/* One stream from zeros: the nanoseconds of each of its steps after the first WARM_UP. */
static void take(streams *s, int kind, clockid_t clock, int64_t *ns) {
  seed = 1234567;
  memset(s->y, 0, sizeof(float) * s->size);
  congru_stepper_set(s->stepper, s->y, NULL);
  memset(s->h, 0, (size_t)congru_int8_state_size(s->net) * sizeof(int16_t));
  for (long t = -WARM_UP; t < s->steps; t++) {
    for (long k = 0; k < s->size; k++) s->x[k] = (float)(draw(4001) - 2000) / 2000 * (t % 50 ? 1 : 40);
    int64_t began = now(clock);
    if (kind == CONTROL)
      s->sink += chain(s->links);
    else if (kind == INT8)
      congru_int8_step(s->net, 1, &(const float *){s->x}, &s->h, &(float *){s->y}, s->scratch);
    else
      congru_stepper_step(s->stepper, s->x, s->y);
    if (t >= 0) ns[t] = now(clock) - began;
  }
}

typedef struct {
  int64_t median, p99, p999, most;
} summary;

static summary of(int64_t *ns, long steps) {
  qsort(ns, (size_t)steps, sizeof(*ns), by_size);
  return (summary){ns[steps / 2], ns[steps * 99 / 100], ns[steps * 999 / 1000], ns[steps - 1]};
}

static void say(const char *name, const char *clock, summary s) {
  printf("%s\t%s\t%lld\t%lld\t%lld\t%lld\n", name, clock, (long long)s.median, (long long)s.p99, (long long)s.p999,
         (long long)s.most);
}

static summary measure(streams *s, int kind, long runs, int64_t *ns, int64_t *shortest) {
  const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_THREAD_CPUTIME_ID};
  for (long t = 0; t < s->steps; t++) shortest[t] = INT64_MAX;
  for (int c = 0; c < 2; c++) {
    summary best = {1, 0, INT64_MAX / 2, 0};
    for (long run = 0; run < runs; run++) {
      take(s, kind, clocks[c], ns);
      for (long t = 0; !c && t < s->steps; t++) shortest[t] = ns[t] < shortest[t] ? ns[t] : shortest[t];
      summary one = of(ns, s->steps);
      if ((double)one.p999 / (double)one.median < (double)best.p999 / (double)best.median) best = one;
    }
    say(names[kind], c ? "cpu" : "wall", best);
  }
  summary alone = of(shortest, s->steps);
  say(names[kind], "alone", alone);
  return alone;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  streams s = {.steps = atol(argv[1]), .size = atol(argv[2])};
  int64_t *ns = malloc(sizeof(int64_t) * s.steps), *shortest = malloc(sizeof(int64_t) * s.steps);
  double links_per_ns = 0;
  make(&s);
  for (int k = 0; k < 200; k++) { /* the fastest of many: the machine is at work */
    int64_t began = now(CLOCK_MONOTONIC);
    s.sink += chain(10000);
    double speed = 1e4 / (double)(now(CLOCK_MONOTONIC) - began);
    if (speed > links_per_ns) links_per_ns = speed;
  }
  for (int kind = 0; kind < KINDS; kind++) {
    summary alone = measure(&s, kind, atol(argv[3]), ns, shortest);
    if (kind == FLOAT) s.links = (uint64_t)((double)alone.median * links_per_ns);
  }
  return 0;
}
