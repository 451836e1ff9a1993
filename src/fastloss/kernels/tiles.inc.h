/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Rows of few classes do not fill registers: there a lane is a row. A tile holds LANES rows with all their classes,
 * class by class, so that what happens to a row happens in its lane alone.
 */
#define FL_NARROW 128 /* classes up to which rows go in tiles; a tile then stays in the first cache level */

/* Sums over classes run in as many partial sums: none waits for the one before, and none has more than
 * FL_NARROW / FL_PARTS roundings, which may all go one way when small terms follow a large one. */
#define FL_PARTS 8

static inline vec FL_(add_parts)(const vec *part)
{
    return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
}

/* The scores of `rows` <= LANES rows; lanes past them hold 0. Whole squares are read and written in the tile, which is
 * as long as that needs: loops of a known length stay in registers. */
static FL_INLINE void FL_(load_tile)(const real *z, ptrdiff_t stride, int rows, ptrdiff_t classes, real *tile)
{
#if FL_VECTOR_BYTES == 64
    if (classes <= 4 && rows == LANES && stride == classes) {
        FL_(load_quads)(z, classes, tile);
        return;
    }
#endif
    for (ptrdiff_t c = 0; c < classes; c += LANES) {
        const ptrdiff_t n = classes - c;
        vec t[FL_(lanes)];
        if (n >= LANES) {
            for (int r = 0; r < LANES; r++)
                t[r] = r < rows ? FL_(load)(z + r * stride + c) : FL_(splat)(0);
        } else {
            for (int r = 0; r < LANES; r++)
                t[r] = r < rows ? FL_(load_part)(z + r * stride + c, n, 0) : FL_(splat)(0);
        }
        FL_(transpose)(t);
        for (int k = 0; k < LANES; k++)
            FL_(store)(tile + (c + k) * LANES, t[k]);
    }
}

static FL_INLINE void FL_(store_tile)(const real *tile, ptrdiff_t stride, int rows, ptrdiff_t classes, real *g)
{
#if FL_VECTOR_BYTES == 64
    if (classes <= 4 && rows == LANES && stride == classes) {
        FL_(store_quads)(tile, classes, g);
        return;
    }
#endif
    for (ptrdiff_t c = 0; c < classes; c += LANES) {
        const ptrdiff_t n = classes - c;
        vec t[FL_(lanes)];
        for (int k = 0; k < LANES; k++)
            t[k] = FL_(load)(tile + (c + k) * LANES);
        FL_(transpose)(t);
        if (n >= LANES) {
            for (int r = 0; r < LANES; r++)
                if (r < rows)
                    FL_(store)(g + r * stride + c, t[r]);
        } else {
            for (int r = 0; r < LANES; r++)
                if (r < rows)
                    FL_(store_part)(g + r * stride + c, n, t[r]);
        }
    }
}

/* `value` in the lanes where `where` is 0 */
static FL_INLINE void FL_(overwrite_lanes)(real *tile, ptrdiff_t classes, vec where, real value)
{
    for (ptrdiff_t c = 0; c < classes; c++) {
        real *const at = tile + c * LANES;
        FL_(store)(at, FL_(select_eq)(where, FL_(splat)(0), FL_(splat)(value), FL_(load)(at)));
    }
}
