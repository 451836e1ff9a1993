/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The driver of all rowwise losses. A loss is a function of one row that writes the gradient and the Hessian of
 * c * loss where they are wanted, and returns the loss as a log_form: so that the logarithms of many rows are taken at
 * once, in lanes.
 */
#define FL_ROWS 64 /* rows whose losses wait for their logarithm together */

typedef fl_log_form FL_(row_loss)(const fl_call *call, const real *z, ptrdiff_t y, real c, real *g, real *h);

static FL_INLINE double FL_(each_row)(const fl_call *call, ptrdiff_t first, ptrdiff_t last, FL_(row_loss) *row_loss)
{
    const unsigned mode = fl_flush_subnormals();
    double total = 0;
    for (ptrdiff_t start = first; start < last; start += FL_ROWS) {
        const int rows = (int)(last - start < FL_ROWS ? last - start : FL_ROWS);
        double inside[FL_ROWS], plus[FL_ROWS], weight[FL_ROWS];
        for (int i = 0; i < rows; i++) {
            const ptrdiff_t row = start + i;
            real *const g = call->g ? (real *)call->g + row * call->g_stride : NULL;
            real *const h = call->h ? (real *)call->h + row * call->h_stride : NULL;
            weight[i] = fl_weight_at(&call->w, row);
            if (weight[i] == 0) { /* the row does not count, whatever it holds */
                inside[i] = plus[i] = 0;
                if (g)
                    FL_(block_fill)(g, call->classes, 0);
                if (h)
                    FL_(block_fill)(h, call->classes, 0);
                continue;
            }
            const fl_log_form loss =
                row_loss(call, (const real *)call->z + row * call->z_stride, (ptrdiff_t)fl_index_at(&call->y, row),
                         (real)(weight[i] * call->scale), g, h);
            inside[i] = loss.inside;
            plus[i] = loss.plus;
        }
        fl_log1p_many(inside, rows);
        for (int i = 0; i < rows; i++) {
            const double loss = weight[i] * (inside[i] + plus[i]);
            total += loss;
            if (call->l)
                ((real *)call->l)[start + i] = (real)loss;
        }
    }
    fl_restore_subnormals(mode);
    return total;
}
