/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Class indices and sample weights of any type and stride, read where they lie. */
#ifndef FASTLOSS_SAMPLES_H
#define FASTLOSS_SAMPLES_H

#include "fastloss.h"

#include <stdint.h>

static inline const char *fl_sample(const fl_samples *s, ptrdiff_t i)
{
    return s->data + (s->repeat == 1 ? i : i / s->repeat) * s->stride;
}

static inline int64_t fl_index_at(const fl_samples *y, ptrdiff_t i)
{
    const char *p = fl_sample(y, i);
    switch (y->kind) {
    case FL_I8: return *(const int8_t *)p;
    case FL_U8: return *(const uint8_t *)p;
    case FL_I16: return *(const int16_t *)p;
    case FL_U16: return *(const uint16_t *)p;
    case FL_I32: return *(const int32_t *)p;
    case FL_U32: return *(const uint32_t *)p;
    default: return *(const int64_t *)p; /* uint64 past the int64 range comes out negative, and so out of range */
    }
}

/* indices [first, first + n) */
static inline void fl_read_indices(const fl_samples *y, ptrdiff_t first, int n, ptrdiff_t *into)
{
    if (y->kind == FL_I64 && y->stride == 8 && y->repeat == 1) {
        const int64_t *const p = (const int64_t *)y->data + first;
        for (int i = 0; i < n; i++)
            into[i] = (ptrdiff_t)p[i];
    } else {
        for (int i = 0; i < n; i++)
            into[i] = (ptrdiff_t)fl_index_at(y, first + i);
    }
}

static inline double fl_weight_at(const fl_samples *w, ptrdiff_t i)
{
    if (!w->data)
        return 1;
    const char *p = fl_sample(w, i);
    return w->kind == FL_F32 ? (double)*(const float *)p : *(const double *)p;
}

#endif
