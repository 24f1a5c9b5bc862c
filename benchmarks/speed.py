"""All speed ratios, measured side by side on this machine, printed and written to build/bench.json.

python benchmarks/speed.py                    everything: a few minutes
python benchmarks/speed.py --only kernels     one of: training, kernels, frozen-gates, convolution
"""

import argparse
import json

import convolution
import frozen_gates
import kernels
import mnist_training
from timing import machine

from npflib import data
from npflib.records import locations
from npflib.records.atomic import write_text

CHOICES = ("training", "kernels", "frozen-gates", "convolution")


def main() -> None:
    """Measures, prints a line a ratio, and writes them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=CHOICES, help="measure only this")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of every rival (default 5)")
    parser.add_argument("--steps", type=int, default=300, help="training steps to a round (default 300)")
    parser.add_argument("--convolution-steps", type=int, default=1, help="the same of convolutions (default 1)")
    parser.add_argument("--examples", type=int, default=1000, help="examples of the tangent kernel (default 1000)")
    parser.add_argument("--path-examples", type=int, default=4096, help="examples of the path kernel (default 4096)")
    options = parser.parse_args()
    for name in ("rounds", "steps", "convolution_steps", "examples", "path_examples"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be a positive whole number; got {getattr(options, name)}.")

    about, source = machine(), data.load("mnist").source
    print(f"{about['device']}, {about['cores']} cores, torch {about['torch']}; data: {source.title}")
    if source.banner():
        print(source.banner())
    results = []
    for choice in CHOICES if options.only is None else (options.only,):
        if choice == "training":
            found = mnist_training.measure(options.steps, options.rounds)
        elif choice == "kernels":
            found = kernels.measure(options.examples, options.path_examples, options.rounds)
        elif choice == "frozen-gates":
            found = frozen_gates.measure(options.steps, options.rounds)
        else:
            found = convolution.measure(options.convolution_steps, (options.rounds + 1) // 2)
        for result in found:
            print(line(result), flush=True)
            results.append(result)
    path = locations.project() / "build" / "bench.json"
    report = {"machine": about, "data": source.as_dict(), "rounds": options.rounds, "results": results}
    write_text(path, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    print(path)


def line(result: dict) -> str:
    """One result for a reader."""
    if "largest" in result:
        values = "; ".join(f"{value:.1e} ({name})" for name, value in result["difference"].items())
        return f"{result['what']}: {values}; target at most {result['target']:.0e}, {met(result)}"
    values = f"{result['ratio']:.2f} (rounds {result['lowest']:.2f} to {result['highest']:.2f})"
    if "seconds an epoch" in result:
        values += f"; {result['seconds an epoch']:.3g} seconds an epoch"
    if result.get("share of peak") is not None:
        values += f", {100 * result['share of peak']:.1f} % of the stated peak"
    for name in ("milliseconds", "GFLOP/s"):
        if name in result:
            values += "; " + ", ".join(f"{rival}: {value:.3g}" for rival, value in result[name].items()) + f" {name}"
    if result["target"] is not None:
        values += f"; target at least {result['target']:g}, {met(result)}"
    return f"{result['what']}: {values}"


def met(result: dict) -> str:
    """Whether a target is met."""
    good = result["largest"] <= result["target"] if "largest" in result else result["ratio"] >= result["target"]
    return "met" if good else "MISSED"


if __name__ == "__main__":
    main()
