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
  const CELLS = ["select", "name", "state", "pid", "uptime", "restarts", "cpu", "memory", "ending"];
  // The order of the states in a table with the failing processes first: the same as `severity` in table_view.rs.
  const SEVERITY = ["fatal", "backoff", "unknown", "exited red", "running red", "stopping", "starting", "exited", "stopped"];

  let lines = new Map();
  let groups = [];
  // The groups of which only the heading is shown.
  const folded = new Set(remembered("folded"));

  function remembered(name) {
    // The browser may forbid storage.
    try { return JSON.parse(sessionStorage.getItem(name)) || []; } catch { return []; }
  }

  function remember(name, values) {
    try { sessionStorage.setItem(name, JSON.stringify([...values])); } catch { /* Then until the page is closed. */ }
  }

  // Indexes the table once, so that updates need not search for rows and cells.
  function survey() {
    const selected = new Set([...lines.values()].filter((line) => line.check.checked).map((line) => line.tr.dataset.n));
    lines = new Map();
    groups = [];
    const now = performance.now() / 1000;
    for (const body of document.querySelectorAll("#statustable tbody")) {
      const head = body.querySelector("tr.group");
      const group = { body, members: [], head, name: body.dataset.group };
      if (head) {
        for (const cell of ["restarts", "cpu", "memory"]) group[cell] = head.querySelector("td." + cell);
        group.running = head.querySelector(".running");
        group.check = head.querySelector("td.select input");
        group.fold = head.querySelector("button.fold");
        if (body.classList.contains("folded")) folded.add(group.name);
        showFold(group);
      }
      for (const tr of body.querySelectorAll("tr[data-n]")) {
        const line = { tr, group, id: tr.dataset.n.toLowerCase(), state: tr.dataset.s, since: null, ended: null };
        for (const cell of CELLS) line[cell + "Cell"] = tr.querySelector("td." + cell);
        line.buttons = [...tr.querySelectorAll("td.action button")];
        line.check = line.selectCell.querySelector("input");
        line.ageCell = line.endingCell.lastElementChild;
        const { u: uptime } = line.uptimeCell.dataset;
        if (uptime !== undefined) line.since = now - Number(uptime);
        const { a: age } = line.ageCell.dataset;
        if (age !== undefined) line.ended = now - Number(age);
        if (selected.has(tr.dataset.n)) line.check.checked = true;
        figure(line);
        lines.set(tr.dataset.n, line);
        group.members.push(line);
      }
      groups.push(group);
    }
    for (const button of document.querySelectorAll(".everything button")) {
      Object.assign(button.dataset, { label: button.textContent, all: button.value, question: button.dataset.ask });
    }
  }

  function put(cell, text) {
    if (cell.textContent !== text) cell.textContent = text;
  }

  // The same as `format_uptime` in row_text.rs.
  function span(seconds) {
    const s = Math.max(0, Math.floor(seconds));
    const [d, h, m] = [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60];
    if (d) return text("SpanDays", d, h);
    if (h) return text("SpanHours", h, m);
    if (m) return text("SpanMinutes", m, s % 60);
    return text("SpanSeconds", s);
  }

  // The same as `format_age` in row_text.rs.
  function ago(seconds) {
    if (seconds < 60) return text("AgeNow");
    if (seconds < 3600) return text("AgeMinutes", Math.floor(seconds / 60));
    if (seconds < 86400) return text("AgeHours", Math.floor(seconds / 3600));
    return text("AgeDays", Math.floor(seconds / 86400));
  }

  // Numbers from the cells of a table, and back: the same as `format_percent` and `format_size` in row.rs.
  const permille = (cell) => Math.round(parseFloat(cell.textContent || 0) * 10);
  const UNITS = { KiB: 1, MiB: 1024, GiB: 1048576 };
  function kib(cell) {
    const [number, unit] = cell.textContent.split(" ");
    return unit ? parseFloat(number) * UNITS[unit] : 0;
  }
  const tenths = (number) => (Math.floor(number * 10) / 10).toFixed(1);
  function size(amount) {
    if (amount < UNITS.MiB) return `${Math.floor(amount)} KiB`;
    if (amount < UNITS.GiB) return `${tenths(amount / UNITS.MiB)} MiB`;
    return `${tenths(amount / UNITS.GiB)} GiB`;
  }
  const percent = (thousandths) => `${thousandths >= 1000 ? Math.floor(thousandths / 10) : tenths(thousandths / 10)} %`;

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
    if (!stale && silent > SILENCE) outdated(text("NoAnswer"));
    if (stale) return;
    const now = performance.now() / 1000;
    for (const line of lines.values()) {
      if (line.tr.hidden) continue;
      if (line.since !== null) put(line.uptimeCell, span(now - line.since));
      if (line.ended !== null) put(line.ageCell, ago(now - line.ended));
    }
  }

  // Keeps what filters, sums and orders need of a row, because reading a thousand rows again and again takes long.
  function figure(line) {
    const [state, health] = line.stateCell.children;
    line.words = [line.state, state.textContent, health.className.slice("health ".length), health.textContent];
    line.restarts = Number(line.restartsCell.textContent);
    line.permille = permille(line.cpuCell);
    line.kib = kib(line.memoryCell);
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
      word.textContent = row.v;
      word.className = row.k;
      line.tr.dataset.s = row.s;
      line.tr.dataset.o = row.o;
      for (const button of line.buttons) button.disabled = !isEnabled(row.o, button.classList);
    }
    line.tr.dataset.t = row.t;
    line.stateCell.firstElementChild.title = row.d;
    const health = line.stateCell.lastElementChild;
    put(health, row.b);
    health.className = "health " + row.h;
    health.title = row.w;
    put(line.pidCell, row.p ? String(row.p) : "");
    line.since = row.u === null ? null : now - row.u;
    put(line.uptimeCell, row.u === null ? "" : span(row.u));
    put(line.restartsCell, String(row.r));
    put(line.cpuCell, row.c);
    put(line.memoryCell, row.m);
    line.ended = row.a === null ? null : now - row.a;
    put(line.ageCell, row.a === null ? "" : ago(row.a));
    put(line.endingCell.firstElementChild, row.e);
    line.endingCell.title = row.e;
    figure(line);
  }

  // Whether a process matches each word of the filter: the same as `matches` in table_view.rs.
  const fits = (line, words) => words.every((word) => line.id.includes(word) || line.words.includes(word));

  const address = () => new URL(location.href).searchParams;

  // Counts the states, and hides rows that do not match the filter. `later`: rows move only once the pointer allows it.
  function settle(later) {
    const keeps = later === true && !isCalm();
    owed = false;
    const filter = field.value.trim().toLowerCase();
    const words = filter.split(/\s+/).filter(Boolean);
    const states = new Map();
    let visible = 0;
    for (const group of groups) {
      let shown = 0;
      for (const line of group.members) {
        states.set(line.state, (states.get(line.state) || 0) + 1);
        const fit = !filter || fits(line, words);
        if (line.tr.hidden === fit) {
          if (keeps) owed = true;
          else line.tr.hidden = !fit;
        }
        if (!line.tr.hidden) shown += 1;
      }
      visible += shown;
      if (group.body.hidden !== !shown && !keeps) group.body.hidden = !shown;
      if (group.head) sum(group);
    }
    for (const link of counts.children) {
      const state = link.dataset.filter;
      const count = state ? states.get(state) || 0 : lines.size;
      put(link.firstElementChild, String(count));
      link.hidden = Boolean(state) && !count;
      if (filter === state) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    const table = document.getElementById("statustable");
    if (table) {
      table.classList.toggle("filtered", Boolean(filter));
      const none = document.getElementById("nomatch");
      none.hidden = visible > 0;
      put(none.firstElementChild, text("NoMatch", field.value.trim()));
      reorder(keeps);
    }
    const title = document.title.replace(/^\([^)]*\) /, "");
    const fatal = states.get("fatal");
    const whole = fatal ? text("FatalTitle", fatal, title) : title;
    if (document.title !== whole) document.title = whole;
    offer();
  }

  // Shows the sums of a group in its heading.
  function sum(group) {
    const { members } = group;
    const total = (of) => members.reduce((total, line) => total + of(line), 0);
    put(group.running, String(total((line) => Number(line.state === "running"))));
    put(group.restarts, String(total((line) => line.restarts)));
    const memory = total((line) => line.kib);
    put(group.cpu, memory ? percent(total((line) => line.permille)) : "");
    put(group.memory, memory ? size(memory) : "");
    const tone = ["red", "blue", "green"].find((tone) => members.some((line) => line.tr.dataset.t === tone));
    group.head.dataset.t = tone || "grey";
  }

  // Sorts the rows, if the address says how.
  function reorder(keeps) {
    const asked = address().get("sort") || "";
    const body = document.querySelector("#statustable.sorted tbody");
    if (!body) return;
    const column = asked.replace("-", "");
    const now = performance.now() / 1000;
    const severity = (line) => {
      const rank = [`${line.state} ${line.tr.dataset.t}`, line.state].map((name) => SEVERITY.indexOf(name));
      return Math.max(...rank) < 0 ? SEVERITY.length : rank[0] < 0 ? rank[1] : rank[0];
    };
    const keys = {
      name: () => 0,
      state: severity,
      pid: (line) => Number(line.pidCell.textContent),
      uptime: (line) => line.since === null ? -1 : Math.floor(now - line.since),
      restarts: (line) => line.restarts,
      cpu: (line) => line.permille,
      memory: (line) => line.kib,
      ending: (line) => line.ended === null ? -Infinity : Math.round(line.ended),
    };
    if (!Object.hasOwn(keys, column)) return;
    const sign = asked.startsWith("-") ? -1 : 1;
    const byName = (one, other) => (one.tr.dataset.n < other.tr.dataset.n ? -1 : 1) * (column === "name" ? sign : 1);
    const keyed = [...lines.values()].map((line) => ({ line, key: keys[column](line) }));
    keyed.sort((one, other) => sign * (one.key < other.key ? -1 : Number(one.key > other.key)) || byName(one.line, other.line));
    const rows = keyed.map(({ line }) => line.tr);
    if (rows.every((row, at) => row === body.children[at])) return;
    if (keeps) owed = true;
    else body.replaceChildren(...rows);
  }

  // The processes that the buttons above the table act on: those selected, else those that match the filter. null: all.
  function chosen() {
    const shown = [...lines.values()].filter((line) => !line.tr.hidden);
    const selected = shown.filter((line) => line.check.checked);
    if (selected.length) return selected;
    return field.value.trim() ? shown : null;
  }

  // Labels the buttons above the table with what they act on, and shows what is selected.
  function offer() {
    const these = chosen();
    for (const button of document.querySelectorAll(".everything button")) {
      const { label, all, question } = button.dataset;
      const action = all.split(" ")[0];
      const count = these ? these.length : 0;
      const said = these ? text(button.dataset.these, count) : label;
      put(button, said);
      button.value = these ? `${action} :selected` : all;
      button.dataset.ask = !these ? question : count > 1 ? text("TheseQuestion", said) : "";
      button.disabled = Boolean(these) && !count;
    }
    const mark = (check, members) => {
      const shown = members.filter((line) => !line.tr.hidden);
      const count = shown.filter((line) => line.check.checked).length;
      check.checked = count > 0 && count === shown.length;
      check.indeterminate = count > 0 && count < shown.length;
    };
    for (const group of groups) if (group.head) mark(group.check, group.members);
    const everything = document.getElementById("selectall");
    if (everything) mark(everything, [...lines.values()]);
  }

  function select(members, on) {
    for (const line of members) if (!line.tr.hidden) line.check.checked = on;
    offer();
  }

  function showFold(group) {
    const isFolded = folded.has(group.name);
    group.body.classList.toggle("folded", isFolded);
    put(group.fold, isFolded ? "▸" : "▾");
    group.fold.setAttribute("aria-expanded", String(!isFolded));
    group.fold.setAttribute("aria-label", isFolded ? text("UnfoldGroup", group.name) : text("FoldGroup", group.name));
    const all = document.getElementById("foldall");
    if (all) put(all, folded.size ? text("UnfoldGroups") : text("FoldGroups"));
  }

  function fold(some, on) {
    for (const group of some) {
      if (on) folded.add(group.name);
      else folded.delete(group.name);
    }
    groups.filter((group) => group.head).forEach(showFold);
    remember("folded", folded);
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
    const view = address();
    for (const name of ["filter", "message", "select"]) view.delete(name);
    try { page = await fetchPage(`./?${view}`); } catch { return; }
    if (!page) return;
    if (isOtherVersion(page)) return location.reload();
    heard = new Date();
    const focused = document.activeElement && document.activeElement.value;
    const tools = document.querySelector("#content > .tools");
    for (const part of ["#orders", ".everything"]) {
      const [old, fresh] = [tools.querySelector(part), page.querySelector(part)];
      if (old) old.remove();
      if (fresh) tools.insertBefore(fresh, part === "#orders" ? counts.nextSibling : null);
    }
    document.getElementById("content").replaceChildren(
      tools,
      ...[...page.getElementById("content").children].filter((part) => !part.classList.contains("tools")));
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
    const says = (word, good) => {
      live.textContent = word;
      live.classList.toggle("good", good);
    };
    const hear = (name, does) => stream.addEventListener(name, (event) => {
      if (source !== stream) return;
      answered();
      does(event);
    });
    hear("open", () => {
      says(text("Live"), true);
      if (!isFirst) renew();
      isFirst = false;
    });
    hear("all", (event) => all(JSON.parse(event.data)));
    hear("rows", (event) => some(JSON.parse(event.data)));
    hear("layout", relayout);
    hear("alive", () => {});
    hear("stopping", () => says(text("DaemonStopping"), false));
    stream.addEventListener("error", () => {
      if (source !== stream) return;
      says(text("NotLive"), false);
      if (stream.readyState !== EventSource.CLOSED) return outdated(text("NoAnswer"));
      // The stream was refused, for example because too many pages are connected. The browser does not try again by
      // itself, but the page can still be fetched.
      outdated(text("NotKept"));
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
    const these = button.value.endsWith(":selected") ? chosen() : null;
    press(button, say, these && these.map((line) => line.tr.dataset.n));
  });
  // Keeps the address the same as what is shown.
  function showAddress(parameters) {
    for (const name of ["message", "select"]) parameters.delete(name);
    if (field.value) parameters.set("filter", field.value);
    else parameters.delete("filter");
    history.replaceState(null, "", String(parameters) ? `?${parameters}` : location.pathname);
  }
  function filtered() {
    settle();
    showAddress(address());
  }
  // Shows the table in the order of a link.
  async function order(link) {
    const place = link.id ? `#${link.id}` : `th.${link.closest("th").className} a`;
    showAddress(new URL(link.href).searchParams);
    await renew();
    const again = document.querySelector(place) || document.querySelector("#orders a");
    if (again) again.focus({ preventScroll: true });
  }
  field.addEventListener("input", filtered);
  document.addEventListener("change", (event) => {
    const check = event.target;
    if (check.id === "selectall") select(lines.values(), check.checked);
    else if (check.closest("tr.group")) select(groups.find((group) => group.check === check).members, check.checked);
    else if (check.name === "selected") offer();
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.fold");
    if (button) {
      const group = groups.find((group) => group.fold === button);
      return fold([group], !folded.has(group.name));
    }
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (link.dataset.filter !== undefined) {
      field.value = link.dataset.filter;
      filtered();
    } else if (link.id === "foldall") {
      fold(groups.filter((group) => group.head), !folded.size);
    } else if (link.closest("#orders, #statustable thead")) {
      order(link);
    } else return;
    event.preventDefault();
  });
  // The row of the keyboard: the one with the focus.
  const current = () => lines.get((document.activeElement.closest("tr[data-n]") || { dataset: {} }).dataset.n);
  function move(step) {
    const shown = [...document.querySelectorAll("tr[data-n]")].filter((tr) => tr.offsetParent !== null);
    const line = current();
    const at = line ? shown.indexOf(line.tr) + step : 0;
    const next = shown[Math.min(Math.max(at, 0), shown.length - 1)];
    if (next) next.querySelector("td.name a").focus();
  }
  shortcuts(field, {
    j: () => move(1),
    k: () => move(-1),
    x: () => {
      const line = current();
      if (line) select([line], !line.check.checked);
    },
    a: () => select([...lines.values()], !document.getElementById("selectall").checked),
    l: () => {
      const line = current();
      if (line) line.nameCell.querySelector("a").click();
    },
    f: () => {
      const link = document.getElementById("failing") || document.getElementById("bygroup");
      if (link) order(link);
    },
  });
})();
