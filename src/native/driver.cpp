#include "driver.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "arena.h"
#include "plan.h"
#include "pool.h"

namespace gatewise {

namespace {

// Saved gates of more floats than this have left the second-level caches when backward reads them.
constexpr Index kStreamFrom = Index{1} << 20;

bool must_stream(const Isa& isa, const Batch& batch, Index units) {
    return batch.steps * blocks_of(isa, units) * isa.lanes * kGates > kStreamFrom;
}

// Multiply-adds of a segment of a share, about 0.3 ms of one thread.
constexpr Index kSegment = Index{1} << 24;

// Rows of a forward segment; one of backward has twice the multiply-adds.
Index segment_rows(Index units) { return std::max<Index>(2, kSegment / (kGates * units * units)); }

// Elements of an array that one thread takes at a time; about ten microseconds of work.
constexpr Index kPiece = Index{1} << 14;
// Row by row, for which a number of steps is due.
constexpr Index kCatchUpPiece = kPiece / 8;

// Call f for ranges of `size` that together are 0 .. count, on up to `threads` threads.
template <class F>
void run_ranges(Index threads, Index count, Index size, const F& f) {
    run_pieces(threads, (count + size - 1) / size, [&](Index piece) {
        f(Range{.first = piece * size, .last = std::min(count, (piece + 1) * size)});
    });
}

// Parts of a work that run_pieces shares out, where each needs scratch of its own.
constexpr Index kPartsPerThread = 4;

// Part `part` of a range of `count`.
Range part_of(Index count, Index part, Index parts) {
    return {.first = count * part / parts, .last = count * (part + 1) / parts};
}

// One array of floats for each part of the work. Two cache lines are the unit, since processors prefetch them in pairs
// and some have lines of that size: no two threads write to one.
class PartFloats {
  public:
    PartFloats(Index size, Index parts)
        : stride_((size + kUnit - 1) / kUnit * kUnit), parts_(parts), floats_(stride_ * parts) {}
    float* of(Index part) const { return floats_.data() + stride_ * part; }
    float* zeroed(Index part) const {
        std::memset(of(part), 0, static_cast<size_t>(stride_) * sizeof(float));
        return of(part);
    }
    PartialSums partial_sums() const { return {.first = floats_.data(), .stride = stride_, .count = parts_}; }

  private:
    static constexpr Index kUnit = 2 * kCacheLine;
    static_assert(kUnit * sizeof(float) % kAlignment == 0, "every thread's array is aligned");
    Index stride_, parts_;
    Floats floats_;
};

// Rows (N,) sorted by index, stable, and where each index's rows begin, (U + 1,).
struct SortedRows {
    std::vector<int32_t> order;
    std::vector<Index> offsets;
};

SortedRows sort_rows(const int32_t* index, Index steps, Index pre_rows) {
    SortedRows sorted;
    sorted.order.resize(steps);
    sorted.offsets.assign(pre_rows + 1, 0);
    for (Index n = 0; n < steps; ++n) ++sorted.offsets[index[n] + Index{1}];
    for (Index u = 0; u < pre_rows; ++u) sorted.offsets[u + 1] += sorted.offsets[u];
    std::vector<Index> next(sorted.offsets.begin(), sorted.offsets.end() - 1);
    for (Index n = 0; n < steps; ++n) sorted.order[next[index[n]]++] = static_cast<int32_t>(n);
    return sorted;
}

// dpre from the gradients that backward left in `gates`.
void sum_dpre(
    const Isa& isa, const Batch& batch, Index threads, Index units, const float* gates, const BackwardArrays& arrays) {
    const Index pre_rows = arrays.pre_rows;
    const SortedRows sorted = sort_rows(arrays.index, batch.steps, pre_rows);
    const SumJob job{
        .units = units,
        .dgates = reinterpret_cast<const Word*>(gates),
        .order = sorted.order.data(),
        .offsets = sorted.offsets.data(),
        .dpre = arrays.dpre};
    // The first row of a part, so that parts have about the same number of steps to read and rows to write.
    const Index parts = kPartsPerThread * threads;
    const PartFloats scratch(isa.sum_scratch_size(units), parts);
    const auto first_of = [&](Index part) {
        const Index wanted = (batch.steps + pre_rows) * part / parts;
        Index low = 0, high = pre_rows;
        while (low < high) {
            const Index middle = (low + high) / 2;
            if (sorted.offsets[middle] + middle < wanted)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    };
    run_pieces(threads, parts, [&](Index part) {
        const Index last = part + 1 == parts ? pre_rows : first_of(part + 1);
        isa.sum_rows(job, {.first = first_of(part), .last = last}, scratch.of(part));
    });
}

// At most shape.threads, fewer where there is too little work.
Index linear_threads(const LinearShape& shape) {
    const double work = 1.0 * shape.rows * shape.size.outputs * shape.size.inputs;
    return std::max<Index>(1, static_cast<Index>(std::min<double>(shape.threads, work / kMinWorkPerThread)));
}

Index rows_of(Index piece, Index columns) { return std::max<Index>(1, piece / std::max<Index>(1, columns)); }

}  // namespace

void run_forward(const Isa& isa, const Batch& batch, ForwardJob job, const float* weight_hh) {
    const Plan plan = make_plan(batch.lengths, batch.size, job.units, batch.threads, Pass::forward);
    const Index shares = plan.threads(), blocks = blocks_of(isa, job.units), rows = segment_rows(job.units);
    const Floats weights(job.weights == nullptr ? isa.forward_weights_size(job.units) : 0);
    const PartFloats scratch(isa.forward_scratch_size(job.units, job.inputs), shares);
    if (job.weights == nullptr) {
        run_ranges(shares, blocks, 1, [&](Range range) {
            isa.pack_forward(job.units, weight_hh, weights.words(), range);
        });
        job.weights = weights.words();
    }
    job.stream = must_stream(isa, batch, job.units);
    std::vector<Progress> progress(shares);
    run_shares(shares, [&](Index share) {
        return isa.forward(job, plan.share(share), progress[share], rows, scratch.of(share));
    });
}

void run_backward(const Isa& isa, const Batch& batch, BackwardJob job, const BackwardArrays& arrays) {
    const Plan plan = make_plan(batch.lengths, batch.size, job.units, batch.threads, Pass::backward);
    const Index shares = plan.threads(), units = job.units, blocks = blocks_of(isa, units);
    const Index rows = segment_rows(units) / 2;
    const bool with_dweight = arrays.dweight != nullptr;
    const bool with_inputs = job.x != nullptr, with_dx = job.dx != nullptr;
    const Index inputs = job.inputs, dweight_ih_size = with_inputs ? isa.dweight_size(units, inputs) : 0;
    const Floats weights(isa.backward_weights_size(units, units));
    const Floats input_weights(with_dx ? isa.backward_weights_size(units, inputs) : 0);
    const PartFloats scratch(isa.backward_scratch_size(units, inputs), shares);
    const PartFloats dweights(with_dweight ? isa.dweight_size(units, units) : 0, shares);
    const PartFloats dweights_ih(dweight_ih_size, shares);
    const PartFloats dbiases(with_inputs ? blocks * kGates * isa.lanes : 0, shares);
    run_ranges(shares, blocks, 1, [&](Range range) {
        isa.pack_backward(units, units, arrays.weight_hh, weights.words(), range);
        if (with_dx) isa.pack_backward(units, inputs, arrays.weight_ih, input_weights.words(), range);
    });
    job.weights = weights.words();
    job.input_weights = input_weights.words();
    job.stream = must_stream(isa, batch, units);
    job.dpre = arrays.index == nullptr && !with_inputs ? arrays.dpre : nullptr;
    std::vector<Progress> progress(shares);
    run_shares(shares, [&](Index share) {
        Progress& at = progress[share];
        const bool is_new = at.group == 0 && at.step == 0;
        if (with_dweight && is_new) dweights.zeroed(share);
        if (with_inputs && is_new) {
            dweights_ih.zeroed(share);
            dbiases.zeroed(share);
        }
        const BackwardBuffers buffers{
            .scratch = scratch.of(share),
            .dweight = with_dweight ? dweights.of(share) : nullptr,
            .dweight_ih = with_inputs ? dweights_ih.of(share) : nullptr,
            .dbias = with_inputs ? dbiases.of(share) : nullptr};
        return isa.backward(job, plan.share(share), at, rows, buffers);
    });
    if (with_dweight)
        run_ranges(shares, blocks, 1, [&](Range range) {
            isa.unpack_dweight(units, units, dweights.partial_sums(), arrays.dweight, range);
        });
    if (with_inputs) {
        run_ranges(shares, blocks, 1, [&](Range range) {
            isa.unpack_dweight(units, inputs, dweights_ih.partial_sums(), arrays.dweight_ih, range);
        });
        isa.unpack_dbias(units, dbiases.partial_sums(), arrays.dbias);
    }
    if (arrays.index != nullptr) sum_dpre(isa, batch, shares, units, job.gates, arrays);
}

Index panels_of(const Isa& isa, LinearSize size) {
    const Index wide = kGates * isa.lanes;
    return (size.outputs + wide - 1) / wide;
}

void run_linear(const Isa& isa, const LinearShape& shape, const LinearArrays& arrays) {
    const LinearSize size = shape.size;
    const Index threads = linear_threads(shape), parts = kPartsPerThread * threads;
    const bool is_packed = arrays.packed != nullptr;
    const Floats weights(is_packed ? 0 : isa.linear_weights_size(size));
    const PartFloats scratch(isa.linear_scratch_size(size), parts);
    if (!is_packed)
        run_ranges(threads, panels_of(isa, size), 1, [&](Range range) {
            isa.pack_linear(size, arrays.weight, weights.words(), range);
        });
    const LinearJob job{
        .size = size,
        .x = arrays.x,
        .bias = arrays.bias,
        .weights = is_packed ? arrays.packed : weights.words(),
        .y = arrays.y};
    run_pieces(threads, parts, [&](Index part) {
        isa.linear(job, part_of(shape.rows, part, parts), scratch.of(part));
    });
}

void run_linear_backward(const Isa& isa, const LinearShape& shape, const LinearBackwardArrays& arrays) {
    const LinearSize size = shape.size;
    const Index threads = linear_threads(shape);  // and parts: each has a sum of its own
    const Floats weights(isa.linear_backward_weights_size(size));
    const PartFloats scratch(isa.linear_backward_scratch_size(size), threads);
    const PartFloats dweights(isa.linear_dweight_size(size), threads);
    if (arrays.dx != nullptr) isa.pack_linear_backward(size, arrays.weight, weights.words());
    const LinearBackwardJob job{
        .size = size, .x = arrays.x, .dy = arrays.dy, .weights = weights.words(), .dx = arrays.dx};
    run_pieces(threads, threads, [&](Index part) {
        const BackwardBuffers buffers{
            .scratch = scratch.of(part), .dweight = dweights.zeroed(part), .dweight_ih = nullptr, .dbias = nullptr};
        isa.linear_backward(job, part_of(shape.rows, part, threads), buffers);
    });
    run_pieces(threads, threads, [&](Index part) {
        isa.unpack_linear(size, dweights.partial_sums(), arrays.gradients, part_of(size.outputs, part, threads));
    });
}

void run_count_above(const Isa& isa, const Batch& batch, ConvolutionJob job) {
    std::vector<Index> starts(batch.size + 1, 0);
    Index longest = 0;
    for (Index b = 0; b < batch.size; ++b) {
        starts[b + 1] = starts[b] + batch.lengths[b];
        longest = std::max<Index>(longest, batch.lengths[b]);
    }
    job.starts = starts.data();
    const Index threads = std::max<Index>(1, std::min(batch.threads, batch.size));
    const Index parts = std::min(kPartsPerThread * threads, batch.size);
    const PartFloats scratch(isa.convolution_scratch_size(job.channels, longest), parts);
    // Equal numbers of steps rather than of series, at series boundaries.
    run_pieces(threads, parts, [&](Index part) {
        const auto edge = [&](Index at) {
            return std::lower_bound(starts.begin(), starts.end() - 1, batch.steps * at / parts) - starts.begin();
        };
        const Index last = part + 1 == parts ? batch.size : edge(part + 1);
        isa.count_above(job, {.first = part == 0 ? 0 : edge(part), .last = last}, scratch.of(part));
    });
}

void run_adam_step(const Isa& isa, Index threads, const AdamJob& job, Index count) {
    if (job.rows == nullptr)
        run_ranges(threads, count, kPiece, [&](Range elements) { isa.adam_step(job, elements); });
    else
        run_ranges(threads, count, rows_of(kPiece, job.columns), [&](Range rows) { isa.adam_step_rows(job, rows); });
}

void run_adam_catch_up(const Isa& isa, Index threads, const CatchUpJob& job, Index count) {
    run_ranges(threads, count, rows_of(kCatchUpPiece, job.columns), [&](Range rows) { isa.adam_catch_up(job, rows); });
}

double run_sum_of_squares(const Isa& isa, Index threads, const float* x, Index count) {
    std::vector<double> sums((count + kPiece - 1) / kPiece);
    run_ranges(threads, count, kPiece, [&](Range elements) {
        sums[elements.first / kPiece] = isa.sum_of_squares(x + elements.first, elements.last - elements.first);
    });
    double total = 0;
    for (const double sum : sums) total += sum;
    return total;
}

}  // namespace gatewise
