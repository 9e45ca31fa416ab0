"""Every number of every command's JSON object has a unit."""

import argparse
import json

import numpy as np
from cli_helpers import TINY, json_output

from aevae.cli.parser import build_parser
from aevae.store import checkpoints


def without_unit(found: dict) -> list[str]:
    """Paths of the numbers of a JSON object whose own key and whose containers' keys have no unit."""
    units, missing = found.get("units", {}), []

    def walk(value, path: tuple[str, ...]) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key not in ("config", "options", "units"):
                    walk(inner, (*path, key))
        elif isinstance(value, list):
            for inner in value:
                walk(inner, path)
        elif isinstance(value, int | float) and not isinstance(value, bool) and not any(map(units.get, path)):
            missing.append(".".join(path))

    walk(found, ())
    return missing


def test_a_number_without_a_unit_is_found():
    found = {"units": {"seconds": "s"}, "rows": [{"seconds": {"mnist": 3.0}, "n": 2}], "config": {"n": 2}, "ok": True}
    assert without_unit(found) == ["rows.n"] and without_unit({"shape": [4, 3]}) == ["shape", "shape"]


def test_every_number_of_every_command_has_a_unit(store, capsys, tmp_path, monkeypatch):
    from aevae import checks
    from aevae.runs import bench

    monkeypatch.setattr(checks, "run", lambda: [("an identity", 1e-9, 1e-6)])
    monkeypatch.setattr(bench, "_images_per_second", lambda *args: 1000.0)
    vae, x, z, out = store["vae"], tmp_path / "x.npy", tmp_path / "z.npy", tmp_path / "out"
    np.save(x, np.zeros((2, 1, 28, 28), np.float32))
    diverged = dict(step=3, epoch=0, term="kl", value=1e9, limit=2e5)
    state = checkpoints.find_run(store["ae"]).path / "state.json"
    calls = {
        "eval": [vae, "--metrics", "nll,kl_per_dim", "--samples", 2, "--n", 20],
        "train": ["--family", "vae", *TINY],
        "sweep": ["--family", "vae", *TINY, "--seeds", 2],
        "encode": [vae, "--in", x, "--out", z],
        "decode": [vae, "--in", z, "--out", x],
        "embed": [vae, "--method", "pca", "--n", 60, "--out", out],
        "show": [vae],
        "runs": [],
        "families": [],
        "datasets": [],
        "report": [vae, "--out", out],
        "export": [vae, "--out", out],
        "bench": ["--device", "cpu"],
        "check": [],
        "delete": [vae],
        "import": [out],
    }
    commands = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction)).choices
    assert {*calls, "app", "worker"} == set(commands), "these two print no object"
    for command, args in calls.items():
        assert without_unit(json_output(capsys, command, *args)) == [], command
    assert list(json_output(capsys, "runs")["runs"][0]["numbers"]), "there were numbers"
    state.write_text(
        json.dumps(json.loads(state.read_text("utf-8")) | {"finished": False, "diverged": diverged}), "utf-8"
    )
    assert without_unit(json_output(capsys, "show", store["ae"])) == []
