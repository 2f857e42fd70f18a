// Runs before the page is drawn: applies the chosen theme and marks that scripts are available.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const chosen = () => {
    // The browser may forbid local storage.
    try { return localStorage.getItem("theme"); } catch { return null; }
  };
  const show = (theme) => {
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  show(chosen());
  document.addEventListener("DOMContentLoaded", () => {
    const notice = document.getElementById("notice");
    document.getElementById("dismiss").addEventListener("click", (event) => {
      event.preventDefault();
      dismiss();
    });
    if (!notice.hidden) {
      // Show the message only once: reloading the page must not show it again.
      const address = new URL(location.href);
      address.searchParams.delete("message");
      history.replaceState(null, "", address);
      if (!notice.classList.contains("failed")) fade();
    }
    // Scripts may have changed the address since the page was rendered.
    document.getElementById("language").addEventListener("submit", (event) => {
      const here = new URL(location.href);
      here.searchParams.delete("message");
      const { back } = event.target.elements;
      back.value = back.value.split("?")[0] + here.search;
    });
    document.getElementById("theme").addEventListener("click", () => {
      const dark = matchMedia("(prefers-color-scheme: dark)").matches;
      const now = root.dataset.theme || (dark ? "dark" : "light");
      const next = now === "dark" ? "light" : "dark";
      show(next);
      try { localStorage.setItem("theme", next); } catch { /* Then the theme applies to this page only. */ }
    });
  });
})();

// A text of the page in its language, with its values. The server has the table of texts.
const texts = JSON.parse(document.querySelector("meta[name=texts]").content);
function text(name, ...values) {
  return texts[name].replace(/\{(\d)\}/g, (_, at) => values[at]);
}

// Submits the form of a button. `selected`: the processes on which it acts, if they are not in its form.
function post(button, selected) {
  const body = new URLSearchParams(new FormData(button.form));
  body.set(button.name, button.value);
  if (selected) {
    body.delete("selected");
    for (const id of selected) body.append("selected", id);
  }
  return fetch(button.form.action, { method: "POST", body, headers: { Accept: "application/json" } });
}

// Submits the form of a button without leaving the page, and shows the result. Returns whether the action succeeded.
async function press(button, say, selected) {
  // Ignore a second click while the first is in progress.
  if (button.classList.contains("busy")) return false;
  const ask = button.dataset.ask;
  if (ask && !confirm(ask)) return false;
  const isJson = (answer) => answer.headers.get("Content-Type") === "application/json";
  button.classList.add("busy");
  try {
    let answer = await post(button, selected);
    // The token was refused, because this is another run of the daemon. Its page contains the valid token.
    if (answer.status === 403 && isJson(answer) && await fetchPage()) answer = await post(button, selected);
    if (!isJson(answer)) {
      say(text("Answered", answer.status, answer.statusText), true);
      return false;
    }
    const { message, failed, results } = await answer.json();
    say(message, failed, failed || selected ? results : []);
    return !failed;
  } catch {
    say(text("NoAnswer"), true);
    return false;
  } finally {
    button.classList.remove("busy");
  }
}

// Fetches the status page, and copies its token to the forms of this page. Returns null if there is no token.
async function fetchPage(address) {
  const answer = await fetch(address || "./", { cache: "no-store" });
  // The login has ended. The page leads to the form for it.
  if (answer.status === 401) location.reload();
  if (!answer.ok) return null;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const token = page.querySelector("input[name=token]");
  if (!token) return null;
  for (const field of document.querySelectorAll("input[name=token]")) field.value = token.value;
  return page;
}

// Whether the page comes from another version, which has other scripts, or is in another language, so that it must be
// reloaded.
function isOtherVersion(page) {
  const footer = (of) => of.getElementById("footer").textContent + of.documentElement.lang;
  return footer(page) !== footer(document);
}

// How long a success message is shown, in milliseconds. The user closes error messages.
const SUCCESS_SHOWN = 6000;
let fading = 0;

function fade() {
  clearTimeout(fading);
  fading = setTimeout(() => {
    // Not while the user reads it.
    if (document.querySelector("#notice:hover, #notice:focus-within")) fade();
    else dismiss();
  }, SUCCESS_SHOWN);
}

function dismiss() {
  clearTimeout(fading);
  document.getElementById("notice").hidden = true;
  document.getElementById("statusmessage").textContent = "";
  list([]);
}

// Maximum number of processes whose results are listed. Failures come first.
const LISTED_MAX = 200;

// Lists the results of processes below the message.
function list(results) {
  const place = document.getElementById("results");
  const sorted = [...results].sort((one, other) => other.failed - one.failed);
  const items = sorted.slice(0, LISTED_MAX).map((result) => {
    const item = document.createElement("li");
    item.className = result.failed ? "bad" : "good";
    item.textContent = `${result.id}: ${result.text}`;
    return item;
  });
  place.replaceChildren(...items);
  place.hidden = items.length < 2;
}

// Shows a message in the message area, with the results of processes.
function say(message, failed, results) {
  const notice = document.getElementById("notice");
  const place = document.getElementById("statusmessage");
  place.textContent = message;
  list(results || []);
  for (const part of [notice, place]) part.classList.toggle("failed", Boolean(failed));
  notice.hidden = false;
  clearTimeout(fading);
  if (!failed) fade();
}

// Shows that the page is out of date since `since`. null: the page is current.
function showStale(since, why) {
  const place = document.getElementById("stale");
  document.body.classList.toggle("stale", since !== null);
  place.hidden = since === null;
  const two = (number) => String(number).padStart(2, "0");
  const clock = (date) => [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  const day = (date) => [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
  const time = (date) => (day(date) === day(new Date()) ? "" : day(date) + " ") + clock(date);
  const said = since === null ? "" : text("LastAnswer", why, time(since));
  if (place.textContent !== said) place.textContent = said;
}

// The keys of a page: "/" focuses the search field, Escape clears it, "?" shows all keys. `more`: what further keys do.
function shortcuts(field, more) {
  const keys = document.getElementById("keys");
  const help = () => keys.open ? keys.close() : keys.showModal();
  document.getElementById("help").addEventListener("click", help);
  const known = {
    "/": () => field.focus(),
    "?": help,
    ...more,
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const focused = document.activeElement;
    if (event.key === "Escape" && focused === field) {
      field.value = "";
      field.dispatchEvent(new Event("input"));
      field.blur();
      return;
    }
    // A check box takes no letters.
    const isTyping = ["INPUT", "SELECT", "TEXTAREA"].includes(focused.tagName) && focused.type !== "checkbox";
    if (isTyping || !Object.hasOwn(known, event.key) || keys.open && event.key !== "?") return;
    event.preventDefault();
    known[event.key]();
  });
}
