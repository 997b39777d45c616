/* GRUs in integers: which kernel, packing for it, and steps of many rows. */
#include "int8.h"

#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "platform.h"

/* Best first, each with the instruction set of congru_isas() that it needs. */
static const struct {
  const int8_kernel *kernel;
  const char *isa;
} compiled[] = {
#if defined(CONGRU_HAS_avx512)
    {&congru_int8_avx512vnni, "avx512"},
#endif
#if defined(CONGRU_HAS_avxvnni)
    {&congru_int8_avxvnni, "avx2"},
#endif
#if defined(CONGRU_HAS_avx2)
    {&congru_int8_avx2, "avx2"},
#endif
    {&congru_int8_plain, "baseline"}};
#define NUM_COMPILED ((int)(sizeof(compiled) / sizeof(compiled[0])))

/* Whether the processor has what a kernel needs beside its instruction set. */
static int has_more(const char *name) {
#if defined(__x86_64__)
  unsigned a, b, c, d;
  if (!strcmp(name, "avx512vnni"))
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & 1u << 11) && (b & 1u << 30); /* VNNI, BW */
  if (!strcmp(name, "avxvnni")) return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
#endif
  (void)name;
  return 1;
}

/* Whether instruction set `isa` is as good as `least`. */
static int reaches(const char *isa, const char *least) {
  return !strcmp(isa, "avx512") ? 1 : !strcmp(isa, "avx2") ? strcmp(least, "avx512") != 0 : !strcmp(least, "baseline");
}

/* Kernels from `first` on that can run with instruction set `isa`; NUM_COMPILED after the last. */
static int next_kernel(int first, const char *isa) {
  while (first < NUM_COMPILED && !(reaches(isa, compiled[first].isa) && has_more(compiled[first].kernel->name))) first++;
  return first;
}

const char *congru_int8_kernel(int64_t index) {
  const char *best = congru_isas()[0];
  int i = next_kernel(0, best);
  for (; index > 0 && i < NUM_COMPILED; index--) i = next_kernel(i + 1, best);
  return i < NUM_COMPILED ? compiled[i].kernel->name : NULL;
}

/* The kernel of this name, or the best of the instruction set in use; NULL: it cannot run here. */
static const int8_kernel *choose(const char *name) {
  const char *isa = congru_isa();
  int i = next_kernel(0, name ? congru_isas()[0] : isa ? isa : "baseline");
  while (name && i < NUM_COMPILED && strcmp(compiled[i].kernel->name, name)) i = next_kernel(i + 1, congru_isas()[0]);
  return i < NUM_COMPILED ? compiled[i].kernel : NULL;
}

/* Places in one block of memory, each a multiple of 64 bytes from its beginning. Without base it only counts. */
typedef struct {
  char *base;
  size_t used;
} block;

static void *take(block *b, int64_t count, size_t size) {
  void *at = b->base ? b->base + b->used : NULL;
  b->used += ((size_t)count * size + 63) & ~(size_t)63;
  return at;
}

static void take_matrix(int8_matrix *m, block *b, int64_t gates, int64_t units, int64_t columns, int64_t padded, int64_t width) {
  m->gates = gates, m->columns = columns, m->groups = (columns + INT8_GROUP - 1) / INT8_GROUP;
  m->weight = take(b, width == 1 ? gates * units * columns : gates * padded * m->groups * INT8_GROUP, 1);
  m->factors = take(b, gates * padded, sizeof(int32_t));
  m->offsets = take(b, gates * padded, sizeof(int32_t));
}

static void take_all(congru_int8 *net, block *b, int64_t width) {
  take_matrix(&net->W, b, 3, net->H, net->I, net->padded, width);
  take_matrix(&net->U, b, net->before ? 2 : 3, net->H, net->H, net->padded, width);
  take_matrix(&net->U_n, b, net->before ? 1 : 0, net->H, net->H, net->padded, width);
  net->bias = take(b, 3 * net->padded, sizeof(int32_t));
  net->b_n = take(b, net->padded, sizeof(int32_t));
  net->table = take(b, INT8_TABLE, sizeof(int32_t));
  net->values = take(b, INT8_VALUES, sizeof(uint16_t));
}

/* Rows [first, first + gates) of blocks of `units` rows into the places of the kernel; memory is zeros. */
static void fill_matrix(int8_matrix *m, const int8_kernel *kernel, int64_t units, const int8_t *q, const int32_t *factors,
                        int64_t shift) {
  int64_t width = kernel->width;
  m->shift = (int32_t)shift;
  for (int64_t gate = 0; gate < m->gates; gate++) {
    for (int64_t j = 0; j < units; j++) {
      const int8_t *row = q + (gate * units + j) * m->columns;
      int64_t panel = j / width, lane = j % width, at = width == 1 ? gate * units + j : (panel * m->gates + gate) * width + lane;
      int32_t sum = 0;
      for (int64_t i = 0; i < m->columns; i++) {
        int64_t place = width == 1 ? at * m->columns + i
                                   : (((panel * m->groups + i / INT8_GROUP) * m->gates + gate) * width + lane) * INT8_GROUP +
                                         i % INT8_GROUP;
        m->weight[place] = row[i], sum += row[i];
      }
      m->factors[at] = factors[gate * units + j];
      m->offsets[at] = kernel->biased ? 128 * sum : 0;
    }
  }
}

static void fill(congru_int8 *net, const congru_int8_weights *from) {
  const int8_kernel *kernel = net->kernel;
  int64_t H = net->H, width = kernel->width;
  fill_matrix(&net->W, kernel, H, from->W, from->W_factors, from->W_shift);
  fill_matrix(&net->U, kernel, H, from->U, from->U_factors, from->U_shift);
  fill_matrix(&net->U_n, kernel, H, from->U + 2 * H * H, from->U_factors + 2 * H, from->U_shift);
  for (int64_t gate = 0; gate < 3; gate++) {
    for (int64_t j = 0; j < H; j++)
      net->bias[width == 1 ? gate * H + j : (j / width * 3 + gate) * width + j % width] = from->bias[gate * H + j];
  }
  if (!net->before) memcpy(net->b_n, from->b_n, (size_t)H * sizeof(int32_t));
  for (int k = 0; k < INT8_TABLE; k++) net->values[k] = (uint16_t)from->table[k];
  for (int k = 0; k + 1 < INT8_TABLE; k++) net->table[k] = from->table[k] | (from->table[k + 1] - from->table[k]) * 65536;
}

congru_int8 *congru_int8_new(const congru_int8_weights *from, const char *name) {
  const int8_kernel *kernel = choose(name);
  if (!kernel) return NULL;
  int64_t width = kernel->width;
  congru_int8 net = {.kernel = kernel, .I = from->I, .H = from->H, .before = from->before != 0, .inverse = from->inverse};
  net.padded = (net.H + width - 1) / width * width;
  block b = {NULL, (sizeof(net) + 63) & ~(size_t)63};
  take_all(&net, &b, width);
  char *base = aligned_memory(64, b.used);
  if (!base) return NULL;
  memset(base, 0, b.used);
  b = (block){base, (sizeof(net) + 63) & ~(size_t)63};
  take_all(&net, &b, width);
  fill(&net, from);
  /* Two arrays of int32 and two of bytes for units, one of bytes for inputs; the plain kernel: one of int32, else int16. */
  net.row_bytes = (size_t)(10 * net.padded + 2 * (net.I + width) + 127) & ~(size_t)63;
  memcpy(base, &net, sizeof(net));
  congru_int8 *made = (congru_int8 *)base;
  atomic_init(&made->references, 1);
  return made;
}

congru_int8 *congru_int8_keep(congru_int8 *net) {
  atomic_fetch_add_explicit(&net->references, 1, memory_order_relaxed);
  return net;
}

void congru_int8_free(congru_int8 *net) {
  if (atomic_fetch_sub_explicit(&net->references, 1, memory_order_acq_rel) == 1) free_aligned(net);
}

const char *congru_int8_name(const congru_int8 *net) { return net->kernel->name; }
int64_t congru_int8_state_size(const congru_int8 *net) { return net->padded; }
size_t congru_int8_scratch(const congru_int8 *net) { return (size_t)net->kernel->rows * net->row_bytes; }

void congru_int8_step(const congru_int8 *net, int64_t n, const float *const *x, int16_t *const *h, float *const *y, void *scratch) {
  for (int64_t row = 0; row < n; row += net->kernel->rows) {
    int64_t some = n - row < net->kernel->rows ? n - row : net->kernel->rows;
    net->kernel->step(net, some, x + row, h + row, y + row, scratch);
  }
}
