"""Two processes that share every batch end where one ends."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from causalsem.networks import TwoTower
from causalsem.outcome import Loop, fit_outcome
from causalsem.outcome.distributed import Team
from tests.outcome.worlds import make_world

SCRIPT = """
import sys
import numpy as np
import torch
import torch.distributed as dist
from causalsem.identify import AdjustmentSet, Query
from causalsem.networks import TwoTower
from causalsem.outcome import Loop, fit_outcome
from tests.outcome.worlds import make_world

torch.set_num_threads(1)
rank, meeting, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
adjust = AdjustmentSet(Query("shown", "buy"), ("activity", "mood", "popularity"), "optimal")
for tables, weight in (("dense", 1), ("rowwise", 0)):
    network = TwoTower(dropout=0.1, balance=weight)
    model = fit_outcome(make_world(60, 20, seed=1).pairs, adjust, network, loss="dr", epochs=2, members=2, loop=Loop(tables))
    np.savez(f"{out}/{tables}{rank}.npz", fitted=model.fitted, propensity=model.propensity)
dist.destroy_process_group()
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_two_gloo_processes_give_the_numbers_of_one_at_the_same_global_batch(tmp_path, adjust):
    command = [sys.executable, "-c", SCRIPT]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), *sys.path])), "OMP_NUM_THREADS": "1"}
    started = [subprocess.Popen([*command, str(rank), str(tmp_path / "meeting"), str(tmp_path)], env=env) for rank in (0, 1)]
    assert [process.wait(timeout=240) for process in started] == [0, 0]
    for tables, weight in (("dense", 1), ("rowwise", 0)):
        first, second = (np.load(tmp_path / f"{tables}{rank}.npz") for rank in (0, 1))
        told = {"loss": "dr", "epochs": 2, "members": 2, "loop": Loop(tables)}
        alone = fit_outcome(make_world(60, 20, seed=1).pairs, adjust, TwoTower(dropout=0.1, balance=weight), **told)
        for name in ("fitted", "propensity"):
            np.testing.assert_array_equal(first[name], second[name])
            # Sums of float32 gradients in another order: a few units of the last place, grown over a few steps.
            np.testing.assert_allclose(first[name], getattr(alone, name), rtol=1e-3, atol=1e-5)


def test_parts_cover_a_batch_without_overlap():
    parts = [Team(rank, 3).part(10) for rank in range(3)]
    assert [row for start, stop in parts for row in range(start, stop)] == list(range(10))
    assert Team.now() == Team(0, 1)
