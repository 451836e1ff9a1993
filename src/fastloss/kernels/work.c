/* SPDX-License-Identifier: BSD-3-Clause */
#include "fastloss.h"

#include <math.h>

enum {
    PIECES = 256,          /* at most: their sums lie on the stack */
    PIECE_ELEMENTS = 32768 /* at least: about as long as it takes to wake a thread */
};

typedef struct {
    const fl_call *call;
    fl_kernel kernel;
    fl_check outside;
    ptrdiff_t rows, rows_per_piece;
    double sum[PIECES];
    ptrdiff_t bad[PIECES];
} work;

static void piece(void *context, ptrdiff_t i, int thread)
{
    work *const job = (work *)context;
    const ptrdiff_t first = i * job->rows_per_piece, end = first + job->rows_per_piece;
    const ptrdiff_t last = end < job->rows ? end : job->rows;
    if (job->call->scratch_bytes) {
        fl_call mine = *job->call;
        mine.scratch += (size_t)thread * job->call->scratch_bytes;
        job->sum[i] = job->kernel(&mine, first, last);
    } else {
        job->sum[i] = job->kernel(job->call, first, last);
    }
    /* a kernel that meets a target out of range yields NaN, as does NaN itself */
    job->bad[i] = job->outside && isnan(job->sum[i]) ? job->outside(job->call, first, last) : -1;
}

size_t fl_scratch_bytes(const fl_call *call, size_t size)
{
    const int adjacent =
        call->z.step == 1 && (!call->g.data || call->g.step == 1) && (!call->h.data || call->h.step == 1);
    if (call->classes <= FL_NARROW || adjacent)
        return 0;
    const size_t row = (size_t)call->classes * (call->h.data ? 2 : 1);
    const size_t bytes = row * (fl_in_lanes(call) ? FL_TILE_BYTES : (size_t)fl_rows_together(call, size) * size);
    return fl_in_strips(call) && bytes < FL_STRIP_BYTES ? FL_STRIP_BYTES : bytes;
}

size_t fl_half_scratch_bytes(const fl_call *call)
{
    const size_t rows = (size_t)fl_half_rows(call), band = rows * (size_t)call->classes;
    size_t numbers = 16; /* a cache line, to start at the beginning of one */
    numbers += call->z.kind == FL_F32 || fl_widened_onto_g(call) ? 0 : band;
    numbers += call->h.data && !fl_written_directly(call, &call->h) ? band : 0;
    numbers += call->q.data && call->q.kind != FL_F32 ? band : 0;
    numbers += call->t && fl_narrow_targets(call) ? rows * (size_t)(call->entries ? call->entries : 1) : 0;
    numbers += call->l && call->l_kind != FL_F32 ? rows : 0;
    return numbers * sizeof(float);
}

double fl_run(const fl_call *call, fl_kernel kernel, fl_check outside, ptrdiff_t rows, int threads, ptrdiff_t *bad)
{
    work job; /* 4 KiB of sums, which only the pieces that there are write */
    job.call = call;
    job.kernel = kernel;
    job.outside = outside;
    job.rows = rows;
    const ptrdiff_t classes = call->classes > 0 ? call->classes : 1;
    const ptrdiff_t by_count = (rows + PIECES - 1) / PIECES;
    const ptrdiff_t by_size = (PIECE_ELEMENTS + classes - 1) / classes;
    *bad = -1;
    if (rows <= 0)
        return 0;
    /* the larger, in whole groups of 64 rows where there are many: no piece then starts inside a vector */
    job.rows_per_piece = by_count > by_size ? by_count : by_size;
    if (job.rows_per_piece > 64)
        job.rows_per_piece = (job.rows_per_piece + 63) / 64 * 64;
    if (fl_in_strips(
            call)) { /* a strip, or half of one where there are few: shorter ones are not worth a second thread */
        const ptrdiff_t strip = rows < 4 * FL_STRIP ? FL_STRIP / 2 : FL_STRIP;
        job.rows_per_piece = (job.rows_per_piece + strip - 1) / strip * strip;
    }
    const ptrdiff_t pieces = (rows + job.rows_per_piece - 1) / job.rows_per_piece;
    /* a call of one piece leaves its outputs untouched, and one in place the scores: all targets are checked first */
    if (outside && (pieces == 1 || call->g.data == call->z.data) && (*bad = outside(call, 0, rows)) >= 0)
        return 0;
    fl_parallel(threads, pieces, piece, &job);
    fl_sum total = {0, 0};
    for (ptrdiff_t i = 0; i < pieces; i++) {
        fl_add(&total, job.sum[i]);
        if (job.bad[i] >= 0 && *bad < 0)
            *bad = job.bad[i];
    }
    return fl_total(&total);
}
