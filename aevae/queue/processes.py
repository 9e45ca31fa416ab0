"""Check and end processes by id, on every system, no matter which process started them."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path


def is_running(pid: int) -> bool:
    """Whether a process with this id runs. A zombie (ended, but not reaped by its parent) counts as ended.

    os.getppid() is not used, because launchers come between: on Windows the `python.exe` of a virtual environment
    starts the real interpreter as its child, and wrappers (conda run, a shell script) do so everywhere.
    """
    if sys.platform == "win32":  # os.kill(pid, 0) would end the process there
        return _is_running_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it belongs to another user
        pass
    with contextlib.suppress(OSError, IndexError):  # only Linux has this file: "pid (name) state ..."
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    return True


def _is_running_on_windows(pid: int) -> bool:
    import ctypes
    from ctypes import wintypes

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # ty: ignore[missing-attribute]  (Windows only)
    kernel.OpenProcess.argtypes = (wintypes.DWORD, wintypes.BOOL, wintypes.DWORD)
    kernel.OpenProcess.restype = wintypes.HANDLE
    kernel.WaitForSingleObject.argtypes = (wintypes.HANDLE, wintypes.DWORD)
    kernel.CloseHandle.argtypes = (wintypes.HANDLE,)
    synchronize, access_denied, timed_out = 0x100000, 5, 0x102
    handle = kernel.OpenProcess(synchronize, False, pid)
    if not handle:
        return ctypes.get_last_error() == access_denied  # ty: ignore[missing-attribute]
    try:
        return kernel.WaitForSingleObject(handle, 0) == timed_out
    finally:
        kernel.CloseHandle(handle)


def kill(pid: int) -> None:
    """Kill this process; does nothing if there is none."""
    with contextlib.suppress(OSError):
        os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))  # Windows has no SIGKILL; there SIGTERM kills


def end_child(process: subprocess.Popen) -> None:
    """Kill a process that this one started, and wait for its end. If it is a launcher, its child runs on (`kill`)."""
    process.kill()
    process.wait()
