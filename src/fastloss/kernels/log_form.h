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

/* The sum of n log_forms. Up to 8 numbers 1 + inside are multiplied before the logarithm is taken, as q = product - 1:
 * q <- u + (q + q u) loses nothing near 0. Eight factors of up to 2^120 cannot overflow. */
static inline double fl_sum_log_forms(double *inside, const double *plus, int n)
{
    double lane[lanes_f64], total = 0;
    vec_f64 q = splat_f64(0), sum = splat_f64(0);
    const vec_f64 limit = splat_f64(0x1p120);
    int i = 0, factors = 0;
    for (; i + lanes_f64 <= n; i += lanes_f64) {
        const vec_f64 u = load_f64(inside + i);
        if (factors == 8 || any_gt_f64(u, limit)) {
            sum += log1p_f64(q);
            q = splat_f64(0);
            factors = 0;
            if (any_gt_f64(u, limit)) {
                sum += log1p_f64(u) + load_f64(plus + i);
                continue;
            }
        }
        q = u + fma_f64(q, u, q);
        sum += load_f64(plus + i);
        factors++;
    }
    sum += log1p_f64(q);
    store_f64(lane, sum);
    for (int k = 0; k < lanes_f64; k++)
        total += lane[k];
    for (; i < n; i++)
        total += fl_log1p(inside[i]) + plus[i];
    return total;
}
