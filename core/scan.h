/* What the kernels of one instruction set share: the job of one call, its rows step by step, and the packed weights.
 *
 * The batch is split into groups of rows; the parts (threads) of a group split its hidden units, in blocks of VL, and meet at
 * a barrier every step. A chunk is a number of steps whose projected inputs stay in the level-2 cache.
 *
 * A row is one valid (b, t): the rows of a step are those whose sequence still runs. Steps s count in the order of
 * processing: t = s forward, t = length - 1 - s in reverse.
 */
#ifndef CONGRU_SCAN_H
#define CONGRU_SCAN_H

#include <stddef.h>

#include "congru.h"
#include "kernels.h"
#include "pool.h"
#include "tile.h"

typedef struct {
  int64_t b, t;
  int32_t at_start, is_first;  /* s = 0; the entering state was replaced (a sequence begins here) */
  int32_t last, restarts_next; /* s = length - 1; the state entering step s + 1 is replaced */
} scan_row;

/* The rows of steps [s0, s1): those of step s are row[first[s - s0]] .. row[first[s - s0 + 1] - 1]. */
typedef struct {
  scan_row *row;
  int64_t *first;
} scan_table;

typedef enum { NO_NORM, NORM_OF_GATES, NORM_OF_ALL } norm_form; /* of all: one for the joined sums of all gates, "dreamer" */
INLINE norm_form norm_form_of(const congru_call *call) {
  return !call->g_i ? NO_NORM : call->g_h ? NORM_OF_GATES : NORM_OF_ALL;
}

/* Biases and gains are laid out as the columns they belong to, [block, gate, VL]; reset before: those of n of the recurrent
 * side behind those of r, z. With layer norm bias_x and bias_h are added behind the norms; but "dreamer" has b_h, centred, in
 * bias_x, before its norm. */
typedef struct {
  panels W, U, U_n; /* reset before: U holds r, z and U_n holds n; all packed or none */
  norm_form norm;
  real *bias_x, *bias_h;
  real *gain_x, *gain_h, *gain_c, *bias_c; /* layer norm; of c [padded], LSTM */
  real *centred_W, *centred_U, *centred_b; /* layer norm: W, U (and b_h of "dreamer") less their means, not packed */
  real *zeros;                             /* "dreamer": an input row of nothing */
} packed_weights;

/* What a congru_packed of this instruction set is. */
typedef struct {
  congru_packed base;
  packed_weights weights;
} packed_layer;

typedef struct {
  const congru_call *call;
  const packed_weights *packed; /* NULL: the call packs its own, or reads them as they lie */
  int64_t gates;  /* G */
  int64_t blocks; /* unit blocks: ceil(H / VL) */
  int64_t padded; /* blocks * VL: stride of a padded state */
  int64_t groups, parts, chunk;
  congru_barrier everyone, *group_barrier;
  congru_stop stop;
  void *workspace;
} scan_job;

/* Workspace laid out in two passes: with base NULL it only counts. Every array starts at a cache line. */
typedef struct {
  char *base;
  size_t used;
} arena;
INLINE void *take(arena *a, int64_t bytes) {
  void *at = a->base ? a->base + a->used : NULL;
  a->used += ((size_t)bytes + 63) & ~(size_t)63;
  return at;
}
#define TAKE(arena, type, count) ((type *)take(arena, (int64_t)sizeof(type) * (count)))

INLINE int64_t gates_of(int64_t cell) { return cell == CONGRU_LSTM ? 4 : cell == CONGRU_RNN ? 1 : 3; }
INLINE int64_t length_of(const congru_call *call, int64_t b) { return call->lengths ? call->lengths[b] : call->T; }
INLINE int64_t split(int64_t n, int64_t parts, int64_t part) { return n * part / parts; }

/* What layer norm keeps of a row: norms, each H wide, and behind them the scale of each; "dreamer" has one for its three. */
INLINE int64_t num_norms(const congru_call *call) {
  int64_t gates = gates_of(call->cell);
  return norm_form_of(call) == NORM_OF_ALL ? gates : 2 * gates + (call->cell == CONGRU_LSTM);
}
INLINE int64_t norms_row(const congru_call *call) {
  int64_t norms = num_norms(call);
  return norms * call->H + (norm_form_of(call) == NORM_OF_ALL ? 1 : norms);
}

/* Of what layer norm keeps of a row, the part that is made and used step by step begins here. */
INLINE int64_t norms_of_states(const congru_call *call) {
  return norm_form_of(call) == NORM_OF_ALL ? 0 : gates_of(call->cell) * call->H;
}
/* Rows from one to the next whose norms are asked for, where all rows of a chunk are gone through. */
#define NORMS_AHEAD 2

/* Gate columns per unit block in one recurrent product: reset before takes r, z and then n. */
INLINE int64_t recurrent_unit(int64_t cell) { return cell == CONGRU_GRU_BEFORE ? 2 : gates_of(cell); }

void NAME(pack)(const panels *packed, const real *weights, int64_t H, int64_t gates, int64_t first_gate, int64_t block0,
                int64_t block1);
/* Column c of the packed weights, row k = row[k][c * VL ..], N reals in a row. */
void NAME(pack_transposed)(const panels *packed, const real *const *row, int64_t N, int64_t block0, int64_t block1);
/* packed[block][gate] of `stride` vectors a block = first + second, each NULL = zeros. */
void NAME(pack_bias)(real *packed, const real *first, const real *second, int64_t H, int64_t gates, int64_t first_gate,
                     int64_t stride);

/* Rows of blocks [block0, block1) of `centred` = weights less their mean over what is normalised together: their product with
 * any vector then has mean zero, as a norm needs it. */
void NAME(centre)(real *centred, const real *weights, int64_t K, int64_t H, int64_t gates, norm_form norm, int64_t block0,
                  int64_t block1);

/* Room for `columns` packed columns of K rows, multiplied by `rows` rows at a time; `paired`: as bfloat16. */
INLINE panels take_panels(arena *a, int64_t columns, int64_t K, int64_t rows, int64_t unit, int64_t paired) {
  panels made = {.K = K, .width = panel_width(rows, unit), .paired = paired};
  made.at = TAKE(a, real, panels_size(&made, columns));
  return made;
}

/* Everything a forward step reads: W (for products over input_rows rows), U (over step_rows) and the biases of blocks
 * [block0, block1). */
void NAME(take_weights)(packed_weights *packed, arena *a, const congru_call *call, int64_t input_rows, int64_t step_rows);
/* The same with W and U as they lie, read from the call. */
void NAME(take_unpacked)(packed_weights *packed, arena *a, const congru_call *call);
/* What only the packing of a layer norm needs. */
void NAME(take_centred)(packed_weights *packed, arena *a, const congru_call *call);
void NAME(pack_weights)(const packed_weights *packed, const congru_call *call, int64_t block0, int64_t block1);

/* Decide groups, parts and chunk for `threads` threads. */
void NAME(plan)(scan_job *job, int64_t threads, int64_t chunk_rows);
/* The barriers of a planned job: one for all `members`, one for each group. */
void NAME(init_barriers)(scan_job *job, congru_barrier *group_barrier, int64_t members);
/* How many threads this call is worth. */
int64_t NAME(useful_threads)(const congru_call *call);
void NAME(fill_table)(scan_table *table, const congru_call *call, int64_t b0, int64_t b1, int64_t s0, int64_t s1);
/* Zero the steps of rows [b0, b1) that are padding: each array [B, T, width] may be NULL. */
void NAME(clear_padding)(const congru_call *call, void *array, congru_strides strides, int64_t width, int64_t b0, int64_t b1);

#endif
