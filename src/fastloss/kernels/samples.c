/* SPDX-License-Identifier: BSD-3-Clause */
#include "samples.h"

double fl_sum_weights(const fl_samples *w, ptrdiff_t count)
{
    fl_sum total = {0, 0};
    if (w->repeat == 0)
        return 0;
    for (ptrdiff_t i = 0; i < count; i += w->repeat)
        fl_add(&total, fl_weight_at(w, i));
    return fl_total(&total) * (double)w->repeat;
}

ptrdiff_t fl_count_weights(const fl_samples *w, ptrdiff_t count)
{
    ptrdiff_t total = 0;
    if (w->repeat == 0)
        return 0;
    for (ptrdiff_t i = 0; i < count; i += w->repeat)
        total += fl_weight_at(w, i) != 0;
    return total * w->repeat;
}
