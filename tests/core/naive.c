#include "naive.h"

#include <math.h>
#include <string.h>

#define MAX_H 128

static double sigmoid(double a) { return 1 / (1 + exp(-a)); }

static int64_t gates_of(const congru_call *call) { return call->cell == CONGRU_LSTM ? 4 : call->cell == CONGRU_RNN ? 1 : 3; }

/* a = gain * norm(a) over n values; gain NULL: a stays. */
static void normalise(double *a, const double *gain, int64_t n, double epsilon) {
  double mean = 0, variance = 0;
  for (int64_t j = 0; j < n; j++) mean += a[j] / (double)n;
  for (int64_t j = 0; j < n; j++) variance += (a[j] - mean) * (a[j] - mean) / (double)n;
  for (int64_t j = 0; j < n && gain; j++) a[j] = gain[j] * (a[j] - mean) / sqrt(variance + epsilon);
}

/* sums = M v + bias for all rows of M [G*H, K]; with a gain, gain * norm(M v) + bias gate by gate. */
static void project(const congru_call *call, const double *M, const double *gain, const double *bias, const double *v,
                    int64_t K, double *sums) {
  int64_t H = call->H;
  for (int64_t gate = 0; gate < gates_of(call); gate++) {
    double *a = sums + gate * H;
    for (int64_t j = 0; j < H; j++) {
      a[j] = 0;
      for (int64_t k = 0; k < K; k++) a[j] += M[(gate * H + j) * K + k] * v[k];
    }
    normalise(a, gain ? gain + gate * H : NULL, H, 1e-5);
    for (int64_t j = 0; j < H && bias; j++) a[j] += bias[gate * H + j];
  }
}

static double zoned(const double *d, int64_t j, double old, double new) { return d ? d[j] * old + (1 - d[j]) * new : new; }

/* "dreamer": r, z, n and h. */
static void dreamer_step(const congru_call *call, const double *x, const double *seen, const double *d, double *h,
                         double *gates) {
  int64_t H = call->H;
  const double *b_i = call->b_i;
  double a[3 * MAX_H], u[3 * MAX_H];
  project(call, call->W, NULL, NULL, x, call->I, a);
  project(call, call->U, NULL, call->b_h, seen, H, u);
  for (int64_t j = 0; j < 3 * H; j++) a[j] += u[j];
  normalise(a, call->g_i, 3 * H, 1e-3);
  for (int64_t j = 0; j < 3 * H && b_i; j++) a[j] += b_i[j];
  for (int64_t j = 0; j < H; j++) {
    double r = gates[j] = sigmoid(a[j]), z = gates[H + j] = sigmoid(a[H + j] + 1);
    double n = gates[2 * H + j] = tanh(r * a[2 * H + j]);
    h[j] = zoned(d, j, h[j], (1 - z) * n + z * h[j]);
  }
}

/* i and u: the sums of W x and U h of the four gates. */
static void lstm_step(const congru_call *call, const double *i, const double *u, const double *d, const double *d_c, double *h,
                      double *c, double *gates, double *extra) {
  int64_t H = call->H;
  const double *b_c = call->b_c;
  double read[MAX_H];
  for (int64_t j = 0; j < H; j++) {
    for (int64_t at = j; at < 4 * H; at += H) gates[at] = at / H == 2 ? tanh(i[at] + u[at]) : sigmoid(i[at] + u[at]);
    read[j] = gates[H + j] * c[j] + gates[j] * gates[2 * H + j];
    c[j] = extra[j] = zoned(d_c, j, c[j], read[j]);
  }
  normalise(read, call->g_c, H, 1e-5);
  for (int64_t j = 0; j < H; j++) h[j] = zoned(d, j, h[j], gates[3 * H + j] * tanh(read[j] + (b_c ? b_c[j] : 0)));
}

/* One step of one row: h and c become the new state; gates [G, H] and extra [H] are filled. mask and zoneouts may be NULL. */
static void naive_step(const congru_call *call, const double *x, const double *mask, const double *d, const double *d_c,
                       double *h, double *c, double *gates, double *extra) {
  int64_t H = call->H;
  double i[4 * MAX_H], u[4 * MAX_H], u_before[4 * MAX_H], seen[MAX_H], rh[MAX_H];
  double *r = gates, *z = gates + H, *n = gates + 2 * H;
  for (int64_t j = 0; j < H; j++) seen[j] = mask ? mask[j] * h[j] : h[j];
  if (call->g_i && !call->g_h) {
    dreamer_step(call, x, seen, d, h, gates);
    return;
  }
  project(call, call->W, call->g_i, call->b_i, x, call->I, i);
  project(call, call->U, call->g_h, call->b_h, seen, H, u);
  if (call->cell == CONGRU_RNN) {
    for (int64_t j = 0; j < H; j++) h[j] = zoned(d, j, h[j], gates[j] = tanh(i[j] + u[j]));
    return;
  }
  if (call->cell == CONGRU_LSTM) {
    lstm_step(call, i, u, d, d_c, h, c, gates, extra);
    return;
  }
  for (int64_t j = 0; j < H; j++) {
    r[j] = sigmoid(i[j] + u[j]);
    z[j] = sigmoid(i[H + j] + u[H + j]);
    rh[j] = r[j] * seen[j];
  }
  project(call, call->U, call->g_h, call->b_h, rh, H, u_before);
  for (int64_t j = 0; j < H; j++) {
    extra[j] = u[2 * H + j];
    n[j] = tanh(i[2 * H + j] + (call->cell == CONGRU_GRU ? r[j] * extra[j] : u_before[2 * H + j]));
    h[j] = zoned(d, j, h[j], (1 - z[j]) * n[j] + z[j] * h[j]);
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

void naive_forward(const congru_call *call) {
  int64_t H = call->H, T = call->T, GH = gates_of(call) * H;
  double h[MAX_H], c[MAX_H], gates[4 * MAX_H], extra[MAX_H];
  for (int64_t b = 0; b < call->B; b++) {
    int64_t length = call->lengths ? call->lengths[b] : T;
    fill(h, call->h0 ? (const double *)call->h0 + b * H : NULL, H);
    fill(c, call->c0 ? (const double *)call->c0 + b * H : NULL, H);
    const double *mask = call->h_mask ? (const double *)call->h_mask + b * H : NULL;
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
        naive_step(call, place(call->x, call->x_strides, b, t), mask, place(call->zoneout, call->zoneout_strides, b, t),
                   place(call->zoneout_c, call->zoneout_strides, b, t), h, c, gates, extra);
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
