"""The trained stages as one file that runs without fracjax: StableHLO by `jax.export`, or ONNX."""
