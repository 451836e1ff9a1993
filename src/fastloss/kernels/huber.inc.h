/* SPDX-License-Identifier: BSD-3-Clause
 *
 * huber(z, t), with d = z - t: d^2 / 2 where |d| <= delta, delta (|d| - delta / 2) beyond
 *
 *   dl/dz = d or delta sign d       d2l/dz2 = 1 or 0
 *
 * option[0] is delta, finite and > 0. Whether it is exceeded is decided by all of its digits, not by those that the
 * type of the scores holds.
 */
enum { FL_(huber_logs) = 0, FL_(huber_busy) = 0, FL_(huber_ignores) = 0 };

static FL_INLINE FL_(terms) FL_(huber_at)(vec z, vec t, vec before, const double *option)
{
    const vec d = z - t, size = FL_(abs)(d), one = FL_(splat)(1), zero = FL_(splat)(0), half = FL_(splat)((real)0.5);
    const vec delta = FL_(splat)((real)option[0]), excess = (size - delta) - FL_(rest_of_option)(option[0]);
    /* the line as delta (|d| - delta / 2), the parabola as |d| (|d| - |d| / 2); NaN takes the parabola */
    const vec factor = FL_(select_gt)(excess, zero, delta, size);
    return (FL_(terms)){
        .linear = FL_(fma)(factor, FL_(fnma)(half, factor, size), before),
        .gradient = FL_(flip_sign)(factor, d),
        .hessian = FL_(select_gt)(excess, zero, zero, FL_(select_eq)(d, d, one, zero)),
    };
}
