#include "dual.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

namespace gatewise {

namespace {

// SplitMix64 (Steele et al. 2014): equal on all platforms, unlike the distributions of <random>.
std::uint64_t next(std::uint64_t& state) {
    state += 0x9E3779B97F4A7C15u;
    std::uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

}  // namespace

double squared_hinge(
    const SparseRows& x, const float* sign, const double* cost, int max_passes, double tol, double* w) {
    const auto n = static_cast<std::size_t>(x.n);
    std::vector<double> alpha(n, 0.0), quadratic(n);  // quadratic: |x_i|² + 1 for the bias + 1 / (2 cost)
    std::vector<std::int64_t> rows;
    for (std::size_t i = 0; i < n; ++i) {
        if (cost[i] <= 0) continue;
        rows.push_back(static_cast<std::int64_t>(i));
        quadratic[i] = 1 + 0.5 / cost[i];
        for (auto j = x.starts[i]; j < x.starts[i + 1]; ++j)
            quadratic[i] += static_cast<double>(x.values[j]) * static_cast<double>(x.values[j]);
    }
    double bias = 0;
    std::uint64_t state = 0;
    std::size_t active = rows.size();
    double shrink_above = std::numeric_limits<double>::infinity();
    for (int pass = 0; pass < max_passes && !rows.empty(); ++pass) {
        double largest = 0;
        for (std::size_t k = active; k > 1; --k) std::swap(rows[k - 1], rows[next(state) % k]);
        for (std::size_t k = 0; k < active;) {
            const auto i = static_cast<std::size_t>(rows[k]);
            const double s = sign[i];
            double score = bias;
            for (auto j = x.starts[i]; j < x.starts[i + 1]; ++j)
                score += w[x.columns[j]] * static_cast<double>(x.values[j]);
            const double gradient = s * score - 1 + alpha[i] * 0.5 / cost[i];
            if (alpha[i] == 0 && gradient > 0) {
                // A row far outside the margin is likely to stay there: skip it until the end (shrinking).
                if (gradient > shrink_above)
                    std::swap(rows[k], rows[--active]);
                else
                    ++k;
                continue;
            }
            ++k;
            largest = std::max(largest, std::abs(gradient));
            const double before = alpha[i];
            alpha[i] = std::max(before - gradient / quadratic[i], 0.0);
            const double step = (alpha[i] - before) * s;
            if (step == 0) continue;
            bias += step;
            for (auto j = x.starts[i]; j < x.starts[i + 1]; ++j)
                w[x.columns[j]] += step * static_cast<double>(x.values[j]);
        }
        shrink_above = largest > 0 ? largest : std::numeric_limits<double>::infinity();
        if (largest <= tol) {
            if (active == rows.size()) break;
            active = rows.size();  // look at all rows again
            shrink_above = std::numeric_limits<double>::infinity();
        }
    }
    return bias;
}

}  // namespace gatewise
