/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Class indices of any integer type: many at a time where they are adjacent, in loops without a branch, of which the
 * compiler makes vectors. */
#define FL_LABELS_TOGETHER 256
#define FL_LABELS_AHEAD 4096 /* bytes */

/* whether one of `count` indices is none of [0, end) */
#define FL_ANY_BAD(kind, type)                                                                                         \
    static int fl_any_bad_##type(const char *data, ptrdiff_t count, uint64_t end)                                      \
    {                                                                                                                  \
        const type *const p = (const type *)data;                                                                      \
        uint64_t bad = 0;                                                                                              \
        for (ptrdiff_t b = 0; b < count * (ptrdiff_t)sizeof(type); b += 64)                                            \
            FL_PREFETCH(data + FL_LABELS_AHEAD + b);                                                                   \
        for (ptrdiff_t i = 0; i < count; i++)                                                                          \
            bad |= (uint64_t)(int64_t)p[i] | (end - 1 - (uint64_t)(int64_t)p[i]);                                      \
        return bad >> 63;                                                                                              \
    }
FL_INDEX_TYPES(FL_ANY_BAD)
#undef FL_ANY_BAD

/* The first of `count` class indices outside [0, classes); -1 if there is none. */
static ptrdiff_t fl_first_bad_label(const fl_samples *y, ptrdiff_t count, ptrdiff_t classes)
{
    static const struct {
        int (*any_bad)(const char *data, ptrdiff_t count, uint64_t end);
        ptrdiff_t size;
    } of_kind[] = {
#define FL_ROW(kind, type) [kind] = {fl_any_bad_##type, sizeof(type)},
        FL_INDEX_TYPES(FL_ROW)
#undef FL_ROW
    };
    const uint64_t end = (uint64_t)classes;
    ptrdiff_t i = 0;
    if (y->repeat == 1 && y->stride == of_kind[y->kind].size)
        while (i < count) {
            const ptrdiff_t n = count - i < FL_LABELS_TOGETHER ? count - i : FL_LABELS_TOGETHER;
            if (of_kind[y->kind].any_bad(y->data + i * y->stride, n, end))
                break;
            i += n;
        }
    for (; i < count; i++)
        if ((uint64_t)fl_index_at(y, i) >= end)
            return i;
    return -1;
}

/* FL_ROWS indices from `first` on, 0 where there are no more than `n`: where they lie if they can be read there, else in
 * `copy` */
static inline const ptrdiff_t *fl_read_indices(const fl_samples *y, ptrdiff_t first, int n, ptrdiff_t *copy)
{
    const int adjacent = y->data && y->repeat == 1;
    if (adjacent && n == FL_ROWS && y->kind == FL_I64 && y->stride == sizeof(ptrdiff_t))
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
