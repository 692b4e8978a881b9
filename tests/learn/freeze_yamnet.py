"""Write tests/data/yamnet.npz: what the reference runtimes say about three made sounds.

python -m tests.learn.freeze_yamnet YAMNET_ONNX YAMNET_TFLITE

YAMNET_ONNX is the file of the part `yamnet`, unpacked (model.onnx, with model.data beside it);
YAMNET_TFLITE is that of `yamnet_coral`. Wants tensorflow, onnx, onnxruntime and ai-edge-litert,
in a virtual environment of its own.
"""

import sys
from pathlib import Path

import numpy as np

FILE = Path(__file__).parents[1] / "data" / "yamnet.npz"
SAMPLE_RATE_HZ = 16_000


def sounds() -> np.ndarray:
    """A plucked string, bursts of noise, and a sweep with a second of nothing: (3, 24000)."""
    time_s = np.arange(24_000) / SAMPLE_RATE_HZ
    since_pluck_s = time_s % 0.5
    string = sum(np.sin(2 * np.pi * 220 * n * time_s) / n for n in range(1, 12))
    plucked = 0.3 * string * np.exp(-6 * since_pluck_s)
    noise = np.random.default_rng(0).standard_normal(24_000)
    bursts = 0.2 * noise * (time_s % 0.25 < 0.05)
    sweep = 0.5 * np.sin(2 * np.pi * (300 + 900 * time_s) * time_s) * (time_s < 0.5)
    return np.stack([plucked, bursts, sweep]).astype(np.float32)


def reference_patches(sound: np.ndarray) -> np.ndarray:
    """The first patch of each sound, by TensorFlow: (3, 96, 64). Follows YAMNet's features.py."""
    import tensorflow as tf

    magnitude = tf.abs(tf.signal.stft(sound, 400, 160, 512))
    mels = tf.signal.linear_to_mel_weight_matrix(64, 257, SAMPLE_RATE_HZ, 125.0, 7500.0)
    return tf.math.log(magnitude @ mels + 0.001)[:, :96].numpy()


def run_tflite(path: Path, patches: np.ndarray) -> dict[str, np.ndarray]:
    """Embeddings, logits, and the scale and zero point of every activation, in the order of use."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # Without a delegate every tensor can be read after a run.
    interpreter = Interpreter(
        str(path),
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    used = {"CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "FULLY_CONNECTED", "QUANTIZE"}
    outputs = [
        operator["outputs"][0]
        for operator in interpreter._get_ops_details()
        if operator["op_name"] in used
    ]
    details = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    steps = np.array([details[index]["quantization"] for index in outputs], np.float32)
    values = []
    for patch in patches:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], patch[None])
        interpreter.invoke()
        values.append([interpreter.get_tensor(index).ravel() for index in outputs[-2:]])
    embeddings, logits = (
        (np.stack(numbers).astype(np.float32) - zero) * scale
        for numbers, (scale, zero) in zip(zip(*values, strict=True), steps[-2:], strict=True)
    )
    return {"embeddings": embeddings, "logits": logits, "steps": steps}


def run_onnx(path: Path, patches: np.ndarray) -> dict[str, np.ndarray]:
    """Embeddings and logits of an ONNX model, without the quantization of its activations."""
    import onnx
    import onnxruntime

    model = onnx.load(path)
    graph, origins = model.graph, {}
    for node in list(graph.node):
        inputs = [origins.get(name, name) for name in node.input]
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            origins[node.output[0]] = inputs[0]
            graph.node.remove(node)
        else:
            node.input[:] = inputs
    graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    del graph.output[:]
    for name in ("/model/GlobalAveragePool_output_0", "class_scores_updated"):
        graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    outputs = [session.run(None, {"audio": patch[None, None]}) for patch in patches]
    embeddings, logits = (np.stack(values) for values in zip(*outputs, strict=True))
    return {"embeddings": embeddings.reshape(-1, 1024), "logits": logits.reshape(-1, 521)}


def main() -> None:
    """Write the file."""
    onnx_file, tflite_file = map(Path, sys.argv[1:])
    patches_milli = np.rint(1000 * reference_patches(sounds())).astype(np.int16)
    patches = patches_milli.astype(np.float32) / 1000  # runtimes and tests get the same input
    found = {"patches_milli": patches_milli}
    for name, run, path in (
        ("yamnet", run_onnx, onnx_file),
        ("yamnet_coral", run_tflite, tflite_file),
    ):
        for key, values in run(path, patches).items():
            found[f"{name}_{key}"] = values
    np.savez_compressed(FILE, **found)


if __name__ == "__main__":
    main()
