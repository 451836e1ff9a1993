# SPDX-License-Identifier: BSD-3-Clause
# Kernels of arrays without targets: activations and regularisers. Part of _core.pyx.

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
