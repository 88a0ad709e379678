"""Are the driver's colour bars in a picture in their colours, and one sheet of all pictures for the eye.

vivid's first test picture is eight bars of 75 %: white, yellow, cyan, green, magenta, red, blue, black. A
format without colours shows their brightness.
"""

from PIL import Image, ImageDraw

NAMES = ("white", "yellow", "cyan", "green", "magenta", "red", "blue", "black")
COLOURS = ((191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0),
           (191, 0, 191), (191, 0, 0), (0, 0, 191), (0, 0, 0))
# JPEG, coarser chroma and the integer arithmetic of conversions; a swapped channel is off by 191, a wrong range
# by 11 to 20 in several bars.
TOLERANCE = 14


def measured(image):
    """The mean colour of each bar's middle, at four fifths of the height."""
    width, height = image.size
    out = []
    for bar in range(8):
        middle, row, half = int((bar + 0.5) * width / 8), int(height * 0.8), 8
        box = image.convert("RGB").crop((middle - half, row - half, middle + half, row + half))
        pixels = list(box.getdata())
        out.append(tuple(round(sum(p[i] for p in pixels) / len(pixels)) for i in range(3)))
    return out


def brightness(colour):
    """What the driver makes of a colour for its grey formats: the luma of Rec. 709."""
    return round(0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2])


def expected(name):
    """What a format shows; grey ones are known by their names."""
    grey = name.startswith(("grey", "y1"))
    return [(brightness(c),) * 3 for c in COLOURS] if grey else list(COLOURS)


def verdict(name, image):
    """The largest difference, and the bars that are too far off."""
    pairs = list(zip(NAMES, measured(image), expected(name)))
    worst = max(abs(a - b) for _, got, wanted in pairs for a, b in zip(got, wanted))
    off = [f"{bar} {got} instead of {wanted}" for bar, got, wanted in pairs
           if max(abs(a - b) for a, b in zip(got, wanted)) > TOLERANCE]
    return worst, off


def report(folder):
    """A line a picture `PLANES-FORMAT.jpg` of the folder, whether all are well, and the sheet."""
    files = sorted(folder.glob("[12]-*.jpg"))
    lines, well, thumbs = [], bool(files), []
    for file in files:
        planes, name = file.stem.split("-", 1)
        with Image.open(file) as image:
            worst, off = verdict(name, image)
            thumbs.append((f"{planes} {name} ({worst})", image.convert("RGB").resize((160, 120)), bool(off)))
        well = well and not off
        lines.append(f"{planes} {name:<14} off by {worst:>3} at most  {'; '.join(off) or 'well'}")
    if thumbs:
        sheet(thumbs).save(folder / "sheet.png")
    (folder / "bars.txt").write_text("\n".join(lines) + "\n")
    return well, lines


def sheet(thumbs, columns=6):
    """All pictures with their names; a red name is one whose colours are wrong."""
    rows = -(-len(thumbs) // columns)
    out = Image.new("RGB", (columns * 170 + 10, rows * 145 + 10), "white")
    draw = ImageDraw.Draw(out)
    for n, (title, thumb, off) in enumerate(thumbs):
        x, y = 10 + n % columns * 170, 10 + n // columns * 145
        out.paste(thumb, (x, y))
        draw.text((x, y + 122), title, fill="red" if off else "black")
    return out
