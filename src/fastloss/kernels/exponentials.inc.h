/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A row seen through its exponentials: what softmax, log-sum-exp and softmax cross-entropy share.
 *
 * e_j = exp(z_j - offset), where the offset is shift * ln 2 (an integer number of powers of two, so mantissas do not
 * depend on it) and, for scores too large to be reduced as they are, the maximum of the scores itself. So it is with a
 * temperature: e_j = exp((z_j - base) * stretch), which rounds a difference and not a score. It is chosen
 * by the first block and raised when a later block needs it. One class k, the target or the largest, is picked out:
 * its exponential is not in the sum, so that the sum of the others is exact however small it is beside it.
 */
typedef struct {
    double others; /* sum of e_j, j != k */
    double picked; /* e_k */
    double offset, stretch;    /* 1 / temperature */
    real base, shift, ceiling; /* offset = base * stretch + shift ln 2; scores up to the ceiling need no new one */
} FL_(row);

/* 60 powers of two of room: sums of 2^60 * classes still are far from overflow */
static inline FL_(row) FL_(row_from)(real m, double stretch)
{
    FL_(row) row = {.ceiling = -(real)INFINITY, .stretch = stretch};
    const double ln2 = 0.69314718055994530942;
    if (m >= -FL_FAR && m <= FL_FAR && stretch == 1) {
        row.shift = (real)(ptrdiff_t)((double)m / ln2 + (m < 0 ? -0.5 : 0.5));
        row.offset = row.shift * ln2;
    } else if (m > -(real)INFINITY) {
        row.base = m;
        row.offset = (double)m * stretch;
    } else {
        return row; /* nothing to count from yet */
    }
    row.ceiling = (real)((row.offset + 60 * ln2) / stretch);
    return row;
}

/* exp(from->offset - to->offset) <= 1; a power of two, and exact, unless one of them has a base */
static inline double FL_(lowering)(const FL_(row) *from, const FL_(row) *to)
{
    const double powers = (double)from->shift - (double)to->shift;
    if (from->base == to->base)
        return fl_power_of_two(powers);
    /* ln 2 in two parts, so that the argument is rounded once */
    const double x = ((double)from->base - (double)to->base) * to->stretch + powers * 6.93147180369123816490e-01;
    return fl_exp(x) * (1 + powers * 1.90821492927058770002e-10);
}

/* Counts from m; returns what everything counted from the former origin has to be multiplied with. */
static inline double FL_(raise_origin)(FL_(row) *row, real m)
{
    const FL_(row) higher = FL_(row_from)(m, row->stretch);
    /* Before there is a sum there is nothing to lower. */
    const double lower = row->others + row->picked > 0 ? FL_(lowering)(row, &higher) : 0;
    row->base = higher.base;
    row->shift = higher.shift;
    row->offset = higher.offset;
    row->ceiling = higher.ceiling;
    row->others *= lower;
    row->picked *= lower;
    return lower;
}

/* from the base, stretched; of +inf, inf - inf counts as 0 */
static FL_INLINE vec FL_(relative)(vec x, vec base, vec stretch)
{
    return FL_(select_eq)(x, base, FL_(splat)(0), x - base) * stretch;
}

/* e <- exp(z - offset), padded; e may be z where n is a whole number of registers and of paddings. `written` is what the
 * row will be written to, or NULL. */
static FL_INLINE void FL_(block_exp_from)(const real *z, ptrdiff_t n, const FL_(row) *row, real *e, const real *written,
                                          const int relative)
{
    const vec base = FL_(splat)(row->base), stretch = FL_(splat)((real)row->stretch);
    const FL_(shift) shift = FL_(shift_of)(FL_(splat)(row->shift));
    ptrdiff_t j = 0;
    for (; j + 4 * LANES <= n; j += 4 * LANES) {
        vec x[4];
        for (int r = 0; r < 4; r++) {
            x[r] = FL_(load)(z + j + r * LANES);
            x[r] = relative ? FL_(relative)(x[r], base, stretch) : x[r];
        }
        FL_(fetch_ahead)(z + j, written ? written + j : NULL, 4 * LANES);
        for (int r = 0; r < 4; r++)
            FL_(store)(e + j + r * LANES, FL_(exp_shifted)(x[r], shift));
    }
    for (; j < n; j += LANES) {
        const ptrdiff_t left = n - j;
        vec x = left >= LANES ? FL_(load)(z + j) : FL_(load_part)(z + j, left, -(real)INFINITY);
        if (relative) {
            x = FL_(relative)(x, base, stretch);
            real near[FL_(lanes)];
            FL_(store)(near, x);
            x = left >= LANES ? x : FL_(load_part)(near, left, -(real)INFINITY); /* whatever the base is */
        }
        FL_(store)(e + j, FL_(exp_shifted)(x, shift));
    }
    FL_(pad)(e, j);
}

static inline void FL_(block_exp)(const real *z, ptrdiff_t n, const FL_(row) *row, real *e, const real *written)
{
    if (row->base != 0 || row->stretch != 1) /* also +inf, and NaN */
        FL_(block_exp_from)(z, n, row, e, written, 1);
    else
        FL_(block_exp_from)(z, n, row, e, written, 0);
}

/* Reads a row. Its exponentials are left in `kept` (whole blocks) and in `scratch` (the last, unfinished one); without
 * `kept` they are not left. `kept` may be z. `pick` is the class to pick out, or -1 for none. Scores are multiplied with
 * `stretch`; `spread`, if wanted, is the sum of z_pick - z_j. */
static inline FL_(row) FL_(read_row)(const real *z, ptrdiff_t classes, ptrdiff_t pick, double stretch, real *kept,
                                     real *scratch, double *spread)
{
    FL_(row) row = FL_(row_from)(-(real)INFINITY, stretch);
    const real target = pick >= 0 ? z[pick] : 0; /* kept may be z */
    for (ptrdiff_t j = 0; j < classes; j += FL_BLOCK) {
        const ptrdiff_t n = classes - j < FL_BLOCK ? classes - j : FL_BLOCK;
        const real m = FL_(block_max)(z + j, n);
        if (spread)
            *spread += FL_(block_spread)(z + j, n, target);
        if (!(m <= row.ceiling)) {
            const double lower = FL_(raise_origin)(&row, m);
            if (kept)
                FL_(block_scale)(kept, j, (real)lower, kept);
        }
        real *const e = kept && n == FL_BLOCK ? kept + j : scratch;
        FL_(block_exp)(z + j, n, &row, e, kept ? kept + j : NULL);
        if (pick >= j && pick < j + n) {
            row.picked = (double)e[pick - j];
            e[pick - j] = 0;
        }
        row.others += FL_(block_sum)(e, FL_(padded)(n));
    }
    return row;
}

/* Reads a row and picks out the largest score, one of them if there are several; without keeping exponentials. */
static inline FL_(row) FL_(read_row_from_largest)(const real *z, ptrdiff_t classes, real *largest)
{
    real e[FL_BLOCK];
    FL_(row) row = FL_(row_from)(-(real)INFINITY, 1);
    *largest = -(real)INFINITY;
    for (ptrdiff_t j = 0; j < classes; j += FL_BLOCK) {
        const ptrdiff_t n = classes - j < FL_BLOCK ? classes - j : FL_BLOCK;
        const real m = FL_(block_max)(z + j, n);
        if (!(m <= row.ceiling))
            FL_(raise_origin)(&row, m);
        FL_(block_exp)(z + j, n, &row, e, NULL);
        if (m > *largest) {
            /* exp is monotone: what equals the largest exponential is as good as the largest itself */
            const real top = FL_(block_max)(e, n);
            ptrdiff_t equal;
            const double below = FL_(block_sum_below)(e, FL_(padded)(n), top, &equal);
            row.others += row.picked + below + (double)(equal - 1) * (double)top;
            row.picked = (double)top;
            *largest = m;
        } else {
            row.others += FL_(block_sum)(e, FL_(padded)(n));
        }
    }
    return row;
}

/* The log of the sum of the exponentials, less the picked score: for the target, the loss. NaN if there is nothing to
 * normalise. Exact also where the picked class has all but a tiny part of the sum, or next to nothing of it. */
static inline fl_log_form FL_(log_of_sum_less)(const FL_(row) *row, double picked_score)
{
    if (!(row->others + row->picked > 0))
        return (fl_log_form){NAN, 0};
    const double ratio = row->others / row->picked;
    if (ratio <= DBL_MAX)
        return (fl_log_form){ratio, 0};
    return (fl_log_form){row->others - 1, row->offset - picked_score};
}

/* g_j = factor * e_j + offset for the whole row, from where read_row left the exponentials */
static inline void FL_(write_row)(const real *kept, const real *scratch, ptrdiff_t classes, real factor, real offset,
                                  real *g)
{
    const ptrdiff_t whole = kept ? classes / FL_BLOCK * FL_BLOCK : 0;
    if (whole)
        FL_(block_shift)(kept, whole, factor, offset, g);
    FL_(block_shift)(scratch, classes - whole, factor, offset, g + whole);
}

/* h_j = g_j (1 - p_j) where g_j = c p_j but for the target, whose g is 0 and whose p is `picked`. At most one class has more than
 * half of the probability; for it, 1 - p is the sum of all the others. */
static inline void FL_(row_curvature)(const real *g, ptrdiff_t classes, real c, real picked, real *h)
{
    const vec one = FL_(splat)(1), inverse = FL_(splat)(1 / c);
    vec largest = FL_(splat)(0);
    ptrdiff_t j = 0;
    for (; j < classes; j += LANES) {
        const ptrdiff_t n = classes - j;
        const vec x = n >= LANES ? FL_(load)(g + j) : FL_(load_part)(g + j, n, 0);
        const vec p = x * inverse;
        largest = FL_(max)(largest, p);
        if (n >= LANES)
            FL_(store)(h + j, x * (one - p));
        else
            FL_(store_part)(h + j, n, x * (one - p));
    }
    const real p = FL_(largest_lane)(largest);
    if (p > (real)0.5) {
        ptrdiff_t k = 0;
        while (k < classes - 1 && !(g[k] * (1 / c) == p))
            k++;
        const double others = FL_(sum)(g, k) + FL_(sum)(g + k + 1, classes - k - 1);
        const double rest = (double)picked + others / (double)c;
        h[k] = (real)((double)g[k] * rest);
    }
}

/* the same for a tile: from where the exponentials of each lane are counted, offset = base + powers ln 2 */
typedef struct {
    vec base, powers, largest;
    FL_(shift) shift;
} FL_(tile_origin); /* base before it is stretched */

/* Scores too large to be reduced as they are, or to be stretched, become relative to their row's maximum, in the tile.
 * Returns whether there were such. */
static FL_INLINE int FL_(tile_exponentials_from)(real *restrict tile, ptrdiff_t classes, const int side, real stretch,
                                                 FL_(tile_origin) *from)
{
    const vec zero = FL_(splat)(0), far = FL_(splat)(stretch == 1 ? FL_FAR : -1), lowest = FL_(splat)(-(real)INFINITY);
    vec m[FL_(bundle)], size[FL_(bundle)];
    for (int v = 0; v < side; v++)
        m[v] = lowest;
    for (ptrdiff_t c = 0; c < classes; c++)
        for (int v = 0; v < side; v++)
            m[v] = FL_(max)(m[v], FL_(load)(tile + (c * side + v) * LANES));
    vec largest_size = lowest;
    for (int v = 0; v < side; v++) {
        size[v] = FL_(select_gt)(m[v], lowest, FL_(abs)(m[v]), FL_(splat)(-1)); /* of -inf: nothing to count from */
        largest_size = FL_(max)(largest_size, size[v]);
    }
    const int any_far = FL_(any_gt)(largest_size, far);
    for (int v = 0; v < side; v++)
        from[v].base = zero;
    if (any_far)
        for (int v = 0; v < side; v++) {
            const vec base = from[v].base = FL_(select_gt)(size[v], far, m[v], zero);
            m[v] = FL_(select_gt)(size[v], far, zero, m[v]);
            for (ptrdiff_t c = 0; c < classes; c++) {
                real *const at = tile + (c * side + v) * LANES;
                const vec x = FL_(load)(at), relative = FL_(relative)(x, base, FL_(splat)(stretch));
                FL_(store)(at, FL_(select_gt)(size[v], far, relative, x));
            }
        }
    for (int v = 0; v < side; v++) {
        from[v].largest = m[v];
        from[v].powers = FL_(powers_of_two)(FL_(select_gt)(m[v], lowest, m[v], zero));
        from[v].shift = FL_(shift_of)(from[v].powers);
    }
    return any_far;
}

/* log(rest + picked) + offset - score as a log_form: rest / picked as long as that is no large number, so that a tiny rest
 * keeps its digits, and else log(1 + (sum - 1)). `score` is that of the tile, which may be relative. */
static FL_INLINE void FL_(tile_log_form)(vec rest, vec picked, vec score, const FL_(tile_origin) *from, vec *inside,
                                         vec *plus)
{
    const vec zero = FL_(splat)(0), sum = rest + picked, least = sum * FL_(splat)((real)0x1p-20);
    const vec nothing = FL_(select_gt)(sum, zero, sum - FL_(splat)(1), FL_(splat)((real)NAN));
    const vec ahead =
        FL_(fma)(from->powers, FL_(splat)(FL_LN2_LOW), FL_(fma)(from->powers, FL_(splat)(FL_LN2_HIGH), zero - score));
    *inside = FL_(select_gt)(picked, least, rest / picked, nothing);
    *plus = FL_(select_gt)(picked, least, zero, ahead);
}

/* the log-sum-exp of each lane, from the sum of its exponentials, which is not small */
static FL_INLINE vec FL_(tile_log_sum)(vec sum, real stretch, const FL_(tile_origin) *from)
{
    const vec high = FL_(splat)(FL_LN2_HIGH), low = FL_(splat)(FL_LN2_LOW);
    return FL_(fma)(from->powers, high, FL_(fma)(from->powers, low, FL_(log)(sum))) + from->base * FL_(splat)(stretch);
}
