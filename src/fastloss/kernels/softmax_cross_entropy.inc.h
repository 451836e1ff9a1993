/* SPDX-License-Identifier: BSD-3-Clause
 *
 * softmax_cross_entropy(z, y) = log(sum_j exp z_j) - z_y
 *
 *   p_j = exp(z_j) / sum_k exp(z_k)       dl/dz_j = p_j - [j = y]       d2l/dz_j2 = p_j (1 - p_j)
 *
 * At the target p_y - 1 is taken as -(sum of the others), which keeps its digits when p_y is all but 1.
 */
static inline fl_log_form FL_(softmax_cross_entropy_row)(const fl_call *call, const real *z, ptrdiff_t y, real c,
                                                         real *g, real *h)
{
    real scratch[FL_BLOCK];
    const ptrdiff_t classes = call->classes;
    const real target = z[y]; /* g may be z */
    const FL_(row) row = FL_(read_row)(z, classes, y, g, scratch);
    if (g) {
        const double sum = row.others + row.picked;
        FL_(write_row)(g, scratch, classes, (real)((double)c / sum), g);
        if (h) {
            FL_(row_curvature)(g, classes, c, (real)(row.picked / sum), h);
            h[y] = (real)((double)c * (row.picked / sum) * (row.others / sum));
        }
        g[y] = (real)(0 - (double)c * (row.others / sum));
    }
    return FL_(log_of_sum_less)(&row, target);
}

/* rows of up to FL_BANDED classes; those of scores too large to be reduced as they are go one by one */
static FL_INLINE void FL_(softmax_cross_entropy_band)(const fl_call *call, FL_(band) *band, const ptrdiff_t *k,
                                                      const real *c, double *inside, double *plus)
{
    const ptrdiff_t classes = call->classes;
    const vec zero = FL_(splat)(0), one = FL_(splat)(1);
    real e[FL_(lanes) *FL_BANDED], largest[FL_(lanes)], lane[FL_(lanes)], target[FL_(lanes)];
    for (int i = 0; i < LANES; i++) {
        largest[i] = band->z[i] ? FL_(block_max)(band->z[i], classes) : 0;
        if (!(largest[i] >= -FL_FAR && largest[i] <= FL_FAR) && band->z[i]) {
            const fl_log_form loss =
                FL_(softmax_cross_entropy_row)(call, band->z[i], k[i], c[i], band->g[i], band->h[i]);
            inside[i] = loss.inside;
            plus[i] = loss.plus;
            band->z[i] = NULL;
            largest[i] = 0;
        }
    }
    const vec m = FL_(load)(largest), powers = FL_(powers_of_two)(m);
    const FL_(tile_origin) from = {.powers = powers, .largest = m, .shift = FL_(shift_of)(powers)};
    const ptrdiff_t pitch = FL_(band_exponentials)(band, classes, &from, e);
    for (int i = 0; i < LANES; i++) {
        lane[i] = target[i] = 0;
        if (band->z[i]) {
            target[i] = band->z[i][k[i]];
            lane[i] = e[i * pitch + k[i]];
            e[i * pitch + k[i]] = 0;
        }
    }
    const vec picked = FL_(load)(lane), rest = FL_(band_sum)(e, pitch), sum = rest + picked;
    vec a, b;
    FL_(tile_log_form)(rest, picked, FL_(load)(target), &from, &a, &b);
    real a_lane[FL_(lanes)], b_lane[FL_(lanes)];
    FL_(store)(a_lane, a);
    FL_(store)(b_lane, b);
    for (int i = 0; i < LANES; i++)
        if (band->z[i]) {
            inside[i] = (double)a_lane[i];
            plus[i] = (double)b_lane[i];
        }
    if (!call->g.data)
        return;
    real factor[FL_(lanes)], p[FL_(lanes)];
    const vec inverse = one / sum, scaled = FL_(load)(c) * inverse;
    FL_(store)(factor, scaled);
    FL_(store)(p, picked * inverse);
    FL_(store)(target, zero - rest * scaled);
    for (int i = 0; i < LANES; i++)
        if (band->z[i]) {
            FL_(block_scale)(e + i * pitch, classes, factor[i], band->g[i]);
            if (band->h[i]) {
                FL_(row_curvature)(band->g[i], classes, c[i], p[i], band->h[i]);
                band->h[i][k[i]] = 0 - target[i] * p[i];
            }
            band->g[i][k[i]] = target[i];
        }
}

static FL_INLINE void FL_(softmax_cross_entropy_tile)(const fl_call *call, real *restrict tile,
                                                      real *restrict curvature, const FL_(lane_targets) *of,
                                                      const int side, double *inside, double *plus)
{
    const ptrdiff_t classes = call->classes;
    const vec zero = FL_(splat)(0), one = FL_(splat)(1);
    FL_(tile_origin) from[FL_(bundle)];
    FL_(set_aside) others = FL_(nothing_aside)(), below = others; /* all but the target, all but the largest */
    vec rest[FL_(bundle)], picked[FL_(bundle)], score[FL_(bundle)], beside[FL_(bundle)], class = zero;
    const int far = FL_(tile_exponentials_from)(tile, classes, side, from);
    for (int v = 0; v < side; v++)
        rest[v] = picked[v] = score[v] = beside[v] = zero;
    for (ptrdiff_t start = 0; start < classes; start += FL_PART) {
        const ptrdiff_t end = classes - start < FL_PART ? classes : start + FL_PART;
        vec part[FL_(bundle)], part_below[FL_(bundle)];
        for (int v = 0; v < side; v++)
            part[v] = part_below[v] = zero;
        for (ptrdiff_t c = start; c < end; c++, class += one)
            for (int v = 0; v < side; v++) {
                real *const at = tile + (c * side + v) * LANES;
                FL_(fetch_next)(of, c, v);
                const vec x = FL_(load)(at), e = FL_(exp_shifted)(x, from[v].shift);
                FL_(store)(at, e);
                picked[v] = FL_(select_eq)(class, of->y[v], e, picked[v]);
                score[v] = FL_(select_eq)(class, of->y[v], x, score[v]);
                part[v] += FL_(select_eq)(class, of->y[v], zero, e);
                if (curvature)
                    part_below[v] += FL_(select_eq)(x, from[v].largest, zero, e);
            }
        for (int v = 0; v < side; v++) {
            rest[v] += part[v];
            beside[v] += part_below[v];
        }
        FL_(restart)(&others, rest, side, end, classes);
        FL_(restart)(&below, beside, side, end, classes);
    }
    vec a[FL_(bundle)], b[FL_(bundle)];
    for (int v = 0; v < side; v++)
        FL_(tile_log_form)(rest[v], picked[v], score[v], from + v, a + v, b + v);
    FL_(widen)(a, side, inside);
    FL_(widen)(b, side, plus);
    if (far) {
        real scores[FL_(bundle) *FL_(lanes)], base[FL_(bundle) *FL_(lanes)];
        FL_(target_scores)(call, of, side, scores);
        for (int v = 0; v < side; v++)
            FL_(store)(base + v * LANES, from[v].base);
        for (int r = 0; r < side * LANES; r++)
            if (base[r] != 0 && plus[r] > 0) /* a difference that may be larger than the largest float32 */
                plus[r] = (double)base[r] - (double)scores[r];
    }
    if (!call->g.data)
        return;
    vec inverse[FL_(bundle)], factor[FL_(bundle)], at_target[FL_(bundle)];
    for (int v = 0; v < side; v++) {
        inverse[v] = one / (rest[v] + picked[v]);
        factor[v] = of->c[v] * inverse[v];
        at_target[v] = zero - rest[v] * factor[v];
    }
    class = zero;
    for (ptrdiff_t c = 0; c < classes; c++, class += one)
        for (int v = 0; v < side; v++) {
            real *const at = tile + (c * side + v) * LANES;
            const vec e = FL_(load)(at);
            FL_(store)(at, FL_(select_eq)(class, of->y[v], at_target[v], e * factor[v]));
            if (curvature) {
                /* 1 - p is the sum of the others; for the one class that may have more than half, without cancelling */
                const vec p = e * inverse[v], half = FL_(splat)((real)0.5);
                vec left = FL_(select_gt)(p, half, beside[v] * inverse[v], one - p);
                left = FL_(select_eq)(class, of->y[v], rest[v] * inverse[v], left);
                FL_(store)(curvature + (c * side + v) * LANES, of->c[v] * p * left);
            }
        }
}
