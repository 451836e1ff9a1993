/* SPDX-License-Identifier: BSD-3-Clause
 *
 * With d_j = margin + z_j - z_y for every class j but the target y, and u_j = max(0, d_j):
 *
 *   Weston-Watkins   sum_j u_j^power         dl/dz_j = power u_j^(power-1) [d_j > 0]      dl/dz_y = -(sum of these)
 *   Crammer-Singer   (max_j u_j)^power       the same, at the first j with the largest d_j alone
 *
 * The second derivatives are 2 [d_j > 0] at power 2, at the target their sum; 0 at power 1. At a kink (d_j = 0) a class
 * is not active. option = {1 for Crammer-Singer, margin, power}. The margin may be one of the target's class, or one of
 * each j with it, a cost; costs are added to z_j - z_y, which has been rounded.
 */
static inline double FL_(margin_at)(const fl_call *call, ptrdiff_t y)
{
    return call->margins ? call->margins[y] : call->costs ? 0 : call->option[1];
}

/* the costs of target y, SUM_LANES of which can be read past the last */
static inline const real *FL_(costs_of)(const fl_call *call, ptrdiff_t y)
{
    return call->costs ? (const real *)call->costs + y * call->classes : NULL;
}

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
static inline void FL_(violations)(const real *z, ptrdiff_t n, FL_(threshold) a, const real *costs, real *u)
{
    const int below = a.high == (real)INFINITY;
    const vec high = FL_(splat)(below ? 0 : a.high), low = FL_(splat)(a.low), zero = FL_(splat)(0);
    ptrdiff_t j = 0;
    for (; j < n; j += LANES) {
        vec x = n - j >= LANES ? FL_(load)(z + j) : FL_(load_part)(z + j, n - j, -(real)INFINITY);
        if (below)
            x = FL_(seen_from_below)(x);
        vec d = (x + high) + low;
        if (costs)
            d += FL_(load)(costs + j);
        FL_(store)(u + j, FL_(select_gt)(zero, d, zero, d));
    }
    FL_(pad)(u, j);
}

/* what one pass over a row adds up, in SUM_LANES partial sums */
typedef struct {
    vec violations[FL_(sum_registers)], squares[FL_(sum_registers)], active[FL_(sum_registers)];
} FL_(hinge_sums);

/* SUM_LANES classes, read, added up and written; g may be z */
static FL_INLINE void FL_(hinge_group)(const real *z, FL_(threshold) a, const int below, const real *costs, real slope,
                                       real bend, real *g, real *h, const int squared, FL_(hinge_sums) *sums)
{
    const vec high = FL_(splat)(a.high), low = FL_(splat)(a.low), zero = FL_(splat)(0), one = FL_(splat)(1);
    for (int r = 0; r < FL_(sum_registers); r++) {
        vec x = FL_(load)(z + r * LANES);
        if (below)
            x = FL_(seen_from_below)(x);
        vec d = (x + high) + low;
        if (costs)
            d += FL_(load)(costs + r * LANES);
        const vec u = FL_(select_gt)(zero, d, zero, d);
        sums->violations[r] += u;
        if (squared)
            sums->squares[r] = FL_(fma)(u, u, sums->squares[r]);
        if (h || (g && !squared))
            sums->active[r] += FL_(select_gt)(u, zero, one, zero);
        if (g)
            FL_(store)(g + r * LANES,
                       squared ? u * FL_(splat)(slope) : FL_(select_gt)(u, zero, FL_(splat)(slope), zero));
        if (h)
            FL_(store)(h + r * LANES, squared ? FL_(select_gt)(u, zero, FL_(splat)(bend), zero) : zero);
    }
}

/* The groups with the target, which never violates, and of the last classes go by way of a copy that is masked there. */
static FL_INLINE double FL_(weston_watkins)(const fl_call *call, const real *z, ptrdiff_t y, real c, real *g, real *h,
                                            const int squared)
{
    const ptrdiff_t classes = call->classes;
    FL_(threshold) a = FL_(threshold_from)(FL_(margin_at)(call, y), z[y]);
    const real *const costs = FL_(costs_of)(call, y);
    const int below = a.high == (real)INFINITY;
    const real slope = squared ? 2 * c : c, bend = squared ? 2 * c : 0;
    double loss = 0, sum = 0, active = 0;
    if (below)
        a.high = 0;
    for (ptrdiff_t start = 0; start < classes; start += FL_BLOCK) {
        const ptrdiff_t end = classes - start < FL_BLOCK ? classes : start + FL_BLOCK;
        FL_(hinge_sums) sums;
        for (int r = 0; r < FL_(sum_registers); r++)
            sums.violations[r] = sums.squares[r] = sums.active[r] = FL_(splat)(0);
        for (ptrdiff_t j = start; j < end; j += SUM_LANES) {
            const ptrdiff_t n = end - j < SUM_LANES ? end - j : SUM_LANES;
            real *const g_at = g ? g + j : NULL, *const h_at = h ? h + j : NULL;
            const real *const costs_at = costs ? costs + j : NULL;
            FL_(fetch_ahead)(z + j, g_at, SUM_LANES);
            if (n == SUM_LANES && (y < j || y >= j + n)) {
                FL_(hinge_group)(z + j, a, below, costs_at, slope, bend, g_at, h_at, squared, &sums);
                continue;
            }
            real copy[FL_(sum_lanes)], of_h[FL_(sum_lanes)];
            for (int r = 0; r < FL_(sum_registers); r++)
                FL_(store)(copy + r * LANES, FL_(splat)(-(real)INFINITY));
            FL_(block_copy)(z + j, n, copy);
            if (y >= j && y < j + n)
                copy[y - j] = -(real)INFINITY;
            FL_(hinge_group)(copy, a, below, costs_at, slope, bend, g ? copy : NULL, h ? of_h : NULL, squared, &sums);
            if (g)
                FL_(block_copy)(copy, n, g_at);
            if (h)
                FL_(block_copy)(of_h, n, h_at);
        }
        const double block = FL_(add_lanes)(sums.violations);
        loss += squared ? FL_(add_lanes)(sums.squares) : block;
        sum += block;
        active += FL_(add_lanes)(sums.active);
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
    const FL_(threshold) a = FL_(threshold_from)(FL_(margin_at)(call, y), z[y]);
    const real *const costs = FL_(costs_of)(call, y);
    const int squared = call->option[2] == 2;
    real worst = 0;
    ptrdiff_t k = y;
    int unordered = 0;
    for (ptrdiff_t j = 0; j < call->classes; j += FL_BLOCK) {
        const ptrdiff_t n = call->classes - j < FL_BLOCK ? call->classes - j : FL_BLOCK, padded = FL_(padded)(n);
        FL_(violations)(z + j, n, a, costs ? costs + j : NULL, u);
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

static FL_NOINLINE fl_log_form FL_(multiclass_hinge_row)(const fl_call *call, const real *z, ptrdiff_t y, real c,
                                                         real *g, real *h)
{
    const real target = z[y]; /* g may be z */
    double loss;
    if (call->option[0] == 1)
        loss = FL_(crammer_singer)(call, z, y, c, g, h);
    else if (call->option[2] == 2)
        loss = FL_(weston_watkins)(call, z, y, c, g, h, 1);
    else
        loss = FL_(weston_watkins)(call, z, y, c, g, h, 0);
    if (!(target > -(real)INFINITY) && loss == 0)
        loss = NAN; /* nothing to compare: a target at NaN without others, or a row that is all -inf */
    if (isnan(loss) && g)
        FL_(block_fill)(g, call->classes, (real)NAN);
    if (isnan(loss) && h)
        FL_(block_fill)(h, call->classes, (real)NAN);
    return (fl_log_form){0, loss};
}

/* the threshold of each lane, k being their classes; `given`: margins of classes, or costs */
static inline void FL_(tile_threshold)(const fl_call *call, const ptrdiff_t *k, vec target, const int given, vec *high,
                                       vec *low)
{
    const double margin = given ? FL_(margin_at)(call, k[0]) : call->option[1];
    vec m = FL_(splat)((real)margin), rest = FL_(splat)((real)(margin - (double)(real)margin));
    if (given && call->margins) {
        real of_class[FL_(lanes)], lost_of_it[FL_(lanes)];
        for (int i = 0; i < LANES; i++) {
            of_class[i] = (real)call->margins[k[i]];
            lost_of_it[i] = (real)(call->margins[k[i]] - (double)of_class[i]);
        }
        m = FL_(load)(of_class);
        rest = FL_(load)(lost_of_it);
    }
    const vec back = (*high = m - target) - m;
    const vec lost = (m - (*high - back)) - (target + back) + rest;
    *low = FL_(select_eq)(lost, lost, lost, FL_(splat)(0)); /* NaN beside an infinite high */
}

static FL_INLINE void FL_(multiclass_hinge_band)(const fl_call *call, FL_(band) *band, const ptrdiff_t *k,
                                                 const real *c, double *inside, double *plus)
{
    FL_(band_by_rows)(call, band, k, c, FL_(multiclass_hinge_row), inside, plus);
}

/* the cost of class c for the target of each lane */
static vec FL_(lane_costs)(const fl_call *call, const ptrdiff_t *k, ptrdiff_t c)
{
    real lane[FL_(lanes)];
    for (int i = 0; i < LANES; i++)
        lane[i] = FL_(costs_of)(call, k[i])[c];
    return FL_(load)(lane);
}

static FL_INLINE void FL_(hinge_tile)(const fl_call *call, real *restrict tile, real *restrict curvature,
                                      const FL_(lane_targets) *of, const int side, const int worst_only,
                                      const int squared, const int given, double *inside, double *plus)
{
    const ptrdiff_t classes = call->classes;
    const vec zero = FL_(splat)(0), one = FL_(splat)(1), bottom = FL_(splat)(-(real)INFINITY);
    const vec infinite = FL_(splat)((real)INFINITY), nan = FL_(splat)((real)NAN);
    vec target[FL_(bundle)], high[FL_(bundle)], low[FL_(bundle)], class = zero;
    FL_(set_aside) violations_aside = FL_(nothing_aside)(), squares_aside = violations_aside;
    vec sum[FL_(bundle)], squares[FL_(bundle)], active[FL_(bundle)], worst[FL_(bundle)], chosen[FL_(bundle)];
    for (int v = 0; v < side; v++)
        target[v] = zero;
    for (ptrdiff_t c = 0; c < classes; c++, class += one)
        for (int v = 0; v < side; v++)
            target[v] = FL_(select_eq)(class, of->y[v], FL_(load)(tile + (c * side + v) * LANES), target[v]);
    class = zero;
    for (int v = 0; v < side; v++) {
        FL_(tile_threshold)(call, of->k + v * LANES, target[v], given, high + v, low + v);
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
                FL_(fetch_next)(of, c, v);
                vec d = (FL_(load)(at) + high[v]) + low[v];
                if (given && call->costs)
                    d += FL_(lane_costs)(call, of->k + v * LANES, c);
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
        FL_(restart)(&violations_aside, sum, side, end, classes);
        if (squared)
            FL_(restart)(&squares_aside, squares, side, end, classes);
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
            if (curvature) {
                const vec h = bend[v] * FL_(select_eq)(class, of->y[v], active[v], counts);
                FL_(store)(curvature + (c * side + v) * LANES, FL_(select_eq)(unordered[v], zero, nan, h));
            }
        }
}

static FL_INLINE void FL_(multiclass_hinge_tile)(const fl_call *call, real *restrict tile, real *restrict curvature,
                                                 const FL_(lane_targets) *of, const int side, double *inside,
                                                 double *plus)
{
    const int worst_only = call->option[0] == 1, squared = call->option[2] == 2;
    /* What is rare has one copy of the code, which asks at each step. */
    if (call->margins || call->costs || (worst_only && squared))
        FL_(hinge_tile)(call, tile, curvature, of, side, worst_only, squared, 1, inside, plus);
    else if (worst_only)
        FL_(hinge_tile)(call, tile, curvature, of, side, 1, 0, 0, inside, plus);
    else if (squared)
        FL_(hinge_tile)(call, tile, curvature, of, side, 0, 1, 0, inside, plus);
    else
        FL_(hinge_tile)(call, tile, curvature, of, side, 0, 0, 0, inside, plus);
}
