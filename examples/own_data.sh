#!/bin/sh
# Your own data, no code: a table of images, a folder of images, a table of texts. Run it in a copy of this folder.
# A minute or two on a laptop. SETTINGS changes the runs, for instance SETTINGS="--set training.epochs=2 --set scoring.epoch=1".
set -eu
: "${SETTINGS:=}"
python own_data.py

# A table of images. --image, --label and --attribute name the columns; a column with the name of its role needs no flag.
columns="--image file --label species --attribute place"
spurcli data check birds.csv $columns
spurcli score --dataset birds.csv $columns --recipe own-images-cpu $SETTINGS -o birds.h5
spurcli prune birds.h5 --fraction 0.1 --per-class -o birds-keep.txt
spurcli train --keep birds-keep.txt -o birds.safetensors   # data, columns, recipe and settings come from the list
spurcli evaluate birds.safetensors -o birds-evaluation.json

# A folder of images: photos/train/gull/001.png. A feature added to some gulls makes groups.
spurcli inject --dataset photos/ --feature patch --class gull --fraction 0.3 -o photos.json
spurcli score --dataset photos.json --recipe own-images-cpu $SETTINGS -o photos.h5

# Texts, without a split: 10 % go to val and 20 % to test, by the seed of dataset.options.seed.
spurcli score --dataset reviews.csv --label stars --recipe own-text-cpu $SETTINGS -o reviews.h5
spurcli prune reviews.h5 --fraction 0.1 --per-class -o reviews-keep.txt
spurcli train --keep reviews-keep.txt -o reviews.safetensors
spurcli evaluate reviews.safetensors -o reviews-evaluation.json

spurcli report . -o own-data.html
