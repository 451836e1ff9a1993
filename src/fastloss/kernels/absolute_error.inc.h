/* SPDX-License-Identifier: BSD-3-Clause
 *
 * absolute_error(z, t) = |d| with d = z - t        dl/dz = sign d, 0 at the kink        d2l/dz2 = 0
 */
enum { FL_(absolute_error_logs) = 0, FL_(absolute_error_busy) = 0, FL_(absolute_error_ignores) = 0 };

static FL_INLINE FL_(terms) FL_(absolute_error_at)(vec z, vec t, vec before, const double *option)
{
    (void)option;
    const vec d = z - t, one = FL_(splat)(1), zero = FL_(splat)(0);
    return (FL_(terms)){
        .linear = before + FL_(abs)(d),
        .gradient = FL_(select_gt)(d, zero, one, FL_(select_gt)(zero, d, -one, d)), /* NaN is neither, and stays */
        .hessian = zero,
    };
}
