"""The config that a plan leaves."""

import pytest
import yaml
from made_sets import CPU, KINDS, LITE, make_set

from fcos_d2 import model_zoo
from fcos_d2.config_files import same_config
from fcos_d2.plan import facts_of, make_plan
from fcos_d2.plan.amounts import Wanted
from fcos_d2.plan.write import commented, write_config


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_loads_to_the_same(kind, tmp_path):
    wanted = Wanted(budget=600.0, opts=("SEED", "3", "DATASETS.TEST", "('a', 'b: c')"))
    plan = make_plan(facts_of(make_set(kind)), CPU, wanted, LITE)
    cfg = plan.config()
    cfg.OUTPUT_DIR = "a folder: with # signs, and 'quotes'"
    path = tmp_path / "config.yaml"
    write_config(path, plan, cfg)
    read = model_zoo.get_config(str(path))
    assert same_config(read, cfg)
    read.SEED = 4
    assert not same_config(read, cfg)


def test_reasons_stand_above_their_keys():
    plan = make_plan(facts_of(make_set("wide")), CPU, Wanted(opts=("SEED", "3"), epochs=5.0), LITE)
    text = commented(plan, plan.config())
    lines = text.splitlines()
    assert lines[0].startswith("# Planned by fcos_d2")
    above = lines[lines.index("  RANDOM_FLIP: none") - 1]
    assert (
        above
        == "  # mirrored: none; --flip allows it. turn left: mirrored, they are something else"
    )
    assert lines[lines.index("SEED: 3") - 1] == "# yours"
    assert max(map(len, (line for line in lines if line.lstrip().startswith("#")))) <= 100
    # Nothing of yaml that surprises the one who edits it.
    assert "&" not in text and "!!" not in text and ": *" not in text
    assert yaml.safe_load(text)["SOLVER"]["OPTIMIZER"] == "AdamW"
