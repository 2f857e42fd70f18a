"""Results as JSON, and the Markdown tables of these results."""
import dataclasses
import json
import os
import statistics

from metric import Bar, Metric
from unmet import UNMET

FORMAT = 1
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
TITLES = {"ours": "ours", "limit": "limit", "supervisor": "Supervisor", "circus": "circus", "pm2": "pm2"}


def to_json(run, metrics):
    """A run with all of its samples."""
    return {"format": FORMAT, **run, "metrics": [dataclasses.asdict(metric) for metric in metrics]}


def from_json(value):
    """The metrics of a stored run."""
    if value.get("format") != FORMAT:
        raise ValueError(f"format {value.get('format')!r} is not {FORMAT}")
    found = []
    for stored in value["metrics"]:
        bars = [Bar(**bar) for bar in stored.pop("bars")]
        found.append(Metric(bars=bars, **stored))
    return found


def read(path):
    with open(path) as file:
        value = json.load(file)
    return value, from_json(value)


def processor(machine):
    """The processor of a machine as the tables name it."""
    return f"{machine['cpus']} × {machine['model']}"


def marks(value, metrics):
    """The mark of each processor that is not that of the last run, and a sentence about them. Results of an earlier run stay
    in the file until somebody measures them again, perhaps elsewhere; ratios are of contenders on the same machine."""
    others = sorted({metric.processor for metric in metrics} - {processor(value["machine"]), ""})
    found = {name: "†‡§"[index] for index, name in enumerate(others[:3])}
    return found, "".join(f" {mark}: measured on {name}." for name, mark in found.items())


def merge(path, run, metrics, order):
    """Writes the run to `path`. Metrics in the file that were not measured now stay."""
    kept = []
    if os.path.exists(path):
        names = {metric.name for metric in metrics}
        stored, old = read(path)
        kept = [metric for metric in old if metric.name not in names]
        for metric in kept:
            metric.processor = metric.processor or processor(stored["machine"])
        versions = {**stored["versions"], **run["versions"]}
        skipped = {**stored["skipped"], **run["skipped"]}
        run = {**run, "versions": versions, "skipped": {name: why for name, why in skipped.items() if name not in versions}}

    def place(metric):
        exact = [index for index, name in enumerate(order) if metric.name == name]
        return next(iter(exact), next((index for index, name in enumerate(order) if metric.name.startswith(name)), len(order)))
    metrics = sorted(kept + metrics, key=place)
    with open(path + ".new", "w") as file:
        file.write(dumped(to_json(run, metrics)))
    os.replace(path + ".new", path)


def dumped(value, depth=0):
    """JSON with each list of numbers on one line, so that a diff of two runs is readable."""
    pad = " " * depth
    if isinstance(value, dict) and value:
        rows = (f'{pad} {json.dumps(key)}: {dumped(item, depth + 1)}' for key, item in value.items())
        return "{\n" + ",\n".join(rows) + f"\n{pad}}}" + ("\n" if depth == 0 else "")
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(f"{pad} {dumped(item, depth + 1)}" for item in value) + f"\n{pad}]"
    return json.dumps(value)


def flat(repetitions):
    return [value for samples in repetitions for value in samples]


def middle(metric, contender, of="wall"):
    """The median of all samples; `None`: there are none."""
    values = flat(metric.samples.get(contender, ())) if of == "wall" else metric.cpu.get(contender, ())
    return statistics.median(values) if values else None


def ratio(metric, contender, of="wall"):
    """The ratio of ours to a contender: the median of the ratios of all repetitions."""
    def each(name):
        if of == "cpu":
            return metric.cpu.get(name, ())
        return [statistics.median(samples) for samples in metric.samples.get(name, ()) if samples]
    pairs = [(mine, other) for mine, other in zip(each("ours"), each(contender)) if other]
    return statistics.median(mine / other for mine, other in pairs) if pairs else None


def others(metric):
    return [name for name in metric.samples if name not in ("ours", "limit")]


def best_peer(metric):
    """The other supervisor with the best median. `None`: none took part."""
    found = [(middle(metric, name), name) for name in others(metric)]
    if not found:
        return None
    return (max if metric.better == "higher" else min)(found)[1]


def number(value):
    """Three significant digits; thousands with a comma."""
    if value is None:
        return "–"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}"


def ranged(metric, contender):
    values = flat(metric.samples.get(contender, ()))
    if not values:
        return "–"
    text = f"{number(middle(metric, contender))} {metric.unit}".strip()
    if len(values) > 1 and number(min(values)) != number(max(values)):
        text += f" ({number(min(values))} … {number(max(values))})"
    return text


def judged(metric, bar):
    """The value of a bar, and whether the bar is met. `None`: a value to compare with is missing."""
    if bar.relative == "":
        value = middle(metric, "ours", bar.of)
    else:
        other = "limit" if bar.relative == "limit" else best_peer(metric)
        value = other and ratio(metric, other, bar.of)
    if value is None:
        return None, None
    return value, value <= bar.value if bar.op == "<=" else value >= bar.value


def bar_text(metric, bar):
    value, met = judged(metric, bar)
    sign = "≤" if bar.op == "<=" else "≥"
    unit = {"": f" {metric.unit if bar.of == 'wall' else metric.cpu_unit}".rstrip(), "limit": "× limit", "peer": "× best peer"}
    what = "CPU " if bar.of == "cpu" and not (bar.relative == "" and "CPU" in metric.cpu_unit) else ""
    text = f"{what}{sign} {bar.value:g}{unit[bar.relative]}"
    if met is None:
        return f"{text}: not measured"
    text = f"{text}: {'**met**' if met else 'not met'}" + (f" ({value:.2f}×)" if bar.relative else "")
    reason = UNMET.get((metric.name, bar.of))
    return f"{text}, {reason}" if reason and not met else text


def row(metric, most, mark=""):
    """The cells of the main table. `most`: the largest number of repetitions of a metric."""
    peer = best_peer(metric)
    limit = ranged(metric, "limit")
    against = ratio(metric, "limit")
    if against is not None:
        limit += f"; {against:.2f}×"
    best = "–"
    if peer:
        against = ratio(metric, peer)
        best = f"{TITLES.get(peer, peer)} {ranged(metric, peer)}" + (f"; {against:.2f}×" if against is not None else "")
    supervisor = "–"
    if "supervisor" in metric.samples:
        supervisor = f"{number(middle(metric, 'supervisor'))} {metric.unit}".strip()
    cpu = "–"
    if metric.cpu.get("ours"):
        cpu = f"{number(middle(metric, 'ours', 'cpu'))} {metric.cpu_unit}"
        if metric.cpu.get("limit"):
            cpu += f" (limit {number(middle(metric, 'limit', 'cpu'))})"
    bars = "; ".join(bar_text(metric, bar) for bar in metric.bars) or "–"
    repetitions = len(metric.samples.get("ours", ()))
    title = f"{metric.title} {mark}".strip()
    title = title if repetitions in (1, most) else f"{title} [{repetitions} repetitions]"
    return [title, ranged(metric, "ours"), cpu, limit, best, supervisor, bars]


def table(value, metrics):
    """The results in Markdown: conditions, one row for each metric with all contenders, and notes."""
    machine = value["machine"]
    marked, about = marks(value, metrics)
    versions = ", ".join(f"{TITLES.get(name, name)} {version}".strip() for name, version in value["versions"].items())
    counts = {len(metric.samples.get("ours", ())) for metric in metrics}
    repetitions = max(counts, default=0)
    lines = [
        f"Measured on {processor(machine)}, Linux {machine['kernel']}, files on {machine['file_system']}, "
        f"{value['class']}; {repetitions} repetitions (fewer where it says so), all contenders in turn within each. {versions}.{about}",
    ]
    again = sum(sum(metric.repeated.values()) for metric in metrics)
    if again:
        lines.append(f"Measurements from which the hypervisor took over 1 % of a core were repeated, those of all contenders: {again}.")
    missing = [f"{name}: {why}" for name, why in value["skipped"].items()]
    if missing:
        lines.append(f"Skipped: {'; '.join(missing)}.")
    lines += [
        "Median (least … most); a ratio is ours to the other one, the median over repetitions. CPU is that of the daemon's threads.",
        "", "| what | ours | CPU | limit; ratio | best peer; ratio | Supervisor | bar |", "|---|---|---|---|---|---|---|",
    ]
    lines += ["| " + " | ".join(row(metric, repetitions, marked.get(metric.processor, ""))) + " |" for metric in metrics]
    lines += ["", "All medians:", ""]
    names = [name for name in ("ours", "limit", "supervisor", "s6", "runit", "daemontools", "dinit", "circus", "pm2")
             if any(name in metric.samples for metric in metrics)]
    lines += ["| what | " + " | ".join(TITLES.get(name, name) for name in names) + " |", "|---" * (len(names) + 1) + "|"]
    for metric in metrics:
        cells = [cell(metric, name) for name in names]
        unit = f" [{metric.unit}]" if metric.unit else ""
        lines.append(f"| {metric.title}{unit} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


#: README shows only these metrics, because all rows would be too many.
README_ROWS = 20
HEADLINES = ("lines-100", "log-rotating", "process-list", "restart-25", "restart-1000", "start-1000", "first-child", "first-rpc", "status-100",
             "status-1000", "status-name", "restart-name", "restart-all", "memory-1000", "idle", "check", "file-daemon", "file-client")


def compact(value, metrics):
    """The table of README: one row for each metric, medians only."""
    if len(metrics) > README_ROWS:
        metrics = [metric for metric in metrics if metric.name in HEADLINES]
    marked, about = marks(value, metrics)
    lines = [
        f"Medians, measured on {processor(value['machine'])}. `tests/bench/run` repeats it.{about}",
        "", "| what | ours | best peer | Supervisor |", "|---|---|---|---|",
    ]
    for metric in metrics:
        def shown(name):
            return f"{number(middle(metric, name))} {metric.unit}".strip()
        peer = best_peer(metric)
        best = f"{TITLES.get(peer, peer)} {shown(peer)}" if peer else "–"
        supervisor = shown("supervisor") if "supervisor" in metric.samples else "–"
        title = f"{metric.title} {marked.get(metric.processor, '')}".strip()
        lines.append(f"| {title} | {shown('ours')} | {best} | {supervisor} |")
    return "\n".join(lines) + "\n"


def cell(metric, name):
    text = number(middle(metric, name))
    used = middle(metric, name, "cpu")
    if used is not None:
        text += f" ({number(used)})"
    repetitions, most = len(metric.samples.get(name, ())), max(map(len, metric.samples.values()), default=0)
    if 0 < repetitions < most:
        text += f" [{repetitions} repetitions]"
    return text


def put_into(path, text):
    """Replaces the text between the markers of a file."""
    with open(path) as file:
        whole = file.read()
    if whole.count(BEGIN) != 1 or whole.count(END) != 1:
        raise ValueError(f"{os.path.basename(path)}: not one {BEGIN} and one {END}")
    head, rest = whole.split(BEGIN)
    tail = rest.split(END)[1]
    with open(path, "w") as file:
        file.write(f"{head}{BEGIN}\n{text}{END}{tail}")
