/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The driver of activations, and what they share with regularisers: functions of one number, of arrays that lie in memory
 * in one order. z holds the numbers; g, which may be z, takes the values, and h, where it is wanted, the derivatives.
 */
typedef struct {
    vec value, derivative;
} FL_(curve);

typedef FL_(curve) FL_(activation)(vec x, const double *option);

/* factor * x, but 0 if the factor is 0, even where x is infinite */
static FL_INLINE vec FL_(product)(real factor, vec x)
{
    const vec zero = FL_(splat)(0), most = FL_(splat)(factor == 0 ? -1 : (real)INFINITY);
    return FL_(splat)(factor) * FL_(select_gt)(FL_(abs)(x), most, zero, x);
}

static FL_INLINE void FL_(activate_all)(const fl_call *call, ptrdiff_t first, ptrdiff_t last,
                                        FL_(activation) *activation, const int order)
{
    const real *const x = (const real *)call->z.data;
    real *const value = (real *)call->g.data, *const derivative = order > 1 ? (real *)call->h.data : NULL;
    double option[FL_OPTIONS]; /* a copy, which no store to the outputs can change */
    memcpy(option, call->option, sizeof option);
    ptrdiff_t i = first;
    for (; i + GROUP <= last; i += GROUP) {
        FL_(fetch_ahead)(x + i, value + i, GROUP);
        if (order > 1)
            FL_(fetch_ahead)(NULL, derivative + i, GROUP);
        for (int r = 0; r < FL_(group_registers); r++) {
            const ptrdiff_t at = i + r * LANES;
            const FL_(curve) y = activation(FL_(load)(x + at), option);
            FL_(store)(value + at, y.value);
            if (order > 1)
                FL_(store)(derivative + at, y.derivative);
        }
    }
    for (; i < last; i += LANES) {
        const ptrdiff_t n = last - i < LANES ? last - i : LANES;
        real near[FL_(lanes)] = {0}, near_derivative[FL_(lanes)];
        FL_(block_copy)(x + i, n, near);
        const FL_(curve) y = activation(FL_(load)(near), option);
        FL_(store)(near, y.value);
        FL_(store)(near_derivative, y.derivative);
        FL_(block_copy)(near, n, value + i);
        if (order > 1)
            FL_(block_copy)(near_derivative, n, derivative + i);
    }
}

static FL_INLINE double FL_(activate)(const fl_call *call, ptrdiff_t first, ptrdiff_t last, FL_(activation) *activation)
{
    const unsigned mode = fl_flush_subnormals();
    if (call->h.data)
        FL_(activate_all)(call, first, last, activation, 2);
    else
        FL_(activate_all)(call, first, last, activation, 1);
    fl_restore_subnormals(mode);
    return 0;
}
