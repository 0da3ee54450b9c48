"""What rank 0 alone does, and what the others hear of it."""

import os

import pytest

from tests.training.workers import CONTEXT, free_port


def fails(error: type[Exception]) -> None:
    raise error("disk full: /runs/a")


def asks(rank: int, port: int, error: type[Exception], heard) -> None:
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ |= {k: str(v) for k, v in names.items()} | {"MASTER_ADDR": "127.0.0.1"}
    from training.world import join_torchrun

    world = join_torchrun(timeout_s=60)
    try:
        world.on_main(lambda: fails(error))
    except Exception as e:
        heard.put((rank, type(e).__name__, str(e)))


@pytest.mark.parametrize(
    ("error", "name", "text"),
    [
        (ValueError, "ValueError", "disk full: /runs/a"),
        (BlockingIOError, "OSError", "disk full: /runs/a"),  # one line, not a traceback
        (KeyError, "RuntimeError", "KeyError: 'disk full: /runs/a'"),
    ],
)
def test_what_ends_rank_0_is_raised_on_every_rank(error, name, text):
    heard, port = CONTEXT.SimpleQueue(), free_port()
    ranks = [CONTEXT.Process(target=asks, args=(r, port, error, heard)) for r in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(60)
    assert sorted(heard.get() for _ in ranks) == [(0, name, text), (1, name, text)]
