/* SPDX-License-Identifier: BSD-3-Clause
 *
 * With d_j = margin + z_j - z_y for every class j but the target y, and u_j = max(0, d_j):
 *
 *   Weston-Watkins   sum_j u_j^power         dl/dz_j = power u_j^(power-1) [d_j > 0]      dl/dz_y = -(sum of these)
 *   Crammer-Singer   (max_j u_j)^power       the same, at the first j with the largest d_j alone
 *
 * The second derivatives are 2 [d_j > 0] at power 2, at the target their sum; 0 at power 1. At a kink (d_j = 0) a class
 * is not active. option = {1 for Crammer-Singer, margin, power}.
 */

/* margin - z_y in two parts. z_j + high is exact where it nearly vanishes, so the sign of (z_j + high) + low is that of
 * the exact d_j. */
typedef struct {
    real high, low;
} FL_(threshold);

static inline FL_(threshold) FL_(threshold_from)(double margin, real target)
{
    FL_(threshold) a;
    const double high = margin - (double)target, back = high - margin;
    const double lost = (margin - (high - back)) - ((double)target + back); /* Knuth's TwoSum of margin and -target */
    a.high = (real)high;
    a.low = (real)((high - (double)a.high) + lost);
    if (!(a.low > -(real)INFINITY && a.low < (real)INFINITY))
        a.low = 0;
    return a;
}

/* Scores as seen from a target at -inf: every class is ahead without bound, but for masked ones. NaN is kept. */
static inline vec FL_(seen_from_below)(vec x)
{
    const vec bottom = FL_(splat)(-(real)INFINITY);
    return FL_(select_gt)(x, bottom, FL_(splat)((real)INFINITY), x);
}

/* u_j into scratch for n <= FL_BLOCK classes, padded; NaN is kept */
static inline void FL_(violations)(const real *z, ptrdiff_t n, FL_(threshold) a, real *u)
{
    const int below = a.high == (real)INFINITY;
    const vec high = FL_(splat)(below ? 0 : a.high), low = FL_(splat)(a.low), zero = FL_(splat)(0);
    ptrdiff_t j = 0;
    for (; j < n; j += LANES) {
        vec x = n - j >= LANES ? FL_(load)(z + j) : FL_(load_part)(z + j, n - j, -(real)INFINITY);
        if (below)
            x = FL_(seen_from_below)(x);
        const vec d = (x + high) + low;
        FL_(store)(u + j, FL_(select_gt)(zero, d, zero, d));
    }
    FL_(pad)(u, j);
}

/* how many u_j are above 0 and the sum of u_j^2, over a padded block */
static inline double FL_(count_active)(const real *u, ptrdiff_t padded)
{
    vec partial[FL_(sum_registers)];
    for (int r = 0; r < FL_(sum_registers); r++)
        partial[r] = FL_(splat)(0);
    for (ptrdiff_t j = 0; j < padded; j += SUM_LANES)
        for (int r = 0; r < FL_(sum_registers); r++)
            partial[r] += FL_(select_gt)(FL_(load)(u + j + r * LANES), FL_(splat)(0), FL_(splat)(1), FL_(splat)(0));
    return FL_(add_lanes)(partial);
}

static inline double FL_(sum_squares)(const real *u, ptrdiff_t padded)
{
    vec partial[FL_(sum_registers)];
    for (int r = 0; r < FL_(sum_registers); r++)
        partial[r] = FL_(splat)(0);
    for (ptrdiff_t j = 0; j < padded; j += SUM_LANES)
        for (int r = 0; r < FL_(sum_registers); r++) {
            const vec x = FL_(load)(u + j + r * LANES);
            partial[r] = FL_(fma)(x, x, partial[r]);
        }
    return FL_(add_lanes)(partial);
}

/* value where u_j > 0, else 0 */
static inline void FL_(write_active)(const real *u, ptrdiff_t n, real value, real *g)
{
    for (ptrdiff_t j = 0; j < n; j += LANES) {
        const vec x = FL_(load)(u + j); /* u is padded */
        const vec v = FL_(select_gt)(x, FL_(splat)(0), FL_(splat)(value), FL_(splat)(0));
        if (n - j >= LANES)
            FL_(store)(g + j, v);
        else
            FL_(store_part)(g + j, n - j, v);
    }
}

static inline double FL_(weston_watkins)(const fl_call *call, const real *z, ptrdiff_t y, real c, real *g, real *h)
{
    real u[FL_BLOCK];
    const FL_(threshold) a = FL_(threshold_from)(call->option[1], z[y]);
    const int squared = call->option[2] == 2;
    double loss = 0, sum = 0, active = 0;
    for (ptrdiff_t j = 0; j < call->classes; j += FL_BLOCK) {
        const ptrdiff_t n = call->classes - j < FL_BLOCK ? call->classes - j : FL_BLOCK, padded = FL_(padded)(n);
        FL_(violations)(z + j, n, a, u);
        if (y >= j && y < j + n)
            u[y - j] = 0;
        const double block = FL_(block_sum)(u, padded);
        loss += squared ? FL_(sum_squares)(u, padded) : block;
        sum += block;
        if (!g)
            continue;
        if (h || !squared)
            active += FL_(count_active)(u, padded);
        if (squared)
            FL_(block_scale)(u, n, 2 * c, g + j);
        else
            FL_(write_active)(u, n, c, g + j);
        if (h)
            FL_(write_active)(u, n, squared ? 2 * c : 0, h + j);
    }
    if (g)
        g[y] = (real)(0 - (double)c * (squared ? 2 * sum : active));
    if (h)
        h[y] = (real)(squared ? 2 * (double)c * active : 0);
    return loss;
}

/* the first index of the number m among n; n if it is not there */
static inline ptrdiff_t FL_(block_find)(const real *z, ptrdiff_t n, real m)
{
    ptrdiff_t j = 0;
    while (j < n && !(z[j] == m))
        j++;
    return j;
}

static inline double FL_(crammer_singer)(const fl_call *call, const real *z, ptrdiff_t y, real c, real *g, real *h)
{
    real u[FL_BLOCK];
    const FL_(threshold) a = FL_(threshold_from)(call->option[1], z[y]);
    const int squared = call->option[2] == 2;
    real worst = 0;
    ptrdiff_t k = y;
    int unordered = 0;
    for (ptrdiff_t j = 0; j < call->classes; j += FL_BLOCK) {
        const ptrdiff_t n = call->classes - j < FL_BLOCK ? call->classes - j : FL_BLOCK, padded = FL_(padded)(n);
        FL_(violations)(z + j, n, a, u);
        if (y >= j && y < j + n)
            u[y - j] = 0;
        unordered |= isnan(FL_(block_sum)(u, padded)); /* all u are >= 0: no inf - inf here */
        const real m = FL_(block_max)(u, n);
        if (m > worst) {
            worst = m;
            k = j + FL_(block_find)(u, n, m);
        }
    }
    if (g) {
        const real slope = squared ? 2 * c * worst : c;
        FL_(block_fill)(g, call->classes, 0);
        if (k != y) {
            g[k] = slope;
            g[y] = -slope;
        }
    }
    if (h) {
        FL_(block_fill)(h, call->classes, 0);
        if (k != y && squared)
            h[k] = h[y] = 2 * c;
    }
    if (unordered)
        return NAN;
    return squared ? (double)worst * (double)worst : (double)worst;
}

static inline fl_log_form FL_(multiclass_hinge_row)(const fl_call *call, const real *z, ptrdiff_t y, real c, real *g,
                                                    real *h)
{
    const real target = z[y]; /* g may be z */
    double loss =
        call->option[0] == 1 ? FL_(crammer_singer)(call, z, y, c, g, h) : FL_(weston_watkins)(call, z, y, c, g, h);
    if (!(target > -(real)INFINITY) && loss == 0)
        loss = NAN; /* nothing to compare: a target at NaN without others, or a row that is all -inf */
    if (isnan(loss) && g)
        FL_(block_fill)(g, call->classes, (real)NAN);
    return (fl_log_form){0, loss};
}

/* the threshold of each lane */
static inline void FL_(tile_threshold)(double margin, vec target, vec *high, vec *low)
{
    const vec m = FL_(splat)((real)margin), rest = FL_(splat)((real)(margin - (double)(real)margin));
    const vec back = (*high = m - target) - m;
    const vec lost = (m - (*high - back)) - (target + back) + rest;
    *low = FL_(select_eq)(lost, lost, lost, FL_(splat)(0)); /* NaN beside an infinite high */
}

static FL_INLINE void FL_(multiclass_hinge_band)(const fl_call *call, FL_(band) *band, const ptrdiff_t *k,
                                                 const real *c, double *inside, double *plus)
{
    FL_(band_by_rows)(call, band, k, c, FL_(multiclass_hinge_row), inside, plus);
}

static FL_INLINE void FL_(multiclass_hinge_tile)(const fl_call *call, real *tile, real *curvature,
                                                 const FL_(lane_targets) *of, const int side, double *inside,
                                                 double *plus)
{
    const ptrdiff_t classes = call->classes;
    const int worst_only = call->option[0] == 1, squared = call->option[2] == 2;
    const vec zero = FL_(splat)(0), one = FL_(splat)(1), bottom = FL_(splat)(-(real)INFINITY);
    const vec infinite = FL_(splat)((real)INFINITY), nan = FL_(splat)((real)NAN);
    vec target[FL_(bundle)], high[FL_(bundle)], low[FL_(bundle)], class = zero;
    vec sum[FL_(bundle)], squares[FL_(bundle)], active[FL_(bundle)], worst[FL_(bundle)], chosen[FL_(bundle)];
    real score[FL_(bundle) *FL_(lanes)];
    FL_(target_scores)(call, of, side, score);
    for (int v = 0; v < side; v++) {
        target[v] = FL_(load)(score + v * LANES);
        FL_(tile_threshold)(call->option[1], target[v], high + v, low + v);
        sum[v] = squares[v] = active[v] = worst[v] = zero;
        chosen[v] = FL_(splat)(-1);
        if (!FL_(all_gt)(target[v], bottom)) {
            for (ptrdiff_t c = 0; c < classes; c++) {
                real *const at = tile + (c * side + v) * LANES;
                const vec x = FL_(load)(at);
                FL_(store)(at, FL_(select_eq)(high[v], infinite, FL_(seen_from_below)(x), x));
            }
            high[v] = FL_(select_eq)(high[v], infinite, zero, high[v]);
        }
    }
    for (ptrdiff_t start = 0; start < classes; start += FL_PART) {
        const ptrdiff_t end = classes - start < FL_PART ? classes : start + FL_PART;
        vec part[FL_(bundle)], part_squares[FL_(bundle)];
        for (int v = 0; v < side; v++)
            part[v] = part_squares[v] = zero;
        for (ptrdiff_t c = start; c < end; c++, class += one)
            for (int v = 0; v < side; v++) {
                real *const at = tile + (c * side + v) * LANES;
                FL_(fetch_next)(of, c * side + v);
                const vec d = (FL_(load)(at) + high[v]) + low[v];
                const vec u = FL_(select_eq)(class, of->y[v], zero, FL_(select_gt)(zero, d, zero, d));
                FL_(store)(at, u);
                part[v] += u;
                if (squared)
                    part_squares[v] = FL_(fma)(u, u, part_squares[v]);
                active[v] += FL_(select_gt)(u, zero, one, zero);
                if (worst_only) {
                    chosen[v] = FL_(select_gt)(u, worst[v], class, chosen[v]);
                    worst[v] = FL_(max)(worst[v], u);
                }
            }
        for (int v = 0; v < side; v++) {
            sum[v] += part[v];
            squares[v] += part_squares[v];
        }
    }
    vec step[FL_(bundle)], at_target[FL_(bundle)], unordered[FL_(bundle)], bend[FL_(bundle)], losses[FL_(bundle)];
    for (int v = 0; v < side; v++) {
        /* one class alone: its violation stands for all of them */
        vec loss = squared ? squares[v] : sum[v];
        if (worst_only) {
            loss = FL_(select_eq)(sum[v], sum[v], squared ? worst[v] * worst[v] : worst[v], sum[v]);
            sum[v] = worst[v];
            active[v] = FL_(select_gt)(worst[v], zero, one, zero);
        }
        loss = FL_(select_gt)(target[v], bottom, loss, FL_(select_eq)(loss, zero, nan, loss));
        step[v] = FL_(splat)(squared ? 2 : 1) * of->c[v];
        bend[v] = FL_(splat)(squared ? 2 : 0) * of->c[v];
        at_target[v] = zero - step[v] * (squared ? sum[v] : active[v]);
        unordered[v] = FL_(select_eq)(loss, loss, one, zero);
        losses[v] = loss;
    }
    FL_(widen)(losses, side, plus);
    for (int r = 0; r < side * LANES; r++)
        inside[r] = 0;
    if (!call->g.data)
        return;
    class = zero;
    for (ptrdiff_t c = 0; c < classes; c++, class += one)
        for (int v = 0; v < side; v++) {
            real *const at = tile + (c * side + v) * LANES;
            vec u = FL_(load)(at);
            if (worst_only)
                u = FL_(select_eq)(class, chosen[v], u, zero);
            const vec counts = FL_(select_gt)(u, zero, one, zero);
            vec g = step[v] * (squared ? u : counts);
            g = FL_(select_eq)(class, of->y[v], at_target[v], g);
            FL_(store)(at, FL_(select_eq)(unordered[v], zero, nan, g));
            if (curvature)
                FL_(store)(curvature + (c * side + v) * LANES,
                           bend[v] * FL_(select_eq)(class, of->y[v], active[v], counts));
        }
}
