// Compiled once per instruction set, as kernel.cpp is, but without fused multiply-add.

#include "adam.h"

namespace gatewise::GATEWISE_ISA {

GATEWISE_INLINE void step(const AdamJob& job, Index at, const float* __restrict grad, Index count) {
    float* __restrict const weight = job.weight + at;
    float* __restrict const m = job.m + at;
    float* __restrict const v = job.v + at;
    const Decay decay = job.decay;
    const float rate = job.rate, epsilon = job.epsilon, scale = job.scale;
    for (Index i = 0; i < count; ++i) {
        const float g = scale * grad[i];
        m[i] = decay.beta_1 * m[i] + decay.rest_1 * g;
        v[i] = decay.beta_2 * v[i] + decay.rest_2 * (g * g);
        weight[i] -= rate * m[i] / (__builtin_sqrtf(v[i]) + epsilon);
    }
}

// NumPy's arrays seldom start at a cache line. From the next one on, no vector crosses two lines, if m and v are at the
// same position as the weight (`moments` in adam.py). Such vectors are slow in a table that is larger than the caches.
void adam_step(const AdamJob& job, Range elements) {
    const Index offset = static_cast<Index>(reinterpret_cast<uintptr_t>(job.weight + elements.first) / sizeof(float));
    const Index aligned = min(elements.last, elements.first + (kCacheLine - offset % kCacheLine) % kCacheLine);
    step(job, elements.first, job.grad + elements.first, aligned - elements.first);
    step(job, aligned, job.grad + aligned, elements.last - aligned);
}

// The hardware does not foresee which row comes next.
template <class Job>
GATEWISE_INLINE void prefetch_row(const Job& job, Index row) {
    const Index at = row * job.columns;
    for (Index i = 0; i < job.columns; i += kCacheLine) {
        prefetch_for_write(job.weight + at + i);
        prefetch_for_write(job.m + at + i);
        prefetch_for_write(job.v + at + i);
    }
}

void adam_step_rows(const AdamJob& job, Range rows) {
    for (Index r = rows.first; r < rows.last; ++r) {
        if (r + 1 < rows.last) prefetch_row(job, job.rows[r + 1]);
        step(job, job.rows[r] * job.columns, job.grad + r * job.columns, job.columns);
    }
}

// Vectors of a row that go through the steps together, in registers. Their divisions and roots overlap.
constexpr int kVectors = 4;
constexpr Index kSteps = 32;  // between two looks at whether m is 0

template <int N>
GATEWISE_INLINE bool any(const V (&x)[N]) {
    I nonzero{};
    for (int n = 0; n < N; ++n) nonzero |= x[n] != V{};
    int32_t found = 0;
    for (int l = 0; l < L; ++l) found |= nonzero[l];
    return found != 0;
}

// The steps after `last` of N vectors from element `at` on, the last with `lanes` elements. The gradient is 0: adding it
// turns -0 into 0, as a step does.
template <int N>
static void catch_up_vectors(const CatchUpJob& job, Index at, Index lanes, Index last) {
    V weight[N], m[N], v[N];
    for (int n = 0; n < N; ++n) {
        const Index count = n + 1 < N ? L : lanes, from = at + n * L;
        weight[n] = load_partial(job.weight + from, count);
        m[n] = load_partial(job.m + from, count);
        v[n] = load_partial(job.v + from, count);
    }
    const V beta_1 = broadcast(job.decay.beta_1), beta_2 = broadcast(job.decay.beta_2), zero{};
    Index s = last + 1;
    while (s <= job.now && any(m)) {
        for (const Index end = min(job.now + 1, s + kSteps); s < end; ++s) {
            const V rate = broadcast(job.rates[s]), epsilon = broadcast(job.epsilons[s]);
            GATEWISE_UNROLL
            for (int n = 0; n < N; ++n) {
                m[n] = beta_1 * m[n] + zero;
                v[n] = beta_2 * v[n] + zero;
                weight[n] -= rate * m[n] / (square_root(v[n]) + epsilon);
            }
        }
    }
    // Where m is 0, only v goes on. Denormals of the caller become 0, as in a step.
    if (s <= job.now) {
        for (int n = 0; n < N; ++n) {
            m[n] += zero;
            v[n] += zero;
            weight[n] -= broadcast(job.rates[job.now]) * m[n];
        }
        if (any(v))
            for (Index t = s; t <= job.now; ++t)
                for (int n = 0; n < N; ++n) v[n] = beta_2 * v[n] + zero;
    }
    for (int n = 0; n < N; ++n) {
        const Index count = n + 1 < N ? L : lanes, to = at + n * L;
        store_partial(job.weight + to, weight[n], count);
        store_partial(job.m + to, m[n], count);
        store_partial(job.v + to, v[n], count);
    }
}

void adam_catch_up(const CatchUpJob& job, Range rows) {
    for (Index r = rows.first; r < rows.last; ++r) {
        if (job.rows != nullptr && r + 1 < rows.last) prefetch_row(job, job.rows[r + 1]);
        const Index start = (job.rows == nullptr ? r : job.rows[r]) * job.columns, last = job.last[r];
        Index c = 0;
        for (; c + kVectors * L <= job.columns; c += kVectors * L)
            catch_up_vectors<kVectors>(job, start + c, L, last);
        for (; c < job.columns; c += L) catch_up_vectors<1>(job, start + c, min(L, job.columns - c), last);
    }
}

double sum_of_squares(const float* x, Index count) {
    constexpr Index kSums = 16;  // on every instruction set, for equal bits
    double sums[kSums] = {};
    Index at = 0;
    for (; at + kSums <= count; at += kSums)
        for (Index k = 0; k < kSums; ++k) sums[k] += static_cast<double>(x[at + k]) * static_cast<double>(x[at + k]);
    for (Index k = 0; at + k < count; ++k) sums[k] += static_cast<double>(x[at + k]) * static_cast<double>(x[at + k]);
    double total = 0;
    for (Index k = 0; k < kSums; ++k) total += sums[k];
    return total;
}

}  // namespace gatewise::GATEWISE_ISA
