// One whole call: plan, packing, threads, sums. Raw arrays; the shapes have been checked.

#pragma once

#include "kernel.h"

namespace gatewise {

struct Batch {
    const int64_t* lengths;  // (B,)
    int64_t size;            // B
    int64_t steps;           // N
    int threads;
};

// job.weights is set here, from weight_hh (4H, H), unless it is there already.
void run_forward(const Isa& isa, const Batch& batch, ForwardJob job, const float* weight_hh);

// index (N,) or null; dpre (pre_rows, 4H); dweight (4H, H). job.weights and job.dpre are set here.
void run_backward(
    const Isa& isa, const Batch& batch, BackwardJob job, const float* weight_hh, const int32_t* index, int64_t pre_rows,
    float* dpre, float* dweight);

}  // namespace gatewise
