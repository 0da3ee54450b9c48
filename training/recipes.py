"""Recipes: functions that return a `Config`. A name with ``:smoke`` is its size for a CPU.

python -m training --list
"""

from __future__ import annotations

import difflib
from collections.abc import Callable

from training.config import (
    Compute,
    Config,
    Fracture,
    Input,
    Model,
    Paths,
    Pseudo,
    Stage,
    Student,
    home,
)
from training.face import FACE2BONE, Face
from training.grid import GRID, Grid

#: ImageNet's, by channel.
RGB_MEAN, RGB_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def ospenscreen() -> Config:
    """OsPenScreen: low bone mass against normal, from chest X-rays.

    Park et al., Archives of Osteoporosis 2025, 20:131. ConvNeXt-small (ImageNet) at 512x512,
    grayscale truncation, cross-entropy + KL divergence, batch 64, 100 epochs, proxy labels at
    p(normal) >= .99 and p(low bone mass) >= .75.

    The paper leaves open, and we decide:
      - who the teacher is: the same network, trained on the DXA-paired site only, frozen;
      - the student starts from ImageNet again, not from the teacher;
      - weak augmentation is the teacher's view, strong the student's;
      - temperature 4 and alpha .5; the KL term is scaled by T^2 (Hinton et al. 2015);
      - proxy labels are hard labels in the cross-entropy with weight 1, a quarter of each batch,
        their classes as frequent as among the labelled;
      - probabilities are temperature-scaled on the tune split before the thresholds act;
      - AdamW 1e-4, weight decay .05, cosine to 0 after 5 warm-up epochs, EMA .999, gradient norm 1;
      - the epoch with the best tune AUROC is kept; the cut-off is Youden's on the tune split (the
        paper uses .5: ``operating_point=half``).
    """
    return Config(
        recipe="ospenscreen",
        model=Model(name="convnext_small.fb_in1k", pretrained="tag", drop_path=0.1),
        input=Input(size=512),
        teacher=Stage(epochs=100, batch=64, lr=1e-4),
        pseudo=Pseudo(),
        student=Student(epochs=100, batch=64, lr=1e-4),
        compute=Compute(workers=4, use_gpu=True, cpus_per_worker=8, loader_workers=7),
    )


def ospenscreen_smoke() -> Config:
    """OsPenScreen in minutes on two CPU cores: a tiny network from scratch at 128x128.

    Same stages, losses, thresholds and files as `ospenscreen`. Differs: the model is random at the
    start (said aloud), so the learning rate is higher, epochs are few, the last epoch is kept (the
    phantom's tune split is too small to choose by), and drop path is off.
    """
    return Config(
        recipe="ospenscreen:smoke",
        model=Model(name="test_byobnet", pretrained="none"),
        input=Input(size=128),
        teacher=Stage(epochs=14, batch=32, lr=3e-3, warmup_epochs=1, ema=0.98, select="last"),
        student=Student(epochs=24, batch=32, lr=3e-3, warmup_epochs=1, ema=0.98, select="last"),
        compute=Compute(workers=2),
    )


def fracture() -> Config:
    """Fracture: who breaks a bone within five years, and in which order, from chest X-rays.

    Kong et al.'s review (2025) asks of opportunistic osteoporosis models what makes them usable:
    survival heads, the C-index, per-patient curves. The loss is DeepSurv's (Katzman et al., BMC Med
    Res Methodol 2018, 18:24): Cox's partial likelihood with a network's log risk.

    The papers leave open, and we decide:
      - time runs from the radiograph to the first fracture; who had one before is not learnt from;
        death counts as last seen (cause-specific hazards; risks are of those who do not die first);
      - Efron's ties; risk sets are those of a batch, so a batch is large (DeepSurv uses all
        patients at once), and each holds its share of fractures;
      - the log risk is the difference of the network's two logits, which is one output;
      - the epoch with the best C on the tune split is kept; the baseline hazard (Breslow's, with
        Efron's ties) is estimated there, so risks are as good as the tune split is large;
      - nobody teaches: labels of DXA are not used; the network starts from ImageNet;
      - AdamW and its settings as in `ospenscreen`.
    """
    return Config(
        recipe="fracture",
        model=Model(name="convnext_small.fb_in1k", pretrained="tag", drop_path=0.1),
        input=Input(size=512),
        fracture=Fracture(epochs=100, batch=128, lr=1e-4),
        compute=Compute(workers=4, use_gpu=True, cpus_per_worker=8, loader_workers=7),
    )


def fracture_smoke() -> Config:
    """Fracture in a minute on two CPU cores: a tiny network from scratch at 128x128.

    Same loss, tuning and files as `fracture`. Differs: the model is random at the start and the
    rate higher. It is no evidence about the method.
    """
    return Config(
        recipe="fracture:smoke",
        model=Model(name="test_byobnet", pretrained="none"),
        input=Input(size=128),
        fracture=Fracture(epochs=20, batch=64, lr=3e-3, warmup_epochs=1, ema=0.98, select="last"),
        compute=Compute(workers=2),
    )


def li2026() -> Config:
    """Li et al. 2026: osteoporosis or not, by a Transformer over a grid of tiles of an X-ray.

    Chinese Journal of Medical Imaging Technology 2026 (doi 10.13929/j.issn.1003-3289.2026.03.017).
    6 x 6 tiles of 256 x 256, a shared ResNet-18, a [BMD] token and six post-norm layers, a global
    head and a head for each tile; SGD 1e-4 with momentum .9, batch 8. Pack with ``--policy
    li2026/1 --pixels cxr16/1 --size 1536``; ``--folds 5`` cross-validates, which is what the
    combined model of the report needs.

    The paper leaves open, and we decide:
      - each of the 36 blocks is resized to 256 x 256 (the picture to 256 would give 43 pixels);
      - each local head has the picture's label as its target; their mean loss weighs .5;
      - 100 epochs, cosine to 0 after 5 warm-up epochs, weight decay 1e-4, gradient norm 1, no
        average of the weights; the epoch with the best AUROC on the tune split is kept;
      - the tune split (a tenth of the patients) chooses epoch, temperature and threshold in every
        fold, where the paper chose by the fold itself: out-of-fold scores stay honest;
      - clipped to the .5 and 99.5 percentiles and z-scored picture by picture;
      - folds, test and external scores: the mean of the folds' probabilities.
    """
    return Config(
        recipe="li2026",
        model=Model(name=GRID, pretrained="tag", grid=Grid()),
        input=Input(size=1536, per_image=True),
        target="osteoporosis",
        image=Stage(
            epochs=100,
            batch=8,
            optimizer="sgd",
            lr=1e-4,
            weight_decay=1e-4,
            ema=0,
            augment="li",
        ),
        compute=Compute(workers=1, use_gpu=True, cpus_per_worker=8, loader_workers=7),
    )


def li2026_smoke() -> Config:
    """Li et al. in minutes on two CPU cores: 6 x 6 tiles of 32 pixels, from scratch.

    Same stages, losses, folds and files as `li2026`, and the same kinds of layers, fewer and
    narrower. Differs: the model is random at the start (said aloud), so AdamW and a higher rate
    take SGD's place, batches are larger and epochs few. It is no evidence about the method.
    """
    grid = Grid(tile=32, width=64, depth=2, heads=4, mlp=128, hidden=32)
    return Config(
        recipe="li2026:smoke",
        model=Model(name=GRID, pretrained="none", grid=grid),
        input=Input(size=192, per_image=True),
        target="osteoporosis",
        image=Stage(
            epochs=12,
            batch=32,
            lr=1e-3,
            warmup_epochs=1,
            ema=0.98,
            augment="li",
            select="last",
        ),
        compute=Compute(workers=2),
    )


def osteoporosis() -> Config:
    """Osteoporosis or not: the first stage that OsPenScreen asks for, one model from labels.

    OsPenScreen leaves osteoporosis to "a first-stage model" and says nothing of it. Here it is the
    paper's own network on its own pictures, learnt from all who had DXA: pack with ``--policy
    three-class/1``. On the same dataset `ospenscreen` then learns low bone mass from those without
    osteoporosis, and ``python -m eval classes`` puts the two together.
    """
    return Config(
        recipe="osteoporosis",
        model=Model(name="convnext_small.fb_in1k", pretrained="tag", drop_path=0.1),
        input=Input(size=512),
        target="osteoporosis",
        image=Stage(epochs=100, batch=64, lr=1e-4, augment="strong"),
        compute=Compute(workers=4, use_gpu=True, cpus_per_worker=8, loader_workers=7),
    )


def osteoporosis_smoke() -> Config:
    """Osteoporosis or not in a minute on two CPU cores; differs as `ospenscreen:smoke` does."""
    return Config(
        recipe="osteoporosis:smoke",
        model=Model(name="test_byobnet", pretrained="none"),
        input=Input(size=128),
        target="osteoporosis",
        image=Stage(
            epochs=24,
            batch=32,
            lr=3e-3,
            warmup_epochs=1,
            ema=0.98,
            augment="strong",
            select="last",
        ),
        compute=Compute(workers=2),
    )


def three_classes() -> Config:
    """Normal, low bone mass and osteoporosis at once: the model OsPenScreen's discussion plans.

    The alternative to its two stages: one network with a logit for each class (softmax), or with
    two cuts on one scale (``model.ordinal=true``; McCullagh 1980). Pack with ``--policy
    three-class/1``. `probability` in predictions is of low bone mass or osteoporosis, the three
    stand beside it.
    """
    return _of_three(osteoporosis(), "three_classes")


def three_classes_smoke() -> Config:
    """Three classes in a minute on two CPU cores; differs as `ospenscreen:smoke` does."""
    return _of_three(osteoporosis_smoke(), "three_classes:smoke")


def _of_three(config: Config, name: str) -> Config:
    return Config.model_validate(dict(config) | {"recipe": name, "target": "three classes"})


def face2bone() -> Config:
    """Face2Bone: normal, osteopenia or osteoporosis, from a photograph of a face.

    Liang et al., "Face2Bone explainable AI model predicts osteoporosis risk from facial images in
    proof of concept study". Faces as ``python -m data_sharding pack`` makes them of a study's
    photographs, 224 x 224; stages of residual blocks and frequency-sparse attention, told by
    FaceNet's embedding where to look; a KAN head. Cross-entropy, Adam, one cycle up to 1e-3 in 30%
    of the steps and down to 1e-6, batch 32, 150 epochs, early stopping, seed 42; 80% of the
    patients (a tenth of all to choose by) are learnt from, 20% are the test set.

    The paper leaves open, and we decide:
      - what the network is made of: `training.models.face2bone` says it block by block;
      - FaceNet's weights: give them (``model.face.facenet``, ``facenet_sha256``), or say that there
        is no face branch (``model.face.facenet=none``); neither is done for you;
      - a patient with several photographs is in one split with all of them;
      - early stopping: 10 epochs without a better AUROC (any bone loss against normal) on the tune
        split; the paper stopped on less than 5% of relative gain, which ends at once, and names no
        split;
      - no vertical flip, which the paper lists: nobody is met upside down
        (``image.augment=face_upset`` has it);
      - weight decay 1e-4, gradient norm 1, no average of the weights.
    """
    return Config(
        recipe="face2bone",
        seed=42,
        model=Model(name=FACE2BONE, pretrained="none", channels=3),
        input=Input(size=224, mean=RGB_MEAN, std=RGB_STD),
        target="three classes",
        image=Stage(
            epochs=150,
            batch=32,
            optimizer="adam",
            lr=1e-3,
            schedule="onecycle",
            weight_decay=1e-4,
            ema=0,
            augment="face",
            patience=10,
        ),
        paths=Paths(internal=home() / "shards" / "faces", public=None, external=()),
        compute=Compute(workers=1, use_gpu=True, cpus_per_worker=8, loader_workers=7),
    )


def face2bone_smoke() -> Config:
    """Face2Bone in minutes on two CPU cores: narrow stages at 96 x 96.

    Same blocks, losses, schedule and files as `face2bone`. Differs: there is no face branch (said
    aloud: one learnt key serves every face), a quarter of the channels, a residual block a stage,
    few epochs, of which the last is kept. It is no evidence about the method.
    """
    face = Face(
        facenet="none",
        widths=(16, 32, 64, 128),
        depths=(1, 1, 1, 1),
        heads=(1, 1, 2, 4),
        hilo_heads=(2, 2, 4, 8),
    )
    return Config(
        recipe="face2bone:smoke",
        seed=42,
        model=Model(name=FACE2BONE, pretrained="none", channels=3, face=face),
        input=Input(size=96, mean=RGB_MEAN, std=RGB_STD),
        target="three classes",
        image=Stage(
            epochs=30,
            batch=32,
            optimizer="adam",
            lr=3e-3,
            schedule="onecycle",
            weight_decay=1e-4,
            ema=0,
            augment="face",
            select="last",
        ),
        paths=Paths(internal=home() / "shards" / "faces", public=None, external=()),
        compute=Compute(workers=2),
    )


RECIPES: dict[str, Callable[[], Config]] = {
    "ospenscreen": ospenscreen,
    "ospenscreen:smoke": ospenscreen_smoke,
    "li2026": li2026,
    "li2026:smoke": li2026_smoke,
    "osteoporosis": osteoporosis,
    "osteoporosis:smoke": osteoporosis_smoke,
    "three_classes": three_classes,
    "three_classes:smoke": three_classes_smoke,
    "face2bone": face2bone,
    "face2bone:smoke": face2bone_smoke,
    "fracture": fracture,
    "fracture:smoke": fracture_smoke,
}


def recipe(name: str) -> Config:
    """The recipe called `name`; ValueError with the nearest name if there is none."""
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1)
        hint = f" Did you mean {near[0]}?" if near else f" There are: {', '.join(RECIPES)}."
        raise ValueError(f"{name}: no such recipe.{hint}")
    return RECIPES[name]()
