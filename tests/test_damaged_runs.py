"""Damaged runs: they are listed with the reason, not opened, and trained again."""

import pytest
from conftest import BASIC, tiny_config

from aevae import paths
from aevae.runs import load_run, train_or_load
from aevae.store import checkpoints, files
from aevae.store.checkpoints import DamagedRun


def test_a_damaged_state_begins_anew(empty_store):
    config = tiny_config("ae", epochs=2)
    asked = iter(range(1000))
    train_or_load(config, "cpu", should_stop=lambda: next(asked) >= 5)
    state = empty_store / config.name / "state.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    assert train_or_load(config, "cpu").finished
    assert len(load_run(config.name).history) == 3


def damage(folder, name, change):
    path = folder / name
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("config.json", lambda b: b[:40], "config.json cannot be read"),
        ("config.json", lambda b: b"[]", "not a JSON object"),
        ("config.json", lambda b: b.replace(b'"schema": 1', b'"schema": 9'), "schema 9"),
        ("config.json", lambda b: b.replace(b'"seed": 0', b'"seed": 1'), "does not match the fingerprint"),
        ("state.json", lambda b: b"\x00\xff", "state.json cannot be read"),
        ("model.safetensors", lambda b: b[:-7], "truncated"),
        ("model.safetensors", lambda b: b"", "truncated"),
        ("model.safetensors", lambda b: b"\xff" * 100, "not a safetensors file"),
        ("history.jsonl", lambda b: b[:-9], "history.jsonl cannot be read"),
        ("history.jsonl", lambda b: b'{"test": {"<b>": 1}}', "history.jsonl has a number with a name that is none"),
        ("metrics.json", lambda b: b"{", "metrics.json cannot be read"),
        ("metrics.json", lambda b: b'{"mnist-5k": {"<b>": 1}}', "metrics.json has a number with a name that is none"),
    ],
)
def test_damage_is_listed_with_its_reason(store, name, change, reason):
    folder = paths.runs_dir() / store["vae"]
    damage(folder, name, change)
    runs = {run.name: run for run in checkpoints.list_runs()}
    assert runs[store["vae"]].status == "damaged"
    assert reason in runs[store["vae"]].reason
    assert [r.status for n, r in runs.items() if n != store["vae"]] == ["finished"] * (len(BASIC) - 1)
    with pytest.raises(DamagedRun):
        load_run(store["vae"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", b'{"schema": 1, "seed": NaN}'),
        ("history.jsonl", b"[" * 100_000),
        ("model.safetensors", (2).to_bytes(8, "little") + b"[]"),
        ("model.safetensors", (31).to_bytes(8, "little") + b'{"a": {"data_offsets": [0,"x"]}}'[:31]),
        ("model.safetensors", (32).to_bytes(8, "little") + b'{"a": {"data_offsets": [0,null]}}'[:32] + b"}"),
        ("model.safetensors", (33).to_bytes(8, "little") + b'{"a": {"data_offsets": [0,null]}}'),
        ("model.safetensors", (34).to_bytes(8, "little") + b'{"a": {"data_offsets": [0, 1e999]}}'[:34] + b"}"),
    ],
)
def test_hostile_json_is_damage_not_a_crash(store, name, content):
    damage(paths.runs_dir() / store["vae"], name, lambda _: content)
    assert checkpoints.find_run(store["vae"]).status == "damaged"


def test_a_missing_file_is_damage(store):
    (paths.runs_dir() / store["ae"] / "model.safetensors").unlink()
    assert "missing" in checkpoints.find_run(store["ae"]).reason


def test_flipped_bits_are_noticed_on_opening(store):
    folder = paths.runs_dir() / store["vae"]
    damage(folder, "model.safetensors", lambda b: b[:-100] + bytes([b[-100] ^ 1]) + b[-99:])
    with pytest.raises(DamagedRun, match="checksum"):
        load_run(store["vae"])


def test_foreign_folders_are_listed_not_fatal(store):
    for name in ("notes", "vae-mnist-000000000000"):
        (paths.runs_dir() / name).mkdir()
    reasons = {r.name: r.reason for r in checkpoints.list_runs() if r.status == "damaged"}
    assert reasons == {"notes": "config.json is missing", "vae-mnist-000000000000": "config.json is missing"}


def test_a_damaged_run_is_trained_again(store):
    damage(paths.runs_dir() / store["vae"], "model.safetensors", lambda b: b[:50])
    assert not train_or_load(tiny_config("vae"), "cpu").cached
    assert load_run(store["vae"])


def test_weights_without_a_tensor_are_whole(tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"\2" + bytes(7) + b"{}")
    files.check_safetensors(file)
    file.write_bytes(b"\3" + bytes(7) + b"{}")
    with pytest.raises(DamagedRun, match="truncated"):
        files.check_safetensors(file)
