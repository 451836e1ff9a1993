/* SPDX-License-Identifier: BSD-3-Clause
 *
 * elastic_net(w) = a sum |w_i| + b / 2 sum w_i^2, the penalties L1 (b = 0), L2 (a = 0) and what is between
 *
 *   d/dw_i = a sign(w_i) + b w_i, where sign 0 is 0; a and b are not negative
 *
 * z holds the parameters. g, which may be z, takes the gradient where it is wanted, or has it added onto what it holds.
 * Sums are taken in double whatever the parameters are, in as many lanes on every machine, and a factor of 0 wins over an
 * infinite sum.
 *
 *   option: a, b, whether the gradient is added
 */
enum { FL_(penalty_block) = 64 * FL_(group) }; /* parameters whose sums are taken without what additions lose */

static inline vec FL_(penalty_slope)(vec w, real a, real b)
{
    const vec zero = FL_(splat)(0), slope = FL_(product)(b, w) + FL_(flip_sign)(FL_(splat)(a), w);
    return FL_(select_eq)(w, zero, zero, slope);
}

/* a group of parameters: |w| and w^2 are added to the sums, one by one */
static FL_INLINE void FL_(penalty_group)(const real *w, real *g, const double *option, const int order, double *sizes,
                                         double *squares)
{
    const real a = (real)option[0], b = (real)option[1];
    for (int k = 0; k < GROUP; k++) {
        const double x = (double)w[k];
        sizes[k] += x < 0 ? -x : x;
        squares[k] += x * x;
    }
    if (order > 0)
        for (int k = 0; k < GROUP; k += LANES) {
            const vec slope = FL_(penalty_slope)(FL_(load)(w + k), a, b);
            FL_(store)(g + k, order > 1 ? FL_(load)(g + k) + slope : slope);
        }
}

/* `order` is 0 for the value, 1 with the gradient, 2 if that is added */
static double FL_(penalty)(const fl_call *call, ptrdiff_t first, ptrdiff_t last, const int order)
{
    const real *const w = (const real *)call->z.data;
    real *const g = order > 0 ? (real *)call->g.data : NULL;
    const double option[] = {call->option[0], call->option[1]};
    fl_sum sizes = {0, 0}, squares = {0, 0};
    for (ptrdiff_t start = first; start < last; start += FL_(penalty_block)) {
        const ptrdiff_t end = last - start < FL_(penalty_block) ? last : start + FL_(penalty_block);
        double some_sizes[FL_(group)] = {0}, some_squares[FL_(group)] = {0};
        ptrdiff_t i = start;
        for (; i + GROUP <= end; i += GROUP) {
            FL_(fetch_ahead)(w + i, order > 0 ? g + i : NULL, GROUP);
            FL_(penalty_group)(w + i, order > 0 ? g + i : NULL, option, order, some_sizes, some_squares);
        }
        if (i < end) {
            real near[FL_(group)] = {0}, slope[FL_(group)] = {0};
            FL_(block_copy)(w + i, end - i, near);
            if (order > 1)
                FL_(block_copy)(g + i, end - i, slope);
            FL_(penalty_group)(near, slope, option, order, some_sizes, some_squares);
            if (order > 0)
                FL_(block_copy)(slope, end - i, g + i);
        }
        for (int n = GROUP / 2; n > 0; n /= 2)
            for (int k = 0; k < n; k++) {
                some_sizes[k] += some_sizes[k + n];
                some_squares[k] += some_squares[k + n];
            }
        fl_add(&sizes, some_sizes[0]);
        fl_add(&squares, some_squares[0]);
    }
    return fl_product(option[0], fl_total(&sizes)) + fl_product(option[1], fl_total(&squares)) / 2;
}

static double FL_(elastic_net)(const fl_call *call, ptrdiff_t first, ptrdiff_t last)
{
    const unsigned mode = fl_flush_subnormals();
    const double value = FL_(penalty)(call, first, last, !call->g.data ? 0 : call->option[2] == 0 ? 1 : 2);
    fl_restore_subnormals(mode);
    return value;
}
