/* Dense layer: y = W x + b on the product tiles.
 *
 * Each output is one ordered chain over its inputs, which begins with the bias: its bits depend on no other size, neither on
 * the rows beside it nor on the threads. A single row takes the tiles of the last panel whole, also columns of nothing, as a
 * few wide tiles are faster than many narrow ones. Threads share out the rows, or the panels where there are few rows.
 * Measurements: bench/sessions.py.
 */
#include "platform.h"
#include "scan.h"

/* Rows whose addresses lie on the stack at a time. */
#define ROWS_AT_A_TIME 256
/* Rows of a thread below which threads share out the panels instead. */
#define FEWEST_ROWS 8

typedef struct {
  congru_dense base;
  panels weights;
  real *bias;
  int64_t columns, columns_of_one; /* of VL outputs; for a single row, those of whole tiles */
} dense_layer;

static const int64_t WIDTHS[] = {1, 2, 3, 4, 6, 8, 12};
enum { NUM_WIDTHS = sizeof(WIDTHS) / sizeof(WIDTHS[0]) };

/* The narrowest tile of one row that is at least so many columns wide. */
static int64_t width_from(int64_t columns) {
  int i = 0;
  while (i < NUM_WIDTHS - 1 && WIDTHS[i] < columns) i++;
  return WIDTHS[i];
}

/* Panels of one width waste least of the last one: of the widest three, the widest of those. */
static int64_t width_for(int64_t columns) {
  int64_t best = width_from(columns);
  for (int i = NUM_WIDTHS - 2; i >= NUM_WIDTHS - 3 && columns > MAX_COLUMNS; i--) {
    int64_t width = WIDTHS[i], wasted = (best - columns % best) % best;
    if ((width - columns % width) % width < wasted) best = width;
  }
  return best;
}

static void take_dense(dense_layer *layer, arena *a) {
  int64_t whole = (layer->columns + layer->weights.width - 1) / layer->weights.width * layer->weights.width;
  layer->weights.at = TAKE(a, real, panels_size(&layer->weights, layer->columns));
  layer->bias = TAKE(a, real, whole * VL);
}

congru_dense *NAME(dense_new)(int64_t O, int64_t F, const void *weight, const void *bias) {
  int64_t columns = (O + VL - 1) / VL, width = width_for(columns);
  dense_layer layer = {.base = {.O = O, .F = F}, .weights = {.K = F, .width = width}, .columns = columns};
  layer.columns_of_one = columns - columns % width + (columns % width ? width_from(columns % width) : 0);
  arena a = {NULL, (sizeof(layer) + 63) & ~(size_t)63};
  size_t header = a.used;
  take_dense(&layer, &a);
  dense_layer *made = aligned_memory(64, a.used);
  if (!made) return NULL;
  memset(made, 0, a.used);
  a = (arena){(char *)made, header};
  take_dense(&layer, &a);
  NAME(pack)(&layer.weights, weight, O, 1, 0, 0, columns);
  if (bias) memcpy(layer.bias, bias, (size_t)O * sizeof(real));
  *made = layer;
  return &made->base;
}

typedef struct {
  real *y; /* of the first row of the list */
  int64_t O;
} output;

static void put_outputs(void *context, int64_t first, int64_t R, int64_t c, int64_t C, const real *tile) {
  const output *out = context;
  for (int64_t m = 0; m < R; m++, tile += C * VL) {
    real *y = out->y + (first + m) * out->O;
    for (int64_t j = 0, at = c * VL; j < C && at < out->O; j++, at += VL) store_block(y + at, load(tile + j * VL), out->O - at);
  }
}

/* Rows [i0, i1) by columns [c0, c1). */
static void run_part(const congru_product *product, congru_stop *stop, int64_t thread, int64_t i0, int64_t i1, int64_t c0,
                     int64_t c1) {
  const dense_layer *layer = (const dense_layer *)product->dense;
  const real *row[ROWS_AT_A_TIME];
  for (int64_t i = i0; i < i1; i += ROWS_AT_A_TIME) {
    int64_t n = i1 - i < ROWS_AT_A_TIME ? i1 - i : ROWS_AT_A_TIME;
    for (int64_t k = 0; k < n; k++) {
      int64_t b = (i + k) / product->T, t = (i + k) % product->T;
      row[k] = (const real *)product->x + b * product->x_strides.batch + t * product->x_strides.time;
    }
    output out = {(real *)product->y + i * layer->base.O, layer->base.O};
    NAME(product)(row, n, &layer->weights, c0, c1, 1, layer->bias, put_outputs, &out);
    if (thread == 0) congru_ask(stop, n * (c1 - c0) * VL * layer->base.F);
    if (congru_stopped(NULL, stop)) return;
  }
}

typedef struct {
  const congru_product *product;
  int64_t threads;
  congru_stop stop;
} dense_job;

static void dense_thread(void *argument, int64_t thread) {
  dense_job *job = argument;
  const dense_layer *layer = (const dense_layer *)job->product->dense;
  int64_t N = job->product->B * job->product->T, width = layer->weights.width;
  int64_t columns = N == 1 ? layer->columns_of_one : layer->columns, panels = (columns + width - 1) / width;
  if (N >= FEWEST_ROWS * job->threads) {
    run_part(job->product, &job->stop, thread, split(N, job->threads, thread), split(N, job->threads, thread + 1), 0, columns);
  } else {
    int64_t c1 = split(panels, job->threads, thread + 1) * width;
    run_part(job->product, &job->stop, thread, 0, N, split(panels, job->threads, thread) * width, c1 < columns ? c1 : columns);
  }
}

int NAME(dense_run)(const congru_product *product, int64_t threads) {
  dense_job job = {product, threads, {0}};
  if (!congru_pool_run(threads, dense_thread, &job)) return NAME(dense_run)(product, 1);
  return atomic_load_explicit(&job.stop.now, memory_order_relaxed);
}
