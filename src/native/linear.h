// The input product, y = x Wᵀ + b, and back: what stands before the recurrence in every layer.
//
// By the same tile as the rest, since a general library's product can be far from the machine's best (MKL runs AVX2 code
// on AMD processors), and since it brings threads of its own, which would fight with ours over the cores.
//
//   forward     y (M, N) = x (M, K) Wᵀ + b
//   backward    dx (M, K) = dy W;  dW (N, K) = dyᵀ x;  db (N,) = the sum of dy's rows
//
// A thread takes a range of rows, kLinearRows at a time: they are copied into operands (operand.h), padded to whole
// vectors, and stay in L2 for all that is done with them. dW is summed as its transpose, (K, padded N), a thread its own.

#pragma once

#include "kernel.h"
#include "pack.h"

namespace gatewise::GATEWISE_ISA {

constexpr int kLinearRows = 96;  // a multiple of the tile's rows and of 2

// W (N, K) for the forward: panels of 4 L of its rows, [k word][row], the last as many vectors as it needs.
inline size_t linear_weights_size(int outputs, int inputs) {
    return static_cast<size_t>(depth_of(inputs)) * static_cast<size_t>(padded(outputs));
}

GATEWISE_INLINE int panel_vectors(int columns, int first) { return smaller(kVectors, blocks_of(columns) - first / L); }

// Some of its panels.
inline void pack_linear(int outputs, int inputs, const float* weight, float* packed, int first, int last) {
    const size_t depth = static_cast<size_t>(depth_of(inputs));
    for (int column = first * kWide; column < smaller(last * kWide, padded(outputs)); column += kWide) {
        const int wide = panel_vectors(outputs, column) * L;
        float* panel = packed + depth * static_cast<size_t>(column);
        for (int j = 0; j < wide; ++j) {
            const float* row = weight + static_cast<size_t>(column + j) * static_cast<size_t>(inputs);
            for (int k0 = 0; k0 < inputs; k0 += L) {
                const int n = lanes_of(inputs, k0 / L);
                alignas(64) float cells[L] = {};
                if (column + j < outputs) store_numbers(cells, 0, load_first(row + k0, n), L);
                for (int d = 0; d < words(n); ++d) panel[(k0 / kPair + d) * wide + j] = cells[d];
            }
            for (int d = words(inputs); d < depth_of(inputs); ++d) panel[d * wide + j] = 0.0f;
        }
    }
}

// W for dx: panels of 4 L of its columns, [word of rows][column].
inline size_t linear_back_weights_size(int outputs, int inputs) {
    return static_cast<size_t>(depth_of(outputs)) * static_cast<size_t>(padded(inputs));
}

inline void pack_linear_back(int outputs, int inputs, const float* weight, float* packed) {
    const size_t row = static_cast<size_t>(inputs);
    for (int column = 0; column < padded(inputs); column += kWide) {
        const int vectors = panel_vectors(inputs, column);
        for (int j = 0; j < outputs; j += kPair)
            for (int v = 0; v < vectors; ++v, packed += L) {
                const int n = lanes_of(inputs, column / L + v);
                const float* from = weight + static_cast<size_t>(j) * row + column + v * L;
#if GATEWISE_BF16
                store(packed, paired(load_first(from, n), j + 1 < outputs ? load_first(from + row, n) : V{}));
#else
                store(packed, load_first(from, n));
#endif
            }
        for (int at = words(outputs) * vectors; at < depth_of(outputs) * vectors; ++at, packed += L) store(packed, V{});
    }
}

GATEWISE_INLINE void copy_operands(float* to, const float* from, int rows, int numbers) {
    for (int r = 0; r < rows; ++r)
        copy_operand(to + r * operand_row(numbers), from + static_cast<ptrdiff_t>(r) * numbers, nullptr, numbers);
}

// out (rows, columns) = a (rows, depth words) times packed panels, plus bias where there is one.
inline void linear_product(
    const float* a, int a_row, int rows, int depth, const float* packed, int columns, const float* bias, float* out) {
    alignas(64) float sums[kRows * kWide];
    for (int column = 0; column < columns; column += kWide) {
        const int vectors = panel_vectors(columns, column), wide = vectors * L;
        const float* w = packed + static_cast<size_t>(depth) * static_cast<size_t>(column);
        for_each_tile(rows, [&](int first, int count) {
            multiply_tile<false>(count, vectors, {a + first * a_row, a_row, 1, w, wide, 0, depth, sums, kWide, false});
            for (int v = 0; v < vectors; ++v) {
                const int at = column + v * L, n = smaller(L, columns - at);
                const V b = bias == nullptr ? V{} : load_first(bias + at, n);
                for (int r = 0; r < count; ++r)
                    store_first(
                        out + static_cast<ptrdiff_t>(first + r) * columns + at, load(sums + r * kWide + v * L) + b, n);
            }
        });
    }
}

inline size_t linear_scratch(int, int inputs) { return static_cast<size_t>(kLinearRows * operand_row(inputs)); }

inline void linear(const LinearJob& job, int64_t first, int64_t last, float* scratch) {
    const Tiles tiles;
    const ptrdiff_t inputs = job.inputs, outputs = job.outputs;
    for (int64_t at = first; at < last; at += kLinearRows) {
        const int rows = last - at < kLinearRows ? static_cast<int>(last - at) : kLinearRows;
        copy_operands(scratch, job.x + at * inputs, rows, job.inputs);
        linear_product(
            scratch, operand_row(job.inputs), rows, depth_of(job.inputs), job.weights, job.outputs, job.bias,
            job.y + at * outputs);
    }
}

inline size_t linear_back_scratch(int outputs, int inputs) {
    const int row = operand_row(outputs) + operand_row(inputs);
    return static_cast<size_t>(kLinearRows) * static_cast<size_t>(row) + across_size(row, kLinearRows);
}

// One thread's part of dWᵀ, (K, padded N), and behind it of db, padded N.
inline size_t linear_dweight_size(int outputs, int inputs) {
    return static_cast<size_t>(inputs + 1) * static_cast<size_t>(padded(outputs));
}

inline void linear_back(const LinearBackJob& job, int64_t first, int64_t last, float* scratch, float* dweight) {
    const Tiles tiles;
    const int inputs = job.inputs, outputs = job.outputs, wide = padded(outputs);
    const int x_row = operand_row(inputs), dy_row = operand_row(outputs);
    float *const x = scratch, *const dy = x + kLinearRows * x_row, *const x_joined = dy + kLinearRows * dy_row,
                 *const dy_joined = x_joined + across_size(x_row, kLinearRows);
    float* const dbias = dweight + static_cast<size_t>(inputs) * static_cast<size_t>(wide);
    for (int64_t at = first; at < last; at += kLinearRows) {
        const int rows = last - at < kLinearRows ? static_cast<int>(last - at) : kLinearRows;
        const float* dy_here = job.dy + at * static_cast<ptrdiff_t>(outputs);
        copy_operands(x, job.x + at * static_cast<ptrdiff_t>(inputs), rows, inputs);
        copy_operands(dy, dy_here, rows, outputs);
        if (job.dx != nullptr)
            linear_product(
                dy, dy_row, rows, depth_of(outputs), job.weights, inputs, nullptr,
                job.dx + at * static_cast<ptrdiff_t>(inputs));
        const Across x_across = across_numbers(x, x_row, rows, x_joined);
        const float* dy_across = across_rows(dy, dy_row, rows, dy_joined);
        for (int column = 0; column < outputs; column += kWide)
            for_each_tile(inputs, [&](int input, int count) {
                multiply_tile<true>(
                    count, panel_vectors(outputs, column),
                    {x_across.words + input * x_across.row, x_across.row, x_across.depth, dy_across + column,
                     kPair * dy_row, 0, depth_of(rows), dweight + input * wide + column, wide, true});
            });
        for (int column = 0; column < outputs; column += L) {
            const int n = smaller(L, outputs - column);
            V sum = load(dbias + column);
            for (int r = 0; r < rows; ++r) sum += load_first(dy_here + static_cast<ptrdiff_t>(r) * outputs + column, n);
            store(dbias + column, sum);
        }
    }
}

// Rows `first` to `last` of dW (N, K), and of db, from `parts` threads' sums, added in that order.
inline void unpack_linear(
    int outputs, int inputs, const float* packed, size_t stride, int parts, float* dweight, float* dbias, int first,
    int last) {
    const size_t wide = static_cast<size_t>(padded(outputs));
    for (int n = first; n < last; ++n)
        for (int k = 0; k <= inputs; ++k) {
            const float* from = packed + static_cast<size_t>(k) * wide + n;
            float sum = *from;
            for (int part = 1; part < parts; ++part) sum += from[stride * static_cast<size_t>(part)];
            if (k < inputs)
                dweight[static_cast<size_t>(n) * static_cast<size_t>(inputs) + static_cast<size_t>(k)] = sum;
            else
                dbias[n] = sum;
        }
}

}  // namespace gatewise::GATEWISE_ISA
