// Backward over the sequences of one share, and the sum over steps that follows it.
//
// The steps run from the last to the first. The active sequences are the first ones of a group, and their number grows.
// A step has three passes:
//
//   1. gates:  for each active row, from the saved activations, dh_t and dc_t: dgates and dc_{t-1}
//   2. dh:     dh_{t-1} = dgates W, (active, 4H) x (4H, H)
//   3. dW:     += h_{t-1}ᵀ dgates, for a chunk of kChunk rows at a time, while they are in L2
//   4. where the job has x, for the same chunk: dW_ih += xᵀ dgates and dx = dgates W_ih. Pass 1 has summed dbias
//
//   chunk:  dgates  [block][row of the chunk][gate][n units]     operand of 2 and of 3; the last block as in pack.h
//           h_prev  [row of the chunk][padded H]                 operand of 3, times the sequence's mask
//
// In bfloat16 the operands of 3 are made anew: a pair is of one row for 2, and of two rows for 3 (operand.h).
//
// Where steps share rows of dpre (an index), dgates replace the saved gates as operands, and `sum_rows` adds them up
// once all threads have finished, in the order of the steps' rows: the same bits for any number of threads.

#pragma once

#include "forward.h"

namespace gatewise::GATEWISE_ISA {

// Rows of a chunk. 128 rows of dgates and h_prev at H = 128 are 320 KB. In tile registers the products take so little
// time that reading and writing the sums of dW limits them, so a chunk has more rows. An odd multiple of 64 spreads the
// blocks of a row over the sets of the caches. The sums have the same bits, since tile registers add them up in order.
#if GATEWISE_AMX
constexpr Index kChunk = 448;
#else
constexpr Index kChunk = 128;
#endif
constexpr Index kDepthBlocks = 2 * kPair;  // blocks of dgates for one round of pass 2: their part of W stays in L1

static_assert(kChunk >= kGroup, "a step's rows fit an empty chunk");
static_assert(kChunk % kPair == 0 && kWide % kPair == 0, "a chunk is a whole number of pairs, both ways");

// The state of a share.
struct BackwardState {
    float *dh, *dc;           // (kGroup, padded H), of the step at hand, from the steps after it
    float* dweight;           // null: not wanted
    Word *dgates, *h_prev;    // the chunk
    Word* transposed_dgates;  // buffer of pass 3 in bfloat16, for one block
    Word* transposed_h_prev;  // buffer of pass 3 in bfloat16, for all units
    Index filled;             // rows of the chunk in use
    // Where the job has x, otherwise null.
    float *dweight_ih, *dbias;
    Word *x, *transposed_x;  // the inputs of the chunk's rows, and their buffer of pass 4 in bfloat16
    float* dx;               // (kChunk, padded D)
    Index* rows;             // (kChunk,): the row of x of each row of the chunk
};

// Words of a row of dgates in a block of the chunk, and words of the block.
GATEWISE_INLINE Index dgates_row(Index units, Index block) { return operand_row(gate_vectors(units, block) * L); }
constexpr Index chunk_block_size() { return kChunk * words(kWide); }

// The rows of one step of one sequence in the arrays that backward reads.
struct StepRows {
    float* gates;
    const float *c, *c_prev, *h_prev;
    const float *dh, *dc;  // null: zeros
};

GATEWISE_INLINE StepRows rows_of(const BackwardJob& job, const Sequence& sequence, Index step) {
    const Index units = job.units, row = row_at(sequence, step, job.reverse);
    const Index initial = sequence.batch_index * units;
    const Index previous = row_at(sequence, step - 1, job.reverse) * units;  // used where step > 0
    return {
        .gates = job.gates + row * kGates * padded(units),
        .c = job.c + row * units,
        .c_prev = step > 0 ? job.c + previous : job.c0 + initial,
        .h_prev = step > 0 ? job.h + previous : job.h0 + initial,
        .dh = job.dh == nullptr ? nullptr : job.dh + row * units,
        .dc = job.dc == nullptr ? nullptr : job.dc + row * units};
}

// What pass 1 reads and writes for one step of one sequence.
struct GatesRow {
    StepRows now, next;  // `next` is read next, and fetched meanwhile
    float *dh, *dc;
    MaskRow mask;                           // for dh. Null in the last step, where dh did not come through W
    float* dpre;                            // null: not wanted
    Word* shared;                           // null: not wanted. Otherwise `gates`, whose place dgates take
    float* dbias;                           // null: not wanted
    bool stream;                            // dpre past the cache
    Index to_next;                          // rows to the next step to be computed
};

// Its units of block b, whose gradients also go to dgates. Whole: the block has L units.
template <bool Whole>
GATEWISE_INLINE void gates_backward_block(const GatesRow& row, Index units, bool is_binary, Index b, Word* dgates) {
    const Index n = Whole ? L : lanes_of(units, b), u = b * L;
    float* const gates = row.now.gates + b * kWide;
    for (Index gate = 0; gate < kGates; ++gate) {
        prefetch_to_l2(row.next.gates + b * kWide + gate * L);
        if (gate < kGates / kPair) prefetch_for_write(dgates + chunk_block_size() + gate * L);  // of the next block
    }
    const Index end = u + L - 1;  // the block before has fetched the line of its start
    prefetch_to_l2(row.next.c + end);
    prefetch_to_l2(row.next.c_prev + end);
    const V s_i = load(gates), s_f = load(gates + L), g = load(gates + 2 * L), s_o = load(gates + 3 * L);
    V i = s_i, f = s_f, o = s_o;
    if (is_binary) i = binary(s_i), f = binary(s_f), o = binary(s_o);
    V dh = row.mask.times(load(row.dh + u), u, n), dc = load(row.dc + u);
    if (row.now.dh != nullptr) {
        dh += load_partial(row.now.dh + u, n);
        prefetch_to_l2(row.next.dh + end);
    }
    if (row.now.dc != nullptr) dc += load_partial(row.now.dc + u, n);
    const V tanh_c = tanh(load_partial(row.now.c + u, n));
    dc += dh * o * (1.0f - tanh_c * tanh_c);
    const V d_i = dc * g * s_i * (1.0f - s_i);
    const V d_f = dc * load_partial(row.now.c_prev + u, n) * s_f * (1.0f - s_f);
    const V d_g = dc * i * (1.0f - g * g);
    const V d_o = dh * tanh_c * s_o * (1.0f - s_o);
    store(row.dc + u, dc * f);
    store_numbers(dgates, 0, d_i, n);
    store_numbers(dgates, n, d_f, n);
    store_numbers(dgates, 2 * n, d_g, n);
    store_numbers(dgates, 3 * n, d_o, n);
    if (row.dbias != nullptr) {
        float* const dbias = row.dbias + b * kWide;
        store(dbias, load(dbias) + d_i);
        store(dbias + L, load(dbias + L) + d_f);
        store(dbias + 2 * L, load(dbias + 2 * L) + d_g);
        store(dbias + 3 * L, load(dbias + 3 * L) + d_o);
    }
    if (row.shared != nullptr) {
        // In bfloat16 they take half the space, and lie before the gates that have not been read yet.
        store_numbers(row.shared, b * kWide, d_i, L);
        store_numbers(row.shared, b * kWide + L, d_f, L);
        store_numbers(row.shared, b * kWide + 2 * L, d_g, L);
        store_numbers(row.shared, b * kWide + 3 * L, d_o, L);
    }
    if (row.dpre == nullptr) return;
    if (Whole && row.stream) {
        stream(row.dpre + u, d_i);
        stream(row.dpre + u + units, d_f);
        stream(row.dpre + u + 2 * units, d_g);
        stream(row.dpre + u + 3 * units, d_o);
    } else {
        store_partial(row.dpre + u, d_i, n);
        store_partial(row.dpre + u + units, d_f, n);
        store_partial(row.dpre + u + 2 * units, d_g, n);
        store_partial(row.dpre + u + 3 * units, d_o, n);
        for (Index gate = 0; gate < kGates; ++gate)
            prefetch_for_write(row.dpre + row.to_next * kGates * units + u + gate * units);
    }
}

// Pass 1 for step `step` of sequence p of the group, whose row of the chunk is `at`. `next`: rows to be fetched.
GATEWISE_NOINLINE inline void gates_backward(
    const BackwardJob& job, const BackwardState& state, const Sequence& sequence, Index step, Index p, Index at,
    const StepRows& next) {
    const Index units = job.units, width = padded(units), whole = units / L;
    const Index row = row_at(sequence, step, job.reverse);
    const MaskRow mask = mask_of(job.mask, sequence, units);
    GatesRow gates_row;
    gates_row.now = rows_of(job, sequence, step);
    gates_row.next = next;
    gates_row.dh = state.dh + p * width;
    gates_row.dc = state.dc + p * width;
    gates_row.mask = step + 1 == sequence.length ? MaskRow{nullptr} : mask;
    gates_row.dpre = job.dpre == nullptr ? nullptr : job.dpre + row * kGates * units;
    gates_row.shared =
        job.dpre == nullptr && job.x == nullptr ? reinterpret_cast<Word*>(gates_row.now.gates) : nullptr;
    gates_row.dbias = state.dbias;
    gates_row.to_next = job.reverse ? 1 : -1;
    gates_row.stream = job.stream && units % L == 0;  // otherwise its vectors are not at aligned addresses
    Word* dgates = state.dgates + at * words(kWide);
    for (Index b = 0; b < whole; ++b, dgates += chunk_block_size())
        gates_backward_block<true>(gates_row, units, job.binary, b, dgates);
    if (whole < blocks_of(units)) {
        dgates += at * (dgates_row(units, whole) - words(kWide));
        gates_backward_block<false>(gates_row, units, job.binary, whole, dgates);
    }
    if (job.x != nullptr) {
        state.rows[at] = row;
        copy_operand(state.x + at * operand_row(job.inputs), job.x + row * job.inputs, MaskRow{nullptr}, job.inputs);
    }
    if (state.dweight == nullptr) return;
    copy_operand(state.h_prev + at * h_row(units), gates_row.now.h_prev, mask, units);
    for (Index u = 0; u < units; u += kCacheLine) prefetch_to_l2(next.h_prev + u);
}

// dgates times a weight (4H, columns): dh_{t-1} of pass 2, dx of pass 4.
struct GateProduct {
    Index rows, at;  // of the chunk, from row `at`
    Index columns;
    const Word* weights;  // pack_backward
    float* out;           // (rows, padded columns)
};

// In vector registers it takes kDepthBlocks of dgates at a time, whose part of the weight stays in L1.
inline void multiply_dgates(Index units, const Word* dgates, const GateProduct& product) {
    const Index blocks = blocks_of(units), width = padded(product.columns), active = product.rows, at = product.at;
    const Index column_blocks = blocks_of(product.columns);
    for (Index column = 0; column < column_blocks; column += kVectors) {
        const Index vectors = min(kVectors, column_blocks - column), wide = vectors * L;
        const Word* panel = product.weights + backward_column_size(units) * column;
        // The tile of block b, for rows from `first` of the active ones.
        const auto tile_of = [&](Index b, Index first) {
            const Index row = dgates_row(units, b);
            return Tile{
                .a = dgates + b * chunk_block_size() + (at + first) * row,
                .a_row = row,
                .a_k = 1,
                .w = panel + words(kGates * b * L) * wide,
                .w_k = wide,
                .depth = depth_of(kGates * lanes_of(units, b)),
                .out = product.out + first * width + column * L,
                .out_row = width,
                .add = b > 0};
        };
#if GATEWISE_AMX
        // All whole blocks at once: the sums stay in registers. Between two blocks a row of `a` skips the rest of the
        // chunk's block.
        for_each_tile(active, [&](Index first, Index rows) {
            const Index whole = units / L;
            if (whole > 0) {
                Tile tile = tile_of(0, first);
                tile.depth = depth_of(whole * kWide);
                tile.a_run = words(kWide);
                tile.a_run_stride = chunk_block_size() - (words(kWide) - kDepthStep);
                multiply_tile<false>(rows, vectors, tile);
            }
            if (whole < blocks) multiply_tile<false>(rows, vectors, tile_of(whole, first));
        });
#else
        for (Index from = 0; from < blocks; from += kDepthBlocks)
            for_each_tile(active, [&](Index first, Index rows) {
                for (Index b = from; b < min(blocks, from + kDepthBlocks); ++b)
                    multiply_tile<false>(rows, vectors, tile_of(b, first));
            });
#endif
    }
}

// Pass 4, dx: for all rows of the chunk.
inline void dx_backward(const BackwardJob& job, const BackwardState& state) {
    const Index inputs = job.inputs, width = padded(inputs);
    multiply_dgates(
        job.units, state.dgates,
        {.rows = state.filled, .at = 0, .columns = inputs, .weights = job.input_weights, .out = state.dx});
    for (Index r = 0; r < state.filled; ++r)
        copy_unpadded(job.dx + state.rows[r] * inputs, state.dx + r * width, inputs);
}

// Passes 3 and 4 for all rows of the chunk, which is empty afterwards.
inline void dweight_backward(const BackwardJob& job, BackwardState& state) {
    if (job.dx != nullptr) dx_backward(job, state);
    const Index rows_filled = state.filled;
    state.filled = 0;
    if (state.dweight == nullptr && job.x == nullptr) return;
    const Index units = job.units, inputs = job.inputs, depth = depth_of(rows_filled);
    TransposedA h_prev{}, x{};
    if (state.dweight != nullptr)
        h_prev = transposed_a(state.h_prev, h_row(units), rows_filled, state.transposed_h_prev);
    if (job.x != nullptr) x = transposed_a(state.x, operand_row(inputs), rows_filled, state.transposed_x);
    for (Index b = 0; b < blocks_of(units); ++b) {
        const Index vectors = gate_vectors(units, b), row = vectors * L, dgates_words = dgates_row(units, b);
        const Word* dgates =
            transposed_w(state.dgates + b * chunk_block_size(), dgates_words, rows_filled, state.transposed_dgates);
        // Add the products of `columns` numbers of a with the gradients of this block to their panel.
        const auto add_products = [&](const TransposedA& a, Index columns, float* panel) {
            for_each_tile(columns, [&](Index number, Index rows) {
                multiply_tile<true>(
                    rows, vectors,
                    {.a = a.data + number * a.row,
                     .a_row = a.row,
                     .a_k = a.depth,
                     .w = dgates,
                     .w_k = kPair * dgates_words,
                     .depth = depth,
                     .out = panel + number * row,
                     .out_row = row,
                     .add = true});
            });
        };
        if (state.dweight != nullptr) add_products(h_prev, units, state.dweight + dweight_panel_size(units) * b);
        if (job.x != nullptr) add_products(x, inputs, state.dweight_ih + dweight_panel_size(inputs) * b);
    }
}

// Run a group on until `rows` is used up. Returns whether the group has ended.
inline bool backward_group(const BackwardJob& job, BackwardState& state, Share group, Progress& at, Index& rows) {
    const Index units = job.units, width = padded(units);
    const Sequence* const sequences = group.sequences;
    if (at.step == 0)
        for (Index p = 0; p < group.count; ++p) {
            copy_padded(state.dh + p * width, job.dh_T + sequences[p].batch_index * units, units);
            copy_padded(state.dc + p * width, job.dc_T + sequences[p].batch_index * units, units);
        }
    for (; at.step < sequences[0].length; rows -= at.active, ++at.step) {
        if (rows <= 0) return false;
        const Index step = sequences[0].length - 1 - at.step;
        while (at.active < group.count && sequences[at.active].length > step) ++at.active;
        if (state.filled + at.active > kChunk) dweight_backward(job, state);
        for (Index p = 0; p < at.active; ++p) {
            // The next sequence of this step, or the first one of the step before.
            const bool is_last = p + 1 == at.active;
            const Index next_step = is_last && step > 0 ? step - 1 : step;
            const StepRows next = rows_of(job, sequences[is_last ? 0 : p + 1], next_step);
            gates_backward(job, state, sequences[p], step, p, state.filled + p, next);
        }
        multiply_dgates(
            units, state.dgates,
            {.rows = at.active, .at = state.filled, .columns = units, .weights = job.weights, .out = state.dh});
        state.filled += at.active;
    }
    for (Index p = 0; p < group.count; ++p) {
        float* const dh = state.dh + p * width;
        const MaskRow mask = mask_of(job.mask, sequences[p], units);
        if (mask.data != nullptr && sequences[p].length > 0)
            for (Index u = 0; u < units; ++u) dh[u] *= mask.data[u];
        copy_unpadded(job.dh0 + sequences[p].batch_index * units, dh, units);
        copy_unpadded(job.dc0 + sequences[p].batch_index * units, state.dc + p * width, units);
    }
    return true;
}

GATEWISE_INLINE Index dgates_size(Index units) { return chunk_block_size() * blocks_of(units); }

constexpr Index kRowsSize = kChunk * static_cast<Index>(sizeof(Index) / sizeof(float));

inline Index backward_scratch_size(Index units, Index inputs) {
    const Index size = (2 * kGroup + kChunk) * padded(units) + dgates_size(units) +
                       transposed_size(h_row(units), kChunk) + transposed_size(words(kWide), kChunk);
    if (inputs == 0) return size;
    return size + 2 * kChunk * padded(inputs) + transposed_size(operand_row(inputs), kChunk) + kRowsSize;
}

inline bool backward(const BackwardJob& job, Share share, Progress& at, Index rows, BackwardBuffers buffers) {
    const TileRegisters registers;
    const Index units = job.units, width = padded(units);
    Scratch scratch{buffers.scratch};
    BackwardState state;
    state.dh = scratch.floats(kGroup * width);
    state.dc = scratch.floats(kGroup * width);
    state.h_prev = scratch.words(kChunk * width);
    state.dgates = scratch.words(dgates_size(units));
    state.transposed_h_prev = scratch.words(transposed_size(h_row(units), kChunk));
    state.transposed_dgates = scratch.words(transposed_size(words(kWide), kChunk));
    state.dweight = buffers.dweight;
    state.dweight_ih = buffers.dweight_ih;
    state.dbias = buffers.dbias;
    state.x = state.transposed_x = nullptr;
    state.dx = nullptr;
    state.rows = nullptr;
    if (job.x != nullptr) {
        state.x = scratch.words(kChunk * padded(job.inputs));
        state.dx = scratch.floats(kChunk * padded(job.inputs));
        state.transposed_x = scratch.words(transposed_size(operand_row(job.inputs), kChunk));
        state.rows = reinterpret_cast<Index*>(scratch.floats(kRowsSize));
    }
    state.filled = at.filled;
    // The tiles also multiply the padding after the last block's gates. Nothing uses those sums, but the padding must
    // be numbers.
    if (at.group == 0 && at.step == 0)
        std::memset(state.dgates, 0, sizeof(Word) * static_cast<size_t>(dgates_size(units)));
    while (at.group < share.count && backward_group(job, state, group_of(share, at.group), at, rows))
        at = {.group = at.group + kGroup};
    const bool left = at.group < share.count;
    if (!left) dweight_backward(job, state);
    at.filled = state.filled;
    stream_fence();
    return left;
}

inline Index sum_scratch_size(Index units) { return kGates * padded(units); }

// Rows of dpre (U, 4H): for each distinct input the sum of its steps' dgates, in the order of their rows.
inline void sum_rows(const SumJob& job, Range rows, float* sum) {
    const Index units = job.units, blocks = blocks_of(units), width = blocks * kWide;
    for (Index u = rows.first; u < rows.last; ++u) {
        std::memset(sum, 0, sizeof(float) * static_cast<size_t>(width));
        for (Index at = job.offsets[u]; at < job.offsets[u + 1]; ++at) {
            const Word* row = job.dgates + job.order[at] * width;
            const Index next_at = at + 1 < job.offsets[rows.last] ? at + 1 : at;
            const Word* next = job.dgates + job.order[next_at] * width;
            for (Index j = 0; j < width; j += L) {
                if (j < words(width)) prefetch(next + j);
                store(sum + j, load(sum + j) + load_numbers(row, j));
            }
        }
        float* dpre = job.dpre + u * kGates * units;
        for (Index b = 0; b < blocks; ++b)
            for (Index gate = 0; gate < kGates; ++gate)
                store_partial(dpre + gate * units + b * L, load(sum + b * kWide + gate * L), lanes_of(units, b));
    }
}

}  // namespace gatewise::GATEWISE_ISA
