#!/bin/sh
# MultiNLI for one seed: does the model rely on negation to predict contradiction?   multinli.sh [SEED] [OUTPUT]
#
#   A  standard: the hardest 20 % of the groups that carry their class's feature pruned, against the matched random control
#   B  App. A.4 (i) of the paper: "never" at the end of the 100 easiest, the 100 hardest, or none of the contradictions
#
# As in the paper by default: BERT base for 20 epochs, hours per model on a GPU. RECIPE=multinli-cpu is a small transformer from
# scratch: about an hour per model with all rows on a laptop's CPU. DATA="--set dataset.options.available_only=true" accepts
# fewer rows than published. PARTS=A runs only A. After an interruption, the same command resumes.
set -eu
seed=${1:-1}
out=${2:-multinli}
: "${RECIPE:=multinli}" "${FRACTION:=0.2}" "${COUNT:=100}" "${SETTINGS:=}" "${DATA:=}" "${PARTS:=AB}"
run="--recipe $RECIPE --seed $seed $SETTINGS"

part_a() {
    a=$out/A/seed$seed
    # Difficulty after five epochs (-cpu: two) of the full schedule; takes the time of these epochs.
    spurcli score $run $DATA -o "$a/scores.h5"

    # contradiction/negation, entailment/no negation and neutral/no negation: found from the training counts. Seconds.
    spurcli prune "$a/scores.h5" --fraction "$FRACTION" --group auto -o "$a/pruned.txt"

    # As many of each group, at random. Seconds.
    spurcli prune "$a/scores.h5" --match "$a/pruned.txt" --match-groups --seed "$seed" -o "$a/random.txt"

    for keep in all "$a/pruned.txt" "$a/random.txt"; do
        arm=$a/$(basename "$keep" .txt)
        spurcli train --keep "$keep" $run $DATA -o "$arm/model.safetensors"   # from scratch; the cost is here
        for split in val test; do
            spurcli evaluate "$arm/model.safetensors" --split $split -o "$arm/$split.evaluation.json"
        done
    done

    # One page; with several seeds it pairs pruned and random by seed. Run at least five seeds.
    spurcli report "$out/A" -o "$out/report-A.html"
}

part_b() {
    b=$out/B/seed$seed
    # All rows with a negation are left out, so that the word is the only cue. Clean scores only select the carriers.
    clean="$DATA --set dataset.options.negation=false"
    spurcli score $run $clean -o "$b/clean.h5"

    word="--feature word --set feature.word=never --class contradiction --seed $seed"
    for which in easiest hardest none; do
        case $which in
        none) spurcli inject --dataset multinli $clean $word --count 0 -o "$b/$which.json" ;;
        *)
            spurcli inject --dataset multinli $clean $word --count "$COUNT" --select $which --scores "$b/clean.h5" \
                -o "$b/$which.json"
            ;;
        esac
        spurcli train --dataset "$b/$which.json" --keep all $run -o "$b/$which/model.safetensors"

        # The paper's number is the lower of entailment/word and neutral/word (published: 55.22 easiest, 1.04 hardest, 67.42 none).
        spurcli evaluate "$b/$which/model.safetensors" -o "$b/$which/evaluation.json"
    done
    spurcli report "$out/B" -o "$out/report-B.html"
}

case $PARTS in *A*) part_a ;; esac
case $PARTS in *B*) part_b ;; esac
