/* SPDX-License-Identifier: BSD-3-Clause
 *
 * negative_log_likelihood(z, y) = -z_y for log-probabilities,   -log z_y for probabilities
 *
 *   dl/dz_y = -1 or -1 / z_y       d2l/dz_y2 = 0 or 1 / z_y^2       0 for all other classes
 *
 * option[0]: whether scores are probabilities; those of targets are in [0, 1].
 */
typedef struct {
    vec loss, slope, bend;
} FL_(likelihood);

static inline FL_(likelihood) FL_(likelihood_of)(const fl_call *call, vec score)
{
    const vec zero = FL_(splat)(0), one = FL_(splat)(1);
    if (call->option[0] == 0)
        return (FL_(likelihood)){.loss = zero - score, .slope = zero - one, .bend = zero};
    const vec p = FL_(abs)(score), inverse = one / p; /* of -0 as of 0 */
    return (FL_(likelihood)){.loss = zero - FL_(log)(p), .slope = zero - inverse, .bend = inverse * inverse};
}

static FL_NOINLINE fl_log_form FL_(negative_log_likelihood_row)(const fl_call *call, const real *z, ptrdiff_t y, real c,
                                                                real *g, real *h)
{
    const FL_(likelihood) of = FL_(likelihood_of)(call, FL_(splat)(z[y]));
    if (g) {
        FL_(block_fill)(g, call->classes, 0);
        g[y] = c * FL_(first_lane)(of.slope);
    }
    if (h) {
        FL_(block_fill)(h, call->classes, 0);
        h[y] = c * FL_(first_lane)(of.bend);
    }
    return (fl_log_form){0, (double)FL_(first_lane)(of.loss)};
}

static FL_INLINE void FL_(negative_log_likelihood_band)(const fl_call *call, FL_(band) *band, const ptrdiff_t *k,
                                                        const real *c, double *inside, double *plus)
{
    FL_(band_by_rows)(call, band, k, c, FL_(negative_log_likelihood_row), inside, plus);
}

static FL_INLINE void FL_(negative_log_likelihood_tile)(const fl_call *call, real *restrict tile,
                                                        real *restrict curvature, const FL_(lane_targets) *of,
                                                        const int side, double *inside, double *plus)
{
    const vec zero = FL_(splat)(0), one = FL_(splat)(1);
    vec score[FL_(bundle)], loss[FL_(bundle)], slope[FL_(bundle)], bend[FL_(bundle)], class = zero;
    for (int v = 0; v < side; v++)
        score[v] = zero;
    for (ptrdiff_t c = 0; c < call->classes; c++, class += one)
        for (int v = 0; v < side; v++)
            score[v] = FL_(select_eq)(class, of->y[v], FL_(load)(tile + (c * side + v) * LANES), score[v]);
    for (int v = 0; v < side; v++) {
        const FL_(likelihood) x = FL_(likelihood_of)(call, score[v]);
        loss[v] = x.loss;
        slope[v] = of->c[v] * x.slope;
        bend[v] = of->c[v] * x.bend;
    }
    FL_(widen)(loss, side, plus);
    for (int r = 0; r < side * LANES; r++)
        inside[r] = 0;
    class = zero;
    for (ptrdiff_t c = 0; call->g.data && c < call->classes; c++, class += one)
        for (int v = 0; v < side; v++) {
            FL_(store)(tile + (c * side + v) * LANES, FL_(select_eq)(class, of->y[v], slope[v], zero));
            if (curvature)
                FL_(store)(curvature + (c * side + v) * LANES, FL_(select_eq)(class, of->y[v], bend[v], zero));
        }
}
