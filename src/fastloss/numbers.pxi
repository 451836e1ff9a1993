# SPDX-License-Identifier: BSD-3-Clause
# Options that are one number per class, as C has them. Part of _core.pyx.

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
