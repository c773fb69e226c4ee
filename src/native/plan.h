// Which thread runs which sequences.

#pragma once

#include <vector>

#include "kernel.h"

namespace gatewise {

struct Plan {
    std::vector<Sequence> sequences;  // thread by thread, each thread's longest first
    std::vector<int64_t> first;       // (threads + 1,): where each thread's begin

    int threads() const { return static_cast<int>(first.size()) - 1; }
    Share share(int thread) const { return {sequences.data() + first[thread], first[thread + 1] - first[thread]}; }
};

enum class Pass { forward, backward };

// At most `threads` shares, about equal in the time of that pass; fewer where there are too few sequences, or too
// little work for a thread.
Plan make_plan(const int64_t* lengths, int64_t batch, int units, int threads, Pass pass);

}  // namespace gatewise
