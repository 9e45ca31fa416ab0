"""Computation of a map as a task of the queue."""

import threading
from collections.abc import Callable

from aevae.embeddings import umaps
from aevae.embeddings.maps import MapRequest, Stopped, make_map


def work(request: dict, tell: Callable[[dict], None], should_stop: Callable[[], bool]) -> bool:
    """True when the map of `request` (`MapRequest.to_dict()`) is stored; False if `should_stop` ended the task.

    If t-SNE cannot use a GPU that is present, the progress has a `note` that says so. Raises ValueError with one
    sentence for a wrong request. UMAP is compiled while the first map of this process is computed.
    """
    map_request = MapRequest.from_dict(request)
    warm()
    try:
        make_map(map_request, _with_note(tell) if map_request.method == "tsne" else tell, should_stop)
    except Stopped:
        return False
    return True


def _with_note(tell: Callable[[dict], None]) -> Callable[[dict], None]:
    """`tell`, with a note if t-SNE cannot use the CUDA GPU that is present."""
    from aevae.training.device import gpu_warning

    note = {"note": warning} if (warning := gpu_warning()) else {}
    return lambda figures: tell(figures | note)


def warm() -> None:
    """Compile UMAP in a thread, once per process. Returns at once."""
    with _once:
        if not _warming:
            _warming.append(threading.Thread(target=umaps.warm, name="UMAP is being compiled (only the first time)"))
            _warming[0].start()


_once = threading.Lock()
_warming: list[threading.Thread] = []
