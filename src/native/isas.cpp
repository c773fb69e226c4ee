#include "isas.h"

namespace gatewise {

std::vector<const Isa*> isas_here() {
    std::vector<const Isa*> here;
#if defined(GATEWISE_X86)
    // Exactly the features that CMakeLists.txt compiles for; the builtin also asks whether the system saves the
    // registers.
    __builtin_cpu_init();
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    if (v4) here.push_back(isa_v4());
    if (v3) here.push_back(isa_v3());
#elif defined(GATEWISE_ARM)
    here.push_back(isa_neon());
#endif
    here.push_back(isa_portable());
    return here;
}

}  // namespace gatewise
