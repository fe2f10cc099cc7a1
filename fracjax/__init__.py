"""fracjax: two-stage bone fracture detection and classification in radiographs, on JAX."""

__version__ = "0.1.0"
