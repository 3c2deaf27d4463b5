"""TensorRT engines on a device. Nothing here imports a heavy package before it is asked for."""
