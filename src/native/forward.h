// Forward over the sequences of one thread: no barrier, no other thread's data.
//
// Sequences come longest first, in groups of at most kGroup that run side by side; those that still have a step s are the
// first `active` of the group. For a step: for a block of L units, whose panel of W then stays in L1, all tiles of rows.
// A tile starts from pre, adds h_{t-1} W, and holds the four gates of its units in registers when it ends: i, f, g, o, c
// and h follow at once, and nothing is read back.
//
//   state, a row a sequence, padded with zeros to whole vectors:  h_now -> h_next, swapped after the step; c_now in place
//   out, a row a step:  h (N, H), and for the tape c (N, H) and gates (N, blocks, 4, L)

#pragma once

#include "activations.h"
#include "kernel.h"
#include "pack.h"

namespace gatewise::GATEWISE_ISA {

constexpr int kGroup = 64;

GATEWISE_INLINE int64_t row_at(const Sequence& sequence, int64_t step, bool reverse) {
    return reverse ? sequence.start + sequence.length - 1 - step : sequence.start + step;
}

// Where the active sequences are in this step.
struct ForwardStep {
    float *h_now, *h_next, *c_now;
    const float* pre[kGroup];
    int64_t row[kGroup];
};

// R sequences from `first`, the units of NB blocks from `block`.
template <int R, int NB>
GATEWISE_INLINE void forward_tile(const ForwardJob& job, const ForwardStep& at, int first, int block) {
    const int units = job.units, width = padded(units);
    const size_t panel_size = forward_panel(units);
    const float* panel = job.weights + panel_size * static_cast<size_t>(block);
    V acc[R][4 * NB];
    GATEWISE_UNROLL_ALL
    for (int r = 0; r < R; ++r)
        GATEWISE_UNROLL_ALL
        for (int v = 0; v < 4 * NB; ++v) {
            const int b = block + v / 4, gate = v % 4;
            acc[r][v] = load_first(at.pre[first + r] + gate * units + b * L, lanes_of(units, b));
        }
    const float* h[R];
    GATEWISE_UNROLL_ALL
    for (int r = 0; r < R; ++r) h[r] = at.h_now + static_cast<size_t>((first + r) * width);
    multiply_add<R, 4 * NB>(
        acc, [&](int r, int k) __attribute__((always_inline)) { return h[r][k]; },
        [&](int k, int v) __attribute__((always_inline)) {
            return panel + static_cast<size_t>(v / 4) * panel_size + k * kWide + (v % 4) * L;
        },
        units);

    const size_t tape_row = static_cast<size_t>(blocks_of(units) * kWide);
    GATEWISE_UNROLL_ALL
    for (int nb = 0; nb < NB; ++nb) {
        const int b = block + nb, n = lanes_of(units, b);
        GATEWISE_UNROLL_ALL
        for (int r = 0; r < R; ++r) {
            V s_i = sigmoid(acc[r][4 * nb]), s_f = sigmoid(acc[r][4 * nb + 1]);
            V g = tanh(acc[r][4 * nb + 2]), s_o = sigmoid(acc[r][4 * nb + 3]);
            V i = s_i, f = s_f, o = s_o;
            if (job.binary) i = binary(s_i), f = binary(s_f), o = binary(s_o);
            const size_t state = static_cast<size_t>((first + r) * width + b * L);
            const V c = f * load(at.c_now + state) + i * g;
            const V h_new = o * tanh(c);
            store(at.c_now + state, c);
            store(at.h_next + state, h_new);
            const size_t row = static_cast<size_t>(at.row[first + r]);
            const size_t out = row * static_cast<size_t>(units) + static_cast<size_t>(b * L);
            store_first(job.h + out, h_new, n);
            if (job.gates == nullptr) continue;
            store_first(job.c + out, c, n);
            if (n < L) s_i = first_lanes(s_i, n), s_f = first_lanes(s_f, n), s_o = first_lanes(s_o, n);
            float* tape = job.gates + row * tape_row + b * kWide;
            store(tape, s_i);
            store(tape + L, s_f);
            store(tape + 2 * L, g);
            store(tape + 3 * L, s_o);
        }
    }
}

inline void forward_step(const ForwardJob& job, const ForwardStep& at, int active) {
    const int blocks = blocks_of(job.units);
    int block = 0;
    if (active <= kFewRows)
        for (; block + 2 <= blocks; block += 2)
            with_rows<kFewRows>(active, [&]<int R>() { forward_tile<R, 2>(job, at, 0, block); });
    for (; block < blocks; ++block)
        for_each_tile(active, kRows, [&](int first, int rows) {
            with_rows<kRows>(rows, [&]<int R>() { forward_tile<R, 1>(job, at, first, block); });
        });
}

inline void forward_group(const ForwardJob& job, const Sequence* sequences, int count, float* scratch) {
    const int width = padded(job.units);
    const size_t units = static_cast<size_t>(job.units), state_size = static_cast<size_t>(kGroup * width);
    ForwardStep at;
    at.h_now = scratch;
    at.h_next = scratch + state_size;
    at.c_now = scratch + 2 * state_size;
    for (int p = 0; p < count; ++p) {
        copy_padded(at.h_now + p * width, job.h0 + static_cast<size_t>(sequences[p].number) * units, job.units);
        copy_padded(at.c_now + p * width, job.c0 + static_cast<size_t>(sequences[p].number) * units, job.units);
    }
    int active = count;
    for (int64_t step = 0;; ++step) {
        for (; active > 0 && sequences[active - 1].length == step; --active) {
            const size_t out = static_cast<size_t>(sequences[active - 1].number) * units;
            copy_unpadded(job.h_T + out, at.h_now + (active - 1) * width, job.units);
            copy_unpadded(job.c_T + out, at.c_now + (active - 1) * width, job.units);
        }
        if (active == 0) return;
        for (int p = 0; p < active; ++p) {
            at.row[p] = row_at(sequences[p], step, job.reverse);
            const int64_t pre_row = job.index == nullptr ? at.row[p] : job.index[at.row[p]];
            at.pre[p] = job.pre + static_cast<size_t>(pre_row) * 4 * units;
        }
        forward_step(job, at, active);
        float* done = at.h_now;
        at.h_now = at.h_next;
        at.h_next = done;
    }
}

inline size_t forward_scratch(int units) { return static_cast<size_t>(3 * kGroup * padded(units)); }

inline void forward(const ForwardJob& job, Share share, float* scratch) {
    for (int64_t first = 0; first < share.count; first += kGroup) {
        const int64_t left = share.count - first;
        forward_group(job, share.sequences + first, left < kGroup ? static_cast<int>(left) : kGroup, scratch);
    }
}

}  // namespace gatewise::GATEWISE_ISA
