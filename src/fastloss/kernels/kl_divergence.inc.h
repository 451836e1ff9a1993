/* SPDX-License-Identifier: BSD-3-Clause
 *
 * kl_divergence(z, t) = sum_j t_j (log t_j - log p_j),   p = softmax(z), 0 log 0 = 0
 *
 *   dl/dz_j = p_j sum_k t_k - t_j       d2l/dz_j2 = p_j (1 - p_j) sum_k t_k
 */
static inline FL_(distribution_options) FL_(kl_divergence_options)(const fl_call *call)
{
    (void)call;
    return (FL_(distribution_options)){.softmax = {.stretch = 1}, .divergence = 1};
}
