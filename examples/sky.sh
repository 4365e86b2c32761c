#!/bin/sh
# A suspicion about your own data, for one seed: does a model of airplanes and birds rely on the sky?   sky.sh [SEED] [OUTPUT]
#
# First run once: python sky.py photos (it writes birds.csv). Then about three minutes per seed on one core, for nine small models.
# Results: docs/results.md, "The sky". After an interruption, the same command resumes.
set -eu
seed=${1:-1}
out=${2:-sky}
to=$out/seed$seed
: "${FRACTIONS:=0.3 0.5 0.7}" "${SETTINGS:=}"
columns="--image path --attribute background"
run="--dataset birds.csv $columns --recipe own-images-cpu --set preprocessing.image_size=32 $SETTINGS" # they are 32 × 32

# Train from scratch on the samples that a list keeps; data, columns and recipe come from the list.
arms() {
    for arm in "$@"; do
        spurcli train --keep "$arm.txt" --seed "$seed" -o "$arm/model.safetensors"
        spurcli evaluate "$arm/model.safetensors" -o "$arm/test.evaluation.json"
    done
}

# One model on all samples: is the suspicion right? The conflict groups show it: airplanes without sky and birds in front of the sky.
spurcli train $run --keep all --seed "$seed" -o "$to/all/model.safetensors"
spurcli evaluate "$to/all/model.safetensors" -o "$to/all/test.evaluation.json"

# Takes a fifth of the time of a training run.
spurcli score $run --seed "$seed" -o "$to/scores.h5"

# Without the column: the hardest of each class. prune warns, because four fifths of the conflict samples are among them.
spurcli prune "$to/scores.h5" --fraction 0.2 --per-class -o "$to/class-0.2.txt"
spurcli prune "$to/scores.h5" --match "$to/class-0.2.txt" --seed "$seed" -o "$to/class-0.2-random.txt"
arms "$to/class-0.2" "$to/class-0.2-random"

# With the column: the hardest airplanes in the sky and birds elsewhere, and as many of each group at random.
for fraction in $FRACTIONS; do
    hardest=$to/group-$fraction
    spurcli prune "$to/scores.h5" --fraction "$fraction" --group auto -o "$hardest.txt"
    spurcli prune "$to/scores.h5" --match "$hardest.txt" --match-groups --seed "$seed" -o "$hardest-random.txt"
    arms "$hardest" "$hardest-random"
done
spurcli report "$out" -o "$out/report.html"
