/* One result everywhere: hashes of what every cell computes over many steps, in two profiles, with fused multiply-add (AVX-512,
 * AVX2, NEON) and without (the baseline of x86, WebAssembly), and in integers, where there is one.
 *
 * Without arguments 300 steps are held against the hashes below, by every instruction set that runs here. `test_bits STEPS` prints
 * "name profile hash" for the one in use (CONGRU_ISA), for bench/bits.py, which runs this file on other processors.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "congru.h"
#include "platform.h"

enum { INPUTS = 24, UNITS = 45 }; /* no multiple of any vector */
#define SHORT 300

static const char *const cells[] = {"gru", "gru, reset before", "lstm", "rnn", "int8", "int8, reset before"};
/* After SHORT steps: with fused multiply-add, without. */
static const uint64_t expected[][2] = {
    {0x7d58451a45e70bd1, 0xac22ff9610b2175d}, {0x1d61128c9e268a47, 0x834f5b5f8c0cfb64}, {0x7c982c214e29083c, 0x5292afdb8351d09b},
    {0xfe5a0215024bc4a7, 0x0f73d90c3a99d21a}, {0xda2b024b6e283e55, 0},                  {0xbc701ad1e1a1b255, 0}};

static uint64_t seed;
static int draw(int n) {
  seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
  return (int)(seed % (uint64_t)n);
}
static float draw_real(float scale) { return (float)(draw(4001) - 2000) * (1.0f / 2048) * scale; }

static uint64_t hashed(uint64_t hash, const float *y) {
  for (int j = 0; j < UNITS; j++) {
    uint32_t bits;
    memcpy(&bits, y + j, sizeof(bits));
    hash = (hash ^ bits) * 1099511628211u;
  }
  return hash;
}

static uint64_t of_reals(congru_cell cell, long steps) {
  static float W[4 * UNITS * INPUTS], U[4 * UNITS * UNITS], b_i[4 * UNITS], b_h[4 * UNITS];
  float x[INPUTS], y[UNITS];
  seed = 88172645463325252u + (uint64_t)cell;
  for (int k = 0; k < 4 * UNITS * INPUTS; k++) W[k] = draw_real(0.5f);
  for (int k = 0; k < 4 * UNITS * UNITS; k++) U[k] = draw_real(0.3f);
  for (int k = 0; k < 4 * UNITS; k++) b_i[k] = draw_real(0.5f), b_h[k] = draw_real(0.5f);
  congru_packed *packed =
      congru_packed_new(&(congru_call){.cell = cell, .I = INPUTS, .H = UNITS, .W = W, .U = U, .b_i = b_i, .b_h = b_h});
  congru_stepper *stepper = packed ? congru_stepper_new(packed, 1) : NULL;
  uint64_t hash = 14695981039346656037u;
  for (long t = 0; stepper && t < steps; t++) {
    for (int k = 0; k < INPUTS; k++) x[k] = draw_real(t % 50 ? 1.0f : 40.0f); /* saturated now and then */
    congru_stepper_step(stepper, x, y);
    hash = hashed(hash, y);
  }
  if (stepper) congru_stepper_free(stepper), congru_packed_free(packed);
  return hash;
}

static uint64_t of_integers(int before, long steps, const char *kernel) {
  static int8_t W[3 * UNITS * INPUTS], U[3 * UNITS * UNITS];
  static int32_t W_factors[3 * UNITS], U_factors[3 * UNITS], bias[3 * UNITS], b_n[UNITS];
  static int16_t table[353];
  float x[INPUTS], y[UNITS];
  seed = 1234567 + (uint64_t)before;
  for (int k = 0; k < 3 * UNITS * INPUTS; k++) W[k] = (int8_t)(draw(255) - 127);
  for (int k = 0; k < 3 * UNITS * UNITS; k++) U[k] = (int8_t)(draw(255) - 127);
  for (int k = 0; k < 3 * UNITS; k++) {
    W_factors[k] = (1 << 30) + draw(1 << 29), U_factors[k] = (1 << 30) + draw(1 << 29), bias[k] = draw(1 << 17) - (1 << 16);
  }
  for (int k = 0; k < UNITS; k++) b_n[k] = draw(1 << 17) - (1 << 16);
  for (int k = 0; k < 353; k++) table[k] = (int16_t)(32767 - 16383 * (352 - k) / 352 * (352 - k) / 352);
  congru_int8 *net = congru_int8_new(&(congru_int8_weights){INPUTS, UNITS, before, W, U, W_factors, U_factors, 26, 28, bias,
                                                            before ? NULL : b_n, table, 60.0f}, kernel);
  uint64_t hash = 14695981039346656037u;
  if (!net) return 0;
  size_t bytes = ((size_t)congru_int8_state_size(net) * sizeof(int16_t) + 63) / 64 * 64;
  int16_t *h = aligned_memory(64, bytes);
  char *scratch = aligned_memory(64, (congru_int8_scratch(net) + 63) / 64 * 64);
  memset(h, 0, bytes);
  for (long t = 0; t < steps; t++) {
    for (int k = 0; k < INPUTS; k++) x[k] = draw_real(t % 50 ? 1.0f : 40.0f);
    congru_int8_step(net, 1, &(const float *){x}, &h, &(float *){y}, scratch);
    hash = hashed(hash, y);
  }
  free_aligned(h), free_aligned(scratch), congru_int8_free(net);
  return hash;
}

static uint64_t hash_of(int number, long steps, const char *kernel) {
  return number < 4 ? of_reals((congru_cell)number, steps) : of_integers(number == 5, steps, kernel);
}

static int separate(const char *isa) {
#if defined(__ARM_NEON)
  (void)isa;
  return 0;
#else
  return !strcmp(isa, "baseline");
#endif
}

static int check(int number, const char *name, int profile, const char *kernel) {
  uint64_t hash = hash_of(number, SHORT, kernel);
  if (hash == expected[number][profile]) return 0;
  fprintf(stderr, "%s on %s has the hash %016llx, expected %016llx\n", cells[number], name, (unsigned long long)hash,
          (unsigned long long)expected[number][profile]);
  return 1;
}

int main(int argc, char **argv) {
  int wrong = 0;
  if (argc > 1) {
    int profile = separate(congru_isa());
    for (int k = 0; k < 6; k++)
      printf("%s\t%s\t%016llx\n", cells[k], k > 3 ? "integers" : profile ? "separate" : "fused",
             (unsigned long long)hash_of(k, atol(argv[1]), NULL));
    return 0;
  }
  for (const char *const *isa = congru_isas(); *isa; isa++) {
    congru_set_isa(*isa);
    for (int k = 0; k < 4; k++) wrong |= check(k, *isa, separate(*isa), NULL);
  }
  for (int k = 0; congru_int8_kernel(k); k++) {
    const char *kernel = congru_int8_kernel(k);
    wrong |= check(4, kernel, 0, kernel) | check(5, kernel, 0, kernel);
  }
  return wrong;
}
