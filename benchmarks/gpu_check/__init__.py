"""Check of a machine with an NVIDIA GPU: whether engines agree with the model, and how fast.

python -m tinysr.benchmarks.gpu_check bundles/tinysr-nano-fp16 --json gpu-check.json
"""
