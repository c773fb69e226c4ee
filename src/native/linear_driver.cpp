#include "linear_driver.h"

#include <algorithm>
#include <cstring>

#include "arena.h"
#include "pool.h"

namespace gatewise {

namespace {

constexpr double kWorthAThread = 1e6;  // multiply-adds, about 20 microseconds

int threads_for(const LinearShape& shape, int threads) {
    const double work = static_cast<double>(shape.rows) * shape.outputs * shape.inputs;
    return std::max(1, static_cast<int>(std::min<double>(threads, work / kWorthAThread)));
}

size_t whole_lines(size_t floats) { return (floats + 31) / 32 * 32; }

}  // namespace

void run_linear(
    const Isa& isa, const LinearShape& shape, const float* x, const float* weight, const float* bias, float* y) {
    const int threads = threads_for(shape, shape.threads), n = shape.outputs, k = shape.inputs;
    const size_t scratch_size = whole_lines(isa.linear_scratch(n, k));
    const Floats weights(isa.linear_weights_size(n, k)), scratch(scratch_size * static_cast<size_t>(threads));
    const int panels = (n + 4 * isa.lanes - 1) / (4 * isa.lanes);
    run_parts(threads, [&](int part) {
        isa.pack_linear(n, k, weight, weights.data(), panels * part / threads, panels * (part + 1) / threads);
    });
    const LinearJob job{n, k, x, bias, weights.data(), y};
    run_parts(threads, [&](int part) {
        isa.linear(
            job, shape.rows * part / threads, shape.rows * (part + 1) / threads,
            scratch.data() + scratch_size * static_cast<size_t>(part));
    });
}

void run_linear_back(
    const Isa& isa, const LinearShape& shape, const float* x, const float* weight, const float* dy, float* dx,
    float* dweight, float* dbias) {
    const int threads = threads_for(shape, shape.threads), n = shape.outputs, k = shape.inputs;
    const size_t scratch_size = whole_lines(isa.linear_back_scratch(n, k));
    const size_t part_size = whole_lines(isa.linear_dweight_size(n, k));
    const Floats weights(isa.linear_back_weights_size(n, k)), scratch(scratch_size * static_cast<size_t>(threads));
    const Floats parts(part_size * static_cast<size_t>(threads));
    if (dx != nullptr) isa.pack_linear_back(n, k, weight, weights.data());
    const LinearBackJob job{n, k, x, dy, weights.data(), dx};
    run_parts(threads, [&](int part) {
        float* own = parts.data() + part_size * static_cast<size_t>(part);
        std::memset(own, 0, part_size * sizeof(float));
        isa.linear_back(
            job, shape.rows * part / threads, shape.rows * (part + 1) / threads,
            scratch.data() + scratch_size * static_cast<size_t>(part), own);
    });
    run_parts(threads, [&](int part) {
        isa.unpack_linear(
            n, k, parts.data(), part_size, threads, dweight, dbias, n * part / threads, n * (part + 1) / threads);
    });
}

}  // namespace gatewise
