# SPDX-License-Identifier: BSD-3-Clause
# Which kernels there are, and what they run on. Part of _core.pyx.

def losses():
    """Names of the loss kernels, as in losses.def."""
    return tuple(name for name in _names if fl_kernel_families[_names[name]] <= FL_ELEMENTWISE)


def functions():
    """Names of the function kernels, as in losses.def."""
    return tuple(name for name in _names if FL_ROW_FUNCTION <= fl_kernel_families[_names[name]] <= FL_ELEMENT_FUNCTION)


def isas(*, built=False):
    """Instruction sets that run here, or all that were built; best first."""
    cdef int index = 0, runs = 0
    cdef const char *name
    found = []
    while True:
        name = fl_isa_name(index, &runs)
        if name == NULL:
            return tuple(found)
        if runs or built:
            found.append(name.decode())
        index += 1


def active_isa():
    """The instruction set in use."""
    return active.name.decode()


def use_isa(str name):
    """Use the named instruction set from the next call on."""
    global active
    cdef bytes encoded = name.encode()
    cdef const fl_table *table = fl_select(encoded)
    if table == NULL:
        raise ValueError(
            f"instruction set {name!r}: expected one of {', '.join(isas())}, which run on this machine"
        )
    active = table


def use_threads(int count):
    """Use at most `count` threads from the next call on."""
    global threads
    threads = count


def thread_count():
    """How many threads a large call uses."""
    return threads
