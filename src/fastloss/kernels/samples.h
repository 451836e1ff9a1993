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

/* uint64 past the int64 range comes out negative, and so out of range */
#define FL_INDEX_TYPES(TYPE)                                                                                           \
    TYPE(FL_I8, int8_t)                                                                                                \
    TYPE(FL_U8, uint8_t)                                                                                               \
    TYPE(FL_I16, int16_t)                                                                                              \
    TYPE(FL_U16, uint16_t)                                                                                             \
    TYPE(FL_I32, int32_t)                                                                                              \
    TYPE(FL_U32, uint32_t)                                                                                             \
    TYPE(FL_I64, int64_t)                                                                                              \
    TYPE(FL_U64, uint64_t)

static inline int64_t fl_index_at(const fl_samples *y, ptrdiff_t i)
{
    const char *p = fl_sample(y, i);
    switch (y->kind) {
#define FL_AT(kind, type)                                                                                              \
    case kind: return (int64_t)*(const type *)p;
        FL_INDEX_TYPES(FL_AT)
#undef FL_AT
    default: return -1;
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
