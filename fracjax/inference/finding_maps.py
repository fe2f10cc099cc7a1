"""Where the networks of a run see a finding: probabilities on the cells of their maps."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from fracjax.augment.geometry import DIHEDRAL, Arrangement, restore
from fracjax.errors import InputError
from fracjax.inference.model_bundle import ModelBundle, check_images, program
from fracjax.loading.batch import ImageStore
from fracjax.training.forward import CELLS, FIXED_VIEWS, View

_restore = partial(jax.jit, static_argnums=1)(restore)


def finding_maps(trained: ModelBundle, images: ImageStore) -> Float32[np.ndarray, "n g g"]:
    """Probability of a finding in every cell of images, uint8[n, side, side, channels].

    A cell is a square of `stride` pixels of the decoded image, the first one at its upper left. The
    mean over the networks and over views that are fixed, each turned back; where views are drawn,
    the image as it is. Cells learn with weighted positives (`loss.outline_positive_weight`), so
    that the values rank places; a threshold for them is chosen on validation.

    Raises:
      InputError: the run has no map, or images of another form.
    """
    if not trained.config.model.localise:
        raise InputError(
            f"{trained.workdir} has no map of findings: train it with --model.localise, on a "
            "dataset with boxes"
        )
    check_images(images, trained.meta.form)
    forward = program(trained.config, trained.meta.image, trained.mesh, stop=CELLS)
    views = FIXED_VIEWS[trained.test_views] if isinstance(trained.test_views, str) else DIHEDRAL[:1]
    n, size = images.shape[0], trained.batch_size
    batches = [np.arange(first, first + size) % n for first in range(0, n, size)]
    maps = [np.asarray(_mean(trained, forward, images[index], views)) for index in batches]
    return np.concatenate(maps)[:n]


def _mean(trained, forward, images, views: tuple[Arrangement, ...]) -> jax.Array:
    each = [
        _restore(forward(own, *View(arrangement=view).of(images, np.zeros(1)))[..., None], view)
        for own in trained.networks
        for view in views
    ]
    return jnp.mean(jnp.stack(each), axis=0)[..., 0]
