/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Passes over a block: at most FL_BLOCK numbers of one row, which stay in the first cache level between passes. A
 * block of results ("scratch") is padded to SUM_LANES, so that sums have no tail.
 */
#define FL_BLOCK 1024 /* a multiple of SUM_LANES */

/* Hardware prefetchers stop at the end of a page, and do not know that a line is going to be written, which has to be
 * its owner's first; this distance reaches over the page and into the next row. */
#define FL_AHEAD 1024

/* the lines of n numbers, FL_AHEAD further on, of an array that is read and one that is written; either may be NULL */
static FL_INLINE void FL_(fetch_ahead)(const real *read, const real *written, const ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i += (ptrdiff_t)(64 / sizeof(real))) {
        if (read)
            FL_PREFETCH(read + FL_AHEAD + i);
        if (written)
            FL_PREFETCH_WRITE(written + FL_AHEAD + i);
    }
}

static inline ptrdiff_t FL_(padded)(ptrdiff_t n)
{
    return (n + SUM_LANES - 1) / SUM_LANES * SUM_LANES;
}

/* the largest of n > 0 numbers; NaN may or may not be passed over */
static inline real FL_(block_max)(const real *z, ptrdiff_t n)
{
    vec m[4];
    ptrdiff_t j = 0;
    for (int r = 0; r < 4; r++)
        m[r] = FL_(splat)(-(real)INFINITY);
    for (; j + 4 * LANES <= n; j += 4 * LANES)
        for (int r = 0; r < 4; r++)
            m[r] = FL_(max)(m[r], FL_(load)(z + j + r * LANES));
    for (; j + LANES <= n; j += LANES)
        m[0] = FL_(max)(m[0], FL_(load)(z + j));
    if (j < n)
        m[1] = FL_(max)(m[1], FL_(load_part)(z + j, n - j, -(real)INFINITY));
    return FL_(largest_lane)(FL_(max)(FL_(max)(m[0], m[1]), FL_(max)(m[2], m[3])));
}

/* the sum of a padded block */
static inline double FL_(block_sum)(const real *e, ptrdiff_t padded)
{
    vec partial[FL_(sum_registers)];
    for (int r = 0; r < FL_(sum_registers); r++)
        partial[r] = FL_(load)(e + r * LANES);
    for (ptrdiff_t j = SUM_LANES; j < padded; j += SUM_LANES)
        for (int r = 0; r < FL_(sum_registers); r++)
            partial[r] += FL_(load)(e + j + r * LANES);
    return FL_(add_lanes)(partial);
}

/* Differences are added up as this part of themselves, so that the sum of a block is in range if they are. */
#define FL_SHARE ((real)0x1p-12)

/* the sum of base - z_j over a block; 0 for what equals it, be it infinite */
static inline double FL_(block_spread)(const real *z, ptrdiff_t n, real base)
{
    const vec zero = FL_(splat)(0), from = FL_(splat)(base), share = FL_(splat)(FL_SHARE), shared = from * share;
    vec partial[FL_(sum_registers)];
    ptrdiff_t j = 0;
    for (int r = 0; r < FL_(sum_registers); r++)
        partial[r] = FL_(splat)(0);
    for (; j + SUM_LANES <= n; j += SUM_LANES)
        for (int r = 0; r < FL_(sum_registers); r++) {
            const vec x = FL_(load)(z + j + r * LANES);
            partial[r] += FL_(select_eq)(x, from, zero, FL_(fnma)(x, share, shared));
        }
    for (int r = 0; j < n; j += LANES, r++) {
        const vec x = n - j >= LANES ? FL_(load)(z + j) : FL_(load_part)(z + j, n - j, base);
        partial[r] += FL_(select_eq)(x, from, zero, FL_(fnma)(x, share, shared));
    }
    return FL_(add_lanes)(partial) / FL_SHARE;
}

/* the sum of those below `top` in a padded block, and how many equal it */
static inline double FL_(block_sum_below)(const real *e, ptrdiff_t padded, real top, ptrdiff_t *equal)
{
    const vec zero = FL_(splat)(0), one = FL_(splat)(1), largest = FL_(splat)(top);
    vec partial[FL_(sum_registers)], count = zero;
    for (int r = 0; r < FL_(sum_registers); r++)
        partial[r] = zero;
    for (ptrdiff_t j = 0; j < padded; j += SUM_LANES)
        for (int r = 0; r < FL_(sum_registers); r++) {
            const vec x = FL_(load)(e + j + r * LANES);
            partial[r] += FL_(select_eq)(x, largest, zero, x);
            count += FL_(select_eq)(x, largest, one, zero);
        }
    real lane[FL_(lanes)];
    FL_(store)(lane, count);
    *equal = 0;
    for (int i = 0; i < LANES; i++)
        *equal += (ptrdiff_t)lane[i];
    return FL_(add_lanes)(partial);
}

/* the sum of any n numbers */
static inline double FL_(sum)(const real *x, ptrdiff_t n)
{
    double total = 0;
    for (; n >= SUM_LANES; n -= SUM_LANES, x += SUM_LANES)
        total += FL_(block_sum)(x, SUM_LANES);
    for (ptrdiff_t j = 0; j < n; j++)
        total += (double)x[j];
    return total;
}

/* zeros from n, a multiple of LANES, up to the padding */
static inline void FL_(pad)(real *e, ptrdiff_t n)
{
    const ptrdiff_t padded = FL_(padded)(n);
    for (; n < padded; n += LANES)
        FL_(store)(e + n, FL_(splat)(0));
}

/* g_j = factor * e_j, where g may be e */
static inline void FL_(block_scale)(const real *e, ptrdiff_t n, real factor, real *g)
{
    ptrdiff_t j = 0;
    for (; j + LANES <= n; j += LANES)
        FL_(store)(g + j, FL_(load)(e + j) * FL_(splat)(factor));
    if (j < n)
        FL_(store_part)(g + j, n - j, FL_(load_part)(e + j, n - j, 0) * FL_(splat)(factor));
}

/* g_j = factor * e_j + offset, where g may be e */
static inline void FL_(block_shift)(const real *e, ptrdiff_t n, real factor, real offset, real *g)
{
    const vec a = FL_(splat)(factor), b = FL_(splat)(offset);
    ptrdiff_t j = 0;
    for (; j + LANES <= n; j += LANES)
        FL_(store)(g + j, FL_(fma)(FL_(load)(e + j), a, b));
    if (j < n)
        FL_(store_part)(g + j, n - j, FL_(fma)(FL_(load_part)(e + j, n - j, 0), a, b));
}

static inline void FL_(block_fill)(real *g, ptrdiff_t n, real value)
{
    for (ptrdiff_t j = 0; j < n; j++)
        g[j] = value;
}

static inline void FL_(block_copy)(const real *from, ptrdiff_t n, real *to)
{
    ptrdiff_t j = 0;
    for (; j + LANES <= n; j += LANES)
        FL_(store)(to + j, FL_(load)(from + j));
    if (j < n)
        FL_(store_part)(to + j, n - j, FL_(load_part)(from + j, n - j, 0));
}
