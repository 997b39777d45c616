/* The equations of core/congru.h once more, in double, one row and one unit at a time: no tiles, no tables, no vectors. */
#ifndef CONGRU_TESTS_NAIVE_H
#define CONGRU_TESTS_NAIVE_H

#include "congru.h"

/* Fill y, h, c, gates and (without layer norm) extra of a float64 call, each where it is given. */
void naive_forward(const congru_call *call);

/* sum y dy + sum h dh + sum c dc + sum gates dgates after naive_forward: what congru_backward differentiates. */
double naive_loss(const congru_call *call);

#endif
