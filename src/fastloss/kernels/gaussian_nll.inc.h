/* SPDX-License-Identifier: BSD-3-Clause
 *
 * gaussian_nll(z, (t, v)) = (log v + d^2 / v) / 2 with d = z - t       dl/dz = d / v       d2l/dz2 = 1 / v
 */
enum { FL_(gaussian_nll_shared) = 0 };

static FL_INLINE FL_(terms) FL_(gaussian_nll_at)(vec z, vec t, vec v, const double *option)
{
    (void)option;
    const vec one = FL_(splat)(1), half = FL_(splat)((real)0.5);
    const vec d = z - t, slope = d / v;
    return (FL_(terms)){
        .linear = half * FL_(fma)(d, slope, FL_(log)(v)),
        .gradient = slope,
        .hessian = one / v,
    };
}
