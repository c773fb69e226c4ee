// Compiled once per instruction set: see CMakeLists.txt for GATEWISE_ISA, GATEWISE_LANES, GATEWISE_ROWS, GATEWISE_BF16
// and the flags.

#include "linear.h"
#include "sum_rows.h"

namespace gatewise {
namespace GATEWISE_ISA {

static void activate(const float* x, float* to_sigmoid, float* to_tanh, int64_t count) {
    for (int64_t at = 0; at < count; at += L) {
        const int n = count - at < L ? static_cast<int>(count - at) : L;
        const V v = load_first(x + at, n);
        store_first(to_sigmoid + at, sigmoid(v), n);
        store_first(to_tanh + at, tanh(v), n);
    }
}

#define GATEWISE_TEXT_(x) #x
#define GATEWISE_TEXT(x) GATEWISE_TEXT_(x)

static const Isa isa = {
    GATEWISE_TEXT(GATEWISE_ISA),
    L,
    forward_weights_size,
    pack_forward,
    forward_scratch,
    forward,
    backward_weights_size,
    pack_backward,
    backward_scratch,
    dweight_size,
    backward,
    unpack_dweight,
    sum_scratch,
    sum_rows,
    linear_weights_size,
    pack_linear,
    linear_scratch,
    linear,
    linear_back_weights_size,
    pack_linear_back,
    linear_back_scratch,
    linear_dweight_size,
    linear_back,
    unpack_linear,
    activate,
};

}  // namespace GATEWISE_ISA

#define GATEWISE_JOIN_(a, b) a##b
#define GATEWISE_JOIN(a, b) GATEWISE_JOIN_(a, b)
const Isa* GATEWISE_JOIN(isa_, GATEWISE_ISA)() { return &GATEWISE_ISA::isa; }

}  // namespace gatewise
