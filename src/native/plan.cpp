#include "plan.h"

#include <algorithm>

namespace gatewise {

namespace {

constexpr Index kSmallStep = 6;  // rows up to which a step costs more than its rows
static_assert(kSmallStep > 1 && kSmallStep < kGroup);
// MULTIFIT's iterations, each about as long as the first plan took, and the largest problem (sequences times threads)
// that they are worth: with many sequences per thread it hardly matters which thread has which.
constexpr int kMultifitIterations = 8;
constexpr Index kMultifitLimit = 1 << 14;

// The cost of one more sequence per step of a thread, in rows. Sequences come in order of length, longest first.
//
// A step costs about as much as its rows. With few rows it costs more: the weights are read for any number of rows, and
// one row alone has too few independent sums. The model charges the first row 1 + extra, and the next ones of the first
// kSmallStep accordingly less. Measured (H, extra forward and backward): 100: 1.2, 0.5; 128: 1.4, 0.5; 256: 1.8, 1.0;
// 512: 3.1, 1.9. After kGroup sequences a new group begins, with steps of its own.
class CostModel {
  public:
    CostModel(Pass pass, Index units) {
        const double extra = std::min((pass == Pass::forward ? 1.0 : 0.0) + units / 256.0, 4.0);
        first_row_ = 1 + extra;
        next_rows_ = 1 - extra / (kSmallStep - 1);
    }
    // For a thread that has `rows` sequences already.
    double of_row(Index rows) const {
        const Index place = rows % kGroup;
        return place == 0 ? first_row_ : place < kSmallStep ? next_rows_ : 1.0;
    }

  private:
    double first_row_, next_rows_;
};

// The thread of each sequence, with the threads' costs.
class Assignment {
  public:
    Assignment(Index threads, Index batch) : cost_(threads), rows_(threads), owner_(batch) {}

    // LPT: each sequence, longest first, goes to the thread that would finish first with it.
    void longest_processing_time(const std::vector<Sequence>& sorted, const CostModel& model) {
        clear();
        for (Index b = 0; b < std::ssize(sorted); ++b) {
            Index best = 0;
            for (Index t = 1; t < std::ssize(cost_); ++t)
                if (cost_with(sorted[b], t, model) < cost_with(sorted[b], best, model)) best = t;
            assign(sorted[b], b, best, model);
        }
    }

    // First fit: each sequence goes to the first thread that stays within `capacity` with it, so that long ones share
    // their steps. False if a sequence does not fit anywhere.
    bool first_fit(const std::vector<Sequence>& sorted, const CostModel& model, double capacity) {
        clear();
        for (Index b = 0; b < std::ssize(sorted); ++b) {
            Index t = 0;
            while (t < std::ssize(cost_) && cost_with(sorted[b], t, model) > capacity) ++t;
            if (t == std::ssize(cost_)) return false;
            assign(sorted[b], b, t, model);
        }
        return true;
    }

    // The largest cost of a thread.
    double makespan() const { return *std::max_element(cost_.begin(), cost_.end()); }
    Index owner(Index b) const { return owner_[b]; }

  private:
    void clear() {
        std::fill(cost_.begin(), cost_.end(), 0.0);
        std::fill(rows_.begin(), rows_.end(), 0);
    }
    double cost_with(const Sequence& sequence, Index t, const CostModel& model) const {
        return cost_[t] + static_cast<double>(sequence.length) * model.of_row(rows_[t]);
    }
    void assign(const Sequence& sequence, Index b, Index t, const CostModel& model) {
        cost_[t] = cost_with(sequence, t, model);
        ++rows_[t];
        owner_[b] = t;
    }

    std::vector<double> cost_;
    std::vector<Index> rows_;
    std::vector<Index> owner_;
};

// LPT, and then the smallest capacity with which first fit succeeds, by bisection. That is never worse (MULTIFIT:
// Coffman, Garey, Johnson 1978).
Assignment assign_sequences(const std::vector<Sequence>& sorted, const CostModel& model, Index threads) {
    Assignment best(threads, std::ssize(sorted));
    best.longest_processing_time(sorted, model);
    if (threads == 1 || std::ssize(sorted) * threads > kMultifitLimit) return best;
    Assignment candidate = best;
    double high = best.makespan(), low = 0.75 * high;
    for (int n = 0; n < kMultifitIterations; ++n) {
        const double capacity = (low + high) / 2;
        if (candidate.first_fit(sorted, model, capacity)) {
            std::swap(best, candidate);
            high = best.makespan();
        } else {
            low = capacity;
        }
    }
    return best;
}

}  // namespace

Plan make_plan(const int64_t* lengths, Index batch, Index units, Index threads, Pass pass) {
    std::vector<Sequence> sorted(batch);
    Index start = 0;
    for (Index b = 0; b < batch; ++b) {
        sorted[b] = {.start = start, .length = lengths[b], .batch_index = b};
        start += lengths[b];
    }
    const double work = 4.0 * units * units * start;
    threads = static_cast<Index>(std::min<double>(threads, 1 + work / kMinWorkPerThread));
    threads = std::max<Index>(1, std::min(threads, batch));
    std::stable_sort(
        sorted.begin(), sorted.end(), [](const Sequence& a, const Sequence& b) { return a.length > b.length; });

    const Assignment assignment = assign_sequences(sorted, CostModel(pass, units), threads);
    Plan plan;
    plan.first.push_back(0);
    for (Index t = 0; t < threads; ++t) {
        for (Index b = 0; b < batch; ++b)
            if (assignment.owner(b) == t) plan.sequences.push_back(sorted[b]);
        plan.first.push_back(std::ssize(plan.sequences));
    }
    return plan;
}

}  // namespace gatewise
