"""The thirteen colour operations by OpenCV, NumPy, SciPy and matplotlib.

Each takes a key, for what is drawn, and a picture with whole values in [0, 255], and returns
float64. The tolerance of each is in grey levels of 255.
"""

from typing import Any

import cv2
import jax
import matplotlib as mpl
import numpy as np
from scipy import ndimage

from fracjax.augment import colour

TOLERANCE = {
    "gamma": 2e-3,
    "blur": 1e-3,
    "equalise": 0.0,
    "stretch": 1e-3,
    "clahe": 1.0,  # OpenCV rounds; where a sum lies halfway, one level more or less
    "jet": 1e-4,
    "hot": 1e-4,
    "bone": 1e-4,
    "viridis": 1e-4,
    "hue": 5e-3,
    "sharpen": 1e-3,
    "negative": 0.0,
    "sobel": 1e-3,
}


def of(name: str, key: Any, image: np.ndarray) -> np.ndarray:
    """The reference of that name."""
    return globals()[f"_{name}"](key, image.astype(np.float32)).astype(np.float64)


def _gamma(key: Any, image: np.ndarray) -> np.ndarray:
    exponent = 2.0 ** float(jax.random.uniform(key, minval=-1.0))
    return cv2.LUT(image.astype(np.uint8), 255 * (np.arange(256) / 255) ** exponent).reshape(
        image.shape
    )


def _blur(key: Any, image: np.ndarray) -> np.ndarray:
    sigma = colour.SIGMA * float(jax.random.uniform(key))
    side = 2 * colour.RADIUS + 1
    out = cv2.GaussianBlur(image, (side, side), sigma, borderType=cv2.BORDER_REFLECT_101)
    scipys = ndimage.gaussian_filter(
        image.astype(np.float64),
        (sigma, sigma, 0),
        mode="mirror",
        radius=(colour.RADIUS, colour.RADIUS, 0),
    )
    np.testing.assert_allclose(out.reshape(image.shape), scipys, atol=TOLERANCE["blur"])
    return scipys


def _equalise(key: Any, image: np.ndarray) -> np.ndarray:
    return _shifted(image, cv2.equalizeHist(_grey(image)))


def _clahe(key: Any, image: np.ndarray) -> np.ndarray:
    return _shifted(image, cv2.createCLAHE(clipLimit=2, tileGridSize=(8, 8)).apply(_grey(image)))


def _stretch(key: Any, image: np.ndarray) -> np.ndarray:
    low, high = np.percentile(_grey(image), [2, 98])
    if low == high:
        return image
    return np.clip((image.astype(np.float64) - low) * 255 / (high - low), 0, 255)


def _jet(key: Any, image: np.ndarray) -> np.ndarray:
    return _map("jet", image)


def _hot(key: Any, image: np.ndarray) -> np.ndarray:
    return _map("hot", image)


def _bone(key: Any, image: np.ndarray) -> np.ndarray:
    return _map("bone", image)


def _viridis(key: Any, image: np.ndarray) -> np.ndarray:
    return _map("viridis", image)


def _hue(key: Any, image: np.ndarray) -> np.ndarray:
    if image.shape[-1] == 1:
        return image
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + 180 * float(jax.random.uniform(key, minval=-1.0))) % 360
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def _sharpen(key: Any, image: np.ndarray) -> np.ndarray:
    kernel = np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], np.float32)
    out = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return np.clip(out, 0, 255).reshape(image.shape)


def _negative(key: Any, image: np.ndarray) -> np.ndarray:
    return cv2.bitwise_not(image.astype(np.uint8)).reshape(image.shape)


def _sobel(key: Any, image: np.ndarray) -> np.ndarray:
    across, down = (
        cv2.Sobel(image, cv2.CV_64F, x, 1 - x, ksize=3, borderType=cv2.BORDER_REFLECT_101)
        for x in (1, 0)
    )
    return np.clip(np.hypot(across, down), 0, 255).reshape(image.shape)


def _grey(image: np.ndarray) -> np.ndarray:
    """Luminance, rounded, uint8."""
    if image.shape[-1] == 1:
        return image[..., 0].astype(np.uint8)
    return np.round(image.astype(np.float64) @ [0.299, 0.587, 0.114]).astype(np.uint8)


def _shifted(image: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """All channels shifted by the change of the luminance: Y changes in YCrCb, Cr and Cb do not."""
    change = grey.astype(np.float64) - _grey(image)
    return np.clip(image + change[..., None], 0, 255)


def _map(name: str, image: np.ndarray) -> np.ndarray:
    return 255 * mpl.colormaps[name](_grey(image))[..., :3]
