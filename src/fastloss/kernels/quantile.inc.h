/* SPDX-License-Identifier: BSD-3-Clause
 *
 * quantile(z, t) = q max(0, -d) + (1 - q) max(0, d) with d = z - t
 *
 *   dl/dz = 1 - q where d > 0, -q where d < 0, 0 at the kink       d2l/dz2 = 0
 *
 * option[0] is q, in (0, 1).
 */
enum { FL_(quantile_logs) = 0, FL_(quantile_busy) = 0, FL_(quantile_ignores) = 0 };

static FL_INLINE FL_(terms) FL_(quantile_at)(vec z, vec t, vec before, const double *option)
{
    const vec d = z - t, zero = FL_(splat)(0);
    const vec below = FL_(splat)((real)option[0]), above = FL_(splat)((real)(1 - option[0]));
    return (FL_(terms)){
        .linear = FL_(fma)(FL_(abs)(d), FL_(select_gt)(d, zero, above, below), before),
        .gradient = FL_(select_gt)(d, zero, above, FL_(select_gt)(zero, d, -below, d)), /* NaN is neither, and stays */
        .hessian = zero,
    };
}
