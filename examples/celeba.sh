#!/bin/sh
# CelebA at reduced size for one seed: in training only men wear glasses; are women with glasses predicted as men?
#   celeba.sh SEED [OUTPUT]
# ERM on all samples; then, at each fraction, the hardest samples of each class removed, and the matched random control. On a
# laptop's CPU about a quarter of an hour per seed with RECIPE=celeba-cpu; as in the paper, on a GPU, with RECIPE=celeba.
# After an interruption, the same command resumes.
set -eu
seed=$1
out=${2:-celeba}/seed$seed
: "${RECIPE:=celeba-cpu}" "${FRACTIONS:=0.1 0.25 0.5}" "${SETTINGS:=}"

# Val is not used for selection here, so it is a second test split.
evaluate() {
    for split in test val; do
        spurcli evaluate "$1/model.safetensors" --split $split -o "$1/$split.evaluation.json"
    done
}

spurcli score --dataset celeba --recipe "$RECIPE" $SETTINGS --seed "$seed" -o "$out/scores.h5"
spurcli train --dataset celeba --recipe "$RECIPE" $SETTINGS --keep all --seed "$seed" -o "$out/all/model.safetensors"
evaluate "$out/all"
for fraction in $FRACTIONS; do
    hardest=$out/hardest-$fraction random=$out/random-$fraction
    spurcli prune "$out/scores.h5" --fraction "$fraction" --per-class -o "$hardest.txt"
    spurcli prune "$out/scores.h5" --match "$hardest.txt" --seed "$seed" -o "$random.txt"
    for arm in "$hardest" "$random"; do
        spurcli train --keep "$arm.txt" --seed "$seed" -o "$arm/model.safetensors"
        evaluate "$arm"
    done
done
