/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows of a middling number of classes, as many as a register has lanes: a band. Lanes run along the classes, but each
 * step is done for all rows before the next, so that no row waits for its own maximum, sum or quotient; and what there
 * is one of per row, is in one register for all of them.
 */
#define FL_BANDED 512 /* classes up to which a band's exponentials stay in the first cache level */

/* One row for each lane; z[i] is where it starts, NULL for a lane without one. */
typedef struct {
    const real *z[FL_(lanes)];
    real *g[FL_(lanes)], *h[FL_(lanes)];
    ptrdiff_t next_z, next_g; /* from a row to that of the next band */
} FL_(band);

typedef fl_log_form FL_(row_loss)(const fl_call *call, const real *z, ptrdiff_t y, real c, real *g, real *h);

/* for a loss that has nothing to gain from bands */
static FL_INLINE void FL_(band_by_rows)(const fl_call *call, const FL_(band) *band, const ptrdiff_t *k, const real *c,
                                        FL_(row_loss) *row_loss, double *inside, double *plus)
{
    for (int i = 0; i < LANES; i++)
        if (band->z[i]) {
            const fl_log_form loss = row_loss(call, band->z[i], k[i], c[i], band->g[i], band->h[i]);
            inside[i] = loss.inside;
            plus[i] = loss.plus;
        }
}

/* sum_j e_j of each row, in the order of SUM_LANES partial sums that are halved; rows are `pitch` apart, and zeros up to it */
static FL_INLINE vec FL_(band_sum)(const real *e, ptrdiff_t pitch)
{
    vec t[FL_(lanes)];
    for (int i = 0; i < LANES; i++, e += pitch) {
        vec partial[FL_(sum_registers)];
        for (int r = 0; r < FL_(sum_registers); r++)
            partial[r] = FL_(splat)(0);
        ptrdiff_t j = 0;
        for (; j + SUM_LANES <= pitch; j += SUM_LANES)
            for (int r = 0; r < FL_(sum_registers); r++)
                partial[r] += FL_(load)(e + j + r * LANES);
        for (int r = 0; r < FL_(sum_registers); r++)
            if (j + r * LANES < pitch)
                partial[r] += FL_(load)(e + j + r * LANES);
        for (int half = FL_(sum_registers) / 2; half > 0; half /= 2)
            for (int r = 0; r < half; r++)
                partial[r] += partial[r + half];
        t[i] = partial[0];
    }
    FL_(transpose)(t);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            t[i] += t[i + half];
    return t[0];
}

/* e <- exp(z - offset) for each row, at a distance of `pitch`; returns that. Lanes without a row hold 0. Scores that are
 * `relative` are taken from the base and stretched. */
static FL_INLINE ptrdiff_t FL_(band_exponentials)(const FL_(band) *band, ptrdiff_t classes,
                                                  const FL_(tile_origin) *from, real *e, const int relative,
                                                  real stretch)
{
    const ptrdiff_t pitch = (classes + LANES - 1) / LANES * LANES;
    const vec stretched = FL_(splat)(stretch);
    real rounder[FL_(lanes)], lowest[FL_(lanes)], bases[FL_(lanes)];
    FL_(store)(bases, from->base);
    FL_(store)(rounder, from->shift.rounder);
    FL_(store)(lowest, from->shift.lowest);
    for (int i = 0; i < LANES; i++, e += pitch) {
        const real *const z = band->z[i], *const g = band->g[i] ? band->g[i] : z;
        const FL_(shift) shift = {.rounder = FL_(splat)(rounder[i]), .lowest = FL_(splat)(lowest[i])};
        if (!z) {
            for (ptrdiff_t j = 0; j < pitch; j += LANES)
                FL_(store)(e + j, FL_(splat)(0));
            continue;
        }
        const vec base = FL_(splat)(bases[i]);
        ptrdiff_t j = 0;
        for (; j + LANES <= classes; j += LANES) {
            FL_PREFETCH(z + band->next_z + j);
            FL_PREFETCH_WRITE(g + band->next_g + j);
            const vec x = FL_(load)(z + j);
            FL_(store)(e + j, FL_(exp_shifted)(relative ? FL_(relative)(x, base, stretched) : x, shift));
        }
        if (j < classes) {
            const vec x = FL_(load_part)(z + j, classes - j, -(real)INFINITY);
            FL_(store)(e + j, FL_(exp_shifted)(relative ? FL_(relative)(x, base, stretched) : x, shift));
        }
    }
    return pitch;
}
