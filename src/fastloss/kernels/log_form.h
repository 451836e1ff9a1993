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
    store_f64(lane, exp_shifted_f64(splat_f64(x), shift_of_f64(splat_f64(0))));
    return lane[0];
}

/* 2^n for an integer n <= 0; 0 where that is not a normal number */
static inline double fl_power_of_two(double n)
{
    const uint64_t bits = n < -1022 ? 0 : (uint64_t)(n + 1023) << 52;
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline void fl_log1p_many(double *x, ptrdiff_t n)
{
    ptrdiff_t i = 0;
    for (; i + lanes_f64 <= n; i += lanes_f64)
        store_f64(x + i, log1p_f64(load_f64(x + i)));
    if (i < n)
        store_part_f64(x + i, n - i, log1p_f64(load_part_f64(x + i, n - i, 0)));
}

/* The sum of n log_forms, in 8 lanes whatever the register. Up to 8 numbers 1 + inside of a lane are multiplied before
 * the logarithm is taken, as q = product - 1: q <- u + (q + q u) loses nothing near 0. Eight factors of up to 2^120
 * cannot overflow. */
static inline double fl_sum_log_forms(const double *inside, const double *plus, int n)
{
    enum { lanes = 8, registers = lanes / lanes_f64 };
    const vec_f64 limit = splat_f64(0x1p120);
    vec_f64 q[registers], sum[registers];
    double lane[lanes], total = 0;
    int i = 0, factors = 0;
    for (int r = 0; r < registers; r++)
        q[r] = sum[r] = splat_f64(0);
    for (; i + lanes <= n; i += lanes) {
        int large = 0;
        for (int r = 0; r < registers; r++)
            large |= any_gt_f64(load_f64(inside + i + r * lanes_f64), limit);
        for (int r = 0; r < registers; r++) {
            const vec_f64 u = load_f64(inside + i + r * lanes_f64);
            sum[r] += load_f64(plus + i + r * lanes_f64);
            if (large || factors == 8) {
                sum[r] += log1p_f64(q[r]);
                q[r] = splat_f64(0);
            }
            if (large)
                sum[r] += log1p_f64(u);
            else
                q[r] = u + fma_f64(q[r], u, q[r]);
        }
        factors = large ? 0 : factors % 8 + 1;
    }
    for (int r = 0; r < registers; r++)
        store_f64(lane + r * lanes_f64, sum[r] + log1p_f64(q[r]));
    for (int k = 0; k < lanes; k++)
        total += lane[k];
    for (; i < n; i++)
        total += fl_log1p(inside[i]) + plus[i];
    return total;
}
