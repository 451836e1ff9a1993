/* SPDX-License-Identifier: BSD-3-Clause
 *
 * hinge(z, t) = max(0, d)^q with d = margin - s z, where s is 1 for t > 0 and else -1
 *
 *   dl/dz = -s q d^(q - 1) where d > 0, 0 at the kink       d2l/dz2 = q (q - 1) where d > 0
 *
 * option[0] is the margin, option[1] the power q, 1 or 2. Whether d > 0 is decided by all digits of the margin, not by
 * those that the type of the scores holds. Targets are -1, 0 or 1; any other makes the loss NaN, which the driver is
 * told by.
 */
enum { FL_(hinge_logs) = 0, FL_(hinge_busy) = 0, FL_(hinge_ignores) = 0 };

static FL_INLINE FL_(terms) FL_(hinge_at)(vec z, vec t, vec before, const double *option)
{
    const vec one = FL_(splat)(1), zero = FL_(splat)(0), margin = FL_(splat)((real)option[0]), size = FL_(abs)(t);
    const vec ahead = FL_(select_gt)(t, zero, z, -z), d = (margin - ahead) + FL_(rest_of_option)(option[0]);
    const vec violation = FL_(select_gt)(zero, d, zero, d); /* NaN stays */
    const vec violated = FL_(select_gt)(d, zero, one, violation);
    const vec wrong = FL_(select_eq)(size, one, zero, FL_(select_eq)(size, zero, zero, FL_(splat)(NAN)));
    const int square = option[1] == 2;
    const vec slope = square ? violation + violation : violated;
    return (FL_(terms)){
        .linear = FL_(fma)(violation, square ? violation : one, before) + wrong,
        .gradient = zero - FL_(select_gt)(t, zero, slope, -slope), /* never -0 */
        .hessian = square ? violated + violated : violated - violated,
    };
}
