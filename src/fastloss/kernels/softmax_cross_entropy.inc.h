/* SPDX-License-Identifier: BSD-3-Clause
 *
 * softmax_cross_entropy(z, y) = log(sum_j exp z_j) - z_y
 *
 *   p_j = exp(z_j) / sum_k exp(z_k)       dl/dz_j = p_j - [j = y]       d2l/dz_j2 = p_j (1 - p_j)
 *
 * At the target p_y - 1 is taken as -(sum of the others), which keeps its digits when p_y is all but 1.
 */
static inline fl_log_form FL_(softmax_cross_entropy_row)(const fl_call *call, const real *z, ptrdiff_t y, real c, real *g,
                                                         real *h)
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
