/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The driver of losses whose target is a distribution over the classes: cross-entropy with all its options, and divergence.
 *
 * The target t is a row of probabilities, a few of them with their classes, or one class. With the class weights w, the
 * smoothing S and the scores s = K tanh(z / K) / T, let p = softmax(s), L their log-sum-exp, n_j = -log p_j and
 *
 *   A_j = w_j ((1 - S) t_j + S / C sum_k t_k)      W = sum_j w_j t_j / sum_j t_j
 *   l   = sum_j A_j (1 - p_j)^gamma n_j + W zeta L^2
 *
 * With the pull of a class on its own score B_j = A_j (1 - p_j)^gamma (1 + gamma p_j n_j / (1 - p_j)) and D_j = p_j dB_j/dp_j,
 *
 *   dl/ds_j   = p_j sum_(k != j) B_k - B_j (1 - p_j) + 2 W zeta L p_j
 *   d2l/ds_j2 = p_j (1 - p_j) sum_k B_k - D_j (1 - p_j)^2 - p_j^2 sum_(k != j) D_k + 2 W zeta p_j (p_j + L (1 - p_j))
 *
 * and dl/dz_j follows by the chain rule. A divergence is sum_j t_j (log t_j + n_j).
 *
 * Only the class of the largest score can have more than half of the probability. For it 1 - p and the sums over k != j are
 * sums without it, so nothing cancels; for the others 1 - p is at least a half.
 *
 * The same passes serve rows of many classes, lanes along the classes and `across` lanes in sums, block by block; and
 * rows of few, a lane a row. Scores and targets are read again in each pass if they are more than a block: nothing
 * is kept of a row but its sums, and g may be z.
 */
typedef struct {
    FL_(softmax_options) softmax;
    real cap, inverse_cap; /* 0 without a cap */
    int divergence;
} FL_(distribution_options);

/* A block of a row, or a tile of rows: scores, capped, and how steep the cap is there; their exponentials; targets, which
 * become amounts. In the end s and a hold gradient and Hessian. */
typedef struct {
    real s[FL_BLOCK], slope[FL_BLOCK], e[FL_BLOCK], a[FL_BLOCK];
} FL_(panel);

/* A sum over classes, in an order that does not depend on the width of registers: across lanes in SUM_LANES partial sums
 * that are added up block by block, else in four of each lane. */
typedef struct {
    vec partial[FL_(sum_registers)];
    double total;
} FL_(class_sum);

/* how many vectors go to as many partial sums; a panel is padded to that, so that each sum has a register */
static FL_INLINE ptrdiff_t FL_(class_step)(const int across)
{
    return across ? FL_(sum_registers) : 4;
}

static FL_INLINE void FL_(class_clear)(FL_(class_sum) *sums, int count)
{
    for (int k = 0; k < count; k++) {
        sums[k].total = 0;
        for (int r = 0; r < FL_(sum_registers); r++)
            sums[k].partial[r] = FL_(splat)(0);
    }
}

static FL_INLINE void FL_(class_block)(FL_(class_sum) *sums, int count, const int across)
{
    for (int k = 0; across && k < count; k++) {
        sums[k].total += FL_(add_lanes)(sums[k].partial);
        for (int r = 0; r < FL_(sum_registers); r++)
            sums[k].partial[r] = FL_(splat)(0);
    }
}

static FL_INLINE vec FL_(class_total)(const FL_(class_sum) *sum, const int across)
{
    return across ? FL_(splat)((real)sum->total)
                  : (sum->partial[0] + sum->partial[1]) + (sum->partial[2] + sum->partial[3]);
}

/* in double, as exact as it is: one for each lane, or one */
static FL_INLINE void FL_(class_totals)(const FL_(class_sum) *sum, double *into, const int across)
{
    if (across)
        into[0] = sum->total;
    else
        FL_(widen)((vec[]){FL_(class_total)(sum, 0)}, 1, into);
}

/* Where classes [start, ...) of a row lie, to be fetched further ahead vector by vector: many at once would wait for each
 * other. NULL for what is not one row of adjacent numbers. */
static FL_INLINE const real *FL_(ahead_of)(const fl_rows *rows, ptrdiff_t row, ptrdiff_t start, const int across)
{
    return across && rows->data && rows->step == 1 ? FL_(at_row)(rows, row) + start + FL_AHEAD : NULL;
}

static FL_INLINE void FL_(fetch)(const real *ahead, ptrdiff_t i)
{
    if (ahead)
        FL_PREFETCH(ahead + i * LANES);
}

/* scores [start, start + n) of the row, or all of `rows` rows; a padded end is masked */
static FL_INLINE void FL_(panel_scores)(const fl_call *call, const FL_(distribution_options) *o, ptrdiff_t row,
                                        int rows, ptrdiff_t start, ptrdiff_t n, FL_(panel) *panel, const int across)
{
    const real *const z = FL_(at_row)(&call->z, row);
    const ptrdiff_t step = call->z.step;
    const vec masked = FL_(splat)(-(real)INFINITY), cap = FL_(splat)(o->cap), one = FL_(splat)(1);
    ptrdiff_t vectors = n;
    if (across) {
        vectors = (n + LANES - 1) / LANES;
        FL_(store)(panel->s + (vectors - 1) * LANES, masked);
        if (step == 1) {
            FL_(block_copy)(z + start, n, panel->s);
        } else {
            for (ptrdiff_t j = 0; j < n; j++)
                panel->s[j] = z[(start + j) * step];
        }
    } else {
        FL_(load_tile)(z, call->z.row, step, rows, n, 1, panel->s);
    }
    for (ptrdiff_t i = vectors; i % FL_(class_step)(across); i++)
        FL_(store)(panel->s + i * LANES, masked);
    for (ptrdiff_t i = 0; o->cap != 0 && i < vectors; i++) {
        real *const s = panel->s + i * LANES;
        const vec x = FL_(load)(s) * FL_(splat)(o->inverse_cap);
        const FL_(decay) decay = FL_(decay_of)(x + x);
        const vec rest = FL_(reciprocal)(one + decay.left), slope = FL_(splat)(4) * decay.left * rest * rest;
        const vec s_i = FL_(flip_sign)(cap * (decay.gone * rest), x);
        FL_(store)(s, FL_(select_eq)(x, masked, masked, FL_(select_eq)(x, x, s_i, x)));
        FL_(store)(panel->slope + i * LANES, slope);
    }
}

/* Of targets that are indices: adds what row `row` has of classes [start, start + n) to a, `step` numbers apart. Returns
 * whether there is an index that is not ignored. */
static int FL_(add_indices)(const fl_call *call, ptrdiff_t row, ptrdiff_t start, ptrdiff_t n, real *a, ptrdiff_t step)
{
    const ptrdiff_t entries = call->entries ? call->entries : 1;
    int kept = 0;
    for (ptrdiff_t e = row * entries; e < (row + 1) * entries; e++) {
        const int64_t k = fl_index_at(&call->y, e);
        if (call->some_ignored && k == call->ignored)
            continue;
        kept = 1;
        if (k >= start && k < start + n)
            a[(k - start) * step] += call->entries ? ((const real *)call->t)[e] : 1;
    }
    return kept;
}

/* targets as they are, and 1 in `on` for rows that are not ignored */
static FL_INLINE void FL_(panel_targets)(const fl_call *call, ptrdiff_t row, int rows, ptrdiff_t start, ptrdiff_t n,
                                         FL_(panel) *panel, real *on, const int across)
{
    real *const a = panel->a;
    const ptrdiff_t vectors = across ? (n + LANES - 1) / LANES : n;
    for (int r = 0; r < rows; r++)
        on[r] = 1;
    if (call->q.data && !across)
        FL_(load_tile)(FL_(at_row)(&call->q, row), call->q.row, call->q.step, rows, n, 1, a);
    for (ptrdiff_t i = vectors; i % FL_(class_step)(across); i++)
        FL_(store)(a + i * LANES, FL_(splat)(0));
    if (call->q.data) {
        const real *const q = FL_(at_row)(&call->q, row);
        if (!across)
            return;
        FL_(store)(a + (vectors - 1) * LANES, FL_(splat)(0));
        if (call->q.step == 1) {
            FL_(block_copy)(q + start, n, a);
        } else {
            for (ptrdiff_t j = 0; j < n; j++)
                a[j] = q[(start + j) * call->q.step];
        }
        return;
    }
    for (ptrdiff_t i = 0; i < vectors; i++)
        FL_(store)(a + i * LANES, FL_(splat)(0));
    for (int r = 0; r < rows; r++)
        on[r] = (real)FL_(add_indices)(call, row + r, start, n, a + r, across ? 1 : LANES);
}

static FL_INLINE vec FL_(panel_class_weights)(const fl_call *call, ptrdiff_t start, ptrdiff_t i, const int across)
{
    real lane[FL_(lanes)];
    if (!across)
        return FL_(splat)((real)call->class_weight[i]);
    for (int k = 0; k < LANES; k++) {
        const ptrdiff_t c = start + i * LANES + k;
        lane[k] = c < call->classes ? (real)call->class_weight[c] : 0;
    }
    return FL_(load)(lane);
}

/* what is known of the rows of a panel */
typedef struct {
    vec largest, base, inverse, log_sum; /* log_sum: L less the largest score */
    vec total, weight;                   /* of the targets; W */
    vec rest;                            /* the share of all but the largest */
    vec pull, pull_beside, bend, bend_beside;
    FL_(shift) shift;
} FL_(distribution);

/* what a class adds: its share, that of the others, n and the focal terms, which without gamma are its amount */
typedef struct {
    vec p, others, amount, pull, bend, steepness, focused;
} FL_(class_terms);

static FL_INLINE vec FL_(behind)(vec s, const FL_(distribution) *d, real stretch)
{
    return FL_(select_eq)(s, d->largest, FL_(splat)(0), d->largest - s) * FL_(splat)(stretch);
}

static FL_INLINE vec FL_(exponential)(vec s, const FL_(distribution) *d, real stretch)
{
    const vec x = FL_(select_eq)(s, d->base, FL_(splat)(0), s - d->base) * FL_(splat)(stretch);
    return FL_(exp_shifted)(x, d->shift);
}

static FL_INLINE void FL_(panel_exponentials)(const FL_(distribution) *d, real stretch, ptrdiff_t vectors,
                                              FL_(panel) *panel, const real *next, const int across)
{
    for (ptrdiff_t i = 0; i < vectors || i % FL_(class_step)(across); i++) {
        FL_(fetch)(next, i);
        FL_(store)(panel->e + i * LANES, FL_(exponential)(FL_(load)(panel->s + i * LANES), d, stretch));
    }
}

static FL_INLINE FL_(class_terms) FL_(class_terms_of)(const FL_(distribution_options) *o, const FL_(distribution) *d,
                                                      vec s, vec e, vec amount, const int focal)
{
    const vec zero = FL_(splat)(0), one = FL_(splat)(1);
    const real stretch = (real)o->softmax.stretch;
    FL_(class_terms) x = {.amount = amount, .pull = amount, .bend = zero, .steepness = zero};
    x.p = e * d->inverse;
    x.others = FL_(select_gt)(x.p, FL_(splat)((real)0.5), d->rest, one - x.p);
    if (focal && o->softmax.gamma != 0) {
        const vec n = FL_(behind)(s, d, stretch) + d->log_sum;
        const FL_(focal_terms) f = FL_(focal)(o->softmax.gamma, x.p, x.others, n);
        x.pull = amount * f.pull;
        x.bend = amount * f.bend;
        x.steepness = FL_(select_eq)(x.others, zero, zero, x.bend / x.others);
        x.focused = FL_(of_amount)(amount * f.focus, n);
    }
    return x;
}

/* amounts in the place of targets */
static FL_INLINE void FL_(panel_amounts)(const fl_call *call, const FL_(distribution_options) *o,
                                         const FL_(distribution) *d, ptrdiff_t start, ptrdiff_t n, FL_(panel) *panel,
                                         const int across)
{
    const ptrdiff_t vectors = across ? (n + LANES - 1) / LANES : n;
    if (o->softmax.smoothing == 0 && !call->class_weight)
        return;
    const vec own = FL_(splat)((real)(1 - o->softmax.smoothing));
    const vec each = d->total * FL_(splat)((real)(o->softmax.smoothing / (double)call->classes));
    for (ptrdiff_t i = 0; i < vectors; i++) {
        real *const at = panel->a + i * LANES;
        vec a = FL_(fma)(own, FL_(load)(at), each);
        if (call->class_weight)
            a *= FL_(panel_class_weights)(call, start, i, across);
        FL_(store)(at, a);
    }
    for (ptrdiff_t j = n; across && j < vectors * LANES; j++)
        panel->a[j] = 0;
}

/* The derivatives of vector i, in the place of its score and its amount. Only what is `focal` has a focal power or z-loss. */
static FL_INLINE void FL_(panel_derivatives)(const FL_(distribution_options) *o, const FL_(distribution) *d,
                                             ptrdiff_t i, vec c, vec height, vec doubled, FL_(panel) *panel,
                                             const real *next, const int focal, const int of_hessian)
{
    if (next)
        FL_PREFETCH_WRITE(next + i * LANES);
    const vec zero = FL_(splat)(0), half = FL_(splat)((real)0.5), stretch = FL_(splat)((real)o->softmax.stretch);
    real *const at = panel->s + i * LANES;
    const vec s = FL_(load)(at), e = FL_(load)(panel->e + i * LANES), a = FL_(load)(panel->a + i * LANES);
    const FL_(class_terms) x = FL_(class_terms_of)(o, d, s, e, a, focal);
    const vec pulls = FL_(select_gt)(x.p, half, d->pull_beside, d->pull - x.pull);
    vec g = x.p * pulls - x.pull * x.others, h = x.p * x.others * d->pull;
    if (focal) {
        const vec bends = FL_(select_gt)(x.p, half, d->bend_beside, d->bend - x.steepness);
        h -= x.bend * x.others + x.p * (x.p * bends);
        g += FL_(of_amount)(x.p, height);
        h += doubled * x.p * x.p + FL_(of_amount)(x.p * x.others, height);
    }
    g *= stretch;
    h *= stretch * stretch;
    if (o->cap != 0) {
        const vec slope = FL_(load)(panel->slope + i * LANES);
        const vec steep = FL_(splat)(-2 * o->inverse_cap * o->inverse_cap) * s; /* of -inf, where the slope is 0 */
        h = FL_(of_amount)(slope * slope, h) + FL_(of_amount)(slope, g * steep);
        g = FL_(of_amount)(slope, g);
    }
    FL_(store)(at, FL_(select_eq)(c, zero, zero, g * c));
    if (of_hessian)
        FL_(store)(panel->a + i * LANES, FL_(select_eq)(c, zero, zero, h * c));
}

static FL_INLINE void FL_(put_panel)(const fl_rows *to, ptrdiff_t row, int rows, ptrdiff_t start, ptrdiff_t n,
                                     const real *from, const int across)
{
    real *const g = FL_(at_row)(to, row);
    if (!across) {
        FL_(store_tile)(from, to->row, to->step, rows, n, 1, g);
    } else if (to->step == 1) {
        FL_(block_copy)(from, n, g + start);
    } else {
        for (ptrdiff_t j = 0; j < n; j++)
            g[(start + j) * to->step] = from[j];
    }
}

/* Row `row`, or a tile of rows from it on: their losses, before sample weights; `weight` becomes 0 for rows that do not
 * count. A target that is no probability makes the loss NaN. */
static FL_INLINE void FL_(distribution_panel)(const fl_call *call, const FL_(distribution_options) *o, ptrdiff_t row,
                                              int rows, double *weight, double *loss, const int across)
{
    enum { BESIDE, SAME, AMOUNT, AMOUNT_BESIDE, DISTANCE, SUMS };
    FL_(panel) panel;
    FL_(distribution) d;
    FL_(class_sum) sums[SUMS];
    const vec zero = FL_(splat)(0), one = FL_(splat)(1), lowest = FL_(splat)(-(real)INFINITY);
    const ptrdiff_t classes = call->classes, block = across ? FL_BLOCK : classes;
    const int whole = classes <= block, together = (int)FL_(class_step)(across);
    const real stretch = (real)o->softmax.stretch;
    real on[FL_(lanes)] = {0}, lane[FL_(lanes)];
    vec negative = zero;
    d.largest = lowest;
    FL_(class_clear)(sums, 2);
    for (ptrdiff_t start = 0; start < classes; start += block) {
        const ptrdiff_t n = classes - start < block ? classes - start : block;
        const ptrdiff_t vectors = across ? (n + LANES - 1) / LANES : n;
        const real *const next_z = whole ? NULL : FL_(ahead_of)(&call->z, row, start, across);
        const real *const next_q = whole ? NULL : FL_(ahead_of)(&call->q, row, start, across);
        FL_(panel_scores)(call, o, row, rows, start, n, &panel, across);
        FL_(panel_targets)(call, row, rows, start, n, &panel, on, across);
        for (ptrdiff_t i = 0; i < vectors; i += together)
            for (int r = 0; r < together; r++) {
                FL_(fetch)(next_z, i + r);
                FL_(fetch)(next_q, i + r);
                const vec a = FL_(load)(panel.a + (i + r) * LANES);
                d.largest = FL_(max)(d.largest, FL_(load)(panel.s + (i + r) * LANES));
                negative = FL_(max)(negative, zero - a);
                sums[0].partial[r] += a;
            }
        for (ptrdiff_t i = 0; call->class_weight && i < vectors; i++)
            sums[1].partial[i % together] +=
                FL_(load)(panel.a + i * LANES) * FL_(panel_class_weights)(call, start, i, across);
        FL_(class_block)(sums, 2, across);
    }
    if (across) {
        d.largest = FL_(splat)(FL_(largest_lane)(d.largest));
        negative = FL_(splat)(FL_(largest_lane)(negative));
    }
    d.total = FL_(class_total)(sums, across);
    d.weight = one;
    if (call->class_weight)
        d.weight = FL_(select_eq)(d.total, zero, one, FL_(class_total)(sums + 1, across) / d.total);
    const vec bad = FL_(select_gt)(negative, zero, FL_(splat)((real)NAN), zero * d.total);
    for (int r = 0; r < LANES; r++)
        lane[r] = r < rows ? on[r] * (real)(weight[r] * call->scale) : 0;
    if (across)
        lane[0] = on[0] * (real)(weight[0] * call->scale);
    vec c = across ? FL_(splat)(lane[0]) : FL_(load)(lane);
    c = FL_(select_eq)(d.weight, zero, zero, c);
    FL_(store)(lane, d.weight);
    for (int r = 0; r < rows; r++)
        if (on[r] == 0 || lane[r] == 0)
            weight[r] = 0;

    /* The exponentials of scores that can be reduced as they are have the same bits whatever the largest is. */
    const vec size = FL_(select_gt)(d.largest, lowest, FL_(abs)(d.largest), FL_(splat)(-1));
    d.base = FL_(select_gt)(size, FL_(splat)(stretch == 1 ? FL_FAR : (real)-0.5), d.largest, zero);
    const vec origin = FL_(select_eq)(d.base, d.largest, zero, d.largest - d.base);
    d.shift = FL_(shift_of)(FL_(powers_of_two)(FL_(select_gt)(origin, lowest, origin, zero)));
    FL_(class_clear)(sums, SUMS);
    for (ptrdiff_t start = 0; start < classes; start += block) {
        const ptrdiff_t n = classes - start < block ? classes - start : block;
        const ptrdiff_t vectors = across ? (n + LANES - 1) / LANES : n;
        const real *const next_z = whole ? FL_(ahead_of)(&call->z, row, start, across) : NULL;
        const real *const next_q = whole ? FL_(ahead_of)(&call->q, row, start, across) : NULL;
        if (!whole) {
            FL_(panel_scores)(call, o, row, rows, start, n, &panel, across);
            FL_(panel_targets)(call, row, rows, start, n, &panel, on, across);
        }
        FL_(panel_amounts)(call, o, &d, start, n, &panel, across);
        FL_(panel_exponentials)(&d, stretch, vectors, &panel, next_z, across);
        for (ptrdiff_t i = 0; i < vectors; i += together)
            for (int r = 0; r < together; r++) {
                const ptrdiff_t at = (i + r) * LANES;
                FL_(fetch)(next_q, i + r);
                const vec s = FL_(load)(panel.s + at), a = FL_(load)(panel.a + at), e = FL_(load)(panel.e + at);
                sums[BESIDE].partial[r] += FL_(select_eq)(s, d.largest, zero, e);
                sums[SAME].partial[r] += FL_(select_eq)(s, d.largest, e, zero);
                sums[AMOUNT].partial[r] += a;
                sums[AMOUNT_BESIDE].partial[r] += FL_(select_eq)(s, d.largest, zero, a);
                sums[DISTANCE].partial[r] += FL_(of_amount)(a, FL_(behind)(s, &d, stretch));
            }
        for (ptrdiff_t i = 0; o->divergence && i < vectors; i++) {
            const vec a = FL_(load)(panel.a + i * LANES);
            sums[DISTANCE].partial[i % together] += FL_(of_amount)(a, FL_(log)(a));
        }
        FL_(class_block)(sums, SUMS, across);
    }
    double beside[FL_(lanes)], same[FL_(lanes)], top[FL_(lanes)], amount[FL_(lanes)], distance[FL_(lanes)],
        log_sum[FL_(lanes)];
    FL_(class_totals)(sums + BESIDE, beside, across);
    FL_(class_totals)(sums + SAME, same, across);
    FL_(class_totals)(sums + AMOUNT, amount, across);
    FL_(class_totals)(sums + DISTANCE, distance, across);
    FL_(widen)((vec[]){FL_(exponential)(d.largest, &d, stretch)}, 1, top);
    for (int r = 0; r < rows; r++) {
        log_sum[r] = (beside[r] + (same[r] - top[r])) / top[r];
        lane[r] = (real)(1 / (beside[r] + same[r]));
    }
    fl_log1p_many(log_sum, rows);
    for (int r = 0; r < rows; r++)
        loss[r] = amount[r] * log_sum[r] + distance[r];
    d.inverse = across ? FL_(splat)(lane[0]) : FL_(load)(lane);
    for (int r = 0; r < rows; r++)
        lane[r] = (real)log_sum[r];
    d.log_sum = across ? FL_(splat)(lane[0]) : FL_(load)(lane);
    d.rest = FL_(class_total)(sums + BESIDE, across) * d.inverse;
    d.pull = FL_(class_total)(sums + AMOUNT, across);
    d.pull_beside = FL_(class_total)(sums + AMOUNT_BESIDE, across);
    d.bend = d.bend_beside = zero;

    if (o->softmax.gamma != 0) {
        enum { PULL, PULL_BESIDE, BEND, BEND_BESIDE, LOSS };
        FL_(class_clear)(sums, SUMS);
        for (ptrdiff_t start = 0; start < classes; start += block) {
            const ptrdiff_t n = classes - start < block ? classes - start : block;
            const ptrdiff_t vectors = across ? (n + LANES - 1) / LANES : n;
            if (!whole) {
                FL_(panel_scores)(call, o, row, rows, start, n, &panel, across);
                FL_(panel_targets)(call, row, rows, start, n, &panel, on, across);
                FL_(panel_amounts)(call, o, &d, start, n, &panel, across);
                FL_(panel_exponentials)(&d, stretch, vectors, &panel, NULL, across);
            }
            for (ptrdiff_t i = 0; i < vectors; i++) {
                const vec s = FL_(load)(panel.s + i * LANES), e = FL_(load)(panel.e + i * LANES);
                const FL_(class_terms) x = FL_(class_terms_of)(o, &d, s, e, FL_(load)(panel.a + i * LANES), 1);
                sums[PULL].partial[i % together] += x.pull;
                sums[PULL_BESIDE].partial[i % together] += FL_(select_eq)(s, d.largest, zero, x.pull);
                sums[BEND].partial[i % together] += x.steepness;
                sums[BEND_BESIDE].partial[i % together] += FL_(select_eq)(s, d.largest, zero, x.steepness);
                sums[LOSS].partial[i % together] += x.focused;
            }
            FL_(class_block)(sums, SUMS, across);
        }
        d.pull = FL_(class_total)(sums + PULL, across);
        d.pull_beside = FL_(class_total)(sums + PULL_BESIDE, across);
        d.bend = FL_(class_total)(sums + BEND, across);
        d.bend_beside = FL_(class_total)(sums + BEND_BESIDE, across);
        FL_(class_totals)(sums + LOSS, loss, across);
    }
    /* where there was nothing to normalise, or NaN, all derivatives are NaN, also those that a cap makes 0 */
    c = FL_(select_eq)(c, zero, zero, FL_(fma)(zero, d.inverse, c));
    vec height = zero, doubled = zero;
    if (o->softmax.z_loss != 0) {
        double largest[FL_(lanes)], own[FL_(lanes)];
        FL_(widen)(&d.largest, 1, largest);
        FL_(widen)(&d.weight, 1, own);
        for (int r = 0; r < rows; r++) {
            const double log_sum_exp = largest[r] * o->softmax.stretch + log_sum[r];
            loss[r] += own[r] * (double)o->softmax.z_loss * log_sum_exp * log_sum_exp;
            lane[r] = (real)log_sum_exp;
        }
        doubled = d.weight * FL_(splat)(2 * o->softmax.z_loss);
        height = doubled * (across ? FL_(splat)(lane[0]) : FL_(load)(lane));
    }
    FL_(store)(lane, bad);
    for (int r = 0; r < rows; r++)
        loss[r] = isnan(lane[r]) ? NAN : loss[r];
    for (ptrdiff_t start = 0; call->g.data && start < classes; start += block) {
        const ptrdiff_t n = classes - start < block ? classes - start : block;
        const ptrdiff_t vectors = across ? (n + LANES - 1) / LANES : n;
        if (!whole) {
            FL_(panel_scores)(call, o, row, rows, start, n, &panel, across);
            FL_(panel_targets)(call, row, rows, start, n, &panel, on, across);
            FL_(panel_amounts)(call, o, &d, start, n, &panel, across);
            FL_(panel_exponentials)(&d, stretch, vectors, &panel, NULL, across);
        }
        const real *const next_g = FL_(ahead_of)(&call->g, row, start, across);
        if (o->softmax.gamma != 0 || o->softmax.z_loss != 0)
            for (ptrdiff_t i = 0; i < vectors; i++)
                FL_(panel_derivatives)(o, &d, i, c, height, doubled, &panel, next_g, 1, 1);
        else if (call->h.data)
            for (ptrdiff_t i = 0; i < vectors; i++)
                FL_(panel_derivatives)(o, &d, i, c, height, doubled, &panel, next_g, 0, 1);
        else
            for (ptrdiff_t i = 0; i < vectors; i++)
                FL_(panel_derivatives)(o, &d, i, c, height, doubled, &panel, next_g, 0, 0);
        FL_(put_panel)(&call->g, row, rows, start, n, panel.s, across);
        if (call->h.data)
            FL_(put_panel)(&call->h, row, rows, start, n, panel.a, across);
    }
}

static void FL_(distribution_row)(const fl_call *call, const FL_(distribution_options) *o, ptrdiff_t row,
                                  double *weight, double *loss)
{
    FL_(distribution_panel)(call, o, row, 1, weight, loss, 1);
}

static void FL_(distribution_tile)(const fl_call *call, const FL_(distribution_options) *o, ptrdiff_t row, int rows,
                                   double *weight, double *loss)
{
    FL_(distribution_panel)(call, o, row, rows, weight, loss, 0);
}

static int FL_(all_probable)(const real *q, ptrdiff_t n)
{
    const real most = FL_LARGEST;
    uvec largest = FL_(bits)(FL_(splat)(0));
    ptrdiff_t j = 0;
    for (; j + LANES <= n; j += LANES)
        largest = FL_(max_natural)(largest, FL_(bits)(FL_(load)(q + j)));
    if (j < n)
        largest = FL_(max_natural)(largest, FL_(bits)(FL_(load_part)(q + j, n - j, 0)));
    return !FL_(may_be_outside)(largest, most);
}

/* The index of the first probability of rows [first, last) that is none, in the order of the targets; -1 if there is none. An
 * entry that is ignored may hold anything. */
static ptrdiff_t FL_(first_improbable)(const fl_call *call, ptrdiff_t first, ptrdiff_t last)
{
    const ptrdiff_t entries = call->entries, length = entries ? entries : call->classes;
    for (ptrdiff_t row = first; row < last && (entries || call->q.data); row++) {
        const real *const q = entries ? (const real *)call->t + row * entries : FL_(at_row)(&call->q, row);
        const ptrdiff_t step = entries ? 1 : call->q.step;
        if (step == 1 && FL_(all_probable)(q, length))
            continue;
        for (ptrdiff_t j = 0; j < length; j++) {
            if (q[j * step] >= 0 && q[j * step] <= FL_LARGEST)
                continue;
            if (!entries || !call->some_ignored || fl_index_at(&call->y, row * entries + j) != call->ignored)
                return row * length + j;
        }
    }
    return -1;
}

static double FL_(each_distribution)(const fl_call *call, ptrdiff_t first, ptrdiff_t last, FL_(distribution_options) o)
{
    const unsigned mode = fl_flush_subnormals();
    const int few = call->classes <= FL_NARROW;
    fl_sum total = {0, 0};
    for (ptrdiff_t start = first; start < last;) {
        double weight[FL_(lanes)], loss[FL_(lanes)];
        int rows = few && last - start >= LANES ? LANES : few ? (int)(last - start) : 1;
        rows = fl_rows_within(call, start, rows);
        for (int r = 0; r < rows; r++)
            weight[r] = fl_weight_at(&call->w, start + r);
        if (few)
            FL_(distribution_tile)(call, &o, start, rows, weight, loss);
        else
            FL_(distribution_row)(call, &o, start, weight, loss);
        for (int r = 0; r < rows; r++) {
            /* a row that does not count may hold anything but a target that is none */
            const double weighted = weight[r] != 0 ? weight[r] * loss[r] : 0;
            const int bad =
                weight[r] == 0 && isnan(loss[r]) && FL_(first_improbable)(call, start + r, start + r + 1) >= 0;
            fl_add(&total, bad ? NAN : weighted);
            if (call->l)
                ((real *)call->l)[start + r] = (real)weighted;
        }
        start += rows;
    }
    fl_restore_subnormals(mode);
    return fl_total(&total);
}
