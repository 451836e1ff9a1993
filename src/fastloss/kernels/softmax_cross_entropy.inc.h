/* SPDX-License-Identifier: BSD-3-Clause
 *
 * softmax_cross_entropy(z, y) = log(sum_j exp z_j) - z_y
 *
 *   p_j = exp(z_j) / sum_k exp(z_k)       dl/dz_j = p_j - [j = y]       d2l/dz_j2 = p_j (1 - p_j)
 *
 * At the target p_y - 1 is taken as -(sum of the others), which keeps its digits when p_y is all but 1.
 */
static inline fl_log_form FL_(softmax_cross_entropy_row)(const fl_call *call, const real *z, ptrdiff_t y, real c,
                                                         real *g, real *h)
{
    real scratch[FL_BLOCK];
    const ptrdiff_t classes = call->classes;
    const real target = z[y]; /* g may be z */
    const FL_(row) row = FL_(read_row)(z, classes, &y, g, scratch);
    if (g) {
        const double sum = row.others + row.picked;
        FL_(write_row)(g, scratch, classes, (real)((double)c / sum), g);
        if (h) {
            FL_(row_curvature)(g, classes, c, (real)(row.picked / sum), h);
            h[y] = (real)((double)c * (row.picked / sum) * (row.others / sum));
        }
        g[y] = (real)(0 - (double)c * (row.others / sum));
    }
    return FL_(log_of_sum_less)(&row, target);
}

static FL_INLINE void FL_(softmax_cross_entropy_tile)(const fl_call *call, real *tile, const FL_(lane_targets) *of,
                                                      real *curvature, double *inside, double *plus)
{
    const ptrdiff_t classes = call->classes;
    const vec zero = FL_(splat)(0), one = FL_(splat)(1);
    const FL_(tile_origin) from = FL_(tile_exponentials_from)(tile, classes);
    vec others[FL_PARTS], picked = zero, beside = zero, class = zero;
    for (int k = 0; k < FL_PARTS; k++)
        others[k] = zero;
    for (ptrdiff_t c = 0; c < classes; c += FL_PARTS)
        for (int k = 0; k < FL_PARTS && c + k < classes; k++, class += one) {
            real *const at = tile + (c + k) * LANES;
            FL_(fetch_next)(of, c + k);
            const vec x = FL_(load)(at), e = FL_(exp_shifted)(x, from.shift);
            FL_(store)(at, e);
            picked = FL_(select_eq)(class, of->y, e, picked);
            others[k] += FL_(select_eq)(class, of->y, zero, e);
            if (curvature)
                beside += FL_(select_eq)(x, from.largest, zero, e);
        }
    const vec rest = FL_(add_parts)(others);
    const vec sum = rest + picked, inverse = one / sum, factor = of->c * inverse;
    if (call->g) {
        class = zero;
        for (ptrdiff_t c = 0; c < classes; c++, class += one) {
            real *const at = tile + c * LANES;
            const vec e = FL_(load)(at);
            FL_(store)(at, FL_(select_eq)(class, of->y, zero - rest * factor, e * factor));
            if (curvature) {
                /* 1 - p is the sum of the others; for the one class that may have more than half, without cancelling */
                const vec p = e * inverse;
                vec left = FL_(select_gt)(p, FL_(splat)((real)0.5), beside * inverse, one - p);
                left = FL_(select_eq)(class, of->y, rest * inverse, left);
                FL_(store)(curvature + c * LANES, of->c * p * left);
            }
        }
    }
    FL_(tile_log_forms)(rest, picked, inside, plus);
    if (!FL_(all_gt)(picked, zero)) { /* a target with next to nothing of the sum, a row of NaN or of -inf */
        real score[FL_(lanes)];
        FL_(target_scores)(call, of, score);
        FL_(far_log_forms)(score, rest, picked, &from, inside, plus);
    }
}
