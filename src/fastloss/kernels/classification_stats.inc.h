/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What one reads from rows of scores beside the loss, in one pass over them. With m the largest score, S the sum of
 * e_j = exp(z_j - m), and L = log S, which is log1p of the sum of the others:
 *
 *   loss = (m - z_y) + L      log-sum-exp = m + L      entropy = L + sum_j e_j (m - z_j) / S
 *
 * All terms are positive, so nothing cancels. The arg max is the first of the largest; the rank is the number of classes
 * ahead of the target, those before it with an equal score included; the margin is z_y less the largest of the others.
 * In a row with a NaN nothing has an order: arg max and rank are -1.
 */

/* Numbers per row before their logarithm; `largest` is NaN if any score is. */
typedef struct {
    double ratio[FL_ROWS], largest[FL_ROWS], gap[FL_ROWS], spread[FL_ROWS], margin[FL_ROWS];
    ptrdiff_t arg_max[FL_ROWS], rank[FL_ROWS];
} FL_(statistics);

/* how many of n numbers equal x */
static inline ptrdiff_t FL_(count_equal)(const real *z, ptrdiff_t n, real x)
{
    ptrdiff_t count = 0, i = 0;
    const vec zero = FL_(splat)(0), one = FL_(splat)(1), sought = FL_(splat)(x);
    for (; i + LANES <= n; i += LANES)
        count += FL_(count_gt)(FL_(select_eq)(FL_(load)(z + i), sought, one, zero), zero);
    for (; i < n; i++)
        count += z[i] == x;
    return count;
}

/* the first of n numbers that equals x, which one of them does unless there is a NaN */
static inline ptrdiff_t FL_(find)(const real *z, ptrdiff_t n, real x)
{
    ptrdiff_t i = 0;
    while (i + LANES <= n && FL_(all_gt)(FL_(splat)(x), FL_(load)(z + i)))
        i += LANES;
    while (i < n - 1 && z[i] != x)
        i++;
    return i;
}

/* Sums over a block, in SUM_LANES partial sums: of exponentials e, and of e times the distance from the largest score; and
 * how many scores are above that of the target, or below it. */
typedef struct {
    vec sum[FL_(sum_registers)], spread[FL_(sum_registers)];
    uvec count;
} FL_(block_sums);

static FL_INLINE void FL_(add_statistics)(FL_(block_sums) *into, const real *z, const real *e, ptrdiff_t padded, real m,
                                          real target, const int below)
{
    /* where the score is -inf, e is 0 and its product with a finite distance, too */
    const vec lowest = FL_(splat)(-FL_LARGEST), top = FL_(splat)(m), sought = FL_(splat)(target);
    for (ptrdiff_t i = 0; i < padded; i += SUM_LANES)
        for (int r = 0; r < FL_(sum_registers); r++) {
            const vec x = FL_(load)(z + i + r * LANES), e_x = FL_(load)(e + i + r * LANES);
            into->sum[r] += e_x;
            into->spread[r] = FL_(fnma)(FL_(max)(lowest, x - top), e_x, into->spread[r]);
            into->count = FL_(count_if_gt)(into->count, below ? sought : x, below ? x : sought);
        }
}

/* The same with the target's number y in the block, which may lie before or behind it: *ahead is how many of its n classes
 * are ahead of the target. The spread means nothing unless m is finite. */
static FL_INLINE void FL_(block_statistics)(const real *z, ptrdiff_t n, const real *e, real m, real target, ptrdiff_t y,
                                            double *sum, double *spread, ptrdiff_t *ahead)
{
    const ptrdiff_t whole = n / SUM_LANES * SUM_LANES, y_in = y < 0 ? 0 : y < n ? y : n;
    const ptrdiff_t split =
        y_in / SUM_LANES * SUM_LANES; /* ties are ahead up to it, and up to y, where they are counted */
    FL_(block_sums) sums;
    for (int r = 0; r < FL_(sum_registers); r++)
        sums.sum[r] = sums.spread[r] = FL_(splat)(0);
    sums.count = FL_(bits)(FL_(splat)(0));
    FL_(add_statistics)(&sums, z, e, split, m, target, 1);
    sums.count = 0 - sums.count;
    FL_(add_statistics)(&sums, z + split, e + split, whole - split, m, target, 0);
    if (whole < n) {
        real rest[FL_(sum_lanes)];
        for (int i = 0; i < SUM_LANES; i += LANES)
            FL_(store)(rest + i, FL_(splat)(-(real)INFINITY));
        FL_(block_copy)(z + whole, n - whole, rest);
        FL_(add_statistics)(&sums, rest, e + whole, SUM_LANES, m, target, 0);
    }
    *sum = FL_(add_lanes)(sums.sum);
    *spread = FL_(add_lanes)(sums.spread);
    *ahead = split + (ptrdiff_t)FL_(total_count)(sums.count) + FL_(count_equal)(z + split, y_in - split, target);
}

/* row number i of `into`, of many adjacent scores */
static void FL_(row_statistics)(const real *z, ptrdiff_t classes, ptrdiff_t y, FL_(statistics) *into, int i)
{
    real e[FL_BLOCK], largest = -(real)INFINITY, other = -(real)INFINITY;
    FL_(row) row = FL_(row_from)(-(real)INFINITY, 1);
    const real target = z[y];
    double spread = 0;
    ptrdiff_t arg_max = 0, ahead = 0;
    for (ptrdiff_t j = 0; j < classes; j += FL_BLOCK) {
        const ptrdiff_t n = classes - j < FL_BLOCK ? classes - j : FL_BLOCK;
        const real m = FL_(block_max)(z + j, n);
        double block_sum, block_spread;
        ptrdiff_t block_ahead;
        if (!(m <= row.ceiling))
            spread *= FL_(raise_origin)(&row, m);
        FL_(block_exp)(z + j, n, &row, e, NULL);
        if (m > largest) { /* what is there so far is further below */
            const double sum = row.others + row.picked;
            if (sum > 0)
                spread += ((double)m - (double)largest) * sum;
            largest = m;
            arg_max = j + FL_(find)(z + j, n, m);
            row.others = sum;
            row.picked = (double)e[arg_max - j];
            e[arg_max - j] = 0;
        }
        FL_(block_statistics)(z + j, n, e, largest, target, y - j, &block_sum, &block_spread, &block_ahead);
        row.others += block_sum;
        spread += largest - largest == 0 ? block_spread : 0; /* no infinity */
        ahead += block_ahead;
        if (y < j || y >= j + n || target != m) {
            other = other > m ? other : m;
        } else {
            const real before = y > j ? FL_(block_max)(z + j, y - j) : other;
            const real after = y + 1 < j + n ? FL_(block_max)(z + y + 1, j + n - y - 1) : other;
            other = other > before ? other : before;
            other = other > after ? other : after;
        }
    }
    into->ratio[i] = row.others / row.picked;
    into->largest[i] = isnan(row.others) ? NAN : (double)largest;
    into->gap[i] = target == largest ? 0 : (double)largest - (double)target;
    into->spread[i] = spread / (row.others + row.picked);
    into->margin[i] = (double)target - (double)other;
    into->arg_max[i] = arg_max;
    into->rank[i] = ahead;
}

/* rows [i, i + BUNDLE * LANES) of `into`, a row a lane */
static void FL_(tile_statistics)(real *restrict tile, ptrdiff_t classes, const FL_(lane_targets) *of,
                                 FL_(statistics) *into, int i)
{
    enum { side = FL_(bundle) };
    const vec zero = FL_(splat)(0), one = FL_(splat)(1), lowest = FL_(splat)(-(real)INFINITY);
    vec target[FL_(bundle)], best[FL_(bundle)], other[FL_(bundle)], at[FL_(bundle)], ahead[FL_(bundle)], class = zero;
    for (int v = 0; v < side; v++) {
        target[v] = best[v] = other[v] = lowest;
        at[v] = ahead[v] = zero;
    }
    for (ptrdiff_t c = 0; c < classes; c++, class += one)
        for (int v = 0; v < side; v++) {
            const vec x = FL_(load)(tile + (c * side + v) * LANES);
            target[v] = FL_(select_eq)(class, of->y[v], x, target[v]);
            other[v] = FL_(max)(other[v], FL_(select_eq)(class, of->y[v], lowest, x));
            at[v] = FL_(select_gt)(x, best[v], class, at[v]);
            best[v] = FL_(max)(best[v], x);
        }
    class = zero;
    for (ptrdiff_t c = 0; c < classes; c++, class += one)
        for (int v = 0; v < side; v++) {
            const vec x = FL_(load)(tile + (c * side + v) * LANES);
            const vec tied = FL_(select_gt)(of->y[v], class, one, zero);
            const vec not_above = FL_(select_eq)(x, target[v], tied, zero);
            ahead[v] += FL_(select_gt)(x, target[v], one, not_above);
        }

    FL_(tile_origin) from[FL_(bundle)];
    FL_(set_aside) others = FL_(nothing_aside)(), spreads = others;
    vec rest[FL_(bundle)], picked[FL_(bundle)], spread[FL_(bundle)];
    FL_(tile_exponentials_from)(tile, classes, side, 1, from);
    for (int v = 0; v < side; v++)
        rest[v] = picked[v] = spread[v] = zero;
    for (ptrdiff_t start = 0; start < classes; start += FL_PART) {
        const ptrdiff_t end = classes - start < FL_PART ? classes : start + FL_PART;
        vec part[FL_(bundle)], part_spread[FL_(bundle)];
        for (int v = 0; v < side; v++)
            part[v] = part_spread[v] = zero;
        for (ptrdiff_t c = start; c < end; c++)
            for (int v = 0; v < side; v++) {
                FL_(fetch_next)(of, c, v);
                const vec x = FL_(load)(tile + (c * side + v) * LANES), top = from[v].largest;
                const vec e = FL_(exp_shifted)(x, from[v].shift);
                /* the first of the largest is picked, any further one is one of the others */
                const vec beside = FL_(select_eq)(x, top, picked[v], e);
                picked[v] = FL_(select_eq)(x, top, e, picked[v]);
                part[v] += beside;
                part_spread[v] = FL_(fnma_unless_zero)(x - top, e, part_spread[v]);
            }
        for (int v = 0; v < side; v++) {
            rest[v] += part[v];
            spread[v] += part_spread[v];
        }
        FL_(restart)(&others, rest, side, end, classes);
        FL_(restart)(&spreads, spread, side, end, classes);
    }

    vec ratio[FL_(bundle)];
    for (int v = 0; v < side; v++) {
        ratio[v] = rest[v] / picked[v];
        spread[v] = spread[v] / (rest[v] + picked[v]);
        best[v] = FL_(select_eq)(rest[v], rest[v], best[v], rest[v]); /* NaN */
    }
    FL_(widen)(ratio, side, into->ratio + i);
    FL_(widen)(best, side, into->largest + i);
    FL_(widen)(spread, side, into->spread + i);
    FL_(widen)(target, side, into->gap + i);
    FL_(widen)(other, side, into->margin + i);
    for (int r = i; r < i + side * LANES; r++) {
        const double score = into->gap[r], largest = into->largest[r];
        into->gap[r] = score == largest ? 0 : largest - score;
        into->margin[r] = score - into->margin[r];
    }
    double lane[FL_(bundle) *FL_(lanes)];
    FL_(widen)(at, side, lane);
    for (int r = 0; r < side * LANES; r++)
        into->arg_max[i + r] = (ptrdiff_t)lane[r];
    FL_(widen)(ahead, side, lane);
    for (int r = 0; r < side * LANES; r++)
        into->rank[i + r] = (ptrdiff_t)lane[r];
}

/* rows [first + i, first + i + rows), at most BUNDLE * LANES, that are read a row a lane */
static void FL_(narrow_statistics)(const fl_call *call, ptrdiff_t first, int rows, const ptrdiff_t *k,
                                   real *restrict tile, FL_(statistics) *into, int i)
{
    enum { all = FL_(bundle) *FL_(lanes) };
    const real *const z = FL_(at_row)(&call->z, first + i);
    const ptrdiff_t classes = call->classes;
    FL_(lane_targets) of = {.z = z, .k = k + i, .rows = rows};
    real number[all];
    of.next_z = of.next_g = z + FL_(next_tile)(&call->z, classes, &of.next_z_step);
    of.next_g_step = of.next_z_step;
    for (int r = 0; r < all; r++)
        number[r] = (real)(int32_t)k[i + r];
    for (int v = 0; v < BUNDLE; v++)
        of.y[v] = FL_(load)(number + v * LANES);
    FL_(load_tile)(z, call->z.row, call->z.step, rows, classes, BUNDLE, tile);
    FL_(tile_statistics)(tile, classes, &of, into, i);
}

static FL_INLINE void FL_(wide_statistics)(const fl_call *call, ptrdiff_t first, int rows, const ptrdiff_t *k,
                                           FL_(statistics) *into)
{
    const fl_rows *const from = &call->z;
    const real *const z = FL_(at_row)(from, first);
    real *const near = (real *)call->scratch;
    const int most = call->scratch_bytes ? fl_rows_together(call, sizeof(real)) : rows;
    for (int start = 0; start < rows; start += most) {
        const int n = rows - start < most ? rows - start : most;
        if (call->scratch_bytes)
            FL_(gather_rows)(z + start * from->row, from->row, from->step, n, call->classes, near);
        for (int r = start; r < start + n; r++)
            FL_(row_statistics)(call->scratch_bytes ? near + (r - start) * call->classes : z + r * from->row,
                                call->classes, k[r], into, r);
    }
}

static double FL_(classification_stats)(const fl_call *call, ptrdiff_t first, ptrdiff_t last)
{
    const unsigned mode = fl_flush_subnormals();
    const fl_statistics *const to = call->statistics;
    const int in_lanes = fl_in_lanes(call), side = FL_(bundle) *LANES;
    real near_tile[FL_NARROW * FL_(bundle) *FL_(lanes)];
    real *const tile = call->classes > FL_NARROW ? (real *)call->scratch : near_tile;
    FL_(statistics) s;
    double weight[FL_ROWS];
    ptrdiff_t indices[FL_ROWS];
    for (int i = 0; i < FL_ROWS; i++)
        weight[i] = s.ratio[i] = 1;
    for (ptrdiff_t start = first; start < last;) {
        const int rows = fl_rows_within(call, start, (int)(last - start < FL_ROWS ? last - start : FL_ROWS));
        const ptrdiff_t *const k = fl_read_samples(call, start, rows, indices, weight);
        if (in_lanes) {
            for (int i = 0; i < rows; i += side)
                FL_(narrow_statistics)(call, start, rows - i < side ? rows - i : side, k, tile, &s, i);
        } else {
            FL_(wide_statistics)(call, start, rows, k, &s);
        }
        fl_log1p_many(s.ratio, rows);
        for (int i = 0; i < rows; i++) {
            const int ordered = !isnan(s.largest[i]), counts = weight[i] != 0;
            const double log_sum = s.ratio[i], largest = s.largest[i];
            const ptrdiff_t at = start + i;
            ((real *)to->loss)[at] = (real)(counts ? s.gap[i] + log_sum : 0);
            ((real *)to->log_sum_exp)[at] = (real)(largest == -INFINITY ? largest : largest + log_sum);
            ((real *)to->entropy)[at] = (real)(log_sum + s.spread[i]);
            ((real *)to->margin)[at] = (real)(!counts ? 0 : ordered ? s.margin[i] : NAN);
            to->arg_max[at] = ordered ? s.arg_max[i] : -1;
            to->rank[at] = ordered && counts ? s.rank[i] : -1;
        }
        start += rows;
    }
    fl_restore_subnormals(mode);
    return 0;
}
