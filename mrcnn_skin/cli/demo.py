"""Serve a local web page to drop images on.

It shows outline, box, P(malignant), heat map and lesion area.

    mrcnn-skin demo
    mrcnn-skin demo --weights=logs/a/mask_rcnn_isic_best.h5 --weights=b.h5

--weights may be repeated: the page lets the user choose a model. Only this machine can
open the page, unless --host says otherwise. Images are deleted once they are read, and
the browser may send requests to this server only. Needs pip install "mrcnn_skin[demo]".

Research software, no medical device.
"""

import base64
import functools
import html
import os
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from . import command, models, options, predict

NOTICE = (
    "Research use only. This is no medical device, and nothing on this page is a "
    "diagnosis."
)
MAX_UPLOAD = "200mb"
EXAMPLES = 1, 2, 3  # seeds of generated lesions
PICTURE_SIDE = 900  # pixels of the longer side, of the answer's pictures
# The browser may load nothing from other addresses.
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' "
    "blob:; style-src 'self' 'unsafe-inline'; connect-src 'self' data: blob:"
)


class Choice(NamedTuple):
    """A model on the page.

    Attributes:
        model: a MaskRCNN.
        grad_cam: a GradCam; None without diagnosis.
        threshold: of P(malignant), or None.
    """

    model: Any
    grad_cam: Any
    threshold: float | None


def main(argv=None):
    """Run the command with options argv (None: of sys.argv); returns its status."""
    parser = command.Parser("demo", description=__doc__)
    parser.add_argument(
        "--weights",
        action="append",
        help=f"{options.WEIGHTS_HELP}; may be repeated (default: pretrained)",
    )
    parser.add_argument("--logs", default="logs", help="folder of the runs")
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="T",
        help="malignant if P(malignant) >= T (default: the operating point, see "
        "--sensitivity)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on")
    options.add_sensitivity_option(parser)
    options.add_config_options(parser)
    args = parser.parse_args(argv)
    command.require("gradio", "demo")
    if args.threshold is not None and not 0 < args.threshold < 1:
        raise ValueError(f"--threshold must be between 0 and 1, got {args.threshold}")

    choices = dict(load(path, args) for path in args.weights or ["pretrained"])
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["GRADIO_TEMP_DIR"] = scratch  # for uploads
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        serve(choices, args)


def load(weights, args):
    """Load a model; return its name on the page and a Choice."""
    from ..inference.explanation import GradCam

    path = models.trained_weights(weights, args.logs)
    model = models.load_model(path, args)
    config = model.config
    grad_cam = None
    if "classify" in config.TASKS and config.MALIGNANT_CLASS_IDS:
        grad_cam = GradCam(model.detector.model, config)
    threshold = args.threshold or config.THRESHOLD
    choice = Choice(model, grad_cam, threshold)
    answer("warm-up", example(0), choice)  # trace the graphs now, it takes seconds
    return f"{path.resolve().parent.name}/{path.stem}", choice


def serve(choices, args):
    """Serve the page of the models {name: Choice} until Ctrl-C."""
    import fastapi
    import gradio
    import uvicorn

    from ..evaluation.html_report import template

    def answer_uploads(paths, name):
        try:
            return None, answer_files(map(Path, paths), choices[name])
        finally:
            for path in paths:
                os.remove(path)

    def answer_example(name, number):
        return answer(f"generated_{number}.png", example(number), choices[name])[1]

    names = list(choices)
    with gradio.Blocks(title="mrcnn_skin", analytics_enabled=False) as page:
        gradio.HTML(f'<h1>mrcnn_skin</h1><p class="notice">{NOTICE}</p>')
        chosen = gradio.Radio(names, value=names[0], label="Model")
        file = gradio.File(
            label="Drop dermoscopy images here", file_count="multiple", height=140
        )
        with gradio.Row():
            buttons = [
                gradio.Button(f"Generated lesion {number}", size="sm")
                for number in EXAMPLES
            ]
        result = gradio.HTML()
        file.upload(answer_uploads, [file, chosen], [file, result])
        for number, button in zip(EXAMPLES, buttons, strict=True):
            show = functools.partial(answer_example, number=number)
            button.click(show, [chosen], [result])
    # launch() requests its own address first, and fails on slow machines
    server = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    server.middleware("http")(guard)
    gradio.mount_gradio_app(
        server,
        page,
        path="/",
        footer_links=[],
        max_file_size=MAX_UPLOAD,
        ssr_mode=False,
        css=template("demo.css").template,
        theme=gradio.themes.Default(
            font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
        ),
    )
    print(f"open http://{args.host}:{args.port} (Ctrl-C to stop)", flush=True)
    uvicorn.run(server, host=args.host, port=args.port, log_level="warning")


async def guard(request, call_next):
    """Add the policy to every response."""
    response = await call_next(request)
    response.headers["Content-Security-Policy"] = POLICY
    return response


def example(number):
    """Return a generated lesion, uint8 [h, w, 3]."""
    from ..data.lesion_painter import synthetic_lesion

    return synthetic_lesion(number, (480, 640))[0]


def answer_files(paths, choice):
    """Analyse files with a Choice; return HTML."""
    import pandas as pd

    from ..data.files import UnreadableImage, read_image

    parts, rows = [], []
    for path in paths:
        try:
            image = read_image(path, choice.model.config.MAX_IMAGE_PIXELS)
        except UnreadableImage as error:
            reason = f"{path.name} cannot be read as an image: {error.reason}"
            reason = html.escape(reason)
            parts.append(f'<p class="problem" role="alert">{reason}</p>')
            continue
        row, text = answer(path.name, image, choice)
        rows.append(row)
        parts.append(text)
    if rows:
        table = pd.DataFrame(rows).to_csv(index=False).encode()
        parts.append(download("table of all answers", "predictions.csv", table))
    return "".join(parts)


def answer(name, image, choice):
    """Analyse an image with a Choice; return a row of predictions.csv, and HTML."""
    from ..evaluation.scoring import describe_answer
    from ..evaluation.submission import mask_png

    result = choice.model.detect([image])[0]
    classes = choice.model.config.CLASS_NAMES
    row, mask = describe_answer(result, image.shape[:2], classes)
    pictures = {"outline and box of the lesion": predict.draw(image, result, row, mask)}
    if choice.grad_cam:
        from ..inference.explanation import overlay_heat

        heat = overlay_heat(image, choice.grad_cam(image))
        pictures["heat map (Grad-CAM): regions that raise P(malignant)"] = heat
    link = ""
    if mask is not None:
        link = download("mask", f"{Path(name).stem}_mask.png", mask_png(mask))
    return {"image": name, **row}, (
        f'<div class="answer"><h3>{html.escape(name)}</h3>'
        f"{warning(row)}{diagnosis(row, choice.threshold)}{facts(row, image)}"
        f'<div class="pictures">{"".join(map(figure, pictures, pictures.values()))}'
        f"</div>{link}</div>"
    )


def download(text, name, content):
    """Return a link that saves bytes, embedded in the page, as a file."""
    content = base64.b64encode(content).decode("ascii")
    address = f"data:application/octet-stream;base64,{content}"
    name = html.escape(name)
    return f'<p><a download="{name}" href="{address}">Download: {text}</a></p>'


def warning(row):
    """Return the warning on an unfamiliar image as HTML."""
    if not row["unfamiliar"]:
        return ""
    return (
        '<p class="problem" role="alert">This image is unlike the training images of '
        "the model. Do not rely on the result below. (Its distance from them is "
        f"{row['unfamiliar_score']:.1f}; the limit is 1.)</p>"
    )


def diagnosis(row, threshold):
    """Return P(malignant) with its operating point, or else the class, as HTML."""
    p, name = row["p_malignant"], row["predicted_class"]
    if p is None:
        return f"<p>Class: {html.escape(name)}</p>" if name else ""
    cut = ""
    words = (
        f"Most probable class: {html.escape(name)}. No operating point was chosen "
        "for this model, so this is not a decision."
    )
    if threshold is not None:
        cut = f'<div class="cut" style="left: {100 * threshold:.1f}%"></div>'
        side, called = ("Above", "malignant") if p >= threshold else ("Below", "benign")
        words = f"{side} the operating point {threshold:.2f}: classified as {called}."
    return (
        f'<p><span class="p">P(malignant) {p:.2f}</span></p><div class="scale">'
        f'<div class="bar" style="width: {100 * p:.1f}%"></div>{cut}</div>'
        f"<p>{words}</p>"
    )


def facts(row, image):
    """Return confidence, area and box as HTML."""
    height, width = image.shape[:2]
    if row["score"] is None:
        return f"<p>No lesion found in {width} x {height} pixels.</p>"
    flag = (
        '<p><span class="flag">Low confidence: the model is not sure that this is a '
        "lesion.</span></p>"
        if row["low_confidence"]
        else ""
    )
    area = ""
    if row["lesion_area"] is not None:
        share = row["lesion_area"] / (height * width)
        area = f"Lesion area: {row['lesion_area']:,} pixels, {share:.1%} of the image."
    box = "x {x1:.0f} to {x2:.0f}, y {y1:.0f} to {y2:.0f}".format(**row)
    return (
        f'{flag}<p>{area}<br><span class="small">Box: {box}, of {width} x {height} '
        f"pixels. Score {row['score']:.2f}: confidence that this region is a lesion, "
        "not certainty of the diagnosis.</span></p>"
    )


def figure(caption, pixels):
    """Return a picture, uint8 [h, w, 3], and its caption as HTML."""
    from ..evaluation.html_report import img

    image = img(pixels, caption, PICTURE_SIDE, "jpeg")
    return f"<figure>{image}<figcaption>{html.escape(caption)}</figcaption></figure>"
