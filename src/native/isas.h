// The builds of the kernel that this machine can run.

#pragma once

#include <vector>

#include "kernel.h"

namespace gatewise {

std::vector<const Isa*> isas_here();  // in float32, best first; never empty
std::vector<const Isa*> bf16_here();  // in bfloat16, best first; empty where the processor lacks the instructions

}  // namespace gatewise
