"""What was audited is what is recorded and read: a source that changes meanwhile is refused."""

import hashlib

import pytest

from fracjax.datasets import prepare as prepare_module
from fracjax.datasets.audit import examine
from fracjax.datasets.labelled_folder import open_labelled
from fracjax.datasets.prepare import prepare
from fracjax.datasets.prepared import open_prepared, read_manifest
from fracjax.datasets.request import Request
from fracjax.datasets.sources.archive import Study
from fracjax.errors import InputError
from tests.datasets.trees import encode, picture

AGAIN = "the source is being written to; wait for the end of that, and start again"


@pytest.fixture
def source(tmp_path):
    """Two classes of six files."""
    for i in range(12):
        path = tmp_path / "source" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(picture(i), "PNG"))
    return tmp_path / "source"


def rewritten(source, count):
    """Other pictures under the names of some files."""
    for i, path in enumerate(sorted(source.rglob("*.png"))[:count]):
        path.write_bytes(encode(picture(100 + i), "PNG"))


def gone(source, count):
    for path in sorted(source.rglob("*.png"))[:count]:
        path.unlink()


def after_the_audit(monkeypatch, module, change, *args):
    def examined(*of):
        rows = examine(*of)
        change(*args)
        return rows

    monkeypatch.setattr(module, "examine", examined)


def request(source, tmp_path):
    return Request(
        "folder", source=source, data_dir=tmp_path / "data", save_as="mine", classes=("a", "b")
    )


@pytest.mark.parametrize(
    ("change", "how"),
    [(rewritten, "has changed"), (gone, r"cannot be read any more \(.*\)")],
)
@pytest.mark.parametrize(
    ("count", "others"), [(1, ""), (4, ", as 3 others have"), (12, ", as 11 o")]
)
def test_a_source_that_changes_is_refused_and_nothing_is_recorded(
    source, tmp_path, monkeypatch, change, how, count, others
):
    after_the_audit(monkeypatch, prepare_module, change, source, count)
    with pytest.raises(InputError, match=rf"^a/0.png {how} since it was audited{others}") as said:
        prepare(request(source, tmp_path))
    assert str(said.value).endswith(AGAIN)
    assert not list((tmp_path / "data").iterdir())


def test_records_are_the_files_of_the_manifest(source, tmp_path, monkeypatch):
    """A source that is at rest, or that is changed when it has been recorded."""
    write = prepare_module.write_manifest

    def later(rows, path):
        rewritten(source, 12)
        write(rows, path)

    monkeypatch.setattr(prepare_module, "write_manifest", later)
    summary = prepare(request(source, tmp_path))
    prepared = open_prepared("mine", tmp_path / "data")
    rows = {row.study: row.sha256 for row in read_manifest(summary.directory / "manifest.csv")}
    for i, study in enumerate(prepared.study.tolist()):
        assert hashlib.sha256(prepared.image_bytes(i)).hexdigest() == rows[study]


def test_a_file_that_changes_while_depths_are_compared_is_refused(monkeypatch):
    first = encode(picture(1).astype("uint16") * 16, "PNG")
    read = iter([first, first + b"more"])
    with pytest.raises(InputError, match=rf"^a.png has changed since it was audited: {AGAIN}"):
        examine([Study("a", "a.png", "x", lambda: next(read))], None, lambda _: 16)


@pytest.mark.parametrize(("change", "how"), [(rewritten, "has changed"), (gone, "cannot be read")])
def test_a_folder_that_is_evaluated_is_read_as_it_was_audited(source, change, how):
    opened, _ = open_labelled(source, ("a", "b"), lambda _: ("a", "b"), None)
    whole = opened.image_bytes(0)
    assert hashlib.sha256(whole).hexdigest() == opened.sha256[0]
    change(source, 12)
    with pytest.raises(InputError, match=f"{how}.*{AGAIN}"):
        opened.image_bytes(0)
