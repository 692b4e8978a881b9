"""SSPL: Song et al., Self-Supervised Predictive Learning, CVPR 2022, which needs no negatives.

Two views of a frame, each pooled with the attention of its sound, should be similar (SimSiam).
Before that, predictive coding makes the frame's features agree with the sound: coarse features
predict the sound, the prediction error corrects finer and finer features, and so on in cycles. It
follows the published code (`sspl_w_pcm`), which trains neither the visual network nor VGGish.
"""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, gelu, interpolate, max_pool2d, normalize, relu

from spm.fusion.localization_network import (
    CosineMaps,
    StepOutput,
    flatten_frames,
    min_max,
    unflatten_frames,
)
from spm.fusion.losses import ranking_accuracy, silent_map_loss
from spm.fusion.network import audio_normalization
from spm.fusion.settings import Train
from spm.learn import distributed
from spm.learn.backbones import CHANNELS

LEVELS = 3  # of features; level 0 is the coarsest and predicts the sound


class Settings(Train):
    """SSPL (Song et al., CVPR 2022)."""

    promote: bool = False
    learn_visual: bool = Field(False, description="Train the visual network too.")
    width: int = Field(
        512,
        ge=1,
        le=8_192,
        description="Channels of the predictive coding, which is most of the arithmetic: 64 to"
        " 128 suit a CPU.",
    )
    cycles: int = Field(4, ge=0, le=100, description="Cycles of prediction and correction.")
    projected: int = Field(
        2048, ge=4, le=65_536, description="Length of the vectors by which two views are compared."
    )


def _conv3x3(width: int) -> nn.Module:
    return nn.Conv2d(width, width, 3, padding=1, bias=False)


class PredictiveCoding(nn.Module):
    """Features (B, width, h, w) that are changed step by step until they agree with a sound.

    `predict` goes down, from coarse to fine levels, and `correct` goes up. `gate` is the published
    code's b, the weight of a prediction; `step_size` is its a, the weight of a correction. Each
    step and level has its own BatchNorm.
    """

    def __init__(self, width: int, cycles: int, audio_channels: int) -> None:
        super().__init__()
        upper, steps = range(LEVELS - 1), cycles + 1
        self.predict = nn.ModuleList(_conv3x3(width) for _ in upper)
        self.predict_audio = nn.Conv2d(width, audio_channels, 1)
        corrections = [_conv3x3(width) for _ in upper]
        first = nn.Conv2d(audio_channels, width, 1, bias=False)
        self.correct = nn.ModuleList([first, *corrections])
        self.gate = nn.ParameterList(torch.full((1, width, 1, 1), 0.5) for _ in range(LEVELS))
        self.step_size = nn.ParameterList(torch.ones(1, width, 1, 1) for _ in range(LEVELS))
        self.norm_down = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(steps * len(upper)))
        self.norm_up = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(steps * LEVELS))
        self.cycles = cycles

    def forward(self, visual: Tensor, audio: Tensor) -> Tensor:
        """(B, width, h, w) and unit vectors (B, audio_channels) → (B, width, h, w)."""
        predicted = [visual]
        for level in reversed(range(LEVELS - 1)):
            prediction = self._predict_level(level, predicted[0])
            predicted.insert(0, gelu(self.norm_down[level](prediction)))
        states = self._correct_all(0, predicted, predicted, audio)
        for step in range(1, self.cycles + 1):
            states = self._predict_all(step, states, predicted)
            states = self._correct_all(step, states, predicted, audio)
        return states[-1]

    def _predict_level(self, level: int, above: Tensor) -> Tensor:
        """Prediction of a level from the level above it."""
        prediction = self.predict[level](above)
        return max_pool2d(prediction, 2) if min(prediction.shape[2:]) > 1 else prediction

    def _predict_all(
        self, step: int, states: list[Tensor], predicted: list[Tensor]
    ) -> list[Tensor]:
        """Move each level towards its prediction; the predictions are stored in `predicted`."""
        last = torch.lerp(states[-1], predicted[-1], relu(self.gate[-1]))
        states = [*states[:-1], gelu(last)]
        for level in reversed(range(LEVELS - 1)):
            predicted[level] = self._predict_level(level, states[level + 1])
            moved = torch.lerp(states[level], predicted[level], relu(self.gate[level]))
            states[level] = gelu(self.norm_down[step * (LEVELS - 1) + level](moved))
        return states

    def _correct_all(
        self, step: int, states: list[Tensor], predicted: list[Tensor], audio: Tensor
    ) -> list[Tensor]:
        """Correct level 0 by the error of the predicted sound, and each level by the one before."""
        predicted_audio = gelu(self.predict_audio(states[0])).mean((2, 3))
        error = (audio - predicted_audio)[:, :, None, None]
        corrected = list[Tensor]()
        for level, state in enumerate(states):
            size = state.shape[2:]
            if error.shape[2:] != size:
                error = interpolate(error, size, mode="bilinear", align_corners=True)
            moved = state + relu(self.step_size[level]) * self.correct[level](error)
            corrected.append(gelu(self.norm_up[step * LEVELS + level](moved)))
            error = corrected[level] - predicted[level]
        return corrected


class Network(CosineMaps):
    """Predictive coding, attention by cosine, and SimSiam's projector and predictor."""

    views = 2

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.visual, settings.start, settings.audio_network)
        self.settings, width, wide = settings, settings.width, settings.projected
        self.visual.requires_grad_(settings.learn_visual)
        self.visual_proj = nn.Conv2d(CHANNELS[settings.visual], width, 1)
        self.audio_norm = audio_normalization(settings.standardize, self.audio.channels)
        self.audio_proj = nn.Linear(self.audio.channels, width)
        self.out_proj = nn.Conv2d(width, width, 1)
        self.predictive_coding = PredictiveCoding(width, settings.cycles, self.audio.channels)
        last = nn.Sequential(nn.Linear(wide, wide, bias=False), nn.BatchNorm1d(wide, affine=False))
        self.projector = nn.Sequential(*_layer(width, wide), *_layer(wide, wide), *last)
        self.predictor = nn.Sequential(*_layer(wide, wide // 4), nn.Linear(wide // 4, wide))

    def set_train_mode(self, config: Train) -> None:
        """Set training mode; a frozen visual network stays in evaluation mode."""
        super().set_train_mode(config)
        self.visual.train(self.settings.learn_visual)

    def encode(self, images: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features after predictive coding (B, width, h, w), and their cosines (B, h, w)."""
        audio = self.audio_norm(features)
        visual = self.visual_proj(self.visual_features(images))
        visual = self.out_proj(self.predictive_coding(visual, normalize(audio, dim=1)))
        query = normalize(self.audio_proj(audio), dim=1)
        return visual, torch.einsum("bdhw,bd->bhw", normalize(visual, dim=1), query)

    def attended(self, images: Tensor, features: Tensor) -> Tensor:
        """Sum of the features over the positions, weighted by attention: (B, width)."""
        visual, cosine = self.encode(images, features)
        return (visual * min_max(cosine)[:, None]).sum((2, 3))

    def loss(self, images: Tensor, features: Tensor, negative: Tensor) -> StepOutput:
        """Minus the cosine between the prediction from one view and the projection of the other.

        No gradient flows through the projection. `images` are both views of every clip, first all
        first views; or one view, which is then compared with itself. The accuracy is that of
        telling a clip's other view from those of other videos: it shows a collapse of the
        features, which the loss does not show. The cosines of negative sounds should be below 0;
        the paper has no negatives.
        """
        count = negative.shape[1]
        own = distributed.own_part(count)  # the clips of `images`
        pair = images.chunk(2) if len(images) > own.stop - own.start else (images, images)
        views = [self.visual_features(view) for view in pair]
        one, two = (self.projector(self.attended(view, features[:count])) for view in views)
        predictions = self.predictor(one), self.predictor(two)
        targets = two.detach(), one.detach()
        cosines = [
            cosine_similarity(prediction.float(), target.float()).mean()
            for prediction, target in zip(predictions, targets, strict=True)
        ]
        loss = -torch.stack(cosines).mean()
        if len(features) > count:
            loss = loss + self.rejection(views[0], features[count:], negative[count:])
        predicted, projected = predictions[0].float().detach(), two.float().detach()
        similarity = normalize(predicted) @ normalize(projected).T
        return StepOutput(loss, ranking_accuracy(similarity, negative[:count]))

    def rejection(self, visual: Tensor, features: Tensor, negative: Tensor) -> Tensor:
        """Loss of N negative sounds, each with one frame that does not show it."""
        frames = negative.int().argmax(1)
        _, cosines = self.encode(visual[frames], features)
        return silent_map_loss(cosines, negative.any(1))

    def cosines(self, images: Tensor, log_mels: Tensor) -> Tensor:
        """Cosines of each position with its clip's sound: (B, f, h, w)."""
        features = self.audio_features(log_mels).repeat_interleave(images.shape[1], 0)
        _, cosine = self.encode(flatten_frames(images), features)
        return unflatten_frames(cosine, images)


def _layer(inputs: int, outputs: int) -> list[nn.Module]:
    linear = nn.Linear(inputs, outputs, bias=False)
    return [linear, nn.BatchNorm1d(outputs), nn.ReLU(inplace=True)]
