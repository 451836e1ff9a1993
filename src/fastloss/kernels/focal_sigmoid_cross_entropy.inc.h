/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Weighted sigmoid cross-entropy c, held back by a power of the part of the probability that is on the wrong side. With
 * t', f and p as there, m = t' (1 - p) + f p, A = a t' + b f, and the rate k = m' / m = (f - t') p (1 - p) / m,
 *
 *   l = A m^gamma c     l' = A m^gamma (gamma k c + c')
 *   l'' = A m^gamma (gamma ((gamma - 1) k^2 + (1 - 2 p) k) c + 2 gamma k c' + c'')
 *
 * option[]: P, e, gamma, a, b. P comes with each element if there are several, and is shared if there is one.
 */
enum { FL_(focal_sigmoid_cross_entropy_shared) = 1 };

static FL_INLINE FL_(terms) FL_(focal_sigmoid_cross_entropy_at)(vec z, vec t, vec weight, const double *option)
{
    const vec one = FL_(splat)(1), zero = FL_(splat)(0), gamma = FL_(splat)((real)option[2]);
    const FL_(decay) decay = FL_(decay_of)(z);
    const vec u = decay.left, r = FL_(reciprocal)(one + u);
    const FL_(parts) part = FL_(smooth_parts)(t, option[1]);
    const vec target = part.target * weight;
    const vec near = FL_(select_signed)(z, target, part.rest), far = FL_(select_signed)(z, part.rest, target);
    const vec loss = FL_(fnma_unless_zero)(FL_(minus_abs)(z), near, (near + far) * FL_(log1p_of_part)(u));
    const vec slope = FL_(fnma)(far, u, near) * r, curvature = (near + far) * u * r * r;
    /* the same parts without the weight make m */
    const vec wrong = FL_(select_signed)(z, part.target, part.rest),
              right = FL_(select_signed)(z, part.rest, part.target);
    const vec missed = FL_(fma)(right, u, wrong), some = FL_(max)(missed, FL_(splat)(4 * FL_SMALLEST));
    const vec spread = FL_(select_eq)(wrong, zero, r, u * r * FL_(reciprocal)(some));
    const vec balance = FL_(fma)(FL_(splat)((real)option[3]), part.target, FL_(splat)((real)option[4]) * part.rest);
    const vec focus = balance * FL_(power)(missed * r, (real)option[2]);
    const vec rate = (wrong - right) * spread, first = gamma * rate;
    const vec bend = FL_(fma)(gamma - one, rate, zero - decay.gone * r) * first;
    return (FL_(terms)){
        .linear = FL_(select_eq)(loss, loss, FL_(of_amount)(focus, loss), loss), /* NaN stays */
        .gradient = FL_(flip_sign)(focus * (FL_(of_amount)(first, loss) + slope), z),
        .hessian = focus * (FL_(of_amount)(bend, loss) + FL_(fma)(first + first, slope, curvature)),
    };
}
