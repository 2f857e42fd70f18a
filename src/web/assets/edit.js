// Checks a program while it is typed: the daemon reads the whole configuration with it, as it does before it writes. The
// page works without this script, because the next page says the same.
"use strict";
(() => {
  // How long nothing must be typed before the daemon is asked, in milliseconds.
  const REST = 600;

  for (const form of document.querySelectorAll("form[data-check]")) {
    const place = form.querySelector(".checked");
    let due = 0;
    // The question under way: there is one at a time.
    let asked = null;

    const tell = (message, kind) => {
      place.textContent = message;
      place.className = `checked ${kind}`;
    };

    async function check() {
      const control = new AbortController();
      asked = control;
      const body = new URLSearchParams(new FormData(form));
      body.set("check", "1");
      tell(text("Checking"), "");
      try {
        const answer = await fetch(form.action, { method: "POST", body, signal: control.signal });
        const { problem } = await answer.json();
        if (asked === control) tell(problem || text("IsValid"), problem ? "bad" : "good");
      } catch {
        // No answer, or another one than expected: saving will say why.
        if (asked === control) tell("", "");
      }
    }

    form.addEventListener("input", () => {
      if (asked) asked.abort();
      asked = null;
      clearTimeout(due);
      due = setTimeout(check, REST);
    });
  }
})();
