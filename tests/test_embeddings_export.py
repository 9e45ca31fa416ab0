"""Exported maps can be read by other programs."""

import csv
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from aevae.embeddings import export

N = 11
CODES = np.random.default_rng(0).normal(size=(N, 5)).astype(np.float32)
LABELS = np.arange(N) % 3
IMAGES = np.random.default_rng(1).integers(0, 256, (N, 1, 28, 28), np.uint8)


def test_csv_has_a_row_for_each_point():
    maps = [CODES[:, :2], CODES[:, 2:4]]
    rows = list(csv.DictReader(io.StringIO(export.csv(maps, LABELS, ["ae", "vae, 2"]))))
    assert list(rows[0]) == ["index", "label", "x_ae", "y_ae", "x_vae__2", "y_vae__2"]
    assert [int(r["index"]) for r in rows] == list(range(N)) and [int(r["label"]) for r in rows] == LABELS.tolist()
    read = np.array([[float(r[k]) for k in list(r)[2:]] for r in rows], np.float32)
    assert np.array_equal(read, CODES[:, :4])  # no digit is lost
    assert export.csv([], LABELS).splitlines()[0] == "index,label"
    for wrong in ([CODES[:, :3]], [CODES[:4, :2]]):
        with pytest.raises(ValueError, match=f"each map needs {N} points"):
            export.csv(wrong, LABELS)
    with pytest.raises(ValueError, match="different names"):
        export.csv(maps, LABELS, ["a", "a"])


def test_the_projector_reads_its_files():
    with zipfile.ZipFile(io.BytesIO(export.projector_zip(CODES, LABELS, IMAGES))) as archive:
        assert archive.testzip() is None
        entry = json.loads(archive.read("projector_config.json"))["embeddings"][0]
        vectors = np.loadtxt(io.BytesIO(archive.read(entry["tensorPath"])), delimiter="\t", dtype=np.float32)
        head, *rows = archive.read(entry["metadataPath"]).decode().splitlines()
        sheet = np.asarray(Image.open(io.BytesIO(archive.read(entry["sprite"]["imagePath"]))))
    assert np.array_equal(vectors, CODES) and entry["tensorShape"] == [N, 5]
    assert head == "index\tlabel" and [int(r.split("\t")[1]) for r in rows] == LABELS.tolist()
    width, height = entry["sprite"]["singleImageDim"]
    for i in range(N):  # the projector counts along the rows of a sheet as wide as it is high
        row, column = divmod(i, sheet.shape[1] // width)
        assert np.array_equal(
            sheet[row * height : (row + 1) * height, column * width : (column + 1) * width], IMAGES[i, 0]
        )
    assert sheet.shape[0] == sheet.shape[1]
    with pytest.raises(ValueError, match="as many codes"):
        export.projector_zip(CODES, LABELS[:3], IMAGES)


def test_a_sprite_of_very_many_is_drawn_smaller(monkeypatch):
    monkeypatch.setattr(export, "MAX_SPRITE_SIDE", 64)
    png, size = export.sprite(IMAGES / 255)
    sheet = np.asarray(Image.open(io.BytesIO(png)))
    assert size == (14, 14) and sheet.shape == (56, 56)
    small = IMAGES[0, 0].reshape(14, 2, 14, 2).mean((1, 3))
    assert np.abs(sheet[:14, :14] - small).max() <= 1
