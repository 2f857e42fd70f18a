// Scripts of all pages of the hub: the filter of lists, and the overview, which follows the changes of all hosts. The pages also
// work without this script.
"use strict";
(() => {
  const field = document.getElementById("filter");
  const overview = document.getElementById("overview");

  // Cesi has its pages behind a hash: `#/groups` leads to `groups/`.
  if (overview && /^#\/[a-z_/]+$/.test(location.hash)) {
    location.replace(`${overview.dataset.root || "./"}${location.hash.slice(2).replace(/\/?$/, "/")}`);
    return;
  }

  const put = (cell, text) => { if (cell.textContent !== text) cell.textContent = text; };
  const rowsOf = (place) => [...place.querySelectorAll("tbody tr[data-w]")];

  // Hides the rows that have not each word of the filter: the same as `matches` in lists.rs.
  function filterRows() {
    if (!field) return;
    const words = field.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const environment = new URL(location.href).searchParams.get("environment");
    const isElsewhere = (row) => environment && row.querySelector("td.environment").textContent !== environment;
    const place = document.getElementById("hosts") || document.querySelector("[data-rows]") || document;
    let shown = 0;
    for (const row of rowsOf(place)) {
      row.hidden = isElsewhere(row) || !words.every((word) => row.dataset.w.includes(word));
      if (!row.hidden) shown += 1;
    }
    const none = document.getElementById("nomatch");
    if (!none) return;
    none.hidden = shown > 0;
    put(none.firstElementChild, text("NoHostMatches", field.value.trim()));
  }

  const isList = Boolean(document.querySelector("[data-rows], #overview"));
  if (field && isList) {
    field.addEventListener("input", () => {
      filterRows();
      const address = new URL(location.href);
      for (const name of ["message", "environment"]) address.searchParams.delete(name);
      if (field.value) address.searchParams.set("filter", field.value);
      else address.searchParams.delete("filter");
      history.replaceState(null, "", address);
    });
    document.addEventListener("submit", (event) => { if (event.target.id === "search") event.preventDefault(); });
    document.addEventListener("click", (event) => {
      const link = event.target.closest("a[data-filter]");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      field.value = link.dataset.filter;
      field.dispatchEvent(new Event("input"));
    });
    // Other scripts replace lists with what the hub sends, which they do not filter again.
    document.addEventListener("replaced", filterRows);
  }
  if (document.getElementById("help") && field && !document.getElementById("live")) shortcuts(field, {});
  if (!overview) return;

  const live = document.getElementById("live");
  const table = document.getElementById("hosts");
  const root = overview.dataset.root;
  if (field) shortcuts(field, {});

  // How long the pointer must rest on the table before rows may move under it, in milliseconds.
  const REST = 2000;
  const STATES = {
    connecting: [text("NodeConnecting"), "blue"],
    connected: [text("NodeConnected"), "green"],
    unreachable: [text("NodeUnreachable"), "red"],
    unauthorized: [text("NodeUnauthorized"), "red"],
    "not a supervisor": [text("NodeNotASupervisor"), "red"],
    "no rpc interface": [text("NodeNoRpcInterface"), "red"],
    disabled: [text("NodeDisabled"), "grey"],
  };
  const rows = new Map(table ? [...table.querySelectorAll("tr[data-n]")].map((row) => [row.dataset.n, row]) : []);
  // The same as `severity` in host_row.rs.
  function severity(tone, counts) {
    if (tone === "red") return 0;
    if (counts.failed) return 1;
    if (tone === "blue") return 2;
    if (counts.starting) return 3;
    if (counts.stopped) return 4;
    return tone === "grey" ? 6 : 5;
  }

  // The same as `render_counts` in host_row.rs.
  function showCounts(cell, counts) {
    const part = (count, words, tone) => {
      if (!count) return [];
      const word = document.createElement("span");
      word.className = `word ${tone}`;
      word.textContent = words;
      return [" ", word];
    };
    const { failed, starting, stopped } = counts;
    const share = document.createElement("span");
    share.className = "share";
    share.textContent = text("RunningOf", counts.running, counts.total);
    cell.replaceChildren(...(counts.total ? [share] : []), ...part(failed, text("CountFailed", failed), "red"),
      ...part(starting, text("CountStarting", starting), "blue"), ...part(stopped, text("CountStopped", stopped), "grey"));
  }

  function show(node) {
    const row = rows.get(node.name);
    if (!row) return reload();
    const [word, tone] = STATES[node.state] || [node.state, "red"];
    const counts = node.processes;
    const rank = severity(tone, counts);
    Object.assign(row.dataset, {
      s: node.state,
      t: tone,
      v: rank,
      c: [counts.total, counts.running, counts.starting, counts.stopped, counts.failed].join(" "),
      w: [node.name, node.environment, node.tags.join(" "), node.state, word, rank < 2 ? "failing" : ""].join(" ").toLowerCase(),
    });
    const cell = (name) => row.querySelector(`td.${name}`);
    put(cell("environment"), node.environment);
    put(cell("state").firstElementChild, word);
    showCounts(cell("counts"), counts);
    put(cell("reason"), node.reason);
    cell("reason").title = node.reason;
    cell("since").dataset.at = node.since ? String(Date.parse(node.since)) : "0";
    put(cell("kind"), node.kind ? `${node.kind} ${node.version}` : "");
    settle();
  }

  // Adds up what the rows say, sorts them, and applies the filter. Many changes settle once.
  let due = false;
  function settle() {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      sum();
      sort();
      filterRows();
    });
  }

  function sum() {
    const all = [0, 0, 0, 0, 0];
    let connected = 0;
    let failing = 0;
    const environments = new Set();
    for (const row of rows.values()) {
      row.dataset.c.split(" ").forEach((number, at) => { all[at] += Number(number); });
      connected += Number(row.dataset.s === "connected");
      failing += Number(row.dataset.v < 2);
      environments.add(row.querySelector("td.environment").textContent);
    }
    const [total, running, starting, stopped, failed] = all;
    const numbers = (id, sum, parts) => {
      const card = document.getElementById(id);
      put(card.querySelector("b.sum"), String(sum));
      // The page wrote the words; only the numbers in them change.
      [...card.querySelectorAll("p span")].forEach((part, at) => put(part, part.textContent.replace(/\d+/, parts[at])));
    };
    numbers("sum-environments", environments.size, [rows.size, total]);
    numbers("sum-hosts", rows.size, [connected, rows.size - connected]);
    numbers("sum-processes", total, [running, stopped + starting, failed]);
    for (const [filter, count] of [["", rows.size], ["failing", failing], ["connected", connected]]) {
      put(document.querySelector(`#counts a[data-filter="${filter}"] b`), String(count));
    }
  }

  // A row must not move while the user clicks it.
  let moved = 0;
  for (const kind of ["pointermove", "pointerdown", "pointerup"]) {
    document.addEventListener(kind, () => { moved = Date.now(); }, { passive: true });
  }
  let again = 0;
  function sort() {
    if (overview.dataset.sort === "name") return;
    clearTimeout(again);
    if (Date.now() - moved < REST && table.matches(":hover")) {
      again = setTimeout(sort, REST);
      return;
    }
    const body = table.tBodies[0];
    const sorted = [...rows.values()].sort((one, other) => one.dataset.v - other.dataset.v || one.dataset.i - other.dataset.i);
    if (sorted.some((row, at) => row !== body.children[at])) body.replaceChildren(...sorted);
  }

  // Hosts were added or removed, so the page is loaded again, but not again and again.
  let pending = false;
  function reload() {
    if (pending) return;
    pending = true;
    setTimeout(() => location.reload(), 1000 + Math.random() * 1000);
  }

  function ago(millis) {
    const seconds = Math.max(0, Math.floor(millis / 1000));
    if (seconds < 60) return text("AgeNow");
    if (seconds < 3600) return text("AgeMinutes", Math.floor(seconds / 60));
    if (seconds < 86400) return text("AgeHours", Math.floor(seconds / 3600));
    return text("AgeDays", Math.floor(seconds / 86400));
  }
  setInterval(() => {
    for (const cell of document.querySelectorAll("#hosts td.since")) put(cell, ago(Date.now() - Number(cell.dataset.at)));
  }, 10000);

  let source = null;
  let heard = new Date();
  function listen() {
    if (source) source.close();
    source = null;
    if (document.hidden) return;
    const stream = new EventSource(`${root}api/v1/events?nodes_only=true&snapshot=true`);
    source = stream;
    const hear = (name, does) => stream.addEventListener(name, (event) => {
      heard = new Date();
      does(JSON.parse(event.data));
    });
    stream.addEventListener("open", () => {
      live.textContent = text("Live");
      live.classList.add("good");
      showStale(null);
    });
    hear("node", show);
    hear("node_removed", reload);
    // Changes were lost: a new stream begins with the present states.
    hear("missed", listen);
    stream.addEventListener("error", () => {
      if (source !== stream) return;
      live.textContent = text("NotLive");
      live.classList.remove("good");
      showStale(heard, text("HubSilent"));
      if (stream.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
    });
  }
  listen();
  document.addEventListener("visibilitychange", listen);
  window.addEventListener("pagehide", () => source && source.close());
})();
