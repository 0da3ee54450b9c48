from __future__ import annotations

import numpy as np
import torch
from scipy.special import erf
from torch import nn

from training.models.post_norm import PostNormLayer

D, K, MLP = 12, 3, 20


def layer(dropout: float = 0.0) -> PostNormLayer:
    torch.manual_seed(0)
    made = PostNormLayer(D, K, MLP, dropout).double()
    with torch.no_grad():
        for p in made.parameters():  # biases and norms that do something
            p.add_(torch.randn_like(p) * 0.3)
    return made.eval()


def slowly(made: PostNormLayer, x: np.ndarray) -> np.ndarray:
    """One picture [T, D], head by head and token by token, as the equations are written."""
    p = {name: v.detach().numpy() for name, v in made.named_parameters()}

    def norm(rows: np.ndarray, which: str) -> np.ndarray:
        out = np.empty_like(rows)
        for t, row in enumerate(rows):
            centred = row - row.mean()
            out[t] = centred / np.sqrt((centred**2).mean() + 1e-5)
        return out * p[f"{which}.weight"] + p[f"{which}.bias"]

    d = D // K
    w, b = p["attention.qkv.weight"], p["attention.qkv.bias"]
    heads = []
    for k in range(K):
        q, key, v = (
            x @ w[part * D + k * d : part * D + (k + 1) * d].T
            + b[part * D + k * d : part * D + (k + 1) * d]
            for part in range(3)
        )
        mixed = np.zeros_like(v)
        for t in range(len(x)):
            e = np.exp([q[t] @ key[u] / np.sqrt(d) for u in range(len(x))])
            mixed[t] = sum(e[u] / e.sum() * v[u] for u in range(len(x)))
        heads.append(mixed)
    mhsa = np.concatenate(heads, 1) @ p["attention.out.weight"].T + p["attention.out.bias"]
    first = norm(mhsa + x, "norm1")
    h = first @ p["mlp.0.weight"].T + p["mlp.0.bias"]
    h = h * (1 + erf(h / np.sqrt(2))) / 2
    return norm(h @ p["mlp.3.weight"].T + p["mlp.3.bias"] + first, "norm2")


def test_a_layer_is_its_equations():
    made, x = layer(), np.random.default_rng(0).normal(size=(2, 7, D))
    found = made(torch.tensor(x)).detach().numpy()
    for one, of in zip(found, x, strict=True):
        np.testing.assert_allclose(one, slowly(made, of), rtol=1e-9, atol=1e-9)


def test_it_is_torchs_layer_with_the_same_weights_and_gradients():
    made = layer()
    theirs = nn.TransformerEncoderLayer(
        D, K, MLP, 0.0, activation="gelu", batch_first=True, norm_first=False, dtype=torch.float64
    )
    names = {
        "attention.qkv.weight": "self_attn.in_proj_weight",
        "attention.qkv.bias": "self_attn.in_proj_bias",
        "attention.out.weight": "self_attn.out_proj.weight",
        "attention.out.bias": "self_attn.out_proj.bias",
        **{f"mlp.{i}.{w}": f"linear{j}.{w}" for i, j in ((0, 1), (3, 2)) for w in WB},
        **{f"norm{i}.{w}": f"norm{i}.{w}" for i in (1, 2) for w in WB},
    }
    assert set(names) == set(made.state_dict())
    theirs.load_state_dict({names[k]: v for k, v in made.state_dict().items()})
    x = torch.randn(3, 5, D, dtype=torch.float64)
    gradients = []
    for network in (made, theirs):
        y = network(x)
        gradients.append(torch.autograd.grad((y * y.sin()).sum(), [*network.parameters()]))
    torch.testing.assert_close(made(x), theirs(x))
    mine = dict(zip((names[n] for n, _ in made.named_parameters()), gradients[0], strict=True))
    for (name, _), gradient in zip(theirs.named_parameters(), gradients[1], strict=True):
        torch.testing.assert_close(mine[name], gradient)


WB = ("weight", "bias")


def test_dropout_is_for_training_only():
    made, x = layer(0.5), torch.randn(1, 5, D, dtype=torch.float64)
    assert torch.equal(made(x), made(x))
    made.train()
    assert not torch.equal(made(x), made(x))
