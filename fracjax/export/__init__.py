"""The trained stages as one file that runs without fracjax: StableHLO by `jax.export`, or ONNX.

`workflows/export.py` writes it; `docs/export.md` shows how it is used. Research code, not a medical
device.
"""
