#include "naive.h"

#include <math.h>
#include <string.h>

#define MAX_H 128

static double sigmoid(double a) { return 1 / (1 + exp(-a)); }

/* Row `row` of W x + b_i, and of U h + b_h. */
static double input(const congru_call *call, int64_t row, const double *x) {
  double sum = call->b_i ? ((const double *)call->b_i)[row] : 0;
  for (int64_t i = 0; i < call->I; i++) sum += ((const double *)call->W)[row * call->I + i] * x[i];
  return sum;
}

static double recurrent(const congru_call *call, int64_t row, const double *h) {
  double sum = call->b_h ? ((const double *)call->b_h)[row] : 0;
  for (int64_t j = 0; j < call->H; j++) sum += ((const double *)call->U)[row * call->H + j] * h[j];
  return sum;
}

/* One step of one row: h and c become the new state; gates [G, H] and extra [H] are filled. */
static void naive_step(const congru_call *call, const double *x, double *h, double *c, double *gates, double *extra) {
  int64_t H = call->H;
  double *r = gates, *z = gates + H, *n = gates + 2 * H, before[MAX_H], rh[MAX_H];
  memcpy(before, h, (size_t)H * sizeof(double));
  switch (call->cell) {
    case CONGRU_RNN:
      for (int64_t j = 0; j < H; j++) h[j] = tanh(input(call, j, x) + recurrent(call, j, before));
      return;
    case CONGRU_LSTM:
      for (int64_t j = 0; j < H; j++) {
        for (int64_t g = 0; g < 4; g++) {
          double a = input(call, g * H + j, x) + recurrent(call, g * H + j, before);
          gates[g * H + j] = g == 2 ? tanh(a) : sigmoid(a);
        }
        c[j] = extra[j] = gates[H + j] * c[j] + gates[j] * gates[2 * H + j];
        h[j] = gates[3 * H + j] * tanh(c[j]);
      }
      return;
    default:
      for (int64_t j = 0; j < H; j++) {
        r[j] = sigmoid(input(call, j, x) + recurrent(call, j, before));
        z[j] = sigmoid(input(call, H + j, x) + recurrent(call, H + j, before));
        rh[j] = r[j] * before[j];
      }
      for (int64_t j = 0; j < H; j++) {
        extra[j] = recurrent(call, 2 * H + j, call->cell == CONGRU_GRU ? before : rh);
        n[j] = tanh(input(call, 2 * H + j, x) + (call->cell == CONGRU_GRU ? r[j] : 1) * extra[j]);
        h[j] = (1 - z[j]) * n[j] + z[j] * before[j];
      }
  }
}

static void fill(double *to, const void *from, int64_t H) {
  if (from)
    memcpy(to, from, (size_t)H * sizeof(double));
  else
    memset(to, 0, (size_t)H * sizeof(double));
}

static double *place(const void *array, congru_strides strides, int64_t b, int64_t t) {
  return array ? (double *)array + b * strides.batch + t * strides.time : NULL;
}

static void put(double *to, const double *from, int64_t n) {
  if (to) memcpy(to, from, (size_t)n * sizeof(double));
}

static int64_t gates_of(const congru_call *call) { return call->cell == CONGRU_LSTM ? 4 : call->cell == CONGRU_RNN ? 1 : 3; }

void naive_forward(const congru_call *call) {
  int64_t H = call->H, T = call->T, GH = gates_of(call) * H;
  double h[MAX_H], c[MAX_H], gates[4 * MAX_H], extra[MAX_H];
  for (int64_t b = 0; b < call->B; b++) {
    int64_t length = call->lengths ? call->lengths[b] : T;
    fill(h, call->h0 ? (const double *)call->h0 + b * H : NULL, H);
    fill(c, call->c0 ? (const double *)call->c0 + b * H : NULL, H);
    for (int64_t s = 0; s < T; s++) {
      int64_t t = call->reverse && s < length ? length - 1 - s : s, boundary = call->reverse ? t + 1 : t;
      memset(gates, 0, sizeof gates);
      memset(extra, 0, sizeof extra);
      double none[MAX_H] = {0};
      if (s < length) {
        if (call->reset && boundary < length && call->reset[b * T + boundary]) {
          fill(h, call->h_reset, H);
          fill(c, call->c_reset, H);
        }
        naive_step(call, place(call->x, call->x_strides, b, t), h, c, gates, extra);
      }
      put(place(call->y, call->y_strides, b, t), s < length ? h : none, H);
      put(place(call->gates, call->gates_strides, b, t), gates, GH);
      put(place(call->extra, call->y_strides, b, t), extra, H);
    }
    put((double *)call->h + b * H, h, H);
    if (call->c) put((double *)call->c + b * H, c, H);
  }
}

static double dot(const void *a, const void *b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; a && b && i < n; i++) sum += ((const double *)a)[i] * ((const double *)b)[i];
  return sum;
}

double naive_loss(const congru_call *call) {
  int64_t states = call->B * call->H, steps = states * call->T;
  naive_forward(call);
  return dot(call->y, call->dy, steps) + dot(call->h, call->dh, states) + dot(call->c, call->dc, states) +
         dot(call->gates, call->dgates, steps * gates_of(call));
}
