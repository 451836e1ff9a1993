/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The driver of all rowwise losses. A loss is two functions. Both yield the loss as a log_form, so that the logarithms
 * of many rows are taken together:
 *
 *   name_row   one row of many classes, lanes along the classes; writes g and h, those of c * loss, where wanted
 *   name_tile  LANES rows of few classes, a row a lane; the tile of scores becomes that of g, and `curvature`, where
 *              wanted, that of h
 */
#define FL_ROWS 64 /* rows whose losses wait for their logarithm together; a multiple of LANES */

typedef fl_log_form FL_(row_loss)(const fl_call *call, const real *z, ptrdiff_t y, real c, real *g, real *h);

/* what a tile's lanes are about: y the class index as a number, c the factor; z and k the rows and indices themselves */
typedef struct {
    vec y, c;
    const real *z;
    const ptrdiff_t *k;
    int rows;
    const real *next_z, *next_g; /* of the next tile, class by class; of this one where rows are not adjacent */
} FL_(lane_targets);

/* A tile has as many vectors as classes: with each class goes the fetching of one vector of the next tile. */
static FL_INLINE void FL_(fetch_next)(const FL_(lane_targets) *of, ptrdiff_t c)
{
    FL_PREFETCH(of->next_z + c * LANES);
    FL_PREFETCH_WRITE(of->next_g + c * LANES);
}

typedef void FL_(tile_loss)(const fl_call *call, real *tile, const FL_(lane_targets) *of, real *curvature,
                            double *inside, double *plus);

/* the targets' scores; g, which may be z, is not written yet */
static inline void FL_(target_scores)(const fl_call *call, const FL_(lane_targets) *of, real *score)
{
    for (int r = 0; r < LANES; r++)
        score[r] = r < of->rows ? of->z[r * call->z_stride + of->k[r]] : 0;
}

/* rows [first, first + rows), rows <= LANES; LANES numbers are written to inside and plus all the same */
static FL_INLINE void FL_(narrow_rows)(const fl_call *call, ptrdiff_t first, int rows, const ptrdiff_t *k,
                                       const double *weight, FL_(tile_loss) *tile_loss, double *inside, double *plus)
{
    real tile[FL_NARROW * FL_(lanes)], curvature[FL_NARROW * FL_(lanes)], y[FL_(lanes)];
    const real *const z = (const real *)call->z + first * call->z_stride;
    real *const g = call->g ? (real *)call->g + first * call->g_stride : NULL;
    real *const h = call->h ? (real *)call->h + first * call->h_stride : NULL;
    for (int r = 0; r < LANES; r++)
        y[r] = (real)k[r];
    FL_(lane_targets) of = {.y = FL_(load)(y), .c = FL_(splat)((real)call->scale), .z = z, .k = k, .rows = rows};
    of.next_z = z + (call->z_stride == call->classes ? LANES * call->classes : 0);
    of.next_g = g ? g + (call->g_stride == call->classes ? LANES * call->classes : 0) : of.next_z;
    real w[FL_(lanes)];
    int all = 1;
    if (call->w.data) {
        for (int r = 0; r < LANES; r++) {
            w[r] = r < rows ? (real)(weight[r] * call->scale) : 0;
            all &= r < rows && weight[r] != 0;
        }
        of.c = FL_(load)(w);
    }
    FL_(load_tile)(z, call->z_stride, rows, call->classes, tile);
    tile_loss(call, tile, &of, h ? curvature : NULL, inside, plus);
    if (!all) { /* a row of weight 0 does not count, whatever it holds */
        for (int r = 0; r < LANES; r++) {
            w[r] = r < rows && weight[r] != 0;
            inside[r] = w[r] != 0 ? inside[r] : 0;
            plus[r] = w[r] != 0 ? plus[r] : 0;
        }
        FL_(overwrite_lanes)(tile, call->classes, FL_(load)(w), 0);
        if (h)
            FL_(overwrite_lanes)(curvature, call->classes, FL_(load)(w), 0);
    }
    if (g)
        FL_(store_tile)(tile, call->g_stride, rows, call->classes, g);
    if (h)
        FL_(store_tile)(curvature, call->h_stride, rows, call->classes, h);
}

static FL_INLINE void FL_(wide_row)(const fl_call *call, ptrdiff_t row, ptrdiff_t k, double weight,
                                    FL_(row_loss) *row_loss, double *inside, double *plus)
{
    real *const g = call->g ? (real *)call->g + row * call->g_stride : NULL;
    real *const h = call->h ? (real *)call->h + row * call->h_stride : NULL;
    if (weight == 0) {
        *inside = *plus = 0;
        if (g)
            FL_(block_fill)(g, call->classes, 0);
        if (h)
            FL_(block_fill)(h, call->classes, 0);
        return;
    }
    const fl_log_form loss =
        row_loss(call, (const real *)call->z + row * call->z_stride, k, (real)(weight * call->scale), g, h);
    *inside = loss.inside;
    *plus = loss.plus;
}

static FL_INLINE double FL_(each_row)(const fl_call *call, ptrdiff_t first, ptrdiff_t last, FL_(row_loss) *row_loss,
                                      FL_(tile_loss) *tile_loss)
{
    const unsigned mode = fl_flush_subnormals();
    fl_sum total = {0, 0};
    for (ptrdiff_t start = first; start < last; start += FL_ROWS) {
        const int rows = (int)(last - start < FL_ROWS ? last - start : FL_ROWS);
        double inside[FL_ROWS], plus[FL_ROWS], weight[FL_ROWS];
        ptrdiff_t k[FL_ROWS];
        fl_read_indices(&call->y, start, rows, k);
        for (int i = rows; i < FL_ROWS; i++)
            k[i] = 0;
        for (int i = 0; i < rows; i++)
            weight[i] = fl_weight_at(&call->w, start + i);
        if (call->classes > FL_NARROW)
            for (int i = 0; i < rows; i++)
                FL_(wide_row)(call, start + i, k[i], weight[i], row_loss, inside + i, plus + i);
        else
            for (int i = 0; i < rows; i += LANES) {
                if (rows - i >= LANES) /* the common case, for which the compiler knows all rows to be there */
                    FL_(narrow_rows)(call, start + i, LANES, k + i, weight + i, tile_loss, inside + i, plus + i);
                else
                    FL_(narrow_rows)(call, start + i, rows - i, k + i, weight + i, tile_loss, inside + i, plus + i);
            }
        if (!call->w.data && !call->l) {
            fl_add(&total, fl_sum_log_forms(inside, plus, rows));
            continue;
        }
        fl_log1p_many(inside, rows);
        for (int i = 0; i < rows; i++) {
            const double loss = weight[i] * (inside[i] + plus[i]);
            fl_add(&total, loss);
            if (call->l)
                ((real *)call->l)[start + i] = (real)loss;
        }
    }
    fl_restore_subnormals(mode);
    return fl_total(&total);
}
