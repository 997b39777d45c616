/* Gate arithmetic of the LSTM, forward and backward.
 *
 *   i, f, o = sigmoid(x + a)   g = tanh(xg + ag)   c' = f c + i g   h' = o tanh(c')
 *   dc += dh o (1 - tanh(c')^2)   do = dh tanh(c')   di = dc g   df = dc c   dg = dc i   dc_before = dc f
 *   da_i = di i (1 - i) and so for f, o   da_g = dg (1 - g^2)   dh_before = [da_i, da_f, da_g, da_o] U
 *
 * With layer norm: h' = o tanh(m), m = g_c norm(c') + b_c   dm = dh o (1 - tanh(m)^2)   dc += what the norm makes of g_c dm
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
      vec c_old = load(cell), c_new = vfma(f, c_old, i * g);
      if (w->packed.norm) { /* h' when all of c' is known */
        store(state_at(w, w->c_new, row) + block * VL, c_new);
        store(state_at(w, w->o, row) + block * VL, o);
      } else {
        put_h(w, row, block, o * vtanh(c_new));
      }
      c_new = zoned_out(call, call->zoneout_c, row, block, c_old, c_new, lanes);
      store(cell, handed_on(row, call->c_reset, c_new, block, lanes));
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
  if (row->is_first) return call->c_reset;
  if (row->at_start) return call->c0 ? (const real *)call->c0 + row->b * call->H : NULL;
  int64_t t = call->reverse ? row->t + 1 : row->t - 1;
  return (const real *)call->extra + row->b * call->y_strides.batch + t * call->y_strides.time;
}

/* From dc of the equations' c' and the rest: i, f, g of dG and what is handed back to c. */
INLINE void ifg_backward(const backward_worker *w, int64_t index, int64_t block, gate_view gates, const real *before, vec dc,
                         vec by_zone) {
  const scan_row *row = w->table.row + index;
  int64_t at = block * VL, lanes = w->call->H - at;
  vec i = get_gate(gates, 0, block, lanes), f = get_gate(gates, 1, block, lanes), g = get_gate(gates, 2, block, lanes);
  vec c = before ? load_block(before + at, lanes) : splat(0), handed_back = vfma(dc, f, by_zone);
  vec di = vfma(dc, g, get_dgate(w, row, 0, block, lanes)), df = vfma(dc, c, get_dgate(w, row, 1, block, lanes));
  vec dg = vfma(dc, i, get_dgate(w, row, 2, block, lanes));
  put_dG(w, index, 0, block, di * vfma(-i, i, i), lanes);
  put_dG(w, index, 1, block, df * vfma(-f, f, f), lanes);
  put_dG(w, index, 2, block, dg * vfma(-g, g, splat(1)), lanes);
  if (row->is_first && w->dc_reset) {
    real *sum = w->dc_reset + row->b * w->padded + at;
    store(sum, load(sum) + handed_back);
  }
  store(w->dc + row->b * w->padded + at, row->is_first ? splat(0) : handed_back);
}

/* c' of the equations: as it was handed on, or before zoneout, the same bits again. */
INLINE vec cell_of(const congru_call *call, gate_view gates, const real *c_row, const real *before, int64_t block,
                   int64_t lanes) {
  if (!call->zoneout_c) return load_block(c_row + block * VL, lanes);
  vec c = before ? load_block(before + block * VL, lanes) : splat(0);
  return vfma(get_gate(gates, 1, block, lanes), c, get_gate(gates, 0, block, lanes) * get_gate(gates, 2, block, lanes));
}

void NAME(lstm_backward)(const backward_worker *w, int64_t index) {
  const congru_call *call = w->call;
  const scan_row *row = w->table.row + index;
  const gate_view gates = gates_view(w, index);
  const real *c_row = row_of(call->extra, call->y_strides, row), *before = cell_before(call, row);
  const real *norm_c = call->g_i ? norms_of(w, row) + 8 * call->H : NULL;
  for (int64_t block = w->u0; block < w->u1; block++) {
    int64_t lanes = call->H - block * VL;
    vec o = get_gate(gates, 3, block, lanes), by_zone, c_by_zone;
    vec dh = zoned_in(call, call->zoneout, row, block, get_dh(w, row, block, lanes), &by_zone, lanes);
    vec tanh_c = vtanh(norm_c ? normalised(call->g_c, call->b_c, norm_c, block, lanes)
                              : cell_of(call, gates, c_row, before, block, lanes));
    vec do_ = vfma(dh, tanh_c, get_dgate(w, row, 3, block, lanes)), dm = dh * o, slope = vfma(-tanh_c, tanh_c, splat(1));
    put_dG(w, index, 3, block, do_ * vfma(-o, o, o), lanes);
    store(w->dh + row->b * w->padded + block * VL, by_zone);
    if (norm_c) {
      store(w->dm + index * w->h_row + block * VL, dm * slope);
      continue;
    }
    vec dc = zoned_in(call, call->zoneout_c, row, block, load(w->dc + row->b * w->padded + block * VL), &c_by_zone, lanes);
    ifg_backward(w, index, block, gates, before, vfma(dm, slope, dc), c_by_zone);
  }
}

void NAME(lstm_backward_c)(const backward_worker *w, int64_t index) {
  const congru_call *call = w->call;
  const scan_row *row = w->table.row + index;
  const gate_view gates = gates_view(w, index);
  const real *before = cell_before(call, row), *dm = w->dm + index * w->h_row;
  const real *norms = norms_of(w, row), *hat = norms + 8 * call->H;
  vec mean, along, scale = splat(norms[9 * call->H + 8]);
  NAME(norm_sums)(dm, call->g_c, hat, call->H, &mean, &along);
  for (int64_t block = w->u0; block < w->u1; block++) {
    int64_t at = block * VL, lanes = call->H - at;
    vec c_by_zone, dc = zoned_in(call, call->zoneout_c, row, block, load(w->dc + row->b * w->padded + at), &c_by_zone, lanes);
    vec e = load_block(dm + at, lanes) * load_block((const real *)call->g_c + at, lanes) - mean;
    dc = vfma(vfma(-along, load_block(hat + at, lanes), e), scale, dc);
    ifg_backward(w, index, block, gates, before, dc, c_by_zone);
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
