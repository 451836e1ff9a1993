/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Elementary functions on vectors, once per element type. Bounds hold with fused multiply-add and are asserted by
 * tests/test_math.py; the baseline instruction set, which has none, is allowed one ULP more. Polynomials come from
 * tools/fit_polynomials.py. ln 2 is split as in Cody and Waite (1980): the first part has so few bits that n times it
 * is exact.
 */
#if FL_BITS == 32
#define FL_LN2_HIGH 0.693359375f /* 9 bits: exact for |n| < 2^15 */
#define FL_LN2_LOW -2.12194440e-4f
#define FL_LOG2_E 1.44269504f
#define FL_ROUNDER 12582912.0f /* 1.5 * 2^23: adding it leaves the nearest integer in the low bits */
#define FL_MANTISSA 23
#define FL_BIAS 127
#define FL_SQRT_HALF_BITS 0x3f3504f3
#define FL_PAST_EXP 89 /* exp of it overflows, and a quarter of that does not */
#else
#define FL_LN2_HIGH 6.93147180369123816490e-01 /* 32 bits: exact for |n| < 2^20 */
#define FL_LN2_LOW 1.90821492927058770002e-10
#define FL_LOG2_E 1.44269504088896340736
#define FL_ROUNDER 6755399441055744.0 /* 1.5 * 2^52 */
#define FL_MANTISSA 52
#define FL_BIAS 1023
#define FL_SQRT_HALF_BITS 0x3fe6a09e667f3bcd
#define FL_PAST_EXP 710
#endif

/* Scores up to this size are reduced as they are; larger ones are first taken relative to the row's maximum. */
#define FL_FAR 2048

/* How many powers of two exponentials are shifted down by, per lane, in the form in which exp_shifted wants it. */
typedef struct {
    vec rounder, lowest;
} FL_(shift);

static inline FL_(shift) FL_(shift_of)(vec powers)
{
    return (FL_(shift)){
        .rounder = FL_(splat)(FL_ROUNDER + FL_BIAS) - powers,
        .lowest = (powers - FL_(splat)(FL_BIAS)) * FL_(splat)((real)0.69314718055994530942),
    };
}

/* the integer nearest to x / ln 2, as a number */
static inline vec FL_(powers_of_two)(vec x)
{
    const vec rounder = FL_(splat)(FL_ROUNDER);
    return FL_(fma)(x, FL_(splat)(FL_LOG2_E), rounder) - rounder;
}

/* x = n ln 2 + r with |r| <= ln 2 / 2, and 2^(n - shift). The power is right for (shift - FL_BIAS) ln 2 < x <=
 * (shift + FL_BIAS) ln 2, x <= FL_FAR; what is below is raised to `lowest`, whose power of two has the exponent bits of 0 and
 * so is 0. NaN stays NaN in r. */
typedef struct {
    vec r, power;
} FL_(reduced);

static inline FL_(reduced) FL_(reduce)(vec x, FL_(shift) shift)
{
    x = FL_(max)(shift.lowest, x);
    const vec t = FL_(fma)(x, FL_(splat)(FL_LOG2_E), shift.rounder);
    const vec n = t - shift.rounder;
    vec r = FL_(fnma)(n, FL_(splat)(FL_LN2_HIGH), x);
    r = FL_(fnma)(n, FL_(splat)(FL_LN2_LOW), r);
    /* t carries n - shift + bias in its low bits: moved up, they are the power of two itself */
    return (FL_(reduced)){.r = r, .power = FL_(from_bits)(FL_(bits)(t) << FL_MANTISSA)};
}

/* (exp(r) - 1 - r) / r^2 for |r| <= ln 2 / 2 */
static inline vec FL_(exp_tail)(vec r)
{
#if FL_BITS == 32
    vec p = FL_(splat)(0.001381459865f);
    p = FL_(fma)(p, r, FL_(splat)(0.00836871688f));
    p = FL_(fma)(p, r, FL_(splat)(0.04166838805f));
    p = FL_(fma)(p, r, FL_(splat)(0.1666652063f));
    p = FL_(fma)(p, r, FL_(splat)(0.4999999345f));
#else
    vec p = FL_(splat)(2.50000616028356667e-8);
    p = FL_(fma)(p, r, FL_(splat)(2.7630248379211444e-7));
    p = FL_(fma)(p, r, FL_(splat)(2.75575863738401637e-6));
    p = FL_(fma)(p, r, FL_(splat)(0.0000248014930989065507));
    p = FL_(fma)(p, r, FL_(splat)(0.000198412695065786877));
    p = FL_(fma)(p, r, FL_(splat)(0.00138888889436301129));
    p = FL_(fma)(p, r, FL_(splat)(0.00833333333349446166));
    p = FL_(fma)(p, r, FL_(splat)(0.0416666666665301586));
    p = FL_(fma)(p, r, FL_(splat)(0.166666666666664125));
    p = FL_(fma)(p, r, FL_(splat)(0.500000000000001063));
#endif
    return p;
}

/* exp(x) * 2^-shift, x <= FL_FAR. The mantissa does not depend on the shift. At most 1.0 ULP. Results below 2^-126
 * (2^-1022) are exactly 0, so exp(-inf) is 0; NaN stays NaN. The result must not overflow: x <= (shift + FL_BIAS) ln 2. */
static inline vec FL_(exp_shifted)(vec x, FL_(shift) shift)
{
    const vec one = FL_(splat)(1);
    const FL_(reduced) at = FL_(reduce)(x, shift);
    return FL_(fma)(FL_(fma)(FL_(exp_tail)(at.r), at.r, one), at.r, one) * at.power;
}

/* exp(-|x|), at most 1.0 ULP, and 1 - exp(-|x|), at most 1.5 ULP, relative also where x is tiny; of any x, as exp_shifted */
typedef struct {
    vec left, gone;
} FL_(decay);

static inline FL_(decay) FL_(decay_of)(vec x)
{
    const vec one = FL_(splat)(1);
    const FL_(reduced) at = FL_(reduce)(FL_(minus_abs)(x), FL_(shift_of)(FL_(splat)(0)));
    const vec grown = FL_(fma)(at.r * at.r, FL_(exp_tail)(at.r), at.r); /* exp(r) - 1 */
    return (FL_(decay)){
        .left = (one + grown) * at.power,
        .gone = FL_(fnma)(at.power, grown, one - at.power),
    };
}

/* An integer below 2^FL_MANTISSA is written into the mantissa of this number, which then is taken off again. */
#define FL_TWO_MANTISSA ((real)((FL_(natural))1 << FL_MANTISSA))
#define FL_LOWEST_POWER (FL_BIAS - 1) /* a normal number is 2^k m with 1/2 <= m^2 < 2 and k + FL_LOWEST_POWER >= 0 */

/* log(w 2^-powers) + correction for normal w, with FL_TWO_MANTISSA + FL_LOWEST_POWER + powers given as `base`.
 * log(+inf) is +inf; NaN in the correction is kept, NaN in w alone is not. */
static inline vec FL_(log_scaled)(vec w, vec base, vec correction)
{
    const FL_(natural) origin = FL_SQRT_HALF_BITS - ((FL_(natural))FL_LOWEST_POWER << FL_MANTISSA);
    const uvec raised = (FL_(bits)(w) - origin) >> FL_MANTISSA;
    const vec m = FL_(from_bits)(FL_(bits)(w) - ((raised - FL_LOWEST_POWER) << FL_MANTISSA));
    const vec k = FL_(from_bits)(raised | FL_(bits)(FL_(splat)(FL_TWO_MANTISSA))) - base;
    const vec f = m - FL_(splat)(1);
    const vec s = f / (f + FL_(splat)(2)), x = s * s, half_square = f * f * FL_(splat)((real)0.5);
#if FL_BITS == 32
    vec p = FL_(splat)(0.2987172776f);
    p = FL_(fma)(p, x, FL_(splat)(0.3997754158f));
    p = FL_(fma)(p, x, FL_(splat)(0.6666677638f));
#else
    vec p = FL_(splat)(0.147959497005828583);
    p = FL_(fma)(p, x, FL_(splat)(0.153140505521127136));
    p = FL_(fma)(p, x, FL_(splat)(0.181835643261196752));
    p = FL_(fma)(p, x, FL_(splat)(0.222221985731845248));
    p = FL_(fma)(p, x, FL_(splat)(0.285714287423876227));
    p = FL_(fma)(p, x, FL_(splat)(0.399999999994146784));
    p = FL_(fma)(p, x, FL_(splat)(0.666666666666673441));
#endif
    /* log(1 + f) = f - f^2/2 + s (f^2/2 + s^2 p(s^2)), as in fdlibm's e_log.c: the small terms are summed first */
    vec small = FL_(fma)(s, FL_(fma)(p, x, half_square), FL_(fma)(k, FL_(splat)(FL_LN2_LOW), correction));
    vec y = FL_(fma)(k, FL_(splat)(FL_LN2_HIGH), f - (half_square - small));
    return FL_(select_gt)(w, FL_(splat)(FL_LARGEST), w, y);
}

/* log(w) + c / w for normal w, where c is what was lost in rounding w; at most 1.5 ULP of the result for w >= 1 */
static inline vec FL_(log_corrected)(vec w, vec c)
{
    return FL_(log_scaled)(w, FL_(splat)(FL_TWO_MANTISSA + FL_LOWEST_POWER), c / w);
}

/* log(x) for x >= 0, subnormal numbers included, at most 1.0 ULP; log(0) is -inf, +inf and NaN stay */
static inline vec FL_(log)(vec x)
{
    const vec base = FL_(splat)(FL_TWO_MANTISSA + FL_LOWEST_POWER), smallest = FL_(splat)(FL_SMALLEST);
    const int powers = FL_MANTISSA + 1; /* make a subnormal number normal */
    const vec factor = FL_(splat)((real)((FL_(natural))1 << powers));
    const vec w = FL_(select_gt)(smallest, x, x * factor, x);
    const vec own_base = FL_(select_gt)(smallest, x, base + FL_(splat)((real)powers), base);
    return FL_(select_eq)(x, FL_(splat)(0), FL_(splat)(-INFINITY), FL_(log_scaled)(w, own_base, x - x));
}

/* log(1 - p) for p in [0, 1], at most 1.0 ULP, relative also where p is tiny; -inf for 1, NaN stays */
static inline vec FL_(log_of_rest)(vec p)
{
    const vec one = FL_(splat)(1), w = one - p, lost = (one - w) - p;
    return FL_(select_eq)(w, FL_(splat)(0), FL_(splat)(-INFINITY), FL_(log_corrected)(w, lost));
}

/* log(1 + u) for u >= -0.5, at most 2 ULP, relative also where u is tiny; +inf and NaN stay */
static inline vec FL_(log1p)(vec u)
{
    const vec one = FL_(splat)(1), w = u + one;
    /* what the sum lost, exact whichever of the two is larger (Knuth's TwoSum) */
    const vec back = w - u;
    const vec lost = (u - (w - back)) + (one - back);
    return FL_(log_corrected)(w, lost);
}

/* log(1 + u) for u in [0, 1], at most 1.5 ULP, relative also where u is tiny; NaN stays. As log_scaled of 1 + u would be,
 * which here need not be reduced: f = u, and s = u / (2 + u) goes up to 1/3. */
static inline vec FL_(log1p_of_part)(vec u)
{
    const vec s = u * FL_(reciprocal)(u + FL_(splat)(2)), x = s * s, half = u * FL_(splat)((real)0.5);
    const vec half_square = half * u;
#if FL_BITS == 32
    vec p = FL_(splat)(0.2802445879f);
    p = FL_(fma)(p, x, FL_(splat)(0.2799914109f));
    p = FL_(fma)(p, x, FL_(splat)(0.4002169906f));
    p = FL_(fma)(p, x, FL_(splat)(0.6666641313f));
#else
    vec p = FL_(splat)(0.170185800640972267);
    p = FL_(fma)(p, x, FL_(splat)(0.0834009877232041986));
    p = FL_(fma)(p, x, FL_(splat)(0.121060869210614116));
    p = FL_(fma)(p, x, FL_(splat)(0.13300973496568371));
    p = FL_(fma)(p, x, FL_(splat)(0.153865599302846228));
    p = FL_(fma)(p, x, FL_(splat)(0.181817439245675965));
    p = FL_(fma)(p, x, FL_(splat)(0.222222239697419881));
    p = FL_(fma)(p, x, FL_(splat)(0.285714285478536921));
    p = FL_(fma)(p, x, FL_(splat)(0.400000000001572445));
    p = FL_(fma)(p, x, FL_(splat)(0.666666666666663038));
#endif
    return FL_(fma)(s, FL_(fma)(p, x, half_square), FL_(fnma)(half, u, u));
}

/* exp(x) of any x, at most 1.0 ULP. What overflows is +inf; results below 2^-126 (2^-1022) are exactly 0; NaN stays. Large
 * results are made two powers of two too small, for the exponent of the largest is not one that exp_shifted can make. */
static inline vec FL_(exp)(vec x)
{
    const vec zero = FL_(splat)(0), two = FL_(splat)(2), past = FL_(splat)(FL_PAST_EXP);
    x = FL_(select_gt)(x, past, past, x);
    const vec small = FL_(exp_shifted)(x, FL_(shift_of)(FL_(select_gt)(x, zero, two, zero)));
    return small * FL_(select_gt)(x, zero, FL_(splat)(4), FL_(splat)(1));
}

/* exp(-|x|), of any size: what is too large for the reduction is far below */
static inline vec FL_(exp_minus)(vec x)
{
    return FL_(exp_shifted)(FL_(minus_abs)(x), FL_(shift_of)(FL_(splat)(0)));
}
