// The input product y = x Wᵀ + b and its backward: what comes before the recurrence in every layer.
//
// It uses the same tile instead of a BLAS library. A library's product can be far from the machine's best (MKL runs
// AVX2 code on AMD processors), and its threads would compete with the pool's for the cores.
//
//   forward     y (M, N) = x (M, K) Wᵀ + b
//   backward    dx (M, K) = dy W;  dW (N, K) = dyᵀ x;  db (N,) = the sum of dy's rows
//
// A thread takes a range of rows, kLinearRows at a time. They are copied to operands (operand.h), padded to whole
// vectors, and stay in L2 for all that follows. Each thread sums its own dW, as its transpose (K, padded N).

#pragma once

#include "pack.h"

namespace gatewise::GATEWISE_ISA {

constexpr Index kLinearRows = 96;
static_assert(kLinearRows % kRows == 0 && kLinearRows % kPair == 0, "rows make whole tiles and whole pairs");

// W (N, K) for the forward: panels of 4 L of its rows, [k word][row], the last as many vectors as it needs.
inline Index linear_weights_size(LinearSize size) { return depth_of(size.inputs) * padded(size.outputs); }

// Vectors of the panel that starts at column `first`.
GATEWISE_INLINE Index panel_vectors(Index columns, Index first) {
    return min(kVectors, blocks_of(columns) - first / L);
}

inline void pack_linear(LinearSize size, const float* weight, Word* packed, Range panels) {
    const Index inputs = size.inputs, outputs = size.outputs, depth = depth_of(inputs);
    for (Index column = panels.first * kWide; column < min(panels.last * kWide, padded(outputs)); column += kWide) {
        const Index wide = panel_vectors(outputs, column) * L;
        Word* panel = packed + depth * column;
        for (Index j = 0; j < wide; ++j) {
            const float* row = weight + (column + j) * inputs;
            for (Index k0 = 0; k0 < inputs; k0 += L) {
                const Index n = lanes_of(inputs, k0 / L);
                alignas(kAlignment) Word cells[L] = {};
                if (column + j < outputs) store_numbers(cells, 0, load_partial(row + k0, n), L);
                for (Index d = 0; d < words(n); ++d) panel[(k0 / kPair + d) * wide + j] = cells[d];
            }
            for (Index d = words(inputs); d < depth; ++d) panel[d * wide + j] = Word{};
        }
    }
}

// W for dx: panels of 4 L of its columns, [word of rows][column].
inline Index linear_backward_weights_size(LinearSize size) { return depth_of(size.outputs) * padded(size.inputs); }

inline void pack_linear_backward(LinearSize size, const float* weight, Word* packed) {
    const Index inputs = size.inputs, outputs = size.outputs;
    for (Index column = 0; column < padded(inputs); column += kWide) {
        const Index vectors = panel_vectors(inputs, column);
        for (Index j = 0; j < outputs; j += kPair)
            for (Index v = 0; v < vectors; ++v, packed += L) {
                const Index n = lanes_of(inputs, column / L + v);
                const float* from = weight + j * inputs + column + v * L;
#if GATEWISE_BF16
                const V next = j + 1 < outputs ? load_partial(from + inputs, n) : V{};
                store(packed, pack_pairs(load_partial(from, n), next));
#else
                store(packed, load_partial(from, n));
#endif
            }
        for (Index at = words(outputs) * vectors; at < depth_of(outputs) * vectors; ++at, packed += L)
            store(packed, V{});
    }
}

GATEWISE_INLINE void copy_operands(Word* to, const float* from, Index rows, Index numbers) {
    for (Index r = 0; r < rows; ++r)
        copy_operand(to + r * operand_row(numbers), from + r * numbers, MaskRow{nullptr}, numbers);
}

// out (rows, columns) = a (rows, numbers) times packed panels, plus bias.
struct LinearProduct {
    const Word* a;
    Index rows, numbers;
    const Word* panels;
    Index columns;
    const float* bias;  // null: zeros
    float* out;
};

inline void multiply_linear(const LinearProduct& product) {
    const Index row = operand_row(product.numbers), depth = depth_of(product.numbers), columns = product.columns;
    alignas(kAlignment) float sums[kRows * kWide];
    for (Index column = 0; column < columns; column += kWide) {
        const Index vectors = panel_vectors(columns, column), wide = vectors * L;
        const Word* w = product.panels + depth * column;
        for_each_tile(product.rows, [&](Index first, Index count) {
            multiply_tile<false>(
                count, vectors,
                {.a = product.a + first * row,
                 .a_row = row,
                 .a_k = 1,
                 .w = w,
                 .w_k = wide,
                 .depth = depth,
                 .out = sums,
                 .out_row = kWide});
            for (Index v = 0; v < vectors; ++v) {
                const Index at = column + v * L, n = min(L, columns - at);
                const V b = product.bias == nullptr ? V{} : load_partial(product.bias + at, n);
                for (Index r = 0; r < count; ++r)
                    store_partial(product.out + (first + r) * columns + at, load(sums + r * kWide + v * L) + b, n);
            }
        });
    }
}

// As multiply_linear, without the bias and with rows of padded(columns) in `out`, which saves a pass over the sums.
inline void multiply_padded(const LinearProduct& product) {
    const Index row = operand_row(product.numbers), depth = depth_of(product.numbers), columns = product.columns;
    const Index wide = padded(columns);
    for (Index column = 0; column < columns; column += kWide) {
        const Index vectors = panel_vectors(columns, column);
        for_each_tile(product.rows, [&](Index first, Index count) {
            multiply_tile<false>(
                count, vectors,
                {.a = product.a + first * row,
                 .a_row = row,
                 .a_k = 1,
                 .w = product.panels + depth * column,
                 .w_k = vectors * L,
                 .depth = depth,
                 .out = product.out + first * wide + column,
                 .out_row = wide});
        });
    }
}

inline Index linear_scratch_size(LinearSize size) { return kLinearRows * operand_row(size.inputs); }

inline void linear(const LinearJob& job, Range rows, float* scratch) {
    const TileRegisters registers;
    const Index inputs = job.size.inputs, outputs = job.size.outputs;
    Word* const x = Scratch{scratch}.words(linear_scratch_size(job.size));
    for (Index at = rows.first; at < rows.last; at += kLinearRows) {
        const Index count = min(kLinearRows, rows.last - at);
        copy_operands(x, job.x + at * inputs, count, inputs);
        multiply_linear(
            {.a = x,
             .rows = count,
             .numbers = inputs,
             .panels = job.weights,
             .columns = outputs,
             .bias = job.bias,
             .out = job.y + at * outputs});
    }
}

inline Index linear_backward_scratch_size(LinearSize size) {
    const Index row = operand_row(size.outputs) + operand_row(size.inputs);
    return kLinearRows * row + transposed_size(row, kLinearRows);
}

// One thread's partial sum of dWᵀ, (K, padded N), followed by that of db, padded N.
inline Index linear_dweight_size(LinearSize size) { return (size.inputs + 1) * padded(size.outputs); }

inline void linear_backward(const LinearBackwardJob& job, Range rows, BackwardBuffers buffers) {
    const TileRegisters registers;
    const Index inputs = job.size.inputs, outputs = job.size.outputs, wide = padded(outputs);
    const Index x_row = operand_row(inputs), dy_row = operand_row(outputs);
    Scratch scratch{buffers.scratch};
    Word* const x = scratch.words(kLinearRows * x_row);
    Word* const dy = scratch.words(kLinearRows * dy_row);
    Word* const x_buffer = scratch.words(transposed_size(x_row, kLinearRows));
    Word* const dy_buffer = scratch.words(transposed_size(dy_row, kLinearRows));
    float *const dweight = buffers.dweight, *const dbias = dweight + inputs * wide;
    for (Index at = rows.first; at < rows.last; at += kLinearRows) {
        const Index count = min(kLinearRows, rows.last - at);
        const float* dy_now = job.dy + at * outputs;
        copy_operands(x, job.x + at * inputs, count, inputs);
        copy_operands(dy, dy_now, count, outputs);
        if (job.dx != nullptr)
            multiply_linear(
                {.a = dy,
                 .rows = count,
                 .numbers = outputs,
                 .panels = job.weights,
                 .columns = inputs,
                 .bias = nullptr,
                 .out = job.dx + at * inputs});
        const TransposedA transposed_x = transposed_a(x, x_row, count, x_buffer);
        const Word* transposed_dy = transposed_w(dy, dy_row, count, dy_buffer);
        for (Index column = 0; column < outputs; column += kWide)
            for_each_tile(inputs, [&](Index input, Index tile_rows) {
                multiply_tile<true>(
                    tile_rows, panel_vectors(outputs, column),
                    {.a = transposed_x.data + input * transposed_x.row,
                     .a_row = transposed_x.row,
                     .a_k = transposed_x.depth,
                     .w = transposed_dy + column,
                     .w_k = kPair * dy_row,
                     .depth = depth_of(count),
                     .out = dweight + input * wide + column,
                     .out_row = wide,
                     .add = true});
            });
        for (Index column = 0; column < outputs; column += L) {
            const Index n = min(L, outputs - column);
            V sum = load(dbias + column);
            for (Index r = 0; r < count; ++r) sum += load_partial(dy_now + r * outputs + column, n);
            store(dbias + column, sum);
        }
    }
}

// Some rows of dW (N, K), and of db, from the threads' partial sums.
inline void unpack_linear(LinearSize size, PartialSums packed, LinearGradients gradients, Range outputs) {
    const Index inputs = size.inputs, wide = padded(size.outputs);
    for (Index n = outputs.first; n < outputs.last; ++n)
        for (Index k = 0; k <= inputs; ++k) {
            const float* from = packed.first + k * wide + n;
            float sum = *from;
            for (Index part = 1; part < packed.count; ++part) sum += from[packed.stride * part];
            if (k < inputs)
                gradients.dweight[n * inputs + k] = sum;
            else
                gradients.dbias[n] = sum;
        }
}

}  // namespace gatewise::GATEWISE_ISA
