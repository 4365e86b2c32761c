"""What would prove a page wrong: what a critical reader should check, given the content of the page."""

from __future__ import annotations

from spurcli.reporting import sentences
from spurcli.reporting.claims import CORE, RELIANCE
from spurcli.reporting.document import Report
from spurcli.words import amount, counted, listed


def doubts(report: Report) -> list[str]:
    """A sentence for each; [] where nothing is compared."""
    if not report.claims:
        return []
    said = []
    found = [claim for claim in report.claims if claim.result not in ("undecided", "nothing to sever")]
    labels = {metric.name: metric.label for metric in report.metrics}
    if found:
        names = list(dict.fromkeys(name for claim in found for name in claim.measures))
        measures = " and ".join(labels.get(name, name).lower() for name in names)
        said.append(sentences.DOUBT_SEEDS.format(measures=measures))
    entries = {(entry.arm, entry.reference): entry for entry in report.comparisons}
    open_ = [claim for claim in report.claims if claim.result == "undecided" and not claim.collapsed]
    pairs = [p.num_pairs for c in open_ for p in entries[c.arm, c.reference].metrics.values()]
    if pairs:
        said.append(sentences.DOUBT_POWER.format(pairs=max(pairs)))
    controlled = {claim.arm for claim in report.claims if report.arms[claim.reference].kind == "random"}
    if missing := [report.arms[n].short for n in dict.fromkeys(c.arm for c in report.claims) if n not in controlled]:
        said.append(sentences.DOUBT_CONTROL.format(shares=listed(missing)))
    for claim in found:
        core = entries[claim.arm, claim.reference].metrics.get(CORE)
        if claim.result == "leans less" and core is not None and core.mean < 0:
            said.append(sentences.DOUBT_CORE.format(core=f"{CORE} {amount(core.mean, '', signed=True)}"))
            break
    said += _about_samples(report)
    if runs := list(dict.fromkeys(name for claim in report.claims for name in claim.collapsed)):
        said.append(sentences.DOUBT_COLLAPSE.format(runs=listed(runs)))
    return said


def _about_samples(report: Report) -> list[str]:
    """Whether all seeds saw the same test samples, and whether carriers are natural."""
    arms = {number for claim in report.claims for number in (claim.arm, claim.reference)}
    runs = [run for run in report.runs if run.arm in arms]
    said = []
    hashes = {run.fingerprint.get("ids_sha256") for run in runs}
    if len(runs) > 1 and len(hashes) == 1 and None not in hashes:
        size = runs[0].fingerprint.get("num_samples")
        samples = counted(size, "sample") if isinstance(size, int) else "samples"
        said.append(sentences.DOUBT_SAMPLES.format(samples=samples))
    is_judged = any(set(claim.measures) == set(RELIANCE) for claim in report.claims)
    if is_judged and not any(run.injection_sha256 for run in runs):
        feature = next(
            (facts["feature"] for n in arms for facts in report.arms[n].facts.values() if "feature" in facts), ""
        )
        said.append(sentences.DOUBT_GROUPS.format(feature=feature or "the feature"))
    return said
