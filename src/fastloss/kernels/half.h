/* SPDX-License-Identifier: BSD-3-Clause
 *
 * float16 and bfloat16, for all kernels at once. A band of rows is widened to float32 where it stays in a near cache
 * level, the kernel of float32 works there in place, and what it has written is rounded on its way to where it belongs.
 * Included after the kernels of float32.
 *
 * The kernel is told where the band would begin if it were part of an array, so that it asks for rows by their numbers,
 * and finds whatever is read where it lies.
 */
enum {
    fl_burst = 64, /* numbers: whole cache lines of both sizes, whose fetching is asked for once */
    fl_strip = 64,         /* rows that are turned together; no band of rows that lie side by side has more */
    fl_far_ahead = 2048    /* bytes that are fetched ahead, as FL_AHEAD numbers are */
};

static FL_INLINE vec fl_widen_lanes(const char *from, const int kind)
{
    const fl_halves x = *(const fl_unaligned_halves *)from;
    return kind == FL_F16 ? FL_(from_float16)(x) : FL_(from_bfloat16)(x);
}

static FL_INLINE void fl_narrow_lanes(vec v, const int kind, char *to)
{
    *(fl_unaligned_halves *)to = kind == FL_F16 ? FL_(to_float16)(v) : FL_(to_bfloat16)(v);
}

static FL_INLINE void fl_widen_kind(const char *from, const int kind, ptrdiff_t n, float *to)
{
    ptrdiff_t i = 0;
    for (; i + fl_burst <= n; i += fl_burst) {
        for (int b = 0; b < 2 * fl_burst; b += 64)
            FL_PREFETCH(from + 2 * i + b + fl_far_ahead);
        for (int k = 0; k < fl_burst; k += LANES)
            FL_(store)(to + i + k, fl_widen_lanes(from + 2 * (i + k), kind));
    }
    for (; i + LANES <= n; i += LANES)
        FL_(store)(to + i, fl_widen_lanes(from + 2 * i, kind));
    if (i < n) {
        uint16_t lane[FL_(lanes)] = {0};
        for (ptrdiff_t k = i; k < n; k++)
            lane[k - i] = ((const uint16_t *)from)[k];
        FL_(store_part)(to + i, n - i, fl_widen_lanes((const char *)lane, kind));
    }
}

static FL_INLINE void fl_narrow_kind(const float *from, const int kind, ptrdiff_t n, char *to)
{
    ptrdiff_t i = 0;
    for (; i + fl_burst <= n; i += fl_burst) {
        for (int b = 0; b < 2 * fl_burst; b += 64)
            FL_PREFETCH_WRITE(to + 2 * i + b + fl_far_ahead);
        for (int k = 0; k < fl_burst; k += LANES)
            fl_narrow_lanes(FL_(load)(from + i + k), kind, to + 2 * (i + k));
    }
    for (; i + LANES <= n; i += LANES)
        fl_narrow_lanes(FL_(load)(from + i), kind, to + 2 * i);
    if (i < n) {
        uint16_t lane[FL_(lanes)];
        fl_narrow_lanes(FL_(load_part)(from + i, n - i, 0), kind, (char *)lane);
        for (ptrdiff_t k = i; k < n; k++)
            ((uint16_t *)to)[k] = lane[k - i];
    }
}

/* n adjacent numbers of a kind become float32, and back */
static void fl_widen(const char *from, int kind, ptrdiff_t n, float *to)
{
    if (kind == FL_F16)
        fl_widen_kind(from, FL_F16, n, to);
    else
        fl_widen_kind(from, FL_BF16, n, to);
}

static void fl_narrow(const float *from, int kind, ptrdiff_t n, char *to)
{
    if (kind == FL_F16)
        fl_narrow_kind(from, FL_F16, n, to);
    else if (kind == FL_BF16)
        fl_narrow_kind(from, FL_BF16, n, to);
    else
        FL_(block_copy)(from, n, (float *)to);
}

/* one copy of the code that turns squares */
static void fl_turn(const float *from, ptrdiff_t from_row, int rows, ptrdiff_t n, float *to, ptrdiff_t to_row,
                    ptrdiff_t width, int padded)
{
    FL_(turn)(from, from_row, rows, n, to, to_row, width, padded);
}

/* Rows [start, start + n) of `from`, in one inner part, to rows of `to`: in both the numbers of each class are adjacent,
 * or in `to` those of each row. */
static void fl_widen_rows(const fl_rows *from, ptrdiff_t start, ptrdiff_t n, ptrdiff_t classes, const fl_rows *to)
{
    const char *const z = fl_row_of(from, start);
    float *const into = (float *)fl_row_of(to, start);
    if (from->step == 1 && from->row == classes && to->row == classes) {
        fl_widen(z, from->kind, n * classes, into);
    } else if (from->step == 1) {
        for (ptrdiff_t r = 0; r < n; r++)
            fl_widen(z + 2 * r * from->row, from->kind, classes, into + r * to->row);
    } else if (to->step != 1) {
        for (ptrdiff_t c = 0; c < classes; c++)
            fl_widen(z + 2 * c * from->step, from->kind, n, into + c * to->step);
    } else if (from->row == 1 && n <= fl_strip) {
        float strip[FL_(lanes) *fl_strip];
        for (ptrdiff_t c = 0; c < classes; c += LANES) {
            const ptrdiff_t left = classes - c < LANES ? classes - c : LANES;
            for (ptrdiff_t i = 0; i < left; i++) {
                fl_widen(z + 2 * (c + i) * from->step, from->kind, n, strip + i * fl_strip);
                for (ptrdiff_t r = 0; c + LANES + i < classes && r < n; r += 32)
                    FL_PREFETCH_FAR(z + 2 * ((c + LANES + i) * from->step + r));
            }
            fl_turn(strip, fl_strip, (int)left, n, into + c, to->row, left, 0);
        }
    } else {
        uint16_t near[FL_BLOCK];
        for (ptrdiff_t r = 0; r < n; r++)
            for (ptrdiff_t c = 0; c < classes; c += FL_BLOCK) {
                const ptrdiff_t left = classes - c < FL_BLOCK ? classes - c : FL_BLOCK;
                const uint16_t *const at = (const uint16_t *)z + r * from->row + c * from->step;
                for (ptrdiff_t i = 0; i < left; i++)
                    near[i] = at[i * from->step];
                fl_widen((const char *)near, from->kind, left, into + r * to->row + c);
            }
    }
}

/* and back; `to` may be of float32 */
static void fl_narrow_rows(const fl_rows *from, ptrdiff_t start, ptrdiff_t n, ptrdiff_t classes, const fl_rows *to)
{
    const float *const near = (const float *)fl_row_of(from, start);
    char *const g = fl_row_of(to, start);
    const ptrdiff_t size = to->kind == FL_F32 ? 4 : 2;
    if (to->step == 1 && to->row == classes && from->step == 1 && from->row == classes) {
        fl_narrow(near, to->kind, n * classes, g);
    } else if (to->step == 1 && from->step == 1) {
        for (ptrdiff_t r = 0; r < n; r++)
            fl_narrow(near + r * from->row, to->kind, classes, g + size * r * to->row);
    } else if (to->row == 1 && from->step != 1) {
        for (ptrdiff_t c = 0; c < classes; c++)
            fl_narrow(near + c * from->step, to->kind, n, g + size * c * to->step);
    } else if (to->row == 1 && n <= fl_strip) {
        float strip[FL_(lanes) *fl_strip];
        for (ptrdiff_t c = 0; c < classes; c += LANES) {
            const ptrdiff_t left = classes - c < LANES ? classes - c : LANES;
            for (ptrdiff_t r = 0; r < n; r += LANES)
                fl_turn(near + r * from->row + c, from->row, (int)(n - r < LANES ? n - r : LANES), left, strip + r,
                        fl_strip, LANES, 1);
            for (ptrdiff_t i = 0; i < left; i++)
                fl_narrow(strip + i * fl_strip, to->kind, n, g + size * (c + i) * to->step);
        }
    } else {
        float row[FL_BLOCK];
        uint16_t half[FL_BLOCK];
        for (ptrdiff_t r = 0; r < n; r++)
            for (ptrdiff_t c = 0; c < classes; c += FL_BLOCK) {
                const ptrdiff_t left = classes - c < FL_BLOCK ? classes - c : FL_BLOCK, at = r * to->row + c * to->step;
                for (ptrdiff_t i = 0; i < left; i++)
                    row[i] = near[r * from->row + (c + i) * from->step];
                if (size == 4) {
                    for (ptrdiff_t i = 0; i < left; i++)
                        ((float *)g)[at + i * to->step] = row[i];
                } else {
                    fl_narrow(row, to->kind, left, (char *)half);
                    for (ptrdiff_t i = 0; i < left; i++)
                        ((uint16_t *)g)[at + i * to->step] = half[i];
                }
            }
    }
}

/* what is `size` bytes before p: no pointer into the array, but what it is from there */
static inline void *fl_before(const float *p, ptrdiff_t numbers)
{
    return (void *)((uintptr_t)p - (uintptr_t)numbers * sizeof *p);
}

/* A band in scratch memory, and the call that the kernel of float32 gets. */
typedef struct {
    fl_call call;
    float *z, *h, *q, *t, *l; /* NULL for what is not in scratch memory */
    ptrdiff_t most;       /* rows */
} fl_wide;

static inline fl_wide fl_wide_of(const fl_call *call)
{
    fl_wide wide = {.call = *call, .most = fl_half_rows(call)};
    const ptrdiff_t size = wide.most * call->classes;
    float *next = (float *)(((uintptr_t)call->scratch + 63) & ~(uintptr_t)63); /* no vector lies across two lines */
    if (call->z.kind != FL_F32 && !fl_widened_onto_g(call)) {
        wide.z = next;
        next += size;
    }
    if (call->h.data && !fl_written_directly(call, &call->h)) {
        wide.h = next;
        next += size;
    }
    if (call->q.data && call->q.kind != FL_F32) {
        wide.q = next;
        next += size;
    }
    if (call->t && fl_narrow_targets(call)) {
        wide.t = next;
        next += wide.most * (call->entries ? call->entries : 1);
    }
    if (call->l && call->l_kind != FL_F32)
        wide.l = next;
    if (wide.z && call->z.step == 1 && call->z.row == call->classes)
        wide.call.ahead_z = (const char *)call->z.data + 2 * size;
    if (wide.t)
        wide.call.ahead_t = (const char *)call->t + 2 * wide.most * (call->entries ? call->entries : 1);
    if (call->g.data && call->g.kind != FL_F32 && call->g.step == 1 && call->g.row == call->classes)
        wide.call.ahead_g = (const char *)call->g.data + 2 * size;
    if (wide.t)
        wide.call.t_kind = FL_F32;
    wide.call.scratch = NULL;
    wide.call.scratch_bytes = 0;
    return wide;
}

/* how many of the rows from `start` on there are together */
static inline ptrdiff_t fl_half_band(const fl_call *call, ptrdiff_t most, ptrdiff_t start, ptrdiff_t last)
{
    ptrdiff_t rows = last - start < most ? last - start : most;
    return fl_rows_within(call, start, (int)rows);
}

/* rows from `start` on in scratch memory, as those of `like` lie */
static inline fl_rows fl_near(const fl_call *call, const fl_wide *wide, const fl_rows *like, float *data,
                              ptrdiff_t start)
{
    const int turn = fl_in_turn(call, like);
    const ptrdiff_t row = turn ? 1 : call->classes;
    return (fl_rows){fl_before(data, start * row), PTRDIFF_MAX, 0, row, turn ? wide->most : 1, FL_F32};
}

static inline void fl_widen_band(const fl_call *call, fl_wide *wide, ptrdiff_t start, ptrdiff_t rows)
{
    fl_call *const near = &wide->call;
    if (call->z.kind != FL_F32) {
        near->z = wide->z ? fl_near(call, wide, &call->z, wide->z, start) : call->g;
        fl_widen_rows(&call->z, start, rows, call->classes, &near->z);
    }
    if (call->g.data && !fl_written_directly(call, &call->g))
        near->g = near->z;
    if (wide->h)
        near->h = fl_near(call, wide, &call->z, wide->h, start);
    if (wide->q) {
        near->q = fl_near(call, wide, &call->q, wide->q, start);
        fl_widen_rows(&call->q, start, rows, call->classes, &near->q);
    }
    if (wide->t) {
        const ptrdiff_t each = call->entries ? call->entries : 1;
        fl_widen((const char *)call->t + 2 * start * each, call->t_kind, rows * each, wide->t);
        near->t = fl_before(wide->t, start * each);
    }
    if (wide->l)
        near->l = fl_before(wide->l, start);
}

static double fl_half(const fl_call *call, ptrdiff_t first, ptrdiff_t last)
{
    fl_wide wide = fl_wide_of(call);
    fl_sum total = {0, 0};
    for (ptrdiff_t start = first; start < last;) {
        const ptrdiff_t rows = fl_half_band(call, wide.most, start, last);
        fl_widen_band(call, &wide, start, rows);
        fl_add(&total, call->kernel(&wide.call, start, start + rows));
        if (call->g.data && !fl_written_directly(call, &call->g))
            fl_narrow_rows(&wide.call.g, start, rows, call->classes, &call->g);
        if (wide.h)
            fl_narrow_rows(&wide.call.h, start, rows, call->classes, &call->h);
        if (wide.l)
            fl_narrow(wide.l, call->l_kind, rows, (char *)call->l + 2 * start);
        start += rows;
    }
    return fl_total(&total);
}

/* what a check of elements says, block by block */
static ptrdiff_t fl_check_half(const fl_call *call, ptrdiff_t first, ptrdiff_t last, fl_check check)
{
    fl_call near = *call;
    float z[FL_BLOCK], t[FL_BLOCK];
    for (ptrdiff_t start = first; start < last; start += FL_BLOCK) {
        const ptrdiff_t end = last - start < FL_BLOCK ? last : start + FL_BLOCK;
        if (call->z.kind != FL_F32 && check != FL_(first_outside)) {
            fl_widen((const char *)call->z.data + 2 * start, call->z.kind, end - start, z);
            near.z.data = fl_before(z, start);
        }
        if (fl_narrow_targets(call)) {
            fl_widen((const char *)call->t + 2 * start, call->t_kind, end - start, t);
            near.t_kind = FL_F32;
            near.t = fl_before(t, start);
        }
        const ptrdiff_t bad = check(&near, start, end);
        if (bad >= 0)
            return bad;
    }
    return -1;
}

static ptrdiff_t fl_first_outside_half(const fl_call *call, ptrdiff_t first, ptrdiff_t last)
{
    return fl_check_half(call, first, last, FL_(first_outside));
}

static ptrdiff_t fl_first_bad_score_half(const fl_call *call, ptrdiff_t first, ptrdiff_t last)
{
    return fl_check_half(call, first, last, FL_(first_bad_score));
}

/* the first number of the targets of a distribution that is none; an entry that is ignored may hold anything */
static ptrdiff_t fl_first_improbable_half(const fl_call *call, ptrdiff_t first, ptrdiff_t last)
{
    const ptrdiff_t entries = call->entries, length = entries ? entries : call->classes;
    const int kind = entries ? call->t_kind : call->q.kind;
    if ((!entries && !call->q.data) || kind == FL_F32)
        return FL_(first_improbable)(call, first, last);
    const uint16_t infinite = kind == FL_F16 ? 0x7c00 : 0x7f80, minus_zero = 0x8000;
    for (ptrdiff_t row = first; row < last; row++) {
        const uint16_t *const q =
            entries ? (const uint16_t *)call->t + row * entries : (const uint16_t *)fl_row_of(&call->q, row);
        const ptrdiff_t step = entries ? 1 : call->q.step;
        for (ptrdiff_t j = 0; j < length; j++) {
            if (q[j * step] < infinite || q[j * step] == minus_zero)
                continue;
            if (!entries || !call->some_ignored || fl_index_at(&call->y, row * entries + j) != call->ignored)
                return row * length + j;
        }
    }
    return -1;
}
