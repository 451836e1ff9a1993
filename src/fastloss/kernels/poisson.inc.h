/* SPDX-License-Identifier: BSD-3-Clause
 *
 * poisson(z, t), for t >= 0 and the logarithm z of the mean, or the mean z itself, which is >= 0:
 *
 *   e^z - t z        dl/dz = e^z - t        d2l/dz2 = e^z
 *   z - t log z      dl/dz = (z - t) / z    d2l/dz2 = t / z^2
 *
 * A product in which one factor is 0 is 0, also where the other is infinite; towards a mean of +inf the mean outgrows
 * the rest. option[0] is 1 where scores are logarithms and else 0.
 */
enum { FL_(poisson_logs) = 0, FL_(poisson_busy) = -1, FL_(poisson_ignores) = 0 };

static FL_INLINE FL_(terms) FL_(poisson_at)(vec z, vec t, vec before, const double *option)
{
    const vec one = FL_(splat)(1), zero = FL_(splat)(0), largest = FL_(splat)(FL_LARGEST);
    const int logarithms = option[0] != 0;
    z = logarithms ? z : FL_(abs)(z); /* -0 becomes 0, whose inverse is +inf */
    const vec mean = logarithms ? FL_(exp)(z) : z, log_mean = logarithms ? z : FL_(log)(z);
    const vec finite_t = FL_(select_gt)(t, largest, largest, t);
    const vec factor = FL_(select_eq)(log_mean, zero, finite_t, t);
    const vec loss = FL_(fnma_unless_zero)(log_mean, factor, mean);
    /* where the mean is infinite: so is the loss, unless t is infinite or NaN */
    const vec limit = mean + (t - t), outgrown = FL_(select_gt)(mean, largest, limit, loss);
    /* without a target the mean cancels; 1 instead of what is so small that the difference would be 0 */
    const vec divisor = FL_(select_eq)(t, zero, FL_(select_gt)(FL_(splat)(FL_SMALLEST), z, one, z), z);
    const vec ratio = (divisor - t) / divisor;
    return (FL_(terms)){
        .linear = before + outgrown,
        .gradient = logarithms ? mean - t : FL_(select_gt)(z, largest, one + (t - t), ratio),
        .hessian = logarithms ? mean : t / divisor / divisor,
    };
}
