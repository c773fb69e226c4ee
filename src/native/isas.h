// The builds of the kernel that this machine can run.

#pragma once

#include <vector>

#include "kernel.h"

namespace gatewise {

std::vector<const Isa*> isas_here();  // best first; never empty

}  // namespace gatewise
