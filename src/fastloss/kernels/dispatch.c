/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Chooses among the instruction sets that were built. The processor is asked directly: __builtin_cpu_supports is
 * missing from several toolchains. Beside the processor the operating system must save the wide registers (XCR0). */
#include "fastloss.h"

#include <string.h>

#if defined(__x86_64__) || defined(_M_X64)
#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
static void cpuid(unsigned leaf, unsigned r[4])
{
    __cpuidex((int *)r, (int)leaf, 0);
}
static unsigned long long xcr0(void)
{
    return _xgetbv(0);
}
#else
static void cpuid(unsigned leaf, unsigned r[4])
{
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "0"(leaf), "2"(0));
}
static unsigned long long xcr0(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low | (unsigned long long)high << 32;
}
#endif

/* leaf 1 ecx: FMA 12, OSXSAVE 27, F16C 29; leaf 7 ebx: AVX2 5, AVX512 F 16, DQ 17, BW 30, VL 31 */
static int fl_cpu_runs(unsigned long long registers, unsigned features_7)
{
    unsigned r[4];
    const unsigned features_1 = 1u << 12 | 1u << 27 | 1u << 29;
    cpuid(0, r);
    if (r[0] < 7)
        return 0;
    cpuid(1, r);
    if ((r[2] & features_1) != features_1 || (xcr0() & registers) != registers)
        return 0;
    cpuid(7, r);
    return (r[1] & features_7) == features_7;
}

static int fl_cpu_runs_avx2(void)
{
    return fl_cpu_runs(0x6, 1u << 5);
}

static int fl_cpu_runs_avx512(void)
{
    return fl_cpu_runs(0xe6, 1u << 5 | 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31);
}
#endif

#define ISA(isa, runs) extern const fl_table fl_table_##isa;
#include "isas.def"
#undef ISA

const fl_table *fl_select(const char *name)
{
#define ISA(isa, runs)                                                                                                 \
    if ((!name || !strcmp(name, #isa)) && (runs))                                                                      \
        return &fl_table_##isa;
#include "isas.def"
#undef ISA
    return NULL;
}

const char *fl_isa_name(int index, int *runnable)
{
#define ISA(isa, runs)                                                                                                 \
    if (index-- == 0) {                                                                                                \
        *runnable = (runs);                                                                                            \
        return #isa;                                                                                                   \
    }
#include "isas.def"
#undef ISA
    return NULL;
}

#define KERNEL(family, name) #name,
const char *const fl_kernel_names[FL_KERNELS] = {
#include "losses.def"
};

#define KERNEL(family, name) FL_##family,
const int fl_kernel_families[FL_KERNELS] = {
#include "losses.def"
};
