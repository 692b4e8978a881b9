"""The promoted audio network: trained on the clusters, to be frozen in the fusion.

python -m spm.audio.pretrain --config '{}' --index clips.parquet --clusters clusters.parquet
    --spectrograms spectrograms --out audio.safetensors --history history.parquet --state state/audio/pretrain
"""

from pathlib import Path

import torch
from pydantic import Field

from spm.audio import classifier
from spm.base import stage, tables
from spm.base.config import Section, UserError
from spm.base.digest import code_digest
from spm.corpus import clip_reader
from spm.learn import dataloading, device, training, weights

HELD_OUT = (
    10  # every tenth clip is not trained on, and measures how well the pseudo-labels are learnt
)


class Pretrain(Section):
    """The paper names cross-entropy, Adam and 1e-4; the other numbers are DSOL's."""

    epochs: int = Field(10, ge=1)
    batch: int = Field(32, ge=2)
    lr: float = Field(1e-4, gt=0)  # Adam, audio network
    head_lr: float = Field(1e-3, gt=0)  # Adam, linear layer
    weight_decay: float = Field(1e-4, ge=0)
    standardize: bool = False  # each mel to mean 0 and deviation 1 first; DSOL does not
    seed: int = 0
    device: str = "auto"

    def fit(self) -> classifier.ClassifierConfig:
        """The part that the loop reads."""
        return classifier.ClassifierConfig(**self.model_dump(exclude={"device"}))


def run(
    config: Pretrain,
    *,
    index: Path,
    clusters: Path,
    spectrograms: Path,
    out: Path,
    history: Path,
    state: Path,
) -> None:
    """Train on nine tenths of the clustered clips, and report accuracy on the rest."""
    rows, labelled = (
        clip_reader.require_rows(clip_reader.select(index, split="train"), "audible training"),
        tables.read(clusters),
    )
    if not rows["clip_id"].equals(labelled["clip_id"]):
        raise UserError(f"{clusters} labels other clips than {index} lists: run the workflow again")
    log_mels = dataloading.log_mels(rows, spectrograms)
    labels = torch.from_numpy(labelled["pseudo_label"].to_numpy().copy()).long()
    held_out = torch.arange(len(labels)) % HELD_OUT == HELD_OUT - 1
    where, how = device.pick(config.device), config.fit()
    network = classifier.init_classifier(log_mels[~held_out], int(labels.max()) + 1, how).to(where)
    optimizer = classifier.optimizer_of(network, how)

    def epoch(number: int) -> training.Figures:
        loss, hits = classifier.epoch(
            network, optimizer, log_mels[~held_out], labels[~held_out], how, number, where
        )
        unseen = (
            classifier.accuracy(network, log_mels[held_out], labels[held_out], where)
            if held_out.any()
            else hits
        )
        return {("train", "loss"): loss, ("train", "accuracy"): hits, ("val", "accuracy"): unseen}

    files = [index, clusters, *clip_reader.files(rows, spectrograms)]
    depends = training.fingerprint(
        files, config.model_dump_json(), code_digest("spm.audio.pretrain")
    )
    figures = training.train(
        network, optimizer, epoch, config.epochs, state=state / depends, what="pretrain"
    )
    about = {
        "config": config.model_dump(),
        "figures": {f"{row.split} {row.name}": row.value for row in figures},
    }
    weights.save(out, network.audio.state_dict(), about)
    training.finish(figures, history, state)


if __name__ == "__main__":
    stage.main(run)
