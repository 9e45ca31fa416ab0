"""Export and import of runs: round trip; invalid archives are refused and nothing is written."""

import dataclasses
import hashlib
import io
import json
import re
import stat
import zipfile

import numpy as np
import pytest
from file_helpers import zip_bytes

from aevae import paths
from aevae.exchange import events, run_archive
from aevae.runs import load_run
from aevae.store import checkpoints


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {m.filename: archive.read(m) for m in archive.infolist()}


@pytest.fixture
def packed(store, monkeypatch, tmp_path) -> tuple[str, bytes]:
    """(name, zip) of a run, and a store that is empty."""
    name = store["vae"]
    data = run_archive.pack(checkpoints.find_run(name))
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "elsewhere"))
    return name, data


def test_round_trip(store, packed):
    name, data = packed
    assert run_archive.unpack(data) == name
    assert load_run(name).decode(np.zeros((1, 3), np.float32)).shape == (1, 1, 28, 28)
    with pytest.raises(ValueError, match="already here"):
        run_archive.unpack(data)
    (paths.runs_dir() / name / "state.json").write_text("{}", encoding="utf-8")
    (paths.runs_dir() / name / "of the old run").touch()
    assert run_archive.unpack(data) == load_run(name).name, "an unfinished run is replaced"
    assert {file.name for file in (paths.runs_dir() / name).iterdir()} <= set(run_archive.FILES)
    assert {file.name for file in paths.runs_dir().iterdir()} == {".locks", name}


def _filmed(files: dict, inside: dict, film: bytes) -> dict:
    """With another film, and its checksum."""
    state = json.loads(files[inside["state.json"]])
    state["checksums"]["film.safetensors"] = hashlib.sha256(film).hexdigest()
    return files | {inside["film.safetensors"]: film, inside["state.json"]: json.dumps(state).encode()}


def _damaged(name: str, files: dict, kind: str) -> dict:
    inside = {k.split("/")[1]: k for k in files}
    if kind == "walks out":
        return files | {f"{name}/../../evil": b"x"}
    if kind == "absolute":
        return files | {"/etc/evil": b"x"}
    if kind == "another file":
        return files | {f"{name}/model.pkl": b"x"}
    if kind == "two folders":
        return files | {"ae-mnist-000000000000/config.json": b"{}"}
    if kind == "other fingerprint":
        return {k.replace(name, name[:-12] + "0" * 12): v for k, v in files.items()}
    if kind == "no weights":
        return {k: v for k, v in files.items() if k != inside["model.safetensors"]}
    if kind == "truncated weights":
        return files | {inside["model.safetensors"]: files[inside["model.safetensors"]][:-50]}
    if kind == "flipped bit":
        weights = bytearray(files[inside["model.safetensors"]])
        weights[-9] ^= 4
        return files | {inside["model.safetensors"]: bytes(weights)}
    if kind == "other weights":
        return files | {inside["model.safetensors"]: files[inside["film.safetensors"]]}
    if kind == "no picture":
        return files | {inside["preview.png"]: b"<script>"}
    if kind == "wild config":
        return files | {inside["config.json"]: b"[" * 100_000}
    if kind == "no config":
        return files | {inside["config.json"]: b"family: vae"}
    if kind == "unfinished":
        return files | {inside["state.json"]: b"{}"}
    if kind in ("not a number", "overflows"):
        number = {"not a number": b"NaN", "overflows": b"1e999"}[kind]
        return files | {
            inside["state.json"]: re.sub(rb'"seconds": [^,\n]+', b'"seconds": ' + number, files[inside["state.json"]])
        }
    if kind == "no film":
        return files | {inside["film.safetensors"]: b"\0" * 64}
    if kind == "another family's name":
        return {k.replace(name, f"vae-kmnist-{name[-12:]}"): v for k, v in files.items()}
    from safetensors.numpy import load, save

    film = load(files[inside["film.safetensors"]])
    other = {
        "film of other pictures": {"sample": film["sample"][:, :3].copy()},
        "film out of order": {"epoch": film["epoch"][::-1].copy()},
        "film without a frame": {"epoch": film["epoch"][:0].copy()},
    }
    return _filmed(files, inside, save(film | other[kind]))


KINDS = [
    ("walks out", "leads out of its folder"),
    ("absolute", "leads out of its folder"),
    ("another file", "not part of a run"),
    ("two folders", "exactly one run"),
    ("other fingerprint", "does not match"),
    ("no weights", "no complete run: model.safetensors is missing"),
    ("truncated weights", "truncated"),
    ("flipped bit", "checksum"),
    ("other weights", "checksum|do not fit"),
    ("no picture", "not an image"),
    ("wild config", "config.json"),
    ("no config", "config.json cannot be read"),
    ("unfinished", "unfinished"),
    ("not a number", "state.json cannot be read"),
    ("overflows", "state.json cannot be read"),
    ("no film", "film.safetensors"),
    ("another family's name", "config.json is of the run"),
    ("film of other pictures", "the images in film"),
    ("film out of order", "the times in film"),
    ("film without a frame", "the times in film"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "words"), KINDS, ids=[k for k, _ in KINDS])
def test_unsound_zips_stay_out(packed, kind, words):
    name, data = packed
    with pytest.raises(ValueError, match=words) as error:
        run_archive.unpack(zip_bytes(_damaged(name, members(data), kind)))
    assert "\n" not in str(error.value)
    left = [f for f in paths.runs_dir().rglob("*") if f.is_file() and ".locks" not in f.parts]
    assert left == []


@pytest.mark.parametrize("data", [b"", b"PK", b"GIF89a", b"\0" * 1000])
def test_no_zip(empty_store, data):
    with pytest.raises(ValueError):
        run_archive.unpack(data)


def test_cut_zip(packed):
    with pytest.raises(ValueError):
        run_archive.unpack(packed[1][: len(packed[1]) // 2])


def test_a_damaged_stream_is_named(packed):
    data = bytearray(packed[1])
    at = data.index(b"PK\3\4") + 30 + int.from_bytes(data[26:28], "little")
    data[at : at + 8] = b"\xff" * 8
    with pytest.raises(ValueError, match="in the zip is damaged"):
        run_archive.unpack(bytes(data))


def test_bomb(packed, monkeypatch):
    monkeypatch.setattr(run_archive, "LIMITS", dataclasses.replace(run_archive.LIMITS, total_bytes=1_000_000))
    with pytest.raises(ValueError, match="has more than 1 MB"):
        run_archive.unpack(zip_bytes({"x/y": bytes(900_000), "x/z": bytes(900_000)}))
    with pytest.raises(ValueError, match="has more than 1 MB"):
        run_archive.unpack(zip_bytes({"x/y": bytes(2_000_000)}))


def test_symbolic_link(packed):
    name, data = packed
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for file, content in members(data).items():
            link = zipfile.ZipInfo(file)
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link if file == f"{name}/config.json" else file, content)
    with pytest.raises(ValueError, match="a link, a pipe or a device"):
        run_archive.unpack(out.getvalue())


def test_half_precision_decodes_the_same_images(store, tmp_path):
    from aevae.runs import Run, export_weights

    for name in store.values():
        info = checkpoints.find_run(name)
        export_weights(info, tmp_path, half=True)
        half = Run(checkpoints.read_run(tmp_path / name))
        z = np.random.default_rng(0).standard_normal((50, 3), dtype=np.float32)
        assert np.abs(half.decode(z) - Run(info).decode(z)).max() < 1 / 255
        assert half.info.status == "finished"
        size = (tmp_path / name / "model.safetensors").stat().st_size
        assert size < 0.6 * (info.path / "model.safetensors").stat().st_size


@pytest.mark.slow
@pytest.mark.parametrize("family", ["vae", "vq_vae2"])
def test_onnx(zoo, tmp_path, family):
    import onnxruntime

    out = tmp_path / "decoder.onnx"
    worst = run_archive.export_onnx(checkpoints.find_run(zoo[family]), out)
    run = load_run(zoo[family])
    z = np.random.default_rng(1).standard_normal((5, run.latent_dim), dtype=np.float32)
    (x_hat,) = onnxruntime.InferenceSession(str(out)).run(None, {"z": z})
    assert np.abs(x_hat - run.decode(z)).max() < 1e-5
    assert worst is not None and worst < 1e-5


def test_what_makes_no_image_of_one_code_has_no_onnx(zoo, tmp_path):
    with pytest.raises(ValueError, match="takes sequences"):
        run_archive.export_onnx(checkpoints.find_run(zoo["td_vae"]), tmp_path / "decoder.onnx")
    assert list(tmp_path.glob("*.onnx")) == []


@pytest.mark.slow
def test_a_decoder_that_differs_is_not_written(store, tmp_path, monkeypatch):
    monkeypatch.setattr(run_archive, "_difference", lambda onnx, run: float("nan"))
    with pytest.raises(ValueError, match="differs from PyTorch's"):
        run_archive.export_onnx(checkpoints.find_run(store["ae"]), tmp_path / "decoder.onnx")
    assert list(tmp_path.glob("*.onnx")) == []


# -- TensorBoard -----------------------------------------------------------------------------------------------------


def test_the_checksum_is_castagnolis():
    assert events.crc32c(b"123456789") == 0xE3069283  # the check value of every catalogue
    assert events.crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4


def test_tensorboard_reads_the_history(store, tmp_path):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    info = checkpoints.find_run(store["vae"])
    run_archive.export_tensorboard(info, tmp_path)
    history = checkpoints.read_history(info.path)
    for part in ("train", "test"):
        found = reader.EventAccumulator(str(tmp_path / info.name / part)).Reload()
        lines = [line for line in history if part in line]
        terms = [set(line[part]) | ({"images_per_s"} if part == "train" else set()) for line in lines]
        assert set(found.Tags()["scalars"]) == set.union(*terms)
        curve = found.Scalars("recon")
        assert [point.step for point in curve] == [line["step"] for line in lines]
        assert [point.value for point in curve] == pytest.approx([line[part]["recon"] for line in lines])
        assert curve[0].wall_time >= info.created
        assert found.SummaryMetadata("recon").summary_description == "nats / image"


def test_a_damaged_event_file_is_noticed(store, tmp_path):
    """What TensorBoard reads is checked by it: were our checksums wrong, it would read nothing."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    (train, _test) = run_archive.export_tensorboard(checkpoints.find_run(store["ae"]), tmp_path)
    data = bytearray(train.read_bytes())
    data[-6] ^= 1
    train.write_bytes(data)
    assert len(reader.EventAccumulator(str(train.parent)).Reload().Tags()["scalars"]) < 3


def test_exported_again_the_files_are_the_same(store, tmp_path):
    info = checkpoints.find_run(store["vae"])
    first = {file: file.read_bytes() for file in run_archive.export_tensorboard(info, tmp_path)}
    assert {file: file.read_bytes() for file in run_archive.export_tensorboard(info, tmp_path)} == first


def test_a_history_of_strange_things_is_exported_without_them(store, tmp_path):
    info = checkpoints.find_run(store["vae"])
    with open(info.path / "history.jsonl", "a", encoding="utf-8") as file:
        file.write('{"step": "x", "train": [], "seconds": null, "test": {"recon": "1", "kl": true}}\n')
    assert len(run_archive.export_tensorboard(info, tmp_path)) == 2
    (info.path / "history.jsonl").write_text("", "utf-8")
    with pytest.raises(ValueError, match="no history"):
        run_archive.export_tensorboard(info, tmp_path)
