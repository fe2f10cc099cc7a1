"""The parts of the files that several processes predict, and what the first makes of them."""

import json
from pathlib import Path

import pytest

from fracjax.inference.prediction_files import FileShard, parts_of


@pytest.mark.parametrize("files", [0, 1, 5, 12])
@pytest.mark.parametrize("processes", [1, 3, 4])
def test_every_file_is_one_process_s_in_order(files, processes):
    every = [Path(str(number)) for number in range(files)]
    parts = [FileShard(number, processes, files) for number in range(processes)]
    assert [file for part in parts for file in part.of(every)] == every
    assert [part.first for part in parts] == [
        sum(len(before.of(every)) for before in parts[:number]) for number in range(processes)
    ]
    assert max(len(part.of(every)) for part in parts) <= -(-files // processes)


def test_the_first_process_puts_the_others_after_its_own(tmp_path):
    table, results = tmp_path / "p.csv", tmp_path / "p.json"
    for number in range(3):
        part = FileShard(number, 3, 3)
        part.path(table).write_bytes(b"path,type\r\n" + f"{number}.png,\r\n".encode())
        part.path(results).write_text(json.dumps({"results": [{"path": f"{number}.png"}]}))
    joined = FileShard(0, 3, 3).join(table, results)
    assert table.read_bytes() == b"path,type\r\n0.png,\r\n1.png,\r\n2.png,\r\n"
    assert joined == [{"path": "1.png"}, {"path": "2.png"}]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.csv", "p.json"]


def test_a_file_of_the_user_is_no_part(tmp_path):
    for name in ("p.csv", "p.csv.0001", "p.csv.2024-05-01.bak", "p.csv.2", "q.csv.0001"):
        (tmp_path / name).touch()
    assert [path.name for path in parts_of(tmp_path / "p.csv")] == ["p.csv.0001"]


def test_a_single_process_writes_where_it_is_told(tmp_path):
    alone = FileShard(0, 1, 2)
    assert alone.path(tmp_path / "p.csv") == tmp_path / "p.csv"
    (tmp_path / "p.csv").write_text("path\r\na\r\n")
    assert alone.join(tmp_path / "p.csv", tmp_path / "p.json") == []
