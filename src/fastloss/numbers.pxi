# SPDX-License-Identifier: BSD-3-Clause
# Arrays of double: options that are one number per class, as C has them, and sums. Part of _core.pyx.

cdef double *numbers(tuple values) except NULL:
    """Numbers as C has them; a few more can be read past the last."""
    cdef ptrdiff_t i, count = len(values)
    cdef double *array = <double *>malloc((count + 64) * sizeof(double))
    if array == NULL:
        raise MemoryError("no memory for an option with one number per class")
    for i in range(count + 64):
        array[i] = values[i] if i < count else 0
    return array


cdef float *single(tuple values) except NULL:
    cdef ptrdiff_t i, count = len(values)
    cdef float *array = <float *>malloc((count + 64) * sizeof(float))
    if array == NULL:
        raise MemoryError("no memory for an option with one number per class")
    for i in range(count + 64):
        array[i] = values[i] if i < count else 0
    return array


def sum_weights(const double[::1] weights):
    """The sum that a weighted mean divides by."""
    cdef fl_samples samples
    cdef double count
    if weights.shape[0] == 0:
        return 0.0
    samples.data = <const char *>&weights[0]
    samples.stride = 8
    samples.repeat = 1
    samples.kind = FL_F64
    return active.sum_own_weights(&samples, weights.shape[0], &count)
