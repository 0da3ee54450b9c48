"""Pictures of five painted regions, one of which carries the class, and a net that learns it."""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

SIZE = 32


def region_map(size=SIZE, shift=(0, 0)):
    """An oval of five bands: forehead above, jawline below; int [size, size]."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    y, x = y - 0.5 - shift[0] / size, x - 0.5 - shift[1] / size
    of = np.digitize(y, [-0.25, -0.1, 0.08, 0.25]) + 1
    return np.where((x / 0.36) ** 2 + (y / 0.46) ** 2 < 1, of, 0).astype(np.uint8)


def painted(n, region, seed, classes=3, size=SIZE, noise=10):
    """Pictures uint8 [n, size, size, 3], maps [n, size, size], labels [n]; everything but `region`
    (a number of the map) is of a colour that has nothing to do with the class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    pictures, maps = [], []
    for label in labels:
        of = region_map(size, rng.integers(-1, 2, 2))
        colours = rng.uniform(70, 190, (6, 3))
        colours[0] = 0
        colours[region] = [60 + 140 * label / (classes - 1), 128, 200 - 140 * label / (classes - 1)]
        picture = colours[of] + rng.normal(0, noise, (size, size, 3)) * (of > 0)[..., None]
        pictures.append(picture.clip(0, 255).astype(np.uint8))
        maps.append(of)
    return np.stack(pictures), np.stack(maps), labels


class Net(nn.Module):
    """Two convolutions that know where they look."""

    def __init__(self, classes=3, size=SIZE):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 5, 2, 2)
        self.body = nn.Conv2d(8, 16, 3, 2, 1)
        self.head = nn.Linear(16 * (size // 4) ** 2, classes)

    def forward(self, x):
        x = self.body(self.stem(x).relu()).relu()
        return self.head(x.flatten(1))


def preprocessor(pictures):
    """uint8 [B, H, W, 3] -> float32 [B, 3, H, W]."""
    x = torch.as_tensor(np.asarray(pictures)).permute(0, 3, 1, 2).float()
    return (x / 255 - 0.45) / 0.25


def learn(pictures, labels, seed=0, epochs=12):
    """A network that has learnt the labels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Net(int(labels.max()) + 1, pictures.shape[1])
        x, y = preprocessor(pictures), torch.as_tensor(labels)
        optimiser = torch.optim.Adam(net.parameters(), 2e-3, weight_decay=1e-4)
        for _ in range(epochs):
            for rows in torch.randperm(len(x)).split(64):
                optimiser.zero_grad()
                cross_entropy(net(x[rows]), y[rows]).backward()
                optimiser.step()
    return net.eval()
