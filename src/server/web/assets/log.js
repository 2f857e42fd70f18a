// Follows and searches a log. Without this script the page shows the end of the log, and the daemon searches it.
"use strict";
(() => {
  // Maximum length of the text on the page, in characters. Beyond it older lines are dropped.
  const KEPT_MAX = 4 << 20;
  // How long to wait before reconnecting to the daemon, in milliseconds.
  const RETRY = 2000;
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
  let kept = wanted ? "" : log.textContent;
  // The offset in the log at which the text ends, in bytes.
  let end = Number(log.dataset.end);
  // The file to which the offset belongs: a rotated log is another file. Empty if unknown.
  let file = log.dataset.file || "";
  // Keeps the beginning of a character whose rest comes with the next stream.
  const decoder = new TextDecoder();
  let shownHits = 0;
  // Whether the user has scrolled up. The log then grows without scrolling.
  let paused = false;
  // Number of lines that have arrived since.
  let unseen = 0;
  let lastTop = 0;

  function matches(line, needle) {
    return line.toLowerCase().includes(needle);
  }

  // A line with its matches marked. It is built from text nodes, so program output never becomes HTML.
  function marked(line, needle) {
    const out = document.createDocumentFragment();
    const low = line.toLowerCase();
    // A few letters change their length in lower case, which would misplace the marks.
    if (low.length !== line.length) { out.append(line + "\n"); return out; }
    let at = 0;
    for (let hit = low.indexOf(needle); hit >= 0; hit = low.indexOf(needle, at)) {
      out.append(line.slice(at, hit));
      const mark = document.createElement("mark");
      mark.textContent = line.slice(hit, hit + needle.length);
      out.append(mark);
      at = hit + needle.length;
    }
    out.append(line.slice(at) + "\n");
    return out;
  }

  function append(piece, needle) {
    if (!needle) {
      if (piece) log.append(piece);
      return piece.split("\n").length - 1;
    }
    const before = shownHits;
    const out = document.createDocumentFragment();
    for (const line of piece.split("\n")) {
      if (line && matches(line, needle)) { out.append(marked(line, needle)); shownHits += 1; }
    }
    log.append(out);
    return shownHits - before;
  }

  function draw() {
    const needle = find.value.toLowerCase();
    log.textContent = "";
    shownHits = 0;
    append(kept, needle);
    tell(needle);
    stick();
  }

  function tell(needle) {
    hits.textContent = !needle ? "" : shownHits === 1 ? text("OneLine", 1) : text("ManyLines", shownHits);
    empty.hidden = Boolean(kept) && (!needle || shownHits > 0);
    empty.textContent = kept ? text("NoLineContains") : text("LogEmpty");
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

  // Text that has arrived since the last frame. During a search only complete lines are shown.
  let waiting = "";
  let due = false;
  function come(piece) {
    waiting += piece;
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      const needle = find.value.toLowerCase();
      let piece = waiting;
      waiting = "";
      if (needle) {
        const cut = piece.lastIndexOf("\n") + 1;
        waiting = piece.slice(cut);
        piece = piece.slice(0, cut);
      }
      kept += piece;
      if (kept.length > KEPT_MAX) {
        // Drop half of the text, so that this happens rarely.
        const cut = kept.length - KEPT_MAX / 2;
        kept = kept.slice(kept.indexOf("\n", cut) + 1);
        const below = log.scrollHeight - log.scrollTop;
        draw();
        // Keep the visible lines in place, if they still exist.
        if (paused) log.scrollTop = lastTop = Math.max(0, log.scrollHeight - below);
        return;
      }
      const count = append(piece, needle);
      if (paused) unseen += count;
      tell(needle);
      stick();
    });
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
  let wasShort = false;
  let stop = null;
  async function run() {
    if (!log.dataset.follow || stop) return;
    const control = new AbortController();
    stop = control;
    const begun = Date.now();
    let isOtherFile = false;
    let isComplete = false;
    try {
      const answer = await fetch(`${log.dataset.follow}?from=${end}&file=${file}`, { signal: control.signal });
      if (!answer.ok) throw new Error(answer.statusText);
      answered();
      const named = answer.headers.get("x-log-file");
      if (named && named !== file) {
        // Without a file in the question, the answer begins at the offset.
        if (file) end = 0;
        file = named;
        isOtherFile = true;
      }
      const reader = answer.body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        isComplete = done;
        if (done) break;
        heard = new Date();
        const piece = decoder.decode(value, { stream: true });
        // The daemon's line is not part of the log. After it the log starts at offset 0.
        const cut = piece.lastIndexOf(TRUNCATED);
        if (cut < 0) end += value.length;
        else end = new TextEncoder().encode(piece.slice(cut + TRUNCATED.length)).length;
        come(piece);
      }
    } catch { /* The connection failed or was stopped; see below. */ }
    if (stop !== control) return;
    stop = null;
    const isShort = !isOtherFile && Date.now() - begun < RETRY;
    const isOver = isShort && wasShort;
    wasShort = isShort;
    if (isComplete && !isOver) return run();
    live.textContent = text("NotLive");
    live.classList.remove("good");
    stale = true;
    showStale(heard, text("NoFollow"));
    if (follow.checked && !document.hidden) setTimeout(run, RETRY);
  }

  function pause() {
    if (stop) stop.abort();
    stop = null;
  }

  function heed() {
    if (follow.checked && !document.hidden) run();
    else pause();
    if (!stop) {
      live.textContent = text("NotFollowed");
      live.classList.remove("good");
    }
  }

  async function begin() {
    if (wanted) {
      address.searchParams.delete("search");
      const answer = await fetch(address);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("log");
      kept = fresh.textContent;
      end = Number(fresh.dataset.end);
      file = fresh.dataset.file || "";
    }
    draw();
    heed();
  }

  follow.addEventListener("change", () => { heed(); resume(); });
  document.addEventListener("visibilitychange", heed);
  window.addEventListener("pagehide", pause);
  find.addEventListener("input", () => {
    kept += waiting;
    waiting = "";
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
      // The log is empty now, so start again at offset 0.
      pause();
      kept = "";
      waiting = "";
      end = 0;
      paused = false;
      draw();
      heed();
    });
  });
  shortcuts(find, {});
  begin();
})();
