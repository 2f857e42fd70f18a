// Keeps the page of one process current: fetches it again while it is visible, and replaces the parts that have changed. The
// page also works without this script.
"use strict";
(() => {
  // Interval in milliseconds. A page on which something goes on has a shorter one.
  const EVERY = 3000;
  const every = () => Number((document.querySelector("[data-every]") || { dataset: {} }).dataset.every) || EVERY;
  let isAsking = false;
  let answered = new Date();

  // Whether the user is in the middle of something there: a field, an open text, a selection.
  function isInUse(part) {
    const selection = getSelection();
    const isSelected = !selection.isCollapsed && part.contains(selection.anchorNode);
    const isOpen = part.querySelector("details[open], input:checked") !== null;
    return isSelected || part.contains(document.activeElement) || isOpen;
  }

  async function refresh() {
    if (document.hidden || isAsking) return;
    isAsking = true;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      // Another process may have its name now, or none.
      if (answer.status === 404 || answer.status === 401) location.reload();
      if (!answer.ok) throw new Error();
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (isOtherVersion(page)) {
        location.reload();
        return;
      }
      answered = new Date();
      showStale(null);
      document.title = page.title;
      for (const part of document.querySelectorAll(".live-part")) {
        const now = page.getElementById(part.id);
        if (now && !isInUse(part) && !part.isEqualNode(now)) part.replaceWith(now);
      }
      const going = document.querySelector("[data-every]");
      if (going && !page.querySelector("[data-every]")) going.removeAttribute("data-every");
      document.dispatchEvent(new Event("replaced"));
    } catch {
      showStale(answered, text("NoAnswer"));
    } finally {
      isAsking = false;
    }
  }

  document.addEventListener("submit", (event) => {
    const ask = event.submitter && event.submitter.dataset.ask;
    if (ask && !confirm(ask)) event.preventDefault();
  });
  document.addEventListener("visibilitychange", refresh);
  if (document.getElementById("keys") && !document.getElementById("filter")) {
    shortcuts(document.getElementById("content"), {
      l: () => { const link = document.getElementById("openlog"); if (link) link.click(); },
    });
  }
  const wait = () => setTimeout(() => refresh().finally(wait), every());
  wait();
})();
