// Which thread runs which sequences.

#pragma once

#include <iterator>
#include <vector>

#include "kernel.h"

namespace gatewise {

// Multiply-adds that are worth one more thread: about 20 microseconds of a thread's time.
constexpr double kMinWorkPerThread = 1e6;

struct Plan {
    std::vector<Sequence> sequences;  // thread by thread, each thread's longest first
    std::vector<Index> first;         // (threads + 1,): the first sequence of each thread

    Index threads() const { return std::ssize(first) - 1; }
    Share share(Index thread) const {
        return {.sequences = sequences.data() + first[thread], .count = first[thread + 1] - first[thread]};
    }
};

enum class Pass { forward, backward };

// At most `threads` shares that take about equal time in that pass. There are fewer shares where there are too few
// sequences or too little work.
Plan make_plan(const int64_t* lengths, Index batch, Index units, Index threads, Pass pass);

}  // namespace gatewise
