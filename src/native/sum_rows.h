// dpre (U, 4H): for each distinct input the sum of its steps' dgates, in the order of their rows.

#pragma once

#include "backward.h"

namespace gatewise::GATEWISE_ISA {

inline size_t sum_scratch(int units) { return static_cast<size_t>(4 * padded(units)); }

inline void sum_rows(const SumJob& job, int64_t first, int64_t last, float* sum) {
    const int units = job.units, blocks = blocks_of(units), width = blocks * kWide;
    for (int64_t u = first; u < last; ++u) {
        std::memset(sum, 0, sizeof(float) * static_cast<size_t>(width));
        for (int64_t at = job.offsets[u]; at < job.offsets[u + 1]; ++at) {
            const float* row = job.gates + static_cast<size_t>(job.order[at]) * static_cast<size_t>(width);
            const int64_t next_at = at + 1 < job.offsets[last] ? at + 1 : at;
            const float* next = job.gates + static_cast<size_t>(job.order[next_at]) * static_cast<size_t>(width);
            for (int j = 0; j < width; j += L) {
                if (j < words(width)) prefetch(next + j);
                store(sum + j, load(sum + j) + load_numbers(row, j));
            }
        }
        float* out = job.dpre + static_cast<size_t>(u) * static_cast<size_t>(4 * units);
        for (int b = 0; b < blocks; ++b)
            for (int gate = 0; gate < 4; ++gate)
                store_first(out + gate * units + b * L, load(sum + b * kWide + gate * L), lanes_of(units, b));
    }
}

}  // namespace gatewise::GATEWISE_ISA
