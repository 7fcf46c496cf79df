#!/usr/bin/env python3
"""What rd-bench measures, done by PyTorch or, for inference, by another runtime. scripts/bench --against-torch runs it.

One configuration in each process; JSON on stdout, with rd-bench's names. The runtimes that are not PyTorch's are measured without it in
their memory, so it is only imported where it is needed.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

PROGRAMS = {
    "eager": "PyTorch", "compile": "torch.compile", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO",
}


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("benchmark", choices=["step", "inference"])
    parser.add_argument("--backbone", default="wide_resnet50_2")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--feature-cache", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--runtime", default="eager", choices=PROGRAMS)
    parser.add_argument("--export", help="write the network of inference as ONNX to this file, and measure nothing")
    return parser.parse_args()


def optimized(module):
    import torch

    return module.to(memory_format=torch.channels_last)


def images(options, count):
    import torch

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    return optimized(torch.randn(count, 3, options.size, options.size))


def measured_steps(options):
    """The times of the parts of each step, by name."""
    import torch
    from torch_model import Student, Teacher, distillation_loss

    x = images(options, options.batch)
    teacher = optimized(Teacher(options.backbone)).eval()
    student = optimized(Student(options.backbone)).train()
    adam = torch.optim.Adam(student.parameters(), lr=0.005, betas=(0.5, 0.999), fused=True)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=options.precision == "bf16")

    def teach():
        with torch.no_grad(), autocast:
            return teacher(x)

    kept = [feature.float() for feature in teach()] if options.feature_cache else None
    names = ["input" if kept else "teacher", "student forward", "student backward", "Adam"]
    samples = {name: [] for name in [*names, "step"]}
    for step in range(options.warmup + options.steps):
        times = [time.perf_counter()]
        features = [feature.clone() for feature in kept] if kept else teach()
        times.append(time.perf_counter())
        with autocast:
            loss = distillation_loss(features, student(features))
        times.append(time.perf_counter())
        adam.zero_grad(set_to_none=True)
        loss.backward()
        times.append(time.perf_counter())
        adam.step()
        loss.item()
        times.append(time.perf_counter())
        if step >= options.warmup:
            for name, start, end in zip(names, times, times[1:]):
                samples[name].append(end - start)
            samples["step"].append(times[-1] - times[0])
    return samples


def measured_images(options):
    """The times of single images."""
    detect, image = {
        "eager": torch_detector, "compile": torch_detector, "onnxruntime": onnxruntime_detector,
        "openvino": openvino_detector,
    }[options.runtime](options)
    samples = []
    for step in range(options.warmup + options.steps):
        start = time.perf_counter()
        detect(image)
        if step >= options.warmup:
            samples.append(time.perf_counter() - start)
    return {"image": samples}


def torch_detector(options):
    """A function that detects, and an image for it."""
    import torch
    from torch_model import Detector

    image = images(options, 1)
    precision = {"fp32": torch.float32, "bf16": torch.bfloat16}[options.precision]
    network = optimized(Detector(options.backbone, options.size, precision)).eval()
    if options.runtime == "compile":
        # Weights are constants then: it may fold the normalisations and lay the weights out anew.
        from torch._inductor import config

        config.freezing = True
        network = torch.compile(network)

    def detect(image):
        with torch.no_grad():
            return network(image)

    return detect, image


def onnxruntime_detector(options):
    import onnxruntime

    session_options = onnxruntime.SessionOptions()
    session_options.intra_op_num_threads = options.threads
    session = with_model(
        lambda path: onnxruntime.InferenceSession(path, session_options, providers=["CPUExecutionProvider"])
    )
    name = session.get_inputs()[0].name
    return lambda image: session.run(None, {name: image}), numpy_image(options)


def openvino_detector(options):
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": options.threads, "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[options.precision],
    }
    request = with_model(lambda path: openvino.Core().compile_model(path, "CPU", settings)).create_infer_request()
    return lambda image: request.infer({0: image}), numpy_image(options)


def with_model(load):
    """Loads the network, which another process has exported."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "network.onnx")
        subprocess.run([sys.executable, *sys.argv, "--export", path], check=True, stdout=sys.stderr)
        return load(path)


def numpy_image(options):
    import numpy

    return numpy.random.default_rng(0).standard_normal((1, 3, options.size, options.size), numpy.float32)


def export(options):
    import torch
    from torch_model import Detector

    with torch.no_grad():
        network = Detector(options.backbone, options.size).eval()
        torch.onnx.export(network, (images(options, 1),), options.export, opset_version=18, dynamo=True)


def main():
    options = arguments()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    if options.export:
        return export(options)
    settings = {name: getattr(options, name) for name in ("backbone", "size", "threads", "precision")}
    if options.benchmark == "step":
        samples, count = measured_steps(options), options.batch
        settings |= {"batch": options.batch, "feature_cache": options.feature_cache}
    else:
        samples, count = measured_images(options), 1
    rows = [
        {"name": name, "median_seconds": statistics.median(times), "minimum_seconds": min(times)}
        for name, times in samples.items()
    ]
    with open("/proc/self/status") as status:
        peak = int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) * 1024
    result = {
        "program": PROGRAMS[options.runtime], "benchmark": options.benchmark, "settings": settings, "rows": rows,
        "images_per_second": count / rows[-1]["median_seconds"], "peak_memory_bytes": peak,
    }
    print(json.dumps(result, indent=2))


main()
