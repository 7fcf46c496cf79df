"""Reverse distillation in PyTorch (torch and torchvision), with random weights: what scripts/bench_torch.py measures."""
import torch
import torchvision
from torch import nn
from torch.nn import functional
from torchvision.models.resnet import BasicBlock, Bottleneck

# Block, blocks of the stages, blocks of the one-class embedding, width of 64 planes, trained parameters.
BACKBONES = {
    "resnet18": (BasicBlock, (2, 2, 2), 2, 64, 15_383_168),
    "resnet34": (BasicBlock, (3, 4, 6), 3, 64, 22_171_264),
    "resnet50": (Bottleneck, (3, 4, 6), 3, 64, 46_651_392),
    "wide_resnet50_2": (Bottleneck, (3, 4, 6), 3, 128, 83_802_624),
}


def doubling(channels, out):
    return nn.ConvTranspose2d(channels, out, 2, 2, bias=False)


def halving(channels, out, kernel=3):
    return nn.Conv2d(channels, out, kernel, 2, kernel // 2, bias=False)


def stage(block, channels, planes, blocks, width, doubles):
    """Residual blocks, the first of which doubles or halves the resolution."""
    out = planes * block.expansion
    skip = nn.Sequential(doubling(channels, out) if doubles else halving(channels, out, 1), nn.BatchNorm2d(out))
    first = block(channels, planes, 1 if doubles else 2, skip, base_width=width)
    if doubles and block is BasicBlock:
        first.conv1 = doubling(channels, planes)
    elif doubles:
        first.conv2 = doubling(first.conv2.in_channels, first.conv2.out_channels)
    return nn.Sequential(first, *(block(out, planes, base_width=width) for _ in range(blocks - 1)))


class Teacher(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        resnet = torchvision.models.get_model(backbone, weights=None)
        self.stem = nn.Sequential(resnet.conv1, resnet.bn1, resnet.relu, resnet.maxpool)
        self.stages = nn.ModuleList([resnet.layer1, resnet.layer2, resnet.layer3])

    def forward(self, x):
        x, features = self.stem(x), []
        for layer in self.stages:
            x = layer(x)
            features.append(x)
        return features


class Student(nn.Module):
    """Multi-scale fusion, one-class embedding, decoder."""

    def __init__(self, backbone):
        super().__init__()
        block, blocks, embedding_blocks, width, parameters = BACKBONES[backbone]
        first, second, third = (planes * block.expansion for planes in (64, 128, 256))

        def unit(channels, out):
            return nn.Sequential(halving(channels, out), nn.BatchNorm2d(out), nn.ReLU(inplace=True))

        self.fusion1 = nn.Sequential(unit(first, second), unit(second, third))
        self.fusion2 = unit(second, third)
        self.embedding = stage(block, 3 * third, 512, embedding_blocks, width, doubles=False)
        self.decoder = nn.ModuleList(
            stage(block, channels, planes, count, width, doubles=True)
            for channels, planes, count in zip((2 * third, third, second), (256, 128, 64), blocks)
        )
        for module in self.modules():
            # Transposed convolutions keep PyTorch's own, as in the authors' code.
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        count = sum(parameter.numel() for parameter in self.parameters())
        assert count == parameters, f"{backbone}: {count} parameters instead of {parameters}"

    def forward(self, features):
        x = self.embedding(torch.cat([self.fusion1(features[0]), self.fusion2(features[1]), features[2]], 1))
        rebuilt = []
        for layer in self.decoder:
            x = layer(x)
            rebuilt.insert(0, x)
        return rebuilt


def distillation_loss(features, rebuilt):
    """One cosine an image and scale (the authors' code)."""
    return sum(
        (1 - functional.cosine_similarity(u.float().flatten(1), v.float().flatten(1))).mean()
        for u, v in zip(features, rebuilt)
    )


def blur_matrix(size, sigma=4, radius=16):
    """A Gaussian along a line of pixels, mirrored at the ends, as a matrix."""
    taps = torch.exp(-torch.arange(-radius, radius + 1, dtype=torch.float64) ** 2 / (2 * sigma**2))
    matrix = torch.zeros(size, size, dtype=torch.float64)
    for row in range(size):
        for offset, tap in zip(range(-radius, radius + 1), taps / taps.sum()):
            place = (row + offset) % (2 * size)
            matrix[row, min(place, 2 * size - 1 - place)] += tap
    return matrix.float()


class Detector(nn.Module):
    """From an image to its blurred anomaly map and its score."""

    def __init__(self, backbone, size, precision=torch.float32):
        super().__init__()
        # Weights are converted once; autocast would do it for every image.
        self.teacher, self.student = Teacher(backbone).to(precision), Student(backbone).to(precision)
        self.size, self.precision = size, precision
        self.register_buffer("blur", blur_matrix(size))

    def forward(self, x):
        features = self.teacher(x.to(self.precision))
        total = 0
        for u, v in zip(features, self.student(features)):
            distance = 1 - functional.cosine_similarity(u.float(), v.float())
            total = total + functional.interpolate(
                distance[:, None], (self.size, self.size), mode="bilinear", align_corners=True
            )
        blurred = self.blur @ total[:, 0] @ self.blur.T
        return blurred, blurred.amax((1, 2))
