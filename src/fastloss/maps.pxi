# SPDX-License-Identifier: BSD-3-Clause
# What is no loss: activations and regularisers, and statistics of classifications. Part of _core.pyx.

def map_elements(Kernel kernel, x, out, derivative_out, int order):
    """What the kernel sums up, and `order` arrays that it writes, made where they are None; None if `x` cannot be read
    or they cannot be written where they lie. `out` may be `x`.
    """
    if type(x) is not plain or (out is not None and type(out) is not plain):
        return None
    if derivative_out is not None and type(derivative_out) is not plain:
        return None
    cdef Views views
    views.count = 0
    try:
        return map_views(kernel, &views, x, out, derivative_out, order)
    finally:
        give_back(&views)


cdef object map_views(Kernel kernel, Views *views, object x, object out, object derivative_out, int order):
    cdef fl_call call
    cdef Py_buffer *z = take(views, x, 0)
    cdef int axis
    cdef ptrdiff_t count = 1
    cdef double total = 0
    without_samples(&call)
    if real_kind(z) < 0 or not flat(z, &call.z):
        return None
    if z.itemsize == 2 and kernel.family == FL_REGULARIZER and order >= 1:  # what is added onto has to be read
        return None
    call.option = kernel.option
    for axis in range(z.ndim):
        count *= z.shape[axis]
    if order >= 1:
        if out is None:
            out = empty(x.shape, x.dtype)
        if not kernel.take_output(out, views, z, &call.g):
            return None
    if order >= 2:
        if derivative_out is None:
            derivative_out = empty(x.shape, x.dtype)
        if not kernel.take_output(derivative_out, views, z, &call.h) or (count > 0 and call.h.data == z.buf):
            return None
    if count > 0:
        kernel.run(&call, kernel.index, count, &total)
    return (total, out, derivative_out)[:order + 1]


cdef extern from "fastloss.h" nogil:
    ctypedef struct fl_statistics:
        void *loss
        void *log_sum_exp
        void *entropy
        void *margin
        int64_t *arg_max
        int64_t *rank


def row_statistics(Kernel kernel, scores, targets, reals, integers):
    """Fill `reals`, whose first axis is loss, log-sum-exp, entropy and margin, and `integers`, arg max and rank; None
    if `scores` and `targets` cannot be read where they lie. Results are contiguous, and float32 for scores of 16 bits.
    Raises OutOfRange.
    """
    if type(scores) is not plain or type(targets) is not plain:
        return None
    cdef Views views
    views.count = 0
    try:
        return statistics_of_views(kernel, &views, scores, targets, reals, integers)
    finally:
        give_back(&views)


cdef object statistics_of_views(
    Kernel kernel, Views *views, object scores, object targets, object reals, object integers
):
    cdef fl_call call
    cdef fl_statistics into
    cdef Py_buffer *z = take(views, scores, 0)
    cdef Py_buffer *t = take(views, targets, 0)
    cdef Py_buffer *r = take(views, reals, PyBUF_WRITABLE)
    cdef Py_buffer *n = take(views, integers, PyBUF_WRITABLE)
    cdef int kind = integer_kind(t), axis
    cdef ptrdiff_t rows = 1, bad
    cdef double total = 0
    without_samples(&call)
    if real_kind(z) < 0 or kind < 0 or not rows_of(z, &call.z) or not samples_of(t, &call.y, kind):
        return None
    call.classes = z.shape[z.ndim - 1]
    if call.classes == 0 or t.ndim != z.ndim - 1 or not same_shape(z, t, t.ndim):
        return None
    if not kernel.samples_by_class(&call, real_kind(z)):
        return None
    for axis in range(t.ndim):
        rows *= t.shape[axis]
    if (
        real_kind(r) != max(real_kind(z), FL_F32) or not contiguous(r) or r.len != 4 * rows * r.itemsize
        or integer_kind(n) != FL_I64 or not contiguous(n) or n.len != 2 * rows * n.itemsize
    ):
        raise ValueError("statistics that cannot be written")
    if rows == 0:
        return reals
    bad = active.bad_label(&call, rows)
    if bad >= 0:
        raise OutOfRange("targets", bad, targets.reshape(-1)[bad])
    into.loss = r.buf
    into.log_sum_exp = <char *>r.buf + rows * r.itemsize
    into.entropy = <char *>r.buf + 2 * rows * r.itemsize
    into.margin = <char *>r.buf + 3 * rows * r.itemsize
    into.arg_max = <int64_t *>n.buf
    into.rank = into.arg_max + rows
    call.statistics = &into
    kernel.run(&call, kernel.index, rows, &total)
    return reals
