/* Planning of a call: how threads share it, which rows a step has, which weights are packed. */
#include "scan.h"

/* Multiply-adds below which a barrier every step costs more than it saves. */
#define WORTH_A_BARRIER 6000
/* Of "dreamer", towards keeping. */
#define UPDATE_BIAS 1
/* Rows of a group below which its threads split hidden units instead of rows. */
#define ROWS_OF_A_GROUP 4

int64_t NAME(useful_threads)(const congru_call *call) {
  int64_t per_row = gates_of(call->cell) * call->H * (call->H + call->I);
  int64_t most = call->B * call->T * per_row / CONGRU_WORTH_A_THREAD;
  return most < 1 ? 1 : most;
}

void NAME(plan)(scan_job *job, int64_t threads, int64_t chunk_rows) {
  const congru_call *call = job->call;
  int64_t B = call->B, H = call->H;
  job->gates = gates_of(call->cell);
  job->blocks = (H + VL - 1) / VL;
  job->padded = job->blocks * VL;
  int64_t groups = B / ROWS_OF_A_GROUP;
  job->groups = groups < 1 ? 1 : groups > threads ? threads : groups;
  int64_t parts = threads / job->groups, rows = (B + job->groups - 1) / job->groups;
  int64_t most = rows * job->gates * H * H / WORTH_A_BARRIER;
  if (most < 1) most = 1;
  if (call->threads < 0)
    most = threads;
  else if (parts > 1 && most > 1 && congru_barriers_give_up())
    most = 1;
  if (parts > most) parts = most;
  job->parts = parts > job->blocks ? job->blocks : parts;
  int64_t chunk = chunk_rows / B;
  if (chunk > call->T) chunk = call->T;
  job->chunk = chunk < 1 ? 1 : chunk;
}

/* Multiply-adds of one thread in a nanosecond, about. */
#define RATE 30

void NAME(init_barriers)(scan_job *job, congru_barrier *group_barrier, int64_t members) {
  const congru_call *call = job->call;
  int64_t work = (call->B + job->groups - 1) / job->groups * job->gates * call->H * call->H / job->parts;
  job->group_barrier = group_barrier;
  congru_barrier_init(&job->everyone, members, -1, &job->stop);
  for (int64_t g = 0; g < job->groups; g++)
    congru_barrier_init(&group_barrier[g], job->parts, call->threads < 0 ? -1 : work / RATE, &job->stop);
}

static void take_vectors(packed_weights *packed, arena *a, const congru_call *call) {
  int64_t G = gates_of(call->cell), padded = (call->H + VL - 1) / VL * VL;
  packed->bias_x = TAKE(a, real, G * padded);
  packed->bias_h = call->cell == CONGRU_GRU || call->g_i ? TAKE(a, real, G * padded) : NULL;
  packed->norm = norm_form_of(call);
  if (!packed->norm) return;
  packed->gain_x = TAKE(a, real, G * padded);
  packed->gain_h = TAKE(a, real, G * padded);
  packed->gain_c = TAKE(a, real, call->g_c ? padded : 0);
  packed->bias_c = TAKE(a, real, call->g_c ? padded : 0);
  packed->zeros = TAKE(a, real, packed->norm == NORM_OF_ALL ? G * padded : 0);
}

void NAME(take_weights)(packed_weights *packed, arena *a, const congru_call *call, int64_t input_rows, int64_t step_rows) {
  int64_t G = gates_of(call->cell), blocks = (call->H + VL - 1) / VL, unit = recurrent_unit(call->cell);
  int64_t paired = call->weight_dtype;
  packed->W = take_panels(a, G * blocks, call->I, input_rows, G, paired);
  packed->U = take_panels(a, unit * blocks, call->H, step_rows, unit, paired);
  packed->U_n = take_panels(a, call->cell == CONGRU_GRU_BEFORE ? blocks : 0, call->H, step_rows, 1, paired);
  take_vectors(packed, a, call);
}

void NAME(take_unpacked)(packed_weights *packed, arena *a, const congru_call *call) {
  int64_t I = call->I, H = call->H;
  const real *W = I ? call->W : call->U; /* of no columns nothing is read, but what is NULL would be packed */
  packed->W = (panels){.K = I, .width = gates_of(call->cell), .unpacked = W, .H = H};
  packed->U = (panels){.K = H, .width = recurrent_unit(call->cell), .unpacked = call->U, .H = H};
  if (call->cell == CONGRU_GRU_BEFORE)
    packed->U_n = (panels){.K = H, .width = 1, .unpacked = (const real *)call->U + 2 * H * H, .H = H};
  take_vectors(packed, a, call);
}

void NAME(take_centred)(packed_weights *packed, arena *a, const congru_call *call) {
  int64_t rows = gates_of(call->cell) * call->H;
  packed->centred_W = call->g_i ? TAKE(a, real, rows * call->I) : NULL;
  packed->centred_U = call->g_i ? TAKE(a, real, rows * call->H) : NULL;
  packed->centred_b = norm_form_of(call) == NORM_OF_ALL ? TAKE(a, real, rows) : NULL;
}

/* With layer norm: the gains, and the biases where they differ from those without. The GRU's biases suit both. */
static void pack_norm(const packed_weights *packed, const congru_call *call) {
  int64_t G = gates_of(call->cell), H = call->H, blocks = (H + VL - 1) / VL, unit = recurrent_unit(call->cell);
  real *gain_n = packed->gain_h + 2 * blocks * VL;
  NAME(pack_bias)(packed->gain_x, call->g_i, NULL, H, G, 0, G);
  NAME(pack_bias)(packed->gain_h, packed->norm == NORM_OF_ALL ? call->g_i : call->g_h, NULL, H, unit, 0, unit);
  if (call->cell == CONGRU_GRU_BEFORE) NAME(pack_bias)(gain_n, (const real *)call->g_h + 2 * H, NULL, H, 1, 0, 1);
  if (call->cell == CONGRU_LSTM) NAME(pack_bias)(packed->gain_c, call->g_c, NULL, H, 1, 0, 1);
  if (call->cell == CONGRU_LSTM) NAME(pack_bias)(packed->bias_c, call->b_c, NULL, H, 1, 0, 1);
  if (call->cell != CONGRU_GRU) NAME(pack_bias)(packed->bias_h, NULL, NULL, H, G, 0, G);
  if (packed->norm == NORM_OF_GATES) return;
  if (call->b_h) NAME(centre)(packed->centred_b, call->b_h, 1, H, G, packed->norm, 0, blocks);
  NAME(pack_bias)(packed->bias_x, call->b_h ? packed->centred_b : NULL, NULL, H, G, 0, G);
  NAME(pack_bias)(packed->bias_h, call->b_i, NULL, H, G, 0, G);
  NAME(pack_bias)(packed->zeros, NULL, NULL, H, G, 0, G);
  for (int64_t unit = 0; unit < H; unit++) packed->bias_h[(unit / VL * G + 1) * VL + unit % VL] += UPDATE_BIAS;
}

void NAME(pack_weights)(const packed_weights *packed, const congru_call *call, int64_t block0, int64_t block1) {
  int64_t G = gates_of(call->cell), H = call->H, unit = recurrent_unit(call->cell);
  const real *W = call->W, *U = call->U;
  if (packed->norm) {
    NAME(centre)(packed->centred_W, W, call->I, H, G, packed->norm, block0, block1);
    NAME(centre)(packed->centred_U, U, H, H, G, packed->norm, block0, block1);
    W = packed->centred_W, U = packed->centred_U;
  }
  if (!packed->W.unpacked) {
    NAME(pack)(&packed->W, W, H, G, 0, block0, block1);
    NAME(pack)(&packed->U, U, H, unit, 0, block0, block1);
    if (call->cell == CONGRU_GRU_BEFORE) NAME(pack)(&packed->U_n, U, H, 1, 2, block0, block1);
  }
  if (block0 > 0 || block1 == block0) return; /* the biases are few: whoever packs the first block packs them all */
  if (call->cell == CONGRU_GRU) {
    NAME(pack_bias)(packed->bias_x, call->b_i, call->b_h, H, 2, 0, 3);
    NAME(pack_bias)(packed->bias_x + 2 * VL, call->b_i, NULL, H, 1, 2, 3);
    NAME(pack_bias)(packed->bias_h, NULL, NULL, H, 2, 0, 3);
    NAME(pack_bias)(packed->bias_h + 2 * VL, call->b_h, NULL, H, 1, 2, 3);
  } else {
    NAME(pack_bias)(packed->bias_x, call->b_i, call->b_h, H, G, 0, G);
  }
  if (packed->norm) pack_norm(packed, call);
}

static int begins_at(const congru_call *call, int64_t b, int64_t s) {
  if (!call->reset) return 0;
  const uint8_t *reset = call->reset + b * call->T;
  return call->reverse ? s > 0 && reset[length_of(call, b) - s] : reset[s] != 0;
}

void NAME(fill_table)(scan_table *table, const congru_call *call, int64_t b0, int64_t b1, int64_t s0, int64_t s1) {
  int64_t n = 0;
  for (int64_t s = s0; s < s1; s++) {
    table->first[s - s0] = n;
    for (int64_t b = b0; b < b1; b++) {
      int64_t length = length_of(call, b);
      if (s >= length) continue;
      int last = s == length - 1;
      table->row[n++] = (scan_row){.b = b,
                                   .t = call->reverse ? length - 1 - s : s,
                                   .at_start = s == 0,
                                   .is_first = begins_at(call, b, s),
                                   .last = last,
                                   .restarts_next = !last && begins_at(call, b, s + 1)};
    }
  }
  table->first[s1 - s0] = n;
}

void NAME(clear_padding)(const congru_call *call, void *array, congru_strides strides, int64_t width, int64_t b0,
                         int64_t b1) {
  if (!array || !call->lengths) return;
  for (int64_t b = b0; b < b1; b++) {
    for (int64_t t = call->lengths[b]; t < call->T; t++)
      memset((real *)array + b * strides.batch + t * strides.time, 0, (size_t)width * sizeof(real));
  }
}
