// Updates the table, filters it, and runs its actions without leaving the page. The page also works without this script.
"use strict";
(() => {
  const field = document.getElementById("filter");
  const live = document.getElementById("live");
  const counts = document.getElementById("counts");
  // Approximate interval for fetching the table when processes were added or removed, in milliseconds.
  const LAYOUT_EVERY = 1000;
  // How long the daemon may be silent before the page shows itself as stale, in milliseconds. It sends an event at least
  // every three seconds.
  const SILENCE = 8000;
  // How long the page waits after a refused stream before it tries again, in milliseconds.
  const REFUSED = 5000;
  // How long the pointer must rest on the table before rows may move under it, in milliseconds.
  const REST = 2000;
  const CELLS = ["state", "pid", "uptime", "restarts", "cpu", "memory", "ending"];

  let lines = new Map();
  let groups = [];

  // Indexes the table once, so that updates need not search for rows and cells.
  function survey() {
    lines = new Map();
    groups = [];
    const now = performance.now() / 1000;
    for (const body of document.querySelectorAll("#statustable tbody")) {
      const group = { body, members: [], running: body.querySelector(".count .running") };
      for (const tr of body.querySelectorAll("tr[data-n]")) {
        const line = { tr, group, state: "", id: tr.dataset.n.toLowerCase(), since: null };
        for (const cell of CELLS) line[cell + "Cell"] = tr.querySelector("td." + cell);
        line.buttons = [...tr.querySelectorAll("td.action button")];
        line.state = line.stateCell.firstElementChild.textContent;
        const uptime = line.uptimeCell.dataset.u;
        if (uptime !== undefined) line.since = now - Number(uptime);
        lines.set(tr.dataset.n, line);
        group.members.push(line);
      }
      groups.push(group);
    }
  }

  function put(cell, text) {
    if (cell.textContent !== text) cell.textContent = text;
  }

  // The same as `format_uptime` in row.rs.
  function span(seconds) {
    const s = Math.max(0, Math.floor(seconds));
    const [d, h, m] = [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60];
    if (d) return `${d} d ${h} h`;
    if (h) return `${h} h ${m} min`;
    if (m) return `${m} min ${s % 60} s`;
    return `${s} s`;
  }

  // When the last event arrived, and when the stream was last opened.
  let heard = new Date();
  let asked = heard;
  let stale = false;

  function answered() {
    heard = new Date();
    if (!stale) return;
    stale = false;
    showStale(null);
  }

  // Marks the page as stale and sets the uptimes back to the time of the last event.
  function outdated(why) {
    stale = true;
    showStale(heard, why);
    const then = (performance.now() - (Date.now() - heard)) / 1000;
    for (const line of lines.values()) {
      if (line.since !== null) put(line.uptimeCell, span(then - line.since));
    }
  }

  // A row must not move while the user clicks it: changes that move rows wait until the pointer leaves the table or rests.
  let moved = 0;
  let owed = false;
  function isCalm() {
    return Date.now() - moved > REST || !document.querySelector("#processes:hover");
  }
  for (const kind of ["pointermove", "pointerdown", "pointerup"]) {
    document.addEventListener(kind, () => { moved = Date.now(); }, { passive: true });
  }

  function tick() {
    if (document.hidden) return;
    if (owed && isCalm()) settle();
    const silent = Date.now() - Math.max(heard, asked);
    if (!stale && silent > SILENCE) outdated("The daemon does not answer.");
    if (stale) return;
    const now = performance.now() / 1000;
    for (const line of lines.values()) {
      if (line.since !== null && !line.tr.hidden) put(line.uptimeCell, span(now - line.since));
    }
  }

  // The same as `is_enabled` in row.rs.
  function isEnabled(offers, classes) {
    if (classes.contains("start")) return offers === "start";
    if (classes.contains("clear")) return true;
    return offers === "stop";
  }

  // Shows the data of one row.
  function show(line, row) {
    const now = performance.now() / 1000;
    if (line.state !== row.s) {
      line.state = row.s;
      const word = line.stateCell.firstElementChild;
      word.textContent = row.s;
      word.className = row.k;
      line.tr.dataset.o = row.o;
      for (const button of line.buttons) button.disabled = !isEnabled(row.o, button.classList);
    }
    line.stateCell.firstElementChild.title = row.d;
    const health = line.stateCell.lastElementChild;
    put(health, row.h);
    health.className = "health " + row.h;
    health.title = row.w;
    put(line.pidCell, row.p ? String(row.p) : "");
    line.since = row.u === null ? null : now - row.u;
    put(line.uptimeCell, row.u === null ? "" : span(row.u));
    put(line.restartsCell, String(row.r));
    put(line.cpuCell, row.c);
    put(line.memoryCell, row.m);
    put(line.endingCell, row.e);
    line.endingCell.title = row.e;
  }

  // Counts the states, and hides rows that do not match the filter. `later`: rows move only once the pointer allows it.
  function settle(later) {
    const keeps = later === true && !isCalm();
    owed = false;
    const filter = field.value.trim().toLowerCase();
    const states = new Map();
    for (const group of groups) {
      let shown = 0;
      let running = 0;
      for (const line of group.members) {
        states.set(line.state, (states.get(line.state) || 0) + 1);
        if (line.state === "running") running += 1;
        const fits = !filter || line.state === filter || line.id.includes(filter);
        if (line.tr.hidden === fits) {
          if (keeps) owed = true;
          else line.tr.hidden = !fits;
        }
        if (!line.tr.hidden) shown += 1;
      }
      if (group.body.hidden !== !shown && !keeps) group.body.hidden = !shown;
      if (group.running) put(group.running, String(running));
    }
    for (const link of counts.children) {
      const state = link.dataset.filter;
      const count = state ? states.get(state) || 0 : lines.size;
      put(link.firstElementChild, String(count));
      link.hidden = Boolean(state) && !count;
      if (filter === state) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  function all(rows) {
    const same = rows.length === lines.size && rows.every((row) => lines.has(row.n));
    if (!same) return relayout();
    rows.forEach((row) => show(lines.get(row.n), row));
    if (rows.some(hasOtherLog)) return relayout();
    settle(true);
  }

  function some(rows) {
    for (const row of rows) {
      const line = lines.get(row.n);
      if (!line) return relayout();
      show(line, row);
    }
    if (rows.some(hasOtherLog)) return relayout();
    settle(true);
  }

  // Whether the process gained or lost its log, which adds or removes a button.
  function hasOtherLog(row) {
    return Boolean(Number(lines.get(row.n).tr.dataset.l)) !== row.l;
  }

  // Fetches the page soon and replaces the table, because processes were added or removed.
  let pending = false;
  function relayout() {
    if (pending) return;
    pending = true;
    const wait = () => setTimeout(() => {
      if (!isCalm()) return wait();
      pending = false;
      return renew();
    }, LAYOUT_EVERY / 4 + Math.random() * LAYOUT_EVERY);
    wait();
  }

  // Fetches the page, and replaces the token, the table and the confirmation questions.
  async function renew() {
    let page = null;
    // If the daemon is gone, the stream reports it.
    try { page = await fetchPage(); } catch { return; }
    if (!page) return;
    if (isOtherVersion(page)) return location.reload();
    heard = new Date();
    const focused = document.activeElement && document.activeElement.value;
    document.querySelector(".everything").replaceWith(page.querySelector(".everything"));
    document.getElementById("content").replaceChildren(
      document.querySelector("#content > .tools"),
      ...[...page.getElementById("content").children].slice(1));
    survey();
    settle();
    if (focused) {
      const again = [...document.querySelectorAll("#processes button")].find((one) => one.value === focused);
      if (again) again.focus({ preventScroll: true });
    }
  }

  // A hidden page keeps no stream, because browsers allow few connections to one server.
  let source = null;
  let again = 0;
  // The first stream comes from the run of the daemon that made the page. A later one may come from another run.
  let isFirst = true;
  function listen() {
    clearTimeout(again);
    if (source) source.close();
    source = null;
    if (document.hidden) return;
    asked = new Date();
    const stream = new EventSource("events");
    source = stream;
    const says = (text, good) => {
      live.textContent = text;
      live.classList.toggle("good", good);
    };
    const hear = (name, does) => stream.addEventListener(name, (event) => {
      if (source !== stream) return;
      answered();
      does(event);
    });
    hear("open", () => {
      says("live", true);
      if (!isFirst) renew();
      isFirst = false;
    });
    hear("all", (event) => all(JSON.parse(event.data)));
    hear("rows", (event) => some(JSON.parse(event.data)));
    hear("layout", relayout);
    hear("alive", () => {});
    hear("stopping", () => says("the daemon is stopping", false));
    stream.addEventListener("error", () => {
      if (source !== stream) return;
      says("not live", false);
      if (stream.readyState !== EventSource.CLOSED) return outdated("The daemon does not answer.");
      // The stream was refused, for example because too many pages are connected. The browser does not try again by
      // itself, but the page can still be fetched.
      outdated("This page is not kept up to date.");
      again = setTimeout(async () => { await renew(); listen(); }, REFUSED);
    });
  }

  survey();
  settle();
  setInterval(tick, 1000);
  listen();
  document.addEventListener("visibilitychange", listen);
  window.addEventListener("pagehide", () => source && source.close());
  window.addEventListener("pageshow", (event) => event.persisted && listen());

  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (event.target.id === "search") event.preventDefault();
    if (!button || button.name !== "do") return;
    event.preventDefault();
    press(button, say);
  });
  function filtered() {
    settle();
    const address = new URL(location.href);
    address.search = field.value ? "?filter=" + encodeURIComponent(field.value) : "";
    history.replaceState(null, "", address);
  }
  field.addEventListener("input", filtered);
  counts.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    field.value = link.dataset.filter;
    filtered();
  });
  shortcuts(field);
})();
