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
    document.getElementById("theme").addEventListener("click", () => {
      const dark = matchMedia("(prefers-color-scheme: dark)").matches;
      const now = root.dataset.theme || (dark ? "dark" : "light");
      const next = now === "dark" ? "light" : "dark";
      show(next);
      try { localStorage.setItem("theme", next); } catch { /* Then the theme applies to this page only. */ }
    });
  });
})();

// Submits the form of a button.
function post(button) {
  const body = new URLSearchParams(new FormData(button.form));
  body.set(button.name, button.value);
  return fetch(button.form.action, { method: "POST", body, headers: { Accept: "application/json" } });
}

// Submits the form of a button without leaving the page, and shows the result. Returns whether the action succeeded.
async function press(button, say) {
  // Ignore a second click while the first is in progress.
  if (button.classList.contains("busy")) return false;
  const ask = button.dataset.ask;
  if (ask && !confirm(ask)) return false;
  const isJson = (answer) => answer.headers.get("Content-Type") === "application/json";
  button.classList.add("busy");
  try {
    let answer = await post(button);
    // The token was refused, because this is another run of the daemon. Its page contains the valid token.
    if (answer.status === 403 && isJson(answer) && await fetchPage()) answer = await post(button);
    if (!isJson(answer)) {
      say(`The daemon answered ${answer.status} ${answer.statusText}`, true);
      return false;
    }
    const { message, failed } = await answer.json();
    say(message, failed);
    return !failed;
  } catch {
    say("The daemon does not answer", true);
    return false;
  } finally {
    button.classList.remove("busy");
  }
}

// Fetches the status page, and copies its token to the forms of this page. Returns null if there is no token.
async function fetchPage() {
  const answer = await fetch("./", { cache: "no-store" });
  if (!answer.ok) return null;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const token = page.querySelector("input[name=token]");
  if (!token) return null;
  for (const field of document.querySelectorAll("input[name=token]")) field.value = token.value;
  return page;
}

// Whether the page comes from another version, which has other scripts, so that it must be reloaded.
function isOtherVersion(page) {
  const footer = (of) => of.getElementById("footer").textContent;
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
}

// Shows a message in the message area.
function say(message, failed) {
  const notice = document.getElementById("notice");
  const place = document.getElementById("statusmessage");
  place.textContent = message;
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
  const text = since === null ? "" : `${why} Last answer: ${time(since)}`;
  if (place.textContent !== text) place.textContent = text;
}

// "/" focuses the search field, Escape clears it.
function shortcuts(field) {
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey
        && !["INPUT", "SELECT", "TEXTAREA"].includes(document.activeElement.tagName)) {
      event.preventDefault();
      field.focus();
    } else if (event.key === "Escape" && document.activeElement === field) {
      field.value = "";
      field.dispatchEvent(new Event("input"));
      field.blur();
    }
  });
}
