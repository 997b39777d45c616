/* A step neither allocates nor locks, and no call changes the caller's floating-point state. The allocator, mmap and the
 * mutex are counted (hooks.h).
 */
#include <string.h>

#include "cases.h"
#include "hooks.h"
#if defined(__SSE2__)
#include <immintrin.h>
#endif

static void check_no_allocation_no_lock(const spec *s) {
  problem p = make_problem(s, 0);
  long before = num_memory;
  congru_stepper *stepper = make_stepper(&p.call);
  CHECK(!HOOKED || num_memory > before, "the hook does not see congru_stepper_new: %s", name_of(s));
  long memory = num_memory, locks = num_locks;
  for (int i = 0; i < 100; i++) {
    congru_stepper_step(stepper, p.call.x, i % 2 ? p.call.y : NULL);
    congru_stepper_get(stepper, p.call.h, p.call.c);
    congru_stepper_set(stepper, p.call.h, p.call.c);
  }
  CHECK(num_memory == memory, "100 steps touched the allocator %ld times: %s", num_memory - memory, name_of(s));
  CHECK(num_locks == locks, "100 steps locked %ld times: %s", num_locks - locks, name_of(s));
  congru_stepper_free(stepper);
  free_problem(&p);
}

/* The control: a call with helpers wakes them under a mutex. */
static void check_hook_sees_locks(void) {
  spec s = {.cell = CONGRU_GRU, .B = 8, .T = 2, .I = 3, .H = 5, .threads = -2};
  problem p = make_problem(&s, 0);
  long locks = num_locks;
  CHECK(congru_forward(&p.call) == 0 && (!HOOKED || num_locks > locks), "the hook does not see the mutex of the pool");
  free_problem(&p);
}

#if defined(__SSE2__)
/* The caller's rounding, masks and flags come back from every call; inside, denormals count as zero. */
static void check_floating_point_state(const spec *s) {
  problem p = make_problem(s, 0);
  congru_stepper *stepper = make_stepper(&p.call);
  float tiny[2] = {1e-40f, -1e-40f}, out[2] = {1, 1};
  const unsigned states[] = {0x1f80u, 0x1f80u | _MM_ROUND_UP, 0x9fc0u};
  unsigned held = _mm_getcsr();
  for (int i = 0; i < 3; i++) {
    unsigned after[4];
    _mm_setcsr(states[i]);
    (void)congru_forward(&p.call), after[0] = _mm_getcsr(), _mm_setcsr(states[i]);
    (void)congru_backward(&p.call), after[1] = _mm_getcsr(), _mm_setcsr(states[i]);
    congru_stepper_step(stepper, p.call.x, NULL), after[2] = _mm_getcsr(), _mm_setcsr(states[i]);
    congru_activation(1, 0, 2, tiny, out), after[3] = _mm_getcsr();
    _mm_setcsr(held);
    for (int k = 0; k < 4; k++) CHECK(after[k] == states[i], "call %d leaves %x, expected %x: %s", k, after[k], states[i], name_of(s));
  }
  CHECK(out[0] == 0 && out[1] == 0, "tanh of a denormal is %g, expected 0: %s", (double)out[0], name_of(s));
  congru_stepper_free(stepper);
  free_problem(&p);
}

/* A state that fades into denormals is zero in the next step: an RNN that hands its input on, one step later. */
static void check_denormals_in_a_step(void) {
  float x = 1e-40f, W = 1, U = 1, h0 = 1e-40f, y = 1;
  congru_call call = {.cell = CONGRU_RNN, .B = 1, .T = 1, .I = 1, .H = 1, .x = &x, .W = &W, .U = &U, .h0 = &h0};
  congru_stepper *stepper = make_stepper(&call);
  congru_stepper_step(stepper, &x, &y);
  CHECK(y == 0, "tanh(1e-40 + 1e-40) is %g, expected 0 (%s)", (double)y, congru_isa());
  congru_stepper_free(stepper);
}
#endif

int main(void) {
  FOR_EACH_ISA(isa) {
    for (int64_t form = 0; form < 8; form++) {
      spec s = {.cell = form / 2, .dtype = form % 2, .B = 3, .T = 4, .I = 5, .H = 37, .threads = -2};
      check_no_allocation_no_lock(&s);
#if defined(__SSE2__)
      check_floating_point_state(&s);
#endif
    }
#if defined(__SSE2__)
    check_denormals_in_a_step();
#endif
  }
  check_hook_sees_locks();
}
