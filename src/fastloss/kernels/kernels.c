/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Compiled once per instruction set, with FL_ISA its name and FL_VECTOR_BYTES the width of its registers (0: no
 * vectors). Everything but the table is static: what is compiled for one machine must not be linked into the code for
 * another. */
#include "fastloss.h"
#include "samples.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#elif defined(__aarch64__) && FL_VECTOR_BYTES
#include <arm_neon.h>
#endif

#if defined(__GNUC__) || defined(__clang__)
#define FL_INLINE inline __attribute__((always_inline))
#define FL_NOINLINE __attribute__((noinline))
#define FL_PREFETCH(p) __builtin_prefetch(p)
#define FL_PREFETCH_WRITE(p) __builtin_prefetch(p, 1)
#define FL_PREFETCH_FAR(p) __builtin_prefetch(p, 0, 2) /* into the second cache level */
#else
#define FL_INLINE inline
#define FL_NOINLINE
#define FL_PREFETCH(p) ((void)0)
#define FL_PREFETCH_WRITE(p) ((void)0)
#define FL_PREFETCH_FAR(p) ((void)0)
#endif

/* lanes of two vectors by constant number */
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define FL_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#endif
#endif
#ifndef FL_SHUFFLE
#define FL_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (uvec){__VA_ARGS__})
#endif

/* Operations on subnormal numbers cost a hundred cycles on many machines. While a kernel runs, results below the
 * smallest normal number are 0; the mode of the calling thread is put back at the end. */
static inline unsigned fl_flush_subnormals(void)
{
#if defined(__x86_64__) || defined(_M_X64)
    const unsigned mode = _mm_getcsr();
    _mm_setcsr(mode | 0x8000u);
    return mode;
#elif defined(__aarch64__) && FL_VECTOR_BYTES
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    __asm__ volatile("msr fpcr, %0" : : "r"(mode | (1u << 24)));
    return (unsigned)mode;
#else
    return 0;
#endif
}

static inline void fl_restore_subnormals(unsigned mode)
{
#if defined(__x86_64__) || defined(_M_X64)
    _mm_setcsr(mode);
#elif defined(__aarch64__) && FL_VECTOR_BYTES
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)mode));
#else
    (void)mode;
#endif
}

#include "labels.h"

#define FL_BITS 64
#define FL_LARGEST DBL_MAX
#define FL_SMALLEST DBL_MIN
#define real double
#define FL_(name) name##_f64
#include "element_type.inc.h"
#undef FL_BITS
#undef FL_LARGEST
#undef FL_SMALLEST
#undef real
#undef FL_

#define FL_BITS 32
#define FL_LARGEST FLT_MAX
#define FL_SMALLEST FLT_MIN
#define real float
#define FL_(name) name##_f32
#include "element_type.inc.h"
#undef FL_BITS
#undef FL_LARGEST
#undef FL_SMALLEST
#undef real
#undef FL_

#define FL_PASTE(a, b) a##b
#define FL_TABLE(isa) FL_PASTE(fl_table_, isa)
#define FL_STRING_OF(x) #x
#define FL_STRING(x) FL_STRING_OF(x)

extern const fl_table FL_TABLE(FL_ISA);
const fl_table FL_TABLE(FL_ISA) = {
    .name = FL_STRING(FL_ISA),
    .kernel = {{
#define KERNEL(family, name) name##_f32,
#include "losses.def"
               },
               {
#define KERNEL(family, name) name##_f64,
#include "losses.def"
               }},
    .bad_label = fl_first_bad_label,
    .sum_own_weights = fl_sum_own_weights,
    .sum_weights = fl_sum_sample_weights,
    .half = fl_half,
    .outside = {first_outside_f32, first_outside_f64, fl_first_outside_half},
    .bad_score = {first_bad_score_f32, first_bad_score_f64, fl_first_bad_score_half},
    .bad_row = fl_first_bad_row,
    .bad_variance = fl_first_bad_variance,
    .improbable = {first_improbable_f32, first_improbable_f64, fl_first_improbable_half},
    .sum_distribution_weights = fl_sum_distribution_weights,
    .sum_element_weights = fl_sum_element_weights,
};
