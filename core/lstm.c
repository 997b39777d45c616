/* Gate arithmetic of the LSTM, forward and backward.
 *
 *   i, f, o = sigmoid(x + a)   g = tanh(xg + ag)   c' = f c + i g   h' = o tanh(c')
 *   dc += dh o (1 - tanh(c')^2)   do = dh tanh(c')   di = dc g   df = dc c   dg = dc i   dc_before = dc f
 *   da_i = di i (1 - i) and so for f, o   da_g = dg (1 - g^2)   dh_before = [da_i, da_f, da_g, da_o] U
 *
 * x = W x + b_i + b_h and a = U h come from product tiles; one block of VL units at a time stays in registers.
 */
#include "backward.h"
#include "forward.h"

void NAME(lstm_finish)(void *context, int64_t first, int64_t R, int64_t c, int64_t C, const real *tile) {
  const forward_worker *w = context;
  const congru_call *call = w->call;
  for (int64_t m = 0; m < R; m++, tile += C * VL) {
    const scan_row *row = w->row + first + m;
    const real *xp = w->xp_of_step + (first + m) * 4 * w->padded + c * VL;
    for (int64_t j = 0; j < C; j += 4) {
      int64_t block = (c + j) / 4, lanes = call->H - block * VL;
      real *cell = state_at(w, w->c, row) + block * VL;
      vec i = vsigmoid(load(xp + j * VL) + load(tile + j * VL));
      vec f = vsigmoid(load(xp + (j + 1) * VL) + load(tile + (j + 1) * VL));
      vec g = vtanh(load(xp + (j + 2) * VL) + load(tile + (j + 2) * VL));
      vec o = vsigmoid(load(xp + (j + 3) * VL) + load(tile + (j + 3) * VL));
      vec c_new = vfma(f, load(cell), i * g);
      store(cell, handed_on(row, call->c_reset, c_new, block, lanes));
      put_h(w, row, block, o * vtanh(c_new));
      if (row->last) store_block((real *)call->c + row->b * call->H + block * VL, c_new, lanes);
      put_gate(w, row, 0, block, i);
      put_gate(w, row, 1, block, f);
      put_gate(w, row, 2, block, g);
      put_gate(w, row, 3, block, o);
      put_extra(w, row, block, c_new);
    }
  }
}

/* c of the step before: c0, what a reset put there, or c' one step earlier. NULL = zeros. */
static const real *cell_before(const congru_call *call, const scan_row *row) {
  if (row->fresh) return call->c_reset;
  if (row->first) return call->c0 ? (const real *)call->c0 + row->b * call->H : NULL;
  int64_t t = call->reverse ? row->t + 1 : row->t - 1;
  return (const real *)call->extra + row->b * call->y_strides.batch + t * call->y_strides.time;
}

void NAME(lstm_backward)(const backward_worker *w, int64_t index) {
  const congru_call *call = w->call;
  const scan_row *row = w->table.row + index;
  const gate_view gates = gates_view(w, index);
  const real *c_row = row_of(call->extra, call->y_strides, row), *before = cell_before(call, row);
  for (int64_t block = w->u0; block < w->u1; block++) {
    int64_t at = block * VL, lanes = call->H - at;
    vec i = get_gate(gates, 0, block, lanes), f = get_gate(gates, 1, block, lanes);
    vec g = get_gate(gates, 2, block, lanes), o = get_gate(gates, 3, block, lanes);
    vec tanh_c = vtanh(load_block(c_row + at, lanes)), c = before ? load_block(before + at, lanes) : splat(0);
    vec dh = get_dh(w, row, block, lanes);
    real *dc_at = w->dc + row->b * w->padded + at;
    vec dc = vfma(dh * o, vfma(-tanh_c, tanh_c, splat(1)), load(dc_at));
    vec di = vfma(dc, g, get_dgate(w, row, 0, block, lanes)), df = vfma(dc, c, get_dgate(w, row, 1, block, lanes));
    vec dg = vfma(dc, i, get_dgate(w, row, 2, block, lanes)), do_ = vfma(dh, tanh_c, get_dgate(w, row, 3, block, lanes));
    put_dG(w, index, 0, block, di * vfma(-i, i, i), lanes);
    put_dG(w, index, 1, block, df * vfma(-f, f, f), lanes);
    put_dG(w, index, 2, block, dg * vfma(-g, g, splat(1)), lanes);
    put_dG(w, index, 3, block, do_ * vfma(-o, o, o), lanes);
    vec handed_back = dc * f;
    if (row->fresh && w->dc_reset) {
      real *sum = w->dc_reset + row->b * w->padded + at;
      store(sum, load(sum) + handed_back);
    }
    store(dc_at, row->fresh ? splat(0) : handed_back);
    store(w->dh + row->b * w->padded + at, splat(0));
  }
}

void NAME(lstm_again)(void *context, int64_t first, int64_t R, int64_t c, int64_t C, const real *tile) {
  const backward_worker *w = context;
  for (int64_t m = 0; m < R; m++, tile += C * VL) {
    real *x = w->again + w->step_rows[first + m] * 4 * w->padded + c * VL;
    for (int64_t j = 0; j < C; j++) {
      vec a = load(x + j * VL) + load(tile + j * VL);
      store(x + j * VL, j % 4 == 2 ? vtanh(a) : vsigmoid(a));
    }
  }
}
