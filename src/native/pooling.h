// Pooling of ragged batches and its gradients, see src/gatewise/kernels/pooling.py.

#pragma once

#include "kernel.h"

namespace gatewise {

// `size` sequences of `width` numbers a step, one after the other.
struct Segments {
    const int64_t* lengths;
    Index size, width, threads;
};

// out (size, width): the sum or the maximum of x over the steps of each sequence; 0 for an empty one. A NaN is passed on.
void segment_reduce(const Segments& segments, bool maximum, const float* x, float* out);

// out (steps, width) += or = grad (size, width), repeated for every step of a sequence.
void repeat_rows(const Segments& segments, bool add, const float* grad, float* out);

// The gradient of x from that of its maximum `largest` (size, width): equal maxima share it. out as in repeat_rows.
void max_backward(
    const Segments& segments, bool add, const float* x, const float* largest, const float* grad, float* out);

}  // namespace gatewise
