"""Where figures come from: checkpoints, dataset, split, and how the scores were made."""

from typing import Any

from fracjax.inference.model_bundle import ModelBundle, epochs_of


def about(trained: ModelBundle) -> dict[str, Any]:
    """What `metrics.json` says of a run."""
    metas, meta = trained.metas, trained.meta
    return {
        "checkpoint": str(trained.workdir),
        "networks": len(metas),
        "epoch": epochs_of(metas),
        "model": meta.config.model.name,
        "dataset": meta.config.data.name,
        "classes": list(meta.classes),
        "positive_class": meta.classes[1] if len(meta.classes) == 2 else None,
        "trained_behind": meta.filter,
        "image_size": meta.config.data.image_size,
        "test_views": trained.test_views,
        "temperature": trained.temperature,
        "precision": trained.precision,
        "precision_of_training": meta.config.model.precision,
        "split_hash": meta.split_hash,
    }
