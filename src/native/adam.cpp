// Compiled once per instruction set, as kernel.cpp is, but without fused multiply-add.

#include "adam.h"

namespace gatewise::GATEWISE_ISA {

// What a step multiplies with; keep is 1 - decay.
struct StepSize {
    float rate, epsilon, keep;
};

GATEWISE_INLINE float updated(float weight, float m, float v, StepSize size) {
    return weight * size.keep - size.rate * m / (__builtin_sqrtf(v) + size.epsilon);
}

GATEWISE_INLINE void step(const AdamJob& job, Index at, const float* __restrict grad, Index count) {
    float* __restrict const weight = job.weight + at;
    float* __restrict const m = job.m + at;
    float* __restrict const v = job.v + at;
    const Decay decay = job.decay;
    const StepSize size{.rate = job.rate, .epsilon = job.epsilon, .keep = job.keep};
    const float scale = job.scale;
    for (Index i = 0; i < count; ++i) {
        const float g = scale * grad[i];
        m[i] = decay.beta_1 * m[i] + decay.rest_1 * g;
        v[i] = decay.beta_2 * v[i] + decay.rest_2 * (g * g);
        weight[i] = updated(weight[i], m[i], v[i], size);
    }
}

void adam_step(const AdamJob& job, Range elements) {
    step(job, elements.first, job.grad + elements.first, elements.last - elements.first);
}

void adam_step_rows(const AdamJob& job, Range rows) {
    for (Index r = rows.first; r < rows.last; ++r)
        step(job, job.rows[r] * job.columns, job.grad + r * job.columns, job.columns);
}

// The steps after `last` of one row, whose gradient is 0. Adding 0 makes -0 to 0, as a step does.
static void catch_up_row(const CatchUpJob& job, Index row, Index last) {
    const Index columns = job.columns;
    float* __restrict const weight = job.weight + row * columns;
    float* __restrict const m = job.m + row * columns;
    float* __restrict const v = job.v + row * columns;
    const float beta_1 = job.decay.beta_1, beta_2 = job.decay.beta_2;
    int32_t moving = 0, seen = 0;  // whether an element of m or v is not 0
    for (Index i = 0; i < columns; ++i) {
        moving |= m[i] != 0;
        seen |= v[i] != 0;
    }
    for (Index s = last + 1; s <= job.now; ++s) {
        const StepSize size{.rate = job.rates[s], .epsilon = job.epsilons[s], .keep = 1.0f - job.decays[s]};
        if (moving != 0) {
            moving = 0;
            for (Index i = 0; i < columns; ++i) {
                m[i] = beta_1 * m[i] + 0.0f;
                v[i] = beta_2 * v[i] + 0.0f;
                weight[i] = updated(weight[i], m[i], v[i], size);
                moving |= m[i] != 0;
            }
            continue;
        }
        if (seen != 0)
            for (Index i = 0; i < columns; ++i) v[i] = beta_2 * v[i] + 0.0f;
        if (size.keep != 1.0f)
            for (Index i = 0; i < columns; ++i) weight[i] *= size.keep;
    }
}

void adam_catch_up(const CatchUpJob& job, Range rows) {
    for (Index r = rows.first; r < rows.last; ++r)
        catch_up_row(job, job.rows == nullptr ? r : job.rows[r], job.last[r]);
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
