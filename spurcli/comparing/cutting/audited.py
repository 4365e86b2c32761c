"""The evaluation of the audited model itself, beside the models that a cut trains.

The suspect was found in that model, so it may lean on the feature more than other trainings of the same recipe do.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.envelope import sha256_of_file
from spurcli.artifacts.injection import is_injection
from spurcli.auditing.stored import StoredSuspect
from spurcli.comparing.chain import Looks, Source
from spurcli.comparing.cutting.request import CutRequest
from spurcli.comparing.cutting.words import AUDITED
from spurcli.comparing.step import Step
from spurcli.recipes import own_code_of
from spurcli.registry import is_user_code
from spurcli.requests.evaluate import EvaluateRequest, plan
from spurcli.requests.options import text


def audited_model(suspect: StoredSuspect) -> Path | None:
    """The file of the audited model, unchanged since the audit; None if it is not in the current folder or beside the audit."""
    parents = (suspect.audit.get("provenance") or {}).get("parents") or ()
    parent = next((each for each in parents if not is_injection(str(each.get("file")))), None)
    if parent is None or not (name := str(parent.get("file") or "")):
        return None
    places = (Path(name), suspect.folder.parent / name)
    return next((path for path in places if path.is_file() and sha256_of_file(path) == parent.get("sha256")), None)


def audited_step(asked: CutRequest, model: Path, source: Source, looks: Looks, named: str) -> Step:
    """The command that evaluates the audited `model` by the suspect `named`, as the other models are. `source` are the data and settings of the audit.

    Raises SpurError if the request does not say what the model needs (the file of a network of your own).
    """
    given: dict[str, Any] = {"data_root": asked.data_root, "device": asked.device, "workers": asked.workers}
    own = {"dataset": source.dataset, "model": source.model, **own_code_of(text(asked.recipe))}
    own = {key: value for key, value in own.items() if value and is_user_code(str(value))}
    if asked.feature:
        given["feature"] = asked.feature
    if read_checkpoint_metadata(model, required=False):
        given |= own
    else:
        tables = ("dataset.", "model.", "preprocessing.")
        settings = {key: value for key, value in source.settings.items() if key.startswith(tables)}
        given |= {"dataset": source.dataset, "recipe": source.recipe, "model": source.model, "set": settings or None}
    name = ".".join(filter(None, [looks.by_suspect(named), "evaluation.json"]))
    output = Path(asked.folder) / AUDITED / name
    request = EvaluateRequest(model, split=looks.splits[0], suspect=named, output=output, **given)
    plan(replace(request, output=None), lambda _: None)
    return Step("evaluate", request, None, AUDITED, (output,))
