"""Grad-CAM the slow way, without a gradient; and a picture made larger by a formula of its own."""

import numpy as np
import torch


def by_finite_differences(model, layer, images, target, grid=(1, 1)):
    """Grad-CAM without a gradient: each channel is raised everywhere at once, and lowered.

    ``w_c = (y(A + t 1_c) - y(A - t 1_c)) / (2 t h w)``, then the definition, in numpy, blurred to
    the input's size by a formula of its own.
    """
    with torch.no_grad():
        kept = []
        handle = layer.register_forward_hook(lambda _m, _i, out: kept.append(out))
        model(images)
        handle.remove()
        activation = kept[0]
        n, channels, h, w = activation.shape
        weights = torch.zeros(n, channels, dtype=activation.dtype)
        blocks = n // len(images)
        for row in range(n):
            image, block = divmod(row, blocks)
            copies = images[image : image + 1].expand(channels, -1, -1, -1)
            at = torch.arange(channels)
            y = []
            for t in (1e-5, -1e-5):  # copy c of the image has its channel c bumped
                bump = torch.zeros(channels, blocks, channels, 1, 1, dtype=images.dtype)
                bump[at, block, at] = t
                handle = layer.register_forward_hook(
                    lambda _m, _i, out, b=bump: out + b.flatten(0, 1)
                )
                y.append(model(copies)[:, target])
                handle.remove()
            weights[row] = (y[0] - y[1]) / (2e-5 * h * w)
    raw = np.einsum("nc,nchw->nhw", weights.numpy(), activation.numpy())
    rows, columns = grid
    whole = [
        np.block([[raw[(i * rows + r) * columns + k] for k in range(columns)] for r in range(rows)])
        for i in range(len(images))
    ]
    return np.stack([bilinear(scaled(np.maximum(m, 0)), *images.shape[2:]) for m in whole])


def scaled(m):
    return (m - m.min()) / (1e-7 + (m - m.min()).max())


def bilinear(m, height, width):
    """Between the centres of pixels, edges held: the textbook's, one axis after the other."""
    for axis, n in ((0, height), (1, width)):
        at = (np.arange(n) + 0.5) * m.shape[axis] / n - 0.5
        at = at.clip(0, m.shape[axis] - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, m.shape[axis] - 1)
        part = (at - low).reshape((-1, 1) if axis == 0 else (1, -1))
        m = np.take(m, low, axis) * (1 - part) + np.take(m, high, axis) * part
    return m
