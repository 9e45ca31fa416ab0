"""Making a map as a task of the queue."""

import threading
from collections.abc import Callable

from aevae.embeddings import umaps
from aevae.embeddings.maps import MapRequest, Stopped, make


def work(request: dict, tell: Callable[[dict], None], should_stop: Callable[[], bool]) -> bool:
    """Make the map of `MapRequest.to_dict()` and keep it. True when it is there, False when told to stop.

    Raises ValueError with one sentence for what cannot be. While the first map of this process is made, UMAP compiles.
    """
    asked = MapRequest.from_dict(request)
    warm()
    try:
        make(asked, tell, should_stop)
    except Stopped:
        return False
    return True


def warm() -> None:
    """Have UMAP compiled aside, once in this process; comes back at once."""
    with _once:
        if not _warming:
            _warming.append(threading.Thread(target=umaps.warm, name="umap compiles"))
            _warming[0].start()


_once = threading.Lock()
_warming: list[threading.Thread] = []
