/* SPDX-License-Identifier: BSD-3-Clause
 *
 * logsumexp, softmax and log_softmax of rows. The class that is picked out is the largest, k:
 *
 *   logsumexp = z_k + L,   log_softmax_j = (z_j - z_k) - L,   softmax_j = e_j / sum e   with L = log1p(sum_(j != k) e_j / e_k)
 *
 * and so the log-softmax of a class that has nearly everything keeps its digits.
 */
static inline double FL_(logsumexp_row)(const fl_call *call, const real *z, real *g)
{
    real scratch[FL_BLOCK];
    ptrdiff_t k = -1;
    (void)g;
    const FL_(row) row = FL_(read_row)(z, call->classes, &k, NULL, scratch);
    if (row.others == 0 && row.picked == 0)
        return -INFINITY; /* all -inf; NaN would be in the sum of the others */
    return (double)z[k] + fl_log1p(row.others / row.picked);
}

static inline double FL_(softmax_row)(const fl_call *call, const real *z, real *g)
{
    real scratch[FL_BLOCK];
    ptrdiff_t k = -1;
    const FL_(row) row = FL_(read_row)(z, call->classes, &k, g, scratch);
    const double sum = row.others + row.picked;
    FL_(write_row)(g, scratch, call->classes, (real)(1 / sum), g);
    g[k] = (real)(row.picked / sum);
    return 0;
}

static inline double FL_(log_softmax_row)(const fl_call *call, const real *z, real *g)
{
    real scratch[FL_BLOCK];
    ptrdiff_t k = -1;
    const FL_(row) row = FL_(read_row)(z, call->classes, &k, NULL, scratch);
    const vec largest = FL_(splat)(z[k]), rest = FL_(splat)((real)fl_log1p(row.others / row.picked));
    for (ptrdiff_t j = 0; j < call->classes; j += LANES) {
        const ptrdiff_t n = call->classes - j;
        const vec x = n >= LANES ? FL_(load)(z + j) : FL_(load_part)(z + j, n, 0);
        const vec y = FL_(select_eq)(x, largest, FL_(splat)(0), x - largest) - rest;
        if (n >= LANES)
            FL_(store)(g + j, y);
        else
            FL_(store_part)(g + j, n, y);
    }
    return 0;
}

typedef double FL_(row_function)(const fl_call *call, const real *z, real *g);

static FL_INLINE double FL_(map_rows)(const fl_call *call, ptrdiff_t first, ptrdiff_t last,
                                      FL_(row_function) *row_function)
{
    const unsigned mode = fl_flush_subnormals();
    for (ptrdiff_t i = first; i < last; i++) {
        const double l = row_function(call, (const real *)call->z + i * call->z_stride,
                                      call->g ? (real *)call->g + i * call->g_stride : NULL);
        if (call->l)
            ((real *)call->l)[i] = (real)l;
    }
    fl_restore_subnormals(mode);
    return 0;
}
