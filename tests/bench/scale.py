"""Measures how the times to start N programs and to restart one of them grow with N, and draws them as SVG."""
import statistics
from math import floor, log10

from metric import Bench, Metric
from metrics.restarts import VICTIMS, measure_kills
from metrics.starts import up_with

#: Three descriptors for each program: 6,000 programs need 18,000 of the usual maximum of 20,000.
SIZES = (1, 10, 100, 1000, 3000, 6000)
COLOURS = {"ours": "#0b6e4f", "limit": "#888888", "supervisor": "#c0392b", "s6": "#8e44ad", "runit": "#2980b9",
           "daemontools": "#d68910", "dinit": "#16a085", "circus": "#7f5539", "pm2": "#e84393"}
WIDTH, HEIGHT, LEFT, TOP, PLOT_WIDTH, PLOT_HEIGHT = 860, 760, 70, 50, 620, 270


def table(quick):
    """For each size the function that measures it, by a name for --only."""
    return {f"scale-{size:g}": lambda bench, size=size: measure(bench, size) for size in (SIZES[:4] if quick else SIZES)}


def measure(bench: Bench, size):
    start = Metric(f"scale-start-{size}", f"{size:,} programs up", "ms", "lower", "CPU ms")
    kill = Metric(f"scale-restart-{size}", f"kill → exec beside {size:,}", "ms", "lower", "CPU µs/restart")
    metrics = up_with(bench, start, size)
    measure_kills(bench, kill, size - VICTIMS if size > VICTIMS else size)
    return [*metrics, kill]


def medians(metrics, kind, sizes):
    """The points (N, milliseconds) of each contender."""
    series = {}
    for metric in metrics:
        if metric.name.startswith(f"scale-{kind}-"):
            size = int(metric.name.rsplit("-", 1)[1])
            for name, repetitions in metric.samples.items():
                values = [value for samples in repetitions for value in samples]
                series.setdefault(name, []).append((size, statistics.median(values)))
    return {name: sorted(points) for name, points in series.items() if any(size in sizes for size, _ in points)}


def drawing(metrics):
    """Two plots, one above the other, both axes logarithmic, from the metrics of this module among `metrics`."""
    sizes = sorted({int(metric.name.rsplit("-", 1)[1]) for metric in metrics if metric.name.startswith("scale-")})
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
             'font-family="sans-serif" font-size="13">', f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    parts += plot("N programs up, from the exec of the daemon (ms)", medians(metrics, "start", sizes), sizes, TOP)
    parts += plot(f"kill → exec of one of {VICTIMS} beside N programs (ms)", medians(metrics, "restart", sizes), sizes,
                  TOP + PLOT_HEIGHT + 80)
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 8}" fill="#555">medians; three descriptors a program: 6,000 programs '
                 'need 18,000, more are not permitted by the usual limit of 20,000</text>')
    return "\n".join(parts + ["</svg>", ""])


def plot(title, series, sizes, top):
    values = [value for points in series.values() for _, value in points if value > 0] or [1]
    low, high = floor(log10(min(values))), log10(max(values))
    high = floor(high) + 1
    span = max(log10(max(sizes)), 1)

    def across(size):
        return LEFT + PLOT_WIDTH * log10(size) / span

    def up(value):
        return top + PLOT_HEIGHT * (1 - (log10(value) - low) / (high - low))
    parts = [f'<text x="{LEFT}" y="{top - 14}" font-weight="bold">{title}</text>']
    for exponent in range(low, high + 1):
        line = up(10 ** exponent)
        parts.append(f'<line x1="{LEFT}" y1="{line:.1f}" x2="{LEFT + PLOT_WIDTH}" y2="{line:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{line + 4:.1f}" text-anchor="end">{10 ** exponent:g}</text>')
    for size in sizes:
        parts.append(f'<line x1="{across(size):.1f}" y1="{top}" x2="{across(size):.1f}" y2="{top + PLOT_HEIGHT}" stroke="#eee"/>')
        parts.append(f'<text x="{across(size):.1f}" y="{top + PLOT_HEIGHT + 18}" text-anchor="middle">{size:,}</text>')
    for index, (name, points) in enumerate(series.items()):
        colour = COLOURS.get(name, "black")
        path = " ".join(f"{across(size):.1f},{up(value):.1f}" for size, value in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{3 if name == "ours" else 1.5}"/>')
        parts += [f'<circle cx="{across(size):.1f}" cy="{up(value):.1f}" r="3" fill="{colour}"><title>{name}: {value:.3g} ms with '
                  f'{size:,}</title></circle>' for size, value in points]
        parts.append(f'<text x="{LEFT + PLOT_WIDTH + 16}" y="{top + 14 + 20 * index}" fill="{colour}">{name}</text>')
    return parts
