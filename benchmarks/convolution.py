"""One training step of convolutional networks, batch 32, Adam: against a plain PyTorch one, and regime against regime.

The networks are the paper's and the companion's quarter of them. The plain step is an ``nn.Sequential`` in float32 on
contiguous images with ``torch.optim.Adam`` as it comes. Ours is ``training.autograd`` with Keras' Adam, in float32 and
in bfloat16 (channels last); the batch is taken from bytes in either case. FRNPF stands for FLNPF too: whose gates a
table holds does not matter. A processor without bfloat16 arithmetic only imitates it, many times slower: there it is
timed once, on one thread and the smaller network, to show that it is no use.
"""

from collections.abc import Callable, Iterator
from math import prod

import torch
from timing import compared, interleaved, side_by_side
from torch import Tensor, nn

from npflib import regimes
from npflib.architectures import ConvLayer
from npflib.networks import GConv, VConv
from npflib.training.autograd import AutogradLearner
from npflib.training.optimisers import keras_optimiser

BATCH, LEARNING_RATE = 32, 3e-4
QUARTER = {"channels": (16, 16, 32, 32), "dense": (64, 64)}
NETWORKS = {"GCONV": GConv(), "VCONV": VConv(), "GCONV/4": GConv(**QUARTER), "VCONV/4": VConv(**QUARTER)}
# Asked of a step: how many times a plain one's speed, with bfloat16 and without; FRNPF at most 1.1 times ReLU's time.
FASTER = {"float32": 1.3, "bfloat16": 2.5}
FROZEN = 1 / 1.1
EPOCH = 50_000
# Operations a second as the maker states them, dense; torch lets convolutions in float32 use TF32, so TF32's.
PEAK = {
    ("H100", "float32"): 495e12,
    ("H100", "bfloat16"): 989e12,
    ("H200", "float32"): 495e12,
    ("H200", "bfloat16"): 989e12,
    ("A100", "float32"): 156e12,
    ("A100", "bfloat16"): 312e12,
}


def measure(steps: int, rounds: int) -> Iterator[dict]:
    """Our step against the plain one, and frozen gates looked up against computed; an epoch where there is CUDA."""
    cpu, precisions = torch.device("cpu"), ("float32", "bfloat16") if bfloat16_in_hardware() else ("float32",)
    for name, arch in NETWORKS.items():
        count = steps * (8 if name.endswith("/4") else 1)
        for precision in precisions:
            rivals = {"plain": plain(arch, count, cpu), "ours": ours("ReLU", arch, count, cpu, precision)}
            what, target = f"{name} step, ReLU, {precision}, milliseconds", FASTER[precision]
            yield from side_by_side(
                what, rivals, "ours", rounds, calls=count, target=target if precision == precisions[-1] else None
            )
            rivals = {regime: ours(regime, arch, count, cpu, precision) for regime in ("ReLU", "FRNPF-II")}
            what = f"{name} step, FRNPF against ReLU, {precision}, milliseconds"
            yield from side_by_side(what, rivals, "FRNPF-II", rounds, calls=count, target=FROZEN)
        rivals = {
            "computed": ours("FRNPF-II", arch, count, cpu, reuse_gates=False),
            "looked up": ours("FRNPF-II", arch, count, cpu, reuse_gates=True),
        }
        what = f"{name} step, FRNPF, frozen gates, milliseconds"
        yield from side_by_side(what, rivals, "looked up", rounds, calls=count)
    if not bfloat16_in_hardware():
        yield imitated(NETWORKS["GCONV"])
    if torch.cuda.is_available():
        yield from accelerated(steps, rounds)


def bfloat16_in_hardware() -> bool:
    """Whether this processor multiplies bfloat16."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)


def imitated(arch: GConv | VConv) -> dict:
    """One step in bfloat16 on one thread of a processor that has no such arithmetic."""
    cpu = torch.device("cpu")
    torch.set_num_threads(1)
    rivals = {"plain": plain(arch, 1, cpu), "ours": ours("ReLU", arch, 1, cpu, "bfloat16")}
    seconds = interleaved(rivals, 1)
    return {
        "what": f"{type(arch).__name__.upper()} step, ReLU, bfloat16 without hardware for it, milliseconds, 1 thread",
        "threads": 1,
        "milliseconds": {name: 1e3 * taken[0] for name, taken in seconds.items()},
        "against": "plain",
        **compared(seconds["plain"], seconds["ours"]),
        "target": None,
    }


def accelerated(steps: int, rounds: int) -> Iterator[dict]:
    """Seconds an epoch of 50,000 images on the accelerator, and the share of its stated peak."""
    device = torch.device("cuda")
    card = torch.cuda.get_device_name(device)
    for name, arch in NETWORKS.items():
        for precision in ("float32", "bfloat16"):
            rivals = {"plain": plain(arch, steps, device), "ours": ours("ReLU", arch, steps, device, precision)}
            seconds = interleaved({name: synchronised(work) for name, work in rivals.items()}, rounds)
            step = sorted(seconds["ours"])[rounds // 2] / steps
            peak = next((p for (key, kind), p in PEAK.items() if key in card and kind == precision), None)
            yield {
                "what": f"{name} step, ReLU, {precision}, {card}",
                "against": "plain",
                **compared(seconds["plain"], seconds["ours"]),
                "seconds an epoch": step * EPOCH / BATCH,
                "share of peak": None if peak is None else operations(arch) * BATCH / step / peak,
                "target": None,
            }


def synchronised(work: Callable[[], None]) -> Callable[[], None]:
    """The same call, which returns when the device has finished it."""

    def done() -> None:
        work()
        torch.cuda.synchronize()

    return done


def operations(arch: GConv | VConv) -> int:
    """Floating-point operations of one image's training step: two a weight and position forward, and twice that back.

    The first layer's images need no gradient.
    """
    total = 0
    for index, layer in enumerate(arch.layers()):
        if isinstance(layer, ConvLayer):
            products = 9 * layer.in_channels * layer.out_channels * arch.image_size**2
        else:
            products = layer.in_features * layer.out_features
        total += 2 * products * (2 if index == 0 else 3)
    return total


def batches(device: torch.device, count: int = 4 * BATCH) -> tuple[Tensor, Tensor]:
    """Noise in bytes, and labels: what a step costs does not depend on the picture."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=draw)
    return images.to(device), torch.randint(0, 10, (count,), generator=draw).to(device)


def plain(arch: GConv | VConv, steps: int, device: torch.device) -> Callable[[], None]:
    """A call trains a network for some steps, as a tutorial would."""
    torch.manual_seed(0)
    modules: list[nn.Module] = []
    for layer in arch.layers():
        if isinstance(layer, ConvLayer):
            modules += [nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=1), nn.ReLU()]
            continue
        if layer.before == "pool":
            modules.append(nn.AdaptiveAvgPool2d(1))
        if layer.before:
            modules.append(nn.Flatten())
        modules += [nn.Linear(layer.in_features, layer.out_features), nn.ReLU()]
    model = nn.Sequential(*modules[:-1]).to(device)
    assert sum(p.numel() for p in model.parameters()) == sum(weights(arch))
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    criterion = nn.CrossEntropyLoss()
    images, labels = batches(device)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1)).to(device).split(BATCH)

    def work() -> None:
        for step in range(steps):
            chosen = order[step % len(order)]
            optimiser.zero_grad()
            loss = criterion(model(images[chosen].float() / 255), labels[chosen])
            loss.backward()
            optimiser.step()

    return work


def weights(arch: GConv | VConv) -> Iterator[int]:
    """Parameters of every layer, biases included."""
    for layer in arch.layers():
        shape = (9, layer.in_channels, layer.out_channels) if isinstance(layer, ConvLayer) else (
            layer.in_features, layer.out_features,
        )  # fmt: skip
        yield prod(shape) + shape[-1]


def ours(
    regime: str,
    arch: GConv | VConv,
    steps: int,
    device: torch.device,
    precision: str = "float32",
    reuse_gates: bool = True,
) -> Callable[[], None]:
    """A call trains a network for some steps, as ``npflib.training.runs`` does."""
    images, labels = batches(device)
    network = regimes.start(regime, arch, 0)
    parts = ([network], images, labels, images[:BATCH], labels[:BATCH], device)
    learner = AutogradLearner(*parts, precision=precision, reuse_gates=reuse_gates)
    optimiser = keras_optimiser("adam", learner.parameters(), LEARNING_RATE)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1)).to(device).split(BATCH)

    @torch.no_grad()
    def work() -> None:
        for step in range(steps):
            learner.gradients(order[step % len(order)][None])
            optimiser.step()

    return work
