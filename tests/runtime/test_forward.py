"""Forward passes: modes restored, the embedding caught, results free of batch size, memory errors with advice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from spurcli.datasets import ArrayImages
from spurcli.errors import InputError, SpurError
from spurcli.models import last_linear
from spurcli.runtime.feed import ImageFeed
from spurcli.runtime.forward import embed, embedding_hook, evaluation_mode, forward_batches, predict_logits
from spurcli.runtime.preprocess import ImagePreprocess
from spurcli.settings import PreprocessingSettings

CPU = torch.device("cpu")
PIXELS = np.random.default_rng(0).integers(0, 256, (37, 4, 4, 1), dtype=np.uint8)
SETTINGS = PreprocessingSettings(mean=(0.4,), std=(0.3,), flip=True)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))


def parts() -> tuple[ImageFeed, ImagePreprocess]:
    return ImageFeed.build(ArrayImages(PIXELS), CPU, 0), ImagePreprocess.build(SETTINGS, 1, CPU)


def predict(model: nn.Module, size: int, **options) -> np.ndarray:
    return predict_logits(model, *parts(), num_samples=37, num_classes=3, batch_size=size, **options)


def test_each_module_gets_its_own_mode_back():
    model = network()
    model.train()
    model[2].eval()  # a frozen batch norm
    before = [module.training for module in model.modules()]
    with evaluation_mode(model):
        assert not any(module.training for module in model.modules())
        assert not model(torch.zeros(1, 16)).requires_grad
    assert [module.training for module in model.modules()] == before
    with pytest.raises(RuntimeError, match="stop"), evaluation_mode(model):
        raise RuntimeError("stop")
    assert [module.training for module in model.modules()] == before


def test_logits_do_not_depend_on_batch_size_and_are_those_of_eval_mode():
    model = network()
    model.train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    model.eval()
    with torch.no_grad():
        rows = [model(((torch.tensor(image[None, ..., 0]) / 255) - 0.4) / 0.3)[0] for image in PIXELS]
    model.train()
    expected = torch.stack(rows).numpy()
    for size in (1, 5, 36, 37, 512):
        np.testing.assert_allclose(predict(model, size), expected, atol=2e-6)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_the_augmented_view_is_that_of_training():
    feed, preprocess = parts()
    model = network()
    with evaluation_mode(model):
        found = torch.cat(
            [z for _, z in forward_batches(model, feed, preprocess, num_samples=37, batch_size=8, augment=(3, 2))]
        )
        inputs = preprocess.training(feed.pixels, torch.arange(37), 3, 2)
        expected = model(inputs)
    torch.testing.assert_close(found, expected)
    assert np.abs(found.numpy() - predict(model, 8)).max() > 1e-3


def test_low_precision_gives_float32_logits_close_to_the_exact_ones():
    model = network()
    low, exact = predict(model, 16, precision="bf16"), predict(model, 16)
    assert low.dtype == np.float32
    assert 0 < np.abs(low - exact).max() < 0.1


def test_embedding_is_the_input_of_the_last_linear_layer():
    model = network().eval()
    x = torch.randn(5, 16)
    expected = model[:5](x)
    with embedding_hook(model) as caught:
        logits = model(x)
        assert torch.equal(caught[0], expected)
        model(x[:2])
        assert caught[0].shape == (2, 8)
    torch.testing.assert_close(caught[0] @ model[5].weight.T + model[5].bias, logits[:2])
    assert not model[5]._forward_pre_hooks


def test_without_a_linear_layer_there_is_no_embedding():
    model = nn.Sequential(nn.Conv2d(1, 3, 4), nn.Flatten())
    assert last_linear(model) is None
    with embedding_hook(model) as caught:
        model(torch.zeros(2, 1, 4, 4))
    assert caught == []


def test_wrong_outputs_are_named():
    with pytest.raises(InputError, match="3 outputs, the data set 4 classes"):
        predict_logits(network(), *parts(), num_samples=37, num_classes=4)
    with pytest.raises(InputError, match=r"returned \[37, 1, 4, 4\] for a batch"):
        predict(nn.Identity(), 37)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        MemoryError(),
    ],
)
def test_out_of_memory_names_a_batch_size_to_try(error):
    class Greedy(nn.Module):
        def forward(self, x):
            raise error

    with pytest.raises(SpurError) as caught:
        predict(Greedy(), 16)
    assert caught.value.problem == "Out of memory with scoring.batch_size = 16"
    assert "--set scoring.batch_size=8" in caught.value.hint
    assert caught.value.exit_code == 1


def test_other_errors_of_a_model_pass_through():
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        predict(Broken(), 16)


def test_embeddings_are_the_last_layers_inputs_in_order_for_every_batch_size():
    model = network().train()
    feed, preprocess = parts()
    with evaluation_mode(model):
        expected = model[:5](preprocess.evaluation(torch.from_numpy(PIXELS).permute(0, 3, 1, 2))).numpy()
        logits = model[5](torch.from_numpy(expected)).numpy()
    for size in (1, 5, 64):
        found = embed(model, feed, preprocess, num_samples=37, batch_size=size)
        np.testing.assert_allclose(found[0], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found[1], logits, rtol=1e-5, atol=1e-6)
    assert model.training
    with pytest.raises(InputError, match="no last linear layer"):
        embed(nn.Sequential(nn.Flatten(), nn.ReLU()), feed, preprocess, num_samples=37)
