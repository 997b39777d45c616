/* Nanoseconds of every single step of a stream, float32 and int8: `step_latency STEPS UNITS` prints "name median p99 p99.9 most".
 *
 * Each step has an input of its own; its cost may not depend on it. What the system does meanwhile is in the figures too: the
 * control is a chain of multiplications as long as a float32 step, which touches no memory, so all its slow ones are the system's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "congru.h"

static uint64_t seed = 88172645463325252u;
static int draw(int n) {
  seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
  return (int)(seed % (uint64_t)n);
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
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

static int64_t say(const char *name, int64_t *ns, long steps) {
  qsort(ns, (size_t)steps, sizeof(*ns), by_size);
  printf("%s\t%lld\t%lld\t%lld\t%lld\n", name, (long long)ns[steps / 2], (long long)ns[steps * 99 / 100],
         (long long)ns[steps * 999 / 1000], (long long)ns[steps - 1]);
  return ns[steps / 2];
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  long steps = atol(argv[1]), size = atol(argv[2]);
  float *W = malloc(sizeof(float) * 3 * size * size), *b = malloc(sizeof(float) * 3 * size), *x = malloc(sizeof(float) * size);
  float *y = malloc(sizeof(float) * size);
  int8_t *q = malloc(3 * size * size);
  int32_t *factors = malloc(sizeof(int32_t) * 3 * size), *bias = calloc(3 * size, sizeof(int32_t));
  int64_t *ns = malloc(sizeof(int64_t) * steps);
  int16_t table[353];
  for (long k = 0; k < 3 * size * size; k++) W[k] = (float)(draw(4001) - 2000) / 20000, q[k] = (int8_t)(draw(255) - 127);
  for (long k = 0; k < 3 * size; k++) b[k] = (float)(draw(4001) - 2000) / 4000, factors[k] = 1 << 30;
  for (int k = 0; k < 353; k++) table[k] = (int16_t)(32767 - 16383 * (352 - k) / 352 * (352 - k) / 352);
  congru_packed *packed = congru_packed_new(&(congru_call){.I = size, .H = size, .W = W, .U = W, .b_i = b, .b_h = b});
  congru_stepper *stepper = congru_stepper_new(packed, 1);
  congru_int8 *net = congru_int8_new(
      &(congru_int8_weights){size, size, 0, q, q, factors, factors, 27, 29, bias, bias, table, 60.0f}, NULL);
  int16_t *h = calloc((size_t)congru_int8_state_size(net), sizeof(int16_t));
  char *scratch = aligned_alloc(64, (congru_int8_scratch(net) + 63) / 64 * 64);
  static const char *const names[] = {"float32", "int8", "control"};
  volatile uint64_t sink = 0;
  int64_t began = 0, median = 0;
  double links_per_ns = 0;
  for (int k = 0; k < 200; k++) { /* the fastest of many: the machine is at work */
    began = now();
    sink += chain(10000);
    double speed = 1e4 / (double)(now() - began);
    if (speed > links_per_ns) links_per_ns = speed;
  }
  for (int kind = 0; kind < 3; kind++) {
    for (long t = -1000; t < steps; t++) {
      for (long k = 0; k < size; k++) x[k] = (float)(draw(4001) - 2000) / 2000 * (t % 50 ? 1 : 40);
      began = now();
      if (kind == 2)
        sink += chain((uint64_t)((double)median * links_per_ns));
      else if (kind)
        congru_int8_step(net, 1, &(const float *){x}, &h, &(float *){y}, scratch);
      else
        congru_stepper_step(stepper, x, y);
      if (t >= 0) ns[t] = now() - began;
    }
    int64_t middle = say(names[kind], ns, steps);
    if (!kind) median = middle;
  }
  return 0;
}
