/* SPDX-License-Identifier: BSD-3-Clause
 *
 * sigmoid(z) = 1 / (1 + exp(-z)), softplus(z) = log(1 + exp z), log_sigmoid(z) = -softplus(-z); from u = exp(-|z|), so
 * nothing overflows and both tails keep their digits.
 */
static inline vec FL_(sigmoid_at)(vec z)
{
    const vec one = FL_(splat)(1), u = FL_(exp_minus)(z), r = FL_(reciprocal)(one + u);
    return FL_(select_signed)(z, u * r, r);
}

static inline vec FL_(softplus_at)(vec z)
{
    return FL_(max)(FL_(splat)(0), z) + FL_(log1p_of_part)(FL_(exp_minus)(z));
}

static inline vec FL_(log_sigmoid_at)(vec z)
{
    return -FL_(softplus_at)(-z);
}
