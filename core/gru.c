/* Gate arithmetic of the GRU, forward and backward, both reset forms; z is the share of the old state kept.
 *
 *   r = sigmoid(xr + ar)   z = sigmoid(xz + az)   n = tanh(xn + r * an)   h' = z h + (n - z n)
 *   reset before: n = tanh(xn + U_n (r * h))
 *   dz = dh (h - n)   dn = dh (1 - z)   da_n = dn (1 - n^2)   dhn = da_n r   dr = da_n hn
 *   da_r = dr r (1 - r)   da_z = dz z (1 - z)   dh_before = dh z + [da_r, da_z, dhn] U
 *   reset before: g = da_n U_n   dr = g h   dh_before = dh z + g r + [da_r, da_z] U_rz
 *   "dreamer": hn is a_n, and x adds nothing to it: the sums of x and h are normalised together
 *
 * xr = W_r x + b_ir + b_hr, ar = U_r h, an = U_n h + b_hn = hn come from product tiles; one block of VL units at a time stays
 * in registers. With z = 1 the state is copied exactly.
 */
#include "backward.h"
#include "forward.h"

INLINE vec new_state(vec z, vec n, vec h) { return vfma(z, h, vfma(-z, n, n)); }

void NAME(gru_row)(const forward_worker *w, const scan_row *row, const real *xp, const real *uh, int64_t c, int64_t C) {
  const real *h = state_at(w, w->h[w->now], row);
  for (int64_t j = 0; j < C; j += 3) {
    int64_t block = (c + j) / 3;
    vec hn = load(uh + (j + 2) * VL), h_old = load(h + block * VL);
    vec r = vsigmoid(load(xp + j * VL) + load(uh + j * VL));
    vec z = vsigmoid(load(xp + (j + 1) * VL) + load(uh + (j + 1) * VL));
    vec n = vtanh(vfma(r, hn, load(xp + (j + 2) * VL)));
    put_h(w, row, block, new_state(z, n, h_old));
    put_gate(w, row, 0, block, r);
    put_gate(w, row, 1, block, z);
    put_gate(w, row, 2, block, n);
    if (!w->packed.norm) put_extra(w, row, block, hn);
  }
}

void NAME(gru_finish)(void *context, int64_t first, int64_t R, int64_t c, int64_t C, const real *tile) {
  const forward_worker *w = context;
  for (int64_t m = 0; m < R; m++, tile += C * VL)
    NAME(gru_row)(w, w->row + first + m, w->xp_of_step + (first + m) * 3 * w->padded + c * VL, tile, c, C);
}

void NAME(gru_before_finish_rz)(void *context, int64_t first, int64_t R, int64_t c, int64_t C, const real *tile) {
  const forward_worker *w = context;
  for (int64_t m = 0; m < R; m++, tile += C * VL) {
    const scan_row *row = w->row + first + m;
    const real *xp = w->xp_of_step + (first + m) * 3 * w->padded, *seen = state_at(w, w->seen[w->now], row);
    for (int64_t j = 0; j < C; j += 2) {
      int64_t block = (c + j) / 2;
      vec r = vsigmoid(load(xp + 3 * block * VL) + load(tile + j * VL));
      vec z = vsigmoid(load(xp + (3 * block + 1) * VL) + load(tile + (j + 1) * VL));
      store(state_at(w, w->rh, row) + block * VL, r * load(seen + block * VL));
      store(state_at(w, w->z, row) + block * VL, z);
      put_gate(w, row, 0, block, r);
      put_gate(w, row, 1, block, z);
    }
  }
}

void NAME(gru_before_finish_n)(void *context, int64_t first, int64_t R, int64_t c, int64_t C, const real *tile) {
  const forward_worker *w = context;
  for (int64_t m = 0; m < R; m++, tile += C * VL) {
    const scan_row *row = w->row + first + m;
    const real *xp = w->xp_of_step + (first + m) * 3 * w->padded;
    for (int64_t j = 0, block = c; j < C; j++, block++) {
      vec n = vtanh(load(xp + (3 * block + 2) * VL) + load(tile + j * VL));
      vec z = load(state_at(w, w->z, row) + block * VL), h = load(state_at(w, w->h[w->now], row) + block * VL);
      put_h(w, row, block, new_state(z, n, h));
      put_gate(w, row, 2, block, n);
    }
  }
}

enum { DN = 0, DR = 1, DZ = 2, DHN = 3 }; /* order in dG */

void NAME(gru_backward)(const backward_worker *w, int64_t i) {
  const scan_row *row = w->table.row + i;
  const gate_view gates = gates_view(w, i);
  const congru_call *call = w->call;
  const real *hn_row = call->g_i        ? NULL
                       : w->extra_again ? w->extra_again + i * w->padded
                                        : row_of(call->extra, call->y_strides, row);
  const real *norm_n = hn_row ? NULL : norms_of(w, row) + (call->g_h ? 5 : 2) * call->H;
  const real *gain = call->g_h ? call->g_h : call->g_i, *bias = call->g_h ? call->b_h : call->b_i;
  const real *gain_n = gain ? gain + 2 * call->H : NULL, *bias_n = bias ? bias + 2 * call->H : NULL;
  for (int64_t block = w->u0; block < w->u1; block++) {
    int64_t lanes = w->call->H - block * VL;
    vec r = get_gate(gates, 0, block, lanes), z = get_gate(gates, 1, block, lanes), n = get_gate(gates, 2, block, lanes);
    vec hn = hn_row ? load_block(hn_row + block * VL, lanes) : normalised(gain_n, bias_n, norm_n, block, lanes);
    vec h = load(w->h_before + i * w->h_row + block * VL), by_zone;
    vec dh = zoned_in(w->call, w->call->zoneout, row, block, get_dh(w, row, block, lanes), &by_zone, lanes);
    vec dz = vfma(dh, h - n, get_dgate(w, row, 1, block, lanes));
    vec dn = vfma(dh, splat(1) - z, get_dgate(w, row, 2, block, lanes));
    vec da_n = dn * vfma(-n, n, splat(1));
    vec dr = vfma(da_n, hn, get_dgate(w, row, 0, block, lanes));
    put_dG(w, i, DN, block, da_n, lanes);
    put_dG(w, i, DR, block, dr * vfma(-r, r, r), lanes);
    put_dG(w, i, DZ, block, dz * vfma(-z, z, z), lanes);
    put_dG(w, i, DHN, block, da_n * r, lanes);
    store(w->dh + row->b * w->padded + block * VL, vfma(dh, z, by_zone));
  }
}

void NAME(gru_before_backward_n)(const backward_worker *w, int64_t i) {
  const scan_row *row = w->table.row + i;
  const gate_view gates = gates_view(w, i);
  for (int64_t block = w->u0; block < w->u1; block++) {
    int64_t lanes = w->call->H - block * VL;
    vec r = get_gate(gates, 0, block, lanes), z = get_gate(gates, 1, block, lanes), n = get_gate(gates, 2, block, lanes);
    vec h = load(w->h_before + i * w->h_row + block * VL), seen = load(w->h_seen + i * w->h_row + block * VL), by_zone;
    vec dh = zoned_in(w->call, w->call->zoneout, row, block, get_dh(w, row, block, lanes), &by_zone, lanes);
    vec dz = vfma(dh, h - n, get_dgate(w, row, 1, block, lanes));
    vec dn = vfma(dh, splat(1) - z, get_dgate(w, row, 2, block, lanes));
    put_dG(w, i, DN, block, dn * vfma(-n, n, splat(1)), lanes);
    put_dG(w, i, DZ, block, dz * vfma(-z, z, z), lanes);
    if (!w->again) store(w->rh_before + i * w->h_row + block * VL, r * seen); /* else it is there, and other parts read it */
    store(w->dh + row->b * w->padded + block * VL, vfma(dh, z, by_zone));
  }
}

void NAME(gru_before_backward_rz)(void *context, int64_t first, int64_t R, int64_t c, int64_t C, const real *tile) {
  const backward_worker *w = context;
  for (int64_t m = 0; m < R; m++, tile += C * VL) {
    int64_t i = w->step_rows[first + m];
    const scan_row *row = w->table.row + i;
    for (int64_t j = 0, block = c; j < C; j++, block++) {
      int64_t lanes = w->call->H - block * VL;
      vec g = masked_gradient(w->call, row, block, load(tile + j * VL), lanes), h = load(w->h_before + i * w->h_row + block * VL);
      vec r = get_gate(gates_view(w, i), 0, block, lanes), dr = vfma(g, h, get_dgate(w, row, 0, block, lanes));
      real *dh = w->dh + row->b * w->padded + block * VL;
      put_dG(w, i, DR, block, dr * vfma(-r, r, r), lanes);
      store(dh, vfma(g, r, load(dh)));
    }
  }
}

void NAME(gru_again)(void *context, int64_t first, int64_t R, int64_t c, int64_t C, const real *tile) {
  const backward_worker *w = context;
  for (int64_t m = 0; m < R; m++, tile += C * VL) {
    int64_t i = w->step_rows[first + m];
    real *x = w->again + i * 3 * w->padded + c * VL;
    for (int64_t j = 0; j < C; j += 3) {
      vec hn = load(tile + (j + 2) * VL), r = vsigmoid(load(x + j * VL) + load(tile + j * VL));
      store(x + j * VL, r);
      store(x + (j + 1) * VL, vsigmoid(load(x + (j + 1) * VL) + load(tile + (j + 1) * VL)));
      store(x + (j + 2) * VL, vtanh(vfma(r, hn, load(x + (j + 2) * VL))));
      store(w->extra_again + i * w->padded + (c + j) / 3 * VL, hn);
    }
  }
}

void NAME(gru_before_again_rz)(void *context, int64_t first, int64_t R, int64_t c, int64_t C, const real *tile) {
  const backward_worker *w = context;
  for (int64_t m = 0; m < R; m++, tile += C * VL) {
    int64_t i = w->step_rows[first + m];
    for (int64_t j = 0; j < C; j += 2) {
      int64_t block = (c + j) / 2;
      real *x = w->again + (i * w->padded + block * VL) * 3;
      vec r = vsigmoid(load(x) + load(tile + j * VL));
      store(x, r);
      store(x + VL, vsigmoid(load(x + VL) + load(tile + (j + 1) * VL)));
      store(w->rh_before + i * w->h_row + block * VL, r * load(w->h_seen + i * w->h_row + block * VL));
    }
  }
}

void NAME(gru_before_again_n)(void *context, int64_t first, int64_t R, int64_t c, int64_t C, const real *tile) {
  const backward_worker *w = context;
  for (int64_t m = 0; m < R; m++, tile += C * VL) {
    int64_t i = w->step_rows[first + m];
    for (int64_t j = 0; j < C; j++) {
      real *x = w->again + (i * w->padded + (c + j) * VL) * 3 + 2 * VL;
      store(x, vtanh(load(x) + load(tile + j * VL)));
    }
  }
}
