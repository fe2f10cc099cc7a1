"""Imports run one way; nobody reaches TensorFlow; only one file knows h5py."""

import ast
from pathlib import Path

import fracjax

HOUSE = Path(fracjax.__file__).parent
# Each room may import itself and the rooms named here; `errors` anyone.
BASE = {"errors", "config", "runtime"}
MAY_IMPORT = {
    "errors": set(),
    "config": {"errors"},
    "runtime": {"errors", "config"},
    "imaging": BASE,
    "ops": BASE,
    "augment": BASE | {"ops"},
    "evaluation": BASE,
    "models": BASE | {"ops"},
    "datasets": BASE | {"imaging"},
    "loading": BASE | {"imaging", "datasets"},
    "pretrained": BASE | {"models"},
}
MAY_IMPORT["training"] = {*MAY_IMPORT, "training"}
MAY_IMPORT["inference"] = MAY_IMPORT["training"] | {"inference"}
MAY_IMPORT["explain"] = MAY_IMPORT["inference"]
MAY_IMPORT["export"] = MAY_IMPORT["inference"]
MAY_IMPORT["report"] = BASE | {"evaluation"}  # it knows records and no runs
MAY_IMPORT["workflows"] = MAY_IMPORT["inference"] | {"explain", "export", "report"}
MAY_IMPORT["cli"] = {*MAY_IMPORT}
MAY_IMPORT["api"] = {*MAY_IMPORT} - {"cli"}
MAY_IMPORT[""] = {*MAY_IMPORT} - {"cli"}  # for type checkers: names are imported when first used


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _room(path: Path) -> str:
    parts = path.relative_to(HOUSE).with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


FILES = {path: _imports(path) for path in sorted(HOUSE.rglob("*.py"))}


def test_every_file_belongs_to_a_room_with_a_rule():
    assert {_room(path) for path in FILES} == set(MAY_IMPORT)


def test_imports_run_one_way():
    wrong = [
        f"{path.relative_to(HOUSE)} imports {name}"
        for path, names in FILES.items()
        for name in names
        if name.startswith("fracjax.")
        and name.split(".")[1] not in MAY_IMPORT[_room(path)] | {_room(path)}
        # `from fracjax import config` names a module, `from fracjax import __version__` does not.
        and name != "fracjax.__version__"
    ]
    assert not wrong, "\n".join(wrong)


def test_tensorflow_keras_and_torch_are_never_imported():
    banned = {"tensorflow", "keras", "torch"}
    roots = [HOUSE, HOUSE.parent / "scripts", HOUSE.parent / "configs"]
    files = [path for root in roots for path in root.rglob("*.py")]
    assert len(files) > 50
    wrong = [
        f"{path}: {name}"
        for path in files
        for name in _imports(path)
        if name.split(".")[0] in banned or name.startswith("clu.metric_writers")
    ]
    assert not wrong, wrong


def test_only_one_file_reads_hdf5():
    assert [p.name for p, names in FILES.items() if "h5py" in names] == ["keras_h5.py"]


def test_files_stay_readable():
    lengths = {str(p.relative_to(HOUSE)): len(p.read_text().splitlines()) for p in FILES}
    long = {name: n for name, n in lengths.items() if n > 300}
    assert not long, f"over 300 lines: {long}"
