/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Class indices and sample weights of any type and stride, read where they lie. */
#ifndef FASTLOSS_SAMPLES_H
#define FASTLOSS_SAMPLES_H

#include "fastloss.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

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

/* bytes of a number of each kind */
static const ptrdiff_t fl_size_of[] = {1, 1, 2, 2, 4, 4, 8, 8, 2, 2, 4, 8};

/* a number of 16 bits, finite */
static inline double fl_half_at(const void *p, int kind)
{
    const uint32_t bits = *(const uint16_t *)p, upper = bits << 16, digits = bits & 0x3ffu,
                   exponent = bits >> 10 & 0x1fu;
    float wide;
    memcpy(&wide, &upper, sizeof wide);
    if (kind == FL_BF16)
        return (double)wide;
    const uint64_t normal = (uint64_t)(exponent + 1008) << 52 | (uint64_t)digits << 42;
    double size;
    memcpy(&size, &normal, sizeof size);
    size = exponent == 31 ? NAN : exponent ? size : (double)digits * 0x1p-24; /* no weight is infinite */
    return bits >> 15 ? -size : size;
}

static inline double fl_number_at(const void *p, int kind, ptrdiff_t i)
{
    if (kind == FL_F64)
        return ((const double *)p)[i];
    return kind == FL_F32 ? (double)((const float *)p)[i] : fl_half_at((const uint16_t *)p + i, kind);
}

/* where a row starts, whatever its kind */
static inline char *fl_row_of(const fl_rows *rows, ptrdiff_t i)
{
    const ptrdiff_t size = rows->kind == FL_F64 ? 8 : rows->kind == FL_F32 ? 4 : 2;
    const ptrdiff_t outer = i < rows->inner ? 0 : i / rows->inner;
    return (char *)rows->data + (outer * rows->outer + (i - outer * rows->inner) * rows->row) * size;
}

static inline double fl_weight_at(const fl_samples *w, ptrdiff_t i)
{
    if (!w->data)
        return 1;
    const char *p = fl_sample(w, i);
    return fl_number_at(p, w->kind, 0);
}

#endif
