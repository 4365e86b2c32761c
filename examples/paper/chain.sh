#!/bin/sh
# The smallest experiment of the paper as a shell script: one seed of Fig. 7; each line runs one stage. The Snakefile runs the same lines for every figure.
#   sh chain.sh [SEED]   (options of the data set go into DATA, of the training into SETTINGS)
# The default is the built-in digits, which take seconds. For CIFAR-10S (about ten minutes on one core):
#   DATA="--dataset cifar10" RECIPE=cifar10-cpu FEATURE="--feature line --set feature.width=3 --class airplane --twin-class automobile" \
#       SHARE=0.04 FRACTION=0.2 EPOCH=2 sh chain.sh 1
set -eu
seed=${1:-1}
: "${DATA:=--dataset demo}" "${RECIPE:=demo}" "${FEATURE:=--feature patch --class 3 --twin-class 8}" "${SETTINGS:=}"
: "${SHARE:=0.3}" "${FRACTION:=0.3}" "${EPOCH:=2}" "${OUTPUT:=chain}"
out=$OUTPUT/seed$seed

# Add the feature to a random share of one class. The file inject.json is used as the data set from here on.
spurcli inject $DATA $FEATURE --fraction "$SHARE" --seed "$seed" -o "$out/inject.json"

# ERM on all samples: the arm to compare with. Its model after a few epochs gives the scores of difficulty.
spurcli train --dataset "$out/inject.json" --recipe "$RECIPE" $SETTINGS --keep all --save-epochs "$EPOCH" --seed "$seed" -o "$out/erm/model.safetensors"
spurcli score --checkpoint "$out/erm/model.epoch$EPOCH.safetensors" -o "$out/scores.h5"

# Remove the hardest samples of each class; for the control, remove the same number of random samples of each class.
spurcli prune "$out/scores.h5" --fraction "$FRACTION" --per-class -o "$out/hardest.txt"
spurcli prune "$out/scores.h5" --match "$out/hardest.txt" --seed "$seed" -o "$out/random.txt"

# Train from scratch on the remaining samples.
for arm in hardest random; do
    spurcli train --dataset "$out/inject.json" --recipe "$RECIPE" $SETTINGS --keep "$out/$arm.txt" --seed "$seed" -o "$out/$arm/model.safetensors"
done

# How many samples of the other class are predicted as this class when they carry its feature?
for arm in erm hardest random; do
    spurcli evaluate "$out/$arm/model.safetensors" -o "$out/$arm/evaluation.json"
done
