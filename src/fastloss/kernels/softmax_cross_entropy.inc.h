/* SPDX-License-Identifier: BSD-3-Clause
 *
 * softmax_cross_entropy(z, y) = log(sum_j exp z_j) - z_y
 *
 *   p_j = exp(z_j) / sum_k exp(z_k)       dl/dz_j = p_j - [j = y]       d2l/dz_j2 = p_j (1 - p_j)
 *
 * At the target p_y - 1 is taken as -(sum of the others), which keeps its digits when p_y is all but 1.
 *
 * The code is that of optional_softmax_cross_entropy as well, compiled for each: `optional` is known.
 */
/* from a row that has been read, with options; `spread` is the mean of z_y - z_j */
static fl_log_form FL_(optional_row)(const FL_(softmax_options) *options, const FL_(row) *row, fl_log_form form,
                                     double spread, ptrdiff_t classes, ptrdiff_t y, real c, const real *scratch,
                                     real *g, real *h)
{
    const double sum = row->others + row->picked, log_sum_exp = row->offset + fl_log1p(sum - 1);
    const double loss = fl_log1p(form.inside) + form.plus;
    FL_(row_terms) terms;
    FL_(optional_terms)(options, FL_(splat)((real)(row->picked / sum)), FL_(splat)((real)(row->others / sum)),
                        FL_(splat)((real)loss), FL_(splat)((real)(spread * options->stretch)),
                        FL_(splat)((real)log_sum_exp), FL_(splat)(c), (real)classes, &terms);
    if (g) {
        const double factor = (double)FL_(first_lane)(terms.factor);
        const real offset = FL_(first_lane)(terms.offset);
        if (h)
            FL_(write_row)(g, scratch, classes, (real)(1 / sum), 0, h);
        FL_(write_row)(g, scratch, classes, (real)(factor / sum), offset, g);
        if (options->z_loss != 0 && row->base == (real)INFINITY)
            FL_(limit_row)(g, NULL, classes, 1, offset, 0);
        g[y] = FL_(first_lane)(terms.target);
        if (h) {
            FL_(shares_to_curvature)(h, classes, FL_(first_lane)(terms.curve), FL_(first_lane)(terms.bend),
                                     row->picked / sum);
            h[y] = FL_(first_lane)(terms.target_curve);
        }
    }
    return (fl_log_form){0, (double)FL_(first_lane)(terms.loss)};
}

static FL_INLINE fl_log_form FL_(cross_entropy_row)(const fl_call *call, const real *z, ptrdiff_t y, real c, real *g,
                                                    real *h, const int optional)
{
    real scratch[FL_BLOCK];
    double spread = 0;
    const ptrdiff_t classes = call->classes;
    const FL_(softmax_options) options = FL_(softmax_options_of)(call, optional);
    const double target = (double)z[y] * options.stretch; /* g may be z */
    const FL_(row) row =
        FL_(read_row)(z, classes, y, options.stretch, g, scratch, options.smoothing != 0 ? &spread : NULL);
    const double sum = row.others + row.picked;
    const fl_log_form loss = FL_(log_of_sum_less)(&row, target);
    if (options.any)
        return FL_(optional_row)(&options, &row, loss, spread / (double)classes, classes, y, c, scratch, g, h);
    if (g) {
        FL_(write_row)(g, scratch, classes, (real)((double)c / sum), 0, g);
        if (h) {
            FL_(row_curvature)(g, classes, c, (real)(row.picked / sum), h);
            h[y] = (real)((double)c * (row.picked / sum) * (row.others / sum));
        }
        g[y] = (real)(0 - (double)c * (row.others / sum));
    }
    return loss;
}

/* rows of up to FL_BANDED classes; those of scores too large to be reduced as they are go one by one */
static FL_INLINE void FL_(cross_entropy_band)(const fl_call *call, FL_(band) *band, const ptrdiff_t *k, const real *c,
                                              FL_(row_loss) *row_loss, double *inside, double *plus, const int optional)
{
    const ptrdiff_t classes = call->classes;
    const vec zero = FL_(splat)(0), one = FL_(splat)(1);
    const FL_(softmax_options) options = FL_(softmax_options_of)(call, optional);
    real e[FL_(lanes) *FL_BANDED], largest[FL_(lanes)], lane[FL_(lanes)], target[FL_(lanes)];
    for (int i = 0; i < LANES; i++) {
        largest[i] = band->z[i] ? FL_(block_max)(band->z[i], classes) : 0;
        if (!(largest[i] >= -FL_FAR && largest[i] <= FL_FAR) && band->z[i]) {
            const fl_log_form loss = row_loss(call, band->z[i], k[i], c[i], band->g[i], band->h[i]);
            inside[i] = loss.inside;
            plus[i] = loss.plus;
            band->z[i] = NULL;
            largest[i] = 0;
        }
    }
    const int stretched = options.stretch != 1; /* then scores are relative to the largest */
    const vec m = FL_(load)(largest), powers = stretched ? zero : FL_(powers_of_two)(m);
    const FL_(tile_origin) from = {
        .base = stretched ? m : zero,
        .powers = powers,
        .largest = stretched ? zero : m,
        .shift = FL_(shift_of)(powers),
    };
    const ptrdiff_t pitch = stretched ? FL_(band_exponentials)(band, classes, &from, e, 1, (real)options.stretch)
                                      : FL_(band_exponentials)(band, classes, &from, e, 0, 1);
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
    const vec score = stretched ? (FL_(load)(target) - m) * FL_(splat)((real)options.stretch) : FL_(load)(target);
    FL_(tile_log_form)(rest, picked, score, &from, &a, &b);
    const vec inverse = one / sum, p = picked * inverse, factors = FL_(load)(c);
    FL_(row_terms) terms = {.factor = factors, .offset = zero, .target = zero - rest * inverse * factors};
    if (options.any) {
        vec spread = zero;
        if (options.smoothing != 0) {
            for (int i = 0; i < LANES; i++)
                lane[i] =
                    band->z[i]
                        ? (real)(FL_(block_spread)(band->z[i], classes, target[i]) * options.stretch / (double)classes)
                        : 0;
            spread = FL_(load)(lane);
        }
        FL_(optional_terms)(&options, p, rest * inverse, FL_(log1p)(a) + b, spread,
                            options.z_loss != 0 ? FL_(tile_log_sum)(sum, (real)options.stretch, &from) : zero, factors,
                            (real)classes, &terms);
        a = zero;
        b = terms.loss;
    }
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
    real factor[FL_(lanes)], offset[FL_(lanes)], share[FL_(lanes)], picked_share[FL_(lanes)], curve[FL_(lanes)],
        bend[FL_(lanes)];
    FL_(store)(factor, terms.factor * inverse);
    FL_(store)(offset, terms.offset);
    FL_(store)(target, terms.target);
    FL_(store)(share, inverse);
    FL_(store)(picked_share, p);
    FL_(store)(curve, terms.curve);
    FL_(store)(bend, terms.bend);
    FL_(store)(lane, terms.target_curve);
    for (int i = 0; i < LANES; i++)
        if (band->z[i]) {
            const real *const from_e = e + i * pitch;
            if (band->h[i] && options.any) {
                FL_(block_scale)(from_e, classes, share[i], band->h[i]);
                FL_(shares_to_curvature)(band->h[i], classes, curve[i], bend[i], (double)picked_share[i]);
                band->h[i][k[i]] = lane[i];
            }
            FL_(block_shift)(from_e, classes, factor[i], offset[i], band->g[i]);
            if (band->h[i] && !options.any) {
                FL_(row_curvature)(band->g[i], classes, c[i], picked_share[i], band->h[i]);
                band->h[i][k[i]] = 0 - target[i] * picked_share[i];
            }
            band->g[i][k[i]] = target[i];
        }
}

/* the sum of largest - z_j in each lane, each made small */
static FL_INLINE void FL_(tile_spread)(const real *tile, ptrdiff_t classes, const int side,
                                       const FL_(tile_origin) *from, vec *spread)
{
    const vec share = FL_(splat)(FL_SHARE);
    FL_(set_aside) distances = FL_(nothing_aside)();
    for (ptrdiff_t start = 0; start < classes; start += FL_PART) {
        const ptrdiff_t end = classes - start < FL_PART ? classes : start + FL_PART;
        vec part[FL_(bundle)];
        for (int v = 0; v < side; v++)
            part[v] = FL_(splat)(0);
        for (ptrdiff_t c = start; c < end; c++)
            for (int v = 0; v < side; v++)
                part[v] += FL_(fnma)(FL_(load)(tile + (c * side + v) * LANES), share, from[v].largest * share);
        for (int v = 0; v < side; v++)
            spread[v] += part[v];
        FL_(restart)(&distances, spread, side, end, classes);
    }
}

static FL_INLINE void FL_(cross_entropy_tile)(const fl_call *call, real *restrict tile, real *restrict curvature,
                                              const FL_(lane_targets) *of, const int side, double *inside, double *plus,
                                              const int optional)
{
    const ptrdiff_t classes = call->classes;
    const vec zero = FL_(splat)(0), one = FL_(splat)(1);
    FL_(tile_origin) from[FL_(bundle)];
    FL_(set_aside) others = FL_(nothing_aside)(), below = others; /* all but the target, all but the largest */
    vec rest[FL_(bundle)], picked[FL_(bundle)], score[FL_(bundle)], beside[FL_(bundle)], class = zero;
    const FL_(softmax_options) options = FL_(softmax_options_of)(call, optional);
    const int far = FL_(tile_exponentials_from)(tile, classes, side, (real)options.stretch, from);
    vec spread[FL_(bundle)];
    for (int v = 0; v < side; v++)
        rest[v] = picked[v] = score[v] = beside[v] = spread[v] = zero;
    if (options.smoothing != 0)
        FL_(tile_spread)(tile, classes, side, from, spread);
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
    vec a[FL_(bundle)], b[FL_(bundle)], inverse[FL_(bundle)];
    FL_(row_terms) terms[FL_(bundle)];
    for (int v = 0; v < side; v++) {
        FL_(tile_log_form)(rest[v], picked[v], score[v], from + v, a + v, b + v);
        inverse[v] = one / (rest[v] + picked[v]);
        terms[v].offset = terms[v].bend = zero;
        terms[v].factor = terms[v].curve = of->c[v];
        terms[v].target = zero - rest[v] * (of->c[v] * inverse[v]);
        terms[v].target_curve = of->c[v] * (picked[v] * inverse[v]) * (rest[v] * inverse[v]);
    }
    if (options.any)
        for (int v = 0; v < side; v++) {
            const vec behind = from[v].largest - score[v];
            FL_(optional_terms)(
                &options, picked[v] * inverse[v], rest[v] * inverse[v], FL_(log1p)(a[v]) + b[v],
                FL_(fma)(spread[v], FL_(splat)((real)(1 / (FL_SHARE * (double)classes))), zero - behind),
                options.z_loss != 0 ? FL_(tile_log_sum)(rest[v] + picked[v], (real)options.stretch, from + v) : zero,
                of->c[v], (real)classes, terms + v);
            a[v] = zero;
            b[v] = terms[v].loss;
        }
    FL_(widen)(a, side, inside);
    FL_(widen)(b, side, plus);
    if (far && !options.any) {
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
    vec factor[FL_(bundle)];
    for (int v = 0; v < side; v++)
        factor[v] = terms[v].factor * inverse[v];
    class = zero;
    for (ptrdiff_t c = 0; c < classes; c++, class += one)
        for (int v = 0; v < side; v++) {
            real *const at = tile + (c * side + v) * LANES;
            const vec e = FL_(load)(at);
            FL_(store)(at, FL_(select_eq)(class, of->y[v], terms[v].target, FL_(fma)(e, factor[v], terms[v].offset)));
            if (curvature) {
                /* 1 - p is the sum of the others; for the one class that may have more than half, without cancelling */
                const vec p = e * inverse[v], half = FL_(splat)((real)0.5);
                const vec left = FL_(select_gt)(p, half, beside[v] * inverse[v], one - p);
                const vec curve = p * FL_(fma)(terms[v].bend, p, terms[v].curve * left);
                FL_(store)(curvature + (c * side + v) * LANES,
                           FL_(select_eq)(class, of->y[v], terms[v].target_curve, curve));
            }
        }
    if (far && options.z_loss != 0)
        for (int v = 0; v < side; v++) {
            real base[FL_(lanes)], offset[FL_(lanes)], bend[FL_(lanes)];
            FL_(store)(base, from[v].base);
            FL_(store)(offset, terms[v].offset);
            FL_(store)(bend, terms[v].bend);
            for (int i = 0; i < LANES; i++)
                if (base[i] == (real)INFINITY)
                    FL_(limit_row)(tile + v * LANES + i, curvature ? curvature + v * LANES + i : NULL, classes,
                                   side * LANES, offset[i], bend[i]);
        }
}

/* Two classes: with d = z_other - z_target the loss is log(1 + exp d), and one exponential, that of -|d|, is enough. */
static FL_INLINE void FL_(cross_entropy_of_two)(const fl_call *call, real *restrict tile, real *restrict curvature,
                                                const FL_(lane_targets) *of, const int side, double *inside,
                                                double *plus)
{
    const vec zero = FL_(splat)(0), one = FL_(splat)(1), large = FL_(splat)(FL_LARGEST / 4);
    vec target[FL_(bundle)], other[FL_(bundle)], ahead[FL_(bundle)], e[FL_(bundle)], behind[FL_(bundle)], size = zero;
    for (int v = 0; v < side; v++) {
        const vec first = FL_(load)(tile + v * LANES), second = FL_(load)(tile + (side + v) * LANES);
        FL_(fetch_next)(of, 0, v);
        FL_(fetch_next)(of, 1, v);
        target[v] = FL_(select_eq)(of->y[v], zero, first, second);
        other[v] = FL_(select_eq)(of->y[v], zero, second, first);
        ahead[v] = other[v] - target[v];
        size = FL_(max)(FL_(max)(FL_(abs)(first), FL_(abs)(second)), size); /* of NaN: none */
    }
    const int far = FL_(any_gt)(size, large);
    if (far) /* of +inf, inf - inf counts as 0; of -inf there is nothing to normalise */
        for (int v = 0; v < side; v++) {
            const vec same = FL_(select_gt)(target[v], zero - FL_(splat)((real)INFINITY), zero, FL_(splat)((real)NAN));
            ahead[v] = FL_(select_eq)(target[v], other[v], same, ahead[v]);
        }
    for (int v = 0; v < side; v++) {
        /* what the difference lost (Knuth's TwoSum) counts as often as its exponential is large */
        const vec d = ahead[v], back = d - other[v];
        const vec lost = (other[v] - (d - back)) - (target[v] + back), close = FL_(exp_minus)(d);
        e[v] = FL_(fnma)(close, FL_(select_eq)(lost, lost, FL_(flip_sign)(lost, d), zero), close);
        behind[v] = FL_(max)(d, zero);
    }
    FL_(widen)(e, side, inside);
    FL_(widen)(behind, side, plus);
    if (far)
        for (int r = 0; r < side * LANES; r++)
            if (plus[r] == INFINITY) /* or a difference that is larger than the largest float32 */
                plus[r] = (double)tile[(1 - of->k[r]) * side * LANES + r] - (double)tile[of->k[r] * side * LANES + r];
    if (!call->g.data)
        return;
    for (int v = 0; v < side; v++) {
        const vec share = FL_(reciprocal)(one + e[v]), rest = e[v] * share;
        const vec g = of->c[v] * FL_(select_gt)(ahead[v], zero, share, rest);
        FL_(store)(tile + v * LANES, FL_(select_eq)(of->y[v], zero, zero - g, g));
        FL_(store)(tile + (side + v) * LANES, FL_(select_eq)(of->y[v], zero, g, zero - g));
        if (curvature)
            for (int k = 0; k < 2; k++)
                FL_(store)(curvature + (k * side + v) * LANES, of->c[v] * (share * rest));
    }
}

static FL_NOINLINE fl_log_form FL_(softmax_cross_entropy_row)(const fl_call *call, const real *z, ptrdiff_t y, real c,
                                                              real *g, real *h)
{
    return FL_(cross_entropy_row)(call, z, y, c, g, h, 0);
}

static FL_INLINE void FL_(softmax_cross_entropy_band)(const fl_call *call, FL_(band) *band, const ptrdiff_t *k,
                                                      const real *c, double *inside, double *plus)
{
    FL_(cross_entropy_band)(call, band, k, c, FL_(softmax_cross_entropy_row), inside, plus, 0);
}

static FL_INLINE void FL_(softmax_cross_entropy_tile)(const fl_call *call, real *restrict tile,
                                                      real *restrict curvature, const FL_(lane_targets) *of,
                                                      const int side, double *inside, double *plus)
{
    if (call->classes == 2)
        FL_(cross_entropy_of_two)(call, tile, curvature, of, side, inside, plus);
    else
        FL_(cross_entropy_tile)(call, tile, curvature, of, side, inside, plus, 0);
}
