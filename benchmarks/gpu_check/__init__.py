"""What a machine with an NVIDIA GPU is asked: do engines agree with the model, and how fast.

python -m tinysr.benchmarks.gpu_check bundles/tinysr-nano-fp16 --json gpu-check.json
"""
