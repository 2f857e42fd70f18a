// Runs before the page is drawn: what was chosen, dark or light, and that there are scripts.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const chosen = () => {
    // A browser may forbid pages to remember anything.
    try { return localStorage.getItem("theme"); } catch { return null; }
  };
  const show = (theme) => {
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  show(chosen());
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", () => {
      const dark = matchMedia("(prefers-color-scheme: dark)").matches;
      const now = root.dataset.theme || (dark ? "dark" : "light");
      const next = now === "dark" ? "light" : "dark";
      show(next);
      try { localStorage.setItem("theme", next); } catch { /* Then it holds for this page. */ }
    });
  });
})();

// Presses a button of a form without leaving the page, says what came of it, and answers whether it did what it should.
async function press(button, say) {
  const ask = button.dataset.ask;
  if (ask && !confirm(ask)) return false;
  const body = new URLSearchParams(new FormData(button.form));
  body.set(button.name, button.value);
  button.classList.add("busy");
  try {
    const answer = await fetch(button.form.action, {
      method: "POST", body, headers: { Accept: "application/json" },
    });
    if (answer.headers.get("Content-Type") !== "application/json") {
      say(`The daemon answered ${answer.status} ${answer.statusText}`, true);
      return false;
    }
    const { message, failed } = await answer.json();
    say(message, failed, answer.status === 403);
    return !failed;
  } catch {
    say("The daemon does not answer", true);
    return false;
  } finally {
    button.classList.remove("busy");
  }
}

// Shows a message where the page shows those of the daemon.
function say(message, failed, stale) {
  const place = document.getElementById("statusmessage");
  place.textContent = message;
  place.classList.toggle("failed", Boolean(failed));
  place.hidden = false;
  if (stale) {
    const link = document.createElement("a");
    link.href = location.href;
    link.textContent = "Show it again";
    place.append(" ", link);
  }
}

// "/" goes to the search field, Escape empties it.
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
