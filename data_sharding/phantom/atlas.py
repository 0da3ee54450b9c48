"""Where the anatomy of a packed phantom picture lies: from the key of a sample to its masks.

    atlas = Atlas(Path("demo/world"), Path("demo/shards/asan"))
    atlas.shares(key, 512)["bone"]      # float32 [512, 512]

The keys of a pack are pseudonyms, so finding the patient behind one takes the key of the world, or
that in the pack's private folder. Stories are told again and nothing of the world is read but its
settings. Only a phantom can be looked up like this: nobody is behind its pseudonyms.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from data_sharding.phantom.dicom_writer import image_uid
from data_sharding.phantom.hospital import Job, identity
from data_sharding.phantom.masks import regions, shares
from data_sharding.phantom.public import image_name, read_findings
from data_sharding.phantom.rendering import render
from data_sharding.phantom.settings import Settings
from data_sharding.phantom.stories import Shot, Story, tell
from data_sharding.phantom.world import FORMAT
from data_sharding.pictures.cxr import centre, to_model, to_model_16
from data_sharding.pictures.display import grey
from data_sharding.private import Pseudonyms, load_key
from data_sharding.schema import Manifest

#: Most that a packed picture may differ from the one drawn again, in grey levels of 255 on average.
#: Storing 8 bits takes 0.5, storing 10 takes 0.1; another patient's differs by tens.
SAME = 2.0


@dataclass(frozen=True)
class _Shown:
    job: Job
    story: Story
    shot: Shot

    @property
    def name(self) -> str:
        """What packing calls the picture, before it hides the name."""
        if self.job.site.role == "public":
            return image_name(self.story, self.shot)
        return str(image_uid(identity(self.job, self.story, self.shot)))

    def how(self) -> dict[str, Any]:
        """What `render` and `regions` want besides the story, the shot and the site."""
        said: dict[str, Any] = {"seed": self.job.seed, "size": self.job.size}
        if self.job.site.role != "public":
            return said | {"confounder": self.job.confounder}
        reading = read_findings(self.job.seed, self.story, self.shot)
        return said | {"findings": reading.findings, "heart": reading.heart}


class Atlas:
    """The pictures of one world by the keys that they have in one packed dataset."""

    def __init__(self, world: Path, pack: Path) -> None:
        """Tell the stories of `world` (its folder or world.json) under the names of `pack`.

        Raises:
            ValueError: not a phantom's world; or the pack was made with a key that is neither in
                the world's folder nor in the pack's private one.
        """
        path = world / "world.json" if world.is_dir() else world
        folder, said = path.parent, _settings(path)
        manifest = Manifest.load(pack)
        hide = _pseudonyms(folder, pack, manifest)
        self._shown = {
            hide("sample", shown.name): shown
            for site, n in said.counts()
            for k in range(n)
            for shown in _pictures(Job(folder, site, k, said.seed, said.size, said.confounder))
        }

    def __contains__(self, key: str) -> bool:
        return key in self._shown

    def shares(self, key: str, size: int) -> dict[str, npt.NDArray[np.float32]]:
        """`masks.REGIONS` -> share of each pixel of the picture packed at `size`, [size, size].

        Raises:
            KeyError: the key is of no picture of this world.
        """
        found = self._shown[key]
        parts = regions(found.story, found.shot, found.job.site, **found.how())
        return {name: shares(mask, size) for name, mask in parts.items()}

    def check(self, key: str, pixels: npt.NDArray[np.uint8 | np.uint16]) -> None:
        """That `pixels` [size, size] are this picture: a later phantom may draw another.

        Raises:
            ValueError: they are not, so that its masks would be wrong.
            KeyError: the key is of no picture of this world.
        """
        found = self._shown[key]
        drawn = render(found.story, found.shot, found.job.site, **found.how()).toned
        picture = grey(np.rint(np.clip(drawn, 0, 1) * 65535).astype(np.uint16))
        size, deep = pixels.shape[0], pixels.dtype == np.uint16
        again = to_model_16(picture, size) if deep else to_model(picture, centre(picture), size)
        off = float(np.abs(again.astype(np.float32) - pixels).mean()) / (257 if deep else 1)
        if off > SAME:
            raise ValueError(
                f"the packed picture is {off:.1f} grey levels off the one this phantom draws: the "
                "world is of another version; make it again and pack it"
            )


def _pictures(job: Job) -> list[_Shown]:
    story = tell(job.seed, job.site, job.index)
    return [_Shown(job, story, shot) for shot in story.shots]


def _settings(path: Path) -> Settings:
    try:
        world = json.loads(path.read_bytes())
        if world["format"] != FORMAT:
            raise ValueError(f"format {world['format']!r}, not {FORMAT}")
        said = Settings.model_validate(world["settings"]).check()
    except ValidationError as e:
        wrong = e.errors()[0]
        why = f"settings.{'.'.join(str(x) for x in wrong['loc'])}: {wrong['msg']}"
        raise ValueError(f"{path.name}: not of a phantom world: {why}") from e
    except (OSError, ValueError, KeyError, TypeError) as e:
        why = f"no {e}" if isinstance(e, KeyError) else getattr(e, "strerror", None) or e
        raise ValueError(f"{path.name}: not of a phantom world: {why}") from e
    return said


def _pseudonyms(folder: Path, pack: Path, manifest: Manifest) -> Pseudonyms:
    """With the key that the pack was made with."""
    for path in (
        folder / "pseudonym.key",
        pack.with_name(f"{pack.name}.private") / "pseudonym.key",
    ):
        if path.is_file():
            found = Pseudonyms(load_key(folder, path), manifest.name)
            if found.key_id == manifest.key_id:
                return found
    raise ValueError(
        f"{pack.name}: packed with another key than the world's; its patients are unknown"
    )
