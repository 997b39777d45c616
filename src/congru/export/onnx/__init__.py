"""The emitters of ONNX, one file for each kind of node, and onnxruntime to replay what they write."""
