#include "plan.h"

#include <algorithm>

namespace gatewise {

namespace {

// A step with a active rows takes about as long as kStepRows + a rows: the weights have to be read, whoever uses them.
constexpr int64_t kStepRows = 2;
// Multiply-adds that are worth a second thread: about 20 microseconds of one.
constexpr double kWorthAThread = 1e6;

}  // namespace

Plan make_plan(const int64_t* lengths, int64_t batch, int units, int threads) {
    std::vector<Sequence> sorted(static_cast<size_t>(batch));
    int64_t start = 0;
    for (int64_t b = 0; b < batch; ++b) {
        sorted[static_cast<size_t>(b)] = {start, lengths[b], b};
        start += lengths[b];
    }
    const double work = 4.0 * units * units * static_cast<double>(start);
    threads = static_cast<int>(std::min<double>(threads, 1 + work / kWorthAThread));
    threads = static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(threads, batch)));
    std::stable_sort(
        sorted.begin(), sorted.end(), [](const Sequence& a, const Sequence& b) { return a.length > b.length; });

    // Longest first, each to the thread that would be done first with it. A thread's first sequence is its longest: it
    // brings the steps, those after it only rows.
    std::vector<int64_t> cost(static_cast<size_t>(threads), 0);
    std::vector<std::vector<Sequence>> shares(static_cast<size_t>(threads));
    for (const Sequence& sequence : sorted) {
        size_t best = 0;
        int64_t best_cost = INT64_MAX;
        for (size_t t = 0; t < shares.size(); ++t) {
            const int64_t with = cost[t] + sequence.length * (shares[t].empty() ? 1 + kStepRows : 1);
            if (with < best_cost) best = t, best_cost = with;
        }
        shares[best].push_back(sequence);
        cost[best] = best_cost;
    }
    Plan plan;
    plan.first.push_back(0);
    for (const auto& share : shares) {
        plan.sequences.insert(plan.sequences.end(), share.begin(), share.end());
        plan.first.push_back(static_cast<int64_t>(plan.sequences.size()));
    }
    return plan;
}

}  // namespace gatewise
