#!/bin/sh
# Your own part at every stage. Run it in a copy of this folder: it writes its results next to the parts.
set -eu

# Your own data set and model. The recipe (shapes.toml) may name them, but code never runs because a file says so:
# each command line names it.
own="--recipe shapes.toml --dataset own_dataset.py:shapes --model own_model.py:two_convolutions"
spurcli data check own_dataset.py:shapes --recipe shapes.toml
spurcli score $own --add-score own_score.py:brier -o shapes.h5

# The feature is strong and known here: prune the hardest of the groups that carry their class's background.
spurcli prune shapes.h5 --fraction 0.3 --group circle/dark --group square/bright -o shapes-keep.txt
spurcli train $own --keep shapes-keep.txt --method own_method.py:Focal -o shapes.safetensors
spurcli evaluate shapes.safetensors --dataset own_dataset.py:shapes --model own_model.py:two_convolutions \
    -o shapes-evaluation.json

# By your own score instead of EL2N.
spurcli prune shapes.h5 --score brier --fraction 0.1 --per-class -o shapes-brier.txt

# Your own feature, added to a built-in data set.
spurcli inject --dataset demo --feature own_feature.py:frame --class 3 --count 100 -o frame.json
spurcli score --dataset frame.json --feature own_feature.py:frame --set training.epochs=3 --epoch 1 -o frame.h5

# Logits made by another program.
python own_logits.py
spurcli score --logits train_logits.npy --labels train_labels.npy -o foreign.h5
spurcli prune foreign.h5 --fraction 0.1 --per-class -o foreign-keep.txt
spurcli evaluate --logits test_logits.npy --labels test_labels.npy -o foreign-evaluation.json

# Scores made by another program, and a plain list of numbers.
python own_scores.py
spurcli prune own.h5 --score distance_to_mean --fraction 0.2 -o own-keep.txt
seq 0 2999 > bare.txt
spurcli train --dataset demo --keep bare.txt --set training.epochs=2 -o bare.safetensors

spurcli report . -o own-parts.html
