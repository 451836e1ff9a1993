/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Softmax cross-entropy of a distribution over the classes, or of one class with options that give every class a term of its
 * own. Formula and derivatives are in distributions.inc.h.
 *
 * option[]: smoothing, gamma, zeta, T, and K, which is infinite for none.
 */
static inline FL_(distribution_options) FL_(distribution_cross_entropy_options)(const fl_call *call)
{
    const int capped = !isinf(call->option[4]);
    return (FL_(distribution_options)){
        .softmax = FL_(softmax_options_of)(call, 1),
        .cap = capped ? (real)call->option[4] : 0,
        .inverse_cap = capped ? (real)(1 / call->option[4]) : 0,
    };
}
