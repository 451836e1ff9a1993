/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the options of softmax cross-entropy make of a row whose target is one class y. With p = softmax(z / T), the part r
 * of the others, r = 1 - p_y, n = -log p_y and L = log-sum-exp:
 *
 *   l = r^gamma n + smoothing * mean_j (s_y - s_j) + zeta L^2,   s = z / T
 *
 * and with B = r^gamma (1 + gamma p_y n / r), D = p_y dB/dp_y, S the smoothing, [..] 1 at the target:
 *
 *   T   dl/dz_j    = p_j (B + 2 zeta L) - S / C               + [j = y] (S - B)
 *   T^2 d2l/dz_j^2 = p_j (1 - p_j) (B + 2 zeta L) + p_j^2 (2 zeta - D)    and at the target what the sum of others makes of it
 *
 * So a row needs six numbers, whatever the options. Smoothing goes with gamma = 0 only: with both, every class has a
 * power of its own, which is the business of distributions.inc.h.
 *
 * option[]: smoothing, gamma, zeta, T.
 */
typedef struct {
    real gamma, z_loss;
    double smoothing, stretch; /* stretch: 1 / T */
    int any;
} FL_(softmax_options);

/* those of a call, or none where the compiler knows that there are none */
static FL_INLINE FL_(softmax_options) FL_(softmax_options_of)(const fl_call *call, const int optional)
{
    const double none[4] = {0, 0, 0, 1}, *const option = optional ? call->option : none;
    return (FL_(softmax_options)){
        .smoothing = option[0],
        .gamma = (real)option[1],
        .z_loss = (real)option[2],
        .stretch = 1 / option[3],
        .any = option[0] != 0 || option[1] != 0 || option[2] != 0 || option[3] != 1,
    };
}

/* g_j = factor p_j + offset and h_j = p_j (curve (1 - p_j) + bend p_j), but for the target */
typedef struct {
    vec loss, factor, offset, target, curve, bend, target_curve;
} FL_(row_terms);

/* x^exponent for 0 <= x <= 1: the whole powers by squaring, what is left, below 1, as a root or by exp and log */
static inline vec FL_(power)(vec x, real exponent)
{
    const int64_t whole = exponent < 0x1p62 ? (int64_t)exponent : (int64_t)1 << 62;
    const real left = exponent < 0x1p62 ? exponent - (real)whole : 0;
    vec power = FL_(splat)(1), square = x;
    if (left == (real)0.5)
        power = FL_(sqrt)(x);
    else if (left > 0)
        power = FL_(exp_shifted)(FL_(log)(x) * FL_(splat)(left), FL_(shift_of)(FL_(splat)(0)));
    for (int64_t bits = whole; bits > 0; bits >>= 1, square *= square)
        if (bits & 1)
            power *= square;
    return power;
}

/* factor * x, where 0 of infinity is 0 */
static FL_INLINE vec FL_(of_amount)(vec factor, vec x)
{
    const vec zero = FL_(splat)(0);
    return FL_(select_eq)(factor, zero, zero, factor * x);
}

/* How hard a class of probability p = 1 - others pulls on its own score: pull = others^gamma (1 + gamma p n / others), and
 * bend = others * p d pull / dp; n = -log p. */
typedef struct {
    vec focus, pull, bend;
} FL_(focal_terms);

static FL_INLINE FL_(focal_terms) FL_(focal)(real gamma, vec p, vec others, vec n)
{
    const vec zero = FL_(splat)(0), one = FL_(splat)(1), g = FL_(splat)(gamma);
    const vec ratio = FL_(select_eq)(others, zero, one, n / others), pr = FL_(of_amount)(p, ratio);
    const vec focus = FL_(power)(others, gamma);
    return (FL_(focal_terms)){
        .focus = focus,
        .pull = focus * (one + g * pr),
        .bend = focus * g * (FL_(of_amount)(p, n) - (p + p) - (g - one) * p * pr),
    };
}

/* p is the target's share, `rest` that of all others; `spread` the mean of s_y - s_j, L the log-sum-exp */
static void FL_(optional_terms)(const FL_(softmax_options) *o, vec p, vec rest, vec loss, vec spread, vec log_sum_exp,
                                vec c, real classes, FL_(row_terms) *terms)
{
    const vec zero = FL_(splat)(0), one = FL_(splat)(1);
    vec focus = one, pull = one, bend = zero, steepness = zero, height = zero, doubled = zero;
    if (o->gamma != 0) {
        const FL_(focal_terms) f = FL_(focal)(o->gamma, p, rest, loss);
        focus = f.focus;
        pull = f.pull;
        bend = f.bend;
        steepness = FL_(select_eq)(rest, zero, zero, bend / rest);
    }
    if (o->z_loss != 0) {
        doubled = FL_(splat)(2 * o->z_loss);
        height = doubled * log_sum_exp;
    }
    terms->loss = focus * loss;
    if (o->smoothing != 0)
        terms->loss = FL_(select_gt)(loss, FL_(splat)(FL_LARGEST), loss,
                                     FL_(fma)(FL_(splat)((real)o->smoothing), spread, terms->loss));
    if (o->z_loss != 0)
        terms->loss += FL_(splat)((real)0.5) * height * log_sum_exp;
    const vec slope = c * FL_(splat)((real)o->stretch), curvature = slope * FL_(splat)((real)o->stretch);
    /* of the target's 1, what goes to each class, to the others together, and what is left at the target */
    const double each = o->smoothing / (double)classes, away = o->smoothing - each;
    const vec spilt = FL_(splat)((real)away),
              kept = o->smoothing != 0 ? FL_(splat)((real)((1 - o->smoothing) + each)) : pull;
    terms->factor = slope * (pull + height);
    terms->offset = zero - slope * FL_(splat)((real)each);
    terms->target = slope * (FL_(of_amount)(p, height) + (p * spilt - kept * rest));
    terms->curve = curvature * (pull + height);
    terms->bend = curvature * (doubled - steepness);
    terms->target_curve = curvature * (rest * (p * pull - bend) + doubled * p * p + FL_(of_amount)(p * rest, height));
}

/* h_j = p_j (curve (1 - p_j) + bend p_j) from the p_j that are there; that of the target is 0, and `picked` its own. At most
 * one class has more than half of the probability; for it, 1 - p is the sum of all the others. */
static inline void FL_(shares_to_curvature)(real *h, ptrdiff_t classes, real curve, real bend, double picked)
{
    const vec one = FL_(splat)(1), a = FL_(splat)(curve), b = FL_(splat)(bend);
    const real p = FL_(block_max)(h, classes);
    ptrdiff_t k = -1;
    double rest = 0;
    if (p > (real)0.5) {
        k = 0;
        while (h[k] != p)
            k++;
        rest = picked + FL_(sum)(h, k) + FL_(sum)(h + k + 1, classes - k - 1);
    }
    for (ptrdiff_t j = 0; j < classes; j += LANES) {
        const ptrdiff_t n = classes - j;
        const vec x = n >= LANES ? FL_(load)(h + j) : FL_(load_part)(h + j, n, 0);
        const vec y = FL_(of_amount)(x, FL_(fma)(b, x, FL_(of_amount)(one - x, a)));
        if (n >= LANES)
            FL_(store)(h + j, y);
        else
            FL_(store_part)(h + j, n, y);
    }
    if (k >= 0)
        h[k] = p * (real)((rest > 0 ? (double)curve * rest : 0) + (double)bend * (double)p);
}

/* An infinite log-sum-exp has an infinite slope, times nothing where there is no probability. h may be NULL. */
static void FL_(limit_row)(real *g, real *h, ptrdiff_t n, ptrdiff_t step, real offset, real bend)
{
    for (ptrdiff_t j = 0; j < n * step; j += step) {
        if (isnan(g[j]))
            g[j] = offset;
        if (h && isnan(h[j]))
            h[j] = isinf(g[j]) ? bend : 0;
    }
}
