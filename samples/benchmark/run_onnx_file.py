"""Worker of harness.py: a file that export.py --format=onnx wrote, in onnxruntime."""

import worker


def main():
    parser = worker.detection_options(__doc__, ("float32",))
    parser.add_argument("--network", required=True, help="FILE.onnx")
    args = parser.parse_args()

    import numpy as np
    import onnxruntime
    from PIL import Image
    from worker_onnxruntime import open_session

    session = open_session(args.network)

    def run():
        image = np.asarray(Image.open(args.image).convert("RGB"))
        session.run(None, {"images": image[None]})

    worker.serve(f"onnxruntime {onnxruntime.__version__}", run)


if __name__ == "__main__":
    main()
