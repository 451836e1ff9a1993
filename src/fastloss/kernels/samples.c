/* SPDX-License-Identifier: BSD-3-Clause */
#include "samples.h"

ptrdiff_t fl_first_bad_label(const fl_samples *y, ptrdiff_t count, ptrdiff_t classes)
{
    const uint64_t end = (uint64_t)classes;
    ptrdiff_t i = 0;
    if (y->kind == FL_I64 && y->stride == 8 && y->repeat == 1) {
        /* the common type: many at a time without a branch inside, so that the compiler can take several at once */
        const int64_t *p = (const int64_t *)y->data;
        for (; i < count; i += 256) {
            const ptrdiff_t n = count - i < 256 ? count - i : 256;
            uint64_t bad = 0;
            for (ptrdiff_t k = 0; k < n; k++)
                bad |= (uint64_t)p[i + k] | (end - 1 - (uint64_t)p[i + k]);
            if (bad >> 63)
                break;
        }
    }
    for (; i < count; i++)
        if ((uint64_t)fl_index_at(y, i) >= end)
            return i;
    return -1;
}

double fl_sum_weights(const fl_samples *w, ptrdiff_t count)
{
    fl_sum total = {0, 0};
    if (w->repeat == 0)
        return 0;
    for (ptrdiff_t i = 0; i < count; i += w->repeat)
        fl_add(&total, fl_weight_at(w, i));
    return fl_total(&total) * (double)w->repeat;
}
