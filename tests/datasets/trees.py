"""Tiny source trees in the published layouts, drawn from seeds."""

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from fracjax.datasets.sources.fracatlas import FLAGS
from fracjax.imaging import file_tree


def picture(seed: int, height: int = 96, width: int = 80) -> np.ndarray:
    """Bright blobs and lines on black: as different from another seed as two radiographs are."""
    rng = np.random.default_rng(seed)
    coarse = gaussian_filter(rng.normal(size=(height, width)), 6)
    fine = gaussian_filter(rng.normal(size=(height, width)), 2)
    grey = coarse / coarse.std() + 0.7 * fine / fine.std()
    return np.clip(110 + 45 * grey, 0, 255).astype(np.uint8)


def encode(pixels: np.ndarray, kind: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def lock(name: str, monkeypatch) -> None:
    """Folders of this name may not be listed, also where root runs the tests."""
    list_folder = os.listdir

    def listdir(folder):
        if Path(folder).name == name:
            raise PermissionError(13, "Permission denied", str(folder))
        return list_folder(folder)

    monkeypatch.setattr(file_tree.os, "listdir", listdir)


def zipped(folder: Path, prefix: str) -> Path:
    """A zip of the folder's content below `prefix`, with the rubbish that macOS adds."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"{prefix}/{file.relative_to(folder).as_posix()}")
            archive.writestr(f"__MACOSX/{prefix}/{file.relative_to(folder).as_posix()}", b"")
    return path


def fracatlas_tree(root: Path, normal: int = 8, fracture: int = 6) -> Path:
    """IMG0 ... are fractured, each with one box and outline; the rest are normal."""
    rows = ["image_id," + ",".join(FLAGS) + ",fractured"]
    coco = {"images": [], "annotations": [], "categories": [{"id": 0, "name": "fractured"}]}
    for i in range(fracture + normal):
        name, broken = f"IMG{i:07d}.jpg", i < fracture
        folder = "Fractured" if broken else "Non_fractured"
        write(root / "images" / folder / name, encode(picture(i)))
        flags = [1 if flag == "hand" or (flag == "fracture_count" and broken) else 0
                 for flag in FLAGS]  # fmt: skip
        rows.append(f"{name}," + ",".join(map(str, flags)) + f",{int(broken)}")
        if broken:
            coco["images"].append({"id": i, "file_name": name, "width": 80, "height": 96})
            coco["annotations"].append(
                {
                    "id": i,
                    "image_id": i,
                    "bbox": [8, 24, 40, 48],
                    "segmentation": [[8, 24, 48, 24, 48, 72]],
                }
            )
    (root / "dataset.csv").write_text("\n".join(rows) + "\n")
    outlines = root / "Annotations" / "COCO JSON" / "COCO_fracture_masks.json"
    write(outlines, json.dumps(coco).encode())
    return root
