/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The driver of all elementwise losses. A loss is a function of one vector of scores and one of targets:
 *
 *   l = linear + log(1 + u) with u >= 0,   and its first and second derivative by the score.
 *
 * `linear` comes added onto what was `before`.
 * A sum of log(1 + u) is the log of a product, which is kept as q = product - 1: q <- u + (q + q u) loses nothing near
 * 0, and one logarithm serves many elements of a lane. A loss without a logarithm leaves u at 0.
 */
typedef struct {
    vec linear, u, gradient, hessian;
} FL_(terms);

typedef FL_(terms) FL_(element_loss)(vec z, vec t, vec before, const double *option);

#define GROUP FL_(group)
enum { FL_(group) = 64 / sizeof(real), FL_(group_registers) = FL_(group) / FL_(lanes) };
enum {
    FL_(short_period) = 16, /* groups whose linear parts are added up in the type of the scores */
    FL_(period) = 64        /* groups that share a logarithm: u <= 1, and 2^64 is far from overflow */
};
enum { FL_(half_group) = FL_(group) / 2 };

/* What all losses share is compiled once: the functions that are not inlined. */

/* adds a group of numbers to half as many sums */
static inline void FL_(add_group)(double *sums, const vec *part)
{
    real lane[FL_(group)];
    for (int r = 0; r < FL_(group_registers); r++)
        FL_(store)(lane + r * LANES, part[r]);
    for (int i = 0; i < FL_(half_group); i++)
        sums[i] += (double)lane[i] + (double)lane[i + FL_(half_group)];
}

/* and the logarithms of a group of products, each of which is given less 1 */
static FL_NOINLINE void FL_(add_logs)(double *sums, const vec *q)
{
    vec part[FL_(group_registers)];
    for (int r = 0; r < FL_(group_registers); r++)
        part[r] = FL_(log1p)(q[r]);
    FL_(add_group)(sums, part);
}

static FL_NOINLINE double FL_(total)(const double *sums, int count)
{
    fl_sum total = {0, 0};
    for (int i = 0; i < count; i++)
        fl_add(&total, sums[i]);
    return fl_total(&total);
}

/* what an option loses where the type of the scores has fewer digits */
static FL_INLINE vec FL_(rest_of_option)(double option)
{
    return FL_(splat)(FL_BITS == 64 ? 0 : (real)(option - (double)(real)option));
}

/* Whether a number may lie outside [0, high], from the largest of the bits of many, as integers: those of a negative
 * number, of NaN and of what is past `high` are larger than those of `high`. So are those of -0. */
static FL_INLINE int FL_(may_be_outside)(uvec largest, real high)
{
    return FL_(any_signed)(FL_(from_bits)(largest | (FL_(bits)(FL_(splat)(high)) - largest)));
}

/* Whether none of n numbers, FL_BLOCK at most, can be outside [0, high], or be no sign where `signs`; the sizes of signs
 * are 0 and 1. */
static FL_INLINE int FL_(all_inside)(const real *x, ptrdiff_t n, real high, const int signs)
{
    const vec one = FL_(splat)(1), zero = FL_(splat)(0);
    uvec largest = FL_(bits)(zero);
    for (ptrdiff_t j = 0; j < n; j += LANES) {
        const vec part = n - j < LANES ? FL_(load_part)(x + j, n - j, 0) : FL_(load)(x + j), size = FL_(abs)(part);
        largest = FL_(max_natural)(largest, FL_(bits)(signs ? FL_(select_eq)(size, one, zero, size) : part));
    }
    return !FL_(may_be_outside)(largest, signs ? 0 : high);
}

/* The first target that is none. Blocks that may hold one are looked at one by one. */
static ptrdiff_t FL_(first_outside)(const fl_call *call, ptrdiff_t first, ptrdiff_t last)
{
    const real *const t = (const real *)call->t;
    const real low = (real)call->low, high = (real)call->high;
    if (isnan(low)) /* any target will do */
        return -1;
    for (ptrdiff_t i = first; i < last; i += FL_BLOCK) {
        const ptrdiff_t n = last - i < FL_BLOCK ? last - i : FL_BLOCK;
        if (low < 0 ? FL_(all_inside)(t + i, n, 0, 1) : FL_(all_inside)(t + i, n, high, 0))
            continue;
        for (ptrdiff_t k = i; k < i + n; k++) {
            const int inside = t[k] >= low && t[k] <= high && (low == 0 || t[k] == 0 || t[k] * t[k] == 1);
            if (!inside && !(isinf(high) && isnan(t[k])))
                return k;
        }
    }
    return -1;
}

/* The first score outside [0, score_high] whose weight is not 0. */
static ptrdiff_t FL_(first_bad_score)(const fl_call *call, ptrdiff_t first, ptrdiff_t last)
{
    const real *const z = (const real *)call->z.data;
    const real high = (real)call->score_high;
    for (ptrdiff_t i = first; i < last; i += FL_BLOCK) {
        const ptrdiff_t n = last - i < FL_BLOCK ? last - i : FL_BLOCK;
        if (FL_(all_inside)(z + i, n, high, 0))
            continue;
        for (ptrdiff_t k = i; k < i + n; k++)
            if ((z[k] < 0 || z[k] > high) && fl_weight_at(&call->w, k) != 0)
                return k;
    }
    return -1;
}

/* `count` elements with weights or losses of their own, made up to `whole` groups, and what the loss makes of them */
enum { FL_(together) = 16 * FL_(group) };
typedef struct {
    ptrdiff_t count, whole;
    real z[FL_(together)], t[FL_(together)], counts[FL_(together)], factor[FL_(together)];
    real linear[FL_(together)], u[FL_(together)], g[FL_(together)], h[FL_(together)];
    double weight[FL_(together)];
} FL_(weighted);

static FL_NOINLINE void FL_(read_weighted)(const fl_call *call, ptrdiff_t first, ptrdiff_t count, FL_(weighted) *part)
{
    const ptrdiff_t whole = (count + GROUP - 1) / GROUP * GROUP;
    part->count = count;
    part->whole = whole;
    fl_read_weights(&call->w, first, count, part->weight);
    FL_(block_copy)((const real *)call->z.data + first, count, part->z);
    FL_(block_copy)((const real *)call->t + first, count, part->t);
    for (ptrdiff_t i = count; i < whole; i++)
        part->z[i] = part->t[i] = 0, part->weight[i] = 0;
    for (ptrdiff_t i = 0; i < whole; i++) {
        part->counts[i] = part->weight[i] != 0; /* a sample of weight 0 does not count, even if it is NaN */
        part->factor[i] = (real)(part->weight[i] * call->scale);
    }
}

static FL_NOINLINE double FL_(write_weighted)(const fl_call *call, ptrdiff_t first, FL_(weighted) *part)
{
    const vec zero = FL_(splat)(0);
    const ptrdiff_t count = part->count, whole = part->whole;
    real *const l = part->linear;
    double sums[FL_(group)] = {0};
    for (ptrdiff_t i = 0; i < whole; i += LANES) {
        const vec on = FL_(load)(part->counts + i), factor = FL_(load)(part->factor + i);
        const vec loss = FL_(load)(l + i) + FL_(log1p)(FL_(load)(part->u + i));
        FL_(store)(l + i, FL_(select_eq)(on, zero, zero, loss));
        FL_(store)(part->g + i, FL_(select_eq)(on, zero, zero, FL_(load)(part->g + i) * factor));
        FL_(store)(part->h + i, FL_(select_eq)(on, zero, zero, FL_(load)(part->h + i) * factor));
    }
    for (ptrdiff_t i = 0; i < whole; i += GROUP)
        for (int lane = 0; lane < GROUP; lane++) {
            const double loss = part->weight[i + lane] * (double)l[i + lane];
            sums[lane] += loss;
            l[i + lane] = (real)loss;
        }
    if (call->l)
        FL_(block_copy)(l, count, (real *)call->l + first);
    if (call->g.data)
        FL_(block_copy)(part->g, count, (real *)call->g.data + first);
    if (call->h.data)
        FL_(block_copy)(part->h, count, (real *)call->h.data + first);
    return FL_(total)(sums, FL_(group));
}

static FL_INLINE double FL_(weighted_elements)(const fl_call *call, ptrdiff_t first, ptrdiff_t count,
                                               FL_(element_loss) *element_loss)
{
    FL_(weighted) part;
    FL_(read_weighted)(call, first, count, &part);
    for (ptrdiff_t i = 0; i < part.whole; i += LANES) {
        const FL_(terms) e = element_loss(FL_(load)(part.z + i), FL_(load)(part.t + i), FL_(splat)(0), call->option);
        FL_(store)(part.linear + i, e.linear);
        FL_(store)(part.u + i, e.u);
        FL_(store)(part.g + i, e.gradient);
        FL_(store)(part.h + i, e.hessian);
    }
    return FL_(write_weighted)(call, first, &part);
}

/* `groups` whole groups, all of weight 1 and without a loss of their own; the sum of their losses, and whether a target
 * may be out of range. What is written is known to the compiler, so that nothing is asked inside. */
static FL_INLINE double FL_(plain_groups)(const fl_call *call, ptrdiff_t first, ptrdiff_t groups,
                                          FL_(element_loss) *element_loss, const int order, int *doubtful)
{
    const real *const z = (const real *)call->z.data + first, *const t = (const real *)call->t + first;
    real *const g = order >= 1 ? (real *)call->g.data + first : NULL;
    real *const h = order >= 2 ? (real *)call->h.data + first : NULL;
    const vec c = FL_(splat)((real)call->scale);
    double option[FL_OPTIONS]; /* a copy, which no store to the outputs can change */
    memcpy(option, call->option, sizeof option);
    double sums[FL_(half_group)] = {0};
    vec q[FL_(group_registers)], linear[FL_(group_registers)];
    uvec largest = FL_(bits)(FL_(splat)(0));
    for (int r = 0; r < FL_(group_registers); r++)
        q[r] = FL_(splat)(0);
    for (ptrdiff_t start = 0; start < groups; start += FL_(short_period)) {
        const ptrdiff_t end = groups - start < FL_(short_period) ? groups : start + FL_(short_period);
        for (int r = 0; r < FL_(group_registers); r++)
            linear[r] = FL_(splat)(0);
        for (ptrdiff_t i = start * GROUP; i < end * GROUP; i += GROUP) {
            FL_(fetch_ahead)(z + i, order >= 1 ? g + i : NULL, GROUP);
            FL_(fetch_ahead)(t + i, order >= 2 ? h + i : NULL, GROUP);
            for (int r = 0; r < FL_(group_registers); r++) {
                const ptrdiff_t at = i + r * LANES;
                const vec target = FL_(load)(t + at);
                const FL_(terms) e = element_loss(FL_(load)(z + at), target, linear[r], option);
                largest = FL_(max_natural)(largest, FL_(bits)(target));
                q[r] = e.u + FL_(fma)(q[r], e.u, q[r]);
                linear[r] = e.linear;
                if (order >= 1)
                    FL_(store)(g + at, e.gradient * c);
                if (order >= 2)
                    FL_(store)(h + at, e.hessian * c);
            }
        }
        /* copies, so that what is counted on stays in registers */
        vec part[FL_(group_registers)];
        for (int r = 0; r < FL_(group_registers); r++)
            part[r] = linear[r];
        FL_(add_group)(sums, part);
        if (end % FL_(period) == 0 || end == groups) {
            for (int r = 0; r < FL_(group_registers); r++) {
                part[r] = q[r];
                q[r] = FL_(splat)(0);
            }
            FL_(add_logs)(sums, part);
        }
    }
    *doubtful = FL_(may_be_outside)(largest, (real)call->high);
    return FL_(total)(sums, FL_(half_group));
}

static FL_INLINE double FL_(each_element)(const fl_call *call, ptrdiff_t first, ptrdiff_t last,
                                          FL_(element_loss) *element_loss)
{
    const unsigned mode = fl_flush_subnormals();
    const ptrdiff_t groups = call->w.data || call->l ? 0 : (last - first) / GROUP;
    fl_sum total = {0, 0};
    int doubtful;
    if (call->h.data)
        fl_add(&total, FL_(plain_groups)(call, first, groups, element_loss, 2, &doubtful));
    else if (call->g.data)
        fl_add(&total, FL_(plain_groups)(call, first, groups, element_loss, 1, &doubtful));
    else
        fl_add(&total, FL_(plain_groups)(call, first, groups, element_loss, 0, &doubtful));
    /* a loss of signs makes of all else NaN by itself */
    if (FL_(first_outside)(call, doubtful && call->low == 0 ? first : first + groups * GROUP, last) >= 0)
        fl_add(&total, NAN);
    for (ptrdiff_t i = first + groups * GROUP; i < last; i += FL_(together)) {
        const ptrdiff_t count = last - i < FL_(together) ? last - i : FL_(together);
        fl_add(&total, FL_(weighted_elements)(call, i, count, element_loss));
    }
    fl_restore_subnormals(mode);
    return fl_total(&total);
}

/* the driver of elementwise functions: g = f(z) */
typedef vec FL_(element_function)(vec z);

static FL_INLINE double FL_(map)(const fl_call *call, ptrdiff_t first, ptrdiff_t last, FL_(element_function) *function)
{
    const unsigned mode = fl_flush_subnormals();
    const real *const z = (const real *)call->z.data;
    real *const g = (real *)call->g.data;
    ptrdiff_t i = first;
    for (; i + LANES <= last; i += LANES)
        FL_(store)(g + i, function(FL_(load)(z + i)));
    if (i < last)
        FL_(store_part)(g + i, last - i, function(FL_(load_part)(z + i, last - i, 0)));
    fl_restore_subnormals(mode);
    return 0;
}
