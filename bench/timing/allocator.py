"""Keeps freed memory with the process, so that a call does not pay for pages by luck.

glibc's malloc hands large blocks, and the end of its heap, back to the kernel when they are freed.
The next call gets them as pages that must be mapped and zeroed anew. How many depends on what
happens to lie at the end of the heap: on the tiny profile at batch 8 between 1800 and 6400 page
faults a call, 56 to 66 ms for the same prefill, the same for all of one process's life and
different in the next. With memory held there are none, in any process.
"""

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # of mallopt, from glibc's malloc.h
_SETTINGS = {
    _MMAP_MAX: 0,  # large blocks come from the heap, too
    _TRIM_THRESHOLD: 2**31 - 1,  # whose end stays
    _TOP_PAD: 1 << 26,  # and which grows in steps of 64 MiB
}


def hold_memory() -> bool:
    """From now on, for good; False where malloc is not glibc's, which is then left as it is."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # musl, macOS, Windows
        return False
    settings = [mallopt(parameter, value) for parameter, value in _SETTINGS.items()]
    return all(settings)
