/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Activations and their derivatives, from u = exp(-|x|) and 1 - u, which loses nothing near 0:
 *
 *   bounded_sigmoid   low + (high - low) / (1 + exp(-x))     (high - low) u / (1 + u)^2     option: low, high
 *   tanh              tanh x                                 4 u / (1 + u)^2, u of 2 x
 *   elu               x, or alpha (exp x - 1) for x <= 0     1, or alpha exp x              option: alpha
 *   leaky_relu        x, or slope x for x <= 0               1, or slope                    option: slope
 *
 * tests/test_math.py asserts their bounds.
 */

/* From the limit that is near, or for |x| < 1, where the limits may have other signs, from the middle:
 * (low + high) / 2 + (high - low) / 2 tanh(x / 2). Twice the distance of the limits need not be a finite number. */
static FL_INLINE FL_(curve) FL_(bounded_sigmoid_at)(vec x, const double *option)
{
    const vec minus_low = FL_(splat)(-(real)option[0]), high = FL_(splat)((real)option[1]), one = FL_(splat)(1);
    const vec middle = FL_(splat)((real)(option[0] / 2 + option[1] / 2));
    const vec half = FL_(splat)((real)(option[1] / 2 - option[0] / 2));
    const FL_(decay) u = FL_(decay_of)(x);
    const vec r = FL_(reciprocal)(one + u.left), step = half * (u.left * (r + r));
    const vec near_limit = FL_(flip_sign)(FL_(select_signed)(x, minus_low, high) - step, x);
    const vec near_middle = middle + FL_(flip_sign)(half * (u.gone * r), x);
    return (FL_(curve)){.value = FL_(select_gt)(one, FL_(abs)(x), near_middle, near_limit), .derivative = step * r};
}

static FL_INLINE FL_(curve) FL_(tanh_at)(vec x, const double *option)
{
    (void)option;
    const FL_(decay) u = FL_(decay_of)(x + x);
    const vec r = FL_(reciprocal)(FL_(splat)(1) + u.left);
    return (FL_(curve)){
        .value = FL_(flip_sign)(u.gone * r, x),
        .derivative = FL_(splat)(4) * u.left * r * r,
    };
}

static FL_INLINE FL_(curve) FL_(elu_at)(vec x, const double *option)
{
    const vec alpha = FL_(splat)((real)option[0]), zero = FL_(splat)(0);
    const FL_(decay) u = FL_(decay_of)(x);
    return (FL_(curve)){
        .value = FL_(select_gt)(zero, x, zero - alpha * u.gone, x),
        .derivative = FL_(select_gt)(x, zero, FL_(splat)(1), alpha * u.left),
    };
}

static FL_INLINE FL_(curve) FL_(leaky_relu_at)(vec x, const double *option)
{
    const real factor = (real)option[0];
    const vec slope = FL_(splat)(factor), zero = FL_(splat)(0), below = FL_(product)(factor, x);
    const vec derivative = FL_(select_gt)(x, zero, FL_(splat)(1), slope);
    return (FL_(curve)){
        .value = FL_(select_gt)(x, zero, x, below),
        .derivative = FL_(select_eq)(x, x, derivative, x), /* NaN */
    };
}
