"""One phantom world for all tests of pictures."""

import pytest

from data_sharding.pack import pack
from data_sharding.phantom.world import make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """Two hospitals and a public set, packed at 96 pixels, of 8 (cxr2) and of 16 bits (cxr16)."""
    root = tmp_path_factory.mktemp("phantom")
    make_world(root / "world", seed=2, internal=40, external=24, public=50, size=96, workers=1)
    quiet = {"size": 96, "workers": 1, "echo": lambda _: None, "screen": False}
    key = {"key_file": root / "world" / "pseudonym.key"}
    for role, name in (("internal", "asan"), ("external", "north"), ("public", "public")):
        for folder, pixels in (("cxr2", "cxr/2"), ("cxr16", "cxr16/1")):
            out = root / folder / name
            pack(root / "world" / name, out, role=role, pixels=pixels, **quiet, **key)
    return root
