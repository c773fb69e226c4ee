#include "driver.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "arena.h"
#include "plan.h"
#include "pool.h"

namespace gatewise {

namespace {

// A tape of more floats than this is not in the second-level caches any more when backward wants it.
constexpr int64_t kStreamFrom = int64_t{1} << 20;

// So many floats to a cache line that no two threads' scratch shares one.
size_t whole_lines(size_t floats) { return (floats + 31) / 32 * 32; }

// The rows (N,) sorted by index, each index's in their own order; offsets (U + 1,): where each index's begin.
struct Sorted {
    std::vector<int32_t> order;
    std::vector<int64_t> offsets;
};

Sorted sort_rows(const int32_t* index, int64_t steps, int64_t pre_rows) {
    Sorted sorted;
    sorted.order.resize(static_cast<size_t>(steps));
    sorted.offsets.assign(static_cast<size_t>(pre_rows) + 1, 0);
    for (int64_t n = 0; n < steps; ++n) ++sorted.offsets[static_cast<size_t>(index[n]) + 1];
    for (size_t u = 0; u < static_cast<size_t>(pre_rows); ++u) sorted.offsets[u + 1] += sorted.offsets[u];
    std::vector<int64_t> next(sorted.offsets.begin(), sorted.offsets.end() - 1);
    for (int64_t n = 0; n < steps; ++n)
        sorted.order[static_cast<size_t>(next[static_cast<size_t>(index[n])]++)] = static_cast<int32_t>(n);
    return sorted;
}

void sum_dpre(
    const Isa& isa, const Batch& batch, int threads, int units, const float* gates, const int32_t* index,
    int64_t pre_rows, float* dpre) {
    const Sorted sorted = sort_rows(index, batch.steps, pre_rows);
    const SumJob job{units, gates, sorted.order.data(), sorted.offsets.data(), dpre};
    const size_t scratch_size = whole_lines(isa.sum_scratch(units));
    const Floats scratch(scratch_size * static_cast<size_t>(threads));
    // Ranges of U with about the same number of steps and rows to write.
    const auto first_of = [&](int part) {
        const int64_t want = (batch.steps + pre_rows) * part / threads;
        int64_t low = 0, high = pre_rows;
        while (low < high) {
            const int64_t middle = (low + high) / 2;
            if (sorted.offsets[static_cast<size_t>(middle)] + middle < want)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    };
    run_parts(threads, [&](int part) {
        const int64_t last = part + 1 == threads ? pre_rows : first_of(part + 1);
        isa.sum_rows(job, first_of(part), last, scratch.data() + scratch_size * static_cast<size_t>(part));
    });
}

}  // namespace

void run_forward(const Isa& isa, const Batch& batch, ForwardJob job, const float* weight_hh) {
    const Plan plan = make_plan(batch.lengths, batch.size, job.units, batch.threads, Pass::forward);
    const size_t scratch_size = whole_lines(isa.forward_scratch(job.units));
    const Floats weights(job.weights == nullptr ? isa.forward_weights_size(job.units) : 0);
    const Floats scratch(scratch_size * static_cast<size_t>(plan.threads()));
    const int blocks = (job.units + isa.lanes - 1) / isa.lanes;
    if (job.weights == nullptr) {
        run_parts(plan.threads(), [&](int part) {
            isa.pack_forward(
                job.units, weight_hh, weights.data(), blocks * part / plan.threads(),
                blocks * (part + 1) / plan.threads());
        });
        job.weights = weights.data();
    }
    job.stream = batch.steps * blocks * isa.lanes * 4 > kStreamFrom;
    run_parts(plan.threads(), [&](int part) {
        isa.forward(job, plan.share(part), scratch.data() + scratch_size * static_cast<size_t>(part));
    });
}

void run_backward(
    const Isa& isa, const Batch& batch, BackwardJob job, const float* weight_hh, const int32_t* index, int64_t pre_rows,
    float* dpre, float* dweight) {
    const Plan plan = make_plan(batch.lengths, batch.size, job.units, batch.threads, Pass::backward);
    const int threads = plan.threads(), units = job.units;
    const size_t scratch_size = whole_lines(isa.backward_scratch(units));
    const size_t dweight_size = whole_lines(isa.dweight_size(units));
    const Floats weights(isa.backward_weights_size(units));
    const Floats scratch(scratch_size * static_cast<size_t>(threads));
    const Floats dweights(dweight == nullptr ? 0 : dweight_size * static_cast<size_t>(threads));
    const int blocks = (units + isa.lanes - 1) / isa.lanes;
    run_parts(threads, [&](int part) {
        isa.pack_backward(units, weight_hh, weights.data(), blocks * part / threads, blocks * (part + 1) / threads);
    });
    job.weights = weights.data();
    job.stream = batch.steps * blocks * isa.lanes * 4 > kStreamFrom;
    job.dpre = index == nullptr ? dpre : nullptr;
    run_parts(threads, [&](int part) {
        float* own = dweight == nullptr ? nullptr : dweights.data() + dweight_size * static_cast<size_t>(part);
        if (own != nullptr) std::memset(own, 0, dweight_size * sizeof(float));
        isa.backward(job, plan.share(part), scratch.data() + scratch_size * static_cast<size_t>(part), own);
    });
    if (dweight != nullptr)
        run_parts(threads, [&](int part) {
            isa.unpack_dweight(
                units, dweights.data(), dweight_size, threads, dweight, blocks * part / threads,
                blocks * (part + 1) / threads);
        });
    if (index != nullptr) sum_dpre(isa, batch, threads, units, job.gates, index, pre_rows, dpre);
}

}  // namespace gatewise
