"""All sentences of the verdict, as templates. What fills them is decided in verdict, ranking and levels."""

from __future__ import annotations

# A pruned arm against its references.
REFERENCES = {"random": "the random control of equal size", "all": "training on all samples"}
SHORT_REFERENCES = {"random": "the random control", "all": "all samples"}
AGAINST = "Against {reference}, {metric} is {outcomes}"
OUTCOME = "{outcome} with the hardest {shares} removed"
LOWER, HIGHER, NOT_CLEAR, UNDECIDED = "lower", "higher", "not clearly different", "undecided (too few seeds)"
OUTCOMES = (LOWER, HIGHER, NOT_CLEAR, UNDECIDED)
ARM = "{arm}: {level}; {differences}."
FEW_SEEDS = "{difference} against {reference} ({seeds})"
NO_CLEAR_DIFFERENCE = "no clear difference from {reference} ({difference}, {pairs})"
CLEAR_DIFFERENCE = "{size} {way} than {reference} ({pairs})"
PAIRS = "{better} of {pairs} seeds better"
COSTS = {
    "accuracy": "Accuracy",
    "adjusted_mean_accuracy": "Adjusted mean",  # on Waterbirds, whose test groups are balanced, the cost is here
    "auroc_with_feature": "AUROC among samples with {feature}",
}
COST = "{metric}: {differences}."
COST_DIFFERENCE = "{difference} against {reference}{unclear}"
UNCLEAR = ", not clear"
MORE_ARMS = "In the tables: {more}."
MISCLASSIFIED = "spurious misclassification ({true} with the feature, taken for {predicted})"
CONFUSED = "spurious misclassification ({true} taken for {predicted})"

# Methods against each other.
CANNOT_RANK = "The methods cannot be ranked: {seeds} too few; at least three are needed."
TOO_FEW = {1: "one seed is", 2: "two seeds are"}
TOO_FEW_OF_MOST = "the seeds of all but one are"
BEST = "{arm} has the {way} mean, {level} over {seeds} seeds."
NEAR = "Within two standard errors of it, so not statistically distinguishable: {arms}."
FAR = "Two standard errors or more from it: {arms}."
NOT_PLACED = "Too few seeds to be placed: {arms}."

# Levels, where nothing can be compared by seed.
LEVELS = "{metric}{split}: {levels}."
LEVEL = "{level} for {arm} ({runs})"
ON_SPLIT = " on the {split} split"
NO_PAIRS = "No arms here can be paired by seed against a control, so no difference is claimed."
WITHOUT_METRIC = "Without this metric, so only in the table: {arms}."
OTHER_SPLITS = "Only in the table: evaluations on other splits ({splits})."
OTHER_SAMPLES = "The two were evaluated on different samples, so their values cannot be compared."
APART = "The metric is {difference} higher for {arm}."
EQUAL = "Both are equal."
OVERLAP = "Their 95 % intervals over test samples overlap ({intervals}): other test samples could reverse the order."
NO_OVERLAP = "Their 95 % intervals over test samples do not overlap ({intervals}): these two models differ."
ONE_RUN_EACH = "One run of each does not show how much other seeds would change: compare at least three seeds of both."
NO_VALUE = "No metric has a value in any evaluation: {metrics}."
NOTHING = "Nothing has been evaluated yet: this page shows {shown}. Add a result with: spurcli evaluate"

# How far the verdict carries.
PLUS_MINUS = (
    "± is a standard deviation after a level, the standard error of differences paired by seed after a difference."
)
LUCK = "The best of several means is partly luck: read its level with that in mind."
HINT = "Fewer than {seeds} paired seeds: a hint, not a result{chance}."
CHANCE = " (without any effect, one comparison in {number} looks clear)"
NO_CONTROL = (
    "No random control of equal size for the hardest {shares}: which samples were removed cannot be separated from how "
    "many."
)
