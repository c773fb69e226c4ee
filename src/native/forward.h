// Forward over the sequences of one thread: no barrier, no other thread's data.
//
// Sequences come longest first, in groups of at most kGroup that run side by side; those that still have a step s are
// the first `active` of the group. For a step: for a block of L units, whose panel of W then stays in L1, all tiles of
// rows. A tile is h_{t-1} W for all four gates of its units, so that i, f, g, o, c and h follow at once.
//
//   state, a row a sequence, padded with zeros to whole vectors:  h_now -> h_next, swapped after a step, as operands
//                       (operand.h) and, where there is one, times the sequence's mask; c_now in place
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

GATEWISE_INLINE const float* pre_of(const ForwardJob& job, int64_t row) {
    return job.pre +
           static_cast<size_t>(job.index == nullptr ? row : job.index[row]) * 4 * static_cast<size_t>(job.units);
}

GATEWISE_INLINE const float* mask_of(const float* mask, const Sequence& sequence, int units) {
    return mask == nullptr ? nullptr : mask + static_cast<size_t>(sequence.number) * static_cast<size_t>(units);
}

// Words of a row of h_{t-1}.
GATEWISE_INLINE int h_row(int units) { return operand_row(units); }

// Where the active sequences are in this step.
struct ForwardStep {
    float *h_now, *h_next, *c_now;
    const float* pre[kGroup];
    const float* pre_next[kGroup];  // of the next step, if there is one
    const float* mask[kGroup];      // or null
    const float* base[kGroup];      // used where the rows of pre are drawn from another
    float along[kGroup];
    int64_t row[kGroup];
};

// The units of a block for `rows` sequences from `first`: from sums (rows, a step of `sums_row`), the block's part of
// h_{t-1} W, to the gates, c and h. Whole: the block has L units. Drawn: rows of pre are drawn from another one.
//
// One copy only: in f c + i g either product may be the one that is rounded, and inlined here and there the compiler
// picks now one, now the other. As it is, a sequence's results are the same bits whatever runs beside it, and on
// however many threads: every tile sums over k in the same order.
template <bool Whole, bool Drawn>
GATEWISE_ONE_COPY void activate_block(
    const ForwardJob& job, const ForwardStep& at, int first, int rows, int b, const float* sums, int sums_row) {
    const int units = job.units, width = padded(units), n = Whole ? L : lanes_of(units, b), u = b * L;
    const bool hard = job.binary, past_cache = job.stream;
    float *const c_now = at.c_now + u, *const h_out = job.h + u, *const c_out = job.c + u;
    float* const tape = job.gates == nullptr ? nullptr : job.gates + b * kWide;
    for (int r = 0; r < rows; ++r, sums += sums_row) {
        const float *pre = at.pre[first + r] + u, *pre_next = at.pre_next[first + r] + u;
        for (int gate = 0; gate < 4; ++gate) prefetch(pre_next + gate * units);
        const auto input = [&](int gate) {
            const V there = load_first(pre + gate * units, n);
            if (!Drawn) return there;
            const float along = at.along[first + r];  // at 0 and at 1 one of the two, to the bit
            return along * there + (1.0f - along) * load_first(at.base[first + r] + u + gate * units, n);
        };
        V s_i = sigmoid(input(0) + load_first(sums, n));
        V s_f = sigmoid(input(1) + load_first(sums + n, n));
        const V g = tanh(input(2) + load_first(sums + 2 * n, n));
        V s_o = sigmoid(input(3) + load_first(sums + 3 * n, n));
        V i = s_i, f = s_f, o = s_o;
        if (hard) i = binary(s_i), f = binary(s_f), o = binary(s_o);
        float* const c_state = c_now + (first + r) * width;
        const V c = f * load(c_state) + i * g;
        const V h = o * tanh(c);
        store(c_state, c);
        const float* mask = at.mask[first + r];
        const V fed = mask == nullptr ? h : h * load_first(mask + u, n);
        store_numbers(at.h_next + (first + r) * h_row(units), u, fed, L);
        const size_t row = static_cast<size_t>(at.row[first + r]);
        store_first(h_out + row * static_cast<size_t>(units), h, n);
        if (tape == nullptr) continue;
        store_first(c_out + row * static_cast<size_t>(units), c, n);
        if (!Whole) s_i = first_lanes(s_i, n), s_f = first_lanes(s_f, n), s_o = first_lanes(s_o, n);
        float* to = tape + row * static_cast<size_t>(4 * width);
        if (past_cache) {
            stream(to, s_i);
            stream(to + L, s_f);
            stream(to + 2 * L, g);
            stream(to + 3 * L, s_o);
        } else {
            store(to, s_i);
            store(to + L, s_f);
            store(to + 2 * L, g);
            store(to + 3 * L, s_o);
        }
    }
}

GATEWISE_INLINE void activate_tile(
    const ForwardJob& job, const ForwardStep& at, int first, int rows, int b, const float* sums, int sums_row) {
    const bool whole = lanes_of(job.units, b) == L;
    if (job.base != nullptr) {
        if (whole) return activate_block<true, true>(job, at, first, rows, b, sums, sums_row);
        return activate_block<false, true>(job, at, first, rows, b, sums, sums_row);
    }
    if (whole) return activate_block<true, false>(job, at, first, rows, b, sums, sums_row);
    activate_block<false, false>(job, at, first, rows, b, sums, sums_row);
}

// Rows that are few enough for two panels side by side: one pair of blocks, or one block.
GATEWISE_INLINE void forward_few(
    const ForwardJob& job, const ForwardStep& at, int active, int b, bool pair, float* sums) {
    const int units = job.units, row = h_row(units), depth = depth_of(units), vectors = vectors_of(units, b);
    const size_t panel = forward_panel(units);
    const float* w = job.weights + panel * static_cast<size_t>(b);
    if (pair) {
        multiply_two_panels(
            active, {at.h_now, row, 1, w, kWide, static_cast<ptrdiff_t>(panel), depth, sums, 2 * kWide, false});
        activate_tile(job, at, 0, active, b, sums, 2 * kWide);
        activate_tile(job, at, 0, active, b + 1, sums + kWide, 2 * kWide);
    } else {
        multiply_tile<false>(active, vectors, {at.h_now, row, 1, w, vectors * L, 0, depth, sums, kWide, false});
        activate_tile(job, at, 0, active, b, sums, kWide);
    }
}

// Every other step takes the blocks from the last to the first: the panels used last are still in L1.
inline void forward_step(const ForwardJob& job, const ForwardStep& at, int active, bool backwards) {
    const int units = job.units, blocks = blocks_of(units), row = h_row(units), depth = depth_of(units);
    alignas(64) float sums[kRows * kWide];
    if (active <= kFewRows) {
        const int pairs = units / L / 2, turns = pairs + (blocks - 2 * pairs);
        for (int turn = 0; turn < turns; ++turn) {
            const int t = backwards ? turns - 1 - turn : turn;
            forward_few(job, at, active, t < pairs ? 2 * t : pairs + t, t < pairs, sums);
        }
        return;
    }
    for (int turn = 0; turn < blocks; ++turn) {
        const int b = backwards ? blocks - 1 - turn : turn, vectors = vectors_of(units, b);
        const float* w = job.weights + forward_panel(units) * static_cast<size_t>(b);
        for_each_tile(active, [&](int first, int rows) {
            multiply_tile<false>(
                rows, vectors, {at.h_now + first * row, row, 1, w, vectors * L, 0, depth, sums, kWide, false});
            activate_tile(job, at, first, rows, b, sums, kWide);
        });
    }
}

inline void forward_group(const ForwardJob& job, const Sequence* sequences, int count, float* scratch) {
    const int width = padded(job.units);
    const size_t units = static_cast<size_t>(job.units), state_size = static_cast<size_t>(kGroup * width);
    ForwardStep at;
    at.h_now = scratch;
    at.h_next = scratch + state_size;
    at.c_now = scratch + 2 * state_size;
    for (int p = 0; p < count; ++p) {
        at.mask[p] = mask_of(job.mask, sequences[p], job.units);
        if (job.base != nullptr) {
            at.base[p] = job.pre + static_cast<size_t>(job.base[sequences[p].number]) * 4 * units;
            at.along[p] = job.along[sequences[p].number];
        }
        copy_operand(
            at.h_now + p * h_row(job.units), job.h0 + static_cast<size_t>(sequences[p].number) * units, at.mask[p],
            job.units);
        for (int w = words(width); w < h_row(job.units); ++w) at.h_next[p * h_row(job.units) + w] = 0.0f;
        copy_padded(at.c_now + p * width, job.c0 + static_cast<size_t>(sequences[p].number) * units, job.units);
    }
    int active = count;
    for (int64_t step = 0;; ++step) {
        for (; active > 0 && sequences[active - 1].length == step; --active) {
            const Sequence& over = sequences[active - 1];
            const size_t out = static_cast<size_t>(over.number) * units;
            const float* h =
                step == 0 ? job.h0 + out : job.h + static_cast<size_t>(row_at(over, step - 1, job.reverse)) * units;
            copy_unpadded(job.h_T + out, h, job.units);
            copy_unpadded(job.c_T + out, at.c_now + (active - 1) * width, job.units);
        }
        if (active == 0) return;
        for (int p = 0; p < active; ++p) {
            at.row[p] = row_at(sequences[p], step, job.reverse);
            at.pre[p] = pre_of(job, at.row[p]);
            at.pre_next[p] =
                step + 1 < sequences[p].length ? pre_of(job, row_at(sequences[p], step + 1, job.reverse)) : at.pre[p];
        }
        forward_step(job, at, active, step % 2 == 1);
        float* done = at.h_now;
        at.h_now = at.h_next;
        at.h_next = done;
    }
}

inline size_t forward_scratch(int units) { return static_cast<size_t>(3 * kGroup * padded(units)); }

inline void forward(const ForwardJob& job, Share share, float* scratch) {
    const Tiles tiles;
    for (int64_t first = 0; first < share.count; first += kGroup) {
        const int64_t left = share.count - first;
        forward_group(job, share.sequences + first, left < kGroup ? static_cast<int>(left) : kGroup, scratch);
    }
    streamed();
}

}  // namespace gatewise::GATEWISE_ISA
