"""Evaluation of a model, or of a file of weights, on the test sets of a run."""

from collections.abc import Callable, Sequence

from detectron2.evaluation import DatasetEvaluator, inference_on_dataset, print_csv_format
from torch import nn
from torch.utils.data import DataLoader

from ..checkpoint import load_detector
from ..evaluation.classes import evaluate_by_name
from ..evaluation.coco import FastCOCOEvaluator
from ..evaluation.coco_limits import detections_limit
from ..modeling.backbone import weights_come_later
from ..modeling.folding import fold_batch_norms
from .console import watched
from .keys import adding_keys
from .run_parts import Run
from .wrapping import prepare_for_training, unwrapped


def evaluate_weights(run: Run, trust_checkpoint: str | None = None) -> dict:
    """Evaluates the weights that a run names.

    Args:
        run: with its test sets.
        trust_checkpoint: the one file that may run code, see `read_checkpoint`.

    Returns:
        As `evaluate`.

    Raises:
        ValueError: the file is absent, damaged, not trusted, or not of this model.
    """
    with adding_keys(run.kind):
        with weights_come_later():
            model = prepare_for_training(run.build_model()).eval()
        checkpoint = load_detector(model, run.weights, trust_checkpoint)
        return evaluate(run, fold_batch_norms(model), checkpoint.get("class_names"))


def evaluate(
    run: Run,
    model: nn.Module,
    class_names: Sequence[str] | None = None,
    *,
    build_loader: Callable[[str], DataLoader] | None = None,
    build_evaluator: Callable[[str], DatasetEvaluator] | None = None,
) -> dict:
    """Evaluates a model on the test sets of a run, in the views that the run asks for.

    Args:
        run: names the test sets.
        model: a detector, perhaps distributed.
        class_names: of the model, which are matched with those of the datasets by name; None: they
            are those of the datasets, in their order.
        build_loader, build_evaluator: for a dataset of this name; None takes those of the run.

    Returns:
        The results by task and metric, under the names of the datasets where there is more than
        one; {} where there is none.
    """
    build_loader = build_loader or run.build_test_loader
    build_evaluator = build_evaluator or run.make_evaluator
    views, results = run.views, {}
    for name in run.test_datasets:
        evaluator = build_evaluator(name)
        if isinstance(evaluator, FastCOCOEvaluator) and evaluator.model_limit is None:
            evaluator.model_limit = detections_limit(unwrapped(model))
        evaluator = evaluate_by_name(evaluator, name, class_names)
        seen = views.wrap(model, run.build_test_mapper())
        loader = watched(build_loader(name), "evaluating")
        results[name] = inference_on_dataset(seen, loader, evaluator)
        print_csv_format(results[name] or {})
    return results if len(results) != 1 else results.popitem()[1]
