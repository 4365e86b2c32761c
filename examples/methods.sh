#!/bin/sh
# Every method of the paper's Table 1, and what a reviewer asks for, on one data set and seed.   methods.sh [SEED] [OUTPUT]
#
# A fair comparison has an equal budget: each method tries as many values as any other (of pruning, the fraction). One training
# answers for three ways to choose the epoch: last, best-val-mean, best-val-worst-group. All values on a tuning seed, without test:
#
#   RECIPE=waterbirds-cpu RULES="" sh methods.sh 0 tuning
#
# Then the value of each method that was best on val (choose.py says by what rule), on fresh seeds, and test is read once:
#
#   for seed in 1 2 3 4 5; do env $(python choose.py tuning/seed0) RECIPE=waterbirds-cpu sh methods.sh $seed methods; done
#   spurcli report methods -o methods.html
#
# Interrupted, the same line goes on: what is finished is not repeated.
set -eu
seed=${1:-1}
out=${2:-methods}/seed$seed
: "${RECIPE:=waterbirds}" "${SETTINGS:=}" "${EPOCH:=1}" "${SUBSET_EPOCHS:=100}" "${PRUNE:=--group auto --balance-classes}"
: "${METHODS:=erm pruning dfr drop prototype k_centre subg suby rwg rwy group_dro inferred jtt cnc pde}"
: "${RULES=last best-val-mean best-val-worst-group}"
# What is tried: of methods that only choose samples the learning rate, else what the method is about. DFR tries its penalties itself.
: "${TRY_erm:=1e-3 3e-3 3e-4}" "${TRY_subg:=$TRY_erm}" "${TRY_suby:=$TRY_erm}" "${TRY_rwg:=$TRY_erm}" "${TRY_rwy:=$TRY_erm}"
: "${TRY_pruning:=0.25 0.1 0.5}" "${TRY_drop:=$TRY_pruning}" "${TRY_prototype:=$TRY_pruning}" "${TRY_k_centre:=$TRY_pruning}"
: "${TRY_dfr:=train val}" "${TRY_group_dro:=0.01 0.1 0.001}" "${TRY_inferred:=$TRY_group_dro}"
: "${CNC:=--set training.batch_size=68}" "${PDE:=}" # what else they want: sets of 68 samples, how the subset grows
: "${TRY_jtt:=100 20 5}" "${TRY_cnc:=0.75 0.5 0.9}" "${TRY_pde:=50 70 20}"
: "${CONFIRM:=}" # your own code, named again to every stage: --dataset own.py:attr --model own.py:attr
run="--recipe $RECIPE --seed $seed $SETTINGS $CONFIRM"

# try NAME OPTIONS: one training, and one look at test for each way to choose its epoch.
try() {
    arm=$out/$1
    shift
    spurcli train --keep all $run "$@" --save-epochs "$EPOCH,last,best-val-mean,best-val-worst-group" -o "$arm/model.safetensors"
    for rule in $RULES; do
        spurcli evaluate "$arm/model.$rule.safetensors" $CONFIRM -o "$arm/$rule.evaluation.json"
    done
}

# Stage 1 of all that need one: an early model, looked at in eval mode. Its scores, its mistakes, its predictions.
try early
early=$out/early/model.epoch$EPOCH.safetensors
spurcli score --checkpoint "$early" $CONFIRM --add-score prototype --add-score k_centre -o "$out/scores.h5"
spurcli evaluate "$early" $CONFIRM --split val -o "$out/early/val.evaluation.json"
spurcli infer "$early" $CONFIRM --by mistakes --save-errors "$out/errors.txt" -o "$out/mistakes.txt"
spurcli infer "$early" $CONFIRM --by predictions -o "$out/predictions.txt"

for method in $METHODS; do
    for value in $(eval "echo \$TRY_$method"); do
        name=$method-$value
        case $method in
        erm) try "$name" --set training.learning_rate="$value" ;;
        suby | rwg | rwy) try "$name" --method "$method" --set training.learning_rate="$value" ;;
        subg) try "$name" --method subg --set training.learning_rate="$value" --set training.epochs="$SUBSET_EPOCHS" ;;
        pruning)
            spurcli prune "$out/scores.h5" --fraction "$value" $PRUNE -o "$out/$name.txt"
            try "$name" --keep "$out/$name.txt"

            # No method: what the fraction alone does.
            spurcli prune "$out/scores.h5" --match "$out/$name.txt" --match-groups --seed "$seed" -o "$out/random-$value.txt"
            try "random-$value" --keep "$out/random-$value.txt"
            ;;
        drop) # class quotas by the early model's recall on val
            spurcli prune "$out/scores.h5" --fraction "$value" --select random --seed "$seed" \
                --quotas "$out/early/val.evaluation.json" -o "$out/$name.txt"
            try "$name" --keep "$out/$name.txt"
            ;;
        prototype | k_centre)
            spurcli prune "$out/scores.h5" --fraction "$value" --score "$method" -o "$out/$name.txt"
            try "$name" --keep "$out/$name.txt"
            ;;
        group_dro) try "$name" --method group_dro --set method.options.step_size="$value" ;;
        inferred) # without group labels: group DRO whose groups are right and wrong predictions of stage 1
            try "$name" --method group_dro --group-labels "$out/mistakes.txt" --set method.options.step_size="$value"
            ;;
        jtt) try "$name" --method jtt --errors "$out/errors.txt" --set method.options.upweight="$value" ;;
        cnc)
            try "$name" --method cnc --group-labels "$out/predictions.txt" --set method.options.contrastive_weight="$value" $CNC
            ;;
        pde)
            try "$name" --method pde --set method.options.warmup_epochs="$value" $PDE \
                --set training.epochs="$SUBSET_EPOCHS"
            ;;
        dfr)
            spurcli train $run --method dfr --checkpoint "$out/early/model.last.safetensors" \
                --set method.options.on="$value" -o "$out/$name/model.safetensors"
            [ -z "$RULES" ] || spurcli evaluate "$out/$name/model.safetensors" $CONFIRM -o "$out/$name/last.evaluation.json"
            ;;
        *) echo "Unknown method $method" >&2 && exit 2 ;;
        esac
    done
done
