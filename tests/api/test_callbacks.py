"""Dynamics that other programs' trainings write: the same values as a slow loop, and the same weights as without them."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import spurcli as package
from spurcli.artifacts.dynamics import open_dynamics
from spurcli.callbacks.passes import require_full_weights
from spurcli.errors import InputError, SpurWarning, UsageError

NUM = 60
rng = np.random.default_rng(0)
LABEL = rng.integers(0, 3, NUM)
INPUTS = torch.tensor(rng.normal(size=(NUM, 4)) + np.eye(3, 4)[LABEL], dtype=torch.float32)
LABELS = torch.tensor(LABEL)
IDS = [f"sample {number}" for number in range(NUM)]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))


def logits_after(model):
    model.eval()
    with torch.no_grad():
        found = model(INPUTS).numpy()
    model.train()
    return found


def require_same(path, logits, view="eval"):
    """The file holds what all these logits [epochs, n, classes] say."""
    p = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    with open_dynamics(path) as reader:
        assert reader.facts.view == view
        np.testing.assert_array_equal(reader.labels(), LABEL)
        found = reader.values(0, NUM)
        np.testing.assert_allclose(found.log_p, np.log(p[:, np.arange(NUM), LABEL]), rtol=2e-4, atol=1e-6)
        np.testing.assert_array_equal(found.correct, logits.argmax(axis=2) == LABEL)
        return reader.sample_ids()


def test_a_loop_of_ones_own_is_recorded_and_scored(spurcli):
    recorder = package.DynamicsRecorder("dynamics.h5", NUM, ids=IDS, class_names=["a", "b", "c"])
    logits = rng.normal(size=(3, NUM, 3)).astype(np.float32)
    for epoch in range(3):
        for index in torch.randperm(NUM).split(16):
            recorder.update(index, torch.tensor(logits[epoch])[index].requires_grad_(), LABELS[index])
        recorder.end_epoch()
        assert recorder.num_epochs == epoch + 1
    assert require_same(recorder.path, logits, "in-training") == tuple(IDS)
    assert spurcli("score", "--dynamics", "dynamics.h5").code == 0
    assert spurcli("prune", "--score", "aum", "--fraction", "0.1", "--per-class").code == 0
    from_memory = package.scores_of_epochs(logits, LABEL)
    kept = package.kept_indices(from_memory["aum"], LABEL, fraction=0.1, per_class=True, higher_is="easier")
    np.testing.assert_array_equal(np.loadtxt("keep.txt", dtype=int), kept)


def test_a_recorder_goes_on_from_its_file():
    logits = rng.normal(size=(3, NUM, 3)).astype(np.float32)

    def record(recorder, epochs):
        for epoch in epochs:
            recorder.update(np.arange(NUM), logits[epoch], LABEL)
            recorder.end_epoch()

    record(package.DynamicsRecorder("dynamics.h5", NUM, ids=IDS), [0, 1])
    again = package.DynamicsRecorder("dynamics.h5", NUM, ids=IDS)
    again.resume(1)
    record(again, [1, 2])
    require_same(again.path, logits, "in-training")
    with pytest.raises(InputError, match="has 3 epochs"):
        again.resume(4)
    with pytest.raises(InputError, match="other samples"):
        package.DynamicsRecorder("dynamics.h5", NUM, ids=IDS[::-1]).resume(1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([0, 60], np.zeros((2, 3)), [0, 0]), "index 60 is not one of 60 samples"),
        (([0.5], np.zeros((1, 3)), [0]), r"Integers \[m\]"),
        (([0], np.full((1, 3), np.inf), [0]), "NaN or infinite"),
        (([0, 1], np.zeros((1, 3)), [0]), "1 value for 2 samples"),
        (([0], np.zeros((1, 3)), [2]), "Sample 0 has the label 2, and had 1 before"),
        (([1], np.zeros((1, 4)), [0]), "Logits of 4 classes, and of 3 before"),
    ],
)
def test_batches_that_do_not_fit_are_refused(arguments, words):
    recorder = package.DynamicsRecorder("dynamics.h5", NUM)
    recorder.update([0], [[-1.0, 2.0, 0.5]], [1])
    with pytest.raises(InputError, match=words):
        recorder.update(*arguments)


def test_a_sample_that_is_left_out_is_noticed(tmp_path):
    recorder = package.DynamicsRecorder("dynamics.h5", NUM)
    recorder.update(np.arange(48), rng.normal(size=(48, 3)), LABEL[:48])
    with pytest.raises(InputError, match=r"12 samples of 60 had no logits in epoch 1, first sample 48"):
        recorder.end_epoch()
    assert not list(tmp_path.iterdir())
    with pytest.warns(SpurWarning, match="the model's values before its last softmax"):
        package.DynamicsRecorder("dynamics.h5", NUM).update(np.arange(48), np.full((48, 3), 1 / 3), LABEL[:48])
    with pytest.raises(UsageError, match="view"):
        package.DynamicsRecorder("dynamics.h5", NUM, view="train")
    with pytest.raises(InputError, match="twice"):
        package.DynamicsRecorder("dynamics.h5", 2, ids=["a", "a"])


class Classifier(nn.Module):
    """As transformers' models are: named inputs, a loss and logits out."""

    def __init__(self, seen):
        super().__init__()
        self.net, self.seen = network(), seen

    def forward(self, x, labels=None):
        logits = self.net(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def trained_by_transformers(folder, callbacks, *, epochs=2, resume=None):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    seen = []
    train = [{"x": x, "labels": y} for x, y in zip(INPUTS, LABELS, strict=True)]

    class Watch(transformers.TrainerCallback):
        def on_epoch_end(self, args, state, control, model=None, **_):
            seen.append(logits_after(model.net))

    args = transformers.TrainingArguments(
        *(str(folder),), num_train_epochs=epochs, per_device_train_batch_size=16, learning_rate=0.05, report_to=[],
        save_strategy="epoch", use_cpu=True, seed=1, disable_tqdm=True, lr_scheduler_type="constant",
    )  # fmt: skip
    model = Classifier(seen)
    trainer = transformers.Trainer(model, args, train_dataset=train, callbacks=[*callbacks, Watch()])
    trainer.train(resume_from_checkpoint=resume)
    return model, np.stack(seen)


@pytest.mark.filterwarnings("default")
def test_a_trainer_of_transformers_writes_dynamics_and_trains_the_same(tmp_path):
    pytest.importorskip("accelerate")
    from spurcli.callbacks.transformers import DynamicsCallback

    model, logits = trained_by_transformers(tmp_path / "run", [DynamicsCallback("dynamics.h5", ids=IDS)])
    assert require_same(tmp_path / "dynamics.h5", logits) == tuple(IDS)
    plain, _ = trained_by_transformers(tmp_path / "plain", [])
    for name, value in plain.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name
    # and from its checkpoint it goes on
    _, more = trained_by_transformers(
        tmp_path / "run",
        [DynamicsCallback("dynamics.h5", ids=IDS)],
        epochs=3,
        resume=str(tmp_path / "run/checkpoint-8"),
    )
    require_same(tmp_path / "dynamics.h5", np.concatenate([logits, more]))


def trained_by_lightning(lightning, callbacks, *, epochs=2, resume=None, **options):
    seen = []

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = network()

        def forward(self, x):
            return self.net(x)

        def training_step(self, batch, _number):
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def on_train_epoch_end(self):
            seen.append(logits_after(self.net))

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    torch.manual_seed(5)
    loader = DataLoader(TensorDataset(INPUTS, LABELS), batch_size=16, shuffle=True, drop_last=True)
    model = Module()
    torch.manual_seed(6)
    trainer = lightning.Trainer(
        max_epochs=epochs, callbacks=callbacks, logger=False, enable_progress_bar=False, enable_model_summary=False,
        accelerator="cpu", **{"enable_checkpointing": False, **options},
    )  # fmt: skip
    trainer.fit(model, loader, ckpt_path=resume)
    return model, np.stack(seen)


@pytest.mark.filterwarnings("default")
def test_a_trainer_of_lightning_writes_dynamics_and_trains_the_same(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")
    from spurcli.callbacks.lightning import DynamicsCallback

    model, logits = trained_by_lightning(lightning, [DynamicsCallback("dynamics.h5", ids=IDS)])
    assert require_same(tmp_path / "dynamics.h5", logits) == tuple(IDS)
    plain, _ = trained_by_lightning(lightning, [])
    for name, value in plain.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


@pytest.mark.filterwarnings("default")
def test_a_training_of_lightning_that_resumes_continues_the_file(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")
    from lightning.pytorch.callbacks import ModelCheckpoint

    from spurcli.callbacks.lightning import DynamicsCallback

    after_each = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    callback = DynamicsCallback("dynamics.h5", ids=IDS)
    _, logits = trained_by_lightning(lightning, [callback, after_each], enable_checkpointing=True)
    again = DynamicsCallback("dynamics.h5", ids=IDS)
    _, more = trained_by_lightning(lightning, [again], epochs=3, resume=tmp_path / "epoch=1.ckpt")
    assert len(more) == 1
    require_same(tmp_path / "dynamics.h5", np.concatenate([logits, more]))
    # from an earlier checkpoint: later epochs are replaced
    _, more = trained_by_lightning(lightning, [again], epochs=3, resume=tmp_path / "epoch=0.ckpt")
    assert len(more) == 2
    require_same(tmp_path / "dynamics.h5", np.concatenate([logits[:1], more]))
    # a second training with the same callback starts a new file
    _, other = trained_by_lightning(lightning, [callback], epochs=1)
    require_same(tmp_path / "dynamics.h5", other)
    with pytest.raises(InputError, match="has 1 epoch, and the training continues after epoch 2"):
        trained_by_lightning(lightning, [callback], epochs=3, resume=tmp_path / "epoch=1.ckpt")


def test_sharded_weights_are_refused():
    model = network()
    require_full_weights(model)
    model[0].weight.ds_id = 0  # as DeepSpeed's stage 3 marks them
    with pytest.raises(UsageError, match="sharded weights"):
        require_full_weights(model)


def test_without_lightning_its_callback_says_what_to_install(monkeypatch):
    for name in ("lightning", "lightning.pytorch", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, name, None)
    sys.modules.pop("spurcli.callbacks.lightning", None)
    with pytest.raises(package.SpurError, match="pip install lightning"):
        import spurcli.callbacks.lightning  # noqa: F401
