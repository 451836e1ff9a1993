/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sigmoid cross-entropy with options, of a score z and a target t in [0, 1]. With smoothing e, weight P of the positive part,
 * t' = (1 - e) t + e / 2, f = 1 - t' and p = sigmoid(z),
 *
 *   weighted_sigmoid_cross_entropy   c = P t' log(1 + exp(-z)) + f log(1 + exp z)
 *                                    c' = f p - P t' (1 - p)       c'' = (f + P t') p (1 - p)
 *   focal_sigmoid_cross_entropy      l = A m^gamma c with m = t' (1 - p) + f p, A = a t' + b f, and with the rate
 *                                    k = m' / m = (f - t') p (1 - p) / m
 *                                    l' = A m^gamma (gamma k c + c')
 *                                    l'' = A m^gamma (gamma ((gamma - 1) k^2 + (1 - 2 p) k) c + 2 gamma k c' + c'')
 *
 * All of it is written by |z| and u = exp(-|z|), where nothing cancels: `near` is the part of the target on the other side than
 * the score, which costs more the further the score goes, and `far` that on its side.
 *
 * option[]: P, e, and for the second gamma, a, b. The first has the factors of its two logarithms at the end: those of targets
 * 0 and 1. Where P is 1 all have the first. P comes with each element if there are several.
 */
typedef struct {
    vec target, rest;
} FL_(parts);

/* t' and 1 - t', each without cancellation */
static FL_INLINE FL_(parts) FL_(smooth_parts)(vec t, double smoothing)
{
    const vec kept = FL_(splat)((real)(1 - smoothing)), half = FL_(splat)((real)(smoothing / 2));
    return (FL_(parts)){FL_(fma)(kept, t, half), FL_(fma)(kept, FL_(splat)(1) - t, half)};
}

enum { FL_(weighted_sigmoid_cross_entropy_logs) = 2, FL_(weighted_sigmoid_cross_entropy_busy) = 0 };

static FL_INLINE FL_(terms) FL_(weighted_sigmoid_cross_entropy_at)(vec z, vec t, vec before, const double *option)
{
    const vec one = FL_(splat)(1), zero = FL_(splat)(0), u = FL_(exp_minus)(z), r = FL_(reciprocal)(one + u);
    const FL_(parts) part = FL_(smooth_parts)(t, option[1]);
    const vec target = part.target * FL_(splat)((real)option[0]);
    const vec near = FL_(select_signed)(z, target, part.rest), far = FL_(select_signed)(z, part.rest, target);
    const int alike = option[0] == 1;
    vec linear = FL_(fnma_unless_zero)(FL_(minus_abs)(z), near, before);
    /* a logarithm of an element alone, whose factor is not that of many */
    const vec soft = FL_(select_eq)(t, zero, zero, FL_(select_eq)(t, one, zero, one));
    if (!alike && FL_(any_gt)(soft, zero))
        linear = FL_(select_eq)(soft, one, FL_(fma)(near + far, FL_(log1p)(u), linear), linear);
    return (FL_(terms)){
        .linear = linear,
        .u = alike ? u : FL_(select_eq)(t, zero, u, zero),
        .v = alike ? zero : FL_(select_eq)(t, one, u, zero),
        .gradient = FL_(flip_sign)(FL_(fnma)(far, u, near) * r, z),
        .hessian = (near + far) * u * r * r,
    };
}

static FL_INLINE FL_(terms) FL_(focal_sigmoid_cross_entropy_at)(vec z, vec t, vec weight, const double *option)
{
    const vec one = FL_(splat)(1), zero = FL_(splat)(0), gamma = FL_(splat)((real)option[2]);
    const FL_(decay) decay = FL_(decay_of)(z);
    const vec u = decay.left, r = FL_(reciprocal)(one + u);
    const FL_(parts) part = FL_(smooth_parts)(t, option[1]);
    const vec target = part.target * weight;
    const vec near = FL_(select_signed)(z, target, part.rest), far = FL_(select_signed)(z, part.rest, target);
    const vec loss = FL_(fnma_unless_zero)(FL_(minus_abs)(z), near, (near + far) * FL_(log1p)(u));
    const vec slope = FL_(fnma)(far, u, near) * r, curvature = (near + far) * u * r * r;
    /* the same parts without the weight make m */
    const vec wrong = FL_(select_signed)(z, part.target, part.rest),
              right = FL_(select_signed)(z, part.rest, part.target);
    const vec missed = FL_(fma)(right, u, wrong), spread = FL_(select_eq)(wrong, zero, r, u * r / missed);
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
