"""The trained stages as one file that runs without fracjax: StableHLO by `jax.export`, or ONNX.

    export_into(Path("exported"), Path("runs/stage1"), Path("runs/stage2"), data_mesh(), Console())

`docs/export.md` shows how such a file is used. Research code, not a medical device.
"""

from fracjax.workflows.export import export_into

__all__ = ["export_into"]
