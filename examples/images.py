"""Photos for a web page: each is resized and converted, and a contact sheet is made of all.

Needs `pip install Pillow`. The example paints its own photos.
"""

import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

import taskqueue_ray as tq


@tq.job(queue="images", timeout=60, tags=["thumbnail"])
def shrink(source: Path, target: Path, size: int) -> Path:
    """Writes a WebP of at most `size` by `size` pixels."""
    with Image.open(source) as image:
        image.thumbnail((size, size), Image.Resampling.LANCZOS)
        image.convert("RGB").save(target, quality=80)
    return target


@tq.job(queue="images", timeout=60)
def contact_sheet(thumbnails: list[Path], target: Path, columns: int = 6) -> tuple[int, int]:
    """Writes one picture of all thumbnails; its width and height."""
    rows = -(-len(thumbnails) // columns)
    sheet = Image.new("RGB", (columns * 100, rows * 100), "white")
    for number, thumbnail in enumerate(thumbnails):
        with Image.open(thumbnail) as image:
            sheet.paste(image, (number % columns * 100, number // columns * 100))
    sheet.save(target)
    return sheet.size


def paint(target: Path, number: int) -> Path:
    """A photo of sorts."""
    image = Image.linear_gradient("L").resize((1200, 800)).convert("RGB")
    draw = ImageDraw.Draw(image)
    draw.ellipse((100 + 20 * number, 100, 500 + 20 * number, 500), fill=(255, 9 * number, 60))
    image.save(target)
    return target


with tempfile.TemporaryDirectory() as name, tq.connect() as q, q.workers(["images"]):
    folder = Path(name)
    photos = [paint(folder / f"photo{number:02}.png", number) for number in range(24)]
    (folder / "broken.png").write_bytes(b"this is no picture")

    with q.workflow("gallery") as flow:
        thumbnails = [flow.add(shrink, photo, photo.with_suffix(".webp"), 100) for photo in photos]
        sheet = flow.add(contact_sheet, thumbnails, folder / "sheet.jpg")
    once = shrink.options(max_attempts=1)
    broken = once.enqueue(folder / "broken.png", folder / "broken.webp", 100)

    print("contact sheet:", sheet.result(timeout=100), "pixels")
    try:
        broken.result(timeout=60)
    except tq.JobFailed as problem:
        print("broken.png:", problem)
    before = sum(photo.stat().st_size for photo in photos)
    after = sum(thumbnail.result().stat().st_size for thumbnail in thumbnails)
    print(f"{len(photos)} photos: {before:,} bytes became {after:,}")
