#include "isas.h"

namespace gatewise {

#if defined(GATEWISE_X86)
static bool v4_here() {
    // Exactly the features that CMakeLists.txt compiles for; the builtin also asks whether the system saves the
    // registers.
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq");
}
#endif

const Isa* bf16_here() {
#if defined(GATEWISE_X86)
    if (v4_here() && __builtin_cpu_supports("avx512bf16")) return isa_v4_bf16();
#endif
    return nullptr;
}

std::vector<const Isa*> isas_here() {
    std::vector<const Isa*> here;
#if defined(GATEWISE_X86)
    if (v4_here()) here.push_back(isa_v4());
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) here.push_back(isa_v3());
#elif defined(GATEWISE_ARM)
    here.push_back(isa_neon());
#endif
    here.push_back(isa_portable());
    return here;
}

}  // namespace gatewise
