"""What a model can be exported to, one file each."""

ENDINGS = {"onnx": ".onnx", "openvino": ".xml", "torch.export": ".pt2", "tensorrt-ready": ".onnx"}
"""The targets, and how their files' names end."""
