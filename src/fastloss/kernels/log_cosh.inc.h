/* SPDX-License-Identifier: BSD-3-Clause
 *
 * log_cosh(z, t) = log cosh d with d = z - t        dl/dz = tanh d        d2l/dz2 = 1 / cosh^2 d
 *
 * Near 0, where log cosh d cancels, it is log(1 + u) with u = cosh d - 1, and tanh d = sinh d / cosh d, both by their
 * series. From |d| = 1 on it is |d| - log 2 + log(1 + u) with u = exp(-2 |d|), tanh |d| = (1 - u) / (1 + u) and
 * 1 / cosh^2 d = 4 u / (1 + u)^2.
 */
enum { FL_(log_cosh_logs) = 1, FL_(log_cosh_busy) = 0, FL_(log_cosh_ignores) = 0 };

static FL_INLINE FL_(terms) FL_(log_cosh_at)(vec z, vec t, vec before, const double *option)
{
    (void)option;
    const vec d = z - t, size = FL_(abs)(d), one = FL_(splat)(1), x = d * d;
    /* (cosh d - 1) / d^2 = 1/2! + x/4! + ... and sinh d / d = 1 + x/3! + ...; for x <= 1 what is left out is below 2^-25
     * (2^-56) of the sum */
#if FL_BITS == 32
    vec c = FL_(splat)((real)(1.0 / 3628800.0));
    vec s = FL_(splat)((real)(1.0 / 362880.0));
#else
    vec c = FL_(splat)(1.0 / 6402373705728000.0);
    vec s = FL_(splat)(1.0 / 355687428096000.0);
    c = FL_(fma)(c, x, FL_(splat)(1.0 / 20922789888000.0));
    s = FL_(fma)(s, x, FL_(splat)(1.0 / 1307674368000.0));
    c = FL_(fma)(c, x, FL_(splat)(1.0 / 87178291200.0));
    s = FL_(fma)(s, x, FL_(splat)(1.0 / 6227020800.0));
    c = FL_(fma)(c, x, FL_(splat)(1.0 / 479001600.0));
    s = FL_(fma)(s, x, FL_(splat)(1.0 / 39916800.0));
    c = FL_(fma)(c, x, FL_(splat)(1.0 / 3628800.0));
    s = FL_(fma)(s, x, FL_(splat)(1.0 / 362880.0));
#endif
    c = FL_(fma)(c, x, FL_(splat)((real)(1.0 / 40320.0)));
    s = FL_(fma)(s, x, FL_(splat)((real)(1.0 / 5040.0)));
    c = FL_(fma)(c, x, FL_(splat)((real)(1.0 / 720.0)));
    s = FL_(fma)(s, x, FL_(splat)((real)(1.0 / 120.0)));
    c = FL_(fma)(c, x, FL_(splat)((real)(1.0 / 24.0)));
    s = FL_(fma)(s, x, FL_(splat)((real)(1.0 / 6.0)));
    c = FL_(fma)(c, x, FL_(splat)((real)0.5));
    s = FL_(fma)(s * x, size, size);
    const vec far = FL_(exp_minus)(d + d), log_two = FL_(splat)((real)0.69314718055994530942);
    /* NaN is not below 1, and stays on either side */
    const vec u = FL_(select_gt)(one, size, c * x, far), r = FL_(reciprocal)(one + u);
    const vec near_slope = s * r, far_slope = (one - u) * r;
    return (FL_(terms)){
        .linear = FL_(select_gt)(one, size, before, before + (size - log_two)),
        .u = u,
        .gradient = FL_(flip_sign)(FL_(select_gt)(one, size, near_slope, far_slope), d),
        .hessian = FL_(select_gt)(one, size, one, FL_(splat)(4) * u) * r * r,
    };
}
