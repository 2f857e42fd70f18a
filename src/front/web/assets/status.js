// Keeps the table up to date, filters it, and presses its buttons in place. The page is whole without this.
"use strict";
(() => {
  const field = document.getElementById("filter");
  const live = document.getElementById("live");
  const counts = document.getElementById("counts");
  // How often a table whose processes are others may be fetched, in milliseconds.
  const LAYOUT_EVERY = 1000;
  const CELLS = ["state", "pid", "uptime", "restarts", "cpu", "memory", "ending"];

  let lines = new Map();
  let groups = [];

  // Looks the table over once, so that nothing has to be searched for later.
  function survey() {
    lines = new Map();
    groups = [];
    const now = performance.now() / 1000;
    for (const body of document.querySelectorAll("#statustable tbody")) {
      const group = { body, members: [], running: body.querySelector(".count .running") };
      for (const tr of body.querySelectorAll("tr[data-n]")) {
        const line = { tr, group, state: "", id: tr.dataset.n.toLowerCase(), since: null };
        for (const cell of CELLS) line[cell + "Cell"] = tr.querySelector("td." + cell);
        line.state = line.stateCell.textContent;
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

  // The same as `uptime` in row.rs.
  function span(seconds) {
    const s = Math.max(0, Math.floor(seconds));
    const [d, h, m] = [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60];
    if (d) return `${d} d ${h} h`;
    if (h) return `${h} h ${m} min`;
    if (m) return `${m} min ${s % 60} s`;
    return `${s} s`;
  }

  function tick() {
    const now = performance.now() / 1000;
    for (const line of lines.values()) {
      if (line.since !== null && !line.tr.hidden) put(line.uptimeCell, span(now - line.since));
    }
  }

  // Shows a row as the daemon tells it.
  function show(line, row) {
    const now = performance.now() / 1000;
    if (line.state !== row.s) {
      line.state = row.s;
      const word = line.stateCell.firstElementChild;
      word.textContent = row.s;
      word.className = row.k;
      line.tr.dataset.o = row.o;
    }
    line.stateCell.firstElementChild.title = row.d;
    put(line.pidCell, row.p ? String(row.p) : "");
    line.since = row.u === null ? null : now - row.u;
    put(line.uptimeCell, row.u === null ? "" : span(row.u));
    put(line.restartsCell, String(row.r));
    put(line.cpuCell, row.c);
    put(line.memoryCell, row.m);
    put(line.endingCell, row.e);
    line.endingCell.title = row.e;
  }

  // Counts states, and hides what the filter does not want.
  function settle() {
    const filter = field.value.trim().toLowerCase();
    const states = new Map();
    for (const group of groups) {
      let shown = 0;
      let running = 0;
      for (const line of group.members) {
        states.set(line.state, (states.get(line.state) || 0) + 1);
        if (line.state === "running") running += 1;
        const fits = !filter || line.state === filter || line.id.includes(filter);
        if (line.tr.hidden === fits) line.tr.hidden = !fits;
        if (fits) shown += 1;
      }
      if (group.body.hidden !== !shown) group.body.hidden = !shown;
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
    settle();
  }

  function some(rows) {
    for (const row of rows) {
      const line = lines.get(row.n);
      if (!line) return relayout();
      show(line, row);
    }
    settle();
  }

  // Fetches the page and takes its table: processes came or went.
  let pending = false;
  function relayout() {
    if (pending) return;
    pending = true;
    setTimeout(async () => {
      pending = false;
      try {
        const answer = await fetch("./");
        if (!answer.ok) return;
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        document.getElementById("content").replaceChildren(
          document.getElementById("statusmessage"),
          document.querySelector("#content > .tools"),
          ...[...page.getElementById("content").children].slice(2));
        survey();
        settle();
      } catch { /* The stream tells when the daemon is gone. */ }
    }, LAYOUT_EVERY / 4 + Math.random() * LAYOUT_EVERY);
  }

  // A hidden page hears nothing, and costs nothing: browsers allow few connections to one server.
  let source = null;
  let again = 0;
  function listen() {
    clearTimeout(again);
    if (source) source.close();
    source = null;
    if (document.hidden) return;
    source = new EventSource("events");
    const says = (text, good) => {
      live.textContent = text;
      live.classList.toggle("good", good);
    };
    source.addEventListener("open", () => says("live", true));
    source.addEventListener("all", (event) => all(JSON.parse(event.data)));
    source.addEventListener("rows", (event) => some(JSON.parse(event.data)));
    source.addEventListener("layout", relayout);
    source.addEventListener("stopping", () => says("the daemon is stopping", false));
    source.addEventListener("error", () => {
      says("not live", false);
      // Refused, as when too many pages listen, the browser does not try again by itself.
      if (source && source.readyState === EventSource.CLOSED) again = setTimeout(listen, 10000);
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
