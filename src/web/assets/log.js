// Follows and searches logs. Without this script the page shows the end of the logs, and the daemon searches them.
"use strict";
(() => {
  // Maximum length of the text on the page, in characters. Beyond it older lines are dropped.
  const KEPT_MAX = 4 << 20;
  // Maximum number of changes of the style on the page. Beyond it further text is plain.
  const CHANGES_MAX = 50000;
  // Maximum length of a control sequence, in characters.
  const SEQUENCE_MAX = 64;
  // How long to wait before reconnecting to the daemon, in milliseconds.
  const RETRY = 2000;
  // How long the beginning of a line waits for its end while two streams are shown, in milliseconds.
  const LINE_WAIT = 500;
  // The daemon sends this line when the log was truncated.
  const TRUNCATED = "==> File truncated <==\n";

  const log = document.getElementById("log");
  const follow = document.getElementById("follow");
  const find = document.getElementById("find");
  const hits = document.getElementById("hits");
  const limit = document.getElementById("limit");
  const live = document.getElementById("live");
  const empty = document.getElementById("empty");
  const newer = document.getElementById("newer");

  // If the daemon searched the log, the page contains matching lines only. The script then loads the page without a search.
  const address = new URL(location.href);
  const wanted = address.searchParams.get("search") || "";

  // The nearest of the sixteen basic colours. The same as `nearest_colour` in styled_text.rs.
  function nearestColour(parts) {
    const [greatest, least] = [Math.max(...parts), Math.min(...parts)];
    if (greatest - least < 48) return greatest < 64 ? 0 : greatest < 144 ? 8 : greatest < 208 ? 7 : 15;
    const middle = least + Math.floor((greatest - least) / 2);
    const hue = parts.reduce((hue, part, at) => hue | (part > middle ? 1 << at : 0), 0);
    return greatest > 215 ? hue + 8 : hue;
  }

  // The same as `indexed_colour` in styled_text.rs.
  function indexedColour(index) {
    if (index < 16) return index;
    if (index > 231) return nearestColour(Array(3).fill(8 + 10 * (index - 232)));
    const step = (step) => step ? 55 + 40 * step : 0;
    const cube = index - 16;
    return nearestColour([Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map(step));
  }

  // Takes the escape sequences out of the text of one stream. The same as `StyledText` in styled_text.rs.
  class Terminal {
    constructor(classes, rest) {
      const colour = (letter) => classes.split(" ").find((name) => new RegExp(`^${letter}\\d+$`).test(name));
      this.front = colour("f") || "";
      this.back = colour("b") || "";
      this.bold = classes.includes("bold");
      this.under = classes.includes("under");
      this.reading = "text";
      this.sequence = "";
      this.hasReturn = false;
      if (typeof rest === "string") this.read("\x1b" + rest, () => {});
    }

    classes() {
      return [this.front, this.back, this.bold && "bold", this.under && "under"].filter(Boolean).join(" ");
    }

    // Calls `emit` with the classes and the text of each part.
    read(raw, emit) {
      if (this.reading === "text" && !this.hasReturn && !/[\x00-\x08\x0b-\x1f\x7f-\x9f]/.test(raw)) {
        emit(this.classes(), raw);
        return;
      }
      let text = "";
      const flush = () => {
        if (text) emit(this.classes(), text);
        text = "";
      };
      for (const c of raw) {
        if (c === "\n") {
          this.reading = "text";
          this.hasReturn = false;
          text += c;
          continue;
        }
        switch (this.reading) {
          case "text":
            if (c === "\x1b") this.reading = "escape";
            else if (c === "\x9b") this.begin();
            else if (c === "\r") this.hasReturn = true;
            else if (c === "\t" || !/[\x00-\x1f\x7f-\x9f]/.test(c)) {
              if (this.hasReturn) text += "\n";
              this.hasReturn = false;
              text += c;
            }
            break;
          case "escape":
            if (c === "[") this.begin();
            else if ("]PX^_".includes(c)) this.reading = "command";
            else if (c >= " " && c <= "/") this.reading = "intermediate";
            else if (c !== "\x1b") this.reading = "text";
            break;
          case "intermediate":
            if (c < " " || c > "/") this.reading = "text";
            break;
          case "control":
            if (c >= "@" && c <= "~") {
              if (c === "m" && /^[\d;:]*$/.test(this.sequence)) {
                flush();
                this.apply(this.sequence);
              }
              this.reading = "text";
            } else if (c === "\x1b") this.reading = "escape";
            else if (this.sequence.length >= SEQUENCE_MAX) this.reading = "text";
            else this.sequence += c;
            break;
          default:
            if (c === "\x07" || this.reading === "commandEscape" && c === "\\") this.reading = "text";
            else this.reading = c === "\x1b" ? "commandEscape" : "command";
        }
      }
      flush();
    }

    begin() {
      this.sequence = "";
      this.reading = "control";
    }

    apply(sequence) {
      const numbers = sequence.split(/[;:]/).map(Number);
      while (numbers.length) {
        const number = numbers.shift();
        if (number === 0) [this.front, this.back, this.bold, this.under] = ["", "", false, false];
        else if (number === 1) this.bold = true;
        else if (number === 4) this.under = true;
        else if (number === 22) this.bold = false;
        else if (number === 24) this.under = false;
        else if (number >= 30 && number <= 37) this.front = `f${number - 30}`;
        else if (number >= 90 && number <= 97) this.front = `f${number - 82}`;
        else if (number === 39) this.front = "";
        else if (number >= 40 && number <= 47) this.back = `b${number - 40}`;
        else if (number >= 100 && number <= 107) this.back = `b${number - 100}`;
        else if (number === 49) this.back = "";
        else if (number === 38 || number === 48) {
          const colour = this.extendedColour(numbers);
          if (colour === null) continue;
          if (number === 38) this.front = `f${colour}`;
          else this.back = `b${colour % 8}`;
        }
      }
    }

    // Takes a colour of the palette or a true colour off the numbers. null: there is none.
    extendedColour(numbers) {
      if (numbers[0] === 5 && numbers.length >= 2) {
        const index = numbers.splice(0, 2)[1];
        return index < 256 ? indexedColour(index) : null;
      }
      if (numbers[0] === 2 && numbers.length >= 4) {
        const parts = numbers.splice(0, 4).slice(1);
        return nearestColour(parts.map((part) => Math.min(part, 255)));
      }
      numbers.length = 0;
      return null;
    }
  }

  // The streams on the page. `end`: the offset in the log at which the text ends, in bytes. `file`: the file to which the
  // offset belongs, since a rotated log is another file; empty if unknown.
  let streams = [];
  // Whether two streams are on the page.
  let isJoined = false;
  // The lines: the text with its line end, the stream, and the places at which the classes change.
  let lines = [];
  // The lengths of all texts, and the number of changes of the style.
  let kept = 0;
  let changes = 0;
  let shownHits = 0;
  // The place up to which the lines are shown or searched.
  let place = { line: 0, at: 0 };
  // Whether the user has scrolled up. The log then grows without scrolling.
  let paused = false;
  // Number of lines that have arrived since.
  let unseen = 0;
  let lastTop = 0;

  // Takes the logs of a page over: their lines, and where to go on.
  function takeOver(shown) {
    streams = JSON.parse(shown.dataset.parts).map((part) => ({
      ...part,
      file: part.file || "",
      // Keeps the beginning of a character whose rest comes with the next answer.
      decoder: new TextDecoder(),
      terminal: new Terminal(part.style, part.rest),
      // The beginning of a line, and when it arrived.
      rest: "",
      since: 0,
      stop: null,
      wasShort: false,
    }));
    isJoined = streams.length > 1;
    const walk = (node, stream, classes) => {
      for (const child of node.childNodes) {
        if (child.nodeType === Node.TEXT_NODE) put(stream, classes, child.data);
        else if (child.className === "stdout" || child.className === "stderr") {
          walk(child, streams.find((one) => one.channel === child.className), "");
        } else walk(child, stream, child.className || classes);
      }
    };
    walk(shown, streams[0], "");
  }

  // Adds text to the lines. Returns how many lines it ended.
  function put(stream, classes, text) {
    let count = 0;
    for (const piece of text.split(/(?<=\n)/)) {
      let line = lines[lines.length - 1];
      if (line && !line.text.endsWith("\n") && line.stream !== stream) {
        line.text += "\n";
        kept += 1;
      }
      if (!line || line.text.endsWith("\n")) {
        line = { text: "", stream, changes: [] };
        lines.push(line);
      }
      const before = line.changes.length ? line.changes[line.changes.length - 1][1] : "";
      if (classes !== before && (changes < CHANGES_MAX || !classes)) {
        line.changes.push([line.text.length, classes]);
        changes += 1;
      }
      line.text += piece;
      kept += piece.length;
      if (piece.endsWith("\n")) count += 1;
    }
    return count;
  }

  // Drops half of the lines, so that this happens rarely.
  function drop() {
    let at = 0;
    while (kept > KEPT_MAX / 2 && at < lines.length) {
      kept -= lines[at].text.length;
      changes -= lines[at].changes.length;
      at += 1;
    }
    lines.splice(0, at);
  }

  // Text without a style that is not in the document yet, and the element to which it belongs.
  let plain = "";
  let target = null;

  function flush() {
    if (plain) target.append(plain);
    plain = "";
  }

  // Goes to the end of the document. Text is added as text, so program output never becomes HTML.
  function goTo(stream) {
    if (!isJoined) {
      target = log;
      return;
    }
    if (target && target !== log && target.className === stream.channel) return;
    flush();
    target = document.createElement("span");
    target.className = stream.channel;
    log.append(target);
  }

  function write(stream, classes, content) {
    goTo(stream);
    if (!classes && typeof content === "string") {
      plain += content;
      return;
    }
    flush();
    const part = classes ? document.createElement("span") : target;
    if (classes) {
      part.className = classes;
      target.append(part);
    }
    part.append(content);
  }

  // The parts of a line with one style each: classes, beginning and end.
  function partsOf(line) {
    const parts = [];
    let [at, classes] = [0, ""];
    for (const [from, next] of [...line.changes, [line.text.length, ""]]) {
      if (from > at) parts.push([classes, at, from]);
      [at, classes] = [from, next];
    }
    return parts;
  }

  // Shows a line from an offset.
  function showRest(line, at) {
    for (const [classes, from, to] of partsOf(line)) {
      if (to > at) write(line.stream, classes, line.text.slice(Math.max(from, at), to));
    }
  }

  // Shows a line with its matches marked, if it has any. Returns whether it has.
  function showMatches(line, needle) {
    const low = line.text.toLowerCase();
    if (!low.includes(needle)) return false;
    const found = [];
    // A few letters change their length in lower case, which would misplace the marks.
    if (low.length === line.text.length) {
      for (let hit = low.indexOf(needle); hit >= 0; hit = low.indexOf(needle, hit + needle.length)) found.push(hit);
    }
    for (const [classes, from, to] of partsOf(line)) {
      const out = document.createDocumentFragment();
      let at = from;
      for (const hit of found) {
        const [start, end] = [Math.max(hit, from), Math.min(hit + needle.length, to)];
        if (start >= end) continue;
        out.append(line.text.slice(at, start));
        const mark = document.createElement("mark");
        mark.textContent = line.text.slice(start, end);
        out.append(mark);
        at = end;
      }
      out.append(line.text.slice(at, to));
      write(line.stream, classes, out);
    }
    return true;
  }

  // Shows what came after the place up to which the lines are shown. A search shows an unfinished line only if `isAll`.
  // Returns how many lines match.
  function showMore(needle, isAll) {
    const before = shownHits;
    for (; place.line < lines.length; place = { line: place.line + 1, at: 0 }) {
      const line = lines[place.line];
      const isOpen = place.line === lines.length - 1 && !line.text.endsWith("\n");
      if (!needle) showRest(line, place.at);
      else if (isOpen && !isAll) break;
      else if (showMatches(line, needle)) shownHits += 1;
      if (isOpen) {
        place.at = line.text.length;
        break;
      }
    }
    if (target) flush();
    return shownHits - before;
  }

  function draw() {
    const needle = find.value.toLowerCase();
    log.textContent = "";
    [target, plain, shownHits, place] = [null, "", 0, { line: 0, at: 0 }];
    log.classList.toggle("joined", isJoined);
    showMore(needle, true);
    tell(needle);
    stick();
  }

  function tell(needle) {
    hits.textContent = !needle ? "" : shownHits === 1 ? text("OneLine", 1) : text("ManyLines", shownHits);
    empty.hidden = lines.length > 0 && (!needle || shownHits > 0);
    empty.textContent = lines.length ? text("NoLineContains") : text("LogEmpty");
  }

  function stick() {
    if (follow.checked && !paused) log.scrollTop = log.scrollHeight;
    lastTop = log.scrollTop;
    tellNewer();
  }

  // Updates the button that scrolls to the end.
  function tellNewer() {
    newer.hidden = !(follow.checked && paused);
    newer.textContent = !unseen ? text("ToTheEnd") : unseen === 1 ? text("OneNewLine", 1) : text("ManyNewLines", unseen);
  }

  function resume() {
    paused = false;
    unseen = 0;
    stick();
  }

  log.addEventListener("scroll", () => {
    const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 8;
    if (isAtEnd) {
      if (paused) resume();
    } else if (log.scrollTop < lastTop && follow.checked && !paused) {
      paused = true;
      unseen = 0;
    }
    lastTop = log.scrollTop;
    tellNewer();
  }, { passive: true });
  newer.addEventListener("click", resume);
  window.addEventListener("resize", stick);

  // Text that has arrived since the last frame, in the order of its arrival.
  let arrived = [];
  let due = false;
  function come(stream, piece) {
    arrived.push([stream, piece]);
    schedule();
  }

  function schedule() {
    if (due) return;
    due = true;
    requestAnimationFrame(show);
  }

  // Takes what can be shown of the text of a stream: of two streams whole lines, so that they do not mix.
  function ready(stream, piece) {
    const all = stream.rest + piece;
    const cut = isJoined ? all.lastIndexOf("\n") + 1 : all.length;
    const now = performance.now();
    if (!stream.rest || cut) stream.since = now;
    if (!cut && now - stream.since >= LINE_WAIT) {
      stream.rest = "";
      return all;
    }
    stream.rest = all.slice(cut);
    if (stream.rest) setTimeout(() => come(stream, ""), LINE_WAIT);
    return all.slice(0, cut);
  }

  function show() {
    due = false;
    const needle = find.value.toLowerCase();
    const pieces = arrived;
    arrived = [];
    let count = 0;
    for (const [stream, piece] of pieces) {
      const text = ready(stream, piece);
      if (!text) continue;
      stream.terminal.read(text, (classes, part) => { count += put(stream, classes, part); });
    }
    if (kept > KEPT_MAX) {
      drop();
      const below = log.scrollHeight - log.scrollTop;
      draw();
      // Keep the visible lines in place, if they still exist.
      if (paused) log.scrollTop = lastTop = Math.max(0, log.scrollHeight - below);
      return;
    }
    // A search may have shown the beginning of a line that goes on now.
    if (needle && place.at) draw();
    const found = showMore(needle, false);
    if (paused) unseen += needle ? found : count;
    tell(needle);
    stick();
  }
  // When data last arrived.
  let heard = new Date();
  let stale = false;
  function answered() {
    heard = new Date();
    live.textContent = text("Live");
    live.classList.add("good");
    if (!stale) return;
    stale = false;
    showStale(null);
    // This may be another run of the daemon, which needs another token.
    fetchPage().then((page) => page && isOtherVersion(page) && location.reload(), () => {});
  }

  // The daemon ends a stream at the end of a rotated file, and the next stream begins with the next file. A stream that
  // ends soon and brought no other file is not continued at once a second time.
  async function run(stream) {
    if (stream.end === null || stream.stop) return;
    const control = new AbortController();
    stream.stop = control;
    const begun = Date.now();
    let isOtherFile = false;
    let isComplete = false;
    try {
      const answer = await fetch(`${stream.follow}?from=${stream.end}&file=${stream.file}`, { signal: control.signal });
      if (!answer.ok) throw new Error(answer.statusText);
      answered();
      const named = answer.headers.get("x-log-file");
      if (named && named !== stream.file) {
        // Without a file in the question, the answer begins at the offset.
        if (stream.file) stream.end = 0;
        stream.file = named;
        isOtherFile = true;
      }
      const reader = answer.body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        isComplete = done;
        if (done) break;
        heard = new Date();
        const piece = stream.decoder.decode(value, { stream: true });
        // The daemon's line is not part of the log. After it the log starts at offset 0.
        const cut = piece.lastIndexOf(TRUNCATED);
        if (cut < 0) stream.end += value.length;
        else stream.end = new TextEncoder().encode(piece.slice(cut + TRUNCATED.length)).length;
        come(stream, piece);
      }
    } catch { /* The connection failed or was stopped; see below. */ }
    if (stream.stop !== control) return;
    stream.stop = null;
    const isShort = !isOtherFile && Date.now() - begun < RETRY;
    const isOver = isShort && stream.wasShort;
    stream.wasShort = isShort;
    if (isComplete && !isOver) return run(stream);
    live.textContent = text("NotLive");
    live.classList.remove("good");
    stale = true;
    showStale(heard, text("NoFollow"));
    if (follow.checked && !document.hidden) setTimeout(() => run(stream), RETRY);
  }

  function pause() {
    for (const stream of streams) {
      if (stream.stop) stream.stop.abort();
      stream.stop = null;
    }
  }

  function heed() {
    if (follow.checked && !document.hidden) streams.forEach(run);
    else pause();
    if (!streams.some((stream) => stream.stop)) {
      live.textContent = text("NotFollowed");
      live.classList.remove("good");
    }
  }

  async function begin() {
    let shown = log;
    if (wanted) {
      address.searchParams.delete("search");
      const answer = await fetch(address);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      shown = page.getElementById("log");
    }
    takeOver(shown);
    draw();
    heed();
  }

  follow.addEventListener("change", () => { heed(); resume(); });
  document.addEventListener("visibilitychange", heed);
  window.addEventListener("pagehide", pause);
  find.addEventListener("input", () => {
    paused = false;
    draw();
  });
  limit.addEventListener("change", () => {
    const next = new URL(location.href);
    next.searchParams.set("limit", limit.value);
    location.assign(next);
  });
  document.addEventListener("submit", (event) => {
    if (event.target.id === "search") event.preventDefault();
    const button = event.submitter;
    if (!button || button.name !== "do") return;
    event.preventDefault();
    press(button, say).then((done) => {
      if (!done || !button.classList.contains("clear")) return;
      // The logs are empty now, so start again at offset 0.
      pause();
      for (const stream of streams) Object.assign(stream, { end: stream.end === null ? null : 0, rest: "", terminal: new Terminal("") });
      [lines, arrived, kept, changes, paused] = [[], [], 0, 0, false];
      draw();
      heed();
    });
  });
  shortcuts(find, {});
  begin();
})();
