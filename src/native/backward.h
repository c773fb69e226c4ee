// Backward over the sequences of one thread, and what is summed over threads and steps afterwards.
//
// The steps run from the last to the first; the active sequences of a group are a prefix that grows. A step is
//
//   1. gates:  for each active row, from the tape and what reaches h_t and c_t: dgates, and what reaches c_{t-1}
//   2. dh:     what reaches h_{t-1} = dgates W, (active, 4H) x (4H, H)
//   3. dW:     += h_{t-1}ᵀ dgates, not at once but for a chunk of kChunk rows, while they are in L2
//
//   chunk:  dgates  [block][row of the chunk][gate][n units]     operand of 2 and of 3; the last block as in pack.h
//           h_prev  [row of the chunk][padded H]                 operand of 3; times the sequence's mask
//
// Of bfloat16, an operand of 3 is made anew: pairs are of one row for 2, and of two rows for 3 (operand.h).
//
// Where the rows of dpre are shared by steps (an index), dgates go back into the tape, in the gates' place, as operands,
// and are summed by `sum_rows` once all threads are done, in the order of their rows: the same bits whatever the number
// of threads.

#pragma once

#include "forward.h"

namespace gatewise::GATEWISE_ISA {

constexpr int kChunk = 128;              // at least kGroup; 128 rows of dgates and h_prev at H = 128 are 320 KB
constexpr int kDepthBlocks = 2 * kPair;  // blocks of dgates for one pass of step 2: their panel of W stays in L1

// One thread's state. dh, dc: (kGroup, padded H), what reaches h and c of the step at hand from the steps behind it.
struct BackwardState {
    float *dh, *dc, *dgates, *h_prev, *dweight;  // dweight: or null where it is not wanted
    float *dgates_across, *h_prev_across;  // of bfloat16: operands of 3, of one block and of all
    int filled;                            // rows of the chunk in use
};

// Words of a row of dgates in a block of the chunk, and of the block.
GATEWISE_INLINE int dgates_row(int units, int block) { return operand_row(vectors_of(units, block) * L); }
GATEWISE_INLINE size_t chunk_block() { return static_cast<size_t>(kChunk * words(kWide)); }

// 1. Where row `p` of the group, at step `step` of its sequence, reads and writes; `at` is its row of the chunk.
struct GatesRow {
    float* tape;
    const float *c, *c_prev;
    const float *dh_in, *dc_in;  // or null
    float *dh, *dc;
    const float* mask;                     // of dh; null where dh did not come by way of W, or there is none
    float* dpre;                           // or null: dgates go into the tape
    bool stream;                           // dpre past the cache
    const float *next_tape, *next_c_prev;  // what the next step will look at, or this one again at the end
};

// Its units of block b, whose gradients go to dgates as well. Whole: the block has L units.
template <bool Whole>
GATEWISE_INLINE void gates_backward_block(const GatesRow& row, int units, bool hard, int b, float* dgates) {
    const int n = Whole ? L : lanes_of(units, b), u = b * L;
    float* const tape = row.tape + b * kWide;
    for (int gate = 0; gate < 4; ++gate) {
        prefetch(row.next_tape + b * kWide + gate * L);
        if (gate < 4 / kPair) prefetch_to_write(dgates + chunk_block() + gate * L);  // of the next block
    }
    prefetch(row.next_c_prev + u);
    const V s_i = load(tape), s_f = load(tape + L), g = load(tape + 2 * L), s_o = load(tape + 3 * L);
    V i = s_i, f = s_f, o = s_o;
    if (hard) i = binary(s_i), f = binary(s_f), o = binary(s_o);
    V dh = load(row.dh + u), dc = load(row.dc + u);
    if (row.mask != nullptr) dh *= load_first(row.mask + u, n);
    if (row.dh_in != nullptr) dh += load_first(row.dh_in + u, n);
    if (row.dc_in != nullptr) dc += load_first(row.dc_in + u, n);
    const V tanh_c = tanh(load_first(row.c + u, n));
    dc += dh * o * (1.0f - tanh_c * tanh_c);
    const V d_i = dc * g * s_i * (1.0f - s_i);
    const V d_f = dc * load_first(row.c_prev + u, n) * s_f * (1.0f - s_f);
    const V d_g = dc * i * (1.0f - g * g);
    const V d_o = dh * tanh_c * s_o * (1.0f - s_o);
    store(row.dc + u, dc * f);
    store_numbers(dgates, 0, d_i, n);
    store_numbers(dgates, n, d_f, n);
    store_numbers(dgates, 2 * n, d_g, n);
    store_numbers(dgates, 3 * n, d_o, n);
    if (row.dpre == nullptr) {
        // Of bfloat16 they take half the room, and lie before the gates that are still to be read.
        store_numbers(row.tape, b * kWide, d_i, L);
        store_numbers(row.tape, b * kWide + L, d_f, L);
        store_numbers(row.tape, b * kWide + 2 * L, d_g, L);
        store_numbers(row.tape, b * kWide + 3 * L, d_o, L);
    } else if (Whole && row.stream) {
        stream(row.dpre + u, d_i);
        stream(row.dpre + u + units, d_f);
        stream(row.dpre + u + 2 * units, d_g);
        stream(row.dpre + u + 3 * units, d_o);
    } else {
        store_first(row.dpre + u, d_i, n);
        store_first(row.dpre + u + units, d_f, n);
        store_first(row.dpre + u + 2 * units, d_g, n);
        store_first(row.dpre + u + 3 * units, d_o, n);
    }
}

GATEWISE_ONE_COPY inline void gates_backward(
    const BackwardJob& job, const BackwardState& state, const Sequence& sequence, int64_t step, int p, int at) {
    const int units = job.units, width = padded(units), whole = units / L;
    const size_t size = static_cast<size_t>(units), row = static_cast<size_t>(row_at(sequence, step, job.reverse));
    const size_t before = static_cast<size_t>(row_at(sequence, step - 1, job.reverse)) * size;  // used where step > 0
    const size_t initial = static_cast<size_t>(sequence.number) * size;
    GatesRow here;
    here.tape = job.gates + row * static_cast<size_t>(4 * width);
    here.c = job.c + row * size;
    here.c_prev = step > 0 ? job.c + before : job.c0 + initial;
    here.dh_in = job.dh == nullptr ? nullptr : job.dh + row * size;
    here.dc_in = job.dc == nullptr ? nullptr : job.dc + row * size;
    here.dh = state.dh + p * width;
    here.dc = state.dc + p * width;
    const float* mask = mask_of(job.mask, sequence, units);
    here.mask = step + 1 == sequence.length ? nullptr : mask;
    here.dpre = job.dpre == nullptr ? nullptr : job.dpre + row * 4 * size;
    here.next_tape = step == 0 ? here.tape : here.tape + (job.reverse ? 4 * width : -4 * width);
    here.next_c_prev = step < 2 ? here.c : here.c_prev + (job.reverse ? units : -units);
    here.stream = job.stream && units % L == 0;  // else its vectors are not at aligned addresses
    float* dgates = state.dgates + at * words(kWide);
    for (int b = 0; b < whole; ++b, dgates += chunk_block())
        gates_backward_block<true>(here, units, job.binary, b, dgates);
    if (whole < blocks_of(units)) {
        dgates += at * (dgates_row(units, whole) - words(kWide));
        gates_backward_block<false>(here, units, job.binary, whole, dgates);
    }
    if (state.dweight == nullptr) return;
    const float* h_prev = step > 0 ? job.h + before : job.h0 + initial;
    copy_operand(state.h_prev + at * h_row(units), h_prev, mask, units);
    if (step > 1)
        for (int u = 0; u < units; u += 16) prefetch(h_prev + (job.reverse ? units : -units) + u);
}

// 2. For the `active` rows from row `at` of the chunk. kDepthBlocks of dgates at a time: their part of the panel stays
// in L1.
inline void dh_backward(const BackwardJob& job, BackwardState& state, int active, int at) {
    const int units = job.units, blocks = blocks_of(units), width = padded(units);
    for (int column = 0; column < blocks; column += kVectors) {
        const int vectors = smaller(kVectors, blocks - column), wide = vectors * L;
        const float* panel = job.weights + backward_column(units) * static_cast<size_t>(column);
#if GATEWISE_AMX
        // All of it at once: sums stay in registers, and the hops are over what one block has for other rows.
        for_each_tile(active, [&](int first, int rows) {
            const ptrdiff_t row = words(kWide), hop = static_cast<ptrdiff_t>(chunk_block()) - (row - kDepth);
            const int whole = units / L;
            float* dh = state.dh + first * width + column * L;
            if (whole > 0)
                multiply_tile<false>(
                    rows, vectors,
                    {state.dgates + (at + first) * row, row, 1, panel, wide, 0, depth_of(whole * kWide), dh, width,
                     false, words(kWide), hop});
            if (whole < blocks)
                multiply_tile<false>(
                    rows, vectors,
                    {state.dgates + static_cast<size_t>(whole) * chunk_block() + (at + first) * dgates_row(units, whole),
                     dgates_row(units, whole), 1, panel + static_cast<ptrdiff_t>(words(whole * kWide)) * wide, wide, 0,
                     depth_of(4 * lanes_of(units, whole)), dh, width, whole > 0});
        });
#else
        for (int from = 0; from < blocks; from += kDepthBlocks)
            for_each_tile(active, [&](int first, int rows) {
                for (int b = from; b < smaller(blocks, from + kDepthBlocks); ++b) {
                    const int row = dgates_row(units, b);
                    const float* dgates = state.dgates + static_cast<size_t>(b) * chunk_block() + (at + first) * row;
                    const float* w = panel + static_cast<size_t>(words(4 * b * L)) * static_cast<size_t>(wide);
                    float* dh = state.dh + first * width + column * L;
                    multiply_tile<false>(
                        rows, vectors, {dgates, row, 1, w, wide, 0, depth_of(4 * lanes_of(units, b)), dh, width, b > 0});
                }
            });
#endif
    }
}

// 3. For all rows of the chunk, which is empty then.
inline void dweight_backward(const BackwardJob& job, BackwardState& state) {
    if (state.dweight == nullptr) {
        state.filled = 0;
        return;
    }
    const int units = job.units, depth = depth_of(state.filled);
    const Across h_prev = across_numbers(state.h_prev, h_row(units), state.filled, state.h_prev_across);
    for (int b = 0; b < blocks_of(units); ++b) {
        const int vectors = vectors_of(units, b), row = vectors * L, dgates_words = dgates_row(units, b);
        const float* dgates = across_rows(
            state.dgates + static_cast<size_t>(b) * chunk_block(), dgates_words, state.filled, state.dgates_across);
        float* panel = state.dweight + dweight_panel(units) * static_cast<size_t>(b);
        for_each_tile(units, [&](int unit, int rows) {
            multiply_tile<true>(
                rows, vectors,
                {h_prev.words + unit * h_prev.row, h_prev.row, h_prev.depth, dgates, kPair * dgates_words, 0, depth,
                 panel + unit * row, row, true});
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
        float* const dh = state.dh + p * width;
        const float* mask = sequences[p].length == 0 ? nullptr : mask_of(job.mask, sequences[p], job.units);
        for (int u = 0; mask != nullptr && u < job.units; ++u) dh[u] *= mask[u];
        copy_unpadded(job.dh0 + static_cast<size_t>(sequences[p].number) * units, dh, job.units);
        copy_unpadded(job.dc0 + static_cast<size_t>(sequences[p].number) * units, state.dc + p * width, job.units);
    }
}

inline size_t backward_scratch(int units) {
    const size_t width = static_cast<size_t>(padded(units));
    const size_t across = across_size(h_row(units), kChunk) + across_size(words(kWide), kChunk);
    return 2 * kGroup * width + kChunk * width + chunk_block() * static_cast<size_t>(blocks_of(units)) + across;
}

inline void backward(const BackwardJob& job, Share share, float* scratch, float* dweight) {
    const Tiles tiles;
    const size_t width = static_cast<size_t>(padded(job.units));
    BackwardState state;
    state.dh = scratch;
    state.dc = state.dh + kGroup * width;
    state.h_prev = state.dc + kGroup * width;
    state.dgates = state.h_prev + kChunk * width;
    state.h_prev_across = state.dgates + chunk_block() * static_cast<size_t>(blocks_of(job.units));
    state.dgates_across = state.h_prev_across + across_size(h_row(job.units), kChunk);
    state.dweight = dweight;
    state.filled = 0;
    // What lies behind the last block's gates is multiplied, though its sums are not used: let it be numbers.
    std::memset(state.dgates, 0, sizeof(float) * chunk_block() * static_cast<size_t>(blocks_of(job.units)));
    for (int64_t first = 0; first < share.count; first += kGroup) {
        const int64_t left = share.count - first;
        backward_group(job, state, share.sequences + first, left < kGroup ? static_cast<int>(left) : kGroup);
    }
    dweight_backward(job, state);
    streamed();
}

}  // namespace gatewise::GATEWISE_ISA
