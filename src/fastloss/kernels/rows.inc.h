/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The driver of all rowwise losses and functions. Each is three functions. All yield the loss as a log_form, so that
 * the logarithms of many rows are taken together:
 *
 *   name_row   one row of many classes, lanes along the classes; writes g and h, those of c * loss, where wanted
 *   name_band  the same for LANES rows of up to FL_BANDED classes, step by step
 *   name_tile  rows of few classes, a row a lane; the tile of scores becomes that of g, and `curvature`, where wanted,
 *              that of h. `inside` stays below FL_FACTOR.
 */

typedef void FL_(band_loss)(const fl_call *call, FL_(band) *band, const ptrdiff_t *k, const real *c, double *inside,
                            double *plus);

/* what a tile's lanes are about: y the class index as a number, c the factor; z and k the rows and indices themselves */
typedef struct {
    vec y[FL_(bundle)], c[FL_(bundle)];
    const real *z;
    const ptrdiff_t *k;
    int rows;
    const real *next_z, *next_g; /* the next tile, and the distance of what is fetched class by class */
    ptrdiff_t next_z_step, next_g_step;
} FL_(lane_targets);

typedef void FL_(tile_loss)(const fl_call *call, real *restrict tile, real *restrict curvature,
                            const FL_(lane_targets) *of, const int side, double *inside, double *plus);

/* A tile has as many vectors as its rows: with each that is computed goes the fetching of one of the next tile. */
static FL_INLINE void FL_(fetch_next)(const FL_(lane_targets) *of, ptrdiff_t class, int v)
{
    FL_PREFETCH(of->next_z + class * of->next_z_step + v * LANES);
    FL_PREFETCH_WRITE(of->next_g + class * of->next_g_step + v * LANES);
}

/* What is fetched, from the first row of a tile on: how far the next tile is, and its classes are apart. One further on
 * where tiles are small. */
typedef struct {
    ptrdiff_t z, g, z_step, g_step;
} FL_(distances);

static FL_INLINE ptrdiff_t FL_(next_tile)(const fl_rows *array, ptrdiff_t classes, ptrdiff_t *step)
{
    const ptrdiff_t rows = BUNDLE * LANES;
    *step = 0;
    if (array->row == 1) {
        if (!FL_(stays_when_fetched)(array->step, classes))
            return 0;
        *step = array->step;
        return rows;
    }
    /* rows that lie apart count with what is between them, of which not every line is fetched */
    const ptrdiff_t size = rows * array->row, length = size < 0 ? -size : size;
    if (array->step != 1 || length == 0)
        return 0;
    *step = size / classes;
    return (length < FL_AHEAD ? FL_AHEAD / length : 1) * size;
}

static inline FL_(distances) FL_(distances_of)(const fl_call *call)
{
    FL_(distances) far;
    far.z = FL_(next_tile)(&call->z, call->classes, &far.z_step);
    far.g = FL_(next_tile)(call->g.data ? &call->g : &call->z, call->classes, &far.g_step);
    return far;
}

/* the targets' scores, as long as g, which may be z, is not written */
static inline void FL_(target_scores)(const fl_call *call, const FL_(lane_targets) *of, const int side, real *score)
{
    for (int r = 0; r < side * LANES; r++)
        score[r] = r < of->rows ? of->z[r * call->z.row + of->k[r] * call->z.step] : 0;
}

/* where rows start that lie in one inner part */
static FL_INLINE real *FL_(at_row)(const fl_rows *rows, ptrdiff_t first)
{
    const ptrdiff_t outer = first < rows->inner ? 0 : first / rows->inner;
    return (real *)rows->data + outer * rows->outer + (first - outer * rows->inner) * rows->row;
}

/* rows [first, first + rows), rows <= side * LANES; that many numbers are written to inside and plus all the same */
static FL_INLINE void FL_(narrow_rows)(const fl_call *call, ptrdiff_t first, int rows, const ptrdiff_t *k,
                                       const double *weight, const int side, const FL_(distances) *far,
                                       FL_(tile_loss) *tile_loss, real *restrict tile, real *restrict curvature,
                                       double *inside, double *plus)
{
    const ptrdiff_t classes = call->classes;
    real number[FL_(bundle) *FL_(lanes)];
    const real *const z = FL_(at_row)(&call->z, first);
    real *const g = call->g.data ? FL_(at_row)(&call->g, first) : NULL;
    real *const h = call->h.data ? FL_(at_row)(&call->h, first) : NULL;
    FL_(lane_targets) of; /* not initialised as a whole: filling the vectors with 0 first takes longer than these */
    of.z = z;
    of.k = k;
    of.rows = rows;
    of.next_z = z + far->z;
    of.next_g = (g ? g : z) + far->g;
    of.next_z_step = far->z_step;
    of.next_g_step = far->g_step;
    if (call->ahead_z) { /* of numbers of 16 bits a tile has half the lines */
        of.next_z = (const real *)(call->ahead_z + 2 * first * classes);
        of.next_z_step = side * LANES / 2;
    }
    if (call->ahead_g) {
        of.next_g = (const real *)(call->ahead_g + 2 * first * classes);
        of.next_g_step = side * LANES / 2;
    }
    for (int r = 0; r < side * LANES; r++)
        number[r] = (real)(int32_t)k[r]; /* few, and every machine converts these in vectors */
    for (int v = 0; v < side; v++) {
        of.y[v] = FL_(load)(number + v * LANES);
        of.c[v] = FL_(splat)((real)call->scale);
    }
    int all = rows == side * LANES;
    if (fl_weighted(call)) {
        for (int r = 0; r < side * LANES; r++) {
            number[r] = r < rows ? (real)(weight[r] * call->scale) : 0;
            all &= r < rows && weight[r] != 0;
        }
        for (int v = 0; v < side; v++)
            of.c[v] = FL_(load)(number + v * LANES);
    }
    FL_(load_tile)(z, call->z.row, call->z.step, rows, classes, side, tile);
    tile_loss(call, tile, h ? curvature : NULL, &of, side, inside, plus);
    if (!all) { /* a row of weight 0 does not count, whatever it holds */
        vec on[FL_(bundle)];
        for (int r = 0; r < side * LANES; r++) {
            number[r] = r < rows && (!fl_weighted(call) || weight[r] != 0);
            inside[r] = number[r] != 0 ? inside[r] : 0;
            plus[r] = number[r] != 0 ? plus[r] : 0;
        }
        for (int v = 0; v < side; v++)
            on[v] = FL_(load)(number + v * LANES);
        if (fl_weighted(call)) {
            FL_(overwrite_lanes)(tile, classes, side, on, 0);
            if (h)
                FL_(overwrite_lanes)(curvature, classes, side, on, 0);
        }
    }
    if (g)
        FL_(store_tile)(tile, call->g.row, call->g.step, rows, classes, side, g);
    if (h)
        FL_(store_tile)(curvature, call->h.row, call->h.step, rows, classes, side, h);
}

/* Where rows of many classes are read and written: adjacent numbers, the arrays themselves or a copied part. */
typedef struct {
    real *z, *g, *h;
    ptrdiff_t z_row, g_row, h_row;
} FL_(places);

/* rows [first, first + rows) of it; those of weight 0 do not count, whatever they hold */
static FL_INLINE void FL_(wide_rows)(const fl_call *call, const FL_(places) *at, int rows, const ptrdiff_t *k,
                                     const double *weight, FL_(row_loss) *row_loss, FL_(band_loss) *band_loss,
                                     double *inside, double *plus)
{
    const ptrdiff_t classes = call->classes;
    for (int start = 0; start < rows; start += LANES) {
        real c[FL_(lanes)];
        FL_(band) band = {.next_z = LANES * at->z_row, .next_g = LANES * (at->g ? at->g_row : at->z_row)};
        for (int i = 0; i < LANES; i++) {
            const int r = start + i;
            c[i] = 0;
            band.z[i] = band.g[i] = band.h[i] = NULL;
            if (r >= rows)
                continue;
            real *const g = at->g ? at->g + r * at->g_row : NULL, *const h = at->h ? at->h + r * at->h_row : NULL;
            inside[r] = plus[r] = 0;
            if (weight[r] != 0) {
                c[i] = (real)(weight[r] * call->scale);
                band.z[i] = at->z + r * at->z_row;
                band.g[i] = g;
                band.h[i] = h;
            } else {
                if (g)
                    FL_(block_fill)(g, classes, 0);
                if (h)
                    FL_(block_fill)(h, classes, 0);
            }
        }
        if (classes > FL_BANDED) {
            FL_(band_by_rows)(call, &band, k + start, c, row_loss, inside + start, plus + start);
        } else {
            band_loss(call, &band, k + start, c, inside + start, plus + start);
        }
    }
}

/* rows [first, first + rows) of many classes, in one inner part; those whose numbers are not adjacent are copied to
 * where they are, and their derivatives back */
static FL_INLINE void FL_(wide_rows_anywhere)(const fl_call *call, ptrdiff_t first, int rows, const ptrdiff_t *k,
                                              const double *weight, FL_(row_loss) *row_loss, FL_(band_loss) *band_loss,
                                              double *inside, double *plus)
{
    const ptrdiff_t classes = call->classes;
    const fl_rows *const z = &call->z, *const g = &call->g, *const h = &call->h;
    const FL_(places) at = {
        .z = FL_(at_row)(z, first),
        .z_row = z->row,
        .g = g->data ? FL_(at_row)(g, first) : NULL,
        .g_row = g->row,
        .h = h->data ? FL_(at_row)(h, first) : NULL,
        .h_row = h->row,
    };
    const int copied = call->scratch_bytes != 0, most = copied ? fl_rows_together(call, sizeof(real)) : rows;
    real *const near = (real *)call->scratch, *const near_h = near + most * classes;
    for (int start = 0; start < rows; start += most) {
        const int n = rows - start < most ? rows - start : most;
        const FL_(places) copy = {
            .z = near,
            .z_row = classes,
            .g = at.g ? near : NULL,
            .g_row = classes,
            .h = at.h ? near_h : NULL,
            .h_row = classes,
        };
        if (copied)
            FL_(gather_rows)(at.z + start * z->row, z->row, z->step, n, classes, near);
        FL_(wide_rows)(call, copied ? &copy : &at, n, k + start, weight + start, row_loss, band_loss, inside + start,
                       plus + start);
        if (copied && at.g)
            FL_(scatter_rows)(near, g->row, g->step, n, classes, at.g + start * g->row);
        if (copied && at.h)
            FL_(scatter_rows)(near_h, h->row, h->step, n, classes, at.h + start * h->row);
    }
}

/* the sum of the losses of `rows` rows, FL_ROWS at most, each times its weight */
static FL_NOINLINE double FL_(weighted_losses)(const fl_call *call, ptrdiff_t first, int rows, double *inside,
                                               const double *plus, const double *weight)
{
    fl_log1p_many(inside, rows);
    for (int i = 0; i < rows; i++)
        inside[i] = weight[i] * (inside[i] + plus[i]);
    for (int i = rows; i < FL_ROWS; i++)
        inside[i] = 0;
    if (call->l)
        for (int i = 0; i < rows; i++)
            ((real *)call->l)[first + i] = (real)inside[i];
    for (int half = FL_ROWS / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            inside[i] += inside[i + half];
    return inside[0];
}

static FL_INLINE double FL_(each_row)(const fl_call *call, ptrdiff_t first, ptrdiff_t last, FL_(row_loss) *row_loss,
                                      FL_(band_loss) *band_loss, FL_(tile_loss) *tile_loss)
{
    const unsigned mode = fl_flush_subnormals();
    const int parted =
        call->z.inner < last || (call->g.data && call->g.inner < last) || (call->h.data && call->h.inner < last);
    fl_log_sum sum = fl_log_sum_of_nothing();
    fl_sum total = {0, 0};
    const int in_lanes = fl_in_lanes(call);
    const int apart = fl_apart(call);
    real near_tile[FL_NARROW * FL_(bundle) *FL_(lanes)], near_curvature[FL_NARROW * FL_(bundle) *FL_(lanes)];
    real *const tile = call->classes > FL_NARROW ? (real *)call->scratch : near_tile;
    real *const curvature = call->classes > FL_NARROW ? tile + call->classes * BUNDLE * LANES : near_curvature;
    const FL_(distances) far = FL_(distances_of)(call);
    double weight[FL_ROWS];
    ptrdiff_t indices[FL_ROWS];
    for (int i = 0; i < FL_ROWS; i++)
        weight[i] = 1;
    for (ptrdiff_t start = first; start < last;) {
        int rows = (int)(last - start < FL_ROWS ? last - start : FL_ROWS);
        double inside[FL_ROWS], plus[FL_ROWS];
        if (parted) /* what is taken at once lies in one inner part of all arrays */
            rows = fl_rows_within(call, start, rows);
        const ptrdiff_t *const k = fl_read_samples(call, start, rows, indices, weight);
        if (!in_lanes) {
            FL_(wide_rows_anywhere)(call, start, rows, k, weight, row_loss, band_loss, inside, plus);
            for (int i = rows; i < FL_ROWS; i++)
                inside[i] = plus[i] = 0;
        } else {
            const int side = FL_(bundle) *LANES;
            int i = 0;
            for (; i + side <= rows; i += side) /* the common case: the compiler knows all rows to be there */
                FL_(narrow_rows)(call, start + i, side, k + i, weight + i, FL_(bundle), &far, tile_loss, tile,
                                 curvature, inside + i, plus + i);
            for (; i < rows; i += LANES)
                FL_(narrow_rows)(call, start + i, rows - i < LANES ? rows - i : LANES, k + i, weight + i, 1, &far,
                                 tile_loss, tile, curvature, inside + i, plus + i);
            for (; i < FL_ROWS; i++)
                inside[i] = plus[i] = 0;
        }
        if (apart)
            fl_add(&total, FL_(weighted_losses)(call, start, rows, inside, plus, weight));
        else
            fl_add_log_forms(&sum, inside, plus);
        start += rows;
    }
    fl_restore_subnormals(mode);
    fl_add(&total, fl_log_total(&sum));
    return fl_total(&total);
}
