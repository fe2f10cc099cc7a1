"""`fracjax show FILE...`: what picture files became, beside their histograms, with their notes."""

import os

import numpy as np
import pytest
from PIL import Image

from fracjax.errors import InputError
from fracjax.workflows.show_pictures import MOST, show_pictures
from tests.cli_runner import run_cli
from tests.datasets.dicoms import dicom
from tests.datasets.trees import encode, picture, write


def test_a_sheet_has_a_row_for_each_file_read_or_refused(tmp_path):
    hot = picture(0).astype(np.uint16) * 12
    hot[0, 0] = 65535
    files = [
        write(tmp_path / "hot.png", encode(hot, "PNG")),
        write(tmp_path / "$raw_1$.dcm", dicom(picture(1), PresentationIntentType="FOR PROCESSING")),
        write(tmp_path / "cut.jpg", encode(picture(2))[:-600]),
        write(tmp_path / os.fsdecode(b"\xe9.jpg"), encode(np.stack([picture(3)] * 3, axis=-1))),
    ]
    hot_one, raw, cut, odd = show_pictures(files, tmp_path / "sheet.png")
    assert hot_one.note.startswith("depth: 1 of 7,680 values lie outside 0 to 4095")
    assert raw.note.startswith("FOR PROCESSING: ")
    assert cut.note.startswith("refused: truncated: ")
    assert cut.pixels is None
    assert odd.note == ""
    (at_depth,) = show_pictures(files[:1], tmp_path / "one.png", depth=14)
    assert at_depth.note.startswith("depth: nothing is declared; read as 14 bits")
    with Image.open(tmp_path / "sheet.png") as sheet, Image.open(tmp_path / "one.png") as one:
        assert sheet.size == (one.width, 4 * one.height)
        assert np.asarray(sheet.convert("L")).std() > 20


def test_what_is_no_file_and_too_many_are_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"no such file or folder: .*nowhere.png, .*gone.dcm; name"
    ):
        show_pictures([tmp_path / "nowhere.png", tmp_path / "gone.dcm"], tmp_path / "a.png")
    for number in range(MOST + 1):
        write(tmp_path / "many" / f"{number}.png", b"not looked at")
    with pytest.raises(InputError, match=f"{MOST + 1} files, and a sheet holds {MOST}"):
        show_pictures([tmp_path / "many"], tmp_path / "b.png")


def test_of_a_folder_what_prediction_would_read_is_shown(tmp_path):
    uid = write(tmp_path / "export" / "P1" / "1.2.3.4", dicom(picture(1)))
    write(tmp_path / "export" / "README", b"Dear colleague,")
    assert [it.path for it in show_pictures([tmp_path / "export"], tmp_path / "a.png")] == [uid]


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.png", encode(picture(0), "PNG"))
    done = run_cli("show", "a.png")
    assert (done.returncode, done.stdout) == (0, "a.png: no notes\nwrote show_a.png\n")
    for words, message in [
        (["a.png", "--seed", "1", "--part", "test"], "--part, --seed without --config: files are"),
        ([], "nothing to show: name picture files, or a dataset with --config CONFIG"),
        (["a", "--config", "phantom_stage1", "--depth", "12"], "--depth is for files"),
        (["a", "b", "--config", "phantom_stage1"], "--config draws one prepared dataset, and 2"),
    ]:
        refused = run_cli("show", *words)
        assert refused.returncode == 2
        assert message in refused.stderr
