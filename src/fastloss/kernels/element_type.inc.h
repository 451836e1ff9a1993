/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Everything of one element type, in the order in which it builds on itself. */
#include "vec.inc.h"
#include "lanes.inc.h"
#include "math.inc.h"
#if FL_BITS == 64
#include "log_form.h"
#endif
#include "blocks.inc.h"
#include "tiles.inc.h"
#include "exponentials.inc.h"
#include "bands.inc.h"
#include "rows.inc.h"
#include "elements.inc.h"
#include "softmax_options.inc.h"
#include "strips.inc.h"
#include "distributions.inc.h"
#include "maps.inc.h"
#define FL_BODIES
#include "losses.def"
#undef FL_BODIES

#define FL_KERNEL(name, driver, ...)                                                                                   \
    static double FL_(name)(const fl_call *call, ptrdiff_t first, ptrdiff_t last)                                      \
    {                                                                                                                  \
        return driver(call, first, last, __VA_ARGS__);                                                                 \
    }
#define ROWWISE(name) FL_KERNEL(name, FL_(each_row), FL_(name##_row), FL_(name##_band), FL_(name##_tile))
#define DISTRIBUTION(name) FL_KERNEL(name, FL_(each_distribution), FL_(name##_options)(call))
/* rowwise, with a way of its own for what lies in strips */
#define STRIPWISE(name)                                                                                                \
    static double FL_(name)(const fl_call *call, ptrdiff_t first, ptrdiff_t last)                                      \
    {                                                                                                                  \
        if (fl_in_strips(call))                                                                                        \
            return FL_(name##_strips)(call, first, last);                                                              \
        return FL_(each_row)(call, first, last, FL_(name##_row), FL_(name##_band), FL_(name##_tile));                  \
    }
#define ELEMENTWISE(name)                                                                                              \
    FL_KERNEL(name, FL_(each_element), FL_(name##_at), FL_(name##_logs), FL_(name##_busy), FL_(name##_ignores))
#define PAIRED(name)                                                                                                   \
    static FL_INLINE FL_(terms) FL_(name##_alone)(vec z, vec t, vec before, const double *option)                      \
    {                                                                                                                  \
        FL_(terms) e = FL_(name##_at)(z, t, FL_(splat)((real)option[0]), option);                                      \
        e.linear += before;                                                                                            \
        return e;                                                                                                      \
    }                                                                                                                  \
    FL_KERNEL(name, FL_(each_pair), FL_(name##_at), FL_(name##_shared) ? FL_(name##_alone) : NULL)
#define ROW_FUNCTION(name) ROWWISE(name)
#define ELEMENT_FUNCTION(name) FL_KERNEL(name, FL_(map), FL_(name##_at))
#define ACTIVATION(name) FL_KERNEL(name, FL_(activate), FL_(name##_at))
#define REGULARIZER(name) /* these drive themselves */
#define STATISTICS(name)
#define KERNEL(family, name) family(name)
#include "losses.def"
#undef FL_KERNEL
#undef ROWWISE
#undef DISTRIBUTION
#undef STRIPWISE
#undef ELEMENTWISE
#undef PAIRED
#undef ROW_FUNCTION
#undef ELEMENT_FUNCTION
#undef ACTIVATION
#undef REGULARIZER
#undef STATISTICS

#if FL_BITS == 32
#include "half.h"
#endif

#undef vec
#undef uvec
#undef LANES
#undef SUM_LANES
#undef GROUP
#undef BUNDLE
#undef FL_LN2_HIGH
#undef FL_LN2_LOW
#undef FL_LOG2_E
#undef FL_ROUNDER
#undef FL_MANTISSA
#undef FL_BIAS
#undef FL_SQRT_HALF_BITS
#undef FL_PAST_EXP
#undef FL_TWO_MANTISSA
#undef FL_LOWEST_POWER
#undef FL_FAR
