// Dual coordinate descent for a linear support vector machine on sparse rows.
#pragma once

#include <cstdint>

namespace gatewise {

// n rows of a CSR matrix: columns[starts[i]] ... columns[starts[i + 1] - 1], with their values.
struct SparseRows {
    std::int64_t n;
    const std::int32_t* starts;
    const std::int32_t* columns;
    const float* values;
};

// min  Σ_i cost_i max(0, 1 - sign_i (x_i·w + b))² + 1/2 (|w|² + b²), from w = 0 and b = 0 (Hsieh et al. 2008, algorithm
// 1, L2-loss). Rows are visited in a pseudo-random order that depends on nothing but n. Stops after max_passes, or where
// no projected gradient of a pass is above tol. w: one number per column. Returns b.
double squared_hinge(
    const SparseRows& x, const float* sign, const double* cost, int max_passes, double tol, double* w);

}  // namespace gatewise
