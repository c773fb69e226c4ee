// Compiled once per instruction set: see CMakeLists.txt for GATEWISE_ISA, GATEWISE_LANES, GATEWISE_ROWS, GATEWISE_BF16,
// GATEWISE_AMX and the flags.

#include "adam.h"
#include "backward.h"
#include "convolution.h"
#include "forward.h"
#include "linear.h"

namespace gatewise {
namespace GATEWISE_ISA {

static void activate(const ActivationJob& job) {
    for (Index at = 0; at < job.count; at += L) {
        const Index n = min(L, job.count - at);
        const V v = load_partial(job.x + at, n);
        store_partial(job.sigmoid + at, sigmoid(v), n);
        store_partial(job.tanh + at, tanh(v), n);
    }
}

#define GATEWISE_TEXT_(x) #x
#define GATEWISE_TEXT(x) GATEWISE_TEXT_(x)

static const Isa isa = {
    .name = GATEWISE_TEXT(GATEWISE_ISA),
    .lanes = L,
    .forward_weights_size = forward_weights_size,
    .pack_forward = pack_forward,
    .forward_scratch_size = forward_scratch_size,
    .forward = forward,
    .backward_weights_size = backward_weights_size,
    .pack_backward = pack_backward,
    .backward_scratch_size = backward_scratch_size,
    .dweight_size = dweight_size,
    .backward = backward,
    .unpack_dweight = unpack_dweight,
    .unpack_dbias = unpack_dbias,
    .sum_scratch_size = sum_scratch_size,
    .sum_rows = sum_rows,
    .linear_weights_size = linear_weights_size,
    .pack_linear = pack_linear,
    .linear_scratch_size = linear_scratch_size,
    .linear = linear,
    .linear_backward_weights_size = linear_backward_weights_size,
    .pack_linear_backward = pack_linear_backward,
    .linear_backward_scratch_size = linear_backward_scratch_size,
    .linear_dweight_size = linear_dweight_size,
    .linear_backward = linear_backward,
    .unpack_linear = unpack_linear,
    .convolution_scratch_size = convolution_scratch_size,
    .count_above = count_above,
    .adam_step = adam_step,
    .adam_step_rows = adam_step_rows,
    .adam_catch_up = adam_catch_up,
    .sum_of_squares = sum_of_squares,
    .activate = activate,
};

}  // namespace GATEWISE_ISA

#define GATEWISE_JOIN_(a, b) a##b
#define GATEWISE_JOIN(a, b) GATEWISE_JOIN_(a, b)
const Isa* GATEWISE_JOIN(isa_, GATEWISE_ISA)() { return &GATEWISE_ISA::isa; }

}  // namespace gatewise
