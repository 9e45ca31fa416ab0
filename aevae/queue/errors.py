"""Errors of trainings and tasks as sentences for users."""

import errno

OUT_OF_MEMORY = "out of memory; use a smaller batch or network"
DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # disk full, user's quota reached, file too large
OUT_OF_MEMORY_PHRASES = (  # in messages of torch, the system, thread starts, library loading, and Rust
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "can't start new thread",
    "failed to map segment",
    "memory allocation",
)


def user_message(error: BaseException) -> str:
    """One sentence about an error that says, where possible, what to do."""
    code, text = getattr(error, "errno", None), str(error)
    if code in DISK_FULL_ERRORS or "No space left on device" in text:
        return "the disk is full; free some space, then resume the run. Finished epochs are not lost"
    out_of_memory = any(phrase in text.lower() for phrase in OUT_OF_MEMORY_PHRASES)
    if isinstance(error, MemoryError) or code == errno.ENOMEM or out_of_memory:
        return OUT_OF_MEMORY
    if not isinstance(error, Exception):  # a panic of safetensors
        return f"a library failed ({text}), probably out of memory; use a smaller batch or network"
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {error.filename or 'the store'}"
    return text or type(error).__name__
