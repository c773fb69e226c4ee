// Backward over the sequences of one thread, and what is summed over threads and steps afterwards.
//
// The steps run from the last to the first; the active sequences of a group are a prefix that grows. A step is
//
//   1. gates:  for each active row, from the tape and what reaches h_t and c_t: dgates, and what reaches c_{t-1}
//   2. dh:     what reaches h_{t-1} = dgates W, (active, 4H) x (4H, H)
//   3. dW:     += h_{t-1}ᵀ dgates, not at once but for a chunk of kChunk rows, while they are in L2
//
//   chunk:  dgates  [block][row of the chunk][4 L]     operand of 2 and of 3; a tile's rows are 4 L apart
//           h_prev  [row of the chunk][padded H]
//
// Where the rows of dpre are shared by steps (an index), dgates go back into the tape, in the gates' place, and are summed by
// `sum_rows` once all threads are done, in the order of their rows: the same bits whatever the number of threads.

#pragma once

#include "forward.h"

namespace gatewise::GATEWISE_ISA {

constexpr int kChunk = 128;      // at least kGroup; 128 rows of dgates and h_prev at H = 128 are 320 KB
constexpr int kDepthBlocks = 2;  // blocks of dgates for one pass of step 2: its panel of 8 L rows of W stays in L1

// One thread's state. dh, dc: (kGroup, padded H), what reaches h and c of the step at hand from the steps behind it.
struct BackwardState {
    float *dh, *dc, *dgates, *h_prev, *dweight;
    int filled;  // rows of the chunk in use
};

GATEWISE_INLINE size_t chunk_block() { return static_cast<size_t>(kChunk * kWide); }

// 1. Row `p` of the group, step `step` of its sequence, into row `at` of the chunk.
inline void gates_backward(const BackwardJob& job, BackwardState& state, const Sequence& sequence, int64_t step, int p, int at) {
    const int units = job.units, width = padded(units);
    const size_t wide = static_cast<size_t>(units);
    const size_t row = static_cast<size_t>(row_at(sequence, step, job.reverse)) * wide;
    const size_t before = static_cast<size_t>(row_at(sequence, step - 1, job.reverse)) * wide;
    const size_t initial = static_cast<size_t>(sequence.number) * wide;
    const float* c_prev_row = step > 0 ? job.c + before : job.c0 + initial;
    copy_padded(state.h_prev + at * width, step > 0 ? job.h + before : job.h0 + initial, units);
    float* tape = job.gates + row * 4 / wide * static_cast<size_t>(width);
    float* to = state.dgates + static_cast<size_t>(at * kWide);
    float *dh_now = state.dh + p * width, *dc_now = state.dc + p * width;
    for (int b = 0; b < blocks_of(units); ++b, tape += kWide, to += chunk_block()) {
        const int n = lanes_of(units, b), u = b * L;
        const V s_i = load(tape), s_f = load(tape + L), g = load(tape + 2 * L), s_o = load(tape + 3 * L);
        V i = s_i, f = s_f, o = s_o;
        if (job.binary) i = binary(s_i), f = binary(s_f), o = binary(s_o);
        V dh = load(dh_now + u), dc = load(dc_now + u);
        if (job.dh != nullptr) dh += load_first(job.dh + row + u, n);
        if (job.dc != nullptr) dc += load_first(job.dc + row + u, n);
        const V tanh_c = tanh(load_first(job.c + row + u, n));
        dc += dh * o * (1.0f - tanh_c * tanh_c);
        const V d_i = dc * g * s_i * (1.0f - s_i);
        const V d_f = dc * load_first(c_prev_row + u, n) * s_f * (1.0f - s_f);
        const V d_g = dc * i * (1.0f - g * g);
        const V d_o = dh * tanh_c * s_o * (1.0f - s_o);
        store(dc_now + u, dc * f);
        store(to, d_i);
        store(to + L, d_f);
        store(to + 2 * L, d_g);
        store(to + 3 * L, d_o);
        if (job.dpre == nullptr) {
            store(tape, d_i);
            store(tape + L, d_f);
            store(tape + 2 * L, d_g);
            store(tape + 3 * L, d_o);
        } else {
            float* dpre = job.dpre + row * 4 + u;
            store_first(dpre, d_i, n);
            store_first(dpre + units, d_f, n);
            store_first(dpre + 2 * units, d_g, n);
            store_first(dpre + 3 * units, d_o, n);
        }
    }
}

// 2. R rows, NV vectors of columns from `column`, the gates of blocks first_block to last_block. w: their rows of the panel.
template <int R, int NV>
GATEWISE_INLINE void dh_tile(
    int units, const float* dgates, const float* w, float* dh, int column, int first_block, int last_block) {
    const int width = padded(units);
    V acc[R][NV];
    GATEWISE_UNROLL_ALL
    for (int r = 0; r < R; ++r)
        GATEWISE_UNROLL_ALL
        for (int v = 0; v < NV; ++v) acc[r][v] = first_block == 0 ? V{} : load(dh + r * width + column + v * L);
    for (int b = first_block; b < last_block; ++b) {
        const int n = lanes_of(units, b);
        const int runs = n == L ? 1 : 4, depth = n == L ? kWide : n;  // a full block's four gates are one run
        for (int run = 0; run < runs; ++run, w += depth * NV * L) {
            const float* a = dgates + static_cast<size_t>(b) * chunk_block() + run * L;
            multiply_add<R, NV>(
                acc, [&](int r, int k) __attribute__((always_inline)) { return a[r * kWide + k]; },
                [&](int k, int v) __attribute__((always_inline)) { return w + (k * NV + v) * L; }, depth);
        }
    }
    GATEWISE_UNROLL_ALL
    for (int r = 0; r < R; ++r)
        GATEWISE_UNROLL_ALL
        for (int v = 0; v < NV; ++v) store(dh + r * width + column + v * L, acc[r][v]);
}

inline void dh_backward(const BackwardJob& job, BackwardState& state, int active, int at) {
    const int units = job.units, blocks = blocks_of(units), width = padded(units);
    for (int column = 0; column < blocks; column += kVectors) {
        const int vectors = smaller(kVectors, blocks - column);
        const float* panel = job.weights + static_cast<size_t>(4 * units) * static_cast<size_t>(column * L);
        for (int b = 0; b < blocks; b += kDepthBlocks) {
            const float* w = panel + static_cast<size_t>(4 * b * L) * static_cast<size_t>(vectors * L);
            const int end = smaller(blocks, b + kDepthBlocks);
            for_each_tile(active, kRows, [&](int first, int rows) {
                const float* dgates = state.dgates + static_cast<size_t>((at + first) * kWide);
                float* dh = state.dh + first * width;
                with_rows<kRows>(rows, [&]<int R>() {
                    with_rows<kVectors>(vectors, [&]<int NV>() { dh_tile<R, NV>(units, dgates, w, dh, column * L, b, end); });
                });
            });
        }
    }
}

// 3. R units of h_{t-1} from `unit`, the four gates of one block.
template <int R>
GATEWISE_INLINE void dweight_tile(const float* dgates, const float* h_prev, int width, float* dweight, int rows) {
    V acc[R][4];
    GATEWISE_UNROLL_ALL
    for (int r = 0; r < R; ++r)
        GATEWISE_UNROLL_ALL
        for (int v = 0; v < 4; ++v) acc[r][v] = load(dweight + r * kWide + v * L);
    multiply_add<R, 4>(
        acc, [&](int r, int n) __attribute__((always_inline)) { return h_prev[n * width + r]; },
        [&](int n, int v) __attribute__((always_inline)) { return dgates + n * kWide + v * L; }, rows);
    GATEWISE_UNROLL_ALL
    for (int r = 0; r < R; ++r)
        GATEWISE_UNROLL_ALL
        for (int v = 0; v < 4; ++v) store(dweight + r * kWide + v * L, acc[r][v]);
}

inline void dweight_backward(const BackwardJob& job, BackwardState& state) {
    const int units = job.units, width = padded(units);
    for (int b = 0; b < blocks_of(units); ++b) {
        const float* dgates = state.dgates + static_cast<size_t>(b) * chunk_block();
        float* panel = state.dweight + forward_panel(units) * static_cast<size_t>(b);
        for_each_tile(units, kRows, [&](int unit, int rows) {
            with_rows<kRows>(rows, [&]<int R>() {
                dweight_tile<R>(dgates, state.h_prev + unit, width, panel + unit * kWide, state.filled);
            });
        });
    }
    state.filled = 0;
}

inline void backward_group(const BackwardJob& job, BackwardState& state, const Sequence* sequences, int count) {
    const int width = padded(job.units);
    const size_t units = static_cast<size_t>(job.units);
    for (int p = 0; p < count; ++p) {
        copy_padded(state.dh + p * width, job.dh_T + static_cast<size_t>(sequences[p].number) * units, job.units);
        copy_padded(state.dc + p * width, job.dc_T + static_cast<size_t>(sequences[p].number) * units, job.units);
    }
    int active = 0;
    for (int64_t step = sequences[0].length - 1; step >= 0; --step) {
        while (active < count && sequences[active].length > step) ++active;
        if (state.filled + active > kChunk) dweight_backward(job, state);
        for (int p = 0; p < active; ++p) gates_backward(job, state, sequences[p], step, p, state.filled + p);
        dh_backward(job, state, active, state.filled);
        state.filled += active;
    }
    for (int p = 0; p < count; ++p) {
        copy_unpadded(job.dh0 + static_cast<size_t>(sequences[p].number) * units, state.dh + p * width, job.units);
        copy_unpadded(job.dc0 + static_cast<size_t>(sequences[p].number) * units, state.dc + p * width, job.units);
    }
}

inline size_t backward_scratch(int units) {
    const size_t width = static_cast<size_t>(padded(units));
    return 2 * kGroup * width + kChunk * width + chunk_block() * static_cast<size_t>(blocks_of(units));
}

inline void backward(const BackwardJob& job, Share share, float* scratch, float* dweight) {
    const size_t width = static_cast<size_t>(padded(job.units));
    BackwardState state;
    state.dh = scratch;
    state.dc = state.dh + kGroup * width;
    state.h_prev = state.dc + kGroup * width;
    state.dgates = state.h_prev + kChunk * width;
    state.dweight = dweight;
    state.filled = 0;
    for (int64_t first = 0; first < share.count; first += kGroup) {
        const int64_t left = share.count - first;
        backward_group(job, state, share.sequences + first, left < kGroup ? static_cast<int>(left) : kGroup);
    }
    dweight_backward(job, state);
}

}  // namespace gatewise::GATEWISE_ISA
