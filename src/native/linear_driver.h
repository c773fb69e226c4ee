// One whole input product, forward or backward: packing, threads, sums. Raw arrays; the shapes have been checked.

#pragma once

#include "kernel.h"

namespace gatewise {

struct LinearShape {
    int64_t rows;         // M
    int outputs, inputs;  // N, K
    int threads;
};

// x (M, K), weight (N, K), bias (N,) -> y (M, N)
void run_linear(
    const Isa& isa, const LinearShape& shape, const float* x, const float* weight, const float* bias, float* y);

// dy (M, N) -> dx (M, K), unless null; dweight (N, K), dbias (N,)
void run_linear_back(
    const Isa& isa, const LinearShape& shape, const float* x, const float* weight, const float* dy, float* dx,
    float* dweight, float* dbias);

}  // namespace gatewise
