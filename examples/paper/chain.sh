#!/bin/sh
# The shortest chain of the paper, by hand: one seed of Fig. 7, each line a stage. The Snakefile runs the same lines for every figure.
#   sh chain.sh [SEED]   (options of the data set go into DATA, of the training into SETTINGS)
# With the built-in digits by default, in seconds. For CIFAR-10S, on one core some ten minutes:
#   DATA="--dataset cifar10" RECIPE=cifar10-cpu FEATURE="--feature line --set feature.width=3 --class airplane --twin-class automobile" \
#       SHARE=0.04 FRACTION=0.2 EPOCH=2 sh chain.sh 1
set -eu
seed=${1:-1}
: "${DATA:=--dataset demo}" "${RECIPE:=demo}" "${FEATURE:=--feature patch --class 3 --twin-class 8}" "${SETTINGS:=}"
: "${SHARE:=0.3}" "${FRACTION:=0.3}" "${EPOCH:=2}" "${OUTPUT:=chain}"
out=$OUTPUT/seed$seed

# The feature goes into a random share of one class; the file is a data set from here on.
spurcli inject $DATA $FEATURE --fraction "$SHARE" --seed "$seed" -o "$out/inject.json"

# ERM on all samples: the arm to compare with, and, as it was after a few epochs, the model that says what is hard.
spurcli train --dataset "$out/inject.json" --recipe "$RECIPE" $SETTINGS --keep all --save-epochs "$EPOCH" --seed "$seed" -o "$out/erm/model.safetensors"
spurcli score --checkpoint "$out/erm/model.epoch$EPOCH.safetensors" -o "$out/scores.h5"

# The hardest of each class go; beside it the control that loses as many of each class at random.
spurcli prune "$out/scores.h5" --fraction "$FRACTION" --per-class -o "$out/hardest.txt"
spurcli prune "$out/scores.h5" --match "$out/hardest.txt" --seed "$seed" -o "$out/random.txt"

# From scratch on what is left.
for arm in hardest random; do
    spurcli train --dataset "$out/inject.json" --recipe "$RECIPE" $SETTINGS --keep "$out/$arm.txt" --seed "$seed" -o "$out/$arm/model.safetensors"
done

# How many of the other class are taken for this one once they carry its feature?
for arm in erm hardest random; do
    spurcli evaluate "$out/$arm/model.safetensors" -o "$out/$arm/evaluation.json"
done
