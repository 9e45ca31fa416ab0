"""Hostile files: no path leaves the store, no pickle is read, and sizes hold."""

import asyncio
import hashlib
import io
import json
import pickle
import re
import struct
import tomllib
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_hostile import FUZZ, JSON, MARK, MARKUP, one_sentence

from aevae import datasets, paths
from aevae.config import DataConfig
from aevae.datasets import archives, handwriting, images, pictures
from aevae.exchange import run_archive
from aevae.store import checkpoints
from aevae.ui.frame import server as serving

pytestmark = pytest.mark.usefixtures("no_worker", "no_passcode")


# -- zips of runs ----------------------------------------------------------------------------------------------------


NAMES = st.sampled_from(
    [
        "../evil",
        "../../evil",
        "/etc/evil",
        "C:\\evil",
        "a\\..\\..\\evil",
        "evil\0.json",
        "",
        ".",
        "..",
        "con",
        "x" * 300,
    ]
) | st.text(max_size=20)


@pytest.fixture
def packed(store, monkeypatch, tmp_path):
    """(name, its files) of a run, an empty store, and no way to read a pickle."""
    name = store["vae"]
    with zipfile.ZipFile(io.BytesIO(run_archive.pack(checkpoints.find_run(name)))) as archive:
        files = {member.filename: archive.read(member) for member in archive.infolist()}
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "elsewhere" / "runs"))
    for module, function in ((pickle, "load"), (pickle, "loads"), (torch, "load")):
        monkeypatch.setattr(module, function, lambda *_, **__: pytest.fail("a pickle is read"))
    return name, files


def zipped(files) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def written(root) -> list[str]:
    return sorted(str(f.relative_to(root)) for f in root.rglob("*") if f.is_file() and ".locks" not in f.parts)


def refuse_or_take(data: bytes, name: str, root) -> None:
    """Nothing is written outside, and in the store the run or nothing."""
    before = written(root)
    try:
        assert run_archive.unpack(data) == name
    except ValueError as problem:
        one_sentence(problem)
        assert written(root) == before
    else:
        assert checkpoints.finished_run(name).status == "finished"
        assert {f.split("/")[2] for f in set(written(root)) - set(before)} == {name}
        checkpoints.delete_run(checkpoints.find_run(name))


@pytest.mark.slow
def test_zips_of_runs_with_anything_in_them(packed, tmp_path):
    name, files = packed
    whole = zipped(files.items())
    member = st.sampled_from(sorted(files))

    @settings(max_examples=60, **FUZZ)
    @given(NAMES, st.binary(max_size=50), st.booleans())
    def names(odd, content, inside):
        refuse_or_take(zipped([*files.items(), (f"{name}/{odd}" if inside else odd, content)]), name, tmp_path)

    @settings(max_examples=60, **FUZZ)
    @given(st.integers(0, len(whole) - 1), st.binary(min_size=1, max_size=6))
    def bytes_of_the_zip(at, content):
        refuse_or_take(whole[:at] + content + whole[at + len(content) :], name, tmp_path)

    @settings(max_examples=40, **FUZZ)
    @given(member, st.integers(0, 10**6), st.binary(max_size=6), st.booleans())
    def bytes_of_a_file(which, at, content, cut):
        old = files[which]
        at %= len(old)
        new = old[:at] if cut else old[:at] + content + old[at + len(content) :]
        refuse_or_take(zipped((files | {which: new}).items()), name, tmp_path)

    @settings(max_examples=40, **FUZZ)
    @given(st.sampled_from(["config.json", "state.json", "metrics.json", "history.jsonl"]), JSON)
    def texts_of_a_file(which, value):
        try:
            new = json.dumps(value).encode()
        except ValueError:
            return
        refuse_or_take(zipped((files | {f"{name}/{which}": new}).items()), name, tmp_path)

    names()
    bytes_of_the_zip()
    bytes_of_a_file()
    texts_of_a_file()


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle was run",)


@pytest.mark.parametrize("which", ["model.safetensors", "film.safetensors"])
def test_a_pickle_in_place_of_arrays_is_refused_unread(packed, tmp_path, which):
    name, files = packed
    out = io.BytesIO()
    torch.save({"weights": Bomb()}, out)
    state_json = json.loads(files[f"{name}/state.json"])
    for content in (out.getvalue(), pickle.dumps(Bomb())):
        state_json["checksums"][which] = hashlib.sha256(content).hexdigest()
        damaged = files | {f"{name}/{which}": content, f"{name}/state.json": json.dumps(state_json).encode()}
        with pytest.raises(ValueError, match="safetensors"):
            run_archive.unpack(zipped(damaged.items()))
    assert not checkpoints.list_runs()


def test_zips_that_grow_are_refused_before_they_do(packed):
    name, files = packed
    with pytest.raises(ValueError, match="has too many files; at most 160"):
        run_archive.unpack(zipped((f"{name}/{i}", b"") for i in range(3000)))
    whole = zipped(files.items())
    first = whole.index(b"PK\1\2") + 24  # where the list says how large the first file is
    for size, words in ((300_000_001, "unpacks to more than 200 times its size"), (10, "in the zip")):
        with pytest.raises(ValueError, match=words):
            run_archive.unpack(whole[:first] + struct.pack("<I", size) + whole[first + 4 :])
    assert not checkpoints.list_runs()


# -- pictures --------------------------------------------------------------------------------------------------------


def picture(kind: str) -> bytes:
    out = io.BytesIO()
    grey = (np.add.outer(np.arange(40), np.arange(30)) * 3).astype(np.uint8)
    Image.fromarray(grey).save(out, kind)
    return out.getvalue()


PICTURES = {kind: picture(kind) for kind in pictures.formats() if kind != "HEIF"}


@settings(max_examples=200, **FUZZ)
@given(st.sampled_from(list(PICTURES)), st.integers(0, 10**6), st.binary(max_size=8), st.booleans(), st.booleans())
@pytest.mark.filterwarnings("ignore")
def test_an_image_opens_or_is_refused_in_a_sentence(kind, at, content, cut, digit):
    whole = PICTURES[kind]
    at %= len(whole)
    damaged = whole[:at] + content + (b"" if cut else whole[at + len(content) :])
    try:
        read = (handwriting.read_digit if digit else pictures.read_picture)(damaged, name=MARK)
    except ValueError as problem:
        return one_sentence(problem)
    assert read.shape == (1, 28, 28) and read.dtype == np.uint8


def test_zips_of_images_with_any_names(tmp_path, monkeypatch):
    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))

    @settings(max_examples=80, **FUZZ)
    @given(NAMES, NAMES)
    def fuzz(odd, title):
        data = zipped([("a/1.png", PICTURES["PNG"]), ("b/2.png", PICTURES["BMP"]), (f"{odd}.png", PICTURES["GIF"])])
        try:
            name = datasets.store_upload(data, title)
        except ValueError as problem:
            return one_sentence(problem)
        assert re.fullmatch(r"[0-9a-f]{12}\.zip", name.rpartition("/")[2]) and images.in_data_folder(name)
        assert not MARKUP.search(images.title(images.path_of(name)))
        assert len(datasets.load(DataConfig(name)).classes) >= 2

    fuzz()
    assert {f.rpartition("/")[0] for f in written(tmp_path)} == {"data/images"}


def test_stored_images_have_a_limit_in_all(tmp_path, monkeypatch):
    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))
    pair = zipped([("1.png", PICTURES["PNG"]), ("2.png", PICTURES["BMP"])])
    assert datasets.store_upload(pair, "one.zip")
    monkeypatch.setattr(images, "MAX_STORED_BYTES", len(pair) + 10)
    assert datasets.store_upload(pair, "the same again.zip")
    with pytest.raises(ValueError, match="not stored"):
        datasets.store_upload(zipped([("1.png", PICTURES["GIF"]), ("2.png", PICTURES["BMP"])]), "another.zip")


# -- uploads ---------------------------------------------------------------------------------------------------------


def test_a_session_uploads_so_much_and_no_more(monkeypatch):
    from starlette.exceptions import HTTPException

    monkeypatch.setenv("AEVAE_UPLOAD_EACH", "1")
    took = []

    async def server(scope, receive, send):
        body = b""
        while (message := await receive())["more_body"]:
            body += message["body"]
        took.append(len(body + message["body"]))

    async def put_file(session: str, size: int, method="PUT"):
        left = [bytes(100_000)] * (size // 100_000)

        async def receive():
            return {"type": "http.request", "body": left.pop(), "more_body": bool(left)}

        path = f"/_stcore/upload_file/{session}/file"
        await uploads({"type": "http", "method": method, "path": path}, receive, None)

    uploads = serving.Uploads(server)
    asyncio.run(put_file("a", 600_000))
    asyncio.run(put_file("b", 600_000))
    with pytest.raises(HTTPException) as refused:
        asyncio.run(put_file("a", 600_000))
    assert refused.value.status_code == 413 and took == [600_000] * 2
    asyncio.run(put_file("a", 600_000, "POST"))  # no upload
    monkeypatch.setattr(serving, "MAX_SESSIONS", 1)
    asyncio.run(put_file("c", 100_000))
    assert list(uploads.taken) == ["c"]


def test_a_file_has_a_limit():
    config = tomllib.loads((paths.ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["server"]["maxUploadSize"] * 1_000_000 <= archives.UPLOAD.total_bytes
    assert config["server"].get("enableXsrfProtection", True)
