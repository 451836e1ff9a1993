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
static inline FL_(terms) FL_(sigmoid_cross_entropy_at)(vec z, vec t, const double *option)
{
    (void)option;
    const vec zero = FL_(splat)(0), one = FL_(splat)(1);
    const vec size = FL_(abs)(z), u = FL_(exp_minus)(size);
    const vec a = FL_(select_signed)(z, t, one - t);
    const vec r = FL_(reciprocal)(one + u), near = u * r;
    return (FL_(terms)){
        .linear = FL_(select_eq)(a, zero, zero, size * a),
        .u = u,
        .gradient = FL_(flip_sign)(a - near, z),
        .hessian = near * r,
    };
}
