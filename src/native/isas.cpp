#include "isas.h"

#include <stdexcept>

#if defined(GATEWISE_AMX_BUILT)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace gatewise {

#if defined(GATEWISE_X86)
// The features here are exactly those that CMakeLists.txt compiles for. The builtin also asks whether the system saves
// the registers.
static bool has_avx2() {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
static bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
}
#endif

#if defined(GATEWISE_AMX_BUILT)
// Bits 22 and 24 of leaf 7 are products of bfloat16 in tile registers, and those registers. Linux (5.16) saves the
// registers of a process that has requested it once, for all of its threads.
static bool request_amx() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d >> 22 & 1) == 0 || (d >> 24 & 1) == 0) return false;
    constexpr long kRequestPermission = 0x1023, kTileData = 18;
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
static bool has_amx() {
    static const bool granted = request_amx();  // kept, since each call of the kernel asks and CPUID is slow in a VM
    return granted;
}
#endif

std::vector<const Isa*> bf16_isas() {
    std::vector<const Isa*> isas;
#if defined(GATEWISE_X86)
    if (!has_avx512() || !__builtin_cpu_supports("avx512bf16")) return isas;
#if defined(GATEWISE_AMX_BUILT)
    if (has_amx()) isas.push_back(isa_amx_bf16());
#endif
    isas.push_back(isa_avx512_bf16());
#endif
    return isas;
}

bool vector_bf16_pays() {
#if defined(GATEWISE_X86)
    __builtin_cpu_init();
    return !__builtin_cpu_is("intel");
#else
    return false;
#endif
}

std::vector<const Isa*> float32_isas() {
    std::vector<const Isa*> isas;
#if defined(GATEWISE_X86)
    if (has_avx512()) isas.push_back(isa_avx512());
    if (has_avx2()) isas.push_back(isa_avx2());
#elif defined(GATEWISE_ARM)
    isas.push_back(isa_neon());
#endif
    isas.push_back(isa_portable());
    return isas;
}

const Isa& find(const std::string& name) {
    for (const Isa* isa : float32_isas())
        if (name == isa->name) return *isa;
    for (const Isa* isa : bf16_isas())
        if (name == isa->name) return *isa;
    throw std::invalid_argument("instruction set '" + name + "' cannot run here");
}

}  // namespace gatewise
