/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Softmax cross-entropy with smoothing, a focal power, z-loss or a temperature; softmax_options.inc.h has the formulas. The
 * plain loss, a kernel of its own, would be a third slower for few classes if it asked for them.
 */
static FL_NOINLINE fl_log_form FL_(optional_softmax_cross_entropy_row)(const fl_call *call, const real *z, ptrdiff_t y,
                                                                       real c, real *g, real *h)
{
    return FL_(cross_entropy_row)(call, z, y, c, g, h, 1);
}

static FL_INLINE void FL_(optional_softmax_cross_entropy_band)(const fl_call *call, FL_(band) *band, const ptrdiff_t *k,
                                                               const real *c, double *inside, double *plus)
{
    FL_(cross_entropy_band)(call, band, k, c, FL_(optional_softmax_cross_entropy_row), inside, plus, 1);
}

static FL_INLINE void FL_(optional_softmax_cross_entropy_tile)(const fl_call *call, real *restrict tile,
                                                               real *restrict curvature, const FL_(lane_targets) *of,
                                                               const int side, double *inside, double *plus)
{
    FL_(cross_entropy_tile)(call, tile, curvature, of, side, inside, plus, 1);
}
