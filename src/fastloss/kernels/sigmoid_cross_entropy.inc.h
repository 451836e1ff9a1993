/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sigmoid_cross_entropy(z, t) = log(1 + exp z) - t z, binary cross-entropy of sigmoid(z) and t in [0, 1]
 *
 *   dl/dz = sigmoid(z) - t       d2l/dz2 = sigmoid(z) (1 - sigmoid(z))
 *
 * With u = exp(-|z|) and a the distance of the target from the side the score is on (1 - t where z is positive, else t):
 * l = |z| a + log(1 + u) and dl/dz = +-(a - u / (1 + u)), where nothing cancels. An infinite score on the target's side
 * loses 0.
 */
enum {
    FL_(sigmoid_cross_entropy_logs) = 1,
    FL_(sigmoid_cross_entropy_busy) = 1,
    FL_(sigmoid_cross_entropy_ignores) = 1
};

static FL_INLINE FL_(terms) FL_(sigmoid_cross_entropy_at)(vec z, vec t, vec before, const double *option)
{
    (void)option;
    const vec one = FL_(splat)(1), u = FL_(exp_minus)(z), a = FL_(select_signed)(z, t, one - t);
    const vec r = FL_(reciprocal)(one + u);
    return (FL_(terms)){
        .linear = FL_(fnma_unless_zero)(FL_(minus_abs)(z), a, before),
        .u = u,
        .gradient = FL_(flip_sign)(FL_(fnma)(u, r, a), z),
        .hessian = u * r * r,
    };
}
