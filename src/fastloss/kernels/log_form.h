/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Numbers per row, in double whatever the scores are. Included after the float64 functions, which it uses. */

/* the number log(1 + inside) + plus */
typedef struct {
    double inside, plus;
} fl_log_form;

/* with 0 * inf = 0 */
static inline double fl_product(double factor, double x)
{
    return factor == 0 && isinf(x) ? 0 : factor * x;
}

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

/* A sum of log_forms, in 8 lanes whatever the register. Numbers 1 + inside are multiplied before the logarithm is
 * taken, as q = product - 1. */
enum { fl_sum_lanes = 8, fl_sum_vectors = fl_sum_lanes / lanes_f64, fl_most_factors = 32 };
#define FL_FACTOR 0x1p24 /* 32 of these are far from overflow */

typedef struct {
    vec_f64 q[fl_sum_vectors], sum[fl_sum_vectors];
    int factors;
    fl_sum total;
} fl_log_sum;

static inline fl_log_sum fl_log_sum_of_nothing(void)
{
    fl_log_sum s = {.factors = 0, .total = {0, 0}};
    for (int r = 0; r < fl_sum_vectors; r++)
        s.q[r] = s.sum[r] = splat_f64(0);
    return s;
}

static inline void fl_take_logs(fl_log_sum *s)
{
    double lane[fl_sum_lanes];
    for (int r = 0; r < fl_sum_vectors; r++) {
        store_f64(lane + r * lanes_f64, s->sum[r] + log1p_f64(s->q[r]));
        s->q[r] = s->sum[r] = splat_f64(0);
    }
    for (int n = fl_sum_lanes / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            lane[i] += lane[i + n];
    fl_add(&s->total, lane[0]);
    s->factors = 0;
}

/* (1 + u) (1 + v) - 1, which loses nothing near 0 */
static inline vec_f64 fl_times(vec_f64 u, vec_f64 v)
{
    return v + fma_f64(u, v, u);
}

/* FL_ROWS log_forms, 0 where there is no row. They are multiplied and added up in halves: no product waits for all others. */
static inline void fl_add_log_forms(fl_log_sum *s, const double *inside, const double *plus)
{
    enum { groups = FL_ROWS / fl_sum_lanes };
    vec_f64 largest = splat_f64(0);
    for (int i = 0; i < FL_ROWS; i += lanes_f64)
        largest = max_f64(largest, load_f64(inside + i));
    if (any_gt_f64(largest, splat_f64(FL_FACTOR))) {
        for (int i = 0; i < FL_ROWS; i += lanes_f64)
            s->sum[i / lanes_f64 % fl_sum_vectors] += load_f64(plus + i) + log1p_f64(load_f64(inside + i));
        return;
    }
    for (int r = 0; r < fl_sum_vectors; r++) {
        vec_f64 u[groups], x[groups];
        for (int k = 0; k < groups; k++) {
            u[k] = load_f64(inside + k * fl_sum_lanes + r * lanes_f64);
            x[k] = load_f64(plus + k * fl_sum_lanes + r * lanes_f64);
        }
        for (int half = groups / 2; half > 0; half /= 2)
            for (int k = 0; k < half; k++) {
                u[k] = fl_times(u[k], u[k + half]);
                x[k] += x[k + half];
            }
        s->q[r] = fl_times(s->q[r], u[0]);
        s->sum[r] += x[0];
    }
    s->factors += groups;
    if (s->factors == fl_most_factors)
        fl_take_logs(s);
}

static inline double fl_log_total(fl_log_sum *s)
{
    fl_take_logs(s);
    return fl_total(&s->total);
}
