"""What a method declares: in either form, checked when it is built."""

from __future__ import annotations

import numpy as np
import pytest

from spurcli.errors import InputError, UsageError
from spurcli.training.method import TrainingSamples, build_method
from spurcli.training.methods.erm import ERM
from spurcli.training.traits import Traits

SAMPLES = TrainingSamples(np.arange(4), np.array([0, 1, 0, 1]), 2, 4)


def method(**attributes):
    return type("Own", (ERM,), attributes)(SAMPLES)


@pytest.mark.parametrize(
    "attributes",
    [
        {"needs_embedding": True, "set_size": 4},
        {"traits": Traits(needs_embedding=True, set_size=4)},
        {"traits": Traits(needs_embedding=True, set_size=4), "set_size": 2, "set_sizes": [1], "needs_embeddings": 1},
        {"needs_embedding": True, "set_size": 4, "set_sizes": [1, 3], "embedding": 2, "orders": 1, "subset_size": 3},
    ],
)
def test_traits_and_attributes_say_the_same(attributes):
    assert Traits.of(method(**attributes)) == Traits(needs_embedding=True, set_size=4)
    assert Traits.of(method()) == Traits()


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"need_embedding": True}, "'need_embedding'.*'needs_embedding'"),
        ({"needs_embeddings": True}, "'needs_embeddings'.*'needs_embedding'"),
        ({"fixedorder": True}, "'fixedorder'.*'fixed_order'"),
        ({"Fixed_Order": True}, "'Fixed_Order'.*'fixed_order'"),
        ({"set_sizes": 4}, "'set_sizes'.*'set_size'"),
        ({"set_size": 0}, "set_size = 0"),
        ({"set_size": 2.0}, "set_size = 2.0"),
        ({"set_size": True}, "set_size = True"),
        ({"needs_embedding": "yes"}, "needs_embedding = 'yes'"),
        ({"fixed_order": None}, "fixed_order = None"),
        ({"traits": {"set_size": 4}}, "traits is dict"),
        ({"traits": Traits(set_size=-1)}, "set_size = -1"),
    ],
)
def test_what_is_misspelled_or_of_another_kind_is_refused(attributes, says):
    with pytest.raises(InputError, match=says):
        Traits.of(method(**attributes))


def test_a_users_method_is_checked_when_it_is_built(tmp_path):
    source = "from spurcli.training.methods.erm import ERM\nfrom spurcli.training.traits import Traits\n"
    source += "class Near(ERM):\n    set_sizes = 4\n"
    source += "class Wrong(ERM):\n    def __init__(self, samples):\n        self.traits = Traits(need_embedding=True)\n"
    (tmp_path / "own.py").write_text(source)
    with pytest.raises(InputError, match=r"own.py:Near.*'set_sizes'.*'set_size'"):
        build_method(f"{tmp_path / 'own.py'}:Near", {}, SAMPLES)
    with pytest.raises(UsageError, match=r"own.py:Wrong.*need_embedding"):
        build_method(f"{tmp_path / 'own.py'}:Wrong", {}, SAMPLES)
