/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Sigmoid cross-entropy of a score z and a target t in [0, 1] with a weight P of its positive part and smoothing e. With
 * t' = (1 - e) t + e / 2, f = 1 - t' and p = sigmoid(z),
 *
 *   l = P t' log(1 + exp(-z)) + f log(1 + exp z)     l' = f p - P t' (1 - p)     l'' = (f + P t') p (1 - p)
 *
 * All of it is written by |z| and u = exp(-|z|), where nothing cancels: `near` is the part of the target on the other side than
 * the score, which costs more the further the score goes, and `far` that on its side.
 *
 * option[]: P, e; the factors of the two logarithms, those of targets 0 and 1, at the end. Where P is 1 all have the first.
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

enum {
    FL_(weighted_sigmoid_cross_entropy_logs) = 2,
    FL_(weighted_sigmoid_cross_entropy_busy) = 0,
    FL_(weighted_sigmoid_cross_entropy_ignores) = 0
};

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
        linear = FL_(select_eq)(soft, one, FL_(fma)(near + far, FL_(log1p_of_part)(u), linear), linear);
    return (FL_(terms)){
        .linear = linear,
        .u = alike ? u : FL_(select_eq)(t, zero, u, zero),
        .v = alike ? zero : FL_(select_eq)(t, one, u, zero),
        .gradient = FL_(flip_sign)(FL_(fnma)(far, u, near) * r, z),
        .hessian = (near + far) * u * r * r,
    };
}
