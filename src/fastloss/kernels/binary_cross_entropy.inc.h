/* SPDX-License-Identifier: BSD-3-Clause
 *
 * binary_cross_entropy(p, t) = -t log p - (1 - t) log(1 - p), p and t in [0, 1]
 *
 *   dl/dp = (p - t) / (p (1 - p))       d2l/dp2 = t / p^2 + (1 - t) / (1 - p)^2
 *
 * A term whose factor is 0 is 0. For a hard target its factor cancels: dl/dp is 1 / (1 - p) or -1 / p. The denominators are
 * divided by one after the other, for their product may be too small.
 */
enum { FL_(binary_cross_entropy_logs) = 0, FL_(binary_cross_entropy_busy) = -1, FL_(binary_cross_entropy_ignores) = 0 };

static FL_INLINE FL_(terms) FL_(binary_cross_entropy_at)(vec p, vec t, vec before, const double *option)
{
    (void)option;
    const vec one = FL_(splat)(1), zero = FL_(splat)(0);
    p = FL_(abs)(p); /* -0 becomes 0, whose inverse is +inf */
    const vec f = one - t, q = one - p;
    const vec loss = FL_(fnma_unless_zero)(FL_(log_of_rest)(p), f, zero);
    const vec of_p = FL_(select_eq)(t, zero, one, p), of_q = FL_(select_eq)(f, zero, one, q);
    const vec rise = FL_(select_eq)(t, zero, one, FL_(select_eq)(f, zero, -one, p - t));
    return (FL_(terms)){
        .linear = before + FL_(fnma_unless_zero)(FL_(log)(p), t, loss),
        .gradient = rise / of_p / of_q,
        .hessian = t / of_p / of_p + f / of_q / of_q,
    };
}
