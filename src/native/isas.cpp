#include "isas.h"

#if defined(GATEWISE_AMX_BUILT)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

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

#if defined(GATEWISE_AMX_BUILT)
// Bits 22 and 24 of leaf 7: products of bfloat16 in tile registers, and those registers. Linux (5.16) saves them for
// processes that have asked for it, once, which also holds for all threads.
static bool amx_granted() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d >> 22 & 1) == 0 || (d >> 24 & 1) == 0) return false;
    constexpr long kRequestPermission = 0x1023, kTileData = 18;
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
static bool amx_here() {
    static const bool here = amx_granted();  // asked at every call of the kernel, and CPUID leaves a virtual machine
    return here;
}
#endif

std::vector<const Isa*> bf16_here() {
    std::vector<const Isa*> here;
#if defined(GATEWISE_X86)
    if (!v4_here() || !__builtin_cpu_supports("avx512bf16")) return here;
#if defined(GATEWISE_AMX_BUILT)
    if (amx_here()) here.push_back(isa_amx_bf16());
#endif
    here.push_back(isa_v4_bf16());
#endif
    return here;
}

bool vector_bf16_pays() {
#if defined(GATEWISE_X86)
    __builtin_cpu_init();
    return !__builtin_cpu_is("intel");
#else
    return false;
#endif
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
