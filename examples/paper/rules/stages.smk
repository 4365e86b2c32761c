# One rule for each stage of spurcli. World, seed and arm of a path say which words its command has; plan.py knows them.

# What words of a method may name in braces, and then wait for.
FILES = {
    "errors": f"{SEED}/errors.txt",
    "predictions": f"{SEED}/predictions.txt",
    "erm": TRAINED.replace("{arm}", ERM),
}


def world_of(wildcards):
    return PLAN.worlds[wildcards.world]


def at(pattern, wildcards, **other):
    return pattern.format(**{**dict(wildcards.items()), **other})


def model(trained, which=LAST):
    return trained.replace(".trained", "model.safetensors" if which == LAST else f"model.{which}.safetensors")


def data_words(wildcards, world):
    """A data set, or the inject.json that stands for it."""
    return f"--dataset {at(INJECT, wildcards)}" if world.inject else world.data


def seconds(wildcards, output):
    return f"{output[0]}.seconds"


def files_of_training(wildcards):
    """What a training waits for besides nothing: the injection, the list, what its method's words name."""
    world, arm = world_of(wildcards), wildcards.arm
    files = {"inject": at(INJECT, wildcards)} if world.inject else {}
    if world.is_listed(arm):
        files["keep"] = at(f"{SEED}/{{arm}}.txt", wildcards)
    words = world.methods.get(arm, "")
    return {**files, **{name: at(path, wildcards) for name, path in FILES.items() if f"{{{name}}}" in words}}


def training_words(wildcards, input):
    world, arm = world_of(wildcards), wildcards.arm
    method = world.methods.get(arm, "")
    for name in FILES:
        if f"{{{name}}}" in method:
            method = method.replace(f"{{{name}}}", model(input[name]))
    words = [data_words(wildcards, world), world.train, method, f"--keep {input.get('keep', 'all')}"]
    if checkpoints := world.checkpoints(arm):
        words.append(f"--save-epochs {','.join(checkpoints)}")
    return " ".join(filter(None, words))


def data_again(wildcards):
    """What later stages are told once more: user code, and where inject.json lies (files hold no absolute path)."""
    world = world_of(wildcards)
    return data_words(wildcards, world) if world.inject else world.confirm


def early_model(wildcards, input):
    """ERM after the epoch that is scored: it answers for all that want an early model."""
    return f"{model(input[0], f'epoch{world_of(wildcards).early}')} {data_again(wildcards)}"


def stage1(wildcards, input):
    """The model whose mistakes are listed: that one, or of JTT's own settings where the configuration has them."""
    world = world_of(wildcards)
    if not world.stage1:
        return early_model(wildcards, input)
    return f"{data_words(wildcards, world)} {world.train} {world.stage1} --seed {wildcards.seed}"


rule inject:
    input:
        lambda wildcards: at(SCORES, wildcards, world=world_of(wildcards).base) if world_of(wildcards).placed else [],
    output:
        INJECT,
    params:
        words=lambda wildcards, input: " ".join(
            [world_of(wildcards).data, world_of(wildcards).inject, f"--scores {input[0]}" if input else ""]
        ),
    shell:
        "spurcli inject {params.words} --seed {wildcards.seed} -o {output}"


rule train:
    input:
        unpack(files_of_training),
    output:
        touch(TRAINED),
    params:
        words=training_words,
        model=lambda wildcards, output: model(output[0]),
        seconds=seconds,
    threads: CORES
    shell:
        f"{JOB} train {{params.words}} --seed {{wildcards.seed}} {WORKERS} -o {{params.model}}"


rule score:
    input:
        FILES["erm"],
    output:
        SCORES,
    params:
        words=early_model,
        seconds=seconds,
    threads: CORES
    shell:
        f"{JOB} score --checkpoint {{params.words}} {WORKERS} -o {{output}}"


rule mistakes:
    input:
        lambda wildcards: [] if world_of(wildcards).stage1 else at(FILES["erm"], wildcards),
    output:
        errors=FILES["errors"],
        groups=f"{SEED}/mistakes.txt",
    params:
        words=stage1,
        seconds=seconds,
    threads: CORES
    shell:
        f"{JOB} infer {{params.words}} --by mistakes {WORKERS} --save-errors {{output.errors}} -o {{output.groups}}"


rule predictions:
    input:
        FILES["erm"],
    output:
        FILES["predictions"],
    params:
        words=early_model,
        seconds=seconds,
    threads: CORES
    shell:
        f"{JOB} infer {{params.words}} --by predictions {WORKERS} -o {{output}}"


rule prune:
    input:
        SCORES,
    output:
        f"{SEED}/{{list}}.txt",
    params:
        words=lambda wildcards: world_of(wildcards).lists[wildcards.list],
    shell:
        "spurcli prune {input} {params.words} --seed {wildcards.seed} -o {output}"


rule control:
    input:
        scores=SCORES,
        list=f"{SEED}/{{list}}.txt",
    output:
        f"{SEED}/{{list}}{RANDOM}.txt",
    params:
        words=lambda wildcards: world_of(wildcards).control,
    shell:
        "spurcli prune {input.scores} --match {input.list} {params.words} --seed {wildcards.seed} -o {output}"


def evaluated(wildcards):
    """The training that is evaluated; `clean` is ERM of the data without the feature, shown the one of `inject`."""
    world, arm = PLAN.training_behind(wildcards.world, wildcards.arm)
    files = {"trained": at(TRAINED, wildcards, world=world, arm=arm)}
    return {**files, "inject": at(INJECT, wildcards)} if wildcards.arm == CLEAN else files


rule evaluate:
    input:
        unpack(evaluated),
    output:
        EVALUATION,
    params:
        words=lambda wildcards, input: " ".join(
            [
                model(input.trained, wildcards.model),
                data_again(wildcards),
                "--allow-injection-mismatch" if wildcards.arm == CLEAN else "",
            ]
        ),
        seconds=seconds,
    threads: CORES
    shell:
        f"{JOB} evaluate {{params.words}} --split {{wildcards.split}} {WORKERS} -o {{output}}"
