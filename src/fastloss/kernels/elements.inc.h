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

/* Whether none of n numbers but those that are ignored can be outside [0, high], or be no sign where `signs`; the sizes
 * of signs are 0 and 1. */
static FL_INLINE int FL_(all_inside)(const real *x, ptrdiff_t n, real high, const int signs, vec ignored)
{
    const vec one = FL_(splat)(1), zero = FL_(splat)(0);
    uvec largest = FL_(bits)(zero);
    for (ptrdiff_t j = 0; j < n; j += LANES) {
        const vec given = n - j < LANES ? FL_(load_part)(x + j, n - j, 0) : FL_(load)(x + j);
        const vec part = FL_(select_eq)(given, ignored, zero, given), size = FL_(abs)(part);
        largest = FL_(max_natural)(largest, FL_(bits)(signs ? FL_(select_eq)(size, one, zero, size) : part));
    }
    return !FL_(may_be_outside)(largest, signs ? 0 : high);
}

/* the target that is ignored, NaN if there is none, which equals nothing */
static FL_INLINE vec FL_(ignored_target)(const fl_call *call)
{
    return FL_(splat)(call->some_ignored ? (real)call->ignored : (real)NAN);
}

enum { FL_(own_kind) = FL_BITS == 64 ? FL_F64 : FL_F32 };

/* The targets of n elements, FL_BLOCK at most: where they lie, or, if they are of another type, in `copy`. One that is
 * outside its range is still outside when it is rounded. */
static FL_NOINLINE const real *FL_(read_targets)(const fl_call *call, ptrdiff_t first, ptrdiff_t n, real *copy)
{
    const fl_samples targets = {(const char *)call->t, fl_size_of[call->t_kind], 1, call->t_kind};
    switch (call->t_kind) {
    case FL_(own_kind): return (const real *)call->t + first;
#define FL_COPY(kind, type)                                                                                            \
    case kind:                                                                                                         \
        for (ptrdiff_t i = 0; i < n; i++)                                                                              \
            copy[i] = (real)((const type *)call->t)[first + i];                                                        \
        break;
        FL_COPY(FL_I8, int8_t)
        FL_COPY(FL_U8, uint8_t)
        FL_COPY(FL_I32, int32_t)
        FL_COPY(FL_I64, int64_t)
#if FL_BITS == 64
        FL_COPY(FL_F32, float)
#else
        FL_COPY(FL_F64, double)
#endif
#undef FL_COPY
    default: /* rare as targets */
        for (ptrdiff_t i = 0; i < n; i++)
            copy[i] = (real)fl_index_at(&targets, first + i);
    }
    if (FL_BITS == 32 && call->t_kind == FL_F64 && !isnan(call->low)) {
        const double *const t = (const double *)call->t + first, low = call->low, high = call->high;
        const double ignored = call->some_ignored ? (double)call->ignored : NAN;
        const real outside = ignored == -2 ? -3 : -2;
        const int signs = low < 0;
        for (ptrdiff_t i = 0; i < n; i++) {
            const int none = (t[i] < low) | (t[i] > high) | (signs & ((double)copy[i] != t[i]));
            const int bad = none & (t[i] != ignored);
            copy[i] = bad ? outside : copy[i];
        }
    }
    return copy;
}

/* The first target that is none. Blocks that may hold one are looked at one by one. */
static ptrdiff_t FL_(first_outside)(const fl_call *call, ptrdiff_t first, ptrdiff_t last)
{
    const real low = (real)call->low, high = (real)call->high;
    const vec ignored = FL_(ignored_target)(call);
    real copy[FL_BLOCK];
    if (isnan(low)) /* any target will do */
        return -1;
    for (ptrdiff_t i = first; i < last; i += FL_BLOCK) {
        const ptrdiff_t n = last - i < FL_BLOCK ? last - i : FL_BLOCK;
        const real *const t = FL_(read_targets)(call, i, n, copy);
        if (low < 0 ? FL_(all_inside)(t, n, 0, 1, ignored) : FL_(all_inside)(t, n, high, 0, ignored))
            continue;
        for (ptrdiff_t k = 0; k < n; k++) {
            const int inside = t[k] >= low && t[k] <= high && (low == 0 || t[k] == 0 || t[k] * t[k] == 1);
            const int skipped = call->some_ignored && t[k] == (real)call->ignored;
            if (!inside && !skipped && !(isinf(high) && isnan(t[k])))
                return i + k;
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
        if (FL_(all_inside)(z + i, n, high, 0, FL_(splat)((real)NAN)))
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
    const real ignored = (real)call->ignored;
    const double scale = call->scale;
    const real *const z = (const real *)call->z.data + first, *const t = FL_(read_targets)(call, first, count, part->t);
    part->count = count;
    part->whole = whole;
    FL_(fetch_ahead)(z, call->g.data ? (const real *)call->g.data + first : NULL, count);
    FL_(fetch_ahead)(t == part->t ? NULL : t, call->h.data ? (const real *)call->h.data + first : NULL, count);
    fl_read_weights(&call->w, first, count, part->weight);
    FL_(block_copy)(z, count, part->z);
    if (t != part->t)
        FL_(block_copy)(t, count, part->t);
    for (ptrdiff_t i = count; i < whole; i++) {
        part->z[i] = part->t[i] = 0;
        part->weight[i] = 0;
    }
    if (call->some_ignored)
        for (ptrdiff_t i = 0; i < whole; i++) {
            part->weight[i] = part->t[i] != ignored ? part->weight[i] : 0;
            part->t[i] = part->t[i] != ignored ? part->t[i] : 0;
        }
    for (ptrdiff_t i = 0; i < whole; i++) {
        part->counts[i] = part->weight[i] != 0 ? 1 : 0; /* a sample of weight 0 does not count, even if it is NaN */
        part->factor[i] = (real)(part->weight[i] * scale);
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

/* derivatives times weights; 0 for elements that do not count */
static inline void FL_(write_derivative)(const FL_(weighted) *part, const real *derivative, real *to)
{
    const vec zero = FL_(splat)(0);
    for (ptrdiff_t i = 0; i < part->count; i += LANES) {
        const vec weighted = FL_(load)(derivative + i) * FL_(load)(part->factor + i);
        const vec counted = FL_(select_eq)(FL_(load)(part->counts + i), zero, zero, weighted);
        if (part->count - i < LANES)
            FL_(store_part)(to + i, part->count - i, counted);
        else
            FL_(store)(to + i, counted);
    }
}

static FL_NOINLINE double FL_(write_weighted)(const fl_call *call, ptrdiff_t first, FL_(weighted) *part, int logs)
{
    const vec zero = FL_(splat)(0);
    const vec of_u = FL_(splat)((real)(logs == 2 ? call->option[FL_OPTIONS - 2] : 1));
    const vec of_v = FL_(splat)((real)call->option[FL_OPTIONS - 1]);
    real *const l = part->linear;
    double sums[FL_(group)] = {0};
    for (ptrdiff_t i = 0; i < part->whole; i += LANES) {
        vec loss = FL_(load)(l + i);
        if (logs > 0)
            loss = FL_(fma)(of_u, FL_(log1p_of_part)(FL_(load)(part->u + i)), loss);
        if (logs > 1)
            loss = FL_(fma)(of_v, FL_(log1p_of_part)(FL_(load)(part->v + i)), loss);
        FL_(store)(l + i, FL_(select_eq)(FL_(load)(part->counts + i), zero, zero, loss));
    }
    for (ptrdiff_t i = 0; i < part->whole; i += GROUP)
        for (int lane = 0; lane < GROUP; lane++)
            sums[lane] += part->weight[i + lane] * (double)l[i + lane];
    if (call->l) {
        for (ptrdiff_t i = 0; i < part->whole; i++)
            l[i] = (real)(part->weight[i] * (double)l[i]);
        FL_(block_copy)(l, part->count, (real *)call->l + first);
    }
    if (call->g.data)
        FL_(write_derivative)(part, part->g, (real *)call->g.data + first);
    if (call->h.data)
        FL_(write_derivative)(part, part->h, (real *)call->h.data + first);
    for (int half = GROUP / 2; half > 0; half /= 2)
        for (int lane = 0; lane < half; lane++)
            sums[lane] += sums[lane + half];
    return sums[0];
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

/* those of targets t, which may have been converted */
static FL_INLINE FL_(next) FL_(next_targets)(const fl_call *call, ptrdiff_t first, const real *t)
{
    const ptrdiff_t size = fl_size_of[call->t_kind];
    if (call->t_kind == FL_(own_kind))
        return FL_(next_of)(t, call->ahead_t, first);
    return (FL_(next)){(const char *)call->t + (first + FL_BLOCK) * size, size};
}

/* `groups` whole groups with the targets t, all of weight 1 or ignored and without a loss of their own; the sum of their
 * losses, and whether a target may be out of range. What is written, `order`, the compiler knows, so that nothing is asked
 * inside; if it is -1 it does not, and if -2 elements may be ignored, too. */
static FL_INLINE double FL_(plain_groups)(const fl_call *call, ptrdiff_t first, ptrdiff_t groups, const real *t,
                                          FL_(element_loss) *element_loss, const int logs, const int order,
                                          int *doubtful)
{
    const int of_gradient = order < 0 ? call->g.data != NULL : order >= 1;
    const int of_hessian = order < 0 ? call->h.data != NULL : order >= 2;
    const int ignoring = order < -1;
    const vec ignored = FL_(ignored_target)(call);
    const real *const z = (const real *)call->z.data + first;
    real *const g = of_gradient ? (real *)call->g.data + first : NULL;
    real *const h = of_hessian ? (real *)call->h.data + first : NULL;
    const FL_(next) next_z = FL_(next_of)(z, call->ahead_z, first), next_t = FL_(next_targets)(call, first, t);
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
                const vec given = FL_(load)(t + at);
                const vec target = ignoring ? FL_(select_eq)(given, ignored, zero, given) : given;
                FL_(terms) e = element_loss(FL_(load)(z + at), target, linear[r], option);
                if (ignoring)
                    e = (FL_(terms)){
                        .linear = FL_(select_eq)(given, ignored, linear[r], e.linear),
                        .u = FL_(select_eq)(given, ignored, zero, e.u),
                        .v = FL_(select_eq)(given, ignored, zero, e.v),
                        .gradient = FL_(select_eq)(given, ignored, zero, e.gradient),
                        .hessian = FL_(select_eq)(given, ignored, zero, e.hessian),
                    };
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
    *doubtful |= FL_(may_be_outside)(largest, (real)call->high);
    return FL_(total)(sums, FL_(half_group));
}

/* The groups of [first, last) that are plain; returns the sum of their losses. `busy` is 1 for a loss that is worth
 * more code to be a little faster, and -1 for one that is busy enough to need less; one that `ignores` may leave out
 * those of one target there; others leave them out where they have weights. */
static FL_INLINE double FL_(plain_elements)(const fl_call *call, ptrdiff_t first, ptrdiff_t last,
                                            FL_(element_loss) *element_loss, const int logs, const int busy,
                                            const int ignores, int *doubtful)
{
    const ptrdiff_t together = call->t_kind == FL_(own_kind) ? PTRDIFF_MAX : FL_BLOCK;
    real copy[FL_BLOCK];
    fl_sum total = {0, 0};
    while (last - first >= GROUP) {
        const ptrdiff_t n = last - first < together ? last - first : together, groups = n / GROUP;
        const real *const t = FL_(read_targets)(call, first, groups * GROUP, copy);
        if (ignores && (busy < 0 || call->some_ignored))
            fl_add(&total, FL_(plain_groups)(call, first, groups, t, element_loss, logs, -2, doubtful));
        else if (busy < 0 || (!busy && call->g.data))
            fl_add(&total, FL_(plain_groups)(call, first, groups, t, element_loss, logs, -1, doubtful));
        else if (!call->g.data)
            fl_add(&total, FL_(plain_groups)(call, first, groups, t, element_loss, logs, 0, doubtful));
        else if (call->h.data)
            fl_add(&total, FL_(plain_groups)(call, first, groups, t, element_loss, logs, 2, doubtful));
        else
            fl_add(&total, FL_(plain_groups)(call, first, groups, t, element_loss, logs, 1, doubtful));
        first += groups * GROUP;
    }
    return fl_total(&total);
}

/* how many elements from the first on are plain: whole groups of them */
static FL_INLINE ptrdiff_t FL_(plain_count)(const fl_call *call, ptrdiff_t first, ptrdiff_t last, const int ignores)
{
    const int apart = call->w.data || call->l || (call->some_ignored && !ignores);
    return apart ? 0 : (last - first) / GROUP * GROUP;
}

static FL_INLINE double FL_(each_element)(const fl_call *call, ptrdiff_t first, ptrdiff_t last,
                                          FL_(element_loss) *element_loss, const int logs, const int busy,
                                          const int ignores)
{
    const unsigned mode = fl_flush_subnormals();
    const ptrdiff_t others = first + FL_(plain_count)(call, first, last, ignores);
    fl_sum total = {0, 0};
    int doubtful = 0;
    fl_add(&total, FL_(plain_elements)(call, first, others, element_loss, logs, busy, ignores, &doubtful));
    /* a loss of signs makes of all else NaN by itself */
    if (doubtful && call->low == 0 && FL_(first_outside)(call, first, others) >= 0)
        fl_add(&total, NAN);
    for (ptrdiff_t i = others; i < last; i += FL_(together)) {
        const ptrdiff_t count = last - i < FL_(together) ? last - i : FL_(together);
        if (FL_(first_outside)(call, i, i + count) >= 0)
            fl_add(&total, NAN);
        fl_add(&total, FL_(weighted_elements)(call, i, count, element_loss, logs));
    }
    fl_restore_subnormals(mode);
    return fl_total(&total);
}

/* Elements that each have a second number; `alone` is the loss where all have the same, NULL if they never do. */
static FL_INLINE double FL_(each_pair)(const fl_call *call, ptrdiff_t first, ptrdiff_t last, FL_(pair_loss) *pair_loss,
                                       FL_(element_loss) *alone)
{
    const unsigned mode = fl_flush_subnormals();
    const ptrdiff_t others = first + (alone && !call->second.data ? FL_(plain_count)(call, first, last, 1) : 0);
    fl_sum total = {0, 0};
    int doubtful = 0;
    if (alone)
        fl_add(&total, FL_(plain_elements)(call, first, others, alone, 0, -1, 1, &doubtful));
    if (doubtful && FL_(first_outside)(call, first, others) >= 0)
        fl_add(&total, NAN);
    for (ptrdiff_t i = others; i < last; i += FL_(together)) {
        const ptrdiff_t count = last - i < FL_(together) ? last - i : FL_(together);
        FL_(weighted) part;
        FL_(read_weighted)(call, i, count, &part);
        if (!FL_(read_second)(call, i, &part) || FL_(first_outside)(call, i, i + count) >= 0)
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
