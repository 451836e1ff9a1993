/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows of few classes do not fill registers: there a lane is a row; so it is where the numbers of one class are
 * adjacent, as in Fortran order or with the classes first. A tile holds `side` vectors of rows side by side, with all
 * their classes: class c of vector v is at tile + (c * side + v) * LANES. What happens to a row happens in its lane
 * alone. Vectors side by side do not wait for each other; `side` is BUNDLE, or 1 for the last rows, and always known to
 * the compiler.
 */
#define BUNDLE FL_(bundle)
enum { FL_(bundle) = FL_VECTOR_BYTES == 64 ? 4 : 2 };

/* Adjacent rows of many classes: each class is in a page of its own, where no hardware prefetcher finds it. A tile ahead
 * is fetched only as long as it stays in the second cache level beside this one, which is shorter where the classes, a
 * multiple of a page apart, share a few sets. Where that takes more than a few classes they are fetched as they are
 * moved too, a few ahead. All limits are measured. */
#define FL_CLASSES_AHEAD 8

static FL_INLINE int FL_(shares_sets)(ptrdiff_t step)
{
    return step % (ptrdiff_t)(4096 / sizeof(real)) == 0;
}

static FL_INLINE int FL_(stays_when_fetched)(ptrdiff_t step, ptrdiff_t classes)
{
    return classes <= (FL_(shares_sets)(step) ? 256 : 2048);
}

static FL_INLINE int FL_(fetched_when_moved)(ptrdiff_t step, ptrdiff_t classes)
{
    return classes > (FL_(shares_sets)(step) ? 256 : 512);
}

/* Sums over classes restart as often, and so do the sums of parts, every FL_NARROW classes: no sum has more than
 * FL_PART + FL_NARROW / FL_PART roundings, which may all go one way when small terms follow a large one. */
#define FL_PART 8

/* What is set aside of one sum for each lane, and what adding it up has lost. */
typedef struct {
    vec sum[FL_(bundle)], lost[FL_(bundle)];
} FL_(set_aside);

static FL_INLINE FL_(set_aside) FL_(nothing_aside)(void)
{
    FL_(set_aside) s;
    for (int v = 0; v < BUNDLE; v++)
        s.sum[v] = s.lost[v] = FL_(splat)(0);
    return s;
}

/* the sums up to class `end` of `classes` are put aside where it is time to (Knuth's TwoSum) */
static FL_INLINE void FL_(restart)(FL_(set_aside) *s, vec *sums, const int side, ptrdiff_t end, ptrdiff_t classes)
{
    if (classes <= FL_NARROW || (end % FL_NARROW != 0 && end < classes))
        return;
    for (int v = 0; v < side; v++) {
        const vec sum = s->sum[v] + sums[v], back = sum - s->sum[v];
        const vec lost = (s->sum[v] - (sum - back)) + (sums[v] - back);
        s->lost[v] += FL_(select_eq)(lost, lost, lost, FL_(splat)(0)); /* NaN beside an infinite sum */
        s->sum[v] = sum;
        sums[v] = end < classes ? FL_(splat)(0) : sum + s->lost[v];
    }
}

/* dst[j * to + i] = src[i * from + j] for i < LANES and j < n. Of source rows `rows` are there, the others count as 0.
 * With `padded` whole squares are written, else `n` rows of `width`. */
static FL_INLINE void FL_(turn)(const real *src, ptrdiff_t from, int rows, ptrdiff_t n, real *dst, ptrdiff_t to,
                                ptrdiff_t width, const int padded)
{
    for (ptrdiff_t j = 0; j < n; j += LANES) {
        const ptrdiff_t left = n - j;
        vec t[FL_(lanes)];
        if (left >= LANES) {
            for (int i = 0; i < LANES; i++)
                t[i] = i < rows ? FL_(load)(src + i * from + j) : FL_(splat)(0);
        } else {
            for (int i = 0; i < LANES; i++)
                t[i] = i < rows ? FL_(load_part)(src + i * from + j, left, 0) : FL_(splat)(0);
        }
        FL_(transpose)(t);
        for (int k = 0; k < LANES; k++) {
            real *const at = dst + (j + k) * to;
            if (padded || (k < left && width >= LANES))
                FL_(store)(at, t[k]);
            else if (k < left)
                FL_(store_part)(at, width, t[k]);
        }
    }
}

/* LANES rows of at least four classes; the last four may overlap others, so that nothing beyond the rows is touched */
#if FL_FOURS
static FL_INLINE void FL_(load_by_fours)(const real *z, ptrdiff_t row, ptrdiff_t classes, real *tile, ptrdiff_t pitch)
{
    for (ptrdiff_t next = 0; next < classes; next += 4) {
        const ptrdiff_t c = next + 4 <= classes ? next : classes - 4;
        vec t[4];
        for (int i = 0; i < 4; i++)
            t[i] = FL_(load_fours)(z + i * row + c, row);
        FL_(turn_fours)(t);
        for (int i = 0; i < 4; i++)
            FL_(store)(tile + (c + i) * pitch, t[i]);
    }
}

static FL_INLINE void FL_(store_by_fours)(const real *tile, ptrdiff_t pitch, ptrdiff_t classes, real *g, ptrdiff_t row)
{
    for (ptrdiff_t next = 0; next < classes; next += 4) {
        const ptrdiff_t c = next + 4 <= classes ? next : classes - 4;
        vec t[4];
        for (int i = 0; i < 4; i++)
            t[i] = FL_(load)(tile + (c + i) * pitch);
        FL_(turn_fours)(t);
        for (int i = 0; i < 4; i++)
            FL_(store_fours)(g + i * row + c, row, t[i]);
    }
}
#endif

/* Whole vectors of adjacent rows of 2, 3 or 4 classes, which the compiler must know: it copies an unknown number of
 * vectors by an instruction that takes longer to start than all of them. */
static FL_INLINE void FL_(load_few)(const real *z, const int classes, const int side, real *tile)
{
    for (int v = 0; v < side; v++) {
        vec t[4];
        for (int k = 0; k < classes; k++)
            t[k] = FL_(load)(z + (v * classes + k) * LANES);
        FL_(unzip)(t, classes);
        for (int k = 0; k < classes; k++)
            FL_(store)(tile + (k * side + v) * LANES, t[k]);
    }
}

static FL_INLINE void FL_(store_few)(const real *tile, const int classes, const int side, real *g)
{
    for (int v = 0; v < side; v++) {
        vec t[4];
        for (int k = 0; k < classes; k++)
            t[k] = FL_(load)(tile + (k * side + v) * LANES);
        FL_(zip)(t, classes);
        for (int k = 0; k < classes; k++)
            FL_(store)(g + (v * classes + k) * LANES, t[k]);
    }
}

/* The scores of `rows` rows; lanes past them hold 0. All kernels share two of these, for they are long. */
static FL_INLINE void FL_(load_tile_of)(const real *z, ptrdiff_t row, ptrdiff_t step, int rows, ptrdiff_t classes,
                                        const int side, real *tile)
{
    if (step == 1 && row == classes && classes >= 2 && classes <= 4 && rows == side * LANES) {
        if (classes == 2)
            FL_(load_few)(z, 2, side, tile);
        else if (classes == 3)
            FL_(load_few)(z, 3, side, tile);
        else
            FL_(load_few)(z, 4, side, tile);
#if FL_FOURS
    } else if (step == 1 && rows == side * LANES && classes >= 4) {
        for (int v = 0; v < side; v++)
            FL_(load_by_fours)(z + v * LANES * row, row, classes, tile + v * LANES, side * LANES);
#endif
    } else if (step == 1 && rows == side * LANES) {
        for (int v = 0; v < side; v++)
            FL_(turn)(z + v * LANES * row, row, LANES, classes, tile + v * LANES, side * LANES, LANES, 1);
    } else if (step == 1) {
        for (int v = 0; v < side; v++)
            FL_(turn)(z + v * LANES * row, row, rows - v * LANES, classes, tile + v * LANES, side * LANES, LANES, 1);
    } else if (row == 1 && rows == side * LANES) {
        const int near = FL_(fetched_when_moved)(step, classes);
        for (ptrdiff_t c = 0; c < classes; c++)
            for (int v = 0; v < side; v++) {
                if (near)
                    FL_PREFETCH_FAR(z + (c + FL_CLASSES_AHEAD) * step + v * LANES);
                FL_(store)(tile + (c * side + v) * LANES, FL_(load)(z + c * step + v * LANES));
            }
    } else {
        for (ptrdiff_t c = 0; c < classes; c++)
            for (int r = 0; r < side * LANES; r++)
                tile[c * side * LANES + r] = r < rows ? z[r * row + c * step] : 0;
    }
}

static FL_INLINE void FL_(store_tile_of)(const real *tile, ptrdiff_t row, ptrdiff_t step, int rows, ptrdiff_t classes,
                                         const int side, real *g)
{
    if (step == 1 && row == classes && classes >= 2 && classes <= 4 && rows == side * LANES) {
        if (classes == 2)
            FL_(store_few)(tile, 2, side, g);
        else if (classes == 3)
            FL_(store_few)(tile, 3, side, g);
        else
            FL_(store_few)(tile, 4, side, g);
#if FL_FOURS
    } else if (step == 1 && rows == side * LANES && classes >= 4) {
        for (int v = 0; v < side; v++)
            FL_(store_by_fours)(tile + v * LANES, side * LANES, classes, g + v * LANES * row, row);
#endif
    } else if (step == 1) {
        for (int v = 0; v < side; v++)
            for (ptrdiff_t c = 0; c < classes; c += LANES) {
                const ptrdiff_t width = classes - c < LANES ? classes - c : LANES;
                const real *const from = tile + (c * side + v) * LANES;
                real *const to = g + v * LANES * row + c;
                if (rows - v * LANES >= LANES)
                    FL_(turn)(from, side * LANES, LANES, LANES, to, row, width, 0);
                else
                    FL_(turn)(from, side * LANES, LANES, rows - v * LANES, to, row, width, 0);
            }
    } else if (row == 1 && rows == side * LANES) {
        const int near = FL_(fetched_when_moved)(step, classes);
        for (ptrdiff_t c = 0; c < classes; c++)
            for (int v = 0; v < side; v++) {
                if (near)
                    FL_PREFETCH_WRITE(g + (c + FL_CLASSES_AHEAD) * step + v * LANES);
                FL_(store)(g + c * step + v * LANES, FL_(load)(tile + (c * side + v) * LANES));
            }
    } else {
        for (ptrdiff_t c = 0; c < classes; c++)
            for (int r = 0; r < rows; r++)
                g[r * row + c * step] = tile[c * side * LANES + r];
    }
}

static void FL_(load_bundle)(const real *z, ptrdiff_t row, ptrdiff_t step, int rows, ptrdiff_t classes, real *tile)
{
    FL_(load_tile_of)(z, row, step, rows, classes, FL_(bundle), tile);
}

static void FL_(load_single)(const real *z, ptrdiff_t row, ptrdiff_t step, int rows, ptrdiff_t classes, real *tile)
{
    FL_(load_tile_of)(z, row, step, rows, classes, 1, tile);
}

static void FL_(store_bundle)(const real *tile, ptrdiff_t row, ptrdiff_t step, int rows, ptrdiff_t classes, real *g)
{
    FL_(store_tile_of)(tile, row, step, rows, classes, FL_(bundle), g);
}

static void FL_(store_single)(const real *tile, ptrdiff_t row, ptrdiff_t step, int rows, ptrdiff_t classes, real *g)
{
    FL_(store_tile_of)(tile, row, step, rows, classes, 1, g);
}

static FL_INLINE void FL_(load_tile)(const real *z, ptrdiff_t row, ptrdiff_t step, int rows, ptrdiff_t classes,
                                     const int side, real *tile)
{
    (side == 1 ? FL_(load_single) : FL_(load_bundle))(z, row, step, rows, classes, tile);
}

static FL_INLINE void FL_(store_tile)(const real *tile, ptrdiff_t row, ptrdiff_t step, int rows, ptrdiff_t classes,
                                      const int side, real *g)
{
    (side == 1 ? FL_(store_single) : FL_(store_bundle))(tile, row, step, rows, classes, g);
}

/* one number per row, in double */
static FL_INLINE void FL_(widen)(const vec *v, const int side, double *into)
{
    real lane[FL_(bundle) *FL_(lanes)];
    for (int i = 0; i < side; i++)
        FL_(store)(lane + i * LANES, v[i]);
    for (int i = 0; i < side * LANES; i++)
        into[i] = (double)lane[i];
}

/* `value` in the lanes where `where` is 0 */
static FL_INLINE void FL_(overwrite_lanes)(real *restrict tile, ptrdiff_t classes, const int side, const vec *where,
                                           real value)
{
    for (ptrdiff_t c = 0; c < classes; c++)
        for (int v = 0; v < side; v++) {
            real *const at = tile + (c * side + v) * LANES;
            FL_(store)(at, FL_(select_eq)(where[v], FL_(splat)(0), FL_(splat)(value), FL_(load)(at)));
        }
}

/* Classes that lie a few numbers apart. Their lines are fetched ahead, as those of adjacent ones are. What lies between
 * may be read, but not written. */
static void FL_(gather_classes)(const real *z, ptrdiff_t step, ptrdiff_t classes, real *near)
{
    ptrdiff_t c = 0;
    if (step >= 2 && step <= 4)
        for (; c + LANES < classes; c += LANES) {
            for (ptrdiff_t i = 0; i < LANES * step; i += (ptrdiff_t)(64 / sizeof(real)))
                FL_PREFETCH(z + c * step + FL_AHEAD + i);
            FL_(store)(near + c, FL_(load_apart)(z + c * step, step));
        }
    for (; c < classes; c++)
        near[c] = z[c * step];
}

static void FL_(scatter_classes)(const real *near, ptrdiff_t step, ptrdiff_t classes, real *g)
{
    ptrdiff_t c = 0;
    if (step >= 2 && step <= 4)
        for (; c + LANES < classes; c += LANES) {
            for (ptrdiff_t i = 0; i < LANES * step; i += (ptrdiff_t)(64 / sizeof(real)))
                FL_PREFETCH_WRITE(g + c * step + FL_AHEAD + i);
            FL_(store_apart)(g + c * step, step, FL_(load)(near + c));
        }
    for (; c < classes; c++)
        g[c * step] = near[c];
}

/* Rows of many classes that are not adjacent numbers are copied to where they are, and back: a square's classes of all
 * rows before the next, whose lines, one in every page, no hardware prefetcher finds. */
static void FL_(gather_rows)(const real *z, ptrdiff_t row, ptrdiff_t step, int rows, ptrdiff_t classes, real *near)
{
    if (row == 1) {
        for (ptrdiff_t c = 0; c < classes; c += LANES) {
            const int n = (int)(classes - c < LANES ? classes - c : LANES);
            for (int i = 0; i < LANES && c + LANES + i < classes; i++)
                for (int r = 0; r < rows; r += (int)(64 / sizeof(real)))
                    FL_PREFETCH_FAR(z + (c + LANES + i) * step + r);
            FL_(turn)(z + c * step, step, n, rows, near + c, classes, n, 0);
        }
        return;
    }
    for (int r = 0; r < rows; r++)
        FL_(gather_classes)(z + r * row, step, classes, near + r * classes);
}

static void FL_(scatter_rows)(const real *near, ptrdiff_t row, ptrdiff_t step, int rows, ptrdiff_t classes, real *g)
{
    if (row == 1) {
        for (ptrdiff_t c = 0; c < classes; c += LANES) {
            const ptrdiff_t width = classes - c < LANES ? classes - c : LANES;
            for (int i = 0; i < LANES && c + LANES + i < classes; i++)
                for (int r = 0; r < rows; r += (int)(64 / sizeof(real)))
                    FL_PREFETCH_WRITE(g + (c + LANES + i) * step + r);
            for (int r = 0; r < rows; r += LANES) {
                const int n = rows - r < LANES ? rows - r : LANES;
                FL_(turn)(near + r * classes + c, classes, n, width, g + c * step + r, step, n, 0);
            }
        }
        return;
    }
    for (int r = 0; r < rows; r++)
        FL_(scatter_classes)(near + r * classes, step, classes, g + r * row);
}
