"""The table of docs/results.md, benchmarks/study/methods.py."""

import pandas as pd

from benchmarks.study import methods
from spm.base import csv_file

PLACE = {"testset": "solo", "box_source": "given"}
AUC = {"lvs": 0.3, "spm-silence": 0.45, "spm": 0.5, "zero-shot": 0.2}


def write_tables(folder):
    about = PLACE | {"protocol": "adaptive"}
    rows = [about | {"run": name, "auc": auc, "ciou@0.3": 0.8} for name, auc in AUC.items()]
    csv_file.write(folder / "scores.csv", pd.DataFrame(rows))
    pair = about | {"run": "spm", "against": "spm-silence", "metric": "auc"}
    gain = pair | {"difference": 0.05, "low": 0.01, "high": 0.08}
    pd.DataFrame([gain]).to_csv(folder / "pairs.csv", index=False)
    sounds = {"own": {"ciou": 0.4}, "silence": {"fpr": 0.25}, "all": {"f": 0.6, "max_f1": 0.7}}
    rows = []
    for name in AUC:
        rows += [PLACE | {"run": name, "sound": sound, **row} for sound, row in sounds.items()]
    pd.DataFrame(rows).to_csv(folder / "negatives.csv", index=False)


def test_a_run_has_its_variants_below_it_and_the_best_run_comes_first(tmp_path):
    write_tables(tmp_path)
    head, _, *rows = methods.lines(tmp_path, "adaptive")
    assert "| mean IoU | silence | F | max-F1 |" in head
    assert [row.split("`")[1] for row in rows] == ["spm", "spm-silence", "lvs", "zero-shot"]
    assert rows[0] == "| `spm` | 0.500 | 0.800 |  | 0.40 | 0.25 | 0.60 | 0.70 |"
    assert "| **-0.050 [-0.080, -0.010]** |" in rows[1]
