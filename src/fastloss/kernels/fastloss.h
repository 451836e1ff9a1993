/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the boundary (_core.pyx) knows of the kernels, and all it knows.
 *
 * Legend: z scores, y class indices, t targets of the shape of the scores, w sample weights, l losses,
 * g gradient, h diagonal of the Hessian. A row is what one class index belongs to; an elementwise loss has rows of
 * one element.
 */
#ifndef FASTLOSS_H
#define FASTLOSS_H

#include <stddef.h>
#include <stdint.h>

#define FL_OPTIONS 8

/* Element types. FL_BF16 is bfloat16, the upper half of a float32. */
enum { FL_I8, FL_U8, FL_I16, FL_U16, FL_I32, FL_U32, FL_I64, FL_U64, FL_F16, FL_BF16, FL_F32, FL_F64 };

/* One value per sample: sample i is at data + (i / repeat) * stride, in bytes. */
typedef struct {
    const char *data;
    ptrdiff_t stride, repeat;
    int kind;
} fl_samples;

/* An array of rows: element j of row i is (i / inner) * outer + (i % inner) * row + j * step elements from data. */
typedef struct {
    void *data;
    ptrdiff_t inner, outer, row, step;
    int kind;
} fl_rows;

#define FL_ROWS 64 /* rows whose losses wait for their logarithm together; a multiple of all BUNDLE * LANES and of 8 */
#define FL_NARROW 64 /* classes up to which a row is a lane */

/* What classification_stats writes, one number per row; the first four are float64 or, for all other scores, float32. */
typedef struct {
    void *loss, *log_sum_exp, *entropy, *margin;
    int64_t *arg_max, *rank;
} fl_statistics;

/* One evaluation. Pointers that are not needed are NULL. Everything is valid by contract: aligned, in bounds, class
 * indices in [0, classes). g may be z itself; nothing else overlaps. h comes with g. Elementwise arrays are contiguous. */
typedef struct fl_call fl_call;

/* Evaluates rows [first, last) and returns the sum of w*l over them; NaN where an elementwise target is out of range. No
 * allocation, no errno, no state: any thread, any time. What a row yields depends on that row alone. */
typedef double (*fl_kernel)(const fl_call *call, ptrdiff_t first, ptrdiff_t last);

struct fl_call {
    fl_rows z, g, h;
    fl_rows q; /* of a distribution: one probability for each score; data NULL if there are indices */
    const void
        *t; /* elementwise: one for each score; of a distribution with entries: their probabilities, contiguous */
    int t_kind, l_kind;
    const char *ahead_z, *ahead_t, *ahead_g; /* these arrays, a band further on, for kernels to fetch; or NULL */
    fl_kernel kernel; /* where a kind is FL_F16 or FL_BF16: that of float32, which `half` calls on widened numbers */
    fl_samples y, w; /* y: rowwise; w.data NULL means weight 1 */
    ptrdiff_t entries; /* indices and probabilities that a row has, adjacent; 0 where it has one index alone */
    const double *class_weight; /* rowwise: what weights are multiplied with, by class index; NULL for 1 */
    const double *margins; /* hinge: one for each class a target may be; NULL for one of all */
    const void
        *costs; /* hinge: margins of every class for every target, row by row, of the type of the scores; or NULL */
    fl_samples second; /* paired: the other number of each element, or with a cycle that of its place in it */
    ptrdiff_t cycle;
    int64_t ignored; /* the index, or the target, of samples that do not count, if some_ignored */
    int some_ignored;
    void *l; /* one per row, type of the scores */
    const fl_statistics *statistics; /* instead of l, g and h */
    char *scratch; /* for rows of many classes that are not adjacent: scratch_bytes for each thread */
    size_t scratch_bytes;
    ptrdiff_t classes; /* length of a row, 1 for elementwise */
    double scale; /* g and h are those of scale * sum of w*l */
    /* elementwise: targets lie in [0, high], the `low` of which is 0; or are -1, 0 or 1, which is low = -1 and high = 1; or
     * any numbers, low being NaN. A range without end also holds NaN. Scores lie in [0, score_high], or anywhere if it is
     * NaN. */
    double low, high, score_high;
    double option[FL_OPTIONS];
};

/* The index of the first target of [first, last) that is none, or of the first score that counts and is outside its range
 * (NaN is not); -1 if there is none. */
typedef ptrdiff_t (*fl_check)(const fl_call *call, ptrdiff_t first, ptrdiff_t last);

/* A distribution has rows as well, and targets in any of three forms: an index, entries, all probabilities. What is paired
 * is elementwise. */
enum {
    FL_ROWWISE,
    FL_DISTRIBUTION,
    FL_PAIRED,
    FL_ELEMENTWISE,
    FL_ROW_FUNCTION,
    FL_ELEMENT_FUNCTION,
    FL_ACTIVATION,
    FL_REGULARIZER,
    FL_STATISTICS,
    FL_STRIPWISE = FL_ROWWISE
};

#define KERNEL(family, name) FL_INDEX_##name,
enum {
#include "losses.def"
    FL_KERNELS
};

/* All kernels of one instruction set: [0] float32, [1] float64, [2] float32 where a kind is FL_F16 or FL_BF16. */
typedef struct {
    const char *name;
    fl_kernel kernel[2][FL_KERNELS];
    fl_kernel half;
    fl_check outside[3], bad_score[3];
    fl_check bad_row; /* the first row that counts whose target's score is outside [0, score_high] */
    fl_check bad_variance; /* the first element whose variance is not finite and positive */
    fl_check improbable[3]; /* the same for the probabilities of distributions, which are finite and not negative */
    ptrdiff_t (*bad_label)(const fl_call *call, ptrdiff_t count); /* -1: all in [0, classes) or ignored */
    /* the sum of weights, and how many are not 0; `samples` is a multiple of w->repeat */
    double (*sum_own_weights)(const fl_samples *w, ptrdiff_t samples, double *count);
    double (*sum_weights)(const fl_call *call, ptrdiff_t rows, double *count);
    double (*sum_distribution_weights)(const fl_call *call, ptrdiff_t rows, double *count);
    double (*sum_element_weights)(const fl_call *call, ptrdiff_t rows, double *count);
} fl_table;

/* A sum that carries what its additions lose (Neumaier 1974): many small pieces add up to one rounding. */
typedef struct {
    double sum, lost;
} fl_sum;

static inline void fl_add(fl_sum *s, double x)
{
    const double sum = s->sum + x, back = sum - s->sum;
    const double lost = (s->sum - (sum - back)) + (x - back);
    s->sum = sum;
    s->lost += lost - lost == 0 ? lost : 0; /* infinities lose nothing */
}

static inline double fl_total(const fl_sum *s)
{
    return s->sum + s->lost;
}

/* dispatch.c */
extern const char *const fl_kernel_names[FL_KERNELS];
extern const int fl_kernel_families[FL_KERNELS];
const fl_table *fl_select(const char *name); /* NULL asks for the best; NULL if `name` cannot run here */
const char *fl_isa_name(int index, int *runnable); /* built instruction sets, best first; NULL past the last */

/* whether samples have weights, be they their own, of their class, or 0 because they are ignored */
static inline int fl_weighted(const fl_call *call)
{
    return call->w.data || call->class_weight || call->some_ignored;
}

/* Whether each row's logarithm is wanted by itself. Rows that are ignored have a loss of 0 to begin with. */
static inline int fl_apart(const fl_call *call)
{
    return call->w.data || call->class_weight || call->l;
}

/* The rows from `start` on, at most `rows`, that lie in one inner part of all arrays. */
static inline int fl_rows_within(const fl_call *call, ptrdiff_t start, int rows)
{
    const fl_rows *const arrays[] = {&call->z, &call->g, &call->h, &call->q};
    for (int i = 0; i < 4; i++)
        if (arrays[i]->data) {
            const ptrdiff_t left = arrays[i]->inner - start % arrays[i]->inner;
            rows = left < rows ? (int)left : rows;
        }
    return rows;
}

/* work.c: cuts `rows` into pieces by shape alone, runs them on at most `threads` threads and adds up in order, so the
 * result has the same bits for any number of threads. `outside` may be NULL. On a target out of range *bad is its
 * index, else -1. */
double fl_run(const fl_call *call, fl_kernel kernel, fl_check outside, ptrdiff_t rows, int threads, ptrdiff_t *bad);

/* Rows of many classes whose elements are not adjacent are copied together, so many at a time that with their Hessian
 * they take less than a megabyte of the second cache level, and at least one. */
static inline int fl_rows_together(const fl_call *call, size_t size)
{
    const size_t row = (size_t)call->classes * size, most = (size_t)(call->h.data ? 448 : 896) << 10;
    int rows = 64;
    while (rows > 1 && (size_t)rows * row > most)
        rows /= 2;
    return rows;
}

/* Rows of which a lane of a register holds one whole: those of few classes, and those whose classes each are adjacent, as
 * long as a tile of them, FL_TILE_BYTES for each class, leaves room in the second cache level. */
#define FL_TILE_BYTES 256
static inline int fl_in_lanes(const fl_call *call)
{
    const ptrdiff_t most = (call->h.data ? 448 : 896) * 1024 / FL_TILE_BYTES;
    const int adjacent = call->z.row == 1 && call->z.step != 1 && (!call->g.data || call->g.row == 1) &&
                         (!call->h.data || call->h.row == 1);
    return call->classes <= FL_NARROW || (adjacent && call->classes <= most);
}

/* Rows of many classes of which each is adjacent, for kernels that take them in strips of up to FL_STRIP rows; such a
 * length is a page. Class indices are exact as a float32. */
#define FL_STRIP 1024
#define FL_STRIP_BYTES (FL_STRIP * 18 * 8 + 128)
static inline int fl_in_strips(const fl_call *call)
{
    return call->classes > FL_NARROW && call->classes <= 1 << 24 && call->z.row == 1 && call->z.step != 1 &&
           (!call->g.data || call->g.row == 1) && (!call->h.data || call->h.row == 1);
}

/* work.c: what scratch_bytes must be for scores of `size` bytes; mostly 0 */
size_t fl_scratch_bytes(const fl_call *call, size_t size);

/* Numbers of 16 bits are widened in bands that the first cache level holds. Rows that lie side by side are turned, as
 * many as copied rows are. */
#define FL_WIDE_BAND 4096
#define FL_WIDE_NARROW_BAND 2048
static inline ptrdiff_t fl_half_rows(const fl_call *call)
{
    if (call->classes > FL_NARROW && call->z.row == 1 && call->z.step != 1)
        return fl_rows_together(call, sizeof(float));
    const ptrdiff_t rows = (call->classes > FL_NARROW ? FL_WIDE_BAND : FL_WIDE_NARROW_BAND) / call->classes;
    return rows >= FL_ROWS ? rows / FL_ROWS * FL_ROWS : rows >= 16 ? rows / 16 * 16 : rows > 1 ? rows : 1;
}

/* Targets of 16 bits are widened with the scores; those of other types a kernel converts by itself. */
static inline int fl_narrow_targets(const fl_call *call)
{
    return call->t_kind == FL_F16 || call->t_kind == FL_BF16;
}

/* In a band of few classes the numbers of each class are adjacent where they are in the array. */
static inline int fl_in_turn(const fl_call *call, const fl_rows *rows)
{
    return call->classes <= FL_NARROW && rows->row == 1 && rows->step != 1;
}

/* whether derivatives are written where they lie: float32, adjacent or of few classes, and all beside such scores */
static inline int fl_written_directly(const fl_call *call, const fl_rows *rows)
{
    return call->z.kind == FL_F32 || (rows->kind == FL_F32 && (rows->step == 1 || call->classes <= FL_NARROW));
}

/* Rows of which scratch memory should not hold one are widened there. */
static inline int fl_widened_onto_g(const fl_call *call)
{
    return call->classes > 65536 && call->z.kind != FL_F32 && call->g.data && call->g.kind == FL_F32 &&
           call->g.step == 1;
}

/* work.c: what scratch_bytes must be where a kind is FL_F16 or FL_BF16 */
size_t fl_half_scratch_bytes(const fl_call *call);

/* threads.c: task(context, i, thread) for every i in [0, count), on at most `threads` threads, this one included; they
 * are numbered from 0. Nested and concurrent callers run serially. */
typedef void fl_task(void *context, ptrdiff_t i, int thread);
void fl_parallel(int threads, ptrdiff_t count, fl_task *task, void *context);

#endif
