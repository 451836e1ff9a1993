/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Lanes that trade places, within vectors and between them: squares are turned, rows of few classes taken apart, and
 * numbers at a distance gathered. */
/* Lanes by formula: FL_LANE_LIST(f) is f(0), f(1), ... for all lanes of a vector. Lanes LANES + i are those of the second
 * of the two vectors that are shuffled. */
#if FL_VECTOR_BYTES * 8 / FL_BITS == 16
#define FL_LANE_LIST(f)                                                                                                \
    f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7), f(8), f(9), f(10), f(11), f(12), f(13), f(14), f(15)
#elif FL_VECTOR_BYTES * 8 / FL_BITS == 8
#define FL_LANE_LIST(f) f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7)
#elif FL_VECTOR_BYTES * 8 / FL_BITS == 4
#define FL_LANE_LIST(f) f(0), f(1), f(2), f(3)
#elif FL_VECTOR_BYTES
#define FL_LANE_LIST(f) f(0), f(1)
#endif

/* Squares are transposed in stages: in stage s, lanes with bit s clear keep their side and trade the other with the
 * vector s further on. */
#if FL_VECTOR_BYTES
#define FL_STAGE(s, low, high)                                                                                         \
    for (int i = 0; i < LANES; i++)                                                                                    \
        if (!(i & s)) {                                                                                                \
            const vec a = t[i], b = t[i + s];                                                                          \
            t[i] = FL_SHUFFLE(a, b, FL_LANE_LIST(low));                                                                \
            t[i + s] = FL_SHUFFLE(a, b, FL_LANE_LIST(high));                                                           \
        }
#define FL_LOW_1(i) ((i) & 1 ? LANES + (i) - 1 : (i))
#define FL_LOW_2(i) ((i) & 2 ? LANES + (i) - 2 : (i))
#define FL_LOW_4(i) ((i) & 4 ? LANES + (i) - 4 : (i))
#define FL_LOW_8(i) ((i) & 8 ? LANES + (i) - 8 : (i))
#define FL_HIGH_1(i) ((i) & 1 ? LANES + (i) : (i) + 1)
#define FL_HIGH_2(i) ((i) & 2 ? LANES + (i) : (i) + 2)
#define FL_HIGH_4(i) ((i) & 4 ? LANES + (i) : (i) + 4)
#define FL_HIGH_8(i) ((i) & 8 ? LANES + (i) : (i) + 8)
#endif

/* LANES vectors in place */
static FL_INLINE void FL_(transpose)(vec *t)
{
    (void)t;
#if FL_VECTOR_BYTES
    FL_STAGE(1, FL_LOW_1, FL_HIGH_1)
#endif
#if FL_VECTOR_BYTES * 8 / FL_BITS >= 4
    FL_STAGE(2, FL_LOW_2, FL_HIGH_2)
#endif
#if FL_VECTOR_BYTES * 8 / FL_BITS >= 8
    FL_STAGE(4, FL_LOW_4, FL_HIGH_4)
#endif
#if FL_VECTOR_BYTES * 8 / FL_BITS >= 16
    FL_STAGE(8, FL_LOW_8, FL_HIGH_8)
#endif
}

/* Squares of four, which a quarter or half of a register holds without crossing it: so four vectors are turned by
 * eight shuffles, and what is left of a transposition loads and stores can do. float32 alone. */
#undef FL_FOURS
#if FL_BITS == 32 && FL_VECTOR_BYTES
#define FL_FOURS 1
#define FL_UNPACK_LOW(i) (((i) & ~3) + (i) % 4 / 2 + ((i) & 1 ? LANES : 0))
#define FL_UNPACK_HIGH(i) (FL_UNPACK_LOW(i) + 2)
#define FL_HALF_LOW(i) (((i) & ~3) + ((i) & 1) + ((i) & 2 ? LANES : 0))
#define FL_HALF_HIGH(i) (FL_HALF_LOW(i) + 2)

/* four numbers each of every fourth row */
static FL_INLINE vec FL_(load_fours)(const real *z, ptrdiff_t row)
{
#if FL_VECTOR_BYTES == 64
    __m512 x = _mm512_castps128_ps512(_mm_loadu_ps(z));
    x = _mm512_insertf32x4(x, _mm_loadu_ps(z + 4 * row), 1);
    x = _mm512_insertf32x4(x, _mm_loadu_ps(z + 8 * row), 2);
    return (vec)_mm512_insertf32x4(x, _mm_loadu_ps(z + 12 * row), 3);
#elif FL_VECTOR_BYTES == 32
    return (vec)_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(z)), _mm_loadu_ps(z + 4 * row), 1);
#else
    (void)row;
    return FL_(load)(z);
#endif
}

static FL_INLINE void FL_(store_fours)(real *g, ptrdiff_t row, vec x)
{
#if FL_VECTOR_BYTES == 64
    _mm_storeu_ps(g, _mm512_castps512_ps128((__m512)x));
    _mm_storeu_ps(g + 4 * row, _mm512_extractf32x4_ps((__m512)x, 1));
    _mm_storeu_ps(g + 8 * row, _mm512_extractf32x4_ps((__m512)x, 2));
    _mm_storeu_ps(g + 12 * row, _mm512_extractf32x4_ps((__m512)x, 3));
#elif FL_VECTOR_BYTES == 32
    _mm_storeu_ps(g, _mm256_castps256_ps128((__m256)x));
    _mm_storeu_ps(g + 4 * row, _mm256_extractf128_ps((__m256)x, 1));
#else
    (void)row;
    FL_(store)(g, x);
#endif
}

static FL_INLINE void FL_(turn_fours)(vec *t)
{
    const vec a = FL_SHUFFLE(t[0], t[1], FL_LANE_LIST(FL_UNPACK_LOW));
    const vec b = FL_SHUFFLE(t[0], t[1], FL_LANE_LIST(FL_UNPACK_HIGH));
    const vec c = FL_SHUFFLE(t[2], t[3], FL_LANE_LIST(FL_UNPACK_LOW));
    const vec d = FL_SHUFFLE(t[2], t[3], FL_LANE_LIST(FL_UNPACK_HIGH));
    t[0] = FL_SHUFFLE(a, c, FL_LANE_LIST(FL_HALF_LOW));
    t[1] = FL_SHUFFLE(a, c, FL_LANE_LIST(FL_HALF_HIGH));
    t[2] = FL_SHUFFLE(b, d, FL_LANE_LIST(FL_HALF_LOW));
    t[3] = FL_SHUFFLE(b, d, FL_LANE_LIST(FL_HALF_HIGH));
}
#else
#define FL_FOURS 0
#endif

/* Rows of 2, 3 or 4 classes, one after the other in as many vectors, become a vector for each class. Class k of row r
 * is number classes * r + k of them all. */
static FL_INLINE void FL_(unzip)(vec *t, const int classes)
{
#if FL_VECTOR_BYTES
#define FL_EVEN(i) (2 * (i))
#define FL_ODD(i) (2 * (i) + 1)
    if (classes == 2) {
        const vec a = t[0], b = t[1];
        t[0] = FL_SHUFFLE(a, b, FL_LANE_LIST(FL_EVEN));
        t[1] = FL_SHUFFLE(a, b, FL_LANE_LIST(FL_ODD));
    }
    if (classes == 4)
        for (int time = 0; time < 2; time++) {
            const vec a = t[0], b = t[1], c = t[2], d = t[3];
            t[0] = FL_SHUFFLE(a, b, FL_LANE_LIST(FL_EVEN));
            t[1] = FL_SHUFFLE(c, d, FL_LANE_LIST(FL_EVEN));
            t[2] = FL_SHUFFLE(a, b, FL_LANE_LIST(FL_ODD));
            t[3] = FL_SHUFFLE(c, d, FL_LANE_LIST(FL_ODD));
        }
    if (classes == 3) {
        /* what is in the first two vectors, then what is in the third; 0 stands for "whatever" */
        const vec a = t[0], b = t[1], c = t[2];
#define FL_NUMBER(i, k) (3 * (i) + k)
#define FL_FIRST(i, k) (FL_NUMBER(i, k) < 2 * LANES ? FL_NUMBER(i, k) : 0)
#define FL_THEN(i, k) (FL_NUMBER(i, k) < 2 * LANES ? (i) : FL_NUMBER(i, k) - LANES)
#define FL_FIRST_0(i) FL_FIRST(i, 0)
#define FL_FIRST_1(i) FL_FIRST(i, 1)
#define FL_FIRST_2(i) FL_FIRST(i, 2)
#define FL_THEN_0(i) FL_THEN(i, 0)
#define FL_THEN_1(i) FL_THEN(i, 1)
#define FL_THEN_2(i) FL_THEN(i, 2)
        const vec p = FL_SHUFFLE(a, b, FL_LANE_LIST(FL_FIRST_0)), q = FL_SHUFFLE(a, b, FL_LANE_LIST(FL_FIRST_1));
        const vec r = FL_SHUFFLE(a, b, FL_LANE_LIST(FL_FIRST_2));
        t[0] = FL_SHUFFLE(p, c, FL_LANE_LIST(FL_THEN_0));
        t[1] = FL_SHUFFLE(q, c, FL_LANE_LIST(FL_THEN_1));
        t[2] = FL_SHUFFLE(r, c, FL_LANE_LIST(FL_THEN_2));
    }
#else
    (void)t, (void)classes;
#endif
}

/* and back */
static FL_INLINE void FL_(zip)(vec *t, const int classes)
{
#if FL_VECTOR_BYTES
#define FL_ZIP_LOW(i) ((i) / 2 + (i) % 2 * LANES)
#define FL_ZIP_HIGH(i) (FL_ZIP_LOW(i) + LANES / 2)
    if (classes == 2) {
        const vec a = t[0], b = t[1];
        t[0] = FL_SHUFFLE(a, b, FL_LANE_LIST(FL_ZIP_LOW));
        t[1] = FL_SHUFFLE(a, b, FL_LANE_LIST(FL_ZIP_HIGH));
    }
    if (classes == 4)
        for (int time = 0; time < 2; time++) {
            const vec a = t[0], b = t[1], c = t[2], d = t[3];
            t[0] = FL_SHUFFLE(a, c, FL_LANE_LIST(FL_ZIP_LOW));
            t[1] = FL_SHUFFLE(a, c, FL_LANE_LIST(FL_ZIP_HIGH));
            t[2] = FL_SHUFFLE(b, d, FL_LANE_LIST(FL_ZIP_LOW));
            t[3] = FL_SHUFFLE(b, d, FL_LANE_LIST(FL_ZIP_HIGH));
        }
    if (classes == 3) {
        const vec a = t[0], b = t[1], c = t[2];
#define FL_ROW(i, v) (((i) + v * LANES) / 3)
#define FL_CLASS(i, v) (((i) + v * LANES) % 3)
#define FL_AB(i, v) (FL_CLASS(i, v) == 2 ? 0 : FL_ROW(i, v) + FL_CLASS(i, v) * LANES)
#define FL_C(i, v) (FL_CLASS(i, v) == 2 ? FL_ROW(i, v) + LANES : (i))
#define FL_AB_0(i) FL_AB(i, 0)
#define FL_AB_1(i) FL_AB(i, 1)
#define FL_AB_2(i) FL_AB(i, 2)
#define FL_C_0(i) FL_C(i, 0)
#define FL_C_1(i) FL_C(i, 1)
#define FL_C_2(i) FL_C(i, 2)
        const vec p = FL_SHUFFLE(a, b, FL_LANE_LIST(FL_AB_0)), q = FL_SHUFFLE(a, b, FL_LANE_LIST(FL_AB_1));
        const vec r = FL_SHUFFLE(a, b, FL_LANE_LIST(FL_AB_2));
        t[0] = FL_SHUFFLE(p, c, FL_LANE_LIST(FL_C_0));
        t[1] = FL_SHUFFLE(q, c, FL_LANE_LIST(FL_C_1));
        t[2] = FL_SHUFFLE(r, c, FL_LANE_LIST(FL_C_2));
    }
#else
    (void)t, (void)classes;
#endif
}
/* LANES numbers, `step` from one to the next, where there is one more; and back, with nothing between them written */
static FL_INLINE vec FL_(load_apart)(const real *p, ptrdiff_t step)
{
    real lane[FL_(lanes)];
#if FL_VECTOR_BYTES
    if (step == 2)
        return FL_SHUFFLE(FL_(load)(p), FL_(load)(p + LANES), FL_LANE_LIST(FL_EVEN));
#endif
    for (int i = 0; i < LANES; i++)
        lane[i] = p[i * step];
    return FL_(load)(lane);
}

static FL_INLINE void FL_(store_apart)(real *p, ptrdiff_t step, vec v)
{
    real lane[FL_(lanes)];
#if FL_VECTOR_BYTES >= 32
    if (step == 2) {
        const vec low = FL_SHUFFLE(v, v, FL_LANE_LIST(FL_ZIP_LOW)), high = FL_SHUFFLE(v, v, FL_LANE_LIST(FL_ZIP_HIGH));
#if FL_VECTOR_BYTES == 64
        X86(mask_storeu)(p, 0x5555 & ((1 << LANES) - 1), low);
        X86(mask_storeu)(p + LANES, 0x5555 & ((1 << LANES) - 1), high);
#else
        const uvec even = FL_SHUFFLE((uvec){0} - 1, (uvec){0}, FL_LANE_LIST(FL_ZIP_LOW));
        X86(maskstore)(p, (__m256i)even, low);
        X86(maskstore)(p + LANES, (__m256i)even, high);
#endif
        return;
    }
#endif
    FL_(store)(lane, v);
    for (int i = 0; i < LANES; i++)
        p[i * step] = lane[i];
}
#undef FL_LANE_LIST
#undef FL_STAGE
