#include "plan.h"

#include <algorithm>

namespace gatewise {

namespace {

// Multiply-adds that are worth a second thread: about 20 microseconds of one.
constexpr double kWorthAThread = 1e6;
constexpr int kThin = 6;    // rows up to which a step costs more than its rows
constexpr int kGroup = 64;  // as in forward.h: the sequence after so many runs in steps of its own
// Tries to find a better plan than the first one, each about as long as that took, and the largest problem that is
// worth them: with many sequences to a thread it hardly matters which has which.
constexpr int kTries = 8;
constexpr int64_t kWorthTries = 1 << 14;

// What one more sequence costs a thread, in rows a step of it, in the order from the longest.
//
// A step costs about as much as its rows, but a thin one costs more: the weights have to be read, whoever uses them,
// and one row alone has too few independent sums. One row is paid as 1 + extra, and the next ones of the first kThin
// give it back. Measured (H, extra forward and backward): 100: 1.2, 0.5; 128: 1.4, 0.5; 256: 1.8, 1.0; 512: 3.1, 1.9.
struct Price {
    double first, thin;

    Price(Pass pass, int units) {
        const double extra = std::min((pass == Pass::forward ? 1.0 : 0.0) + units / 256.0, 4.0);
        first = 1 + extra;
        thin = 1 - extra / (kThin - 1);
    }
    double of(int64_t rows) const {
        const int64_t place = rows % kGroup;
        return place == 0 ? first : place < kThin ? thin : 1.0;
    }
};

class Shares {
  public:
    Shares(size_t threads, size_t batch) : cost_(threads), rows_(threads), owner_(batch) {}

    // Each sequence to the thread that would be done first with it.
    void earliest(const std::vector<Sequence>& sorted, const Price& price) {
        clear();
        for (size_t b = 0; b < sorted.size(); ++b) {
            size_t best = 0;
            for (size_t t = 1; t < cost_.size(); ++t)
                if (with(sorted[b], t, price) < with(sorted[b], best, price)) best = t;
            give(sorted[b], b, best, price);
        }
    }

    // Each sequence to the first thread that has room for it below `most`, so that long ones share their steps; false
    // if one finds no room.
    bool first_fit(const std::vector<Sequence>& sorted, const Price& price, double most) {
        clear();
        for (size_t b = 0; b < sorted.size(); ++b) {
            size_t t = 0;
            while (t < cost_.size() && with(sorted[b], t, price) > most) ++t;
            if (t == cost_.size()) return false;
            give(sorted[b], b, t, price);
        }
        return true;
    }

    double longest() const { return *std::max_element(cost_.begin(), cost_.end()); }
    size_t owner(size_t b) const { return owner_[b]; }

  private:
    void clear() {
        std::fill(cost_.begin(), cost_.end(), 0.0);
        std::fill(rows_.begin(), rows_.end(), 0);
    }
    double with(const Sequence& sequence, size_t t, const Price& price) const {
        return cost_[t] + static_cast<double>(sequence.length) * price.of(rows_[t]);
    }
    void give(const Sequence& sequence, size_t b, size_t t, const Price& price) {
        cost_[t] = with(sequence, t, price);
        ++rows_[t];
        owner_[b] = t;
    }

    std::vector<double> cost_;
    std::vector<int64_t> rows_;
    std::vector<size_t> owner_;
};

// Longest first, each to the thread that is done first (LPT); then the smallest bound for which first fit finds room is
// looked for, which is never worse (MULTIFIT: Coffman, Garey, Johnson 1978).
Shares share_out(const std::vector<Sequence>& sorted, const Price& price, size_t threads) {
    Shares best(threads, sorted.size());
    best.earliest(sorted, price);
    if (threads == 1 || static_cast<int64_t>(sorted.size() * threads) > kWorthTries) return best;
    Shares tried = best;
    double high = best.longest(), low = 0.75 * high;
    for (int n = 0; n < kTries; ++n) {
        const double most = (low + high) / 2;
        if (tried.first_fit(sorted, price, most)) {
            std::swap(best, tried);
            high = best.longest();
        } else {
            low = most;
        }
    }
    return best;
}

}  // namespace

Plan make_plan(const int64_t* lengths, int64_t batch, int units, int threads, Pass pass) {
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

    const Shares shares = share_out(sorted, Price(pass, units), static_cast<size_t>(threads));
    Plan plan;
    plan.first.push_back(0);
    for (size_t t = 0; t < static_cast<size_t>(threads); ++t) {
        for (size_t b = 0; b < sorted.size(); ++b)
            if (shares.owner(b) == t) plan.sequences.push_back(sorted[b]);
        plan.first.push_back(static_cast<int64_t>(plan.sequences.size()));
    }
    return plan;
}

}  // namespace gatewise
