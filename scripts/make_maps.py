"""Makes the shipped maps, which the presets of the page Embeddings show: `python scripts/make_maps.py`.

1,000 test digits of mnist-5k, in the two largest shipped codes and in pixels. Each map is a file of a few kilobytes in
checkpoints/maps, named by the identity of its request (which contains the run's checksum), with positions in float16.
Existing files are kept; empty the folder to compute all maps again.
"""

import dataclasses

import numpy as np

from aevae import paths
from aevae.browser.blob import class_numbers
from aevae.embeddings import MapRequest, make_map
from aevae.store import checkpoints


def requests() -> list[MapRequest]:
    """Requests of the default panes and of the presets."""
    runs = sorted(
        (run for run in checkpoints.list_runs() if run.shipped and run.latent_dim), key=lambda r: -r.latent_dim
    )
    ae, vae = (next(run for run in runs if run.family == family) for family in ("ae", "vae"))

    def of(run, method: str, **parameters) -> MapRequest:
        checksum = run.state["checksums"]["model.safetensors"]
        return MapRequest(run.name, checksum, method=method, parameters=parameters)

    pair = of(ae, "umap"), of(vae, "umap")
    together = tuple((each.space, each.checksum) for each in pair)
    return [
        *(dataclasses.replace(each, together=together) for each in pair),
        *(of(run, method) for run in (ae, vae) for method in ("tsne", "umap")),
        *(of(run, "tsne", perplexity=p) for run in (ae, vae) for p in (2.0, 100.0)),
        *(of(run, "tsne", seed=1) for run in (ae, vae)),
        *(MapRequest("pixels", method="tsne", via=via) for via in ("", "pca50")),
        MapRequest("random", method="tsne"),
    ]


def main() -> None:
    folder = paths.pretrained_dir().parent / "maps"
    folder.mkdir(exist_ok=True)
    wanted = {folder / f"{request.identity[:16]}.npz": request for request in requests()}
    for old in set(folder.glob("*.npz")) - set(wanted):
        old.unlink()
    for file, request in wanted.items():
        if file.exists():
            continue
        made = make_map(request)
        numbers = {name: np.float32(value) for name, value in made.quality.items() if value is not None}
        np.savez_compressed(
            file,
            xy=made.xy.astype(np.float16),
            labels=class_numbers(made.labels),
            seconds=np.float32(made.seconds),
            **numbers,
        )
        print(f"{request.space} by {request.via} {request.method}: {made.seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
