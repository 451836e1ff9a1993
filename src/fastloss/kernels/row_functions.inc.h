/* SPDX-License-Identifier: BSD-3-Clause
 *
 * logsumexp, softmax and log_softmax of rows. With k one of the largest scores,
 *
 *   logsumexp = z_k + L,   log_softmax_j = (z_j - z_k) - L,   softmax_j = e_j / sum e   with L = log1p(sum_(j != k) e_j / e_k)
 *
 * and so the log-softmax of a class that has nearly everything keeps its digits. For the driver they are losses without
 * targets: z_k + L is a log_form.
 */
static FL_NOINLINE fl_log_form FL_(logsumexp_row)(const fl_call *call, const real *z, ptrdiff_t y, real c, real *g,
                                                  real *h)
{
    real largest;
    (void)y, (void)c, (void)g, (void)h;
    const FL_(row) row = FL_(read_row_from_largest)(z, call->classes, &largest);
    if (row.others == 0 && row.picked == 0)
        return (fl_log_form){0, -INFINITY}; /* all -inf; NaN would be in the sum of the others */
    return (fl_log_form){row.others / row.picked, (double)largest};
}

static FL_NOINLINE fl_log_form FL_(softmax_row)(const fl_call *call, const real *z, ptrdiff_t y, real c, real *g,
                                                real *h)
{
    real scratch[FL_BLOCK];
    (void)y, (void)c, (void)h;
    const FL_(row) row = FL_(read_row)(z, call->classes, -1, 1, g, scratch, NULL);
    FL_(write_row)(g, scratch, call->classes, (real)(1 / row.others), 0, g);
    return (fl_log_form){0, 0};
}

static FL_NOINLINE fl_log_form FL_(log_softmax_row)(const fl_call *call, const real *z, ptrdiff_t y, real c, real *g,
                                                    real *h)
{
    real top;
    (void)y, (void)c, (void)h;
    const FL_(row) row = FL_(read_row_from_largest)(z, call->classes, &top);
    const vec largest = FL_(splat)(top), rest = FL_(splat)((real)fl_log1p(row.others / row.picked));
    for (ptrdiff_t j = 0; j < call->classes; j += LANES) {
        const ptrdiff_t n = call->classes - j;
        const vec x = n >= LANES ? FL_(load)(z + j) : FL_(load_part)(z + j, n, 0);
        const vec y_j = FL_(select_eq)(x, largest, FL_(splat)(0), x - largest) - rest;
        if (n >= LANES)
            FL_(store)(g + j, y_j);
        else
            FL_(store_part)(g + j, n, y_j);
    }
    return (fl_log_form){0, 0};
}

/* The sum of e_j without the first of the largest, whose own is 2^0 or near it; with `kept` the e_j are left in the tile. */
typedef struct {
    vec others[FL_(bundle)], picked[FL_(bundle)];
} FL_(tile_sums);

static FL_INLINE FL_(tile_sums)
    FL_(tile_exponentials)(real *restrict tile, ptrdiff_t classes, const int side, const int kept,
                           const FL_(lane_targets) *of, const FL_(tile_origin) *from)
{
    const vec zero = FL_(splat)(0);
    FL_(tile_sums) sums;
    FL_(set_aside) others = FL_(nothing_aside)();
    for (int v = 0; v < side; v++)
        sums.others[v] = sums.picked[v] = zero;
    for (ptrdiff_t start = 0; start < classes; start += FL_PART) {
        const ptrdiff_t end = classes - start < FL_PART ? classes : start + FL_PART;
        vec part[FL_(bundle)];
        for (int v = 0; v < side; v++)
            part[v] = zero;
        for (ptrdiff_t c = start; c < end; c++)
            for (int v = 0; v < side; v++) {
                real *const at = tile + (c * side + v) * LANES;
                FL_(fetch_next)(of, c, v);
                const vec x = FL_(load)(at), e = FL_(exp_shifted)(x, from[v].shift);
                if (kept)
                    FL_(store)(at, e);
                /* the first of the largest is picked, any further one is one of the others */
                const vec beside = FL_(select_eq)(x, from[v].largest, sums.picked[v], e);
                sums.picked[v] = FL_(select_eq)(x, from[v].largest, e, sums.picked[v]);
                part[v] += beside;
            }
        for (int v = 0; v < side; v++)
            sums.others[v] += part[v];
        FL_(restart)(&others, sums.others, side, end, classes);
    }
    return sums;
}

static FL_INLINE void FL_(logsumexp_band)(const fl_call *call, FL_(band) *band, const ptrdiff_t *k, const real *c,
                                          double *inside, double *plus)
{
    FL_(band_by_rows)(call, band, k, c, FL_(logsumexp_row), inside, plus);
}

static FL_INLINE void FL_(logsumexp_tile)(const fl_call *call, real *restrict tile, real *restrict curvature,
                                          const FL_(lane_targets) *of, const int side, double *inside, double *plus)
{
    FL_(tile_origin) from[FL_(bundle)];
    (void)curvature;
    const vec zero = FL_(splat)(0);
    FL_(tile_exponentials_from)(tile, call->classes, side, 1, from);
    const FL_(tile_sums) sums = FL_(tile_exponentials)(tile, call->classes, side, 0, of, from);
    vec ratio[FL_(bundle)], largest[FL_(bundle)];
    for (int v = 0; v < side; v++) {
        largest[v] = from[v].base + from[v].largest; /* one of them is 0 */
        const vec sum = sums.others[v] + sums.picked[v];
        ratio[v] = FL_(select_eq)(sum, zero, zero, sums.others[v] / sums.picked[v]);
    }
    FL_(widen)(ratio, side, inside);
    FL_(widen)(largest, side, plus); /* -inf where all are; NaN is in the sums */
}

static FL_INLINE void FL_(softmax_band)(const fl_call *call, FL_(band) *band, const ptrdiff_t *k, const real *c,
                                        double *inside, double *plus)
{
    FL_(band_by_rows)(call, band, k, c, FL_(softmax_row), inside, plus);
}

static FL_INLINE void FL_(softmax_tile)(const fl_call *call, real *restrict tile, real *restrict curvature,
                                        const FL_(lane_targets) *of, const int side, double *inside, double *plus)
{
    FL_(tile_origin) from[FL_(bundle)];
    (void)curvature;
    FL_(tile_exponentials_from)(tile, call->classes, side, 1, from);
    const FL_(tile_sums) sums = FL_(tile_exponentials)(tile, call->classes, side, 1, of, from);
    vec factor[FL_(bundle)];
    for (int v = 0; v < side; v++)
        factor[v] = FL_(splat)(1) / (sums.others[v] + sums.picked[v]);
    for (int r = 0; r < side * LANES; r++)
        inside[r] = plus[r] = 0;
    for (ptrdiff_t c = 0; c < call->classes; c++)
        for (int v = 0; v < side; v++) {
            real *const at = tile + (c * side + v) * LANES;
            FL_(store)(at, FL_(load)(at) * factor[v]);
        }
}

static FL_INLINE void FL_(log_softmax_band)(const fl_call *call, FL_(band) *band, const ptrdiff_t *k, const real *c,
                                            double *inside, double *plus)
{
    FL_(band_by_rows)(call, band, k, c, FL_(log_softmax_row), inside, plus);
}

static FL_INLINE void FL_(log_softmax_tile)(const fl_call *call, real *restrict tile, real *restrict curvature,
                                            const FL_(lane_targets) *of, const int side, double *inside, double *plus)
{
    (void)curvature;
    const vec zero = FL_(splat)(0);
    const ptrdiff_t classes = call->classes;
    FL_(tile_origin) from[FL_(bundle)];
    vec rest[FL_(bundle)];
    FL_(tile_exponentials_from)(tile, classes, side, 1, from);
    const FL_(tile_sums) sums = FL_(tile_exponentials)(tile, classes, side, 0, of, from);
    for (int v = 0; v < side; v++)
        rest[v] = FL_(log1p)(sums.others[v] / sums.picked[v]);
    for (int r = 0; r < side * LANES; r++)
        inside[r] = plus[r] = 0;
    for (ptrdiff_t c = 0; c < classes; c++)
        for (int v = 0; v < side; v++) {
            real *const at = tile + (c * side + v) * LANES;
            const vec x = FL_(load)(at);
            FL_(store)(at, FL_(select_eq)(x, from[v].largest, zero, x - from[v].largest) - rest[v]);
        }
}
