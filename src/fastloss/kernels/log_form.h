/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Numbers per row, in double whatever the scores are. Included after the float64 functions, which it uses. */

/* the number log(1 + inside) + plus */
typedef struct {
    double inside, plus;
} fl_log_form;

static inline double fl_log1p(double x)
{
    double lane[lanes_f64];
    store_f64(lane, log1p_f64(splat_f64(x)));
    return lane[0];
}

/* for x <= 0, -inf included */
static inline double fl_exp(double x)
{
    double lane[lanes_f64];
    store_f64(lane, exp_shifted_f64(splat_f64(x), 0));
    return lane[0];
}

static inline void fl_log1p_many(double *x, ptrdiff_t n)
{
    ptrdiff_t i = 0;
    for (; i + lanes_f64 <= n; i += lanes_f64)
        store_f64(x + i, log1p_f64(load_f64(x + i)));
    if (i < n)
        store_part_f64(x + i, n - i, log1p_f64(load_part_f64(x + i, n - i, 0)));
}
