"""The sentences of the report's verdict, doubts, levels and ranking, as templates. What fills them is decided in verdict, ranking and levels."""

from __future__ import annotations

# A pruned arm against its references.
REFERENCES = {"random": "the random control of equal size", "all": "training on all samples"}
SHORT_REFERENCES = {"random": "the random control", "all": "all samples"}
AGAINST = "Against {reference}, {metric} is {outcomes}"
OUTCOME = "{outcome} with {shares} removed"
LOWER, HIGHER, NOT_CLEAR, UNDECIDED = "lower", "higher", "not clearly different", "undecided (too few seeds)"
HINTS = {LOWER: "lower as a hint only", HIGHER: "higher as a hint only"}
OUTCOMES = (LOWER, HIGHER, *HINTS.values(), NOT_CLEAR, UNDECIDED)

# What is claimed of reliance. {feature} is its name, {than} one of THAN, {moved} metrics.
CLAIMED = "With {shares} removed, the model {clause}{p}."
HINTED = "A hint, not a claim ({reason}): with {shares} removed, the model {clause}."
OPEN = "Undecided ({reason}): with {shares} removed, the model {clause}."
THAN = {"random": "with as many removed at random", "all": "trained on all samples"}
CLAUSES = {
    "leans less": "leans less on {feature} than {than}",
    "worse": "leans more on {feature} than {than}",
    "mixed": "gives mixed results: compared with the model {than}, the two measures of the shift by {feature} do not agree (changed: {moved})",
    "only the threshold moved": "makes fewer such errors than {than}, but only its threshold moved: the shift by {feature} is as large as before",
    "undecided": "is not shown to lean less or more on {feature} than {than}",
}
LOST_CORE = ", but it has lost core: it separates the classes less well without {feature}"
P_VALUE = " (p = {p} after adjustment for {count})"
NOTHING_TO_SEVER = "Nothing to sever: the model trained on all samples hardly leans on {feature} ({metric} {level}, 95 % over seeds {interval})."
ARM = "{arm}: {level}; {differences}."
FEW_SEEDS = "{difference} against {reference} ({seeds})"
NO_CLEAR_DIFFERENCE = "no clear difference from {reference} ({difference}, {pairs})"
CLEAR_DIFFERENCE = "{size} {way} than {reference} ({pairs})"
PAIRS = "{better} of {pairs} seeds better"
COSTS = {
    "feature_effect": "Feature effect of {feature}",
    "probit_gap": "Probit gap",
    "background_auroc": "Background AUROC (the core)",
    "accuracy": "Accuracy",
    "adjusted_mean_accuracy": "Adjusted mean",  # on Waterbirds, whose test groups are balanced, the cost is here
}
COST = "{metric}: {differences}."
COST_DIFFERENCE = "{difference} against {reference}{unclear}"
UNCLEAR = ", not clear"
MORE_ARMS = "In the tables: {more}."
MISCLASSIFIED = "spurious misclassification ({true} with the feature, predicted as {predicted})"
CONFUSED = "spurious misclassification ({true} predicted as {predicted})"

# Methods against each other.
CANNOT_RANK = "The methods cannot be ranked: {seeds} too few; at least three are needed."
TOO_FEW = {1: "one seed is", 2: "two seeds are"}
TOO_FEW_OF_MOST = "the seeds of all but one are"
BEST = "{arm} has the {way} mean, {level} over {seeds} seeds."
NEAR = "Not statistically distinguishable from it: {arms}."
FAR = "Worse: {arms}."
FAR_HINT = "Worse, as a hint only: {arms}."
NOT_PLACED = "Too few seeds for a rank: {arms}."

# Levels, where nothing can be compared by seed.
LEVELS = "{metric}{split}: {levels}."
LEVEL = "{level} for {arm} ({runs}{worst})"
WORST = "worst group: {group}"
ON_SPLIT = " on the {split} split"
NO_PAIRS = "No arms here can be paired by seed against a control, so no difference is claimed."
WITHOUT_METRIC = "Only in the table, because they lack this metric: {arms}."
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
    "± after a level is a standard deviation; ± after a difference is the standard error of differences paired by seed."
)
LUCK = "The best of several means is partly due to chance, so its level is too optimistic."
HINT = "Fewer than {seeds} paired seeds: a hint, not a result."
FAMILY = (
    "A difference is claimed if a paired t-test over at least {seeds} seeds gives p below {level} after Holm's adjustment over {families}. "
    "Everything else is a hint, without adjustment. “No claim” does not mean “no effect”."
)
PRIMARY_FAMILY = "the {count} of this page"
PAIR_FAMILY = "all pairs of the methods"
MANY = "Use at most four primary comparisons: with {count}, five seeds find an effect of two standard deviations less than half the time."

# What would prove this wrong.
DOUBT_SEEDS = "Other seeds: the same commands with new seeds, in which {measures} of the same comparison do not change in the same direction."
DOUBT_POWER = "More seeds: the comparison is undecided with {pairs} paired seeds. Seven seeds find an effect of two standard deviations of the difference in 85 to 99 of 100 pages with up to four comparisons."
DOUBT_SAMPLES = "Other test samples: all seeds were evaluated on the same {samples}, so the spread over seeds does not show the effect of other samples."
DOUBT_GROUPS = "Harder carriers: the carriers of {feature} were not chosen at random, so a level is an association. A model trained without the correlation, evaluated on the same samples, shows how much comes from the samples."
DOUBT_CORE = (
    "A simpler cause: a model without pruning whose core is worse by as much ({core}), and that leans as much less."
)
DOUBT_CONTROL = "A random control of equal size with the same result: there is no such control for {shares}."
DOUBT_COLLAPSE = "The same comparison without the failed runs: {runs}."
NO_CONTROL = (
    "No random control of equal size for {shares}: which samples were removed cannot be separated from how many."
)

# The model below the heads that were trained.
FROZEN = (
    "The backbone {model} was frozen (weights {weights}, layer {layer}): only heads on its embeddings were trained."
)
