// One whole call of the kernel: plan, packing, threads, sums. The arrays are raw, and their shapes have been checked.

#pragma once

#include "arena.h"
#include "kernel.h"

namespace gatewise {

// Blocks of units, `lanes` to a block.
inline Index blocks_of(const Isa& isa, Index units) { return (units + isa.lanes - 1) / isa.lanes; }

struct Batch {
    const int64_t* lengths;  // (B,)
    Index size;              // B
    Index steps;             // N
    Index threads;
};

// Sets job.weights from weight_hh (4H, H) unless it is set already, and job.stream.
void run_forward(const Isa& isa, const Batch& batch, ForwardJob job, const float* weight_hh);

struct BackwardArrays {
    const float* weight_hh;  // (4H, H)
    const int32_t* index;    // (N,). Null: step n has row n of pre
    Index pre_rows;          // U
    float* dpre;             // (U, 4H). Null where the job has x
    float* dweight;          // (4H, H). Null: not wanted
    // Where the job has x, otherwise null.
    const float* weight_ih;  // (4H, D)
    float* dweight_ih;       // (4H, D)
    float* dbias;            // (4H,)
};

// Sets job.weights, job.input_weights, job.dpre and job.stream.
void run_backward(const Isa& isa, const Batch& batch, BackwardJob job, const BackwardArrays& arrays);

struct LinearShape {
    Index rows;       // M
    LinearSize size;  // N, K
    Index threads;
};

struct LinearArrays {
    const float* x;       // (M, K)
    const float* weight;  // (N, K)
    const float* bias;    // (N,)
    float* y;             // (M, N)
    const Word* packed = nullptr;  // the weight by pack_linear. Null: it is packed for this call
};

// Panels of pack_linear.
Index panels_of(const Isa& isa, LinearSize size);

void run_linear(const Isa& isa, const LinearShape& shape, const LinearArrays& arrays);

struct LinearBackwardArrays {
    const float* x;       // (M, K)
    const float* weight;  // (N, K)
    const float* dy;      // (M, N)
    float* dx;            // (M, K). Null: not wanted
    LinearGradients gradients;
};

void run_linear_backward(const Isa& isa, const LinearShape& shape, const LinearBackwardArrays& arrays);

// Sets job.starts from the lengths.
void run_count_above(const Isa& isa, const Batch& batch, ConvolutionJob job);

// The work of these is shared out in pieces of a fixed size, so results do not depend on the number of threads.
// `count`: elements of weight, or of rows where job.rows is set.
void run_adam_step(const Isa& isa, Index threads, const AdamJob& job, Index count);
void run_adam_catch_up(const Isa& isa, Index threads, const CatchUpJob& job, Index count);  // rows
double run_sum_of_squares(const Isa& isa, Index threads, const float* x, Index count);

}  // namespace gatewise
