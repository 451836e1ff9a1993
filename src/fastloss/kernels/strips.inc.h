/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows of many classes where the numbers of one class are adjacent, as in Fortran order or with the classes first. A
 * strip is up to FL_STRIP such rows, a row a lane, and all classes of it are gone through, FL_PART at a time: once for the
 * sums, and once for the derivatives, with exponentials computed anew. So memory is read in pieces long enough for
 * hardware prefetchers to notice, nothing is copied, and what is kept of a row is a few numbers.
 */

/* What there is of each row. Exponentials are counted from base + powers ln 2, which is raised where a score exceeds the
 * ceiling. The base is not 0 where the largest score is too large to be reduced as it is. */
typedef struct {
    real rounder[FL_STRIP], lowest[FL_STRIP], ceiling[FL_STRIP]; /* the first two are an FL_(shift) */
    real base[FL_STRIP], y[FL_STRIP], score[FL_STRIP]; /* the class index as a number; the target's score */
    real sum[FL_STRIP], beside[FL_STRIP], top[FL_STRIP]; /* sums since the last restart; the largest exponential */
    real largest[FL_STRIP]; /* score, less the base */
    real factor[FL_STRIP], at_target[FL_STRIP], c[FL_STRIP], inverse[FL_STRIP]; /* what derivatives are made of */
    real on[FL_STRIP]; /* 0 where a row does not count */
    double others[FL_STRIP], all_beside[FL_STRIP]; /* sums of all but the target, and of all but the largest */
    double weight[FL_STRIP];
    int relative, general; /* whether a row has a base; whether that, a Hessian or rows that do not count need more */
} FL_(strip);

_Static_assert(sizeof(FL_(strip)) + 64 <= FL_STRIP_BYTES, "a strip does not fit into its scratch memory");

/* Some of it: `vectors` vectors of rows from row `at` on, with FL_PART classes from `class` on. */
typedef struct {
    const real *z;
    real *g, *h;
    ptrdiff_t z_step, g_step, h_step, class;
    int at, vectors;
} FL_(strip_part);

typedef void FL_(strip_pass)(FL_(strip) *s, const FL_(strip_part) *part);

/* from where the exponentials of a row are counted, and up to which score; -FL_FAR: nothing is counted yet */
static inline void FL_(strip_origin)(FL_(strip) *s, int at, real powers, real ceiling)
{
    s->rounder[at] = FL_ROUNDER + FL_BIAS - powers;
    s->lowest[at] = (powers - FL_BIAS) * (real)0.69314718055994530942;
    s->ceiling[at] = ceiling;
}

static inline double FL_(strip_powers)(const FL_(strip) *s, int at)
{
    return (double)(FL_ROUNDER + FL_BIAS - s->rounder[at]);
}

/* the integer nearest to x / ln 2 */
static inline double FL_(nearest_power)(real x)
{
    return (double)(ptrdiff_t)((double)x / 0.69314718055994530942 + (x < 0 ? -0.5 : 0.5));
}

/* Rows whose largest of some scores is above the ceiling count from there. */
static void FL_(strip_raise)(FL_(strip) *s, int first, vec largest)
{
    real m[FL_(lanes)];
    FL_(store)(m, largest);
    for (int i = 0; i < LANES; i++) {
        const int at = first + i;
        if (!(m[i] > s->ceiling[at] && m[i] <= FL_FAR)) /* what is too large is found at the end */
            continue;
        const double ln2 = 0.69314718055994530942, powers = FL_(nearest_power)(m[i]);
        const double lower = s->ceiling[at] > -FL_FAR ? fl_power_of_two(FL_(strip_powers)(s, at) - powers) : 0;
        const real ceiling = (real)((powers + 60) * ln2);
        s->sum[at] *= (real)lower;
        s->beside[at] *= (real)lower;
        s->top[at] *= (real)lower;
        s->others[at] *= lower;
        s->all_beside[at] *= lower;
        FL_(strip_origin)(s, at, (real)powers, ceiling < FL_FAR ? ceiling : FL_FAR);
    }
}

/* whether one of the classes, the first of which is `class`, is the target of one of the rows */
static FL_INLINE int FL_(strip_targets)(vec from_class)
{
    return FL_(any_gt)(FL_(splat)((real)FL_PART / 2), FL_(abs)(from_class - FL_(splat)((real)(FL_PART - 1) / 2)));
}

/* x - base, which is x itself where there is none; inf - inf counts as 0 */
static FL_INLINE vec FL_(relative_to)(vec x, vec base)
{
    const vec zero = FL_(splat)(0);
    return FL_(select_eq)(base, zero, x, FL_(select_eq)(x, base, zero, x - base));
}

static void FL_(strip_sums)(FL_(strip) *s, const FL_(strip_part) *part)
{
    const int general = s->general;
    const vec zero = FL_(splat)(0);
    const ptrdiff_t step = part->z_step;
    for (int v = 0; v < part->vectors; v++) {
        const int at = part->at + v * LANES;
        const real *const z = part->z + v * LANES;
        vec x[FL_PART], m[FL_PART];
        for (int k = 0; k < FL_PART; k++)
            x[k] = FL_(load)(z + k * step);
        for (int k = 0; k < FL_PART; k++)
            FL_PREFETCH(z + (k + FL_PART) * step);
        if (general)
            for (int k = 0; k < FL_PART; k++)
                x[k] = FL_(relative_to)(x[k], FL_(load)(s->base + at));
        for (int k = 0; k < FL_PART; k++)
            m[k] = x[k];
        for (int half = FL_PART / 2; half > 0; half /= 2)
            for (int k = 0; k < half; k++)
                m[k] = FL_(max)(m[k], m[k + half]);
        if (FL_(any_gt)(m[0], FL_(load)(s->ceiling + at)))
            FL_(strip_raise)(s, at, m[0]);
        FL_(store)(s->largest + at, FL_(max)(m[0], FL_(load)(s->largest + at)));
        const FL_(shift) shift = {.rounder = FL_(load)(s->rounder + at), .lowest = FL_(load)(s->lowest + at)};
        for (int k = 0; k < FL_PART; k++)
            x[k] = FL_(exp_shifted)(x[k], shift);
        if (general) {
            vec top = FL_(load)(s->top + at), beside = zero;
            for (int k = 0; k < FL_PART; k++) {
                beside += FL_(select_gt)(x[k], top, top, x[k]);
                top = FL_(max)(x[k], top);
            }
            FL_(store)(s->top + at, top);
            FL_(store)(s->beside + at, FL_(load)(s->beside + at) + beside);
        }
        const vec from = FL_(load)(s->y + at) - FL_(splat)((real)part->class);
        if (FL_(strip_targets)(from)) {
            vec score = FL_(load)(s->score + at);
            for (int k = 0; k < FL_PART; k++) {
                score = FL_(select_eq)(from, FL_(splat)((real)k), FL_(load)(z + k * step), score);
                x[k] = FL_(select_eq)(from, FL_(splat)((real)k), zero, x[k]);
            }
            FL_(store)(s->score + at, score);
        }
        for (int half = FL_PART / 2; half > 0; half /= 2)
            for (int k = 0; k < half; k++)
                x[k] += x[k + half];
        FL_(store)(s->sum + at, FL_(load)(s->sum + at) + x[0]);
    }
}

static void FL_(strip_derivatives)(FL_(strip) *s, const FL_(strip_part) *part)
{
    const int general = s->general;
    const vec zero = FL_(splat)(0), one = FL_(splat)(1), half = FL_(splat)((real)0.5);
    const ptrdiff_t step = part->z_step, g_step = part->g_step;
    for (int v = 0; v < part->vectors; v++) {
        const int at = part->at + v * LANES;
        const real *const z = part->z + v * LANES;
        real *const g = part->g + v * LANES;
        const FL_(shift) shift = {.rounder = FL_(load)(s->rounder + at), .lowest = FL_(load)(s->lowest + at)};
        const vec factor = FL_(load)(s->factor + at);
        const vec from = FL_(load)(s->y + at) - FL_(splat)((real)part->class);
        vec x[FL_PART];
        for (int k = 0; k < FL_PART; k++)
            x[k] = FL_(load)(z + k * step);
        for (int k = 0; k < FL_PART; k++) {
            FL_PREFETCH_FAR(z + (k + FL_PART) * step);
            FL_PREFETCH_WRITE(g + (k + FL_PART) * g_step);
        }
        if (general)
            for (int k = 0; k < FL_PART; k++)
                x[k] = FL_(relative_to)(x[k], FL_(load)(s->base + at));
        for (int k = 0; k < FL_PART; k++)
            x[k] = FL_(exp_shifted)(x[k], shift);
        if (general && part->h) {
            const vec inverse = FL_(load)(s->inverse + at), c = FL_(load)(s->c + at), on = FL_(load)(s->on + at);
            const vec beside = FL_(load)(s->beside + at), rest = FL_(load)(s->sum + at);
            for (int k = 0; k < FL_PART; k++) {
                const vec p = x[k] * inverse;
                vec left = FL_(select_gt)(p, half, beside, one - p);
                left = FL_(select_eq)(from, FL_(splat)((real)k), rest, left);
                FL_(store)(part->h + k * part->h_step + v * LANES, FL_(select_eq)(on, zero, zero, c * p * left));
            }
        }
        for (int k = 0; k < FL_PART; k++)
            x[k] *= factor;
        if (FL_(strip_targets)(from)) {
            const vec at_target = FL_(load)(s->at_target + at);
            for (int k = 0; k < FL_PART; k++)
                x[k] = FL_(select_eq)(from, FL_(splat)((real)k), at_target, x[k]);
        }
        if (general)
            for (int k = 0; k < FL_PART; k++)
                x[k] = FL_(select_eq)(FL_(load)(s->on + at), zero, zero, x[k]);
        for (int k = 0; k < FL_PART; k++)
            FL_(store)(g + k * g_step, x[k]);
    }
}

/* Sums since the last restart are put aside, in double. */
static void FL_(strip_restart)(FL_(strip) *s, int rows)
{
    for (int r = 0; r < rows; r++) {
        s->others[r] += (double)s->sum[r];
        s->all_beside[r] += (double)s->beside[r];
        s->sum[r] = s->beside[r] = 0;
    }
}

/* All classes of `rows` rows from `first` on, which lie in one inner part. What is no whole part goes by way of a copy,
 * filled up with classes at -inf and with rows of zeros. */
static void FL_(over_strip)(const fl_call *call, FL_(strip) *s, ptrdiff_t first, int rows, FL_(strip_pass) *pass,
                            int written)
{
    const ptrdiff_t classes = call->classes;
    const real *const z = FL_(at_row)(&call->z, first);
    real *const g = written ? FL_(at_row)(&call->g, first) : NULL;
    real *const h = written && call->h.data ? FL_(at_row)(&call->h, first) : NULL;
    for (ptrdiff_t class = 0; class < classes; class += FL_PART) {
        const int n = (int)(classes - class < FL_PART ? classes - class : FL_PART);
        const FL_(strip_part) part = {
            .z = z + class * call->z.step,
            .g = g ? g + class * call->g.step : NULL,
            .h = h ? h + class * call->h.step : NULL,
            .z_step = call->z.step,
            .g_step = call->g.step,
            .h_step = call->h.step,
            .class = class,
            .vectors = n == FL_PART ? rows / LANES : 0,
        };
        pass(s, &part);
        for (int at = part.vectors * LANES; at < rows; at += LANES) {
            const int left = rows - at < LANES ? rows - at : LANES;
            real near_z[FL_PART * FL_(lanes)], near_g[FL_PART * FL_(lanes)], near_h[FL_PART * FL_(lanes)];
            const FL_(strip_part) edge = {
                .z = near_z,
                .g = near_g,
                .h = h ? near_h : NULL,
                .z_step = LANES,
                .g_step = LANES,
                .h_step = LANES,
                .class = class,
                .at = at,
                .vectors = 1,
            };
            for (int k = 0; k < FL_PART; k++)
                for (int i = 0; i < LANES; i++)
                    near_z[k * LANES + i] = i >= left ? 0 : k < n ? part.z[k * part.z_step + at + i] : -(real)INFINITY;
            pass(s, &edge);
            for (int k = 0; k < n; k++) {
                if (g)
                    FL_(block_copy)(near_g + k * LANES, left, part.g + k * part.g_step + at);
                if (h)
                    FL_(block_copy)(near_h + k * LANES, left, part.h + k * part.h_step + at);
            }
        }
        if (!written && ((class + FL_PART) % FL_NARROW == 0 || class + FL_PART >= classes))
            FL_(strip_restart)(s, rows);
    }
}

/* The sums of all exponentials but the target's, and of all but the largest where those are wanted. If scores turn out to
 * be too large to be reduced as they are, all is done once more, for those relative to the largest. */
static void FL_(read_strip)(const fl_call *call, FL_(strip) *s, ptrdiff_t first, int rows)
{
    const int whole = (rows + LANES - 1) / LANES * LANES;
    for (int r = 0; r < whole; r++)
        s->base[r] = 0;
    s->relative = 0;
    for (int again = 0;; again = 1) {
        for (int r = 0; r < whole; r++) {
            s->sum[r] = s->beside[r] = s->top[r] = s->score[r] = 0;
            s->others[r] = s->all_beside[r] = 0;
            s->largest[r] = -(real)INFINITY;
            FL_(strip_origin)(s, r, 0, -FL_FAR);
        }
        s->general = s->relative || call->h.data;
        FL_(over_strip)(call, s, first, rows, FL_(strip_sums), 0);
        if (again)
            return;
        for (int r = 0; r < rows; r++) {
            const real m = s->largest[r];
            if (m > FL_FAR || (m <= -FL_FAR && m > -(real)INFINITY)) {
                s->base[r] = m;
                s->relative = 1;
            }
        }
        if (!s->relative)
            return;
    }
}

/* From the sums of a row to its loss, which takes their place, and to what its derivatives are made of. Exponentials are
 * counted from the largest at last, as they are in other layouts. */
static void FL_(strip_loss)(FL_(strip) *s, int r)
{
    const double ln2 = 0.69314718055994530942, c = (double)s->c[r];
    double lower = 1;
    if (s->ceiling[r] > -FL_FAR) {
        const double powers = FL_(nearest_power)(s->largest[r]);
        lower = fl_power_of_two(FL_(strip_powers)(s, r) - powers);
        FL_(strip_origin)(s, r, (real)powers, FL_FAR);
    }
    const vec score = FL_(relative_to)(FL_(splat)(s->score[r]), FL_(splat)(s->base[r]));
    const FL_(shift) shift = {.rounder = FL_(splat)(s->rounder[r]), .lowest = FL_(splat)(s->lowest[r])};
    const FL_(row) row = {
        .others = s->others[r] * lower,
        .picked = (double)FL_(first_lane)(FL_(exp_shifted)(score, shift)),
        .offset = s->base[r] != 0 ? (double)s->base[r] : FL_(strip_powers)(s, r) * ln2,
    };
    const double sum = row.others + row.picked;
    const fl_log_form loss = FL_(log_of_sum_less)(&row, (double)s->score[r]);
    s->factor[r] = (real)(c / sum);
    s->at_target[r] = (real)(0 - c * (row.others / sum));
    s->inverse[r] = (real)(1 / sum);
    s->beside[r] = (real)(s->all_beside[r] * lower / sum);
    s->sum[r] = (real)(row.others / sum);
    s->others[r] = s->weight[r] != 0 ? loss.inside : 0;
    s->all_beside[r] = s->weight[r] != 0 ? loss.plus : 0;
}

static double FL_(softmax_cross_entropy_strips)(const fl_call *call, ptrdiff_t first, ptrdiff_t last)
{
    const unsigned mode = fl_flush_subnormals();
    FL_(strip) *const s = (FL_(strip) *)(((uintptr_t)call->scratch + 63) / 64 * 64);
    fl_log_sum sum = fl_log_sum_of_nothing();
    fl_sum total = {0, 0};
    ptrdiff_t indices[FL_ROWS];
    for (int r = 0; r < FL_STRIP && r < last - first; r++)
        s->weight[r] = 1;
    for (ptrdiff_t start = first; start < last;) {
        const int rows = fl_rows_within(call, start, (int)(last - start < FL_STRIP ? last - start : FL_STRIP));
        int all = 1;
        for (int r = 0; r < rows; r += FL_ROWS) {
            const int n = rows - r < FL_ROWS ? rows - r : FL_ROWS;
            const ptrdiff_t *const k = fl_read_samples(call, start + r, n, indices, s->weight + r);
            for (int i = 0; i < FL_ROWS; i++) {
                const double weight = i < n ? s->weight[r + i] : 0;
                s->y[r + i] = (real)k[i];
                s->c[r + i] = (real)(weight * call->scale);
                s->on[r + i] = weight != 0;
                all &= i >= n || weight != 0;
            }
        }
        FL_(read_strip)(call, s, start, rows);
        for (int r = 0; r < rows; r++)
            FL_(strip_loss)(s, r);
        s->general |= !all;
        if (call->g.data)
            FL_(over_strip)(call, s, start, rows, FL_(strip_derivatives), 1);
        for (int r = 0; r < rows; r += FL_ROWS) {
            const int n = rows - r < FL_ROWS ? rows - r : FL_ROWS;
            double *const inside = s->others + r, *const plus = s->all_beside + r;
            if (fl_apart(call)) {
                fl_add(&total, FL_(weighted_losses)(call, start + r, n, inside, plus, s->weight + r));
                continue;
            }
            for (int i = n; i < FL_ROWS; i++)
                inside[i] = plus[i] = 0;
            fl_add_log_forms(&sum, inside, plus);
        }
        start += rows;
    }
    fl_restore_subnormals(mode);
    fl_add(&total, fl_log_total(&sum));
    return fl_total(&total);
}
