/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Class indices of any integer type: many at a time where they are adjacent, in loops without a branch, of which the
 * compiler makes vectors. */
#define FL_LABELS_TOGETHER 256
#define FL_LABELS_AHEAD 4096 /* bytes */

/* whether one of `count` indices is neither in [0, end) nor `ignored`, which in turn may be one of them */
#define FL_ANY_BAD(kind, type)                                                                                         \
    static int fl_any_bad_##type(const char *data, ptrdiff_t count, uint64_t end, int64_t ignored)                     \
    {                                                                                                                  \
        const type *const p = (const type *)data;                                                                      \
        uint64_t bad = 0;                                                                                              \
        for (ptrdiff_t b = 0; b < count * (ptrdiff_t)sizeof(type); b += 64)                                            \
            FL_PREFETCH(data + FL_LABELS_AHEAD + b);                                                                   \
        for (ptrdiff_t i = 0; i < count; i++) {                                                                        \
            const int64_t x = (int64_t)p[i];                                                                           \
            bad |= x != ignored ? (uint64_t)x | (end - 1 - (uint64_t)x) : 0;                                           \
        }                                                                                                              \
        return bad >> 63;                                                                                              \
    }
FL_INDEX_TYPES(FL_ANY_BAD)
#undef FL_ANY_BAD

/* The first row of `rows` whose class index is neither in [0, classes) nor ignored; -1 if there is none. */
static ptrdiff_t fl_first_bad_label(const fl_call *call, ptrdiff_t rows)
{
    static const struct {
        int (*any_bad)(const char *data, ptrdiff_t count, uint64_t end, int64_t ignored);
        ptrdiff_t size;
    } of_kind[] = {
#define FL_ROW(kind, type) [kind] = {fl_any_bad_##type, sizeof(type)},
        FL_INDEX_TYPES(FL_ROW)
#undef FL_ROW
    };
    const fl_samples *const y = &call->y;
    const uint64_t end = (uint64_t)call->classes;
    const int64_t ignored = call->some_ignored ? call->ignored : 0;
    ptrdiff_t i = 0;
    if (y->repeat == 1 && y->stride == of_kind[y->kind].size) {
        while (i < rows) {
            const ptrdiff_t n = rows - i < FL_LABELS_TOGETHER ? rows - i : FL_LABELS_TOGETHER;
            if (of_kind[y->kind].any_bad(y->data + i * y->stride, n, end, ignored))
                break;
            i += n;
        }
    }
    for (; i < rows; i++) {
        const int64_t x = fl_index_at(y, i);
        if ((uint64_t)x >= end && x != ignored)
            return i;
    }
    return -1;
}

/* FL_ROWS class indices of the rows from `first` on, 0 where there are no more than `n`: where they lie if they can be
 * read there, else in `copy` */
static inline const ptrdiff_t *fl_read_indices(const fl_call *call, ptrdiff_t first, int n, ptrdiff_t *copy)
{
    const fl_samples *const y = &call->y;
    const int adjacent = y->data && y->repeat == 1;
    if (adjacent && n == FL_ROWS && y->kind == FL_I64 && y->stride == sizeof(ptrdiff_t) && !call->some_ignored)
        return (const ptrdiff_t *)y->data + first;
    for (int i = n; i < FL_ROWS; i++)
        copy[i] = 0;
    switch (adjacent ? y->kind : -1) {
#define FL_COPY(wanted, type)                                                                                          \
    case wanted:                                                                                                       \
        if (y->stride != sizeof(type))                                                                                 \
            break;                                                                                                     \
        for (int i = 0; i < n; i++)                                                                                    \
            copy[i] = (ptrdiff_t)((const type *)y->data)[first + i];                                                   \
        return copy;
        FL_INDEX_TYPES(FL_COPY)
#undef FL_COPY
    default: break;
    }
    for (int i = 0; i < n; i++)
        copy[i] = y->data ? (ptrdiff_t)fl_index_at(y, first + i) : 0;
    return copy;
}

/* the weights of samples [first, first + n); 1 if they have none */
static FL_NOINLINE void fl_read_weights(const fl_samples *w, ptrdiff_t first, ptrdiff_t n, double *weight)
{
    const char *const p = w->data ? fl_sample(w, first) : NULL;
    for (ptrdiff_t b = 0; p && w->repeat == 1 && b < n * w->stride; b += 64)
        FL_PREFETCH(p + FL_LABELS_AHEAD + b);
    ptrdiff_t same = w->repeat - first % w->repeat; /* samples that share the first weight */
    if (!p) {
        for (ptrdiff_t i = 0; i < n; i++)
            weight[i] = 1;
    } else if (w->repeat > 1) {
        for (ptrdiff_t i = 0; i < n; same = w->repeat) {
            const double shared = fl_weight_at(w, first + i);
            for (const ptrdiff_t end = n - i < same ? n : i + same; i < end; i++)
                weight[i] = shared;
        }
    } else if (w->kind == FL_F32 && w->stride == sizeof(float)) {
        for (ptrdiff_t i = 0; i < n; i++)
            weight[i] = (double)((const float *)p)[i];
    } else if (w->kind == FL_F64 && w->stride == sizeof(double)) {
        for (ptrdiff_t i = 0; i < n; i++)
            weight[i] = ((const double *)p)[i];
    } else if (w->kind < FL_F16) {
        for (ptrdiff_t i = 0; i < n; i++)
            weight[i] = (double)fl_index_at(w, first + i);
    } else {
        for (ptrdiff_t i = 0; i < n; i++)
            weight[i] = fl_number_at(p + i * w->stride, w->kind, 0);
    }
}

/* Their indices and weights. An ignored row has weight 0, and index 0, which can be read. */
static inline const ptrdiff_t *fl_read_samples(const fl_call *call, ptrdiff_t first, int n, ptrdiff_t *copy,
                                               double *weight)
{
    const ptrdiff_t *const k = fl_read_indices(call, first, n, copy);
    if (fl_weighted(call))
        fl_read_weights(&call->w, first, n, weight);
    if (call->some_ignored)
        for (int i = 0; i < n; i++) {
            const int counts = k[i] != (ptrdiff_t)call->ignored;
            weight[i] = counts ? weight[i] : 0;
            copy[i] = counts ? k[i] : 0;
        }
    if (call->class_weight)
        for (int i = 0; i < n; i++)
            weight[i] *= call->class_weight[k[i]];
    return k;
}

enum { fl_numbers = 256 };

/* The sum of n weights, fl_numbers at most; `counting` grows by how many are not 0. Up to the next 8 they become 0. */
static double fl_sum_some(double *weight, ptrdiff_t n, ptrdiff_t *counting)
{
    double sum[8] = {0};
    ptrdiff_t count = 0;
    for (ptrdiff_t i = n; i % 8; i++)
        weight[i] = 0;
    for (ptrdiff_t i = 0; i < n; i++)
        count += weight[i] != 0;
    for (ptrdiff_t i = 0; i < n; i += 8)
        for (int lane = 0; lane < 8; lane++)
            sum[lane] += weight[i + lane];
    *counting += count;
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

/* the sum of the weights that samples have by themselves, and how many of these samples have one that is not 0 */
static double fl_sum_own_weights(const fl_samples *w, ptrdiff_t samples, double *count)
{
    const fl_samples each = {w->data, w->stride, 1, w->kind};
    const ptrdiff_t weights = w->repeat ? samples / w->repeat : 0;
    fl_sum total = {0, 0};
    ptrdiff_t counting = 0;
    double weight[fl_numbers];
    for (ptrdiff_t start = 0; start < weights; start += fl_numbers) {
        const ptrdiff_t n = weights - start < fl_numbers ? weights - start : fl_numbers;
        fl_read_weights(&each, start, n, weight);
        fl_add(&total, fl_sum_some(weight, n, &counting));
    }
    *count = (double)(counting * w->repeat);
    return fl_total(&total) * (double)w->repeat;
}

/* the sum of the weights of all rows, whose class indices are good, and how many are not 0 */
static double fl_sum_sample_weights(const fl_call *call, ptrdiff_t rows, double *count)
{
    fl_sum total = {0, 0};
    ptrdiff_t indices[FL_ROWS], counting = 0;
    double weight[FL_ROWS];
    for (int i = 0; i < FL_ROWS; i++)
        weight[i] = 1;
    for (ptrdiff_t start = 0; start < rows; start += FL_ROWS) {
        const int n = (int)(rows - start < FL_ROWS ? rows - start : FL_ROWS);
        fl_read_samples(call, start, n, indices, weight);
        fl_add(&total, fl_sum_some(weight, n, &counting));
    }
    *count = (double)counting;
    return fl_total(&total);
}

/* The first row that counts of [first, last) whose target's score is outside [0, score_high]. */
static ptrdiff_t fl_first_bad_row(const fl_call *call, ptrdiff_t first, ptrdiff_t last)
{
    double weight[FL_ROWS];
    ptrdiff_t indices[FL_ROWS];
    for (ptrdiff_t start = first; start < last; start += FL_ROWS) {
        const int rows = (int)(last - start < FL_ROWS ? last - start : FL_ROWS);
        for (int i = 0; i < FL_ROWS; i++)
            weight[i] = 1;
        const ptrdiff_t *const k = fl_read_samples(call, start, rows, indices, weight);
        for (int i = 0; i < rows; i++) {
            const char *const row = fl_row_of(&call->z, start + i);
            const ptrdiff_t at = k[i] * call->z.step;
            const double p = fl_number_at(row, call->z.kind, at);
            /* of the numbers of 16 bits those that are infinite are read as NaN */
            const int half = call->z.kind == FL_F16 || call->z.kind == FL_BF16;
            const int infinite =
                half && (((const uint16_t *)row)[at] & 0x7fff) == (call->z.kind == FL_F16 ? 0x7c00 : 0x7f80);
            if ((p < 0 || p > call->score_high || infinite) && weight[i] != 0)
                return start + i;
        }
    }
    return -1;
}

/* the sum of the weights of all elements, and how many are not 0, where those of one target are ignored */
static double fl_sum_element_weights(const fl_call *call, ptrdiff_t rows, double *count)
{
    const fl_samples targets = {(const char *)call->t, fl_size_of[call->t_kind], 1, call->t_kind};
    /* as a number of the targets' type, as kernels compare it */
    const int narrow = call->t_kind >= FL_F16 && call->t_kind < FL_F64;
    const double ignored = narrow ? (double)(float)call->ignored : (double)call->ignored;
    fl_sum total = {0, 0};
    ptrdiff_t counting = 0;
    double weight[fl_numbers], target[fl_numbers];
    for (ptrdiff_t start = 0; start < rows; start += fl_numbers) {
        const ptrdiff_t n = rows - start < fl_numbers ? rows - start : fl_numbers;
        ptrdiff_t kept = 0;
        fl_read_weights(&targets, start, n, target);
        if (!call->w.data) {
            for (ptrdiff_t i = 0; i < n; i++)
                kept += target[i] != ignored;
            counting += kept;
            continue;
        }
        fl_read_weights(&call->w, start, n, weight);
        for (ptrdiff_t i = 0; i < n; i++)
            weight[i] = target[i] != ignored ? weight[i] : 0;
        fl_add(&total, fl_sum_some(weight, n, &counting));
    }
    *count = (double)counting;
    return call->w.data ? fl_total(&total) : *count;
}

/* the sum over rows of their weights times the mean weight of the classes of their target, and how many are not 0 */
static double fl_sum_distribution_weights(const fl_call *call, ptrdiff_t rows, double *count)
{
    fl_sum total = {0, 0};
    *count = 0;
    for (ptrdiff_t row = 0; row < rows; row++) {
        double sum = 0, weighted = 0;
        int kept = 1;
        if (call->q.data) {
            const char *const q = fl_row_of(&call->q, row);
            for (ptrdiff_t j = 0; call->class_weight && j < call->classes; j++) {
                const double p = fl_number_at(q, call->q.kind, j * call->q.step);
                sum += p;
                weighted += call->class_weight[j] * p;
            }
        } else {
            const ptrdiff_t entries = call->entries ? call->entries : 1;
            kept = 0;
            for (ptrdiff_t e = row * entries; e < (row + 1) * entries; e++) {
                const int64_t k = fl_index_at(&call->y, e);
                if (call->some_ignored && k == call->ignored)
                    continue;
                const double p = call->entries ? fl_number_at(call->t, call->t_kind, e) : 1;
                kept = 1;
                sum += p;
                weighted += call->class_weight ? call->class_weight[k] * p : p;
            }
        }
        const double own = call->class_weight && sum != 0 ? weighted / sum : 1;
        const double weight = kept ? fl_weight_at(&call->w, row) * own : 0;
        *count += weight != 0;
        fl_add(&total, weight);
    }
    return fl_total(&total);
}

/* the first element whose variance is not finite and positive */
static ptrdiff_t fl_first_bad_variance(const fl_call *call, ptrdiff_t first, ptrdiff_t last)
{
    double variance[fl_numbers];
    for (ptrdiff_t i = first; i < last; i += fl_numbers) {
        const ptrdiff_t n = last - i < fl_numbers ? last - i : fl_numbers;
        int good = 1;
        fl_read_weights(&call->second, i, n, variance);
        for (ptrdiff_t k = 0; k < n; k++)
            good &= (variance[k] > 0) & (variance[k] <= DBL_MAX);
        for (ptrdiff_t k = 0; !good && k < n; k++)
            if (!(variance[k] > 0 && variance[k] <= DBL_MAX))
                return i + k;
    }
    return -1;
}
