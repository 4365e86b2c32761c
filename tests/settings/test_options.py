"""Options belong to the part that they were written for."""

from __future__ import annotations

import pytest

from spurcli.session import configure


def test_a_new_part_takes_its_own_options_and_none_of_the_old():
    settings = configure("demo", model="small_cnn", overrides={"model.options.width": 4})
    assert settings.model.name == "small_cnn"
    assert dict(settings.model.options) == {"width": 4}


@pytest.mark.parametrize("model", [None, "mlp"])
def test_the_same_part_keeps_the_options_of_the_recipe(model):
    settings = configure("demo", model=model)
    assert dict(settings.model.options) == {"hidden": [128, 128]}
