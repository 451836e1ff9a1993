/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The only place that knows how wide a register is. Included once per element type with FL_BITS, real and FL_(name)
 * defined. A `vec` holds LANES numbers of type real, a `uvec` as many unsigned integers of the same width. Arithmetic on both
 * is written with operators; what operators cannot say is here. Without GNU vectors a vec is one number and all of
 * this is plain C.
 */
#define vec FL_(vec)
#define uvec FL_(uvec)
#define LANES FL_(lanes)

#if FL_BITS == 32
typedef int32_t FL_(integer);
typedef uint32_t FL_(natural);
#else
typedef int64_t FL_(integer);
typedef uint64_t FL_(natural);
#endif

#if FL_VECTOR_BYTES
enum { FL_(lanes) = FL_VECTOR_BYTES / sizeof(real) };
typedef real vec __attribute__((vector_size(FL_VECTOR_BYTES)));
typedef FL_(natural) uvec __attribute__((vector_size(FL_VECTOR_BYTES)));
typedef real FL_(unaligned) __attribute__((vector_size(FL_VECTOR_BYTES), aligned(sizeof(real)), may_alias));
#else
enum { FL_(lanes) = 1 };
typedef real vec;
typedef FL_(natural) uvec;
#endif

/* X86(op) is the intrinsic of that name for this width and element type. */
#undef X86
#undef X86_COMPARE
#if FL_VECTOR_BYTES == 64 && FL_BITS == 32
#define X86(op) _mm512_##op##_ps
#define X86_COMPARE _mm512_cmp_ps_mask
#elif FL_VECTOR_BYTES == 64
#define X86(op) _mm512_##op##_pd
#define X86_COMPARE _mm512_cmp_pd_mask
#elif FL_VECTOR_BYTES == 32 && FL_BITS == 32
#define X86(op) _mm256_##op##_ps
#elif FL_VECTOR_BYTES == 32
#define X86(op) _mm256_##op##_pd
#elif defined(__SSE4_1__) && FL_BITS == 32
#define X86(op) _mm_##op##_ps
#elif defined(__SSE4_1__)
#define X86(op) _mm_##op##_pd
#endif

static inline vec FL_(load)(const real *p)
{
#if FL_VECTOR_BYTES
    return *(const FL_(unaligned) *)p;
#else
    return *p;
#endif
}

static inline void FL_(store)(real *p, vec v)
{
#if FL_VECTOR_BYTES
    *(FL_(unaligned) *)p = v;
#else
    *p = v;
#endif
}

static inline vec FL_(splat)(real x)
{
#if FL_VECTOR_BYTES
    return x - (vec){0};
#else
    return x;
#endif
}

#if FL_VECTOR_BYTES == 32
/* all bits set in the first n lanes */
static inline __m256i FL_(first_lanes)(ptrdiff_t n)
{
    static const FL_(integer) window[2 * FL_(lanes)] = {
#if FL_BITS == 32
        -1, -1, -1, -1,
#endif
        -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(window + LANES - n));
}
#endif

/* n < LANES numbers from p, `fill` in the other lanes; nothing past p + n is touched */
static inline vec FL_(load_part)(const real *p, ptrdiff_t n, real fill)
{
#if FL_VECTOR_BYTES == 64
    return (vec)X86(mask_loadu)(FL_(splat)(fill), (1u << n) - 1u, p);
#elif FL_VECTOR_BYTES == 32
    const __m256i mask = FL_(first_lanes)(n);
    return (vec)X86(blendv)(FL_(splat)(fill), X86(maskload)(p, mask), (vec)mask);
#else
    real lane[FL_(lanes)];
    for (int i = 0; i < LANES; i++)
        lane[i] = i < n ? p[i] : fill;
    return FL_(load)(lane);
#endif
}

static inline void FL_(store_part)(real *p, ptrdiff_t n, vec v)
{
#if FL_VECTOR_BYTES == 64
    X86(mask_storeu)(p, (1u << n) - 1u, v);
#elif FL_VECTOR_BYTES == 32
    X86(maskstore)(p, FL_(first_lanes)(n), v);
#else
    real lane[FL_(lanes)];
    FL_(store)(lane, v);
    for (ptrdiff_t i = 0; i < n; i++)
        p[i] = lane[i];
#endif
}

/* the bits of a real as an integer and back; lane by lane */
static inline uvec FL_(bits)(vec v)
{
#if FL_VECTOR_BYTES
    return (uvec)v;
#else
    uvec i;
    memcpy(&i, &v, sizeof i);
    return i;
#endif
}

static inline vec FL_(from_bits)(uvec i)
{
#if FL_VECTOR_BYTES
    return (vec)i;
#else
    vec v;
    memcpy(&v, &i, sizeof v);
    return v;
#endif
}

/* a * b + c and c - a * b, rounded once where the machine can */
static inline vec FL_(fma)(vec a, vec b, vec c)
{
#if FL_VECTOR_BYTES >= 32
    return (vec)X86(fmadd)(a, b, c);
#elif defined(__aarch64__) && FL_VECTOR_BYTES && FL_BITS == 32
    return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#elif defined(__aarch64__) && FL_VECTOR_BYTES
    return (vec)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
    return a * b + c;
#endif
}

static inline vec FL_(fnma)(vec a, vec b, vec c)
{
#if FL_VECTOR_BYTES >= 32
    return (vec)X86(fnmadd)(a, b, c);
#elif defined(__aarch64__) && FL_VECTOR_BYTES && FL_BITS == 32
    return (vec)vfmsq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#elif defined(__aarch64__) && FL_VECTOR_BYTES
    return (vec)vfmsq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
    return c - a * b;
#endif
}

/* c - a * b where b is not 0, else c: a may be infinite there */
static inline vec FL_(fnma_unless_zero)(vec a, vec b, vec c)
{
#if FL_VECTOR_BYTES == 64
    return (vec)X86(mask3_fnmadd)(a, b, c, X86_COMPARE(b, FL_(splat)(0), _CMP_NEQ_UQ));
#elif FL_VECTOR_BYTES
    const uvec mask = (uvec)(b != FL_(splat)(0));
    return FL_(fnma)(FL_(from_bits)(FL_(bits)(a) & mask), b, c);
#else
    return b == 0 ? c : FL_(fnma)(a, b, c);
#endif
}

/* x where a > b, else y; also y where a or b is NaN */
static inline vec FL_(select_gt)(vec a, vec b, vec x, vec y)
{
#if FL_VECTOR_BYTES == 64
    return (vec)X86(mask_blend)(X86_COMPARE(a, b, _CMP_GT_OQ), y, x);
#elif FL_VECTOR_BYTES == 32
    return (vec)X86(blendv)(y, x, X86(cmp)(a, b, _CMP_GT_OQ));
#elif defined(X86)
    return (vec)X86(blendv)(y, x, X86(cmpgt)(a, b));
#elif FL_VECTOR_BYTES
    const uvec mask = (uvec)(a > b);
    return (vec)(((uvec)x & mask) | ((uvec)y & ~mask));
#else
    return a > b ? x : y;
#endif
}

/* one more than the count in the lanes where a > b */
static inline uvec FL_(count_if_gt)(uvec count, vec a, vec b)
{
#if FL_VECTOR_BYTES == 64 && FL_BITS == 32
    return (uvec)_mm512_mask_sub_epi32((__m512i)count, X86_COMPARE(a, b, _CMP_GT_OQ), (__m512i)count,
                                       _mm512_set1_epi32(-1));
#elif FL_VECTOR_BYTES == 64
    return (uvec)_mm512_mask_sub_epi64((__m512i)count, X86_COMPARE(a, b, _CMP_GT_OQ), (__m512i)count,
                                       _mm512_set1_epi64(-1));
#elif FL_VECTOR_BYTES
    return count - (uvec)(a > b); /* true is -1 */
#else
    return count + (a > b);
#endif
}

/* the sum of the counts of all lanes, as a number with a sign */
static inline FL_(integer) FL_(total_count)(uvec count)
{
    FL_(natural) lane[FL_(lanes)], total = 0;
    memcpy(lane, &count, sizeof count);
    for (int i = 0; i < LANES; i++)
        total += lane[i];
    return (FL_(integer))total;
}

/* x where a == b, else y; also y where a or b is NaN */
static inline vec FL_(select_eq)(vec a, vec b, vec x, vec y)
{
#if FL_VECTOR_BYTES == 64
    return (vec)X86(mask_blend)(X86_COMPARE(a, b, _CMP_EQ_OQ), y, x);
#elif FL_VECTOR_BYTES == 32
    return (vec)X86(blendv)(y, x, X86(cmp)(a, b, _CMP_EQ_OQ));
#elif defined(X86)
    return (vec)X86(blendv)(y, x, X86(cmpeq)(a, b));
#elif FL_VECTOR_BYTES
    const uvec mask = (uvec)(a == b);
    return (vec)(((uvec)x & mask) | ((uvec)y & ~mask));
#else
    return a == b ? x : y;
#endif
}

/* x where the sign bit of a is set, also that of -0 and NaN, else y */
static inline vec FL_(select_signed)(vec a, vec x, vec y)
{
#if FL_VECTOR_BYTES == 64 && FL_BITS == 32
    return (vec)_mm512_mask_blend_ps(_mm512_cmpge_epi32_mask((__m512i)a, _mm512_setzero_si512()), x, y);
#elif FL_VECTOR_BYTES == 64
    return (vec)_mm512_mask_blend_pd(_mm512_cmpge_epi64_mask((__m512i)a, _mm512_setzero_si512()), x, y);
#elif defined(X86)
    return (vec)X86(blendv)(y, x, a);
#else
    const uvec sign = FL_(bits)(a) >> (FL_BITS - 1), mask = (uvec){0} - sign;
    return FL_(from_bits)((FL_(bits)(x) & mask) | (FL_(bits)(y) & ~mask));
#endif
}

/* 1 / x, rounded to nearest, where both are normal numbers and neither is near the ends of the range. A division of a whole register takes as long as eight multiplications;
 * Newton's step doubles the 14 bits of the estimate, and the last step, from a value that is right but for its last bit,
 * rounds correctly (Markstein 1990). */
static inline vec FL_(reciprocal)(vec x)
{
    const vec one = FL_(splat)(1);
#if FL_VECTOR_BYTES == 64
    vec r = (vec)X86(rcp14)(x);
    for (int step = 0; step < (FL_BITS == 32 ? 2 : 3); step++)
        r = FL_(fma)(FL_(fnma)(x, r, one), r, r);
    return r;
#else
    return one / x;
#endif
}

static inline vec FL_(sqrt)(vec v)
{
#ifdef X86
    return (vec)X86(sqrt)(v);
#elif defined(__aarch64__) && FL_VECTOR_BYTES && FL_BITS == 32
    return (vec)vsqrtq_f32((float32x4_t)v);
#elif defined(__aarch64__) && FL_VECTOR_BYTES
    return (vec)vsqrtq_f64((float64x2_t)v);
#else
    real lane[FL_(lanes)];
    FL_(store)(lane, v);
    for (int i = 0; i < LANES; i++)
        lane[i] = FL_BITS == 32 ? (real)sqrtf((float)lane[i]) : (real)sqrt((double)lane[i]);
    return FL_(load)(lane);
#endif
}

/* the larger; b where either is NaN */
static inline vec FL_(max)(vec a, vec b)
{
#ifdef X86
    return (vec)X86(max)(a, b);
#else
    return FL_(select_gt)(a, b, a, b);
#endif
}

/* the larger of unsigned integers */
static inline uvec FL_(max_natural)(uvec a, uvec b)
{
#if FL_VECTOR_BYTES == 64 && FL_BITS == 32
    return (uvec)_mm512_max_epu32((__m512i)a, (__m512i)b);
#elif FL_VECTOR_BYTES == 64
    return (uvec)_mm512_max_epu64((__m512i)a, (__m512i)b);
#elif FL_VECTOR_BYTES == 32 && FL_BITS == 32
    return (uvec)_mm256_max_epu32((__m256i)a, (__m256i)b);
#elif FL_VECTOR_BYTES
    const uvec mask = (uvec)(a > b);
    return (a & mask) | (b & ~mask);
#else
    return a > b ? a : b;
#endif
}

static inline vec FL_(abs)(vec v)
{
    return FL_(from_bits)(FL_(bits)(v) & ~FL_(bits)(FL_(splat)((real)-0.0)));
}

static inline vec FL_(minus_abs)(vec v)
{
    return FL_(from_bits)(FL_(bits)(v) | FL_(bits)(FL_(splat)((real)-0.0)));
}

/* x, with its sign changed where the sign bit of a is set */
static inline vec FL_(flip_sign)(vec x, vec a)
{
    return FL_(from_bits)(FL_(bits)(x) ^ (FL_(bits)(a) & FL_(bits)(FL_(splat)((real)-0.0))));
}

/* how many lanes have a > b */
static inline int FL_(count_gt)(vec a, vec b)
{
#if FL_VECTOR_BYTES == 64
    return __builtin_popcount(X86_COMPARE(a, b, _CMP_GT_OQ));
#elif FL_VECTOR_BYTES == 32
    return __builtin_popcount((unsigned)X86(movemask)(X86(cmp)(a, b, _CMP_GT_OQ)));
#elif defined(X86)
    return __builtin_popcount((unsigned)X86(movemask)(X86(cmpgt)(a, b)));
#else
    real x[FL_(lanes)], y[FL_(lanes)];
    int count = 0;
    FL_(store)(x, a);
    FL_(store)(y, b);
    for (int i = 0; i < LANES; i++)
        count += x[i] > y[i];
    return count;
#endif
}

/* whether the sign bit of any lane is set */
static inline int FL_(any_signed)(vec a)
{
    const vec one = FL_(splat)(1), zero = FL_(splat)(0);
    return FL_(count_gt)(FL_(select_signed)(a, one, zero), zero) > 0;
}

static inline int FL_(any_gt)(vec a, vec b)
{
    return FL_(count_gt)(a, b) > 0;
}

/* false where a lane is NaN */
static inline int FL_(all_gt)(vec a, vec b)
{
    return FL_(count_gt)(a, b) == LANES;
}

static inline real FL_(first_lane)(vec v)
{
    real lane[FL_(lanes)];
    FL_(store)(lane, v);
    return lane[0];
}

static inline real FL_(largest_lane)(vec v)
{
#if FL_VECTOR_BYTES == 64
    return X86(reduce_max)(v);
#else
    real lane[FL_(lanes)];
    FL_(store)(lane, v);
    real m = lane[0];
    for (int i = 1; i < LANES; i++)
        m = m > lane[i] ? m : lane[i];
    return m;
#endif
}

#if FL_BITS == 32
/* As many numbers of 16 bits as a vec has lanes: float16, or bfloat16, which is the upper half of a float32. To float32
 * both are exact, subnormal numbers too; back they are rounded to nearest, to even, and NaN stays NaN. */
#if FL_VECTOR_BYTES
typedef uint16_t fl_halves __attribute__((vector_size(FL_VECTOR_BYTES / 2)));
typedef uint16_t fl_unaligned_halves __attribute__((vector_size(FL_VECTOR_BYTES / 2), aligned(2), may_alias));
#else
typedef uint16_t fl_halves;
typedef uint16_t fl_unaligned_halves;
#endif

/* as integers of 32 bits, and back where the upper 16 are 0 */
static inline uvec fl_spread(fl_halves x)
{
#if FL_VECTOR_BYTES == 64
    return (uvec)_mm512_cvtepu16_epi32((__m256i)x);
#elif FL_VECTOR_BYTES == 32
    return (uvec)_mm256_cvtepu16_epi32((__m128i)x);
#elif FL_VECTOR_BYTES
    return __builtin_convertvector(x, uvec);
#else
    return x;
#endif
}

static inline fl_halves fl_pack(uvec x)
{
#if FL_VECTOR_BYTES == 64
    return (fl_halves)_mm512_cvtepi32_epi16((__m512i)x);
#elif FL_VECTOR_BYTES == 32
    return (fl_halves)_mm_packus_epi32(_mm256_castsi256_si128((__m256i)x), _mm256_extracti128_si256((__m256i)x, 1));
#elif FL_VECTOR_BYTES
    return __builtin_convertvector(x, fl_halves);
#else
    return (fl_halves)x;
#endif
}

static inline vec FL_(from_float16)(fl_halves x)
{
#if FL_VECTOR_BYTES == 64
    return (vec)_mm512_cvtph_ps((__m256i)x);
#elif FL_VECTOR_BYTES == 32
    return (vec)_mm256_cvtph_ps((__m128i)x);
#elif defined(__aarch64__) && FL_VECTOR_BYTES
    return (vec)vcvt_f32_f16(vreinterpret_f16_u16((uint16x4_t)x));
#else
    /* The exponent's bias is made up for by a product, which normalises; the largest exponent stands for no number. */
    const uvec bits = fl_spread(x);
    const vec size = FL_(from_bits)((bits & 0x7fffu) << 13) * FL_(splat)(0x1p112f), zero = FL_(splat)(0);
    const vec largest = FL_(select_gt)(size, FL_(splat)(65504), FL_(splat)(INFINITY), zero);
    return FL_(from_bits)(FL_(bits)(size) | FL_(bits)(largest) | (bits & 0x8000u) << 16);
#endif
}

static inline fl_halves FL_(to_float16)(vec v)
{
#if FL_VECTOR_BYTES == 64
    return (fl_halves)_mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif FL_VECTOR_BYTES == 32
    return (fl_halves)_mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(__aarch64__) && FL_VECTOR_BYTES
    return (fl_halves)vreinterpret_u16_f16(vcvt_f16_f32((float32x4_t)v));
#else
    /* Added to a power of two whose last place is that of the result, a number is rounded there. What is too large
     * becomes infinite on the way up. */
    const uvec bits = FL_(bits)(v), least = FL_(bits)(FL_(splat)(0x1p-14f)), up = FL_(bits)(FL_(splat)(0x1p-112f));
    const uvec power = FL_(max_natural)(bits & FL_(bits)(FL_(splat)(INFINITY)), least) + up;
    const vec size = FL_(abs)(v) * FL_(splat)(0x1p112f) * FL_(splat)(0x1p-110f);
    const uvec sum = FL_(bits)(FL_(from_bits)(power) + size), number = ((sum >> 13) & 0x7c00u) + (sum & 0xfffu);
    const vec some = FL_(from_bits)(number), none = FL_(from_bits)(FL_(bits)(FL_(splat)(0)) + 0x7e00u);
    return fl_pack(FL_(bits)(FL_(select_eq)(v, v, some, none)) | ((bits >> 16) & 0x8000u));
#endif
}

static inline vec FL_(from_bfloat16)(fl_halves x)
{
    return FL_(from_bits)(fl_spread(x) << 16);
}

static inline fl_halves FL_(to_bfloat16)(vec v)
{
    const uvec bits = FL_(bits)(v), upper = bits >> 16;
    const vec number = FL_(from_bits)((bits + 0x7fffu + (upper & 1u)) >> 16);
    return fl_pack(FL_(bits)(FL_(select_eq)(v, v, number, FL_(from_bits)(upper | 0x40u))));
}
#endif

/* Sums run in SUM_LANES partial sums whatever the register, so that every instruction set adds in one order; blocks
 * that are to be summed are padded with zeros to a multiple of it. */
#define SUM_LANES FL_(sum_lanes)
enum { FL_(sum_lanes) = 256 / sizeof(real), FL_(sum_registers) = FL_(sum_lanes) / FL_(lanes) };

/* the sum of the partial sums, halving: lane i and lane i + half, in double from 64 bytes on */
static inline double FL_(add_lanes)(const vec *partial)
{
    real lane[FL_(sum_lanes)];
    double wide[64 / sizeof(real)];
    const int half = SUM_LANES / 2, quarter = SUM_LANES / 4;
    for (int r = 0; r < FL_(sum_registers); r++)
        FL_(store)(lane + r * LANES, partial[r]);
    for (int i = 0; i < half; i++)
        lane[i] += lane[i + half];
    for (int i = 0; i < quarter; i++)
        wide[i] = (double)lane[i] + (double)lane[i + quarter];
    for (int n = quarter / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            wide[i] += wide[i + n];
    return wide[0];
}
