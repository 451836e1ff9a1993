/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The driver of all elementwise losses. A loss is a function of one vector of scores and one of targets:
 *
 *   l = linear + log(1 + u) with 0 <= u <= 1,   and its first and second derivative by the score.
 *
 * `linear` comes added onto what was `before`.
 * A sum of log(1 + u) is the log of a product, which is kept as q = product - 1: q <- u + (q + q u) loses nothing near
 * 0, and one logarithm serves many elements of a lane. How many such logarithms it has a loss says beside its function:
 * none, one, or two, option[FL_OPTIONS - 2] log(1 + u) and option[FL_OPTIONS - 1] log(1 + v).
 *
 * A loss of pairs has a second number for each element, and takes its logarithms itself.
 */
typedef struct {
    vec linear, u, v, gradient, hessian;
} FL_(terms);

typedef FL_(terms) FL_(element_loss)(vec z, vec t, vec before, const double *option);
typedef FL_(terms) FL_(pair_loss)(vec z, vec t, vec second, const double *option);

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

/* and `factor` times the logarithms of a group of products, each of which is given less 1 */
static FL_NOINLINE void FL_(add_logs)(double *sums, const vec *q, double factor)
{
    vec part[FL_(group_registers)];
    for (int r = 0; r < FL_(group_registers); r++)
        part[r] = FL_(log1p)(q[r]) * FL_(splat)((real)factor);
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
            const int ignored = call->some_ignored && (double)t[k] == (double)call->ignored;
            if (!inside && !ignored && !(isinf(high) && isnan(t[k])))
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
    real z[FL_(together)], t[FL_(together)], second[FL_(together)], counts[FL_(together)], factor[FL_(together)];
    real linear[FL_(together)], u[FL_(together)], v[FL_(together)], g[FL_(together)], h[FL_(together)];
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
    for (ptrdiff_t i = count; i < whole; i++) {
        part->z[i] = part->t[i] = 0;
        part->weight[i] = 0;
    }
    if (call->some_ignored)
        for (ptrdiff_t i = 0; i < whole; i++) {
            const int counts = (double)part->t[i] != (double)call->ignored;
            part->weight[i] = counts ? part->weight[i] : 0;
            part->t[i] = counts ? part->t[i] : 0;
        }
    for (ptrdiff_t i = 0; i < whole; i++) {
        part->counts[i] = part->weight[i] != 0; /* a sample of weight 0 does not count, even if it is NaN */
        part->factor[i] = (real)(part->weight[i] * call->scale);
    }
}

/* the second numbers of pairs, option[0] where all have the same; whether those that are variances all are good */
static FL_NOINLINE int FL_(read_second)(const fl_call *call, ptrdiff_t first, FL_(weighted) *part)
{
    double second[FL_(together)];
    ptrdiff_t place = call->cycle ? first % call->cycle : 0;
    int good = 1;
    if (!call->second.data)
        for (ptrdiff_t i = 0; i < part->count; i++)
            second[i] = call->option[0];
    else if (!call->cycle) {
        fl_read_weights(&call->second, first, part->count, second);
        for (ptrdiff_t i = 0; i < part->count; i++)
            good &= (second[i] > 0) & (second[i] <= DBL_MAX);
    } else
        for (ptrdiff_t i = 0; i < part->count; i++, place = place + 1 < call->cycle ? place + 1 : 0)
            second[i] = fl_weight_at(&call->second, place);
    for (ptrdiff_t i = 0; i < part->whole; i++)
        part->second[i] = i < part->count ? (real)second[i] : 1;
    return good;
}

static FL_NOINLINE double FL_(write_weighted)(const fl_call *call, ptrdiff_t first, FL_(weighted) *part, int logs)
{
    const vec zero = FL_(splat)(0);
    const ptrdiff_t count = part->count, whole = part->whole;
    real *const l = part->linear;
    double sums[FL_(group)] = {0};
    if (logs == 1)
        for (ptrdiff_t i = 0; i < whole; i += LANES)
            FL_(store)(l + i, FL_(load)(l + i) + FL_(log1p)(FL_(load)(part->u + i)));
    if (logs == 2)
        for (ptrdiff_t i = 0; i < whole; i += LANES) {
            const vec u = FL_(log1p)(FL_(load)(part->u + i)), v = FL_(log1p)(FL_(load)(part->v + i));
            const vec of_u = FL_(splat)((real)call->option[FL_OPTIONS - 2]);
            const vec of_v = FL_(splat)((real)call->option[FL_OPTIONS - 1]);
            FL_(store)(l + i, FL_(fma)(of_v, v, FL_(fma)(of_u, u, FL_(load)(l + i))));
        }
    for (ptrdiff_t i = 0; i < whole; i += LANES) {
        const vec on = FL_(load)(part->counts + i), factor = FL_(load)(part->factor + i), loss = FL_(load)(l + i);
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
                                               FL_(element_loss) *element_loss, const int logs)
{
    FL_(weighted) part;
    FL_(read_weighted)(call, first, count, &part);
    for (ptrdiff_t i = 0; i < part.whole; i += LANES) {
        const FL_(terms) e = element_loss(FL_(load)(part.z + i), FL_(load)(part.t + i), FL_(splat)(0), call->option);
        FL_(store)(part.linear + i, e.linear);
        if (logs > 0)
            FL_(store)(part.u + i, e.u);
        if (logs > 1)
            FL_(store)(part.v + i, e.v);
        FL_(store)(part.g + i, e.gradient);
        FL_(store)(part.h + i, e.hessian);
    }
    return FL_(write_weighted)(call, first, &part, logs);
}

/* What is fetched of an array while it is worked through: numbers further on, of 16 bits those of the next band. */
typedef struct {
    const char *data; /* NULL: nothing */
    ptrdiff_t size;
} FL_(next);

static FL_INLINE FL_(next) FL_(next_of)(const real *array, const char *ahead, ptrdiff_t first)
{
    if (ahead)
        return (FL_(next)){ahead + 2 * first, 2};
    return (FL_(next)){array ? (const char *)(array + FL_AHEAD) : NULL, sizeof(real)};
}

/* `groups` whole groups, all of weight 1 and without a loss of their own; the sum of their losses, and whether a target
 * may be out of range. What is written the compiler knows, so that nothing is asked inside; or for order -1 that it is the
 * gradient, and perhaps the Hessian. */
static FL_INLINE double FL_(plain_groups)(const fl_call *call, ptrdiff_t first, ptrdiff_t groups,
                                          FL_(element_loss) *element_loss, const int logs, const int order,
                                          int *doubtful)
{
    const int of_gradient = order != 0, of_hessian = order < 0 ? call->h.data != NULL : order >= 2;
    const real *const z = (const real *)call->z.data + first, *const t = (const real *)call->t + first;
    real *const g = of_gradient ? (real *)call->g.data + first : NULL;
    real *const h = of_hessian ? (real *)call->h.data + first : NULL;
    const FL_(next) next_z = FL_(next_of)(z, call->ahead_z, first), next_t = FL_(next_of)(t, call->ahead_t, first);
    const FL_(next) next_g = FL_(next_of)(g, call->ahead_g, first), next_h = FL_(next_of)(h, NULL, first);
    const vec c = FL_(splat)((real)call->scale), zero = FL_(splat)(0);
    double option[FL_OPTIONS]; /* a copy, which no store to the outputs can change */
    memcpy(option, call->option, sizeof option);
    double sums[FL_(half_group)] = {0};
    vec u[FL_(group_registers)], v[FL_(group_registers)], linear[FL_(group_registers)], part[FL_(group_registers)];
    uvec largest = FL_(bits)(zero);
    for (int r = 0; r < FL_(group_registers); r++)
        u[r] = v[r] = zero;
    for (ptrdiff_t start = 0; start < groups; start += FL_(short_period)) {
        const ptrdiff_t end = groups - start < FL_(short_period) ? groups : start + FL_(short_period);
        for (int r = 0; r < FL_(group_registers); r++)
            linear[r] = zero;
        for (ptrdiff_t i = start * GROUP; i < end * GROUP; i += GROUP) {
            FL_PREFETCH(next_z.data + i * next_z.size);
            FL_PREFETCH(next_t.data + i * next_t.size);
            if (of_gradient)
                FL_PREFETCH_WRITE(next_g.data + i * next_g.size);
            if (of_hessian)
                FL_PREFETCH_WRITE(next_h.data + i * next_h.size);
            for (int r = 0; r < FL_(group_registers); r++) {
                const ptrdiff_t at = i + r * LANES;
                const vec target = FL_(load)(t + at);
                const FL_(terms) e = element_loss(FL_(load)(z + at), target, linear[r], option);
                largest = FL_(max_natural)(largest, FL_(bits)(target));
                if (logs > 0)
                    u[r] = e.u + FL_(fma)(u[r], e.u, u[r]);
                if (logs > 1)
                    v[r] = e.v + FL_(fma)(v[r], e.v, v[r]);
                linear[r] = e.linear;
                if (of_gradient)
                    FL_(store)(g + at, e.gradient * c);
                if (of_hessian)
                    FL_(store)(h + at, e.hessian * c);
            }
        }
        /* copies are handed over, so that what is counted on stays in registers */
        for (int r = 0; r < FL_(group_registers); r++)
            part[r] = linear[r];
        FL_(add_group)(sums, part);
        if (logs > 0 && (end % FL_(period) == 0 || end == groups)) {
            for (int r = 0; r < FL_(group_registers); r++) {
                part[r] = u[r];
                u[r] = zero;
            }
            FL_(add_logs)(sums, part, logs > 1 ? option[FL_OPTIONS - 2] : 1);
            for (int r = 0; r < FL_(group_registers) &&logs > 1; r++) {
                part[r] = v[r];
                v[r] = zero;
            }
            if (logs > 1)
                FL_(add_logs)(sums, part, option[FL_OPTIONS - 1]);
        }
    }
    *doubtful = FL_(may_be_outside)(largest, (real)call->high);
    return FL_(total)(sums, FL_(half_group));
}

/* `busy` is a loss that is worth more code to be a little faster */
static FL_INLINE double FL_(each_element)(const fl_call *call, ptrdiff_t first, ptrdiff_t last,
                                          FL_(element_loss) *element_loss, const int logs, const int busy)
{
    const unsigned mode = fl_flush_subnormals();
    const ptrdiff_t groups = call->w.data || call->l || call->some_ignored ? 0 : (last - first) / GROUP;
    fl_sum total = {0, 0};
    int doubtful;
    if (!call->g.data)
        fl_add(&total, FL_(plain_groups)(call, first, groups, element_loss, logs, 0, &doubtful));
    else if (!busy)
        fl_add(&total, FL_(plain_groups)(call, first, groups, element_loss, logs, -1, &doubtful));
    else if (call->h.data)
        fl_add(&total, FL_(plain_groups)(call, first, groups, element_loss, logs, 2, &doubtful));
    else
        fl_add(&total, FL_(plain_groups)(call, first, groups, element_loss, logs, 1, &doubtful));
    /* a loss of signs makes of all else NaN by itself */
    if (FL_(first_outside)(call, doubtful && call->low == 0 ? first : first + groups * GROUP, last) >= 0)
        fl_add(&total, NAN);
    for (ptrdiff_t i = first + groups * GROUP; i < last; i += FL_(together)) {
        const ptrdiff_t count = last - i < FL_(together) ? last - i : FL_(together);
        fl_add(&total, FL_(weighted_elements)(call, i, count, element_loss, logs));
    }
    fl_restore_subnormals(mode);
    return fl_total(&total);
}

/* elements that each have a second number */
static FL_INLINE double FL_(each_pair)(const fl_call *call, ptrdiff_t first, ptrdiff_t last, FL_(pair_loss) *pair_loss)
{
    const unsigned mode = fl_flush_subnormals();
    fl_sum total = {0, 0};
    if (FL_(first_outside)(call, first, last) >= 0)
        fl_add(&total, NAN);
    for (ptrdiff_t i = first; i < last; i += FL_(together)) {
        FL_(weighted) part;
        FL_(read_weighted)(call, i, last - i < FL_(together) ? last - i : FL_(together), &part);
        if (!FL_(read_second)(call, i, &part))
            fl_add(&total, NAN);
        for (ptrdiff_t k = 0; k < part.whole; k += LANES) {
            const FL_(terms) e =
                pair_loss(FL_(load)(part.z + k), FL_(load)(part.t + k), FL_(load)(part.second + k), call->option);
            FL_(store)(part.linear + k, e.linear);
            FL_(store)(part.g + k, e.gradient);
            FL_(store)(part.h + k, e.hessian);
        }
        fl_add(&total, FL_(write_weighted)(call, i, &part, 0));
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
