"""Making a map as a task of the queue."""

import threading
from collections.abc import Callable

from aevae.embeddings import umaps
from aevae.embeddings.maps import MapRequest, Stopped, make


def work(request: dict, tell: Callable[[dict], None], should_stop: Callable[[], bool]) -> bool:
    """Make the map of `MapRequest.to_dict()` and keep it. True when it is there, False when told to stop.

    Where t-SNE must do without a GPU that is there, what is told has a `note` that says so. Raises ValueError with one
    sentence for what cannot be. While the first map of this process is made, UMAP compiles.
    """
    asked = MapRequest.from_dict(request)
    warm()
    try:
        make(asked, _with_note(tell) if asked.method == "tsne" else tell, should_stop)
    except Stopped:
        return False
    return True


def _with_note(tell: Callable[[dict], None]) -> Callable[[dict], None]:
    """`tell`, with a note if t-SNE, which would take a CUDA GPU, cannot."""
    from aevae.training.device import gpu_warning

    note = {"note": said} if (said := gpu_warning()) else {}
    return lambda news: tell(news | note)


def warm() -> None:
    """Have UMAP compiled aside, once in this process; comes back at once."""
    with _once:
        if not _warming:
            _warming.append(threading.Thread(target=umaps.warm, name="umap compiles"))
            _warming[0].start()


_once = threading.Lock()
_warming: list[threading.Thread] = []
