// The builds of the kernel that this machine can run.

#pragma once

#include <string>
#include <vector>

#include "kernel.h"

namespace gatewise {

std::vector<const Isa*> float32_isas();  // best first, never empty
std::vector<const Isa*> bf16_isas();     // best first, empty where the processor lacks the instructions

// Whether bfloat16 in vector registers is faster than float32. It is 1.8 times as fast on AMD's Zen 5, and 0.7 times on
// the Intel Xeon that was measured (docs/log/kernels.md).
bool vector_bf16_pays();

// The build of that name. Throws std::invalid_argument where it cannot run.
const Isa& find(const std::string& name);

}  // namespace gatewise
