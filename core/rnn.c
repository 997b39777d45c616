/* Gate arithmetic of the tanh RNN: h' = tanh(x + a), with x = W x + b_i + b_h and a = U h from product tiles;
 * da = dh (1 - h'^2), dh_before = da U. The output is the one gate, so nothing else is saved.
 */
#include "backward.h"
#include "forward.h"

void NAME(rnn_finish)(void *context, int64_t first, int64_t R, int64_t c, int64_t C, const real *tile) {
  const forward_worker *w = context;
  for (int64_t m = 0; m < R; m++, tile += C * VL) {
    const scan_row *row = w->row + first + m;
    const real *xp = w->xp_of_step + (first + m) * w->padded + c * VL;
    for (int64_t j = 0; j < C; j++) put_h(w, row, c + j, vtanh(load(xp + j * VL) + load(tile + j * VL)));
  }
}

void NAME(rnn_backward)(const backward_worker *w, int64_t i) {
  const scan_row *row = w->table.row + i;
  const real *y = row_of(w->call->y, w->call->y_strides, row);
  for (int64_t block = w->u0; block < w->u1; block++) {
    int64_t lanes = w->call->H - block * VL;
    vec h = load_block(y + block * VL, lanes), dh = get_dh(w, row, block, lanes);
    put_dG(w, i, 0, block, dh * vfma(-h, h, splat(1)), lanes);
    store(w->dh + row->b * w->padded + block * VL, splat(0));
  }
}
