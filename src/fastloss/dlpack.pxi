# SPDX-License-Identifier: BSD-3-Clause
# Arrays of other packages, of which NumPy refuses the type of the elements. Part of _core.pyx.

# The beginning of DLPack's DLManagedTensor, and its numbers for types of elements.
cdef struct Exchanged:
    void *data
    int32_t device, number, axes
    uint8_t code, bits
    uint16_t lanes

cdef enum:
    EXCHANGED_NATURAL = 1
    EXCHANGED_BFLOAT16 = 4


def bfloat16_to_integers(capsule):
    """Declare the numbers in a DLPack capsule integers if they are bfloat16, which NumPy refuses; whether they are."""
    if not PyCapsule_IsValid(capsule, b"dltensor"):
        return False
    cdef Exchanged *tensor = <Exchanged *>PyCapsule_GetPointer(capsule, b"dltensor")
    if tensor.code != EXCHANGED_BFLOAT16 or tensor.bits != 16 or tensor.lanes != 1:
        return False
    tensor.code = EXCHANGED_NATURAL
    return True
