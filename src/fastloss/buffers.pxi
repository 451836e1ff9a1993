# SPDX-License-Identifier: BSD-3-Clause
# How arrays lie in memory, and whether kernels can read and write them so. Part of _core.pyx.

cdef struct Bounds:
    const char *first
    const char *last


cdef Bounds extent(const Py_buffer *view) noexcept:
    """The bytes that a non-empty view may touch."""
    cdef Bounds bounds
    cdef int axis
    cdef ptrdiff_t reach
    bounds.first = <const char *>view.buf
    bounds.last = bounds.first + view.itemsize
    for axis in range(view.ndim):
        reach = view.strides[axis] * (view.shape[axis] - 1)
        if reach < 0:
            bounds.first += reach
        else:
            bounds.last += reach
    return bounds


cdef bint apart(const Py_buffer *a, const Py_buffer *b) noexcept:
    cdef Bounds x = extent(a), y = extent(b)
    return x.last <= y.first or y.last <= x.first


cdef int real_kind(const Py_buffer *view) noexcept:
    """FL_F16 ... FL_F64 for native floating point numbers, -1 for all else."""
    if view == NULL or view.format == NULL or view.format[0] == 0 or view.format[1] != 0:
        return -1
    if view.format[0] == b"f":
        return FL_F32
    if view.format[0] == b"d":
        return FL_F64
    if view.format[0] == b"e":
        return FL_F16
    return FL_BF16 if view.format[0] == BFLOAT16[0] else -1


cdef bint holds(const Py_buffer *view, int kind) noexcept:
    """Whether results from numbers of a kind can be written there: of that kind, or float32 from a narrower one."""
    cdef int own = real_kind(view)
    return own >= 0 and (own == kind or (own == FL_F32 and kind < FL_F32))


cdef bint goes_with(const Py_buffer *view, int kind) noexcept:
    """Whether numbers can be read beside scores of a kind: float64 beside float64, all else beside all else."""
    cdef int own = real_kind(view)
    return own >= 0 and (own == FL_F64) == (kind == FL_F64)


cdef int integer_kind(const Py_buffer *view) noexcept:
    """FL_I8 ... FL_U64 by size and sign, -1 for all else."""
    cdef int base
    if view == NULL or view.format == NULL or view.format[0] == 0 or view.format[1] != 0:
        return -1
    if view.itemsize == 1:
        base = FL_I8
    elif view.itemsize == 2:
        base = FL_I16
    elif view.itemsize == 4:
        base = FL_I32
    elif view.itemsize == 8:
        base = FL_I64
    else:
        return -1
    if view.format[0] in b"bhilq":
        return base
    return base + 1 if view.format[0] in b"BHILQ" else -1


cdef int label_kind(const Py_buffer *view) noexcept:
    """The same with booleans, which are 0 and 1."""
    cdef bint truth = view != NULL and view.format != NULL and view.format[0] == b"?" and view.format[1] == 0
    return FL_U8 if truth else integer_kind(view)


cdef bint aligned(const Py_buffer *view) noexcept:
    cdef int axis
    if <size_t>view.buf % <size_t>view.itemsize:
        return False
    for axis in range(view.ndim):
        if view.strides[axis] % view.itemsize:
            return False
    return True


cdef bint rows_of(const Py_buffer *view, fl_rows *rows) noexcept:
    """Whether rows along the last axis lie at one distance, or in parts of equal length that do; and where."""
    cdef int axis, last = view.ndim - 1
    cdef ptrdiff_t length, stride, part = 0
    if last < 0 or not aligned(view):
        return False
    rows.data = view.buf
    rows.kind = real_kind(view)
    rows.step = view.strides[last] // view.itemsize if view.shape[last] > 1 else 1
    rows.inner = 1
    rows.row = view.shape[last]
    rows.outer = 0
    for axis in range(last - 1, -1, -1):
        length = view.shape[axis]
        stride = view.strides[axis] // view.itemsize
        if length == 1:
            continue
        if rows.inner == 1 and part == 0:
            rows.row = stride
            rows.inner = length
        elif part == 0 and stride == rows.row * rows.inner:
            rows.inner *= length
        elif part == 0:
            rows.outer = stride
            part = length
        elif stride == rows.outer * part:
            part *= length
        else:
            return False
    if part == 0:
        rows.inner = PTRDIFF_MAX
    return True


cdef bint spread(const Py_buffer *view) noexcept:
    """Whether no two elements share memory; False also where that is not seen at once."""
    cdef int axis, other, inner
    cdef ptrdiff_t stride, reach
    for axis in range(view.ndim):
        if view.shape[axis] < 2:
            continue
        # an axis steps over all that the axes of smaller steps reach
        stride = abs(view.strides[axis])
        reach = view.itemsize
        for other in range(view.ndim):
            inner = abs(view.strides[other]) < stride or (abs(view.strides[other]) == stride and other > axis)
            if inner and other != axis and view.shape[other] > 1:
                reach += abs(view.strides[other]) * (view.shape[other] - 1)
        if stride < reach:
            return False
    return True


cdef bint contiguous(const Py_buffer *view) noexcept:
    cdef int axis
    cdef ptrdiff_t expected = view.itemsize
    if not aligned(view):
        return False
    for axis in range(view.ndim - 1, -1, -1):
        if view.shape[axis] > 1 and view.strides[axis] != expected:
            return False
        expected *= view.shape[axis]
    return True


cdef bint flat(const Py_buffer *view, fl_rows *rows) noexcept:
    """Whether all elements are adjacent, as rows of one."""
    rows.data = view.buf
    rows.kind = real_kind(view)
    rows.inner = PTRDIFF_MAX
    rows.row = rows.step = 1
    rows.outer = 0
    return contiguous(view)


cdef bint same_shape(const Py_buffer *a, const Py_buffer *b, int axes) noexcept:
    cdef int axis
    for axis in range(axes):
        if a.shape[axis] != b.shape[axis]:
            return False
    return True


cdef bint samples_of(const Py_buffer *view, fl_samples *samples, int kind) noexcept:
    """Samples in order at one distance."""
    samples.data = <const char *>view.buf
    samples.stride = view.itemsize
    samples.repeat = 1
    samples.kind = kind
    if view.ndim == 1 and aligned(view):
        samples.stride = view.strides[0]
        return True
    return contiguous(view)


cdef bint spread_over(const Py_buffer *view, const Py_buffer *z, fl_samples *samples) noexcept:
    """One number for each element of z, for each row of it, or for all."""
    cdef int axis, last = z.ndim - 1
    if not samples_of(view, samples, real_kind(view)):
        return False
    if view.ndim == 0:
        for axis in range(z.ndim):
            samples.repeat *= max(z.shape[axis], 1)
        return True
    if view.ndim != z.ndim or not same_shape(view, z, last):
        return False
    if view.shape[last] != z.shape[last]:
        samples.repeat = z.shape[last]
    return view.shape[last] == z.shape[last] or view.shape[last] == 1


cdef struct Views:
    # the buffers of one call, given back when it ends
    Py_buffer view[8]
    int count


# No format of a buffer means bfloat16; this one is its character in NumPy, in the package ml_dtypes.
cdef const char *BFLOAT16 = b"E"


cdef Py_buffer *take(Views *views, object array, int flags):
    """NULL if there is no such buffer: read-only memory, or a type without a format."""
    cdef Py_buffer *view = &views.view[views.count]
    try:
        PyObject_GetBuffer(array, view, flags | PyBUF_STRIDES | PyBUF_FORMAT)
    except (ValueError, BufferError):
        return take_bfloat16(views, array, flags) if array.dtype.name == "bfloat16" else NULL
    views.count += 1
    return view


cdef Py_buffer *take_bfloat16(Views *views, object array, int flags):
    """The same for an array that exports no buffer, but its bits do."""
    cdef Py_buffer *view = &views.view[views.count]
    try:
        PyObject_GetBuffer(array.view("u2"), view, flags | PyBUF_STRIDES | PyBUF_FORMAT)
    except (ValueError, BufferError):
        return NULL
    view.format = <char *>BFLOAT16
    views.count += 1
    return view


cdef void give_back(Views *views) noexcept:
    cdef int i
    for i in range(views.count):
        PyBuffer_Release(&views.view[i])


cdef object like(object scores, const Py_buffer *view):
    """A new array that lies in memory as the scores do, if they repeat no element."""
    return empty_like(scores) if contiguous(view) or spread(view) else empty(scores.shape, scores.dtype)
