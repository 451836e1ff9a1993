/* SPDX-License-Identifier: BSD-3-Clause
 *
 * squared_error(z, t) = d^2 with d = z - t        dl/dz = 2 d        d2l/dz2 = 2
 */
enum { FL_(squared_error_logs) = 0, FL_(squared_error_busy) = 0, FL_(squared_error_ignores) = 0 };

static FL_INLINE FL_(terms) FL_(squared_error_at)(vec z, vec t, vec before, const double *option)
{
    (void)option;
    const vec d = z - t;
    return (FL_(terms)){
        .linear = FL_(fma)(d, d, before),
        .gradient = d + d,
        .hessian = FL_(splat)(2),
    };
}
