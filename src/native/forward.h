// Forward over the sequences of one share. Shares have no data in common, so there is no barrier.
//
// Sequences come longest first, in groups of at most kGroup that run side by side. The sequences that have a step s are
// the first `active` of the group. The outer loop of a step is over the blocks of L units, the inner one over the tiles
// of rows, so that a block's panel of W stays in L1. A tile is h_{t-1} W for all four gates of its units, so i, f, g, o,
// c and h follow at once.
//
//   state, one row per sequence, padded with zeros to whole vectors:
//       h_now -> h_next, exchanged after a step: operands (operand.h), times the sequence's mask
//       c_now, updated in place
//   results, one row per step:  h (N, H), and where they are saved c (N, H) and gates (N, blocks, 4, L)
//
// Without pre, a group computes the input product of its next steps itself, of as many as fill kGroup rows. The product
// and its sums are those of linear(), so the results have the same bits.

#pragma once

#include "activations.h"
#include "linear.h"
#include "pack.h"

namespace gatewise::GATEWISE_ISA {

static_assert(kWide == kGates * L, "a step's saved gates are one vector per gate and block");

GATEWISE_INLINE Index row_at(const Sequence& sequence, Index step, bool reverse) {
    return reverse ? sequence.start + sequence.length - 1 - step : sequence.start + step;
}

GATEWISE_INLINE const float* pre_of(const ForwardJob& job, Index row) {
    return job.pre + (job.index == nullptr ? row : job.index[row]) * kGates * job.units;
}

GATEWISE_INLINE MaskRow mask_of(const float* mask, const Sequence& sequence, Index units) {
    return {mask == nullptr ? nullptr : mask + sequence.batch_index * units};
}

// Words of a row of h_{t-1}.
GATEWISE_INLINE Index h_row(Index units) { return operand_row(units); }

// What the active sequences read and write in this step.
struct ForwardStep {
    Word *h_now, *h_next;
    float* c_now;
    const float* pre[kGroup];
    const float* pre_next[kGroup];  // of the next step, or of this one where it is the last. Not set for a product
    MaskRow mask[kGroup];
    const float* base[kGroup];  // of the interpolation, where there is one
    float alpha[kGroup];
    const float* held[kGroup];  // values of gates, where some are held
    Index row[kGroup];
    float* h[kGroup];  // results
    Index to_next_h;   // from the row of this step to that of the next one
};

// A tile's sums, which are a block's part of h_{t-1} W for some sequences of the group.
struct TileSums {
    Index first, rows;  // of the group
    Index block;
    float* sums;  // (rows, stride). Overwritten
    Index stride;
    // What these sequences read next of pre, to be fetched: from column `next_column` of the rows `next_pre`.
    const float* const* next_pre;
    Index next_column;
};

// The value at which a gate is held, and where that is NaN the gate.
GATEWISE_INLINE V held_or(V gate, V held) { return held == held ? held : gate; }

// A step's row of pre: of the job, between two rows of the job, or the group's own product, to which the bias is added.
enum class Pre { given, interpolated, product };

// From sums to the gates, c and h. Whole: the block has L units.
//
// It is never inlined. In f c + i g the compiler may round either product, and in inlined copies it chooses differently.
// As one function, and since every tile sums over k in the same order, a sequence's results are the same bits whichever
// sequences run with it and on any number of threads.
template <bool Whole, Pre Source>
GATEWISE_NOINLINE void activate_block(const ForwardJob& job, const ForwardStep& step, const TileSums& tile) {
    const Index units = job.units, width = padded(units), b = tile.block, u = b * L;
    const Index n = Whole ? L : lanes_of(units, b);
    const bool is_binary = job.binary, past_cache = job.stream, is_held = job.held != nullptr;
    const bool saved = job.gates != nullptr;
    const bool streams_states = past_cache && saved && units % L == 0;  // otherwise vectors are not at aligned addresses
    float* const c_now = step.c_now + u;
    float* const c_out = saved ? job.c + u : nullptr;
    const Index to_next = job.reverse ? -units : units;
    float* const gates_out = saved ? job.gates + b * kWide : nullptr;
    const Index last = tile.first + tile.rows, stride = tile.stride;
    // Two loops, since tanh(c) waits for the gates: the rows of each loop are independent, so that a processor computes
    // several at the same time.
    float* sums = tile.sums;
    for (Index r = tile.first; r < last; ++r, sums += stride) {
        const float* const pre = step.pre[r] + u;
        if (Source != Pre::product) {  // a product of this group is in cache
            const float* const next_pre = tile.next_pre[r] + tile.next_column;
            for (Index gate = 0; gate < kGates; ++gate) prefetch_to_l2(next_pre + gate * units);
        }
        const auto input = [&](Index gate) {
            const V x = load_partial(pre + gate * units, n);
            if (Source == Pre::given) return x;
            if (Source == Pre::product) return x + load_partial(job.bias + u + gate * units, n);
            const float alpha = step.alpha[r];  // 0 and 1 give the base and the row exactly
            return alpha * x + (1.0f - alpha) * load_partial(step.base[r] + u + gate * units, n);
        };
        V s_i = sigmoid(input(0) + load_partial(sums, n));
        V s_f = sigmoid(input(1) + load_partial(sums + n, n));
        V g = tanh(input(2) + load_partial(sums + 2 * n, n));
        V s_o = sigmoid(input(3) + load_partial(sums + 3 * n, n));
        if (is_held) {
            const float* const held = step.held[r] + u;
            s_i = held_or(s_i, load_partial(held, n));
            s_f = held_or(s_f, load_partial(held + units, n));
            g = held_or(g, load_partial(held + 2 * units, n));
            s_o = held_or(s_o, load_partial(held + 3 * units, n));
        }
        V i = s_i, f = s_f, o = s_o;
        if (is_binary) i = binary(s_i), f = binary(s_f), o = binary(s_o);
        float* const c_state = c_now + r * width;
        store(c_state, f * load(c_state) + i * g);
        store_partial(sums, o, n);
        if (!saved) continue;
        if (!Whole) s_i = first_lanes(s_i, n), s_f = first_lanes(s_f, n), s_o = first_lanes(s_o, n);
        float* const gates = gates_out + step.row[r] * (kGates * width);
        if (past_cache) {
            stream(gates, s_i);
            stream(gates + L, s_f);
            stream(gates + 2 * L, g);
            stream(gates + 3 * L, s_o);
        } else {
            store(gates, s_i);
            store(gates + L, s_f);
            store(gates + 2 * L, g);
            store(gates + 3 * L, s_o);
        }
    }
    sums = tile.sums;
    for (Index r = tile.first; r < last; ++r, sums += stride) {
        const V c = load(c_now + r * width), h = load_partial(sums, n) * tanh(c);
        store_numbers(step.h_next + r * h_row(units), u, step.mask[r].times(h, u, n), L);
        float* const h_now = step.h[r] + u;
        if (streams_states) {
            stream(h_now, h);
            stream(c_out + step.row[r] * units, c);
            continue;
        }
        store_partial(h_now, h, n);
        prefetch_for_write(h_now + step.to_next_h);
        if (!saved) continue;
        store_partial(c_out + step.row[r] * units, c, n);
        prefetch_for_write(c_out + step.row[r] * units + to_next);
    }
}

GATEWISE_INLINE void activate_tile(const ForwardJob& job, const ForwardStep& step, const TileSums& tile) {
    const bool whole = lanes_of(job.units, tile.block) == L;
    if (job.x != nullptr) {
        if (whole) return activate_block<true, Pre::product>(job, step, tile);
        return activate_block<false, Pre::product>(job, step, tile);
    }
    if (job.base != nullptr) {
        if (whole) return activate_block<true, Pre::interpolated>(job, step, tile);
        return activate_block<false, Pre::interpolated>(job, step, tile);
    }
    if (whole) return activate_block<true, Pre::given>(job, step, tile);
    activate_block<false, Pre::given>(job, step, tile);
}

// Every other step goes from the last block to the first: the panels used last are still in L1.
inline void forward_step(const ForwardJob& job, const ForwardStep& step, Index active, bool backwards) {
    const Index units = job.units, blocks = blocks_of(units), row = h_row(units), depth = depth_of(units);
    alignas(kAlignment) float sums[kRows * kWide];
    for (Index done = 0; done < blocks; ++done) {
        const Index b = backwards ? blocks - 1 - done : done, vectors = gate_vectors(units, b);
        const bool is_last = done + 1 == blocks;
        // A vector may lie in two cache lines. The tile before has read the other one.
        const Index next_column = is_last ? b * L : backwards ? (b - 1) * L : (b + 2) * L - 1;
        const Word* w = job.weights + forward_panel_size(units) * b;
        for_each_tile(active, [&](Index first, Index rows) {
            multiply_tile<false>(
                rows, vectors,
                {.a = step.h_now + first * row,
                 .a_row = row,
                 .a_k = 1,
                 .w = w,
                 .w_k = vectors * L,
                 .depth = depth,
                 .out = sums,
                 .out_row = kWide});
            activate_tile(
                job, step,
                {.first = first,
                 .rows = rows,
                 .block = b,
                 .sums = sums,
                 .stride = kWide,
                 .next_pre = is_last ? step.pre_next : step.pre,
                 .next_column = next_column});
        });
    }
}

// The input product of some steps of a group: `steps` rows of each sequence, one sequence after the other.
struct InputBlock {
    Index steps;
    Word* x;     // (kGroup, operand_row(inputs))
    float* pre;  // (kGroup, padded 4H), without the bias
    float* h;    // (kGroup, H), in place of a result (N, H)
};

inline Index forward_scratch_size(Index units, Index inputs) {
    const Index states = 3 * kGroup * padded(units);
    if (inputs == 0) return states;
    return states + kGroup * (operand_row(inputs) + padded(kGates * units) + padded(units));
}

// The product of the steps from `step` on, of the first `active` sequences.
inline void multiply_inputs(const ForwardJob& job, Share group, Index active, Index step, const InputBlock& block) {
    const Index inputs = job.inputs, row = operand_row(inputs);
    for (Index p = 0; p < active; ++p) {
        const Sequence& sequence = group.sequences[p];
        for (Index j = 0; j < block.steps; ++j) {
            // After its end, a sequence repeats its last step: nothing reads the product.
            const Index at = row_at(sequence, min(step + j, sequence.length - 1), job.reverse);
            copy_operand(block.x + (p * block.steps + j) * row, job.x + at * inputs, MaskRow{nullptr}, inputs);
        }
    }
    multiply_padded(
        {.a = block.x,
         .rows = active * block.steps,
         .numbers = inputs,
         .panels = job.input_weights,
         .columns = kGates * job.units,
         .bias = nullptr,
         .out = block.pre});
}

// The group of a share that starts with its sequence `first`.
GATEWISE_INLINE Share group_of(Share share, Index first) {
    return {.sequences = share.sequences + first, .count = min(kGroup, share.count - first)};
}

// Run a group on until `rows` is used up. Returns whether the group has ended.
inline bool forward_group(const ForwardJob& job, Share group, Progress& at, Index& rows, float* memory) {
    const Index units = job.units, width = padded(units), row = h_row(units);
    Scratch scratch{memory};
    Word* const h[2] = {scratch.words(kGroup * width), scratch.words(kGroup * width)};
    ForwardStep now;
    now.c_now = scratch.floats(kGroup * width);
    InputBlock block{.steps = kGroup / group.count, .x = nullptr, .pre = nullptr, .h = nullptr};
    if (job.x != nullptr) {
        block.x = scratch.words(kGroup * operand_row(job.inputs));
        block.pre = scratch.floats(kGroup * padded(kGates * units));
        block.h = scratch.floats(kGroup * width);
    }
    now.to_next_h = job.h == nullptr ? 0 : job.reverse ? -units : units;
    for (Index p = 0; p < group.count; ++p) {
        now.mask[p] = mask_of(job.mask, group.sequences[p], units);
        if (job.base != nullptr) {
            const Index initial = group.sequences[p].batch_index;
            now.base[p] = job.pre + job.base[initial] * kGates * units;
            now.alpha[p] = job.alpha[initial];
        }
    }
    if (at.step == 0) {
        at.active = group.count;
        for (Index p = 0; p < group.count; ++p) {
            const Index initial = group.sequences[p].batch_index;
            copy_operand(h[0] + p * row, job.h0 + initial * units, now.mask[p], units);
            for (Index w = words(width); w < row; ++w) h[1][p * row + w] = Word{};
            copy_padded(now.c_now + p * width, job.c0 + initial * units, units);
        }
    }
    for (; rows > 0; rows -= at.active, ++at.step) {
        for (; at.active > 0 && group.sequences[at.active - 1].length == at.step; --at.active) {
            const Sequence& ended = group.sequences[at.active - 1];
            const Index out = ended.batch_index * units;
            const float* last = job.h0 + out;
            if (at.step > 0 && job.h != nullptr) last = job.h + row_at(ended, at.step - 1, job.reverse) * units;
            if (at.step > 0 && job.h == nullptr) last = block.h + (at.active - 1) * units;
            copy_unpadded(job.h_T + out, last, units);
            copy_unpadded(job.c_T + out, now.c_now + (at.active - 1) * width, units);
        }
        if (at.active == 0) return true;
        const Index of_block = at.step % block.steps;
        if (job.x != nullptr && of_block == 0) multiply_inputs(job, group, at.active, at.step, block);
        for (Index p = 0; p < at.active; ++p) {
            const Sequence& sequence = group.sequences[p];
            now.row[p] = row_at(sequence, at.step, job.reverse);
            now.h[p] = job.h == nullptr ? block.h + p * units : job.h + now.row[p] * units;
            if (job.held != nullptr) now.held[p] = job.held + job.held_index[now.row[p]] * kGates * units;
            if (job.x != nullptr) {
                now.pre[p] = block.pre + (p * block.steps + of_block) * padded(kGates * units);
                continue;
            }
            now.pre[p] = pre_of(job, now.row[p]);
            now.pre_next[p] =
                at.step + 1 < sequence.length ? pre_of(job, row_at(sequence, at.step + 1, job.reverse)) : now.pre[p];
        }
        const Index odd = at.step % 2;
        now.h_now = h[odd];
        now.h_next = h[1 - odd];
        forward_step(job, now, at.active, odd == 1);
    }
    return false;
}

inline bool forward(const ForwardJob& job, Share share, Progress& at, Index rows, float* scratch) {
    const TileRegisters registers;
    while (at.group < share.count && forward_group(job, group_of(share, at.group), at, rows, scratch))
        at = {.group = at.group + kGroup};
    stream_fence();
    return at.group < share.count;
}

}  // namespace gatewise::GATEWISE_ISA
