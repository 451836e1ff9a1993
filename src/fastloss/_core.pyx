# cython: language_level=3
# SPDX-License-Identifier: BSD-3-Clause
"""The boundary: buffers become pointers here, and everything that could touch foreign memory is checked here.

Nothing in this module explains; an argument that cannot be read as it is makes `Kernel.direct` return None, and
`fastloss.evaluate` finds out why or converts it.
"""
from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid

from libc.float cimport DBL_MAX, DBL_MIN
from libc.math cimport fabs
from libc.stddef cimport ptrdiff_t
from libc.stdlib cimport free, malloc

import os

from numpy import empty, empty_like, ndarray


from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t

cdef extern from "fastloss.h" nogil:
    const int FL_KERNELS, FL_OPTIONS, FL_STATISTICS
    const int FL_ROWWISE, FL_DISTRIBUTION, FL_PAIRED, FL_ELEMENTWISE
    const int FL_ROW_FUNCTION, FL_ELEMENT_FUNCTION, FL_REGULARIZER
    const int FL_I8, FL_U8, FL_I16, FL_U16, FL_I32, FL_U32, FL_I64, FL_U64, FL_F16, FL_BF16, FL_F32, FL_F64
    ctypedef struct fl_samples:
        const char *data
        ptrdiff_t stride, repeat
        int kind
    ctypedef struct fl_rows:
        void *data
        ptrdiff_t inner, outer, row, step
        int kind
    ctypedef struct fl_call
    ctypedef double (*fl_kernel)(const fl_call *call, ptrdiff_t first, ptrdiff_t last)
    ctypedef struct fl_call:
        fl_rows z, g, h, q
        const void *t
        int t_kind, l_kind
        const char *ahead_z
        const char *ahead_t
        const char *ahead_g
        fl_kernel kernel
        fl_samples y, w
        ptrdiff_t entries
        const double *class_weight
        const double *margins
        const void *costs
        fl_samples second
        ptrdiff_t cycle
        int64_t ignored
        int some_ignored
        void *l
        const void *statistics
        char *scratch
        size_t scratch_bytes
        ptrdiff_t classes
        double scale, low, high, score_high
        double option[8]
    ctypedef ptrdiff_t (*fl_check)(const fl_call *call, ptrdiff_t first, ptrdiff_t last)
    ctypedef struct fl_table:
        const char *name
        fl_kernel kernel[2][1000]
        fl_kernel half
        fl_check outside[3]
        fl_check bad_score[3]
        fl_check bad_row
        fl_check bad_variance
        fl_check improbable[3]
        ptrdiff_t (*bad_label)(const fl_call *call, ptrdiff_t count)
        double (*sum_own_weights)(const fl_samples *w, ptrdiff_t samples, double *count)
        double (*sum_weights)(const fl_call *call, ptrdiff_t rows, double *count)
        double (*sum_distribution_weights)(const fl_call *call, ptrdiff_t rows, double *count)
        double (*sum_element_weights)(const fl_call *call, ptrdiff_t rows, double *count)
    const char *fl_kernel_names[1000]
    const int fl_kernel_families[1000]
    const fl_table *fl_select(const char *name)
    const char *fl_isa_name(int index, int *runnable)
    bint fl_weighted(const fl_call *call)
    size_t fl_scratch_bytes(const fl_call *call, size_t size)
    size_t fl_half_scratch_bytes(const fl_call *call)
    double fl_run(const fl_call *call, fl_kernel kernel, fl_check outside, ptrdiff_t rows, int threads, ptrdiff_t *bad)

cdef extern from "<stdint.h>":
    const ptrdiff_t PTRDIFF_MAX

cdef extern from *:
    const char *FL_VERSION
    const char *FL_COMPILER

# a C variable is found faster than a name of the module
cdef object plain = ndarray
cdef const fl_table *active = NULL
cdef int threads = 1

version = FL_VERSION.decode()
compiler = FL_COMPILER.decode()


cdef dict _names = {fl_kernel_names[i].decode(): i for i in range(FL_KERNELS)}


include "running.pxi"
include "buffers.pxi"
include "numbers.pxi"
include "dlpack.pxi"


cdef void without_samples(fl_call *call) noexcept:
    """What holds where there are no targets and no weights."""
    call.y.data = call.w.data = call.second.data = NULL
    call.y.repeat = call.w.repeat = call.second.repeat = 1
    call.cycle = 0
    call.t = call.l = call.g.data = call.h.data = call.q.data = NULL
    call.ahead_z = call.ahead_t = call.ahead_g = NULL
    call.entries = call.some_ignored = 0
    call.class_weight = call.margins = NULL
    call.costs = NULL
    call.classes = call.scale = 1


cdef int table_of(const fl_call *call) noexcept:
    """Where the kernels for these types are: 0 for float32, 1 for float64, 2 where numbers of 16 bits are widened."""
    cdef bint half = call.z.kind < FL_F32 or (call.t != NULL and FL_F16 <= call.t_kind < FL_F32)
    if half or (call.q.data != NULL and call.q.kind < FL_F32):
        return 2
    return 1 if call.z.kind == FL_F64 else 0


class OutOfRange(Exception):
    """What is out of range: "targets" or "scores", its flat index and value."""


cdef class Kernel:
    """A kernel with its options, ready to be called.

    `low` and `high` bound the targets of an elementwise loss, 0 and `score_high` its scores; NaN: no check. Targets in
    [-1, 1] are signs. `class_weight`, a tuple, and `ignore_index` are for classes. `of_distributions` names the kernel
    for targets that are distributions, and `of_labels` says whether they may be class indices. `margins` are one number
    per class, or rows of one per pair. `of_pairs` says that targets come with variances; `places` are one weight for
    each place on the last axis.
    """

    cdef int index, family, of_distributions
    cdef bint of_labels, of_pairs
    cdef bint mean, each, counted
    cdef double low, high, score_high
    cdef double option[8]
    cdef double *class_weight
    cdef double *margins
    cdef void *costs[2]
    cdef double *places
    cdef ptrdiff_t class_weights, margin_classes, place_count
    cdef bint some_ignored
    cdef int64_t ignored

    def __init__(
        self, str name, str reduction="sum", tuple options=(), double low=float("nan"), double high=float("nan"),
        double score_high=float("nan"), tuple class_weight=None, ignore_index=None, str of_distributions=None,
        bint of_labels=True, tuple margins=None, bint of_pairs=False, tuple places=None,
    ):
        cdef ptrdiff_t i
        self.index = _names[name]
        self.of_distributions = _names.get(of_distributions, -1)
        self.of_labels = of_labels
        self.of_pairs = of_pairs
        self.family = fl_kernel_families[self.index]
        self.counted = reduction == "batch_mean"
        self.mean = reduction == "mean" or self.counted
        self.each = reduction == "none"
        self.low = low
        self.high = high
        self.score_high = score_high
        if len(options) > FL_OPTIONS:
            raise ValueError(f"{name}: at most {FL_OPTIONS} options")
        for i in range(8):
            self.option[i] = options[i] if i < len(options) else 0
        self.some_ignored = ignore_index is not None and -(2**63) <= ignore_index < 2**63  # no label is any other
        self.ignored = ignore_index if self.some_ignored else 0
        self.release()
        if class_weight is not None:
            self.class_weights = len(class_weight)
            self.class_weight = numbers(class_weight)
        if places is not None:
            self.place_count = len(places)
            self.places = numbers(places)
        if margins is not None:
            self.margin_classes = len(margins)
            if margins and type(margins[0]) is tuple:
                flat = tuple(cost for row in margins for cost in row)
                self.costs[1] = numbers(flat)
                self.costs[0] = <void *>single(flat)
            else:
                self.margins = numbers(margins)

    def __dealloc__(self):
        self.release()

    cdef void release(self) noexcept:
        free(self.class_weight)
        free(self.margins)
        free(self.places)
        free(self.costs[0])
        free(self.costs[1])
        self.class_weight = self.margins = self.places = NULL
        self.costs[0] = self.costs[1] = NULL

    cdef bint samples_by_class(self, fl_call *call, int real) noexcept:
        """Say what classes do to weights and margins; False if that has been said for another number of them."""
        call.class_weight = self.class_weight
        call.margins = self.margins
        call.costs = self.costs[1 if real == FL_F64 else 0]
        if (self.margins != NULL or self.costs[0] != NULL) and self.margin_classes != call.classes:
            return False
        cdef bint wraps = call.y.data != NULL and call.y.kind == FL_U64 and self.ignored < 0
        call.some_ignored = self.some_ignored and not wraps and call.q.data == NULL
        call.ignored = self.ignored
        return self.class_weight == NULL or self.class_weights == call.classes

    def sum_weights(self, targets, weight, ptrdiff_t classes):
        """The sum of the weights of contiguous samples, and how many are not 0; targets good ones, as for `direct`."""
        cdef fl_call call
        cdef Views views
        cdef int index, real
        cdef ptrdiff_t rows
        cdef double total, count
        cdef Py_buffer *t
        numbers_of = targets[1] if type(targets) is tuple else targets
        views.count = 0
        without_samples(&call)
        call.classes = classes
        try:
            if self.family == FL_ELEMENTWISE or self.family == FL_PAIRED:
                t = take(&views, targets, 0)
                call.t = t.buf
                call.t_kind = max(real_kind(t), label_kind(t))
                index = self.index
            else:
                real = FL_F32 if numbers_of.dtype.char == "f" else FL_F64
                index = self.take_targets(targets, &views, &call, real, 1)
            rows = 0 if index < 0 else views.view[0].shape[0]
            if index < 0 or not self.samples_by_class(&call, 0) or (
                weight is not None and not self.take_weights(weight, &views, &call, &views.view[0], 1)
            ):
                raise ValueError("targets and weights that cannot be read")
            total = self.summed_weights(&call, index, rows, &count)
            return total, count
        finally:
            give_back(&views)

    cdef double summed_weights(self, const fl_call *call, int index, ptrdiff_t rows, double *count) noexcept:
        if call.class_weight == NULL and not call.some_ignored and call.w.data != NULL:
            return active.sum_own_weights(&call.w, rows, count)
        if fl_kernel_families[index] == FL_DISTRIBUTION:
            return active.sum_distribution_weights(call, rows, count)
        if call.t != NULL:
            return active.sum_element_weights(call, rows, count)
        return active.sum_weights(call, rows, count)

    cdef int take_targets(
        self, object targets, Views *views, fl_call *call, int real, int sample_axes
    ) except -2:
        """See where the targets of rows lie, in whichever form; the index of the kernel for it, -1 if there is none."""
        cdef Py_buffer *t
        cdef Py_buffer *p
        cdef int kind, last
        if type(targets) is tuple:
            if self.of_distributions < 0 or not self.of_labels or len(targets) != 2:
                return -1
            if type(targets[0]) is not plain or type(targets[1]) is not plain:
                return -1
            t = take(views, targets[0], 0)
            p = take(views, targets[1], 0) if t != NULL else NULL
            kind = integer_kind(t)
            if kind < 0 or not goes_with(p, real) or t.ndim != sample_axes + 1 or p.ndim != t.ndim:
                return -1
            last = t.ndim - 1
            if not same_shape(t, p, t.ndim) or t.shape[last] == 0 or not contiguous(t) or not contiguous(p):
                return -1
            samples_of(t, &call.y, kind)
            call.entries = t.shape[last]
            call.t = p.buf
            call.t_kind = real_kind(p)
            return self.of_distributions
        if type(targets) is not plain:
            return -1
        t = take(views, targets, 0)
        kind = integer_kind(t)
        if kind >= 0:
            good = self.of_labels and t.ndim == sample_axes and samples_of(t, &call.y, kind)
            return self.index if good else -1
        if self.of_distributions < 0 or not goes_with(t, real) or t.ndim != sample_axes + 1 or not rows_of(t, &call.q):
            return -1
        return self.of_distributions if t.shape[sample_axes] == call.classes else -1

    cdef bint ignores_more_than(self, int64_t size) noexcept:
        return self.some_ignored and not -size <= self.ignored <= size

    cdef Py_buffer *take_elements(self, object targets, Views *views, fl_call *call, Py_buffer *z, int real):
        """See where the targets of elements lie, and what comes with them; NULL if they cannot be read so."""
        cdef Py_buffer *t
        cdef Py_buffer *v
        first = targets
        if self.of_pairs:
            if type(targets) is not tuple or len(targets) != 2 or type(targets[1]) is not plain:
                return NULL
            first = targets[0]
        t = take(views, first, 0) if type(first) is plain else NULL
        cdef int kind = max(real_kind(t), label_kind(t))
        cdef bint beside = goes_with(t, real)
        if not beside and (kind < 0 or kind == FL_U64 or FL_F16 <= kind < FL_F32 or self.ignores_more_than(2**24)):
            return NULL
        if not flat(z, &call.z) or not contiguous(t) or t.ndim != z.ndim:
            return NULL
        if self.of_pairs:
            v = take(views, targets[1], 0)
            if not goes_with(v, real) or not spread_over(v, z, &call.second):
                return NULL
        elif self.places != NULL:
            if z.ndim == 0 or z.shape[z.ndim - 1] != self.place_count:
                return NULL
            call.cycle = self.place_count
            call.second.data = <const char *>self.places
            call.second.stride = 8
            call.second.kind = FL_F64
        call.t = t.buf
        call.t_kind = kind
        self.samples_by_class(call, real)
        return t

    def direct(self, scores, targets, weight, out, hess_out, int order, divisor=None):
        """Evaluate if every argument can be read and written where it lies, else return None.

        `order` is 0 for the value, 1 with the gradient, 2 with the Hessian diagonal; `out` and `hess_out` are made
        when they are None. `divisor` is that of a mean when this call is part of a larger one, and the value then
        is the sum. Raises OutOfRange.
        """
        if type(scores) is not plain or (type(targets) is not plain and type(targets) is not tuple):
            return None
        if weight is not None and type(weight) is not plain:
            return None
        if (out is not None and type(out) is not plain) or (hess_out is not None and type(hess_out) is not plain):
            return None
        cdef Views views
        views.count = 0
        try:
            return self.evaluate(&views, scores, targets, weight, out, hess_out, order, divisor)
        finally:
            give_back(&views)

    cdef object evaluate(
        self, Views *views, object scores, object targets, object weight, object out, object hess_out, int order,
        object given_divisor,
    ):
        cdef fl_call call
        cdef bint rowwise = self.family == FL_ROWWISE or self.family == FL_DISTRIBUTION
        cdef Py_buffer *z = take(views, scores, 0)
        cdef Py_buffer *t
        cdef int real = real_kind(z), index = self.index, axis
        cdef ptrdiff_t rows = 1, bad = -1
        cdef double total = 0
        if real < 0:
            return None
        without_samples(&call)
        call.low = self.low
        call.high = self.high
        call.score_high = self.score_high
        call.option = self.option
        cdef int sample_axes = z.ndim
        if rowwise:
            sample_axes -= 1
            if not rows_of(z, &call.z):
                return None
            call.classes = z.shape[sample_axes]
            index = self.take_targets(targets, views, &call, real, sample_axes)
            if index < 0 or call.classes == 0 or not self.samples_by_class(&call, real):
                return None
            t = &views.view[1]
        else:
            t = self.take_elements(targets, views, &call, z, real)
            if t == NULL:
                return None
        if not same_shape(z, t, sample_axes):
            return None
        for axis in range(sample_axes):
            rows *= z.shape[axis]
        if weight is not None and not self.take_weights(weight, views, &call, z, sample_axes):
            return None

        if order >= 1:
            if out is None:
                out = like(scores, z)
            if not self.take_output(out, views, z, &call.g):
                return None
        if order >= 2:
            if hess_out is None:
                hess_out = like(scores, z)
            if not self.take_output(hess_out, views, z, &call.h) or (
                rows * call.classes > 0 and not apart(&views.view[views.count - 1], &views.view[views.count - 2])
            ) or call.h.data == z.buf:
                return None
        cdef Py_buffer *l
        each = None
        if self.each and given_divisor is None:
            each = empty(scores.shape[:sample_axes], "d" if real == FL_F64 else "f")
            l = take(views, each, PyBUF_WRITABLE)
            call.l = l.buf
            call.l_kind = real_kind(l)

        if call.y.data != NULL:
            bad = active.bad_label(&call, rows * max(call.entries, 1))
            if bad >= 0:
                labels = targets if call.entries == 0 else targets[0]
                raise OutOfRange("targets", bad, labels.reshape(-1)[bad])
        cdef double divisor = rows, count = rows
        if given_divisor is not None:
            divisor = given_divisor
        elif fl_weighted(&call):
            divisor = self.summed_weights(&call, index, rows, &count)
            if divisor != 0 and not DBL_MIN <= fabs(divisor) <= DBL_MAX:
                return None
            if self.counted:
                divisor = count
        cdef bint nothing_counts = rows == 0 or (self.mean and divisor == 0)
        if nothing_counts:
            bad = active.improbable[table_of(&call)](&call, 0, rows)
            if bad >= 0:
                raise OutOfRange("targets", bad, None)
            if out is not None and order >= 1:
                out[...] = 0
            if hess_out is not None and order >= 2:
                hess_out[...] = 0
            total = float("nan") if self.mean and given_divisor is None else 0.0
        else:
            call.scale = 1 / divisor if self.mean else 1
            if self.score_high == self.score_high:
                self.check_scores(&call, rows, scores, targets)
            bad = self.run(&call, index, rows, &total, given_divisor is not None)
            if bad >= 0:
                known = index == self.index and not self.of_pairs
                raise OutOfRange("targets", bad, targets.reshape(-1)[bad] if known else None)
            if self.mean and given_divisor is None:
                total = total / divisor
        value = total if each is None else each
        if order == 0:
            return value
        return (value, out) if order == 1 else (value, out, hess_out)

    cdef int check_scores(self, fl_call *call, ptrdiff_t rows, object scores, object targets) except -1:
        """Raise for a target or a score that is out of range."""
        cdef ptrdiff_t target, score
        if self.family == FL_ROWWISE:
            score = active.bad_row(call, 0, rows)
            if score >= 0:
                raise OutOfRange("scores", score, None)
            return 0
        cdef int table = table_of(call)
        target = active.outside[table](call, 0, rows)
        score = active.bad_score[table](call, 0, rows)
        if target >= 0:
            raise OutOfRange("targets", target, targets.reshape(-1)[target])
        if score >= 0:
            raise OutOfRange("scores", score, scores.reshape(-1)[score])
        return 0

    cdef bint take_weights(
        self, object weight, Views *views, fl_call *call, Py_buffer *z, int sample_axes
    ) except -1:
        """Weights whose shape is a leading part of the samples' shape."""
        cdef Py_buffer *w = take(views, weight, 0)
        cdef int kind = real_kind(w), axis
        if kind < 0 or w.ndim > sample_axes or not same_shape(w, z, w.ndim) or not samples_of(w, &call.w, kind):
            return False
        for axis in range(w.ndim, sample_axes):
            call.w.repeat *= z.shape[axis]
        return True

    cdef bint take_output(self, object array, Views *views, Py_buffer *z, fl_rows *rows) except -1:
        """An array of the scores' shape that is the scores or touches no input; float32, or of their type."""
        cdef Py_buffer *g = take(views, array, PyBUF_WRITABLE)
        if not holds(g, real_kind(z)) or g.ndim != z.ndim or not same_shape(g, z, z.ndim):
            return False
        if self.family in (FL_ROWWISE, FL_DISTRIBUTION, FL_ROW_FUNCTION):
            if not rows_of(g, rows) or not (contiguous(g) or spread(g)):
                return False
        elif not flat(g, rows):
            return False
        if g.len == 0:
            return True
        cdef bint same = g.buf == z.buf and g.itemsize == z.itemsize
        cdef int axis, i
        for axis in range(g.ndim):
            same = same and (g.shape[axis] == 1 or g.strides[axis] == z.strides[axis])
        for i in range(views.count - 1):
            if views.view[i].len > 0 and not (same and &views.view[i] == z) and not apart(g, &views.view[i]):
                return False
        return True

    cdef ptrdiff_t run(self, fl_call *call, int index, ptrdiff_t rows, double *total, bint checked=False) except -2:
        """Without the GIL, unless it is sooner done than given back; returns the index of a bad target or -1."""
        cdef ptrdiff_t bad = -1
        cdef void *scratch = NULL
        cdef int real = table_of(call)
        cdef fl_kernel kernel = active.kernel[real % 2][index]
        cdef fl_check outside = NULL
        cdef int count = threads if rows * call.classes >= 131072 else 1
        cdef int family = fl_kernel_families[index]
        cdef bint rowwise = family in (FL_ROWWISE, FL_ROW_FUNCTION, FL_STATISTICS)
        if self.of_pairs and not checked:
            outside = active.bad_variance
        elif (family == FL_ELEMENTWISE or family == FL_PAIRED) and call.low == call.low:
            outside = active.outside[real]
        elif family == FL_DISTRIBUTION and (call.q.data != NULL or call.entries > 0):
            outside = active.improbable[real]
        if real == 2:
            call.kernel, kernel = kernel, active.half
            call.scratch_bytes = fl_half_scratch_bytes(call)
        else:
            call.scratch_bytes = fl_scratch_bytes(call, 4 if real == 0 else 8) if rowwise else 0
        if call.scratch_bytes:
            scratch = malloc(count * call.scratch_bytes)
            if scratch == NULL:
                raise MemoryError("no memory for a band of rows")
        call.scratch = <char *>scratch
        if rows * call.classes <= 4096:
            total[0] = fl_run(call, kernel, outside, rows, count, &bad)
        else:
            with nogil:
                total[0] = fl_run(call, kernel, outside, rows, count, &bad)
        free(scratch)
        return bad

    def map(self, scores, out):
        """A function along the last axis of `scores`, or of each element, into `out`; None if it cannot be."""
        if type(scores) is not plain or type(out) is not plain:
            return None
        cdef Views views
        views.count = 0
        try:
            return self.apply(&views, scores, out)
        finally:
            give_back(&views)

    cdef object apply(self, Views *views, object scores, object out):
        cdef fl_call call
        cdef Py_buffer *z = take(views, scores, 0)
        cdef Py_buffer *l
        cdef int real = real_kind(z), axis
        cdef ptrdiff_t rows = 1
        cdef double total = 0
        if real < 0:
            return None
        without_samples(&call)
        if self.family == FL_ROW_FUNCTION:
            if not rows_of(z, &call.z):
                return None
            call.classes = z.shape[z.ndim - 1]
            for axis in range(z.ndim - 1):
                rows *= z.shape[axis]
        else:
            if not flat(z, &call.z):
                return None
            for axis in range(z.ndim):
                rows *= z.shape[axis]
        if out.ndim == scores.ndim:
            if not self.take_output(out, views, z, &call.g):
                return None
        else:
            l = take(views, out, PyBUF_WRITABLE)
            if not holds(l, real) or l.ndim != z.ndim - 1 or not same_shape(l, z, l.ndim) or not contiguous(l):
                return None
            if z.len > 0 and l.len > 0 and not apart(l, z):
                return None
            call.l = l.buf
            call.l_kind = real_kind(l)
        if rows > 0 and call.classes > 0:
            self.run(&call, self.index, rows, &total)
        return out


include "maps.pxi"


def _start():
    global active, threads
    name = os.environ.get("FASTLOSS_ISA")
    if name:
        try:
            use_isa(name)
        except ValueError as error:
            raise ImportError(f"FASTLOSS_ISA: {error}") from None
    else:
        active = fl_select(NULL)


_start()
