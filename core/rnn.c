/* Gate arithmetic of the tanh RNN: n = h' = tanh(x + a), with x = W x + b_i + b_h and a = U h from product tiles;
 * da = dh (1 - n^2), dh_before = da U. The output is the one gate, so nothing else is saved but with zoneout.
 */
#include "backward.h"
#include "forward.h"

void NAME(rnn_finish)(void *context, int64_t first, int64_t R, int64_t c, int64_t C, const real *tile) {
  const forward_worker *w = context;
  for (int64_t m = 0; m < R; m++, tile += C * VL) {
    const scan_row *row = w->row + first + m;
    const real *xp = w->xp_of_step + (first + m) * w->padded + c * VL;
    for (int64_t j = 0; j < C; j++) {
      vec n = vtanh(load(xp + j * VL) + load(tile + j * VL));
      put_h(w, row, c + j, n);
      put_gate(w, row, 0, c + j, n);
    }
  }
}

void NAME(rnn_backward)(const backward_worker *w, int64_t i) {
  const scan_row *row = w->table.row + i;
  const congru_call *call = w->call;
  const real *kept = call->gates ? row_of(call->gates, call->gates_strides, row) : row_of(call->y, call->y_strides, row);
  for (int64_t block = w->u0; block < w->u1; block++) {
    int64_t lanes = call->H - block * VL;
    vec n = load_block(kept + block * VL, lanes), by_zone;
    vec dh = zoned_in(call, call->zoneout, row, block, get_dh(w, row, block, lanes), &by_zone, lanes);
    vec dn = dh + get_dgate(w, row, 0, block, lanes);
    put_dG(w, i, 0, block, dn * vfma(-n, n, splat(1)), lanes);
    store(w->dh + row->b * w->padded + block * VL, by_zone);
  }
}
