"""The training loop: row-wise tables against a loop by hand and against dense gradients, recorded and compiled steps against plain ones."""

import numpy as np
import pytest
import torch

from causalsem.errors import SettingError
from causalsem.identify import AdjustmentSet, Query
from causalsem.networks import Multilevel, TwoTower
from causalsem.networks.build import build
from causalsem.networks.net import Shape
from causalsem.outcome import Loop, fit_outcome
from causalsem.outcome import best as best_module
from causalsem.outcome.best import best_of, keep
from causalsem.outcome.distributed import Team
from causalsem.outcome.optimiser import BEFORE, RowAdagrad
from causalsem.outcome.plan import Plan, TrainingData
from causalsem.outcome.step import Step, trains_rowwise
from causalsem.outcome.train import Batching
from tests.outcome.worlds import STAGES, make_chain, make_world

ROWWISE = Loop(tables="rowwise")


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def a_step(network, loop, users=6, items=4, n=24, batch=None):
    """A step whose objective is half the mean squared outcome head, on pairs that hold every user and item equally often."""
    net = build(Shape(users, items, 2, 3, 0, 2, 2), network, rng())
    for table in net.tables:
        table.data.normal_(0, 0.3, generator=rng(1))
    user, item = torch.arange(n) % users, torch.arange(n) // users % items
    every = torch.arange(n).expand(2, n).contiguous()
    traits = torch.randn(users, 2, generator=rng(2)), torch.randn(items, 3, generator=rng(3))
    data = TrainingData(user, item, None, *traits, every, every)
    plan = Plan(1, batch or n, 0.01, 1, False, (20.0, 30.0, 40.0, 50.0, 60.0), loop)
    step = Step(net, data, lambda heads, rows: (heads.outcome**2).mean(dim=(1, 2)) / 2, plan, rng(4), Team())
    return step, every


# Row-wise tables.


def test_row_wise_adagrad_is_the_loop_over_rows_by_hand():
    table = torch.nn.Parameter(torch.randn(2, 5, 3, generator=rng()))
    by_hand, state = table.detach().double().clone(), torch.zeros(2, 5, 2, dtype=torch.float64)
    optimiser = RowAdagrad(table, (2, 1))
    for seed in range(3):
        rows, gradient = torch.randint(5, (2, 8), generator=rng(seed)), torch.randn(2, 8, 3, generator=rng(seed + 9))
        optimiser.step(rows, gradient, 0.1)
        for m in range(2):
            for row in set(rows[m].tolist()):
                total = gradient[m][rows[m] == row].double().sum(dim=0)
                for k, columns in enumerate((slice(0, 2), slice(2, 3))):
                    own = (total[columns] ** 2).max()
                    state[m, row, k] += own if state[m, row, k] else (1 + BEFORE) * own
                    by_hand[m, row, columns] -= 0.1 * BEFORE**0.5 * total[columns] / state[m, row, k].sqrt()
    torch.testing.assert_close(table.detach().double(), by_hand, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(optimiser.state.double(), state, rtol=1e-5, atol=1e-7)


def test_the_first_step_of_a_row_is_as_long_as_one_of_adam_in_every_block_and_on_every_scale():
    table = torch.nn.Parameter(torch.zeros(1, 3, 4))
    gradient = torch.tensor([[[1e-3, -1e-3, 5.0, 0.0], [100.0, 1.0, 0.0, 1e-4]]])
    RowAdagrad(table, (2, 2)).step(torch.tensor([[0, 2]]), gradient, 0.02)
    longest = table.detach()[0].abs().reshape(3, 2, 2).amax(dim=-1)
    torch.testing.assert_close(longest[[0, 2]], torch.full((2, 2), 0.02 * (BEFORE / (1 + BEFORE)) ** 0.5))


def test_rows_that_no_pair_looks_up_are_left_alone():
    table = torch.nn.Parameter(torch.randn(1, 4, 2, generator=rng()))
    before = table.detach().clone()
    RowAdagrad(table, (2,)).step(torch.tensor([[2, 2, 3]]), torch.ones(1, 3, 2), 0.1)
    torch.testing.assert_close(table.detach()[0, :2], before[0, :2], rtol=0, atol=0)
    assert (table.detach()[0, 2:] < before[0, 2:]).all()


@pytest.mark.parametrize("network", [TwoTower(id_dropout=0.0, hidden=(5,)), Multilevel()])
def test_row_wise_gradients_and_prior_are_the_dense_ones_on_a_batch_of_all_pairs(network, monkeypatch):
    dense, rows = a_step(network, Loop(tables="dense"))
    sparse, _ = a_step(network, ROWWISE)
    told = []
    monkeypatch.setattr(RowAdagrad, "step", lambda self, rows, gradient, rate: told.append((self.table, rows, gradient)))
    monkeypatch.setattr(dense.optimiser.adam, "step", lambda: None)
    assert float(dense(rows)) == float(sparse(rows))
    for table, (own, index, gradient) in zip(dense.net.tables, told, strict=True):
        total = torch.zeros_like(own)
        for m in range(2):
            total[m].index_add_(0, index[m], gradient[m])
        known = int(index.max()) + 1  # past it lies the row of strangers, whom nobody looked up
        torch.testing.assert_close(total[:, :known], table.grad[:, :known], rtol=1e-4, atol=1e-6)


def test_auto_trains_row_by_row_where_a_table_outgrows_the_batch():
    for users, batch, rowwise in ((1000, 100, True), (300, 100, False)):
        net = build(Shape(users, 10, 0, 0, 0, 2, 2), TwoTower(), rng())
        assert trains_rowwise(net, Plan(1, batch, 0.01, 1)) is rowwise
    adversarial = build(Shape(1000, 10, 0, 0, 0, 2, 2), TwoTower(adversarial=0.1), rng())
    assert not trains_rowwise(adversarial, Plan(1, 100, 0.01, 1))
    with pytest.raises(SettingError, match="cannot train against an adversary"):
        trains_rowwise(adversarial, Plan(1, 100, 0.01, 1, loop=ROWWISE))
    with pytest.raises(SettingError, match="tables='sparse'"):
        Loop(tables="sparse")


@pytest.mark.parametrize(("own", "loss_of_correlation"), [(0.0, 0.004), (1.5, 0.02)])
def test_row_wise_tables_find_the_truth_as_dense_ones_do_whether_ids_matter_or_not(own, loss_of_correlation, adjust):
    world = make_world(own=own)
    dense, rowwise = (
        fit_outcome(world.pairs, adjust, TwoTower(), loss="naive", members=2, epochs=4, loop=Loop(tables=tables))
        for tables in ("dense", "rowwise")
    )
    for truth, told in ((world.p1, lambda model: model.predict(world.pairs, 1)), (world.e, lambda model: model.propensity)):
        found = [np.corrcoef(told(model), truth)[0, 1] for model in (dense, rowwise)]
        assert found[1] > found[0] - loss_of_correlation
    assert rowwise.history["outcome"][-1][1] < dense.history["outcome"][-1][1] * 1.01


def test_row_wise_training_resumes_to_the_numbers_of_an_unbroken_one(tmp_path, small, adjust, killed_after):
    told = {"loss": "naive", "epochs": 4, "members": 2, "loop": ROWWISE}
    unbroken = fit_outcome(small.pairs, adjust, TwoTower(), **told)
    with pytest.raises(KeyboardInterrupt), killed_after(11):
        fit_outcome(small.pairs, adjust, TwoTower(), **told, checkpoint=tmp_path / "c.safetensors")
    resumed = fit_outcome(small.pairs, adjust, TwoTower(), **told, checkpoint=tmp_path / "c.safetensors")
    np.testing.assert_array_equal(resumed.fitted, unbroken.fitted)
    assert dict(resumed.history) == dict(unbroken.history)


# Recorded and compiled steps.


@pytest.mark.parametrize("tables", ["dense", "rowwise"])
def test_steps_from_the_same_memory_give_the_numbers_of_plain_ones(tables, small, adjust):
    network = TwoTower(dropout=0.1)
    plain, recorded = (
        fit_outcome(small.pairs, adjust, network, loss="dr", epochs=2, members=2, batch_size=500, loop=Loop(tables, graph=graph))
        for graph in (False, True)
    )
    np.testing.assert_array_equal(plain.fitted, recorded.fitted)
    assert dict(plain.history) == dict(recorded.history)


def test_a_chain_gives_the_same_numbers_from_the_same_memory():
    pairs, adjust = make_chain(60, 30).pairs, AdjustmentSet(Query("shown", "buy"), ("activity", "popularity"), "given")
    told = {"loss": "escm_dr", "stages": STAGES, "epochs": 2, "members": 2}
    plain, recorded = (fit_outcome(pairs, adjust, TwoTower(), **told, loop=Loop("rowwise", graph=graph)) for graph in (False, True))
    np.testing.assert_array_equal(plain.fitted, recorded.fitted)


def test_sizes_of_a_row_wise_step_do_not_depend_on_what_the_batch_holds():
    # What a recorded graph needs: the same operations on the same sizes, however many rows repeat.
    from torch.utils._python_dispatch import TorchDispatchMode

    class Sizes(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.seen = []

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            found = function(*args, **(kwargs or {}))
            self.seen.append((str(function), tuple(found.shape) if isinstance(found, torch.Tensor) else None))
            return found

    told = []
    for rows in (torch.tensor([[0, 1, 2, 3]]), torch.tensor([[4, 4, 4, 4]])):
        with Sizes() as sizes:
            RowAdagrad(torch.nn.Parameter(torch.ones(1, 5, 2)), (1, 1)).step(rows, torch.ones(1, 4, 2), 0.1)
        told.append(sizes.seen)
    assert told[0] == told[1]
    assert not any("unique" in name or "nonzero" in name for name, _ in told[0])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("tables", ["dense", "rowwise"])
def test_a_graph_recorded_on_cuda_gives_the_numbers_of_plain_steps(tables, small, adjust):
    told = {"loss": "dr", "epochs": 4, "members": 2, "batch_size": 500, "device": "cuda"}
    plain, recorded = (fit_outcome(small.pairs, adjust, TwoTower(), **told, loop=Loop(tables, graph=graph)) for graph in (False, True))
    # Sums on the device come in any order.
    np.testing.assert_allclose(plain.fitted, recorded.fitted, rtol=1e-2, atol=1e-3)


def test_a_compiled_step_is_one_graph_with_the_numbers_of_a_plain_one(monkeypatch):
    # The eager backend traces heads and loss as any backend does, without the minute that a C++ compiler takes.
    from functools import partial

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager", fullgraph=True))
    pairs, adjust = make_chain(60, 30).pairs, AdjustmentSet(Query("shown", "buy"), ("activity", "popularity"), "given")
    told = {"loss": "esmm", "stages": STAGES[:3], "propensity": "truth", "epochs": 1, "members": 2}
    plain, compiled = (
        fit_outcome(pairs, adjust, TwoTower(dropout=0.1), **told, loop=Loop("rowwise", compile=made)) for made in (False, True)
    )
    np.testing.assert_allclose(plain.fitted, compiled.fitted, rtol=1e-5, atol=1e-6)


# What a training holds.


def test_batches_are_each_members_rows_once_in_an_order_of_its_own():
    rows = torch.stack([torch.arange(10, 33), torch.arange(50, 73)])
    batches = list(Batching(rows, 3, rng()))
    assert [batch.shape[1] for batch in batches] == [8, 8, 7]
    together = torch.cat(batches, dim=1)
    assert torch.equal(together.sort(dim=1).values, rows)
    assert not torch.equal(together[0] - 10, together[1] - 50)


def test_large_weights_are_kept_in_a_file_and_come_back_unchanged(monkeypatch):
    monkeypatch.setattr(best_module, "LARGE", 64)
    net = torch.nn.Linear(8, 8)
    with best_of(net) as best:
        first = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        with torch.no_grad():
            net.weight.add_(1)
        for name, tensor in best.items():
            assert torch.equal(tensor, first[name])
        keep(net.state_dict(), best)
        assert torch.equal(best["weight"], net.weight)
